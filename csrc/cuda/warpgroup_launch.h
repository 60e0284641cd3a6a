// Which products the kernel of warpgroup_product.h can make, and its launch.
#pragma once
#include "core/precision.h"
#include "cuda/device.h"
#include "cuda/tile_loader.h"
#include "cuda/warpgroup_product.h"

namespace ck::cuda {

template <class Source>
constexpr bool kIsMatrix = false;
template <class T>
constexpr bool kIsMatrix<Matrix<T>> = true;
template <class Source>
constexpr bool kIsWindows = false;
template <class T>
constexpr bool kIsWindows<WindowMatrix<T>> = true;

// Rows of c one after the other; matrices, of which only bfloat16 may have lines along m or n; windows as a.
template <class T, class A, class B, class Rows>
constexpr bool kForWarpgroups = std::is_base_of_v<DenseRows, Rows>&& kIsMatrix<decltype(B::source)> &&
                                (kIsMatrix<decltype(A::source)> ||
                                 (kIsWindows<decltype(A::source)> && A::kAlong == Along::k && B::kAlong == Along::k)) &&
                                (sizeof(T) == 2 || (A::kAlong == Along::k && B::kAlong == Along::k));

template <class Source>
int64_t taps_of(const Source& source) {
    if constexpr (kIsWindows<Source>) {
        return source.columns / source.c;
    } else {
        return 1;
    }
}

// Whether TMA's 8 bits for an offset and the corners of the windows suffice.
template <class T, class Source>
bool loadable(const Source& source) {
    if constexpr (kIsWindows<Source>) {
        constexpr int kMostOffset = 255;
        const int64_t taps_w = source.taps_w.divisor, taps_h = taps_of(source) / taps_w;
        return (taps_w - 1) * source.dilation_w <= kMostOffset && (taps_h - 1) * source.dilation_h <= kMostOffset &&
               in_window_map(WindowTiles<T>::facts(source, 128));
    } else {
        return true;
    }
}

// The k's through which the kernel walks; 0: it is not for this product.
template <class T, class A, class B, class Rows>
int64_t warpgroup_k(const ProductSize& size, const A& a, const B& b, const Rows& rows) {
    if constexpr (kForWarpgroups<T, A, B, Rows>) {
        if (warpgroups() == Warpgroups::never || (sizeof(T) == 4 && precision() == Precision::precise)) return 0;
        if (size.k == 0 || !rows.splittable() || !a.source.vectors || !b.source.vectors) return 0;
        if (!loadable<T>(a.source)) return 0;
        const KWalk walk(taps_of(a.source), size.k / taps_of(a.source), kBoxElements<T>);
        return int64_t{walk.taps} * walk.chunks * kBoxElements<T>;
    } else {
        return 0;
    }
}

template <class T, int columns, bool a_k, bool b_k, class P>
void launch_warpgroup_tile(const Op& op, const ProductPlan& plan, const P& p, void (*kernel)(const P)) {
    using Tile = WarpgroupTile<T, a_k, b_k, columns>;
    const int64_t blocks = ceil_div(p.out.m, Tile::kRows) * ceil_div(p.out.n, Tile::kColumns) * plan.slices;
    CK_CHECK(blocks <= kMaxBlocks, op.name, "the result is too large for one launch. Received: ", blocks, " tiles.");
    launch(op, kernel, dim3(static_cast<unsigned>(blocks)), dim3(Tile::kThreads), Tile::kShared, p);
}

template <class T, class Rows, class A, class B>
void launch_warpgroups(const Op& op, const ProductPlan& plan, const ProductOutput<T, Rows>& out, const A& a, const B& b,
                       ColumnMoments* moments) {
    if constexpr (kForWarpgroups<T, A, B, Rows>) {
        constexpr bool a_k = A::kAlong == Along::k, b_k = B::kAlong == Along::k;
        using TilesA = std::conditional_t<kIsWindows<decltype(A::source)>, WindowTiles<T>, MatrixTiles<T>>;
        const int64_t taps = taps_of(a.source);
        const auto tiles_a = [&] {
            if constexpr (kIsWindows<decltype(A::source)>) {
                return TilesA(op, a.source, 128);
            } else {
                return TilesA(op, a.source, 1, a_k, 128);
            }
        };
        const KWalk walk(taps, out.k / taps, kBoxElements<T>);
        const int tiles = walk.taps * walk.chunks;
        ProductOutput<T, DenseRows> counted{out.m,
                                            out.n,
                                            tiles,
                                            out.rows,
                                            out.k_step / kBoxElements<T>,
                                            out.k_slice / kBoxElements<T>,
                                            out.c,
                                            out.partials,
                                            out.bias,
                                            out.residual,
                                            out.act,
                                            out.vectors};
        if (moments) take_moments<typename WarpgroupTile<T, a_k, b_k, 128>::Piece>(op, *moments, counted);
        const WarpgroupProduct<T, TilesA, MatrixTiles<T>, DenseRows> p{
            counted, tiles_a(), MatrixTiles<T>(op, b.source, taps, b_k, plan.columns), walk};
        if (plan.columns == 256) {
            launch_warpgroup_tile<T, 256, a_k, b_k>(
                op, plan, p, warpgroup_kernel<T, TilesA, MatrixTiles<T>, DenseRows, a_k, b_k, 256>);
        } else {
            launch_warpgroup_tile<T, 128, a_k, b_k>(
                op, plan, p, warpgroup_kernel<T, TilesA, MatrixTiles<T>, DenseRows, a_k, b_k, 128>);
        }
    }
}

}  // namespace ck::cuda
