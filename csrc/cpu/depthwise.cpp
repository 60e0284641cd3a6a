// Drivers of depthwise convolution. Lines of outputs are cut into tasks; a line meets up to R lines of the input, in
// place. Vectors run over the output channels: with a multiplier every input channel is repeated for its filters.
#include "cpu/depthwise.h"

#include <algorithm>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/scalar.h"
#include "cpu/dispatch.h"
#include "cpu/line_conv.h"
#include "cpu/packing.h"

namespace ck::cpu {
namespace {

constexpr int64_t kTaskMacs = 600'000;  // about 20 us at half the speed of a register tile
constexpr int64_t kMostParts = 32;      // of a weight gradient
constexpr int64_t kGrain = 16 * 1024;   // floats of the final sums a task adds up

// Whether x and y are far beyond a second-level cache (1 or 2 MiB). Fetching ahead what is near costs 5 to 40 %, up to
// about 5 MiB there was no gain to speak of, from 6 MiB on 10 to 50 %.
bool is_far(const Conv2dShape& s) {
    constexpr int64_t kNear = 5 * 256 * 1024;  // floats, 5 MiB
    return s.n * (s.h * s.w * s.o + s.p * s.q * s.o) > kNear;
}

// Floats that `count` output lines' input takes when its channels are repeated.
int64_t repeated_size(const Conv2dShape& s, int64_t count) {
    if (s.o == s.c) return 0;
    const int64_t lines = std::min(s.h, (count - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1);
    return ceil_div(lines * s.w * s.o, 1024) * 1024;  // no line shared by two workers
}

// Line 0 of the image in the channels of the output; where they are repeated, only [h0,h1) of its lines exist.
const float* repeated(const Conv2dShape& s, const float* x, int64_t image, int64_t h0, int64_t h1, float* buffer) {
    x += image * s.h * s.w * s.c;
    const int64_t repeat = s.o / s.c;
    if (repeat == 1) return x;
    for (int64_t i = h0 * s.w * s.c; i < h1 * s.w * s.c; ++i)
        std::fill_n(buffer + (i - h0 * s.w * s.c) * repeat, repeat, x[i]);
    return buffer - h0 * s.w * s.o;
}

// Output line p of one image.
void run_line(const LinePhase& phase, int64_t channels, bool far, const float* bias, Activation act, int64_t p,
              const float* x, float* y, int64_t y_pixel) {
    const TapRange taps = phase.rows.inside(p);
    DepthwiseLine line{};
    line.channels = channels;
    line.far = far;
    line.columns = phase.columns;
    line.rows = taps.end - taps.begin;
    const int64_t x_line = phase.columns.width * channels;
    line.x = x + (phase.rows.start(p) + taps.begin * phase.rows.dilation) * x_line;
    line.x_row = phase.rows.dilation * x_line;
    line.w = phase.filters + taps.begin * phase.columns.taps * channels;
    line.bias = bias;
    line.act = act;
    line.y = y;
    line.y_pixel = y_pixel;
    kernels().depthwise.line(line);
}

// w[O,taps] -> [taps,O]
void transpose_filters(const Conv2dShape& s, const float* w, float* filters) {
    kernels().gemm.pack(s.o, s.r * s.s, w, s.r * s.s, 1, filters, s.o);
}

// The filters of the phases of the data gradient, [taps,O] each.
void pack_gradient_filters(const Conv2dShape& s, const float* w, float* filters) {
    Scratch<float> plain(s.r * s.s * s.o);
    transpose_filters(s, w, plain.data());
    for (const LinePhase& phase : gradient_phases(s, s.o, filters))
        phase.for_taps(s, [&](int64_t tap, int64_t from) {
            std::copy_n(plain.data() + from * s.o, s.o, filters + (phase.filters - filters) + tap * s.o);
        });
}

// One line of outputs from its sums over the channels that one input channel feeds.
void fold_line(int64_t pixels, int64_t channels, int64_t fold, const float* sums, const float* bias, Activation act,
               float* y, int64_t y_pixel) {
    for (int64_t q = 0; q < pixels; ++q) {
        for (int64_t c = 0; c < channels; ++c) {
            float sum = bias ? bias[c] : 0;
            for (int64_t i = 0; i < fold; ++i) sum += sums[(q * channels + c) * fold + i];
            y[q * y_pixel + c] = activate<float>(act, sum);
        }
    }
}

}  // namespace

bool is_depthwise(const Conv2dShape& s) {
    return s.groups > 1 && s.c == s.groups && s.o / s.c < kernels().vector_width;
}

void depthwise_conv(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
                    Activation act, float* y) {
    const int64_t lines = s.n * s.p;
    if (lines * s.q == 0) return;
    const PackedWeights filters(packed, packing_key(Packing::depthwise, {s.o, s.r, s.s}), s.r * s.s * s.o,
                                [&](float* to) { transpose_filters(s, w, to); });
    const LinePhase phase = forward_phase(s, filters.data());
    const int64_t block = task_lines(lines, s.r * s.s * s.q * s.o, kTaskMacs), tasks = ceil_div(lines, block);
    const int64_t workers = worker_count(tasks), buffer = repeated_size(s, block);
    const bool far = is_far(s);
    Scratch<float> buffers(workers * buffer);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        const int64_t end = std::min(lines, (task + 1) * block);
        for_images(task * block, end, s.p, [&](int64_t image, int64_t p0, int64_t p1) {
            const float* from = repeated(s, x, image, phase.rows.first_line(p0), phase.rows.last_line(p1),
                                         buffers.data() + worker * buffer);
            for (int64_t p = p0; p < p1; ++p)
                run_line(phase, s.o, far, bias, act, p, from, y + (image * s.p + p) * phase.y_row, phase.y_pixel);
        });
    });
}

