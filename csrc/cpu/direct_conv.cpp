#include "cpu/direct_conv.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kItemPixels = 672;             // 96 tiles of 7: a panel of weights is read 96 times from L2
constexpr int64_t kBufferFloats = 80 * 1024;     // 320 KiB of input rows leave room for a panel in a 1 MiB L2
constexpr int64_t kResidentFilters = 64 * 1024;  // 256 KiB: all panels stay in L2, so pixels are the outer loop
constexpr int64_t kTaskMacs = 1'000'000;         // about 20 us
constexpr int64_t kTasks = 64;                   // enough for 16 threads
constexpr int64_t kPixelBlock = 56;              // pixels that pass by all resident panels at a time: 8 tiles of 7

// How a problem is cut; by its shape alone. A task is a block of windows and a group of panels, of one group of
// channels.
struct Plan {
    ConvWindows windows;
    int64_t taps, length;  // a window is `taps` contiguous runs
    int64_t panels, panel_group, panel_groups;
    int64_t tasks;
};

// A task has fewer than kItemPixels when there would be too few tasks to share.
Plan make_plan(const DirectConv& s) {
    const Conv2dKernels& kernel = kernels().conv2d;
    const int64_t pixels = s.n * s.p * s.q, macs = std::max<int64_t>(s.k(), 1) * s.o * s.groups;
    const int64_t wanted = std::clamp<int64_t>(pixels * macs / kTaskMacs, 1, kTasks);
    const int64_t items = ceil_div(pixels, kItemPixels) * s.groups;
    Plan plan{};
    plan.panels = ceil_div(s.o, kernel.panel_columns);
    plan.panel_groups = 1;
    int64_t target = kItemPixels;
    if (items < wanted) {
        if (s.k() * s.o > kResidentFilters) plan.panel_groups = std::min(plan.panels, ceil_div(wanted, items));
        const int64_t pieces = ceil_div(wanted, s.groups * plan.panel_groups);
        target = std::clamp<int64_t>(ceil_div(pixels, pieces), 4 * kernel.tile_rows, kItemPixels);
    }
    plan.panel_group = ceil_div(plan.panels, plan.panel_groups);
    plan.panel_groups = ceil_div(plan.panels, plan.panel_group);
    plan.windows = plan_windows(s, target, kBufferFloats, true);
    const bool runs = s.dilation_w == 1 && plan.windows.pixel_step == s.c;
    plan.taps = s.k() == 0 ? 0 : runs ? s.r : s.r * s.s;
    plan.length = runs ? s.s * s.c : s.c;
    plan.tasks = s.groups * plan.windows.row_blocks * plan.windows.column_blocks * plan.panel_groups;
    return plan;
}

// Windows and outputs of a task's pixels: rows [f0,f1) of all images, columns [q0,q1). x is at the group's channels.
void list_pixels(const DirectConv& s, const ConvWindows& v, const float* x, float* y, int64_t f0, int64_t f1,
                 int64_t q0, int64_t q1, float* buffer, const float** window, float** output) {
    while (f0 < f1) {
        const int64_t image = f0 / s.p, p0 = f0 % s.p, count = std::min(s.p - p0, f1 - f0);
        const float* start = place_windows(s, v, x, image, p0, count, q0, q1, buffer);
        for (int64_t i = 0; i < count; ++i) {
            const float* row = start + i * v.step_h * v.row_step;
            float* y_row = y + image * s.y_image + (p0 + i) * s.y_row;
            for (int64_t q = q0; q < q1; ++q) {
                *window++ = row + (q - q0) * v.step_w * v.pixel_step;
                *output++ = y_row + q * s.y_pixel;
            }
        }
        f0 += count;
    }
}

// Panels [first,last) for all pixels of a task.
void run_panels(const DirectConv& s, ConvPanel panel, int64_t first, int64_t last, const float* filters,
                const float* bias) {
    const int64_t width = kernels().conv2d.panel_columns, pixels = panel.pixels;
    const float* const* x = panel.x;
    float* const* y = panel.y;
    const bool resident = s.k() * (last - first) * width <= kResidentFilters;
    const int64_t block = resident ? kPixelBlock : pixels;
    for (int64_t i = 0; i < pixels; i += block) {
        panel.pixels = std::min(block, pixels - i);
        panel.x = x + i;
        panel.y = y + i;
        for (int64_t j = first; j < last; ++j) {
            panel.columns = static_cast<int>(std::min(width, s.o - j * width));
            panel.b = filters + j * width * s.k();
            panel.bias = bias ? bias + j * width : nullptr;
            panel.y_offset = j * width;
            kernels().conv2d.panel(panel);
        }
    }
}

}  // namespace

int64_t packed_filter_size(const DirectConv& s) {
    const int64_t width = kernels().vector_width;
    return s.k() * ceil_div(s.o, width) * width;
}

void direct_conv(const DirectConv& s, const float* x, const float* filters, const float* bias, Activation act,
                 float* y) {
    if (s.n * s.p * s.q == 0) return;
    const Plan plan = make_plan(s);
    const ConvWindows& v = plan.windows;
    Scratch<int64_t> tap(plan.taps);
    for (int64_t t = 0; t < plan.taps; ++t)
        tap.data()[t] = plan.taps == s.r ? v.tap(s, t, 0) : v.tap(s, t / s.s, t % s.s);
    const int64_t workers = worker_count(plan.tasks), pixels = v.rows * v.columns;
    Scratch<float> buffers(workers * v.buffer);
    Scratch<const float*> windows(workers * pixels);
    Scratch<float*> outputs(workers * pixels);
    parallel_for(plan.tasks, workers, [&](int64_t task, int64_t worker) {
        const int64_t panels = task % plan.panel_groups, rest = task / plan.panel_groups;
        const int64_t q0 = rest % v.column_blocks * v.columns, q1 = std::min(s.q, q0 + v.columns);
        const int64_t f0 = rest / v.column_blocks % v.row_blocks * v.rows, f1 = std::min(s.n * s.p, f0 + v.rows);
        const int64_t group = rest / (v.column_blocks * v.row_blocks);
        const float** window = windows.data() + worker * pixels;
        float** output = outputs.data() + worker * pixels;
        list_pixels(s, v, x + group * s.c, y + group * s.o, f0, f1, q0, q1, buffers.data() + worker * v.buffer, window,
                    output);
        ConvPanel panel{};
        panel.pixels = (f1 - f0) * (q1 - q0);
        panel.x = window;
        panel.y = output;
        panel.tap = tap.data();
        panel.taps = plan.taps;
        panel.length = plan.length;
        panel.act = act;
        const int64_t first = panels * plan.panel_group;
        run_panels(s, panel, first, std::min(plan.panels, first + plan.panel_group),
                   filters + group * packed_filter_size(s), bias ? bias + group * s.o : nullptr);
    });
}

}  // namespace ck::cpu
