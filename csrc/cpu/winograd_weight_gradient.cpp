// Driver of Winograd's weight gradient, F(taps x taps, outputs x outputs): tiles of x and of dy are transformed, their
// products summed over the tiles for each point, and the sums transformed to filters. A task has a share of dw, some
// filters for some input channels, whose sums stay in the second-level cache. Of few shares each task transforms its
// own channels of its own tiles, which never leave that cache; of many shares that would be most of the work, and all
// tasks read the same transformed tiles.
#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/winograd_tiles.h"

namespace ck::cpu {
namespace {

constexpr int64_t kShareChannels = 64;      // of a task at most,
constexpr int64_t kShareSums = 160 * 1024;  // and of its sums: 640 KiB, 71 filters at 36 points, 160 at 16
constexpr int64_t kRepetition = 60;     // own tiles: products per point that pay for transforming a channel once more
constexpr int64_t kMostRepetition = 8;  // of one channel's tiles; 16 times took 5 to 12 % longer than shared tiles
constexpr int64_t kOwnFloats = 192 * 1024;       // 768 KiB of own tiles beside the sums
constexpr int64_t kTasks = 16;                   // own tiles: so many, from as many parts of the tiles ...
constexpr int64_t kPartTiles = 32;               // ... of no fewer than this: each part's sums are transformed
constexpr int64_t kLongPart = 512;               // a part of more tiles is cut in any case ...
constexpr int64_t kMostTasks = 64;               // ... into so many tasks at most: each part has a dw of its own
constexpr int64_t kGrain = 16 * 1024;            // floats of dw a task adds up
constexpr int64_t kNearFloats = 1024 * 1024;     // 4 MiB of shared tiles stay in the last cache of a core or two ...
constexpr int64_t kMostFloats = 4096 * 1024;     // ... but each block adds to all of dw, which must not cost more
constexpr int64_t kLeastTiles = 64;              // of a block, unless they are wider than
constexpr int64_t kScratchFloats = 8192 * 1024;  // 32 MiB
constexpr int64_t kTileFloats = 16 * 1024;       // of x and dy a task transforms: about 10 us

// How a problem is cut; by its shape alone.
struct Plan {
    const WinogradKernels* kernel;
    TileGrid tiles;
    int64_t points;             // squared
    int64_t filter_points;      // squared
    int64_t channels, filters;  // of a share of dw
    int64_t across, shares;     // shares of the channels, of dw
    int64_t tile_rows, width;   // of the register tile: filters, channels
    bool own;                   // each task transforms its own tiles
    int64_t parts, part;        // own: of the tiles, and tiles of one
    int64_t block;              // tiles that are transformed before they are multiplied
    int64_t x_row, dy_row;      // floats of a transformed tile's point
    int64_t sums_row;           // floats of a filter's sums

