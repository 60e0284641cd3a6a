// Driver of conv2d's weight gradient: dw^T[k,O] = sum over pixels of window[k] * dy[O], k = R*S*C/groups.
// As a GEMM: m = R*S*C/groups, n = O/groups, k = N*P*Q.
#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/conv_choice.h"
#include "cpu/conv_windows.h"
#include "cpu/depthwise.h"
#include "cpu/dispatch.h"
#include "cpu/grouped.h"
#include "cpu/pixel_conv.h"
#include "cpu/pointwise_weights.h"

namespace ck::cpu {
namespace {

constexpr int64_t kBlockPixels = 128;         // a panel of dy takes 8 KiB (16 columns) to 32 KiB (64)
constexpr int64_t kBufferFloats = 96 * 1024;  // 384 KiB of input rows beside it in a 1 MiB L2
constexpr int64_t kTaskMacs = 2'000'000;      // about 40 us
constexpr int64_t kTasks = 32;                // more would read more: tasks share rows of x and columns of dy
constexpr int64_t kPartPixels = 512;          // a partial sum is written and read once: 1/256 of its additions
constexpr int64_t kPartFloats = 1024 * 1024;  // 4 MiB of partial sums
constexpr int64_t kFewerParts = 3;  // times, of a 1x1 filter's pixels read in place: tasks share them for nothing
constexpr int64_t kParts = 32;
constexpr int64_t kGrain = 16 * 1024;  // floats of the final sums a task adds up
constexpr int64_t kLeastTiles = 4;     // register tiles of a call, which is not to be dominated by its start
constexpr int64_t kUnitChannels = 70;  // 10 register tiles of 7 rows
constexpr int64_t kPanelGroup = 256;   // columns of dy near at a time, 128 KiB; 64 when a filter has several taps
constexpr int64_t kNarrowPixel = 256;  // floats between windows of few channels that are read in place

// How a problem is cut; by its shape alone. The input channels are cut into units, dw^T[k,O] of a unit into panels of
// columns and these into tiles of rows: the unit's channels at one tap, or any rows when there are few channels.
// A task sums one part of the pixels into a group of units, of panels and of tiles, of one group of channels.
struct Plan {
    DirectConv unit;  // the problem with the first unit's channels
    int64_t units, unit_group;
    ConvWindows windows;                 // of a unit
    int64_t images, row_blocks, blocks;  // a block is some rows of one image, or all of several
    int64_t columns;                     // of dw^T, rounded up to whole vectors
    int64_t panels, panel_group, panel_columns;
    bool by_tap;
    int64_t tiles, tile_group, tile_rows;
    int64_t ranges;
    int64_t part, parts;  // in blocks
    bool far;             // windows are read where they lie, and dy if whole vectors cover it
    bool pack;            // dy copied to [line][panel][pixels][panel columns]
    int64_t dy_buffer;
    int64_t size(const DirectConv& s) const { return s.k() * columns; }
};

// Pixels a multiple of 4 KiB apart are better copied when several taps meet them: few of them fit into the cache.
bool far_pays(const DirectConv& s) {
    return kernels().long_steps && (s.r * s.s == 1 || s.pixel * s.stride_w % 1024 != 0);
}

void plan_blocks(const DirectConv& s, Plan& plan) {
    ConvWindows& v = plan.windows;
    WindowPlace place = WindowPlace::copied;
    if (plan.far || (plan.by_tap && dilated(s))) {
        place = WindowPlace::in_place;
    } else if (s.pixel * s.stride_w <= kNarrowPixel) {
        place = WindowPlace::in_place_inside;
    }
    v = plan_windows(plan.unit, kBlockPixels, kBufferFloats, place);
    plan.images = std::max<int64_t>(1, v.rows / s.p);
    v.rows = v.rows < s.p ? ceil_div(s.p, ceil_div(s.p, v.rows)) : plan.images * s.p;
    plan.row_blocks = plan.images > 1 ? 1 : ceil_div(s.p, v.rows);
    plan.blocks = ceil_div(s.n, plan.images) * plan.row_blocks * v.column_blocks;
}

// Groups such that there are about `wanted` of them.
void plan_ranges(const DirectConv& s, int64_t wanted, Plan& plan) {
    plan.unit_group = plan.units;
    plan.panel_group =
        std::min(plan.panels, std::max<int64_t>(1, (s.r * s.s == 1 ? kPanelGroup : 64) / plan.panel_columns));
    plan.tile_group = plan.tiles;
    const auto ranges = [&] {
        return ceil_div(plan.units, plan.unit_group) * ceil_div(plan.panels, plan.panel_group) *
               ceil_div(plan.tiles, plan.tile_group);
    };
    // The larger side is halved: a task reads its channels and its columns.
    while (ranges() < wanted && plan.unit_group * plan.panel_group > 1) {
        const bool channels = plan.unit_group * plan.unit.c >= plan.panel_group * plan.panel_columns;
        int64_t& group =
            plan.panel_group == 1 || (channels && plan.unit_group > 1) ? plan.unit_group : plan.panel_group;
        group = ceil_div(group, 2);
    }
    while (ranges() < wanted && plan.tile_group > 1) plan.tile_group = ceil_div(plan.tile_group, 2);
    plan.ranges = ranges();
}

Plan make_plan(const DirectConv& s) {
    const CpuKernels& kernel = kernels();
    Plan plan{};
    plan.columns = ceil_div(s.o, kernel.vector_width) * kernel.vector_width;
    plan.panel_columns = std::min<int64_t>(plan.columns, kernel.conv2d.panel_columns);
    plan.panels = ceil_div(s.o, plan.panel_columns);
    plan.tile_rows = kLeastTiles * kernel.conv2d.tile_rows;
    plan.by_tap = s.c >= plan.tile_rows;
    plan.far = plan.by_tap && far_pays(s);
    const int64_t pixels = s.n * s.p * s.q;
    const int64_t wanted = std::clamp<int64_t>(pixels * s.k() * s.o * s.groups / kTaskMacs, 1, kTasks);
    const int64_t fewer = plan.far && s.r * s.s == 1 ? kFewerParts : 1;
    const int64_t most_parts = std::min(
        {kParts, wanted, pixels / (fewer * kPartPixels) + 1, kPartFloats / (fewer * plan.size(s) * s.groups) + 1});
    plan.unit = s;
    if (plan.by_tap) plan.unit.c = ceil_div(s.c, ceil_div(s.c, kUnitChannels));
    if (plan.far)  // whole register tiles; where channels are copied, whole lines are better
        plan.unit.c = std::min(s.c, ceil_div(plan.unit.c, kernel.conv2d.tile_rows) * kernel.conv2d.tile_rows);
    plan.units = ceil_div(s.c, plan.unit.c);
    plan.tiles = plan.by_tap ? s.r * s.s : ceil_div(s.k(), plan.tile_rows);
    plan_blocks(s, plan);
    plan.part = ceil_div(plan.blocks, std::min(plan.blocks, most_parts));
    plan.parts = ceil_div(plan.blocks, plan.part);
    plan_ranges(s, ceil_div(wanted, plan.parts * s.groups), plan);
    const bool shared = plan.unit_group * plan.tile_group > 1, is_panel = s.y_pixel == plan.panel_columns;
    plan.pack = s.o % kernel.vector_width || (shared && !is_panel && !plan.far);
    plan.dy_buffer = plan.pack ? plan.windows.rows * plan.windows.columns * plan.panel_columns * plan.panel_group : 0;
    return plan;
}

struct Block {
    int64_t image, images, p0, lines, q0, q1;

