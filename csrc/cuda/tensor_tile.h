// A tile of a product by tensor cores (mma.sync): float rounded to TF32, or bfloat16; sums in float.
#pragma once
#include "cuda/tile_loader.h"

namespace ck::cuda {

// c[bm,bn] += a[bm,k] b[k,bn] for the 64 bytes of k's of a tile, in two steps of 32 bytes: one mma deep. A warp has
// 64x32 elements (32x32 of a 64x64 tile): per step 6 reads by ldmatrix feed 16 mma, a row of 4 after each of a's.
template <class T, int bm, int bn>
class TensorTile {
    static constexpr bool kBf16 = sizeof(T) == 2;
    static constexpr int kWarpRows = bm == 64 ? 32 : 64, kWarpColumns = 32;
    static constexpr int kBlocksM = kWarpRows / 16, kBlocksN = kWarpColumns / 8;  // of mma: 16x8

  public:
    static constexpr int kRows = bm, kColumns = bn;
    static constexpr int kThreads = bm / kWarpRows * (bn / kWarpColumns) * 32;
    // The largest tile: 64 accumulators, 12 operands and addresses in 128 registers, so 2 blocks of 256 threads on a
    // multiprocessor. Of 128 threads, which copy twice as many lines each, 3 blocks in 168 registers.
    static constexpr int kBlocks = kThreads == 256 ? 2 : 384 / kThreads;

    __device__ explicit TensorTile(int thread)
        : lane_(thread % 32),
          row_(thread / 32 % (bm / kWarpRows) * kWarpRows),
          column_(thread / 32 / (bm / kWarpRows) * kWarpColumns) {}

    template <Along a_along, Along b_along>
    __device__ void multiply(const unsigned char* a, const unsigned char* b) {
#pragma unroll
        for (int step = 0; step < kTileBytes / 32; ++step) {
            uint32_t y[kBlocksN][2];
#pragma unroll
            for (int j = 0; j < kBlocksN; j += 2) {
                uint32_t pair[4];
                read<b_along, bn, true>(b, column_ + j * 8, step, pair);
                y[j][0] = pair[0], y[j][1] = pair[1], y[j + 1][0] = pair[2], y[j + 1][1] = pair[3];
            }
#pragma unroll
            for (int i = 0; i < kBlocksM; ++i) {
                uint32_t x[1][4];
                read<a_along, bm, false>(a, row_ + i * 16, step, x[0]);
                mma_tile<kBf16>(c_[i], x, y);
            }
        }
    }

    // put(row, column, value) for every element of this thread.
    template <Along, Along, class Put>
    __device__ void each(Put&& put) const {
        const int row = row_ + lane_ / 4, column = column_ + lane_ % 4 * 2;
#pragma unroll
        for (int i = 0; i < kBlocksM; ++i)
#pragma unroll
            for (int j = 0; j < kBlocksN; ++j)
#pragma unroll
                for (int e = 0; e < 4; ++e) put(row + i * 16 + e / 2 * 8, column + j * 8 + e % 2, c_[i][0][j][e]);
    }

  private:
    // The fragments of 16 m's or n's from `first` on by the k's of one step, in four quarters: halves of the m's and of
    // the k's, those of the k's faster in b.
    template <Along along, int extent, bool k_faster>
    __device__ void read(const unsigned char* tile, int first, int step, uint32_t (&v)[4]) const {
        using Layout = TileLayout<T, along, extent>;
        const auto half = [](int quarter, bool of_k) { return of_k == k_faster ? quarter % 2 : quarter / 2; };
        const int mn = half(lane_ / 8, false), k = half(lane_ / 8, true);  // the quarter of the line this lane names
        if constexpr (along == Along::k) {
            ldmatrix_x4(v, tile + Layout::offset(first + mn * 8 + lane_ % 8, step * 2 + k));
        } else if constexpr (kBf16) {
            ldmatrix_x4_trans(v, tile + Layout::offset(step * 16 + k * 8 + lane_ % 8, first / 8 + mn));
        } else {  // ldmatrix transposes no words
#pragma unroll
            for (int q = 0; q < 4; ++q) {
                const int line = step * 8 + half(q, true) * 4 + lane_ % 4,
                          place = first + half(q, false) * 8 + lane_ / 4;
                v[q] =
                    *reinterpret_cast<const volatile uint32_t*>(tile + Layout::offset(line, place / 4) + place % 4 * 4);
            }
        }
        if constexpr (!kBf16) {
#pragma unroll
            for (int q = 0; q < 4; ++q) v[q] = to_tf32(__uint_as_float(v[q]));
        }
    }

    const int lane_, row_, column_;
    float c_[kBlocksM][1][kBlocksN][4] = {};
};

}  // namespace ck::cuda
