// Driver of the Winograd convolution. Tiles of x are transformed, multiplied point by point by the transformed filters
// and transformed back, a block of tiles at a time, so that only the filters and the images pass through memory.
#include "cpu/winograd.h"

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/packing.h"
#include "cpu/winograd_tiles.h"

namespace ck::cpu {
namespace {

constexpr int64_t kBlockFloats = 256 * 1024;  // 1 MiB of transformed tiles and products; 64K to 512K floats do as well
constexpr int64_t kLeastTiles = 28;           // of a block: 4 register tiles read a panel of filters that comes from L2
constexpr int64_t kTasks = 32;                // blocks wanted: 2 for each of 16 threads
constexpr int64_t kFewTiles = 160;            // so few that all of them stay in cache while the filters pass by
constexpr int64_t kFewFloats = kFewTiles * 512;  // transformed: 12 MiB
constexpr int64_t kGroupColumns = 64;            // of a task then: each reads all of the tiles
constexpr int64_t kGroupTasks = 4;               // groups that make it worth to share work by them
constexpr int64_t kNearProducts = 96 * 1024;     // 384 KiB, beside which a chain of filters (36x64x64: 576 KiB)
// stays in a 1 MiB L2 from its transform to its use

// How a problem is cut; by its shape alone.
struct Plan {
    const WinogradKernels* kernel;
    TileGrid tiles;
    int64_t points;         // squared
    int64_t filter_points;  // squared
    int64_t width, panels;  // of output channels
    int64_t group;          // panels of a task that has all tiles
    int64_t x_row, y_row;   // floats of a transformed tile's point
    int64_t chain;          // channels of x whose filters a task of all tiles makes at a time
    bool by_group;          // a task is a group of panels for all tiles, else a block of tiles for all panels
    int64_t block, blocks;  // tiles

    int64_t x_point(int64_t count) const { return count * x_row + 16; }  // 16: points do not share their sets
    int64_t y_point(int64_t count) const { return count * y_row + 16; }
    // Of a panel of filters for c channels of x. 3: as above.
    int64_t u_point(int64_t c) const { return (c + 3) * width; }
    int64_t panel_size(int64_t c) const { return filter_points * u_point(c); }
};

Plan make_plan(WinogradTileSize size, bool rotated, const DirectConv& s) {
    const GemmKernels& gemm = kernels().gemm;
    Plan plan{};
    plan.kernel = &winograd_kernels(size, rotated);
    plan.tiles = TileGrid(s.n, s.p, s.q, plan.kernel->outputs);
    plan.points = plan.kernel->points * plan.kernel->points;
    plan.filter_points = plan.kernel->filter_points * plan.kernel->filter_points;
    plan.width = s.o <= gemm.narrow_columns ? gemm.narrow_columns : gemm.tile_columns;
    plan.panels = ceil_div(s.o, plan.width);
    plan.group = ceil_div(kGroupColumns, plan.width);
    plan.by_group = plan.tiles.count <= kFewTiles && plan.tiles.count * s.c <= kFewFloats &&
                    plan.panels >= kGroupTasks * plan.group;
    plan.x_row = winograd_row(s.c);
    plan.y_row = plan.by_group ? plan.group * plan.width : winograd_row(s.o);
    const int64_t fitting = kBlockFloats / (plan.points * (plan.x_row + plan.y_row));
    plan.block =
        plan.by_group ? plan.tiles.count : std::max(kLeastTiles, std::min(fitting, ceil_div(plan.tiles.count, kTasks)));
    plan.blocks = ceil_div(plan.tiles.count, plan.block);
    plan.block = ceil_div(plan.tiles.count, plan.blocks);
    // Products that are near are added to once more for nothing; others pass through memory for every chain.
    const bool near = plan.points * plan.y_point(plan.tiles.count) <= kNearProducts;
    plan.chain = near ? std::min(s.c, kWinogradChain) : s.c;
    return plan;
}

// Where the filters are: w[o,r,s,c], or w[c,r,s,o] of which the data gradient takes the rotated ones.
struct Filters {
    const float* w;
    bool rotated;