    Block(const DirectConv& s, const Plan& plan, int64_t index) {
        const ConvWindows& v = plan.windows;
        q0 = index % v.column_blocks * v.columns;
        q1 = std::min(s.q, q0 + v.columns);
        index /= v.column_blocks;
        p0 = index % plan.row_blocks * v.rows;
        lines = std::min(s.p - p0, v.rows);
        image = index / plan.row_blocks * plan.images;
        images = std::min(s.n - image, plan.images);
    }
};

// x and dy are at the group's channels; part is [k][columns].
struct Task {
    const float* x;
    const float* dy;
    const int64_t* tap;
    int64_t unit, panel, tile;  // the first of each group
    float* buffer;              // for x, then for dy
    float* part;
};

// Windows of one unit's channels.
void place_unit(const DirectConv& s, const Plan& plan, const Block& block, const Task& task, int64_t unit,
                WeightPanel& panel) {
    const ConvWindows& v = plan.windows;
    DirectConv part = plan.unit;
    part.c = std::min(part.c, s.c - unit * part.c);
    float* buffer = task.buffer;
    for (int64_t i = 0; i < block.images; ++i) {
        const float* x = place_windows(part, v, task.x + unit * plan.unit.c, block.image + i, block.p0, block.lines,
                                       block.q0, block.q1, buffer);
        if (i == 0) panel.x = x;
        if (i == 1) panel.x_image = x - panel.x;
    }
    panel.x_line = v.step_h * v.row_step;
    panel.x_pixel = v.step_w * v.pixel_step;
}

// dy of the task's panels, copied where the plan says so.
void place_dy(const DirectConv& s, const Plan& plan, const Block& block, const Task& task, WeightPanel& panel) {
    const int64_t first = task.panel * plan.panel_columns,
                  panels = std::min(plan.panel_group, plan.panels - task.panel);
    panel.dy = task.dy + block.image * s.y_image + block.p0 * s.y_row + block.q0 * s.y_pixel + first;
    panel.dy_image = s.y_image;
    panel.dy_line = s.y_row;
    panel.dy_pixel = s.y_pixel;
    if (!plan.pack) return;
    float* const copy = task.buffer + plan.windows.buffer;
    const int64_t pixels = block.q1 - block.q0, line = panels * pixels * plan.panel_columns, image = block.lines * line;
    const int64_t columns = std::min(s.o - first, panels * plan.panel_columns);
    for (int64_t i = 0; i < block.images; ++i)
        for (int64_t p = 0; p < block.lines; ++p)
            kernels().gemm.pack(columns, pixels, panel.dy + i * s.y_image + p * s.y_row, 1, s.y_pixel,
                                copy + i * image + p * line, plan.panel_columns);
    panel.dy = copy;
    panel.dy_image = image;
    panel.dy_line = line;
    panel.dy_pixel = plan.panel_columns;
}

// One tile: channels of a unit at one tap. Pixels at which the tap lies in the padding are left out.
void add_tap(const DirectConv& s, const Plan& plan, const Block& block, WeightPanel panel, const Task& task,
             int64_t unit, int64_t t) {
    const int64_t r = t / s.s * s.dilation_h, column = t % s.s * s.dilation_w;
    const OutputRange p = meeting(block.p0, block.p0 + block.lines, r, s.stride_h, s.pad_top, s.h);
    const OutputRange q = meeting(block.q0, block.q1, column, s.stride_w, s.pad_left, s.w);
    const int64_t line = p.begin - block.p0, pixel = q.begin - block.q0, first = unit * plan.unit.c;
    panel.rows = std::min(plan.unit.c, s.c - first);
    panel.lines = p.end - p.begin;
    panel.pixels = q.end - q.begin;
    if (panel.accumulate && panel.lines * panel.pixels == 0) return;
    panel.x += line * panel.x_line + pixel * panel.x_pixel;
    panel.dy += line * panel.dy_line + pixel * panel.dy_pixel;
    panel.tap = task.tap + t * plan.unit.c;
    if (panel.next_x) panel.next_x += line * panel.x_line + pixel * panel.x_pixel + panel.tap[0];
    if (panel.next_dy) panel.next_dy += line * panel.dy_line + pixel * panel.dy_pixel;
    panel.dw += (t * s.c + first) * plan.columns;
    kernels().conv2d.weight_panel(panel);
}

void add_rows(const DirectConv& s, const Plan& plan, const Block& block, WeightPanel panel, const Task& task,
              int64_t tile) {
    const int64_t k = tile * plan.tile_rows;
    panel.lines = block.lines;
    panel.pixels = block.q1 - block.q0;
    panel.rows = std::min(plan.tile_rows, s.k() - k);
    panel.tap = task.tap + k;
    panel.dw += k * plan.columns;
    kernels().conv2d.weight_panel(panel);
}

// The sums of a block. What is read where it lies is fetched in time: the next unit's windows, after the last unit
// those of the block that follows, if any, and its dy. It may be that of the next task, which this thread likely runs.
void add_block(const DirectConv& s, const Plan& plan, const Block& block, const Block* following, const Task& task,
               bool accumulate) {
    const int64_t lanes = kernels().vector_width, width = plan.panel_columns;
    WeightPanel group{};
    group.images = block.images;
    group.dw_row = plan.columns;
    group.accumulate = accumulate;
    place_dy(s, plan, block, task, group);
    const int64_t panel_step = plan.pack ? (block.q1 - block.q0) * width : width;
    const int64_t last = std::min(plan.units, task.unit + plan.unit_group) - 1;
    WeightPanel next{};
    const bool fetch =
        plan.far || (kernels().far_operands && width > lanes);  // a step of one vector feels that it does
    if (following && fetch && !plan.pack) place_dy(s, plan, *following, task, next);
    for (int64_t u = task.unit; u <= last; ++u) {
        place_unit(s, plan, block, task, u, group);
        next.x = nullptr;
        if (plan.far && u < last) place_unit(s, plan, block, task, u + 1, next);
        if (plan.far && u == last && following) place_unit(s, plan, *following, task, task.unit, next);
        for (int64_t j = task.panel; j < std::min(plan.panels, task.panel + plan.panel_group); ++j) {
            WeightPanel panel = group;
            panel.columns = static_cast<int>(ceil_div(std::min(width, s.o - j * width), lanes) * lanes);
            panel.dy += (j - task.panel) * panel_step;
            panel.dw = task.part + j * width;
            if (next.x && j == task.panel) {
                panel.next_x = next.x;
                panel.next_x_lines = ceil_div(plan.unit.c - 1, kLineFloats) + 1;
            }
            if (next.dy && u == last) {
                panel.next_dy = next.dy + (j - task.panel) * width;
                panel.next_dy_lines = ceil_div(panel.columns, kLineFloats);
            }
            for (int64_t t = task.tile; t < std::min(plan.tiles, task.tile + plan.tile_group); ++t) {
                if (plan.by_tap) {
                    add_tap(s, plan, block, panel, task, u, t);
                } else {
                    add_rows(s, plan, block, panel, task, t);
                }
            }
        }
    }
}

// dw[group][o][k] = the parts of one group, [parts][k][columns], summed in order and transposed.
void finish(const DirectConv& s, const Plan& plan, float* parts, float* dw) {
    const int64_t size = plan.size(s);
    if (plan.parts > 1) {
        parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
            kernels().gemm.sum_parts(plan.parts, end - begin, parts + begin, size, parts + begin);
        });
    }
    parallel_ranges(s.o, std::max<int64_t>(16, kGrain / s.k()), [&](int64_t begin, int64_t end) {
        kernels().gemm.pack(s.k(), end - begin, parts + begin, plan.columns, 1, dw + begin * s.k(), s.k());
    });
}

