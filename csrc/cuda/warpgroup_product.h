// Products on Hopper (sm_90a): warpgroups multiply by wgmma what TMA loads. The same results, slices and epilogue as
// product.h's other kernels, for operands that TMA can read: dense matrices and windows in whole 16 bytes.
#pragma once
#include "cuda/hopper.h"
#include "cuda/operands.h"
#include "cuda/product_output.h"
#include "cuda/tensor_map.h"

namespace ck::cuda {

// How k is walked through: tile after tile of kBoxElements, of which a tap of a filter has `chunks`. A matrix is one
// tap. The last chunk of a tap is filled up with zeros.
struct KWalk {
    int taps, chunks;
    Divider by_chunks;
    KWalk(int64_t taps, int64_t columns, int64_t depth)
        : taps(static_cast<int>(taps)), chunks(static_cast<int>(ceil_div(columns, depth))), by_chunks(chunks) {}
};

// Loads of an operand's tiles [extent m's or n's, kBoxElements k's].
template <class T>
struct MatrixTiles {
    TensorMap map;

    // A matrix of `taps` times as many columns as a row of the map has.
    MatrixTiles(const Op& op, const Matrix<T>& matrix, int64_t taps, bool along_k, int extent)
        : map(along_k ? tiled_map(op, {matrix.data, kMapType<T>, matrix.columns / taps, taps, matrix.rows, 1, extent})
                      : tiled_map(op, {matrix.data, kMapType<T>, matrix.columns, matrix.rows, 1, kBoxElements<T>, 1})) {
    }
    template <bool along_k, int extent>
    __device__ void load(unsigned char* to, uint64_t* barrier, int first, int tap, int chunk) const {
        if constexpr (along_k) {
            tma_load_3d(to, &map, barrier, chunk * kBoxElements<T>, tap, first);
        } else {  // kBoxElements m's or n's a box
#pragma unroll
            for (int part = 0; part < extent / kBoxElements<T>; ++part)
                tma_load_3d(to + part * kBoxElements<T> * kBoxBytes, &map, barrier, first + part * kBoxElements<T>,
                            chunk * kBoxElements<T>, 0);
        }
    }
};
template <class T>
struct WindowTiles {
    TensorMap map;
    Divider windows_h, windows_w, taps_w;
    int stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;

    WindowTiles(const Op& op, const WindowMatrix<T>& x, int extent)
        : map(window_map(op, facts(x, extent))),
          windows_h(x.windows_h),
          windows_w(x.windows_w),
          taps_w(x.taps_w),
          stride_h(x.stride_h),
          stride_w(x.stride_w),
          dilation_h(x.dilation_h),
          dilation_w(x.dilation_w),
          pad_h(x.pad_h),
          pad_w(x.pad_w) {}

    static WindowMap facts(const WindowMatrix<T>& x, int extent) {
        const int64_t p = x.windows_h.divisor, q = x.windows_w.divisor;
        const auto upper = [](int64_t windows, int stride, int pad, int pixels) {  // of the last window
            return static_cast<int>((windows - 1) * stride - pad - (pixels - 1));
        };
        return {x.data,
                kMapType<T>,
                x.rows / (p * q),
                x.h,
                x.w,
                x.c,
                {-x.pad_w, -x.pad_h},
                {upper(q, x.stride_w, x.pad_w, x.w), upper(p, x.stride_h, x.pad_h, x.h)},
                {x.stride_w, x.stride_h},
                extent};
    }
    template <bool, int>
    __device__ void load(unsigned char* to, uint64_t* barrier, int first, int tap, int chunk) const {
        const int line = windows_w.quotient(first), image = windows_h.quotient(line);
        const int p = windows_h.remainder(line, image), q = windows_w.remainder(first, line);
        const int down = taps_w.quotient(tap), across = taps_w.remainder(tap, down);
        tma_load_im2col(to, &map, barrier, chunk * kBoxElements<T>, q * stride_w - pad_w, p * stride_h - pad_h, image,
                        across * dilation_w, down * dilation_h);
    }
};

template <class T, class TilesA, class TilesB, class Rows>
struct WarpgroupProduct {
    ProductOutput<T, Rows> out;  // k's counted in tiles of the walk
    TilesA a;
    TilesB b;
    KWalk walk;
};

// Two warpgroups multiply, 64 rows of the tile each; the first thread of a third feeds TMA.
template <class T, bool a_k, bool b_k, int columns>
struct WarpgroupTile {
    static constexpr int kRows = 128, kColumns = columns, kThreads = 384;
    static constexpr int kBytesA = kRows * kBoxBytes, kStageBytes = kBytesA + kColumns * kBoxBytes;
    // On its way out a warpgroup's result passes through shared memory of its own, 64 columns at a time: the stages may
    // still be read by the other.
    struct Piece {
        static constexpr int kRows = 64, kColumns = 64, kThreads = 128;
        static constexpr int kBytes = kRows * kColumns * static_cast<int>(sizeof(float));
    };
    // 4 stages of 32 KiB, or of 48 KiB: with 32 KiB for the results and the barriers all that a multiprocessor has.
    static constexpr size_t kShared =
        kWarpgroupStages * kStageBytes + 2 * Piece::kBytes + 2 * kWarpgroupStages * sizeof(uint64_t);
    static constexpr int kConsumerWarps = 8;

