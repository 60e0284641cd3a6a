#include "cpu/direct_conv.h"

#include <algorithm>
#include <cstring>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/dispatch.h"
#include "cpu/reference/scalar.h"

namespace ck::cpu {
namespace {

constexpr int64_t kItemPixels = 672;             // 96 tiles of 7: a panel of weights is read 96 times from L2
constexpr int64_t kBufferFloats = 80 * 1024;     // 320 KiB of input rows leave room for a panel in a 1 MiB L2
constexpr int64_t kResidentFilters = 64 * 1024;  // 256 KiB: all panels stay in L2, so pixels are the outer loop
constexpr int64_t kTaskMacs = 1'000'000;         // about 20 us
constexpr int64_t kTasks = 64;                   // enough for 16 threads
constexpr int64_t kPixelBlock = 56;              // pixels that pass by all resident panels at a time: 8 tiles of 7

// How a problem is cut; by its shape alone. A task is a block of output rows (images follow each other), a block of
// output columns, and a group of panels, of one group of channels.
struct Plan {
    bool in_place;                 // windows lie in x itself
    int64_t pixel_step, row_step;  // of the windows, in floats
    int64_t step_h, step_w;        // rows and columns of a window's start from one output to the next
    int64_t taps, length;          // a window is `taps` contiguous runs
    int64_t rows, columns, row_blocks, column_blocks;
    int64_t panels, panel_group, panel_groups;
    int64_t buffer;  // floats a worker copies to
    int64_t tasks;
};

// Rows of x that `count` output rows of one image need.
int64_t input_rows(const DirectConv& s, int64_t count) {
    return s.r == 1 ? count : (count - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1;
}
int64_t input_columns(const DirectConv& s, int64_t count) {
    return s.s == 1 ? count : (count - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1;
}

// Pixels of a tile 2 KiB (or a multiple) apart fall into one or two sets of a first-level cache.
bool aliases(int64_t step) {
    return step * 4 % 2048 == 0;
}

bool inside(const DirectConv& s) {
    return s.pad_top <= 0 && s.pad_left <= 0 && (s.p - 1) * s.stride_h + (s.r - 1) * s.dilation_h - s.pad_top < s.h &&
           (s.q - 1) * s.stride_w + (s.s - 1) * s.dilation_w - s.pad_left < s.w;
}

// Most input rows of any `rows` consecutive output rows, which may reach over several images.
int64_t most_input_rows(const DirectConv& s, int64_t rows) {
    const int64_t images = std::min(rows, (rows + s.p - 2) / s.p + 1);
    return s.r == 1 ? rows : rows * s.stride_h + images * std::max<int64_t>(0, input_rows(s, 1) - s.stride_h);
}

// Where the windows lie.
void plan_windows(const DirectConv& s, Plan& plan) {
    plan.in_place = s.k() == 0 || (inside(s) && !aliases(s.pixel * s.stride_w));
    plan.step_h = s.r == 1 && !plan.in_place ? 1 : s.stride_h;
    plan.step_w = s.s == 1 && !plan.in_place ? 1 : s.stride_w;
    plan.pixel_step = plan.in_place ? s.pixel : s.c + (aliases(s.c * plan.step_w) ? 16 : 0);
    const bool runs = s.dilation_w == 1 && plan.pixel_step == s.c;
    plan.taps = s.k() == 0 ? 0 : runs ? s.r : s.r * s.s;
    plan.length = runs ? s.s * s.c : s.c;
}

// Pixels of a task: fewer than kItemPixels when that gives too few tasks to share.
void plan_tasks(const DirectConv& s, Plan& plan) {
    const Conv2dKernels& kernel = kernels().conv2d;
    const int64_t rows = s.n * s.p, pixels = rows * s.q;
    const int64_t macs = std::max<int64_t>(s.k(), 1) * s.o * s.groups;
    const int64_t wanted = std::clamp<int64_t>(pixels * macs / kTaskMacs, 1, kTasks);
    const int64_t items = ceil_div(pixels, kItemPixels) * s.groups;
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

    const auto buffer = [&](int64_t count) {
        return most_input_rows(s, count) * input_columns(s, plan.columns) * plan.pixel_step;
    };
    plan.columns = ceil_div(s.q, ceil_div(s.q, target));
    while (!plan.in_place && plan.columns > 32 && buffer(1) > kBufferFloats) plan.columns = ceil_div(plan.columns, 2);
    plan.rows = std::min(rows, ceil_div(target, plan.columns));
    while (!plan.in_place && plan.rows > 1 && buffer(plan.rows) > kBufferFloats) plan.rows -= ceil_div(plan.rows, 16);
    plan.rows = ceil_div(rows, ceil_div(rows, plan.rows));
    plan.row_blocks = ceil_div(rows, plan.rows);
    plan.column_blocks = ceil_div(s.q, plan.columns);
    plan.row_step = plan.in_place ? s.w * s.pixel : input_columns(s, plan.columns) * plan.pixel_step;
    plan.buffer = plan.in_place ? 0 : ceil_div(buffer(plan.rows), 1024) * 1024;
    plan.tasks = s.groups * plan.row_blocks * plan.column_blocks * plan.panel_groups;
}

// One input row, from column w0 by steps of w_step, to dst[columns][pixel_step]; zeros outside the image.
void copy_row(const DirectConv& s, const Plan& plan, const float* x, int64_t h, int64_t w0, int64_t w_step,
              int64_t columns, float* dst) {
    if (h < 0 || h >= s.h) {
        std::memset(dst, 0, columns * plan.pixel_step * sizeof(float));
        return;
    }
    // Columns [first,last) lie inside the image.
    const int64_t first = std::clamp<int64_t>(ceil_div(-w0, w_step), 0, columns);
    const int64_t last = std::clamp<int64_t>(w0 < s.w ? (s.w - 1 - w0) / w_step + 1 : 0, first, columns);
    std::memset(dst, 0, first * plan.pixel_step * sizeof(float));
    std::memset(dst + last * plan.pixel_step, 0, (columns - last) * plan.pixel_step * sizeof(float));
    const float* src = x + (h * s.w + w0 + first * w_step) * s.pixel;
    dst += first * plan.pixel_step;
    if (w_step == 1 && plan.pixel_step == s.pixel) {
        std::memcpy(dst, src, (last - first) * s.pixel * sizeof(float));
        return;
    }
    for (int64_t i = first; i < last; ++i, src += w_step * s.pixel, dst += plan.pixel_step)
        std::memcpy(dst, src, s.c * sizeof(float));
}

// Windows and outputs of a task's pixels: rows [f0,f1) of all images, columns [q0,q1). x is at the group's channels.
void gather(const DirectConv& s, const Plan& plan, const float* x, float* y, int64_t f0, int64_t f1, int64_t q0,
            int64_t q1, float* buffer, const float** window, float** output) {
    while (f0 < f1) {
        const int64_t image = f0 / s.p, p0 = f0 % s.p, count = std::min(s.p - p0, f1 - f0);
        const float* source = x + image * s.h * s.w * s.pixel;
        const int64_t h0 = p0 * s.stride_h - s.pad_top, w0 = q0 * s.stride_w - s.pad_left;
        const float* start = source + (h0 * s.w + w0) * s.pixel;
        if (!plan.in_place) {
            const int64_t rows = input_rows(s, count), columns = input_columns(s, q1 - q0);
            for (int64_t i = 0; i < rows; ++i)
                copy_row(s, plan, source, h0 + i * (s.r == 1 ? s.stride_h : 1), w0, s.s == 1 ? s.stride_w : 1, columns,
                         buffer + i * plan.row_step);
            start = buffer;
            buffer += rows * plan.row_step;
        }
        for (int64_t i = 0; i < count; ++i) {
            const float* row = start + i * plan.step_h * plan.row_step;
            float* y_row = y + image * s.y_image + (p0 + i) * s.y_row;
            for (int64_t q = 0; q < q1 - q0; ++q) {
                *window++ = row + q * plan.step_w * plan.pixel_step;
                *output++ = y_row + (q0 + q) * s.y_pixel;
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
    if (panel.act.kind != ActivationKind::tanh && panel.act.kind != ActivationKind::sigmoid) return;
    // These two have no vector form yet: one more pass with the plain functions while the rows are in cache.
    const int64_t begin = first * width, end = std::min(s.o, last * width);
    for (int64_t i = 0; i < pixels; ++i)
        for (int64_t j = begin; j < end; ++j) y[i][j] = reference::activate<float>(panel.act, y[i][j]);
}

}  // namespace

int64_t packed_filter_size(const DirectConv& s) {
    const int64_t width = kernels().vector_width;
    return s.k() * ceil_div(s.o, width) * width;
}

void direct_conv(const DirectConv& s, const float* x, const float* filters, const float* bias, Activation act,
                 float* y) {
    if (s.n * s.p * s.q == 0) return;
    Plan plan;
    plan_windows(s, plan);
    plan_tasks(s, plan);
    Scratch<int64_t> tap(plan.taps);
    for (int64_t t = 0; t < plan.taps; ++t) {
        const bool runs = plan.taps < s.r * s.s;
        const int64_t r = runs ? t : t / s.s, column = runs ? 0 : t % s.s;
        tap.data()[t] = r * s.dilation_h * plan.row_step + column * s.dilation_w * plan.pixel_step;
    }
    const int64_t workers = worker_count(plan.tasks), pixels = plan.rows * plan.columns;
    Scratch<float> buffers(workers * plan.buffer);
    Scratch<const float*> windows(workers * pixels);
    Scratch<float*> outputs(workers * pixels);
    parallel_for(plan.tasks, [&](int64_t task, int64_t worker) {
        const int64_t panels = task % plan.panel_groups, rest = task / plan.panel_groups;
        const int64_t q0 = rest % plan.column_blocks * plan.columns, q1 = std::min(s.q, q0 + plan.columns);
        const int64_t f0 = rest / plan.column_blocks % plan.row_blocks * plan.rows;
        const int64_t f1 = std::min(s.n * s.p, f0 + plan.rows);
        const int64_t group = rest / (plan.column_blocks * plan.row_blocks);
        const float** window = windows.data() + worker * pixels;
        float** output = outputs.data() + worker * pixels;
        gather(s, plan, x + group * s.c, y + group * s.o, f0, f1, q0, q1, buffers.data() + worker * plan.buffer, window,
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
