// A tile of a product by fused multiply-adds: float32, exact to its rounding, on any GPU.
#pragma once
#include "cuda/tile_loader.h"

namespace ck::cuda {

// c[bm,bn] += a[bm,16] b[16,bn]. A thread has 8x8 elements in registers: per 4 k's 16 reads of 16 bytes feed 256
// multiply-adds. A warp's 4x8 threads have 32x64: each read of a has 4 addresses, of b 8, both within one cycle of the
// banks.
template <int bm, int bn>
class SimtTile {
  public:
    using Element = float;
    static constexpr int kRows = bm, kColumns = bn;
    static constexpr int kThreads = bm / 32 * (bn / 64) * 32;
    // 64 accumulators, 32 of a, 32 of b on their way and some 35 for addresses: 168 registers, so 384 threads on a
    // multiprocessor, or one block of the largest tile.
    static constexpr int kBlocks = 384 / kThreads;

    __device__ explicit SimtTile(int thread)
        : row_(thread / 32 % (bm / 32) * 32),
          column_(thread / 32 / (bm / 32) * 64),
          lane_row_(thread % 32 / 8),
          lane_column_(thread % 8) {}

    template <Along a_along, Along b_along>
    __device__ void multiply(const unsigned char* a, const unsigned char* b) {
        constexpr int kQuads = kTileBytes / 16;
#pragma unroll 1
        for (int quad = 0; quad < kQuads; ++quad) {
            float x[2][4][4];
            read<a_along, bm, 4>(a, row_, lane_row_, quad, 0, x[0]);
            read<a_along, bm, 4>(a, row_, lane_row_, quad, 1, x[1]);
#pragma unroll
            for (int half = 0; half < 2; ++half) {
                float y[4][4];
                read<b_along, bn, 8>(b, column_, lane_column_, quad, half, y);
#pragma unroll
                for (int k = 0; k < 4; ++k)
#pragma unroll
                    for (int i = 0; i < 8; ++i)
#pragma unroll
                        for (int j = 0; j < 4; ++j) {
                            float& c = c_[i][half * 4 + j];
                            c = fmaf(x[i / 4][i % 4][k], y[j][k], c);
                        }
            }
        }
    }

    // put(row, column, value) for every element of this thread.
    template <Along a_along, Along b_along, class Put>
    __device__ void each(Put&& put) const {
#pragma unroll
        for (int i = 0; i < 8; ++i)
#pragma unroll
            for (int j = 0; j < 8; ++j)
                put(row_ + index<a_along, 4>(lane_row_, i), column_ + index<b_along, 8>(lane_column_, j), c_[i][j]);
    }

  private:
    // The i-th of the 8 m's or n's of one of `lanes` threads: neighbours of 4 where a read gives these.
    template <Along along, int lanes>
    __device__ static int index(int lane, int i) {
        return along == Along::k ? lane + i * lanes : lane * 4 + i % 4 + i / 4 * lanes * 4;
    }

    // Four of the 8 by four k's.
    template <Along along, int extent, int lanes>
    __device__ static void read(const unsigned char* tile, int first, int lane, int quad, int half, float (&v)[4][4]) {
        using Layout = TileLayout<float, along, extent>;
        const auto four = [&](int line, int chunk) {
            return *reinterpret_cast<const float4*>(tile + Layout::offset(line, chunk));
        };
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            if constexpr (along == Along::k) {
                const float4 k = four(first + index<along, lanes>(lane, half * 4 + i), quad);
                v[i][0] = k.x, v[i][1] = k.y, v[i][2] = k.z, v[i][3] = k.w;
            } else {
                const float4 mn = four(quad * 4 + i, first / 4 + half * lanes + lane);
                v[0][i] = mn.x, v[1][i] = mn.y, v[2][i] = mn.z, v[3][i] = mn.w;
            }
        }
    }

    const int row_, column_;  // of the warp's part
    const int lane_row_, lane_column_;
    float c_[8][8] = {};
};

}  // namespace ck::cuda
