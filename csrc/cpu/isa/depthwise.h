// Depthwise convolution, vectorised over channels: each channel meets its own filter, so nothing is shared between
// columns and the sums of a few pixels (forward) or taps (weight gradient) fill the registers.
#pragma once
#include "cpu/isa/conv2d.h"
#include "cpu/isa/vec.h"

namespace {

constexpr int kDepthwisePixels = 8;                        // 8 sums + 1 of w + 1 of x of 16 registers
constexpr int kDepthwiseTaps = kRegisters == 32 ? 25 : 9;  // and one of dy, one of x

CK_INLINE vf load_lanes(const float* p, int lanes) {
    return lanes == kWidth ? load(p) : load_n(p, lanes);
}
CK_INLINE void store_lanes(float* p, vf v, int lanes) {
    if (lanes == kWidth) {
        store(p, v);
    } else {
        store_n(p, v, lanes);
    }
}

template <int pixels>
CK_INLINE void depthwise_vector(const DepthwiseLine& s, const float* x, float* y, int64_t c, int lanes) {
    const bool relu = s.act.kind == ActivationKind::relu;
    vf acc[pixels];
    const vf start = s.bias ? load_lanes(s.bias + c, lanes) : vf{};
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) acc[i] = start;
    for (int64_t t = 0; t < s.taps; ++t) {
        const vf w = load_lanes(s.w + t * s.channels + c, lanes);
        const float* from = x + s.tap[t] + c;
#pragma GCC unroll 8
        for (int i = 0; i < pixels; ++i) acc[i] = fma(load_lanes(from + i * s.x_pixel, lanes), w, acc[i]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) store_lanes(y + i * s.y_pixel + c, relu ? max0(acc[i]) : acc[i], lanes);
}

template <int pixels>
void depthwise_pixels(const DepthwiseLine& s, const float* x, float* y) {
    int64_t c = 0;
    for (; c + kWidth <= s.channels; c += kWidth) depthwise_vector<pixels>(s, x, y, c, kWidth);
    if (c < s.channels) depthwise_vector<pixels>(s, x, y, c, static_cast<int>(s.channels - c));
    if (s.act.kind == ActivationKind::none || s.act.kind == ActivationKind::relu) return;
    for (int i = 0; i < pixels; ++i) activate_row(s.act, s.channels, y + i * s.y_pixel);
}

void depthwise_line(const DepthwiseLine& s) {
    int64_t i = 0;
    for (; i + kDepthwisePixels <= s.pixels; i += kDepthwisePixels)
        depthwise_pixels<kDepthwisePixels>(s, s.x + i * s.x_pixel, s.y + i * s.y_pixel);
    for (; i < s.pixels; ++i) depthwise_pixels<1>(s, s.x + i * s.x_pixel, s.y + i * s.y_pixel);
}

template <int taps>
CK_INLINE void depthwise_weight_vector(const DepthwiseWeights& s, const int64_t* tap, float* dw, int64_t c, int lanes) {
    vf acc[taps] = {};
    for (int64_t line = 0; line < s.lines; ++line) {
        const float* x = s.x + line * s.x_line + c;
        const float* dy = s.dy + line * s.dy_line + c;
        for (int64_t q = 0; q < s.pixels; ++q, x += s.x_pixel, dy += s.dy_pixel) {
            const vf g = load_lanes(dy, lanes);
#pragma GCC unroll 25
            for (int t = 0; t < taps; ++t) acc[t] = fma(load_lanes(x + tap[t], lanes), g, acc[t]);
        }
    }
#pragma GCC unroll 25
    for (int t = 0; t < taps; ++t) {
        float* to = dw + t * s.channels + c;
        store_lanes(to, s.accumulate ? load_lanes(to, lanes) + acc[t] : acc[t], lanes);
    }
}

template <int taps>
void depthwise_weight_taps(const DepthwiseWeights& s, const int64_t* tap, float* dw) {
    int64_t c = 0;
    for (; c + kWidth <= s.channels; c += kWidth) depthwise_weight_vector<taps>(s, tap, dw, c, kWidth);
    if (c < s.channels) depthwise_weight_vector<taps>(s, tap, dw, c, static_cast<int>(s.channels - c));
}

using DepthwiseTapsFunction = void (*)(const DepthwiseWeights&, const int64_t*, float*);

template <class Taps>
struct DepthwiseTapsTable;
template <int... i>
struct DepthwiseTapsTable<std::integer_sequence<int, i...>> {
    static constexpr DepthwiseTapsFunction functions[] = {depthwise_weight_taps<i + 1>...};
};

void depthwise_weights(const DepthwiseWeights& s) {
    constexpr const DepthwiseTapsFunction* functions =
        DepthwiseTapsTable<std::make_integer_sequence<int, kDepthwiseTaps>>::functions;
    const int64_t groups = ceil_div(s.taps, kDepthwiseTaps), taps = ceil_div(s.taps, groups);
    for (int64_t t = 0; t < s.taps; t += taps) {
        const int64_t count = s.taps - t < taps ? s.taps - t : taps;
        functions[count - 1](s, s.tap + t, s.dw + t * s.channels);
    }
}

constexpr DepthwiseKernels kDepthwiseKernels = {depthwise_line, depthwise_weights};

}  // namespace
