// Tiles of a product's operands in shared memory: their layout and the copies that fill them.
#pragma once
#include "cuda/element.h"
#include "cuda/ptx.h"
#include "cuda/tiles.h"

namespace ck::cuda {

// Which index of an operand runs along its lines in memory: k, or the m (of a) or n (of b) that it shares with c.
enum class Along { k, mn };

// An operand and how it lies: a.rows are the product's m and its columns k (Along::k), or the other way round.
template <Along along, class Source>
struct Operand {
    static constexpr Along kAlong = along;
    Source source;
};

// A tile is `extent` m's or n's by kTileBytes of k's, in lines as in memory, each of chunks of 16 bytes. What is read
// at once meets every bank once. Along k, lines are 4 chunks, permuted so that 8 lines' chunks of one column differ
// (ldmatrix). Along m or n a line ends in a gap: 8 lines' chunks differ by one each (ldmatrix of bfloat16), 4 lines'
// by two (words of TF32, whose fragments are two chunks wide); neighbours in a line differ anyway.
template <class T, Along along, int extent>
struct TileLayout {
    static constexpr int kDepth = kTileBytes / static_cast<int>(sizeof(T));
    static constexpr int kLines = along == Along::k ? extent : kDepth;
    static constexpr int kChunks = extent * kTileBytes / 16 / kLines;
    static constexpr int kGap = along == Along::k ? 0 : static_cast<int>(sizeof(T)) / 2;  // chunks
    static constexpr int kBytes = kLines * (kChunks + kGap) * 16;
    static_assert(along == Along::k ? kChunks == 4 : kChunks % 8 == 0, "what the above takes for granted");

    __device__ static int offset(int line, int chunk) {  // bytes
        return (line * (kChunks + kGap) + (along == Along::k ? chunk ^ (line >> 1 & 3) : chunk)) * 16;
    }
};

// The copies of one thread of `threads`: the same chunk of every (threads / kChunks)-th line. Operands that cannot be
// read by 16 bytes are served with `singles` alone: they cost the registers that large tiles lack.
template <class Operand, int extent, int threads, bool singles>
class TileLoader {
    using Source = decltype(Operand::source);
    using T = typename Source::Element;
    using Layout = TileLayout<T, Operand::kAlong, extent>;
    static constexpr bool kAlongK = Operand::kAlong == Along::k;
    static constexpr int kCopies = Layout::kLines * Layout::kChunks / threads;
    static constexpr int kLineStep = threads / Layout::kChunks;
    static_assert(kLineStep * Layout::kChunks == threads && kCopies * kLineStep == Layout::kLines, "whole chunks");

  public:
    // first: the tile's first m or n.
    __device__ TileLoader(const Source& source, int first, int thread)
        : source_(source),
          first_(first),
          line_(thread / Layout::kChunks),
          chunk_(thread % Layout::kChunks),
          column_(source.column(first + chunk_ * kVector<T>)) {
        if constexpr (kAlongK) {
#pragma unroll
            for (int i = 0; i < kCopies; ++i) rows_[i] = source.row(first + line_ + i * kLineStep);
        }
    }

    // Starts (cp.async) the copies of the tile whose first k is `k`.
    __device__ void load(unsigned char* tile, int k) {
        if (!singles || source_.vectors) {
            if constexpr (kAlongK) column_ = source_.column(k + chunk_ * kVector<T>);
            copy<kVectorBytes>(tile, k, column_);
        } else {
            const int first = (kAlongK ? k : first_) + chunk_ * kVector<T>;
#pragma unroll 1
            for (int e = 0; e < kVector<T>; ++e) copy<sizeof(T)>(tile + e * sizeof(T), k, source_.column(first + e));
        }
    }

  private:
    using Row = decltype(std::declval<Source>().row(0));
    using Column = decltype(std::declval<Source>().column(0));

    template <int bytes>
    __device__ void copy(unsigned char* tile, int k, const Column& column) {
#pragma unroll
        for (int i = 0; i < kCopies; ++i) {
            const int line = line_ + i * kLineStep;
            const T* from = source_.at(kAlongK ? rows_[i] : source_.row(k + line), column);
            unsigned char* to = tile + Layout::offset(line, chunk_);
            if constexpr (bytes >= 4) {
                cp_async<bytes>(to, from ? from : source_.data, from ? bytes : 0);
            } else {  // no such copy exists
                *reinterpret_cast<T*>(to) = from ? *from : from_float<T>(0);
            }
        }
    }

    const Source& source_;
    const int first_, line_, chunk_;
    Column column_;
    Row rows_[kCopies];  // along k: what does not change from tile to tile
};

}  // namespace ck::cuda
