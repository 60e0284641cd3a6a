#include "cpu/conv2d_scatter.h"

#include <algorithm>
#include <cstring>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/scalar.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kTaskMacs = 1'000'000;   // about 20 us
constexpr int64_t kTasks = 64;             // enough for 16 threads
constexpr int64_t kRowFloats = 48 * 1024;  // 192 KiB of dx rows of a 1 MiB L2
constexpr int64_t kPixels = 28;            // windows made at a time, 4 tiles of 7: 40 KiB for an 11x11x3 filter
constexpr int64_t kLeastRows = 8;          // of dx to a task: the rows of dy at its edges are multiplied twice

// How a problem is cut; by its shape alone. A task is a block of dx rows of one image.
struct Plan {
    int64_t k;        // R*S*C
    int64_t windows;  // floats from one window to the next: k rounded up to whole vectors
    int64_t width;    // of a padded dx row
    int64_t rows, blocks;
};

Plan make_plan(const Conv2dShape& s) {
    const int64_t lanes = kernels().vector_width, reach = (s.r - 1) * s.dilation_h + 1;
    Plan plan{};
    plan.k = s.r * s.s * s.c;
    plan.windows = ceil_div(plan.k, lanes) * lanes;
    plan.width = std::max(s.w + s.pad_left, (s.q - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1);
    const int64_t macs = s.n * s.p * s.q * plan.k * s.o;
    const int64_t wanted = std::clamp<int64_t>(macs / kTaskMacs, 1, kTasks);
    plan.rows = std::max(ceil_div(s.h, ceil_div(wanted, s.n)), std::max(kLeastRows, 2 * reach));
    plan.rows = std::clamp<int64_t>(std::min(plan.rows, kRowFloats / (plan.width * s.c)), 1, s.h);
    plan.blocks = ceil_div(s.h, plan.rows);
    return plan;
}

// Adds to the dx rows [h0,h1) of an image, sums[h1-h0,width,C], all windows of dy row p that reach them.
void add_dy_row(const Conv2dShape& s, const Plan& plan, const float* dy, const float* filters, int64_t p, int64_t h0,
                int64_t h1, float* windows, float* sums) {
    const int64_t panel_columns = kernels().conv2d.panel_columns, top = p * s.stride_h - s.pad_top;
    const int64_t r0 = top >= h0 ? 0 : ceil_div(h0 - top, s.dilation_h);
    const int64_t r1 = std::min(s.r, ceil_div(h1 - top, s.dilation_h));
    if (r0 >= r1) return;
    const float* x[kPixels + 1];
    float* y[kPixels];
    const int64_t tap = 0;
    ConvPanel panel{};
    panel.x = x;
    panel.y = y;
    panel.tap = &tap;
    panel.taps = 1;
    panel.length = s.o;
    panel.finish = true;
    WindowScatter scatter{};
    scatter.lines = r1 - r0;
    scatter.runs = s.dilation_w == 1 ? 1 : s.s;
    scatter.length = s.dilation_w == 1 ? s.s * s.c : s.c;
    scatter.windows = windows + r0 * s.s * s.c;
    scatter.window_step = plan.windows;
    scatter.line_step = s.s * s.c;
    scatter.sums_pixel = s.stride_w * s.c;
    scatter.sums_line = s.dilation_h * plan.width * s.c;
    scatter.sums_run = s.dilation_w * s.c;
    for (int64_t q = 0; q < s.q; q += kPixels) {
        panel.pixels = std::min(kPixels, s.q - q);
        for (int64_t i = 0; i <= panel.pixels; ++i) x[i] = dy + (p * s.q + q + i) * s.o;
        for (int64_t i = 0; i < panel.pixels; ++i) y[i] = windows + i * plan.windows;
        for (int64_t j = 0; j < plan.k; j += panel_columns) {
            panel.columns = static_cast<int>(std::min(panel_columns, plan.k - j));
            panel.b = filters + j * s.o;
            panel.y_offset = j;
            kernels().conv2d.panel(panel);
        }
        scatter.pixels = panel.pixels;
        scatter.sums = sums + ((top + r0 * s.dilation_h - h0) * plan.width + q * s.stride_w) * s.c;
        kernels().conv2d.add_windows(scatter);
    }
}

}  // namespace

bool scatter_applies(const Conv2dShape& s) {
    return s.groups == 1 && s.c <= kernels().vector_width;
}

void scatter_data_gradient(const Conv2dShape& s, const float* dy, const float* w, const float* bias, Activation act,
                           float* dx) {
    if (s.n == 0) return;
    const Plan plan = make_plan(s);
    const int64_t lanes = kernels().vector_width, panel_columns = kernels().conv2d.panel_columns;
    Scratch<float> filters(plan.windows * s.o);  // [panel][O][columns]
    for (int64_t j = 0; j < plan.k; j += panel_columns) {
        const int64_t columns = std::min(panel_columns, plan.k - j);
        kernels().gemm.pack(columns, s.o, w + j, 1, plan.k, filters.data() + j * s.o, ceil_div(columns, lanes) * lanes);
    }
    const int64_t tasks = s.n * plan.blocks, sums_size = ceil_div(plan.rows * plan.width * s.c, 1024) * 1024;
    const int64_t scratch = sums_size + ceil_div(kPixels * plan.windows, 1024) * 1024;
    const int64_t workers = worker_count(tasks);
    Scratch<float> buffers(workers * scratch);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        const int64_t image = task / plan.blocks, h0 = task % plan.blocks * plan.rows;
        const int64_t h1 = std::min(s.h, h0 + plan.rows);
        float* sums = buffers.data() + worker * scratch;
        std::fill_n(sums, (h1 - h0) * plan.width * s.c, 0.0f);
        const int64_t reach = (s.r - 1) * s.dilation_h, first = h0 + s.pad_top - reach;
        const int64_t p1 = std::min(s.p, (h1 - 1 + s.pad_top) / s.stride_h + 1);
        for (int64_t p = first <= 0 ? 0 : ceil_div(first, s.stride_h); p < p1; ++p)
            add_dy_row(s, plan, dy + image * s.p * s.q * s.o, filters.data(), p, h0, h1, sums + sums_size, sums);
        for (int64_t h = h0; h < h1; ++h) {
            const float* from = sums + ((h - h0) * plan.width + s.pad_left) * s.c;
            float* to = dx + (image * s.h + h) * s.w * s.c;
            if (!bias && act.kind == ActivationKind::none) {
                std::memcpy(to, from, static_cast<size_t>(s.w * s.c) * sizeof(float));
                continue;
            }
            for (int64_t i = 0; i < s.w * s.c; ++i) to[i] = activate<float>(act, from[i] + (bias ? bias[i % s.c] : 0));
        }
    });
}

}  // namespace ck::cpu