    // d += the 128 bytes of k's of a stage, of which a wgmma takes 32. Lines along m or n are k's: 8 a pattern, and as
    // many in a box as a tile has k's.
    __device__ static void multiply(float (&d)[columns / 2], const unsigned char* a, const unsigned char* b) {
        constexpr int kBox = kBoxElements<T> * kBoxBytes, kStep = kBox / 4;
#pragma unroll
        for (int step = 0; step < kBoxBytes / 32; ++step)
            wgmma<sizeof(T) == 2, columns, !a_k, !b_k>(d, matrix_descriptor(a + step * (a_k ? 32 : kStep), kBox),
                                                       matrix_descriptor(b + step * (b_k ? 32 : kStep), kBox));
    }
};

template <class Tile, bool a_k, bool b_k, class P>
__device__ __forceinline__ void produce(const P& p, const TilePlace& place, unsigned char* stages, uint64_t* full,
                                        uint64_t* empty, int first, int count) {
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
        const int stage = i % kWarpgroupStages, round = i / kWarpgroupStages;
        const int tap = p.walk.by_chunks.quotient(first + i), chunk = p.walk.by_chunks.remainder(first + i, tap);
        unsigned char* to = stages + stage * Tile::kStageBytes;
        mbarrier_wait(empty + stage, (round + 1) % 2);  // the first round waits for nothing
        mbarrier_arrive_expect(full + stage, Tile::kStageBytes);
        p.a.template load<a_k, Tile::kRows>(to, full + stage, place.row, tap, chunk);
        p.b.template load<b_k, Tile::kColumns>(to + Tile::kBytesA, full + stage, place.column, tap, chunk);
    }
}

// The products of one tile are under way while the next is waited for; then the stage before is free.
template <class Tile, int elements>
__device__ __forceinline__ void consume(float (&d)[elements], const unsigned char* stages, uint64_t* full,
                                        uint64_t* empty, int offset_a, int count, bool first_lane) {
#pragma unroll 1
    for (int i = 0; i < count; ++i) {
        const int stage = i % kWarpgroupStages;
        const unsigned char* from = stages + stage * Tile::kStageBytes;
        mbarrier_wait(full + stage, i / kWarpgroupStages % 2);
        wgmma_fence();
        Tile::multiply(d, from + offset_a, from + Tile::kBytesA);
        wgmma_commit();
        wgmma_wait<1>(d);
        if (first_lane && i > 0) mbarrier_arrive(empty + (i - 1) % kWarpgroupStages);
    }
    wgmma_wait<0>(d);
}

template <class T, class TilesA, class TilesB, class Rows, bool a_k, bool b_k, int columns>
__global__ void __launch_bounds__(384, 1)
    warpgroup_kernel(const __grid_constant__ WarpgroupProduct<T, TilesA, TilesB, Rows> p) {
#if !defined(__CUDACC__) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
    using Tile = WarpgroupTile<T, a_k, b_k, columns>;
    CK_DYNAMIC_SHARED(unsigned char, stages);
    unsigned char* results = stages + kWarpgroupStages * Tile::kStageBytes;
    auto* full = reinterpret_cast<uint64_t*>(results + 2 * Tile::Piece::kBytes);
    uint64_t* empty = full + kWarpgroupStages;
    const int thread = static_cast<int>(threadIdx.x) % 128, warpgroup = static_cast<int>(threadIdx.x) / 128;
    const TilePlace place = tile_place<Tile::kRows, Tile::kColumns>(p.out.m, p.out.n);
    const int first = place.slice * p.out.k_step, count = min(p.out.k - first, p.out.k_slice);
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < kWarpgroupStages; ++stage) {
            mbarrier_init(full + stage, 1);
            mbarrier_init(empty + stage, Tile::kConsumerWarps);
        }
        mbarrier_init_fence();
    }
    __syncthreads();
    // Of 168 registers a thread, 384 of them, the producers need the fewest: the others get 232, for 128 accumulators
    // and what the epilogue holds.
    if (warpgroup == 2) {
        setmaxnreg_dec<40>();
        if (thread == 0) produce<Tile, a_k, b_k>(p, place, stages, full, empty, first, count);
        return;
    }
    setmaxnreg_inc<232>();
    float d[columns / 2] = {};
    consume<Tile>(d, stages, full, empty, warpgroup * 64 * kBoxBytes, count, thread % 32 == 0);

    float* result = reinterpret_cast<float*>(results + warpgroup * Tile::Piece::kBytes);
#    pragma unroll
    for (int piece = 0; piece < columns / 64; ++piece) {
#    pragma unroll
        for (int i = 0; i < 32; ++i) {
            const int row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
            result[result_word<64>(row, i / 4 * 8 + thread % 4 * 2 + i % 2)] = d[piece * 32 + i];
        }
        warpgroup_barrier(1 + warpgroup);
        const TilePlace part{place.slice, place.row + warpgroup * 64, place.column + piece * 64};
        if (p.out.partials) {
            write_rows<float, typename Tile::Piece>(p.out, part, thread, result, p.out.partials);
        } else {
            write_rows<T, typename Tile::Piece>(p.out, part, thread, result, p.out.c);
        }
        if (p.out.moments) write_moments<T, typename Tile::Piece>(p.out, part, thread, result);
        warpgroup_barrier(1 + warpgroup);  // before the next piece takes its place
    }
#endif
}

}  // namespace ck::cuda
