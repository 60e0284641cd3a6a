#include "cpu/depthwise.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/dispatch.h"
#include "cpu/reference/scalar.h"

namespace ck::cpu {
namespace {

constexpr int64_t kTaskMacs = 400'000;        // about 20 us: every term is loaded, so half the speed of a tile at best
constexpr int64_t kBufferFloats = 48 * 1024;  // 192 KiB of input rows of a 1 MiB L2
constexpr int64_t kMostParts = 32;            // of a weight gradient
constexpr int64_t kGrain = 16 * 1024;         // floats of the final sums a task adds up

int64_t taps(const DirectConv& s) {
    return s.r * s.s;
}

int64_t block_pixels(const DirectConv& s) {
    return std::max<int64_t>(16, kTaskMacs / std::max<int64_t>(1, taps(s) * s.o));
}

void fill_taps(const DirectConv& s, const ConvWindows& v, int64_t* tap) {
    for (int64_t t = 0; t < taps(s); ++t) tap[t] = v.tap(s, t / s.s, t % s.s);
}

// One line of outputs from its sums over neighbouring channels.
void fold_line(int64_t pixels, int64_t channels, int64_t fold, const float* sums, const float* bias, Activation act,
               float* y, int64_t y_pixel) {
    for (int64_t q = 0; q < pixels; ++q) {
        for (int64_t c = 0; c < channels; ++c) {
            float sum = bias ? bias[c] : 0;
            for (int64_t i = 0; i < fold; ++i) sum += sums[(q * channels + c) * fold + i];
            y[q * y_pixel + c] = reference::activate<float>(act, sum);
        }
    }
}

struct Problem {
    const DirectConv& s;
    const ConvWindows& v;
    const int64_t* tap;
    const float* filters;
    const float* bias;
    Activation act;
    int64_t fold;
};

// The output line y[pixels, channels] whose first window is x; sums is a line of s.o channels when folding.
void run_line(const Problem& problem, const float* x, int64_t pixels, float* sums, float* y) {
    const DirectConv& s = problem.s;
    const bool fold = problem.fold > 1;
    DepthwiseLine line{};
    line.channels = s.o;
    line.pixels = pixels;
    line.tap = problem.tap;
    line.taps = taps(s);
    line.x = x;
    line.x_pixel = problem.v.step_w * problem.v.pixel_step;
    line.w = problem.filters;
    line.bias = fold ? nullptr : problem.bias;
    line.act = fold ? Activation{} : problem.act;
    line.y = fold ? sums : y;
    line.y_pixel = fold ? s.o : s.y_pixel;
    kernels().depthwise.line(line);
    if (fold) fold_line(pixels, s.o / problem.fold, problem.fold, sums, problem.bias, problem.act, y, s.y_pixel);
}

}  // namespace

bool is_depthwise(const Conv2dShape& s) {
    return s.groups > 1 && s.c == s.groups && s.o / s.c < kernels().vector_width;
}

DirectConv as_depthwise(const Conv2dShape& s) {
    DirectConv d = as_direct(s);
    d.groups = 1;
    d.c = s.c;
    d.o = s.o;
    d.repeat = s.o / s.c;
    return d;
}

void depthwise_conv(const DirectConv& s, const float* x, const float* filters, const float* bias, Activation act,
                    int64_t fold, float* y) {
    if (s.n * s.p * s.q == 0) return;
    const ConvWindows v = plan_windows(s, block_pixels(s), kBufferFloats, false);
    Scratch<int64_t> tap(taps(s));
    fill_taps(s, v, tap.data());
    const Problem problem{s, v, tap.data(), filters, bias, act, fold};
    const int64_t tasks = v.row_blocks * v.column_blocks;
    const int64_t sums = fold > 1 ? ceil_div(v.columns * s.o, 1024) * 1024 : 0;
    const int64_t workers = worker_count(tasks);
    Scratch<float> buffers(workers * (v.buffer + sums));
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        float* line_sums = buffers.data() + worker * (v.buffer + sums);
        float* copy = line_sums + sums;
        const int64_t q0 = task % v.column_blocks * v.columns, q1 = std::min(s.q, q0 + v.columns);
        int64_t f = task / v.column_blocks * v.rows;
        const int64_t end = std::min(s.n * s.p, f + v.rows);
        while (f < end) {
            const int64_t image = f / s.p, p0 = f % s.p, count = std::min(s.p - p0, end - f);
            const float* start = place_windows(s, v, x, image, p0, count, q0, q1, copy);
            for (int64_t i = 0; i < count; ++i)
                run_line(problem, start + i * v.step_h * v.row_step, q1 - q0, line_sums,
                         y + image * s.y_image + (p0 + i) * s.y_row + q0 * s.y_pixel);
            f += count;
        }
    });
}

void depthwise_weight_gradient(const DirectConv& s, const float* x, const float* dy, float* dw) {
    const ConvWindows v = plan_windows(s, block_pixels(s), kBufferFloats, false);
    const int64_t size = taps(s) * s.o, blocks = v.row_blocks * v.column_blocks;
    const int64_t part = ceil_div(blocks, std::min(blocks, kMostParts)), tasks = ceil_div(blocks, part);
    Scratch<int64_t> tap(taps(s));
    fill_taps(s, v, tap.data());
    Scratch<float> parts(tasks * size);
    const int64_t workers = worker_count(tasks);
    Scratch<float> buffers(workers * v.buffer);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        DepthwiseWeights weights{};
        weights.channels = s.o;
        weights.taps = taps(s);
        weights.tap = tap.data();
        weights.x_line = v.step_h * v.row_step;
        weights.x_pixel = v.step_w * v.pixel_step;
        weights.dy_line = s.y_row;
        weights.dy_pixel = s.y_pixel;
        weights.dw = parts.data() + task * size;
        for (int64_t block = task * part; block < std::min(blocks, (task + 1) * part); ++block) {
            const int64_t q0 = block % v.column_blocks * v.columns, q1 = std::min(s.q, q0 + v.columns);
            int64_t f = block / v.column_blocks * v.rows;
            const int64_t end = std::min(s.n * s.p, f + v.rows);
            while (f < end) {
                const int64_t image = f / s.p, p0 = f % s.p, count = std::min(s.p - p0, end - f);
                float* copy = buffers.data() + worker * v.buffer;
                weights.x = place_windows(s, v, x, image, p0, count, q0, q1, copy);
                weights.dy = dy + image * s.y_image + p0 * s.y_row + q0 * s.y_pixel;
                weights.lines = count;
                weights.pixels = q1 - q0;
                kernels().depthwise.weights(weights);
                weights.accumulate = true;
                f += count;
            }
        }
    });
    parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
        kernels().gemm.sum_parts(tasks, end - begin, parts.data() + begin, size, parts.data() + begin);
    });
    kernels().gemm.pack(taps(s), s.o, parts.data(), s.o, 1, dw, taps(s));
}

}  // namespace ck::cpu
