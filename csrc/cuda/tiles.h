// Numbers that come from the hardware; the only place that has them.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/shapes.h"

namespace ck::cuda {

// Elementwise kernels: 256 threads hide the latency of memory with 8 blocks on a multiprocessor (2,048 threads).
constexpr int kElementwiseThreads = 256;
// Blocks of these that a multiprocessor shall hold: 64 registers a thread. Told nothing, ptxas aims at more and spills.
constexpr int kElementwiseBlocks = 4;
// 8 blocks on each of 132 multiprocessors (H200), twice for the tail; a constant, so that no result depends on the GPU.
constexpr int64_t kMaxElementwiseBlocks = 2 * 8 * 132;
// The largest second dimension of a grid.
constexpr int64_t kMostGridRows = 65535;
// What a launch may have without asking for more.
constexpr size_t kDefaultSharedBytes = 48 * 1024;
// What it may have when it asks, on every kind of GPU that kernels are compiled for: sm_86, 89 and 120 have least.
constexpr int64_t kMostSharedBytes = 99 * 1024;
constexpr int64_t kMultiprocessors = 132;  // of the H200 that the kernels are cut for
// The largest first dimension of a grid.
constexpr int64_t kMaxBlocks = (int64_t{1} << 31) - 1;

// Matrix products (cuda/product.h). A tile takes 64 bytes of k's: 16 floats or 32 bfloat16, two mma deep. With 4 tiles
// of 128x128 in flight that is 64 KiB of shared memory, as much as the result takes on its way out: 3 blocks on a
// multiprocessor of an H200, 2 of an A100, and registers allow 2.
constexpr int kTileBytes = 64;
constexpr int kTileStages = 4;
// wgmma's kernel: a tile takes the 128 bytes of k's of a box of TMA's with the 128-byte swizzle; 4 of them in flight.
constexpr int kBoxBytes = 128;
constexpr int kWarpgroupStages = 4;
// Blocks that run at once take 8 rows of tiles: of 264 blocks each then reads 1/33 of b's and 1/8 of a's tiles.
constexpr int kBandTiles = 8;

struct ProductSize {
    int64_t m, n, k;
};
struct ProductPlan {
    int rows, columns;  // of a tile
    bool warpgroups;    // wgmma's kernel; its k's are those that it walks through
    int64_t slices;     // products of a stack, or parts of k
    int64_t k_slice;    // k's of a slice
};
struct ProductMeans {
    int64_t depth;       // k's of a tile
    int64_t products;    // of a stack
    bool splittable;     // k may be cut
    bool vectors;        // the operands can be read by 16 bytes, as the larger tiles demand
    int64_t walked_k;    // k's that wgmma's kernel would multiply, those of filled-up tiles too; 0: it cannot be used
    bool by_warpgroups;  // where it can, it must
};

// Which kernel, which tile and how many slices, by the shape and, for wgmma, the kind of GPU: results are the same on
// all of a kind.
inline ProductPlan plan_product(const ProductSize& size, const ProductMeans& means) {
    // A slice has 8 tiles of k's or more: 3 fill the pipeline, and its partial result costs as much as some.
    constexpr int64_t kMinTilesOfSlice = 8;
    // By the bytes that a tile reads for each multiplication, 1/rows + 1/columns: what a wasted row or column of a
    // large tile costs against a small tile's reads. wgmma: mma.sync reaches 494 of the 729 TFLOP/s that it does
    // (arXiv 2501.12084).
    struct Candidate {
        int rows, columns;
        double cost;  // of an element, relative
        bool warpgroups;
    };
    constexpr Candidate candidates[] = {{128, 128, 1.0, false},
                                        {128, 64, 1.15, false},
                                        {64, 64, 1.4, false},
                                        {128, 256, 0.65, true},
                                        {128, 128, 0.7, true}};
    ProductPlan best{64, 64, false, means.products, size.k};
    double best_cost = 0;
    for (const Candidate& tile : candidates) {
        if (tile.warpgroups ? means.walked_k == 0 : means.walked_k > 0 && means.by_warpgroups) continue;
        if (!means.vectors && tile.rows > 64) continue;
        const int64_t k = tile.warpgroups ? means.walked_k : size.k;
        const int64_t depth = tile.warpgroups ? means.depth * kBoxBytes / kTileBytes : means.depth;
        const int64_t blocks_at_once = kMultiprocessors * (tile.warpgroups ? 1 : 2), depth_tiles = ceil_div(k, depth);
        const int64_t most_slices =
            means.splittable && depth_tiles >= 2 * kMinTilesOfSlice ? depth_tiles / kMinTilesOfSlice : 1;
        const int64_t tiles = ceil_div(size.m, tile.rows) * ceil_div(size.n, tile.columns) * means.products;
        const int64_t slices = std::clamp<int64_t>(blocks_at_once / tiles, 1, most_slices);
        // Fewer blocks than multiprocessors leave some idle.
        const double idle = std::max(1.0, static_cast<double>(kMultiprocessors) / static_cast<double>(tiles * slices));
        const double elements = static_cast<double>(tiles) * tile.rows * tile.columns * static_cast<double>(k);
        const double cost = elements * tile.cost * idle;
        if (best_cost != 0 && cost >= best_cost) continue;
        best_cost = cost;
        best = {tile.rows, tile.columns, tile.warpgroups, means.products * slices,
                slices == 1 ? k : ceil_div(depth_tiles, slices) * depth};
        if (best.k_slice < k) best.slices = ceil_div(k, best.k_slice);  // none is empty
    }
    return best;
}

}  // namespace ck::cuda