    int64_t packed_size(const Plan& plan, const DirectConv& s, int64_t channels) const {
        return rotated ? 0 : s.r * s.s * channels * plan.width;
    }
    // Those of one panel for the channels [c0,c1), u[filter_points][c1-c0][width]. `packed` holds packed_size floats.
    void transform(const Plan& plan, const DirectConv& s, int64_t panel, int64_t c0, int64_t c1, float* packed,
                   float* u) const;
};

void Filters::transform(const Plan& plan, const DirectConv& s, int64_t panel, int64_t c0, int64_t c1, float* packed,
                        float* u) const {
    const int64_t o = panel * plan.width, taps = s.r * s.s, channels = c1 - c0;
    WinogradFilters f{};
    f.k = channels;
    f.columns = std::min(plan.width, s.o - o);
    f.u = u;
    f.u_point = plan.u_point(channels);
    f.u_k = plan.width;
    if (rotated) {  // output channels are contiguous already
        f.w = w + (c0 * taps + taps - 1) * s.o + o;
        f.w_row = -s.s * s.o;
        f.w_column = -s.o;
        f.w_k = taps * s.o;
    } else {
        for (int64_t tap = 0; tap < taps; ++tap)
            kernels().gemm.pack(f.columns, channels, w + o * s.k() + tap * s.c + c0, s.k(), 1,
                                packed + tap * channels * plan.width, plan.width);
        f.w = packed;
        f.w_row = s.s * channels * plan.width;
        f.w_column = channels * plan.width;
        f.w_k = plan.width;
    }
    plan.kernel->filters(f);
}

// Tiles [t0,t1) of x into v[points][t1-t0][x_row].
void transform_input(const Plan& plan, const DirectConv& s, const WinogradImage& x, int64_t t0, int64_t t1,
                     int64_t v_point, float* v) {
    for (int64_t t = t0; t < t1; ++t, v += plan.x_row) {
        const TileGrid::Place at = plan.tiles.place(t);
        WinogradTile tile = image_tile(x, at.image, s.h, s.w, s.pixel, s.c, first_met(*plan.kernel, at.row, s.pad_top),
                                       first_met(*plan.kernel, at.column, s.pad_left), plan.kernel->span);
        tile.v = v;
        tile.v_point = v_point;
        plan.kernel->input(tile);
    }
}

// products[points][count][y_row] (+)= v u for the channels [c0,c1) of x and `columns` output channels; u holds those
// channels alone.
void multiply(const Plan& plan, int64_t c0, int64_t c1, int64_t count, int64_t columns, const float* v, const float* u,
              float* products) {
    const GemmKernels& gemm = kernels().gemm;
    const int64_t most = plan.width <= gemm.narrow_columns ? gemm.narrow_rows : gemm.tile_rows;
    GemmBlock g{};
    g.m = count;
    g.n = columns;
    g.tile_rows = static_cast<int>(ceil_div(count, ceil_div(count, most)));
    g.tile_columns = static_cast<int>(plan.width);
    g.a_row = plan.x_row;
    g.a_tile = g.tile_rows * plan.x_row;
    g.a_k = 1;
    g.b_panel = plan.panel_size(c1 - c0);
    g.b_k = plan.width;
    g.c_row = plan.y_row;
    const auto a = [&](int64_t point, int64_t c) { return v + point * plan.x_point(count) + c; };
    const auto b = [&](int64_t point, int64_t c) {
        return u + filter_point(*plan.kernel, point) * plan.u_point(c1 - c0) + (c - c0) * plan.width;
    };
    for (int64_t point = 0; point < plan.points; ++point) {
        g.c = products + point * plan.y_point(count);
        for (int64_t c = c0; c < c1; c += kWinogradChain) {
            const ProductPlace next = next_product(plan.points, point, c0, c, c1);
            g.k = std::min(kWinogradChain, c1 - c);
            g.a = a(point, c);
            g.b = b(point, c);
            g.next_a = plan.by_group ? a(next.point, next.at) : nullptr;
            g.next_b = b(next.point, next.at);
            g.accumulate = c > 0;
            gemm.block(g);
        }
    }
}

// Tiles [t0,t1) of y, channels [o,o+columns), from products[points][t1-t0][y_row].
void transform_output(const Plan& plan, const DirectConv& s, int64_t t0, int64_t t1, int64_t o, int64_t columns,
                      const float* products, const ConvEpilogue& after, const WinogradResult& y) {
    WinogradOutput out{};
    out.channels = columns;
    out.v_point = plan.y_point(t1 - t0);
    out.bias = after.bias ? after.bias + o : nullptr;
    out.act = after.act;
    const int64_t shrink = y.pooled ? 2 : 1, p = s.p / shrink, q = s.q / shrink;
    out.row = y.pooled ? q * s.o : s.y_row;
    out.pixel = y.pooled ? s.o : s.y_pixel;
    const int64_t image = y.pooled ? p * out.row : s.y_image;
    for (int64_t t = t0; t < t1; ++t) {
        const TileGrid::Place at = plan.tiles.place(t);
        const int64_t row = at.row / shrink, column = at.column / shrink;
        const int64_t first = at.image * image + row * out.row + column * out.pixel + o;
        out.v = products + (t - t0) * plan.y_row;
        out.y = y.data + first;
        out.residual = after.residual ? after.residual + first : nullptr;
        out.argmax = y.argmax ? y.argmax + first : nullptr;
        out.rows = std::min(plan.tiles.size / shrink, p - row);
        out.columns = std::min(plan.tiles.size / shrink, q - column);
        y.pooled ? plan.kernel->output_pooled(out) : plan.kernel->output(out);
    }
}

// Many tiles: the filters once, then blocks of tiles.
void run_blocks(const Plan& plan, const DirectConv& s, const WinogradImage& x, const float* u,
                const ConvEpilogue& after, const WinogradResult& y) {
    const int64_t v_size = plan.points * plan.x_point(plan.block),
                  size = v_size + plan.points * plan.y_point(plan.block);
    const int64_t workers = worker_count(plan.blocks);
    Scratch<float> scratch(workers * size);
    parallel_for(plan.blocks, workers, [&](int64_t task, int64_t worker) {
        const int64_t t0 = task * plan.block, t1 = std::min(plan.tiles.count, t0 + plan.block), count = t1 - t0;
        float* v = scratch.data() + worker * size;
        float* products = v + v_size;
        transform_input(plan, s, x, t0, t1, plan.x_point(count), v);
        multiply(plan, 0, s.c, count, s.o, v, u, products);
        transform_output(plan, s, t0, t1, 0, s.o, products, after, y);
    });
}

// Few tiles: transformed once, then every task takes the filters of some panels. u: of all panels, or null: each task
// makes its own, a chain of channels at a time, and uses them up while they are near.
void run_groups(const Plan& plan, const DirectConv& s, const WinogradImage& x, const Filters& filters, const float* u,
                const ConvEpilogue& after, const WinogradResult& y) {
    const int64_t count = plan.tiles.count;
    Scratch<float> v(plan.points * plan.x_point(count));
    parallel_for(count, [&](int64_t t) {
        transform_input(plan, s, x, t, t + 1, plan.x_point(count), v.data() + t * plan.x_row);
    });
    const int64_t packed_size = u ? 0 : filters.packed_size(plan, s, plan.chain);
    const int64_t u_size = u ? 0 : plan.group * plan.panel_size(plan.chain);
    const int64_t size = packed_size + u_size + plan.points * plan.y_point(count);
    const int64_t groups = ceil_div(plan.panels, plan.group), workers = worker_count(groups);
    Scratch<float> scratch(workers * size);
    parallel_for(groups, workers, [&](int64_t task, int64_t worker) {
        float* packed = scratch.data() + worker * size;
        float* own = packed + packed_size;
        float* products = own + u_size;
        const int64_t first = task * plan.group, last = std::min(plan.panels, first + plan.group);
        const int64_t o = first * plan.width, columns = std::min(last * plan.width, s.o) - o;
        if (u) multiply(plan, 0, s.c, count, columns, v.data(), u + first * plan.panel_size(s.c), products);
        for (int64_t c = 0; !u && c < s.c; c += plan.chain) {
            const int64_t end = std::min(s.c, c + plan.chain);
            for (int64_t panel = first; panel < last; ++panel)
                filters.transform(plan, s, panel, c, end, packed, own + (panel - first) * plan.panel_size(end - c));
            multiply(plan, c, end, count, columns, v.data(), own, products);
        }
        transform_output(plan, s, 0, count, o, columns, products, after, y);
    });
}

}  // namespace

bool winograd_applies(const Conv2dShape& s, WinogradTileSize size, bool rotated) {
    const int64_t taps = size == WinogradTileSize::f2x5 ? 5 : 3,
                  stride = size == WinogradTileSize::f4x3_strided ? 2 : 1;
    return s.groups == 1 && s.r == taps && s.s == taps && s.stride_h == stride && s.stride_w == stride &&
           s.dilation_h == 1 && s.dilation_w == 1 && (stride == 1 || !rotated || (s.pad_top == 1 && s.pad_left == 1));
}

void winograd_conv(WinogradTileSize size, const DirectConv& s, const WinogradImage& x, const float* w, bool rotated,
                   DerivedCache* packed, const ConvEpilogue& after, const WinogradResult& y) {
    if (s.n == 0) return;
    const Plan plan = make_plan(size, rotated, s);
    const Filters filters{w, rotated};
    const uint64_t key = packing_key(Packing::winograd, {static_cast<int64_t>(size), rotated, s.c, s.o});
    const DerivedCache::Lookup found = packed ? packed->find(key) : DerivedCache::Lookup{};
    if (plan.by_group && !found.buffer && !found.wanted) return run_groups(plan, s, x, filters, nullptr, after, y);
    const PackedWeights u(packed, key, found, plan.panels * plan.panel_size(s.c), [&](float* to) {
        const int64_t packed_size = filters.packed_size(plan, s, s.c), workers = worker_count(plan.panels);
        Scratch<float> scratch(workers * packed_size);
        parallel_for(plan.panels, workers, [&](int64_t panel, int64_t worker) {
            filters.transform(plan, s, panel, 0, s.c, scratch.data() + worker * packed_size,
                              to + panel * plan.panel_size(s.c));
        });
    });
    if (plan.by_group) return run_groups(plan, s, x, filters, u.data(), after, y);
    run_blocks(plan, s, x, u.data(), after, y);
}

}  // namespace ck::cpu
