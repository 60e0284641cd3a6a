#include "cpu/conv_windows.h"

#include <algorithm>
#include <cstring>

#include "cpu/kernels.h"

namespace ck::cpu {
namespace {

constexpr int64_t kLeastColumns = 32;  // of a block, however wide the image
constexpr int64_t kPixelsAhead = 8;    // of a copy of some channels, which the hardware does not foresee; 4, 16 do too

// Rows of x that `count` output rows of one image need; of a one-row filter only those it meets.
int64_t input_rows(const DirectConv& s, int64_t count) {
    return s.r == 1 ? count : (count - 1) * s.stride_h + (s.r - 1) * s.dilation_h + 1;
}
int64_t input_columns(const DirectConv& s, int64_t count) {
    return s.s == 1 ? count : (count - 1) * s.stride_w + (s.s - 1) * s.dilation_w + 1;
}

// Most input rows of any `rows` consecutive output rows, which may reach over several images.
int64_t most_input_rows(const DirectConv& s, int64_t rows) {
    const int64_t images = std::min(rows, (rows + s.p - 2) / s.p + 1);
    return s.r == 1 ? rows : rows * s.stride_h + images * std::max<int64_t>(0, input_rows(s, 1) - s.stride_h);
}

bool inside(const DirectConv& s) {
    return s.pad_top <= 0 && s.pad_left <= 0 && (s.p - 1) * s.stride_h + (s.r - 1) * s.dilation_h - s.pad_top < s.h &&
           (s.q - 1) * s.stride_w + (s.s - 1) * s.dilation_w - s.pad_left < s.w;
}

bool aliases(int64_t floats) {
    return floats * 4 % 2048 == 0;
}

// One input row, from column w0 by steps of w_step, to dst[columns][pixel_step]; zeros outside the image.
void copy_row(const DirectConv& s, int64_t pixel_step, const float* x, int64_t h, int64_t w0, int64_t w_step,
              int64_t columns, float* dst) {
    const auto bytes = [](int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); };
    if (h < 0 || h >= s.h) {
        std::memset(dst, 0, bytes(columns * pixel_step));
        return;
    }
    // Columns [first,last) lie inside the image.
    const int64_t first = w0 < 0 ? std::min(columns, ceil_div(-w0, w_step)) : 0;
    const int64_t last = w0 < s.w ? std::clamp((s.w - 1 - w0) / w_step + 1, first, columns) : first;
    std::memset(dst, 0, bytes(first * pixel_step));
    std::memset(dst + last * pixel_step, 0, bytes((columns - last) * pixel_step));
    if (first == last) return;
    const float* src = x + (h * s.w + w0 + first * w_step) * s.pixel;
    dst += first * pixel_step;
    if (w_step == 1 && pixel_step == s.pixel) {
        std::memcpy(dst, src, bytes((last - first) * s.pixel));
        return;
    }
    for (int64_t i = first; i < last; ++i, src += w_step * s.pixel, dst += pixel_step) {
        if (s.pixel > s.c)
            for (int64_t c = 0; c < s.c; c += kLineFloats)
                __builtin_prefetch(src + kPixelsAhead * w_step * s.pixel + c);
        std::memcpy(dst, src, bytes(s.c));
    }
}

}  // namespace

DirectConv as_direct(const Conv2dShape& s) {
    DirectConv d{};
    d.n = s.n;
    d.h = s.h;
    d.w = s.w;
    d.pixel = s.c;
    d.groups = s.groups;
    d.c = s.c / s.groups;
    d.o = s.o / s.groups;
    d.r = s.r;
    d.s = s.s;
    d.p = s.p;
    d.q = s.q;
    d.stride_h = s.stride_h;
    d.stride_w = s.stride_w;
    d.dilation_h = s.dilation_h;
    d.dilation_w = s.dilation_w;
    d.pad_top = s.pad_top;
    d.pad_left = s.pad_left;
    d.y_image = s.p * s.q * s.o;
    d.y_row = s.q * s.o;
    d.y_pixel = s.o;
    return d;
}

