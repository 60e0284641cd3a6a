// The product c[m,n] = activation(a[m,k] b[k,n] + bias + residual) that matmul and every convolution are: one kernel
// over tiles of c, for any operands of cuda/operands.h and any tile arithmetic (SimtTile, TensorTile), and its
// launcher.
#pragma once
#include <optional>

#include "core/precision.h"
#include "cuda/activation.h"
#include "cuda/launch.h"
#include "cuda/moments.h"
#include "cuda/operands.h"
#include "cuda/simt_tile.h"
#include "cuda/tensor_tile.h"
#include "cuda/tile_loader.h"

namespace ck::cuda {

// Where row m of c starts: a dense matrix, or one per slice of k ...
struct DenseRows {
    static constexpr bool kStacked = false;
    int m, n;

    explicit DenseRows(const ProductSize& size) : m(static_cast<int>(size.m)), n(static_cast<int>(size.n)) {}
    int64_t products() const { return 1; }
    bool splittable() const { return true; }  // into slices of k
    __device__ int64_t offset(int slice, int row) const { return (int64_t{slice} * m + row) * n; }
};
// ... or one per product of a stack (of no axes: one product) ...
struct StackRows : DenseRows {
    static constexpr bool kStacked = true;
    Broadcast stack;

    StackRows(const ProductSize& size, const Broadcast& stack) : DenseRows(size), stack(stack) {}
    int64_t products() const { return stack.numel(); }
    bool splittable() const { return stack.ndim == 0; }
};
// ... or every stride-th pixel of dx[N,H,W,C].
struct PhaseRows {
    static constexpr bool kStacked = false;
    int h, w, c, first_h, first_w, stride_h, stride_w;
    Divider phase_h, phase_w;  // pixels of the phase

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
    int64_t products() const { return 1; }
    bool splittable() const { return false; }
    __device__ int64_t offset(int, int row) const {
        const int line = phase_w.quotient(row), image = phase_h.quotient(line);
        const int i = phase_h.remainder(line, image), j = phase_w.remainder(row, line);
        return ((int64_t{image} * h + first_h + i * stride_h) * w + first_w + j * stride_w) * c;
    }
};

template <class T, class A, class B, class Rows>
struct Product {
    int m, n, k;
    A a;
    B b;
    Rows rows;
    int k_step, k_slice;  // slice z sums the k's from z*k_step on, k_slice of them
    T* c;
    float* partials;    // not null: [slices,m,n] instead of c, without what follows the sum
    const T* bias;      // [n], may be null
    const T* residual;  // rows as c's, may be null
    Activation act;
    bool vectors;                // 16-byte stores
    Moments* moments = nullptr;  // of c's columns, [n,parts], or null; of dense rows alone
    int parts = 0;
};

// Bands of kBandTiles rows of tiles, a band column by column: blocks that run together share a's and b's tiles in L2.
struct TilePlace {
    int slice, row, column;
};
template <int bm, int bn>
__device__ TilePlace tile_place(int m, int n) {
    const unsigned rows = (m + bm - 1) / bm, columns = (n + bn - 1) / bn, slice = blockIdx.x / (rows * columns);
    const unsigned index = blockIdx.x - slice * rows * columns, band = index / (kBandTiles * columns);
    const unsigned height = min(rows - band * kBandTiles, static_cast<unsigned>(kBandTiles));
    const unsigned inside = index - band * kBandTiles * columns;
    return {static_cast<int>(slice), static_cast<int>((band * kBandTiles + inside % height) * bm),
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
        const int64_t at = p.rows.offset(place.slice, place.row + row) + column;
        float v[kVector<U>], residual[kVector<U>] = {};
        if (p.residual) load(p.residual + at, p.n - column, p.vectors, residual);
#pragma unroll
        for (int e = 0; e < kVector<U>; ++e)
            v[e] = activate(p.act, tile[result_word<Tile::kColumns>(row, chunk + e)] + bias[e] + residual[e]);
        U* to = c + at;
        if (p.vectors) {
            store(to, v);
        } else {
#pragma unroll
            for (int e = 0; e < kVector<U>; ++e)
                if (column + e < p.n) to[e] = from_float<U>(v[e]);
        }
    }
}

// Rows of a part of the moments: the threads of a tile share its columns out, a part of one each. Mostly 64 rows, whose
// 8 bytes of moments, written and read, are an eighth of the bfloat16 values that need not be read again.
template <class Tile>
constexpr int kPartRows = Tile::kRows / (Tile::kThreads / Tile::kColumns);

// The moments of the tile's columns, of the numbers as they are stored (of those batch normalisation's gradient
// speaks). Deviations from a part's first row: it is one of them, so that the squares lose no more than a factor of its
// rows. Neighbouring threads have neighbouring columns, which lie in different banks.
template <class T, class Tile, class P>
__device__ void write_moments(const P& p, const TilePlace& place, const float* tile) {
    constexpr int kRows = kPartRows<Tile>;
    const int thread = static_cast<int>(threadIdx.x), first = thread / Tile::kColumns * kRows;
    const int inside = thread % Tile::kColumns, column = place.column + inside;
    const int rows = min(kRows, p.m - place.row - first);
    if (column >= p.n || rows <= 0) return;
    const float bias = p.bias ? to_float(p.bias[column]) : 0.0f;
    const auto value = [&](int row) {
        return to_float(from_float<T>(tile[result_word<Tile::kColumns>(first + row, inside)] + bias));
    };
    const float shift = value(0);
    float sum = 0, squares = 0;
#pragma unroll 4
    for (int row = 1; row < rows; ++row) {
        const float deviation = value(row) - shift;
        sum += deviation;
        squares = fmaf(deviation, deviation, squares);
    }
    const float mean = sum / static_cast<float>(rows);
    p.moments[int64_t{column} * p.parts + (place.row + first) / kRows] = {shift + mean, fmaf(-sum, mean, squares)};
}

template <class Tile, class T, class A, class B>
struct ProductStages {
    static constexpr int kBytesA = TileLayout<T, A::kAlong, Tile::kRows>::kBytes;
    static constexpr int kBytes = kBytesA + TileLayout<T, B::kAlong, Tile::kColumns>::kBytes;
    static constexpr int kResultBytes = static_cast<int>(sizeof(float)) * Tile::kRows * Tile::kColumns;
    static constexpr size_t kShared = std::max(kTileStages * kBytes, kResultBytes);
};

// The smallest tiles are for any operand, the others for those in vectors.
template <class Tile>
constexpr bool kSingles = Tile::kRows == 64;

// The copies of kTileStages - 1 tiles are on their way while one is multiplied. One barrier a tile: behind it the tile
// is here for all threads, and all have read the one before, whose memory the next copies take.
template <class Tile, class T, class A, class B, class Rows>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    product_kernel(const __grid_constant__ Product<T, A, B, Rows> p) {
    constexpr int kDepth = kTileBytes / static_cast<int>(sizeof(T));
    using Stages = ProductStages<Tile, T, A, B>;
    CK_DYNAMIC_SHARED(unsigned char, shared);
    const int thread = static_cast<int>(threadIdx.x);
    const TilePlace place = tile_place<Tile::kRows, Tile::kColumns>(p.m, p.n);
    auto a = p.a.source;
    auto b = p.b.source;
    if constexpr (Rows::kStacked) {
        const Broadcast::Offsets at = p.rows.stack.offsets(place.slice);
        a.data += at.a;
        b.data += at.b;
    }
    TileLoader<A, Tile::kRows, Tile::kThreads, kSingles<Tile>> loader_a(a, place.row, thread);
    TileLoader<B, Tile::kColumns, Tile::kThreads, kSingles<Tile>> loader_b(b, place.column, thread);
    unsigned k = static_cast<unsigned>(place.slice * p.k_step);  // a multiple of kDepth
    const unsigned end = k + static_cast<unsigned>(min(p.k - place.slice * p.k_step, p.k_slice));
    const auto stage = [&](unsigned k) { return shared + k / kDepth % kTileStages * Stages::kBytes; };
    const auto load = [&](unsigned k) {
        if (k < end) {
            loader_a.load(stage(k), static_cast<int>(k));
            loader_b.load(stage(k) + Stages::kBytesA, static_cast<int>(k));
        }
        cp_async_commit();  // also an empty group: waits count groups
    };

    Tile tile(thread);
#pragma unroll 1
    for (unsigned ahead = 0; ahead < kTileStages - 1; ++ahead) load(k + ahead * kDepth);
#pragma unroll 1
    for (; k < end; k += kDepth) {
        cp_async_wait<kTileStages - 2>();
        __syncthreads();
        load(k + (kTileStages - 1) * kDepth);
        tile.template multiply<A::kAlong, B::kAlong>(stage(k), stage(k) + Stages::kBytesA);
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
    if constexpr (std::is_same_v<Rows, DenseRows>)
        if (p.moments) write_moments<T, Tile>(p, place, result);
}

// c = activation(the sum of the slices, in their order, + bias + residual).
template <class T>
__global__ void sum_slices(int slices, unsigned size, unsigned n, const float* partials /*[slices,size]*/,
                           const T* bias /*[n], may be null*/, const T* residual /*[size], may be null*/,
                           Activation act, T* c /*[size]*/) {
    for (unsigned i = static_cast<unsigned>(first_index()); i < size; i += static_cast<unsigned>(index_step())) {
        float sum = 0;
        for (int slice = 0; slice < slices; ++slice) sum += partials[int64_t{slice} * size + i];
        if (bias) sum += to_float(bias[i % n]);
        if (residual) sum += to_float(residual[i]);
        c[i] = from_float<T>(activate(act, sum));
    }
}

template <class Tile, class T, class A, class B, class Rows>
void launch_product(const Op& op, const ProductPlan& plan, Product<T, A, B, Rows> p, ColumnMoments* moments) {
    if (moments) {
        moments->part_rows = kPartRows<Tile>;
        p.parts = static_cast<int>(ceil_div(p.m, moments->part_rows));
        p.moments = moments->moments.emplace(op, int64_t{p.n} * p.parts).data();
    }
    const int64_t blocks = ceil_div(p.m, Tile::kRows) * ceil_div(p.n, Tile::kColumns) * plan.slices;
    CK_CHECK(blocks <= kMaxBlocks, op.name, "the result is too large for one launch. Received: ", blocks, " tiles.");
    launch(op, product_kernel<Tile, T, A, B, Rows>, dim3(static_cast<unsigned>(blocks)), dim3(Tile::kThreads),
           ProductStages<Tile, T, A, B>::kShared, p);
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
void launch_planned(const Op& op, const ProductPlan& plan, const Product<T, A, B, Rows>& p, ColumnMoments* moments) {
    if (plan.rows == 128 && plan.columns == 128) {
        launch_product<typename Tiles::template Tile<128, 128>>(op, plan, p, moments);
    } else if (plan.rows == 128) {
        launch_product<typename Tiles::template Tile<128, 64>>(op, plan, p, moments);
    } else {
        launch_product<typename Tiles::template Tile<64, 64>>(op, plan, p, moments);
    }
}

// What all products of a kind have in common; c is dense or has the rows that its caller names.
template <class T>
struct ProductResult {
    const T* bias;  // [n], may be null
    Activation act;
    T* c;
    const T* residual = nullptr;  // rows as c's
    // Of c, which then has dense rows, neither activation nor residual; not taken where k is cut into slices.
    ColumnMoments* moments = nullptr;
};

// a.source is [m,k] (Along::k) or [k,m] (Along::mn), b.source [n,k] or [k,n].
template <class T, class A, class B, class Rows>
void multiply(const Op& op, const ProductSize& size, const A& a, const B& b, const Rows& rows,
              const ProductResult<T>& result) {
    const int64_t largest = std::max({size.m, size.n, size.k});
    CK_CHECK(largest <= INT32_MAX - 128, op.name,
             "every size of the matrix product must be below 2^31. Received: m=", size.m, ", n=", size.n,
             ", k=", size.k, ".");
    if (size.m * size.n * rows.products() == 0) return;
    const ProductPlan plan = plan_product(size, kTileBytes / sizeof(T), rows.products(), rows.splittable(),
                                          a.source.vectors && b.source.vectors);
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
        split ? static_cast<int>(plan.k_slice) : 0,
        static_cast<int>(plan.k_slice),
        result.c,
        split ? partials->data() : nullptr,
        split ? nullptr : result.bias,
        split ? nullptr : result.residual,
        split ? Activation{} : result.act,
        split ? in_vectors<float>(size.n, partials->data()) : in_vectors<T>(size.n, result.c, result.residual)};
    ColumnMoments* const moments = split ? nullptr : result.moments;
    if constexpr (std::is_same_v<T, float>) {
        if (precision() == Precision::precise) {
            launch_planned<SimtTiles>(op, plan, p, moments);
        } else {
            launch_planned<TensorTiles<T>>(op, plan, p, moments);
        }
    } else {
        launch_planned<TensorTiles<T>>(op, plan, p, moments);
    }
    if (!split) return;
    const int64_t elements = size.m * size.n;
    launch(op, sum_slices<T>, blocks_for(elements, kElementwiseThreads), dim3(kElementwiseThreads), 0,
           static_cast<int>(plan.slices), static_cast<unsigned>(elements), static_cast<unsigned>(size.n),
           partials->data(), result.bias, result.residual, result.act, result.c);
}

}  // namespace ck::cuda
