// Drivers of convolution of one input channel by few filters. Its pixels are contiguous: a zero-padded copy of some
// lines of x has every tap of a line of outputs at a constant offset. As a GEMM: m = N*P*Q, n = O, k = R*S.
#include "cpu/pixel_conv.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/dispatch.h"
#include "cpu/line_conv.h"

namespace ck::cpu {
namespace {

constexpr int64_t kTaskMacs = 500'000;  // about 20 us at half the speed of a register tile
constexpr int64_t kMostParts = 32;      // of a weight gradient

// The padded copy of the lines of x that the outputs [p0,p1) of an image meet, [lines][columns].
struct PaddedLines {
    RowAxis rows;
    int64_t columns;

    explicit PaddedLines(const Conv2dShape& s) : rows(row_axis(s)), columns(s.q + (s.s - 1) * s.dilation_w) {}

    int64_t size(int64_t outputs) const {
        const int64_t lines = (outputs - 1) * rows.stride + (rows.taps - 1) * rows.dilation + 1;
        return ceil_div(std::min(rows.in, lines) * columns, 1024) * 1024;  // no line shared by two workers
    }
    // Where line 0 of the image would be in it.
    const float* copy(const Conv2dShape& s, const float* x, int64_t image, int64_t p0, int64_t p1, float* to) const {
        const int64_t h0 = rows.first_line(p0), h1 = rows.last_line(p1);
        const int64_t first = std::min(s.pad_left, columns), last = std::clamp(s.w + s.pad_left, first, columns);
        for (int64_t h = h0; h < h1; ++h) {
            float* line = to + (h - h0) * columns;
            std::fill_n(line, first, 0.0f);
            std::copy_n(x + (image * s.h + h) * s.w, last - first, line + first);
            std::fill_n(line + last, columns - last, 0.0f);
        }
        return to - h0 * columns;
    }
};

// Offsets of the taps from the line of the first, [R*S].
void list_taps(const Conv2dShape& s, int64_t columns, int64_t* tap) {
    for (int64_t t = 0; t < s.r * s.s; ++t) tap[t] = t / s.s * s.dilation_h * columns + t % s.s * s.dilation_w;
}

}  // namespace

bool pixel_conv_applies(const Conv2dShape& s) {
    return s.groups == 1 && s.c == 1 && s.stride_w == 1 && s.o <= kernels().pixel_conv.most_filters;
}

void pixel_conv(const Conv2dShape& s, const float* x, const float* w, const float* bias, Activation act, float* y) {
    const int64_t lines = s.n * s.p, taps = s.r * s.s;
    if (lines == 0) return;
    const PaddedLines padded(s);
    Scratch<float> filters(taps * s.o);
    kernels().gemm.pack(s.o, taps, w, taps, 1, filters.data(), s.o);
    Scratch<int64_t> tap(taps);
    list_taps(s, padded.columns, tap.data());
    const int64_t block = task_lines(lines, s.q * s.o * taps, kTaskMacs), tasks = ceil_div(lines, block);
    const int64_t workers = worker_count(tasks), buffer = padded.size(std::min(block, s.p));
    Scratch<float> buffers(workers * buffer);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        PixelLine line{};
        line.pixels = s.q;
        line.bias = bias;
        line.filters = static_cast<int>(s.o);
        line.act = act;
        const int64_t end = std::min(lines, (task + 1) * block);
        for_images(task * block, end, s.p, [&](int64_t image, int64_t p0, int64_t p1) {
            const float* from = padded.copy(s, x, image, p0, p1, buffers.data() + worker * buffer);
            for (int64_t p = p0; p < p1; ++p) {
                const TapRange inside = padded.rows.inside(p);
                line.x = from + padded.rows.start(p) * padded.columns;
                line.tap = tap.data() + inside.begin * s.s;
                line.taps = (inside.end - inside.begin) * s.s;
                line.w = filters.data() + inside.begin * s.s * s.o;
                line.y = y + (image * s.p + p) * s.q * s.o;
                kernels().pixel_conv.line(line);
            }
        });
    });
}

void pixel_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw) {
    const int64_t lanes = kernels().vector_width, lines = s.n * s.p, taps = s.r * s.s, size = taps * s.o * lanes;
    const PaddedLines padded(s);
    Scratch<int64_t> tap(taps);
    list_taps(s, padded.columns, tap.data());
    const int64_t block = std::max(task_lines(lines, s.q * s.o * taps, kTaskMacs), ceil_div(lines, kMostParts));
    const int64_t tasks = ceil_div(lines, block), workers = worker_count(tasks), most = std::min(block, s.p);
    const int64_t pitch = ceil_div(s.q, lanes) * lanes, planes = s.o * pitch;  // a line of dy, filter by filter
    const int64_t x_buffer = padded.size(most), buffer = x_buffer + ceil_div(most * planes, 1024) * 1024;
    Scratch<float> parts(tasks * size), buffers(workers * buffer);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        float* const copy = buffers.data() + worker * buffer;
        float* const turned = copy + x_buffer;
        float* const part = parts.data() + task * size;
        std::fill_n(part, size, 0.0f);
        PixelWeights weights{};
        weights.pixels = s.q;
        weights.x_line = s.stride_h * padded.columns;
        weights.dy_line = planes;
        weights.dy_filter = pitch;
        weights.filters = static_cast<int>(s.o);
        const int64_t end = std::min(lines, (task + 1) * block);
        for_images(task * block, end, s.p, [&](int64_t image, int64_t p0, int64_t p1) {
            const float* from = padded.copy(s, x, image, p0, p1, copy);
            for (int64_t p = p0; p < p1; ++p)
                kernels().gemm.pack(s.q, s.o, dy + (image * s.p + p) * s.q * s.o, s.o, 1, turned + (p - p0) * planes,
                                    pitch);
            // Lines that meet the same rows of the filter go together: all but those at the edges of the image.
            for (int64_t p = p0, next; p < p1; p = next) {
                const TapRange inside = padded.rows.inside(p);
                const auto same = [&](const TapRange& r) { return r.begin == inside.begin && r.end == inside.end; };
                for (next = p + 1; next < p1 && same(padded.rows.inside(next));) ++next;
                weights.lines = next - p;
                weights.x = from + padded.rows.start(p) * padded.columns;
                weights.tap = tap.data() + inside.begin * s.s;
                weights.taps = (inside.end - inside.begin) * s.s;
                weights.dy = turned + (p - p0) * planes;
                weights.sums = part + inside.begin * s.s * s.o * lanes;
                kernels().pixel_conv.weights(weights);
            }
        });
    });
    kernels().gemm.sum_parts(tasks, size, parts.data(), size, parts.data());
    for (int64_t o = 0; o < s.o; ++o) {
        for (int64_t t = 0; t < taps; ++t) {
            const float* sums = parts.data() + (t * s.o + o) * lanes;
            float sum = 0;
            for (int64_t i = 0; i < lanes; ++i) sum += sums[i];
            dw[o * taps + t] = sum;
        }
    }
}

}  // namespace ck::cpu
