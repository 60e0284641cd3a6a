// The product c[m,n] = activation(a[m,k] b[k,n] + bias) that matmul and every convolution are: one kernel over tiles of
// c, for any operands of cuda/operands.h and any tile arithmetic (SimtTile, TensorTile), and its launcher.
#pragma once
#include <optional>

#include "core/precision.h"
#include "cuda/activation.h"
#include "cuda/launch.h"
#include "cuda/operands.h"
#include "cuda/simt_tile.h"
#include "cuda/tensor_tile.h"
#include "cuda/tile_loader.h"

namespace ck::cuda {

// Where row m of c starts: dense matrices, one per slice ...
struct DenseRows {
    static constexpr bool kDense = true;
    int m, n;

    explicit DenseRows(const ProductSize& size) : m(static_cast<int>(size.m)), n(static_cast<int>(size.n)) {}
    __device__ int64_t offset(int64_t slice, int row) const { return (slice * m + row) * n; }
};
// ... or every stride-th pixel of dx[N,H,W,C].
struct PhaseRows {
    static constexpr bool kDense = false;
    int h, w, c, first_h, first_w, stride_h, stride_w;
    Divisor phase_h, phase_w;  // pixels of the phase

    PhaseRows(const Conv2dShape& s, int64_t first_h, int64_t first_w, const PhaseAxis& down, const PhaseAxis& across)
        : h(static_cast<int>(s.h)),
          w(static_cast<int>(s.w)),
          c(static_cast<int>(s.c)),
          first_h(static_cast<int>(first_h)),
          first_w(static_cast<int>(first_w)),
          stride_h(static_cast<int>(s.stride_h)),
          stride_w(static_cast<int>(s.stride_w)),
          phase_h(down.size),
          phase_w(across.size) {}
    __device__ int64_t offset(int64_t, int row) const {
        int j = row, i = phase_w.split(j);
        const int image = phase_h.split(i);
        return ((int64_t{image} * h + first_h + i * stride_h) * w + first_w + j * stride_w) * c;
    }
};

template <class T, class A, class B, class Rows>
struct Product {
    int m, n, k;
    A a;
    B b;
    Rows rows;
    Broadcast stack;      // ndim 0: one product
    int k_step, k_slice;  // slice z sums the k's from z*k_step on, k_slice of them
    T* c;
    float* partials;  // not null: [slices,m,n] instead of c, without bias and activation
    const T* bias;    // [n], may be null
    Activation act;
    bool vectors;  // 16-byte stores
};

// Bands of kBandTiles rows of tiles, a band column by column: blocks that run together share a's and b's tiles in L2.
struct TilePlace {
    int64_t slice;
    int row, column;
};
template <int bm, int bn>
__device__ TilePlace tile_place(int m, int n) {
    const unsigned rows = (m + bm - 1) / bm, columns = (n + bn - 1) / bn, slice = blockIdx.x / (rows * columns);
    const unsigned index = blockIdx.x - slice * rows * columns, band = index / (kBandTiles * columns);
    const unsigned height = min(rows - band * kBandTiles, static_cast<unsigned>(kBandTiles));
    const unsigned inside = index - band * kBandTiles * columns;
    return {slice, static_cast<int>((band * kBandTiles + inside % height) * bm),
            static_cast<int>(inside / height * bn)};
}

// The accumulators meet in shared memory as rows of floats, so that stores are 16 bytes of neighbours. Permuted, 8
// words at a time, so that neither the rows of mma's fragments nor those of SimtTile's threads meet in a bank.
template <int bn>
__device__ __forceinline__ int result_word(int row, int column) {
    return row * bn + (column ^ ((row ^ row >> 2) & 3) << 3);
}

template <class U, class Tile, class P>
__device__ void write_rows(const P& p, const TilePlace& place, const float* tile, U* c) {
    constexpr int kChunks = Tile::kColumns / kVector<U>;
    const int chunk = static_cast<int>(threadIdx.x) % kChunks * kVector<U>, column = place.column + chunk;
    if (column >= p.n) return;
    float bias[kVector<U>] = {};
#pragma unroll
    for (int e = 0; e < kVector<U>; ++e)
        if (p.bias && column + e < p.n) bias[e] = to_float(p.bias[column + e]);
#pragma unroll 1
    for (int row = static_cast<int>(threadIdx.x) / kChunks; row < Tile::kRows && place.row + row < p.m;
         row += Tile::kThreads / kChunks) {
        float v[kVector<U>];
#pragma unroll
        for (int e = 0; e < kVector<U>; ++e)
            v[e] = activate(p.act, tile[result_word<Tile::kColumns>(row, chunk + e)] + bias[e]);
        U* to = c + p.rows.offset(place.slice, place.row + row) + column;
        if (p.vectors) {
            store(to, v);
        } else {
#pragma unroll
            for (int e = 0; e < kVector<U>; ++e)
                if (column + e < p.n) to[e] = from_float<U>(v[e]);
        }
    }
}

// The copies of kTileStages - 1 tiles are on their way while one is multiplied. One barrier a tile: behind it the tile
// is here for all threads, and all have read the one before, whose memory the next copies take.
template <class Tile, class T, class A, class B, class Rows>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    product_kernel(const __grid_constant__ Product<T, A, B, Rows> p) {
    constexpr int kDepth = kTileBytes / static_cast<int>(sizeof(T));
    constexpr int kBytesA = Tile::kRows * kTileBytes, kStageBytes = kBytesA + Tile::kColumns * kTileBytes;
    CK_DYNAMIC_SHARED(unsigned char, shared);
    const int thread = static_cast<int>(threadIdx.x);
    const TilePlace place = tile_place<Tile::kRows, Tile::kColumns>(p.m, p.n);
    auto a = p.a.source;
    auto b = p.b.source;
    if (p.stack.ndim > 0) {
        const Broadcast::Offsets at = p.stack.offsets(place.slice);
        a.data += at.a;
        b.data += at.b;
    }
    TileLoader<A, Tile::kRows, Tile::kThreads> loader_a(a, place.row, thread);
    TileLoader<B, Tile::kColumns, Tile::kThreads> loader_b(b, place.column, thread);
    const int k_first = static_cast<int>(place.slice) * p.k_step;
    const int tiles = (min(p.k - k_first, p.k_slice) + kDepth - 1) / kDepth;
    const auto load = [&](int index) {
        if (index < tiles) {
            unsigned char* stage = shared + index % kTileStages * kStageBytes;
            loader_a.load(stage, k_first + index * kDepth);
            loader_b.load(stage + kBytesA, k_first + index * kDepth);
        }
        cp_async_commit();  // also an empty group: waits count groups
    };

    Tile tile(thread);
    for (int index = 0; index < kTileStages - 1; ++index) load(index);
    for (int index = 0; index < tiles; ++index) {
        cp_async_wait<kTileStages - 2>();
        __syncthreads();
        load(index + kTileStages - 1);
        const unsigned char* stage = shared + index % kTileStages * kStageBytes;
        tile.template multiply<A::kAlong, B::kAlong>(stage, stage + kBytesA);
    }

    cp_async_wait<0>();
    __syncthreads();
    float* result = reinterpret_cast<float*>(shared);
    tile.template each<A::kAlong, B::kAlong>(
        [&](int row, int column, float value) { result[result_word<Tile::kColumns>(row, column)] = value; });
    __syncthreads();
    if (p.partials) {
        write_rows<float, Tile>(p, place, result, p.partials);
    } else {
        write_rows<T, Tile>(p, place, result, p.c);
    }
}

// c = activation(the sum of the slices, in their order, + bias).
template <class T>
__global__ void sum_slices(int slices, unsigned size, unsigned n, const float* partials /*[slices,size]*/,
                           const T* bias /*[n], may be null*/, Activation act, T* c /*[size]*/) {
    for (unsigned i = static_cast<unsigned>(first_index()); i < size; i += static_cast<unsigned>(index_step())) {
        float sum = 0;
        for (int slice = 0; slice < slices; ++slice) sum += partials[int64_t{slice} * size + i];
        c[i] = from_float<T>(activate(act, bias ? sum + to_float(bias[i % n]) : sum));
    }
}

template <class Tile, class T, class A, class B, class Rows>
void launch_product(const Op& op, const ProductPlan& plan, const Product<T, A, B, Rows>& p) {
    constexpr size_t kStages = static_cast<size_t>(kTileStages) * (Tile::kRows + Tile::kColumns) * kTileBytes;
    constexpr size_t kResult = sizeof(float) * Tile::kRows * Tile::kColumns;
    const int64_t blocks = ceil_div(p.m, Tile::kRows) * ceil_div(p.n, Tile::kColumns) * plan.slices;
    CK_CHECK(blocks <= kMaxBlocks, op.name, "the result is too large for one launch. Received: ", blocks, " tiles.");
    launch(op, product_kernel<Tile, T, A, B, Rows>, dim3(static_cast<unsigned>(blocks)), dim3(Tile::kThreads),
           kStages > kResult ? kStages : kResult, p);
}

struct SimtTiles {
    template <int bm, int bn>
    using Tile = SimtTile<bm, bn>;
};
template <class T>
struct TensorTiles {
    template <int bm, int bn>
    using Tile = TensorTile<T, bm, bn>;
};

template <class Tiles, class T, class A, class B, class Rows>
void launch_planned(const Op& op, const ProductPlan& plan, const Product<T, A, B, Rows>& p) {
    if (plan.rows == 128 && plan.columns == 128) {
        launch_product<typename Tiles::template Tile<128, 128>>(op, plan, p);
    } else if (plan.rows == 128) {
        launch_product<typename Tiles::template Tile<128, 64>>(op, plan, p);
    } else {
        launch_product<typename Tiles::template Tile<64, 64>>(op, plan, p);
    }
}

// What all products of a kind have in common; c is dense or has the rows that its caller names.
template <class T>
struct ProductResult {
    const T* bias;  // [n], may be null
    Activation act;
    T* c;
};

// a.source is [m,k] (Along::k) or [k,m] (Along::mn), b.source [n,k] or [k,n]. A stack is a product for every index.
template <class T, class A, class B, class Rows>
void multiply(const Op& op, const ProductSize& size, const Broadcast& stack, const A& a, const B& b, const Rows& rows,
              const ProductResult<T>& result) {
    const int64_t largest = std::max({size.m, size.n, size.k});
    CK_CHECK(largest <= INT32_MAX, op.name, "every size of the matrix product must be below 2^31. Received: m=", size.m,
             ", n=", size.n, ", k=", size.k, ".");
    const int64_t products = stack.numel();
    if (size.m * size.n * products == 0) return;
    const ProductPlan plan = plan_product(size, kTileBytes / sizeof(T), products, Rows::kDense && stack.ndim == 0);
    const bool split = plan.k_slice < size.k;
    std::optional<Scratch<float>> partials;
    if (split) partials.emplace(op, plan.slices * size.m * size.n);
    const Product<T, A, B, Rows> p{
        static_cast<int>(size.m),
        static_cast<int>(size.n),
        static_cast<int>(size.k),
        a,
        b,
        rows,
        stack,
        split ? static_cast<int>(plan.k_slice) : 0,
        static_cast<int>(plan.k_slice),
        result.c,
        split ? partials->data() : nullptr,
        split ? nullptr : result.bias,
        split ? Activation{} : result.act,
        split ? in_vectors<float>(size.n, partials->data()) : in_vectors<T>(size.n, result.c)};
    if constexpr (std::is_same_v<T, float>) {
        if (precision() == Precision::precise) {
            launch_planned<SimtTiles>(op, plan, p);
        } else {
            launch_planned<TensorTiles<T>>(op, plan, p);
        }
    } else {
        launch_planned<TensorTiles<T>>(op, plan, p);
    }
    if (!split) return;
    const int64_t elements = size.m * size.n;
    launch(op, sum_slices<T>, blocks_for(elements, kElementwiseThreads), dim3(kElementwiseThreads), 0,
           static_cast<int>(plan.slices), static_cast<unsigned>(elements), static_cast<unsigned>(size.n),
           partials->data(), result.bias, result.act, result.c);
}

}  // namespace ck::cuda
