// The product c[m,n] = activation(a[m,k] b[k,n] + bias + residual) that matmul and every convolution are: one kernel
// over tiles of c, for any operands of cuda/operands.h and any tile arithmetic (SimtTile, TensorTile), and its
// launcher.
#pragma once
#include <optional>

#include "core/precision.h"
#include "cuda/launch.h"
#include "cuda/operands.h"
#include "cuda/product_output.h"
#include "cuda/simt_tile.h"
#include "cuda/tensor_tile.h"
#include "cuda/tile_loader.h"
#include "cuda/warpgroup_launch.h"

namespace ck::cuda {

template <class T, class A, class B, class Rows>
struct Product {
    ProductOutput<T, Rows> out;
    A a;
    B b;
};

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
    const TilePlace place = tile_place<Tile::kRows, Tile::kColumns>(p.out.m, p.out.n);
    auto a = p.a.source;
    auto b = p.b.source;
    if constexpr (Rows::kStacked) {
        const Broadcast::Offsets at = p.out.rows.stack.offsets(place.slice);
        a.data += at.a;
        b.data += at.b;
    }
    TileLoader<A, Tile::kRows, Tile::kThreads, kSingles<Tile>> loader_a(a, place.row, thread);
    TileLoader<B, Tile::kColumns, Tile::kThreads, kSingles<Tile>> loader_b(b, place.column, thread);
    unsigned k = static_cast<unsigned>(place.slice * p.out.k_step);  // a multiple of kDepth
    const unsigned end = k + static_cast<unsigned>(min(p.out.k - place.slice * p.out.k_step, p.out.k_slice));
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
    if (p.out.partials) {
        write_rows<float, Tile>(p.out, place, thread, result, p.out.partials);
    } else {
        write_rows<T, Tile>(p.out, place, thread, result, p.out.c);
    }
    if constexpr (std::is_same_v<Rows, DenseRows>)
        if (p.out.moments) write_moments<T, Tile>(p.out, place, thread, result);
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
    if (moments) take_moments<Tile>(op, *moments, p.out);
    const int64_t blocks = ceil_div(p.out.m, Tile::kRows) * ceil_div(p.out.n, Tile::kColumns) * plan.slices;
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
    const int64_t walked_k = warpgroup_k<T>(size, a, b, rows);
    const ProductPlan plan =
        plan_product(size, {kTileBytes / sizeof(T), rows.products(), rows.splittable(),
                            a.source.vectors && b.source.vectors, walked_k, warpgroups() == Warpgroups::always});
    const bool split = plan.k_slice < (plan.warpgroups ? walked_k : size.k);
    std::optional<Scratch<float>> partials;
    if (split) partials.emplace(op, plan.slices * size.m * size.n);
    const ProductOutput<T, Rows> out{
        static_cast<int>(size.m),
        static_cast<int>(size.n),
        static_cast<int>(size.k),
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
    if (plan.warpgroups) {
        launch_warpgroups<T>(op, plan, out, a, b, moments);
    } else if (sizeof(T) == 4 && precision() == Precision::precise) {
        if constexpr (sizeof(T) == 4) launch_planned<SimtTiles>(op, plan, Product<T, A, B, Rows>{out, a, b}, moments);
    } else {
        launch_planned<TensorTiles<T>>(op, plan, Product<T, A, B, Rows>{out, a, b}, moments);
    }
    if (!split) return;
    const int64_t elements = size.m * size.n;
    launch(op, sum_slices<T>, blocks_for(elements, kElementwiseThreads), dim3(kElementwiseThreads), 0,
           static_cast<int>(plan.slices), static_cast<unsigned>(elements), static_cast<unsigned>(size.n),
           partials->data(), result.bias, result.residual, result.act, result.c);
}

}  // namespace ck::cuda