    int64_t x_point(int64_t count) const { return count * x_row + 16; }  // 16: points do not share their sets
    int64_t dy_point(int64_t count) const { return count * dy_row + 16; }
    int64_t x_size() const { return points * x_point(block); }
    int64_t dy_size() const { return points * dy_point(block); }
    int64_t sums_point() const { return filters * sums_row + 48; }
    int64_t sums_size() const { return filter_points * sums_point(); }
};

// Does a task transform its own tiles? As often as there are shares of filters those of x, of channels those of dy.
bool own_tiles(const Conv2dShape& s, int64_t across, int64_t down) {
    return std::max(across, down) <= kMostRepetition &&
           ((down - 1) * s.c + (across - 1) * s.o) * kRepetition <= s.c * s.o;
}

Plan make_plan(WinogradTileSize size, const Conv2dShape& s) {
    const GemmKernels& gemm = kernels().gemm;
    Plan plan{};
    plan.kernel = &winograd_kernels(size);
    plan.tiles = TileGrid(s.n, s.p, s.q, plan.kernel->outputs);
    plan.points = plan.kernel->points * plan.kernel->points;
    plan.filter_points = plan.kernel->filter_points * plan.kernel->filter_points;
    const int64_t down = ceil_div(s.o, kShareSums / (plan.filter_points * kShareChannels));
    const int64_t lanes = kernels().vector_width, vectors = ceil_div(s.c, lanes);
    plan.across = ceil_div(s.c, kShareChannels);
    plan.shares = plan.across * down;
    plan.filters = ceil_div(s.o, down);
    plan.channels = ceil_div(vectors, plan.across) * lanes;
    const bool narrow = plan.channels <= gemm.narrow_columns;
    plan.width = narrow ? gemm.narrow_columns : gemm.tile_columns;
    plan.tile_rows = ceil_div(plan.filters, ceil_div(plan.filters, narrow ? gemm.narrow_rows : gemm.tile_rows));
    plan.sums_row = winograd_row(plan.channels);
    plan.own = own_tiles(s, plan.across, down);
    if (plan.own) {
        plan.x_row = winograd_row(plan.channels);
        plan.dy_row = winograd_row(plan.filters);
        plan.parts = std::min(ceil_div(kTasks, plan.shares), plan.tiles.count / kPartTiles);
        const int64_t most = std::max<int64_t>(1, kMostTasks / plan.shares);
        plan.parts = std::clamp(plan.tiles.count / kLongPart, std::max<int64_t>(1, plan.parts), most);
        plan.part = ceil_div(plan.tiles.count, plan.parts);
        plan.parts = ceil_div(plan.tiles.count, plan.part);
        const int64_t fitting = kOwnFloats / (plan.points * (plan.x_row + plan.dy_row));
        plan.block = std::clamp<int64_t>(fitting, 1, kWinogradChain);
        plan.block = ceil_div(plan.part, ceil_div(plan.part, plan.block));
    } else {
        plan.x_row = winograd_row(s.c);
        plan.dy_row = winograd_row(s.o);
        const int64_t floats = std::clamp(2 * plan.filter_points * s.o * plan.x_row, kNearFloats, kMostFloats);
        const int64_t tile = plan.points * (plan.x_row + plan.dy_row);
        const int64_t least = std::clamp<int64_t>(kScratchFloats / tile, 1, kLeastTiles);
        plan.block = std::max(least, floats / tile);
        plan.block = ceil_div(plan.tiles.count, ceil_div(plan.tiles.count, plan.block));
    }
    return plan;
}

// Some filters and input channels: a share of dw, or all of it.
struct Share {
    int64_t o0, filters, c0, channels;
};
Share share_of(const Plan& plan, const Conv2dShape& s, int64_t index) {
    const int64_t o0 = index / plan.across * plan.filters, c0 = index % plan.across * plan.channels;
    return {o0, std::min(plan.filters, s.o - o0), c0, std::min(plan.channels, s.c - c0)};
}

// A block of transformed tiles.
struct Tiles {
    int64_t count;
    float* v;  // [points][count][x_row]
    float* z;  // [points][count][dy_row]
};

// Tile t of the share's channels of x and filters of dy becomes tile i of the block.
void transform_tile(const Plan& plan, const Conv2dShape& s, const Share& share, const float* x, const WinogradImage& dy,
                    int64_t t, const Tiles& tiles, int64_t i) {
    const TileGrid::Place at = plan.tiles.place(t);
    WinogradTile tile = image_tile({x + share.c0, nullptr}, at.image, s.h, s.w, s.c, share.channels,
                                   first_met(*plan.kernel, at.row, s.pad_top),
                                   first_met(*plan.kernel, at.column, s.pad_left), plan.kernel->span);
    tile.v = tiles.v + i * plan.x_row;
    tile.v_point = plan.x_point(tiles.count);
    plan.kernel->input(tile);
    const WinogradImage own{dy.data + share.o0, dy.argmax ? dy.argmax + share.o0 : nullptr};
    tile = image_tile(own, at.image, s.p, s.q, s.o, share.filters, at.row, at.column, plan.kernel->outputs);
    tile.v = tiles.z + i * plan.dy_row;
    tile.v_point = plan.dy_point(tiles.count);
    plan.kernel->output_gradient(tile);
}

// sums[filter_points][filters][channels] (+)= z^T v for the filters from o0 and the channels from c0 of the tiles.
void add_products(const Plan& plan, const Share& share, const Tiles& tiles, bool accumulate, float* sums) {
    GemmBlock g{};
    g.m = share.filters;
    g.n = share.channels;
    g.tile_rows = static_cast<int>(plan.tile_rows);
    g.tile_columns = static_cast<int>(plan.width);
    g.a_row = 1;
    g.a_tile = plan.tile_rows;
    g.a_k = plan.dy_row;
    g.b_panel = plan.width;
    g.b_k = plan.x_row;
    g.c_row = plan.sums_row;
    const auto z = [&](int64_t point, int64_t t) {
        return tiles.z + point * plan.dy_point(tiles.count) + t * plan.dy_row + share.o0;
    };
    const auto v = [&](int64_t point, int64_t t) {
        return tiles.v + point * plan.x_point(tiles.count) + t * plan.x_row + share.c0;
    };
    int64_t met = -1;  // the filters' points come in order, those that several points share once more
    for (int64_t point = 0; point < plan.points; ++point) {
        const int64_t filters_point = filter_point(*plan.kernel, point);
        g.accumulate = accumulate || filters_point <= met;
        met = std::max(met, filters_point);
        g.c = sums + filters_point * plan.sums_point();
        for (int64_t t = 0; t < tiles.count; t += kWinogradChain) {
            const ProductPlace next = next_product(plan.points, point, 0, t, tiles.count);
            g.k = std::min(kWinogradChain, tiles.count - t);
            g.a = z(point, t);
            g.b = v(point, t);
            g.next_a = z(next.point, next.at);
            g.next_b = v(next.point, next.at);
            kernels().gemm.block(g);
            g.accumulate = true;
        }
    }
}

// dw (+)= the share's filters, of their sums.
void finish_filters(const Plan& plan, const Conv2dShape& s, const Share& share, const float* sums, bool accumulate,
                    float* dw) {
    WinogradFilterGradient f{};
    f.rows = share.filters;
    f.columns = share.channels;
    f.u = sums;
    f.u_point = plan.sums_point();
    f.u_row = plan.sums_row;
    f.dw_row = s.r * s.s * s.c;
    f.dw_tap = s.c;
    f.dw = dw + share.o0 * f.dw_row + share.c0;
    f.accumulate = accumulate;
    plan.kernel->filter_gradient(f);
}

// Each task: a share of dw for a part of the tiles.
void run_own(const Plan& plan, const Conv2dShape& s, const float* x, const WinogradImage& dy, float* dw) {
    const int64_t tasks = plan.shares * plan.parts, workers = worker_count(tasks), dw_size = s.o * s.r * s.s * s.c;
    const int64_t size = plan.x_size() + plan.dy_size() + plan.sums_size();
    Scratch<float> scratch(workers * size), sums_of_parts(plan.parts > 1 ? plan.parts * dw_size : 0);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        const int64_t part = task / plan.shares;
        const Share share = share_of(plan, s, task % plan.shares);
        const Share all{0, share.filters, 0, share.channels};  // of what the task transforms
        float* v = scratch.data() + worker * size;
        float *z = v + plan.x_size(), *sums = z + plan.dy_size();
        const int64_t first = part * plan.part, end = std::min(plan.tiles.count, first + plan.part);
        for (int64_t t = first; t < end; t += plan.block) {
            const Tiles tiles{std::min(plan.block, end - t), v, z};
            for (int64_t i = 0; i < tiles.count; ++i) transform_tile(plan, s, share, x, dy, t + i, tiles, i);
            add_products(plan, all, tiles, t > first, sums);
        }
        finish_filters(plan, s, share, sums, false, plan.parts > 1 ? sums_of_parts.data() + part * dw_size : dw);
    });
    if (plan.parts == 1) return;
    parallel_ranges(dw_size, kGrain, [&](int64_t begin, int64_t end) {
        kernels().gemm.sum_parts(plan.parts, end - begin, sums_of_parts.data() + begin, dw_size, dw + begin);
    });
}

