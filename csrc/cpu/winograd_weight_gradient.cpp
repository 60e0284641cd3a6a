// Driver of Winograd's weight gradient, F(taps x taps, outputs x outputs): tiles of x and of dy are transformed, their
// products summed over the tiles for each point, and the sums transformed to filters.
#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/winograd_tiles.h"

namespace ck::cpu {
namespace {

constexpr int64_t kNearFloats = 1024 * 1024;  // 4 MiB of transformed tiles stay in the last cache of a core or two ...
constexpr int64_t kMostFloats = 4096 * 1024;  // ... but each block adds to all of the sums, which must not cost more
constexpr int64_t kLeastTiles = 64;           // of a block
constexpr int64_t kTileFloats = 16 * 1024;    // of x and dy a task transforms: about 10 us
constexpr int64_t kRowFloats = 16 * 1024;     // of dw a task makes
constexpr int64_t kSumFloats = 3072 * 1024;   // 12 MiB: sums that stay in cache while all tiles pass by
constexpr int64_t kFilterTiles = 8;           // register tiles of filters in a task: 516 KiB of sums, in the L2

// How a problem is cut; by its shape alone.
struct Plan {
    const WinogradKernels* kernel;
    TileGrid tiles;
    int64_t points;             // squared
    int64_t filter_points;      // squared
    int64_t tile_rows;          // of the register tile: filters
    int64_t width, panels;      // of input channels
    int64_t x_row, dy_row;      // floats of a transformed tile's point
    int64_t block, blocks;      // tiles
    bool by_point;              // a task sums all filters at one point, else some filters at all points
    int64_t filters, sums_row;  // of a task, and the floats from one to the next

    int64_t x_point(int64_t count) const { return count * x_row + 16; }  // 16: points do not share their sets
    int64_t dy_point(int64_t count) const { return count * dy_row + 16; }
    int64_t sums_point() const { return filters * sums_row + 48; }
};

Plan make_plan(WinogradTileSize size, const Conv2dShape& s) {
    const GemmKernels& gemm = kernels().gemm;
    Plan plan{};
    plan.kernel = &winograd_kernels(size);
    plan.tiles = TileGrid(s.n, s.p, s.q, plan.kernel->outputs);
    plan.points = plan.kernel->points * plan.kernel->points;
    plan.filter_points = plan.kernel->filter_points * plan.kernel->filter_points;
    const bool narrow = s.c <= gemm.narrow_columns;
    plan.width = narrow ? gemm.narrow_columns : gemm.tile_columns;
    plan.tile_rows = ceil_div(s.o, ceil_div(s.o, narrow ? gemm.narrow_rows : gemm.tile_rows));
    plan.panels = ceil_div(s.c, plan.width);
    plan.x_row = winograd_row(s.c);
    plan.dy_row = winograd_row(s.o);
    const int64_t sums = plan.filter_points * s.o * plan.x_row;
    const int64_t floats = std::clamp(2 * sums, kNearFloats, kMostFloats);
    plan.block = std::max(kLeastTiles, floats / (plan.points * (plan.x_row + plan.dy_row)));
    plan.blocks = ceil_div(plan.tiles.count, plan.block);
    plan.block = ceil_div(plan.tiles.count, plan.blocks);
    plan.by_point = sums <= kSumFloats;
    plan.filters = plan.by_point ? s.o : std::min(s.o, kFilterTiles * plan.tile_rows);
    plan.sums_row = plan.by_point ? plan.x_row : plan.width;
    return plan;
}

void transform_tile(const Plan& plan, const Conv2dShape& s, const float* x, const WinogradImage& dy, int64_t t,
                    int64_t x_point, float* v, int64_t dy_point, float* z) {
    const TileGrid::Place at = plan.tiles.place(t);
    WinogradTile tile =
        image_tile({x, nullptr}, at.image, s.h, s.w, s.c, s.c, first_met(*plan.kernel, at.row, s.pad_top),
                   first_met(*plan.kernel, at.column, s.pad_left), plan.kernel->span);
    tile.v = v;
    tile.v_point = x_point;
    plan.kernel->input(tile);
    tile = image_tile(dy, at.image, s.p, s.q, s.o, s.o, at.row, at.column, plan.kernel->outputs);
    tile.v = z;
    tile.v_point = dy_point;
    plan.kernel->output_gradient(tile);
}

// A block of transformed tiles.
struct Tiles {
    int64_t count;
    const float* v;  // [points][count][x_row]
    const float* z;  // [points][count][dy_row]
};

// sums[o1-o0][columns of the panel] (+)= z^T v for the filters [o0,o1), at one point of the tiles.
void add_point(const Plan& plan, const Conv2dShape& s, const Tiles& tiles, int64_t point, int64_t o0, int64_t o1,
               int64_t panel, bool accumulate, float* sums) {
    GemmBlock g{};
    g.m = o1 - o0;
    g.n = std::min(plan.width, s.c - panel * plan.width);
    g.tile_rows = static_cast<int>(plan.tile_rows);
    g.tile_columns = static_cast<int>(plan.width);
    g.a_row = 1;
    g.a_tile = plan.tile_rows;
    g.a_k = plan.dy_row;
    g.b_k = plan.x_row;
    g.c = sums;
    g.c_row = plan.sums_row;
    const auto z = [&](int64_t at, int64_t t) {
        return tiles.z + at * plan.dy_point(tiles.count) + t * plan.dy_row + o0;
    };
    const auto v = [&](int64_t at, int64_t t) {
        return tiles.v + at * plan.x_point(tiles.count) + t * plan.x_row + panel * plan.width;
    };
    for (int64_t t = 0; t < tiles.count; t += kWinogradChain) {
        const ProductPlace next = next_product(plan.points, point, 0, t, tiles.count);
        g.k = std::min(kWinogradChain, tiles.count - t);
        g.a = z(point, t);
        g.b = v(point, t);
        g.next_a = z(next.point, next.at);
        g.next_b = v(next.point, next.at);
        g.accumulate = accumulate || t > 0;
        kernels().gemm.block(g);
    }
}

// The same at all points that one of the filters' is multiplied at.
void add_products(const Plan& plan, const Conv2dShape& s, const Tiles& tiles, int64_t filters_point, int64_t o0,
                  int64_t o1, int64_t panel, bool accumulate, float* sums) {
    for (int64_t point = 0; point < plan.points; ++point) {
        if (filter_point(*plan.kernel, point) != filters_point) continue;
        add_point(plan, s, tiles, point, o0, o1, panel, accumulate, sums);
        accumulate = true;
    }
}

// dw (+)= the filters [o0,o1) of `columns` input channels from c, of their sums at all points.
void finish_filters(const Plan& plan, const Conv2dShape& s, int64_t o0, int64_t o1, int64_t c, int64_t columns,
                    const float* sums, bool accumulate, float* dw) {
    WinogradFilterGradient f{};
    f.rows = o1 - o0;
    f.columns = columns;
    f.u = sums;
    f.u_point = plan.sums_point();
    f.u_row = plan.sums_row;
    f.dw = dw + o0 * s.r * s.s * s.c + c;
    f.dw_row = s.r * s.s * s.c;
    f.dw_tap = s.c;
    f.accumulate = accumulate;
    plan.kernel->filter_gradient(f);
}

// Many filters: each task sums some of them at all points and transforms the sums while they are near.
void add_by_filters(const Plan& plan, const Conv2dShape& s, const Tiles& tiles, bool accumulate, float* dw) {
    const int64_t tasks = ceil_div(s.o, plan.filters) * plan.panels, size = plan.filter_points * plan.sums_point();
    const int64_t workers = worker_count(tasks);
    Scratch<float> sums(workers * size);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        const int64_t panel = task % plan.panels, o0 = task / plan.panels * plan.filters;
        const int64_t o1 = std::min(s.o, o0 + plan.filters);
        float* own = sums.data() + worker * size;
        for (int64_t point = 0; point < plan.filter_points; ++point)
            add_products(plan, s, tiles, point, o0, o1, panel, false, own + point * plan.sums_point());
        finish_filters(plan, s, o0, o1, panel * plan.width, std::min(plan.width, s.c - panel * plan.width), own,
                       accumulate, dw);
    });
}

}  // namespace

