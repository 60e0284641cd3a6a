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

namespace ck::cpu {
namespace {

constexpr int64_t kBlockPixels = 512;         // of dy 128 KiB a panel of 64
constexpr int64_t kBufferFloats = 96 * 1024;  // 384 KiB of input rows beside it in a 1 MiB L2
constexpr int64_t kTaskMacs = 1'000'000;      // about 20 us
constexpr int64_t kTasks = 64;                // enough for 16 threads
constexpr int64_t kPartPixels = 512;          // a partial sum is written and read once: 1/256 of its additions
constexpr int64_t kPartFloats = 1024 * 1024;  // 4 MiB of partial sums
constexpr int64_t kParts = 32;
constexpr int64_t kGrain = 16 * 1024;  // floats of the final sums a task adds up

// How a problem is cut; by its shape alone. A task sums one part of the pixels into a range of tiles, of one group.
struct Plan {
    ConvWindows windows;
    int64_t columns;        // of dw^T, rounded up to whole vectors
    int64_t panels, tiles;  // tiles: of k rows, in one panel
    int64_t tile_rows;
    int64_t range, ranges;  // tiles of a task, counted through all panels
    int64_t part, parts;    // blocks of windows
    bool pack;              // dy of a panel copied to [pixels][panel columns]
    int64_t dy_buffer;
    int64_t size(const DirectConv& s) const { return s.k() * columns; }
};

Plan make_plan(const DirectConv& s) {
    const CpuKernels& kernel = kernels();
    Plan plan{};
    plan.columns = ceil_div(s.o, kernel.vector_width) * kernel.vector_width;
    plan.panels = ceil_div(s.o, kernel.conv2d.panel_columns);
    // Several register tiles, so that a call is not dominated by its start.
    plan.tile_rows = 4 * kernel.conv2d.tile_rows;
    plan.tiles = ceil_div(s.k(), plan.tile_rows);
    plan.windows = plan_windows(s, kBlockPixels, kBufferFloats, false);
    const int64_t blocks = plan.windows.row_blocks * plan.windows.column_blocks, pixels = s.n * s.p * s.q;
    const int64_t wanted = std::clamp<int64_t>(pixels * s.k() * s.o * s.groups / kTaskMacs, 1, kTasks);
    const int64_t parts =
        std::min({kParts, wanted, blocks, pixels / kPartPixels + 1, kPartFloats / (plan.size(s) * s.groups) + 1});
    plan.part = ceil_div(blocks, parts);
    plan.parts = ceil_div(blocks, plan.part);
    const int64_t ranges = ceil_div(wanted, plan.parts * s.groups), all = plan.panels * plan.tiles;
    plan.range = ceil_div(all, std::min(all, ranges));
    plan.ranges = ceil_div(all, plan.range);
    plan.pack = plan.range >= 2 || s.o % kernel.vector_width;
    plan.dy_buffer =
        plan.windows.rows * plan.windows.columns * std::min<int64_t>(plan.columns, kernel.conv2d.panel_columns);
    return plan;
}

// Rows of a block that belong to one image.
struct Segment {
    const float* x;  // first window
    int64_t image, p0, count;
};

// Adds one segment to the task's tiles [first,last). x and dy are at the group's channels; part is [k][columns].
void add_segment(const DirectConv& s, const Plan& plan, const Segment& segment, int64_t q0, int64_t q1, const float* dy,
                 const int64_t* tap, int64_t first, int64_t last, bool accumulate, float* dy_buffer, float* part) {
    const ConvWindows& v = plan.windows;
    const int64_t width = kernels().conv2d.panel_columns, lanes = kernels().vector_width;
    const float* dy_rows = dy + segment.image * s.y_image + segment.p0 * s.y_row + q0 * s.y_pixel;
    WeightPanel panel{};
    panel.x = segment.x;
    panel.lines = segment.count;
    panel.pixels = q1 - q0;
    panel.x_line = v.step_h * v.row_step;
    panel.x_pixel = v.step_w * v.pixel_step;
    panel.dw_row = plan.columns;
    panel.accumulate = accumulate;
    while (first < last) {
        const int64_t j = first / plan.tiles, end = std::min(last, (j + 1) * plan.tiles);
        const int64_t columns = std::min(width, s.o - j * width), padded = ceil_div(columns, lanes) * lanes;
        panel.columns = static_cast<int>(padded);
        panel.dy = dy_rows + j * width;
        panel.dy_line = s.y_row;
        panel.dy_pixel = s.y_pixel;
        if (plan.pack) {
            for (int64_t i = 0; i < segment.count; ++i)
                kernels().gemm.pack(columns, panel.pixels, panel.dy + i * s.y_row, 1, s.y_pixel,
                                    dy_buffer + i * panel.pixels * padded, padded);
            panel.dy = dy_buffer;
            panel.dy_line = panel.pixels * padded;
            panel.dy_pixel = padded;
        }
        const int64_t k0 = (first - j * plan.tiles) * plan.tile_rows;
        panel.tap = tap + k0;
        panel.rows = std::min(s.k(), (end - j * plan.tiles) * plan.tile_rows) - k0;
        panel.dw = part + k0 * plan.columns + j * width;
        kernels().conv2d.weight_panel(panel);
        first = end;
    }
}

// One task: blocks of windows [block,end) in order.
void sum_part(const DirectConv& s, const Plan& plan, const float* x, const float* dy, const int64_t* tap, int64_t block,
              int64_t end, int64_t first, int64_t last, float* buffer, float* part) {
    const ConvWindows& v = plan.windows;
    bool accumulate = false;
    for (; block < end; ++block) {
        const int64_t q0 = block % v.column_blocks * v.columns, q1 = std::min(s.q, q0 + v.columns);
        int64_t f0 = block / v.column_blocks * v.rows;
        const int64_t f1 = std::min(s.n * s.p, f0 + v.rows);
        while (f0 < f1) {
            const int64_t image = f0 / s.p, p0 = f0 % s.p, count = std::min(s.p - p0, f1 - f0);
            float* copy = buffer;
            const Segment segment{place_windows(s, v, x, image, p0, count, q0, q1, copy), image, p0, count};
            add_segment(s, plan, segment, q0, q1, dy, tap, first, last, accumulate, buffer + v.buffer, part);
            accumulate = true;
            f0 += count;
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

void run_direct(const DirectConv& s, const float* x, const float* dy, float* dw) {
    const Plan plan = make_plan(s);
    const ConvWindows& v = plan.windows;
    Scratch<int64_t> tap(s.k());
    for (int64_t k = 0; k < s.k(); ++k) tap.data()[k] = v.tap(s, k / (s.s * s.c), k / s.c % s.s) + k % s.c;
    const int64_t tasks = s.groups * plan.parts * plan.ranges, buffer = v.buffer + plan.dy_buffer;
    const int64_t size = plan.size(s);
    Scratch<float> parts(s.groups * plan.parts * size);
    const int64_t workers = worker_count(tasks);
    Scratch<float> buffers(workers * buffer);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        const int64_t range = task % plan.ranges, part = task / plan.ranges % plan.parts;
        const int64_t group = task / (plan.ranges * plan.parts);
        const int64_t first = range * plan.range, last = std::min(plan.panels * plan.tiles, first + plan.range);
        const int64_t block = part * plan.part, end = std::min(v.row_blocks * v.column_blocks, block + plan.part);
        sum_part(s, plan, x + group * s.c, dy + group * s.o, tap.data(), block, end, first, last,
                 buffers.data() + worker * buffer, parts.data() + (group * plan.parts + part) * size);
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
        default:
            return run_direct(as_direct(s), x, dy, dw);
    }
}

}  // namespace ck::cpu