void run_direct(const Conv2dShape& shape, const float* x, const float* dy, float* dw) {
    if (pointwise_weight_gradient(shape, x, dy, dw)) return;
    const DirectConv s = merge_pixels(as_direct(shape));
    const Plan plan = make_plan(s);
    const ConvWindows& v = plan.windows;
    Scratch<int64_t> tap(plan.unit.k());
    for (int64_t k = 0; k < plan.unit.k(); ++k)
        tap.data()[k] = v.tap(s, k / (s.s * plan.unit.c), k / plan.unit.c % s.s) + k % plan.unit.c;
    const int64_t tasks = s.groups * plan.parts * plan.ranges, buffer = v.buffer + plan.dy_buffer;
    const int64_t size = plan.size(s);
    Scratch<float> parts(s.groups * plan.parts * size);
    const int64_t workers = worker_count(tasks);
    Scratch<float> buffers(workers * buffer);
    parallel_for(tasks, workers, [&](int64_t index, int64_t worker) {
        const int64_t range = index % plan.ranges;
        const int64_t part = index / plan.ranges % plan.parts, group = index / (plan.ranges * plan.parts);
        const int64_t panel_groups = ceil_div(plan.panels, plan.panel_group);
        const int64_t unit_groups = ceil_div(plan.units, plan.unit_group);
        const Task task{x + group * s.c,
                        dy + group * s.o,
                        tap.data(),
                        range % unit_groups * plan.unit_group,
                        range / unit_groups % panel_groups * plan.panel_group,
                        range / (unit_groups * panel_groups) * plan.tile_group,
                        buffers.data() + worker * buffer,
                        parts.data() + (group * plan.parts + part) * size};
        const int64_t begin = part * plan.part, end = std::min(plan.blocks, begin + plan.part);
        for (int64_t b = begin; b < end; ++b) {
            const Block following(s, plan, b + 1);
            add_block(s, plan, Block(s, plan, b), b + 1 < plan.blocks ? &following : nullptr, task, b > begin);
        }
    });
    for (int64_t group = 0; group < s.groups; ++group)
        finish(s, plan, parts.data() + group * plan.parts * size, dw + group * s.o * s.k());
}

}  // namespace

void conv2d_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw) {
    if (s.n == 0) {
        std::fill_n(dw, s.o * s.r * s.s * (s.c / s.groups), 0.0f);
        return;
    }
    const ConvAlgorithm algorithm = choose_conv(ConvPass::weights, s);
    switch (algorithm) {
        case ConvAlgorithm::depthwise:
            return depthwise_weight_gradient(s, x, dy, dw);
        case ConvAlgorithm::grouped:
            return grouped_weight_gradient(s, x, dy, dw);
        case ConvAlgorithm::winograd4:
        case ConvAlgorithm::winograd2:
            return winograd_weight_gradient(winograd_tile_size(algorithm, s), s, x, {dy, nullptr}, dw);
        case ConvAlgorithm::pixels:
            return pixel_weight_gradient(s, x, dy, dw);
        default:
            return run_direct(s, x, dy, dw);
    }
}

}  // namespace ck::cpu
