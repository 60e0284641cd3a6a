// Convolution of one input channel by few filters: they would fill vectors badly, so vectors run over the pixels of a
// line.
#pragma once
#include <utility>

#include "cpu/isa/activation.h"
#include "cpu/isa/conv2d.h"
#include "cpu/isa/gemm.h"

namespace {

// Two vectors of pixels for each: 16 sums, 2 pixels and a weight of 32 registers; 12, 2 and 1 of 16.
constexpr int kMostPixelFilters = kRegisters == 32 ? 8 : 6;

// y[pixels][filters] from [filters][width]. A function of its own: the tiles hold one of it for each number of filters.
__attribute__((noinline)) void interleave(int64_t filters, int64_t pixels, const float* planes, int64_t width,
                                          float* y) {
    pack_transposed(filters, pixels, planes, width, y, filters);
}

// `vectors` vectors of pixels from q; lanes are those of the last.
template <int filters, int vectors, class Lanes>
CK_INLINE void pixel_tile(const PixelLine& s, int64_t q, Lanes lanes) {
    const auto at = [&](int v, auto&& all, auto&& last) { return v + 1 < vectors ? all() : last(); };
    vf acc[filters][vectors];
#pragma GCC unroll 8
    for (int f = 0; f < filters; ++f)
        for (int v = 0; v < vectors; ++v) acc[f][v] = s.bias ? set1(s.bias[f]) : vf{};
    const float* w = s.w;
    for (int64_t t = 0; t < s.taps; ++t, w += filters) {
        const float* from = s.x + s.tap[t] + q;
        vf x[vectors];
        for (int v = 0; v < vectors; ++v)
            x[v] = at(
                v, [&] { return load(from + v * kWidth); }, [&] { return lanes.load(from + v * kWidth); });
#pragma GCC unroll 8
        for (int f = 0; f < filters; ++f) {
            const vf b = set1(w[f]);
            for (int v = 0; v < vectors; ++v) acc[f][v] = fma(b, x[v], acc[f][v]);
        }
    }
    const bool relu = s.act.kind == ActivationKind::relu;
    float planes[filters][vectors * kWidth];
#pragma GCC unroll 8
    for (int f = 0; f < filters; ++f)
        for (int v = 0; v < vectors; ++v) store(planes[f] + v * kWidth, relu ? max0(acc[f][v]) : acc[f][v]);
    const int64_t left = s.pixels - q, count = left < vectors * kWidth ? left : vectors * kWidth;
    interleave(filters, count, planes[0], vectors * kWidth, s.y + q * filters);
}

template <int filters>
void pixel_line(const PixelLine& s) {
    int64_t q = 0;
    for (; q + kWidth < s.pixels; q += 2 * kWidth) {
        const int64_t left = s.pixels - q - kWidth;
        if (left >= kWidth) {
            pixel_tile<filters, 2>(s, q, AllLanes{});
        } else {
            pixel_tile<filters, 2>(s, q, FirstLanes{static_cast<int>(left)});
        }
    }
    if (q < s.pixels) pixel_tile<filters, 1>(s, q, FirstLanes{static_cast<int>(s.pixels - q)});
    if (s.act.kind == ActivationKind::none || s.act.kind == ActivationKind::relu) return;
    activate_row(s.act, s.pixels * filters, s.y);
}

// rows x filters sums in registers over all lines.
template <int filters, int rows>
CK_INLINE void pixel_weight_tile(const PixelWeights& s, int64_t first) {
    vf acc[rows][filters] = {};
    const float* x[rows];
    for (int i = 0; i < rows; ++i) x[i] = s.x + s.tap[first + i];
    for (int64_t line = 0; line < s.lines; ++line) {
        const float* dy = s.dy + line * s.dy_line;
        const int64_t from = line * s.x_line;
        for_vectors(s.pixels, [&](int64_t q, auto lanes) {
            vf a[rows];
#pragma GCC unroll 8
            for (int i = 0; i < rows; ++i) a[i] = lanes.load(x[i] + from + q);
#pragma GCC unroll 8
            for (int f = 0; f < filters; ++f) {
                const vf b = load(dy + f * s.dy_filter + q);
#pragma GCC unroll 8
                for (int i = 0; i < rows; ++i) acc[i][f] = fma(a[i], b, acc[i][f]);
            }
        });
    }
    float* sums = s.sums + first * filters * kWidth;
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i)
#pragma GCC unroll 8
        for (int f = 0; f < filters; ++f, sums += kWidth) store(sums, load(sums) + acc[i][f]);
}

template <int filters>
void pixel_weights(const PixelWeights& s) {
    constexpr int kMost = (kRegisters - 1) / (filters + 1), kRows = kMost < 6 ? kMost : 6;  // sums, x and one of dy
    int64_t t = 0;
    for (; t + kRows <= s.taps; t += kRows) pixel_weight_tile<filters, kRows>(s, t);
    for (; t < s.taps; ++t) pixel_weight_tile<filters, 1>(s, t);
}

template <class Filters>
struct PixelTable;
template <int... f>
struct PixelTable<std::integer_sequence<int, f...>> {
    static constexpr void (*lines[])(const PixelLine&) = {pixel_line<f + 1>...};
    static constexpr void (*weights[])(const PixelWeights&) = {pixel_weights<f + 1>...};
};
using PixelFilters = PixelTable<std::make_integer_sequence<int, kMostPixelFilters>>;

void pixel_line_any(const PixelLine& s) {
    PixelFilters::lines[s.filters - 1](s);
}
void pixel_weights_any(const PixelWeights& s) {
    PixelFilters::weights[s.filters - 1](s);
}

constexpr PixelConvKernels kPixelConvKernels = {kMostPixelFilters, pixel_line_any, pixel_weights_any};

}  // namespace
