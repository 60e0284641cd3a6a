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

// A tile is `extent` m's or n's by kTileBytes of k's, in lines as in memory, each cut into chunks of 16 bytes. Chunks
// are permuted within groups of 4 or 8 so that these meet every bank once: 8 lines' chunks of one column (ldmatrix); 8
// neighbouring chunks of a line; and 4 lines' words of two neighbouring chunks (TF32 fragments along m or n).
template <class T, Along along, int extent>
struct TileLayout {
    static constexpr int kDepth = kTileBytes / static_cast<int>(sizeof(T));
    static constexpr int kLines = along == Along::k ? extent : kDepth;
    static constexpr int kChunks = extent * kTileBytes / 16 / kLines;
    static_assert(kChunks == 4 || kChunks % 8 == 0, "the two permutations below");

    __device__ static int offset(int line, int chunk) {  // bytes
        const int swizzled = kChunks == 4 ? chunk ^ (line >> 1 & 3) : chunk ^ ((line & 3) << 1 | (line >> 2 & 1));
        return (line * kChunks + swizzled) * 16;
    }
};

// The copies of one thread of `threads`: the same chunk of every (threads / kChunks)-th line.
template <class Operand, int extent, int threads>
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
#pragma unroll
        for (int i = 0; i < kCopies; ++i) rows_[i] = source.row(first + line_ + i * kLineStep);
    }

    // Starts (cp.async) the copies of the tile whose first k is `k`.
    __device__ void load(unsigned char* tile, int k) {
        if (source_.vectors) {
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