// Blocks of tiles, transformed by all tasks, then each task: a share of dw.
void run_shared(const Plan& plan, const Conv2dShape& s, const float* x, const WinogradImage& dy, float* dw) {
    const int64_t workers = worker_count(plan.shares), group = ceil_div(kTileFloats, plan.points * (s.c + s.o));
    const Share all{0, s.o, 0, s.c};
    Scratch<float> v(plan.x_size()), z(plan.dy_size()), sums(workers * plan.sums_size());
    for (int64_t t0 = 0; t0 < plan.tiles.count; t0 += plan.block) {
        const Tiles tiles{std::min(plan.block, plan.tiles.count - t0), v.data(), z.data()};
        parallel_ranges(tiles.count, group, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) transform_tile(plan, s, all, x, dy, t0 + i, tiles, i);
        });
        parallel_for(plan.shares, workers, [&](int64_t task, int64_t worker) {
            const Share share = share_of(plan, s, task);
            float* own = sums.data() + worker * plan.sums_size();
            add_products(plan, share, tiles, false, own);
            finish_filters(plan, s, share, own, t0 > 0, dw);
        });
    }
}

}  // namespace

void winograd_weight_gradient(WinogradTileSize size, const Conv2dShape& s, const float* x, const WinogradImage& dy,
                              float* dw) {
    const Plan plan = make_plan(size, s);
    plan.own ? run_own(plan, s, x, dy, dw) : run_shared(plan, s, x, dy, dw);
}

}  // namespace ck::cpu