DirectConv as_rotated(const Conv2dShape& s) {
    DirectConv d = as_direct(s);
    d.h = s.p;
    d.w = s.q;
    d.pixel = s.o;
    d.c = s.o / s.groups;
    d.o = s.c / s.groups;
    d.p = s.h;
    d.q = s.w;
    d.pad_top = s.r - 1 - s.pad_top;
    d.pad_left = s.s - 1 - s.pad_left;
    d.y_image = s.h * s.w * s.c;
    d.y_row = s.w * s.c;
    d.y_pixel = s.c;
    return d;
}

bool pointwise(const DirectConv& s) {
    return s.r == 1 && s.s == 1 && s.stride_h == 1 && s.stride_w == 1 && s.pad_top == 0 && s.pad_left == 0 &&
           s.p == s.h && s.q == s.w && s.y_row == s.q * s.y_pixel && s.y_image == s.p * s.y_row;
}

DirectConv merge_pixels(DirectConv s) {
    if (!pointwise(s)) return s;
    s.w = s.q = s.n * s.p * s.q;
    s.n = s.h = s.p = 1;
    s.y_row = s.y_image = s.q * s.y_pixel;
    return s;
}

bool dilated(const DirectConv& s) {
    return (s.r > 1 && s.dilation_h > 1) || (s.s > 1 && s.dilation_w > 1);
}

OutputRange meeting(int64_t begin, int64_t end, int64_t tap, int64_t stride, int64_t pad, int64_t in) {
    const int64_t offset = tap - pad;  // of the input read by output 0
    const int64_t first = offset < 0 ? ceil_div(-offset, stride) : 0;
    const int64_t stop = offset < in ? (in - 1 - offset) / stride + 1 : 0;
    begin = std::max(begin, first);
    return {begin, std::max(begin, std::min(end, stop))};
}

ConvWindows plan_windows(const DirectConv& s, int64_t pixels, int64_t most_floats, WindowPlace place) {
    ConvWindows v{};
    v.in_place =
        s.k() == 0 || place == WindowPlace::in_place ||
        (place == WindowPlace::in_place_inside && inside(s) && (s.r * s.s == 1 || !aliases(s.pixel * s.stride_w)));
    v.step_h = s.r == 1 && !v.in_place ? 1 : s.stride_h;
    v.step_w = s.s == 1 && !v.in_place ? 1 : s.stride_w;
    v.pixel_step = v.in_place ? s.pixel : s.c + (aliases(s.c * v.step_w) ? 16 : 0);
    const int64_t channels = v.in_place ? s.c : v.pixel_step;
    const auto read = [&](int64_t rows) { return most_input_rows(s, rows) * input_columns(s, v.columns) * channels; };
    const int64_t rows = s.n * s.p;
    v.columns = ceil_div(s.q, ceil_div(s.q, pixels));
    while (v.columns > kLeastColumns && read(1) > most_floats) v.columns = ceil_div(v.columns, 2);
    v.rows = std::min(rows, ceil_div(pixels, v.columns));
    while (v.rows > 1 && read(v.rows) > most_floats) v.rows -= ceil_div(v.rows, 16);
    v.rows = ceil_div(rows, ceil_div(rows, v.rows));
    v.row_blocks = ceil_div(rows, v.rows);
    v.column_blocks = ceil_div(s.q, v.columns);
    v.row_step = v.in_place ? s.w * s.pixel : input_columns(s, v.columns) * v.pixel_step;
    v.buffer = v.in_place ? 0 : ceil_div(read(v.rows), 1024) * 1024;  // no line shared by two workers
    return v;
}

const float* place_windows(const DirectConv& s, const ConvWindows& windows, const float* x, int64_t image, int64_t p0,
                           int64_t count, int64_t q0, int64_t q1, float*& buffer) {
    const float* source = x + image * s.h * s.w * s.pixel;
    const int64_t h0 = p0 * s.stride_h - s.pad_top, w0 = q0 * s.stride_w - s.pad_left;
    if (windows.in_place) return source + (h0 * s.w + w0) * s.pixel;
    const int64_t rows = input_rows(s, count), columns = input_columns(s, q1 - q0);
    const int64_t h_step = s.r == 1 ? s.stride_h : 1, w_step = s.s == 1 ? s.stride_w : 1;
    const float* start = buffer;
    for (int64_t i = 0; i < rows; ++i, buffer += windows.row_step)
        copy_row(s, windows.pixel_step, source, h0 + i * h_step, w0, w_step, columns, buffer);
    return start;
}

}  // namespace ck::cpu