void winograd_weight_gradient(WinogradTileSize size, const Conv2dShape& s, const float* x, const WinogradImage& dy,
                              float* dw) {
    const Plan plan = make_plan(size, s);
    Scratch<float> v(plan.points * plan.x_point(plan.block)), z(plan.points * plan.dy_point(plan.block));
    Scratch<float> sums(plan.by_point ? plan.filter_points * plan.sums_point() : 0);
    const int64_t group = ceil_div(kTileFloats, plan.points * (s.c + s.o));
    for (int64_t t0 = 0; t0 < plan.tiles.count; t0 += plan.block) {
        const Tiles tiles{std::min(plan.block, plan.tiles.count - t0), v.data(), z.data()};
        parallel_ranges(tiles.count, group, [&](int64_t begin, int64_t end) {
            for (int64_t t = begin; t < end; ++t)
                transform_tile(plan, s, x, dy, t0 + t, plan.x_point(tiles.count), v.data() + t * plan.x_row,
                               plan.dy_point(tiles.count), z.data() + t * plan.dy_row);
        });
        if (!plan.by_point) {
            add_by_filters(plan, s, tiles, t0 > 0, dw);
            continue;
        }
        parallel_for(plan.filter_points * plan.panels, [&](int64_t task) {
            // The last ones first: they sum the products of several points of the tiles.
            const int64_t point = plan.filter_points - 1 - task / plan.panels, panel = task % plan.panels;
            add_products(plan, s, tiles, point, 0, s.o, panel, t0 > 0,
                         sums.data() + point * plan.sums_point() + panel * plan.width);
        });
    }
    if (!plan.by_point) return;
    parallel_ranges(s.o, ceil_div(kRowFloats, s.r * s.s * s.c), [&](int64_t begin, int64_t end) {
        finish_filters(plan, s, begin, end, 0, s.c, sums.data() + begin * plan.sums_row, false, dw);
    });
}

}  // namespace ck::cpu