void depthwise_data_gradient(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed,
                             const float* bias, Activation act, float* dx) {
    const int64_t bands = ceil_div(s.h, s.stride_h), lines = s.n * bands;  // a band has a line of each phase
    if (lines * s.w == 0) return;
    const PackedWeights filters(
        packed,
        packing_key(Packing::depthwise_gradient, {s.groups, s.o, s.c, s.r, s.s, s.h, s.w, s.stride_h, s.stride_w,
                                                  s.dilation_h, s.dilation_w, s.pad_top, s.pad_left}),
        s.r * s.s * s.o, [&](float* to) { pack_gradient_filters(s, w, to); });
    const std::vector<LinePhase> phases = gradient_phases(s, s.o, filters.data());
    const int64_t fold = s.o / s.c, macs = ceil_div(s.r * s.s * s.w * s.o, s.stride_w);
    const int64_t block = task_lines(lines, macs, kTaskMacs), tasks = ceil_div(lines, block),
                  workers = worker_count(tasks);
    const int64_t sums = fold > 1 ? ceil_div(ceil_div(s.w, s.stride_w) * s.o, 1024) * 1024 : 0;
    const bool far = is_far(s);
    Scratch<float> buffers(workers * sums);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        float* line_sums = buffers.data() + worker * sums;
        const int64_t end = std::min(lines, (task + 1) * block);
        for_images(task * block, end, bands, [&](int64_t image, int64_t p0, int64_t p1) {
            const float* from = dy + image * s.p * s.q * s.o;
            for (int64_t p = p0; p < p1; ++p) {
                for (const LinePhase& phase : phases) {
                    if (p >= phase.rows.out) continue;
                    float* to = dx + image * s.h * s.w * s.c + phase.y_offset + p * phase.y_row;
                    if (fold == 1) {
                        run_line(phase, s.o, far, bias, act, p, from, to, phase.y_pixel);
                        continue;
                    }
                    run_line(phase, s.o, far, nullptr, Activation{}, p, from, line_sums, s.o);
                    fold_line(phase.columns.pixels, s.c, fold, line_sums, bias, act, to, phase.y_pixel);
                }
            }
        });
    });
}

void depthwise_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw) {
    const int64_t lines = s.n * s.p, taps = s.r * s.s, size = taps * s.o;
    const int64_t block = std::max(task_lines(lines, taps * s.q * s.o, kTaskMacs), ceil_div(lines, kMostParts));
    const int64_t tasks = ceil_div(lines, block), workers = worker_count(tasks), buffer = repeated_size(s, block);
    const RowAxis rows = row_axis(s);
    const bool far = is_far(s);
    Scratch<float> parts(tasks * size), buffers(workers * buffer);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        float* part = parts.data() + task * size;
        std::fill_n(part, size, 0.0f);
        DepthwiseWeights line{};
        line.channels = s.o;
        line.far = far;
        line.columns = columns_of(s);
        line.x_row = s.dilation_h * s.w * s.o;
        const int64_t end = std::min(lines, (task + 1) * block);
        for_images(task * block, end, s.p, [&](int64_t image, int64_t p0, int64_t p1) {
            const float* from =
                repeated(s, x, image, rows.first_line(p0), rows.last_line(p1), buffers.data() + worker * buffer);
            for (int64_t p = p0; p < p1; ++p) {
                const TapRange inside = rows.inside(p);
                line.rows = inside.end - inside.begin;
                line.x = from + (rows.start(p) + inside.begin * s.dilation_h) * s.w * s.o;
                line.dy = dy + (image * s.p + p) * s.q * s.o;
                line.dw = part + inside.begin * s.s * s.o;
                kernels().depthwise.weights(line);
            }
        });
    });
    parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
        kernels().gemm.sum_parts(tasks, end - begin, parts.data() + begin, size, parts.data() + begin);
    });
    kernels().gemm.pack(taps, s.o, parts.data(), s.o, 1, dw, taps);
}

}  // namespace ck::cpu
