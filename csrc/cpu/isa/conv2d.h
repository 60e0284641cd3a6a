// Direct convolution: the register-tile kernel over rows of pixels named by pointers.
#pragma once
#include "cpu/isa/activation.h"
#include "cpu/isa/conv2d_gradient.h"
#include "cpu/isa/gemm.h"

namespace {

// The activations other than ReLU and ReLU6 run over a stored row while it is in the first-level cache: their code in
// every tile would be ten times the tile's.
__attribute__((noinline)) void activate_row(Activation act, int64_t columns, float* y) {
    visit_activation(act, [&](auto f) { map1(columns, y, y, f); });
}

// rows x vectors sums in registers; the last vector may hold fewer than kWidth columns.
// From `next` on, a line for every k is fetched into the second-level cache.
template <int rows, int vectors>
void conv_tile(const ConvPanel& s, const float* const* x, float* const* y, const float* next) {
    const int tail = s.columns - (vectors - 1) * kWidth;
    vf acc[rows][vectors];
#pragma GCC unroll 4
    for (int j = 0; j < vectors; ++j) {
        vf start = {};
        if (s.bias && !s.accumulate)
            start = j + 1 < vectors ? load(s.bias + j * kWidth) : load_n(s.bias + j * kWidth, tail);
#pragma GCC unroll 14
        for (int i = 0; i < rows; ++i) acc[i][j] = start;
    }
    const bool residual = s.finish && s.residual;
    const auto residual_row = [&](int i) { return s.residual + (y[i] - s.start) + s.y_offset; };
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
        for (int j = 0; j < s.columns; j += 16) __builtin_prefetch(y[i] + s.y_offset + j, 1);
        for (int j = 0; residual && j < s.columns; j += 16) __builtin_prefetch(residual_row(i) + j);
    }
    const float* b = s.b;
    for (int64_t t = 0; t < s.taps; ++t) {
        const float* p[rows];
#pragma GCC unroll 14
        for (int i = 0; i < rows; ++i) p[i] = x[i] + s.tap[t];
#pragma GCC unroll 4
        for (int64_t k = 0; k < s.length; ++k, b += vectors * kWidth, next += kLineFloats) {
            __builtin_prefetch(next, 0, 2);
            vf bv[vectors];
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j) bv[j] = load(b + j * kWidth);
#pragma GCC unroll 14
            for (int i = 0; i < rows; ++i) {
                const vf a = set1(p[i][k]);
#pragma GCC unroll 4
                for (int j = 0; j < vectors; ++j) acc[i][j] = fma(a, bv[j], acc[i][j]);
            }
        }
    }
    const auto add = [&](auto&& row) {
#pragma GCC unroll 14
        for (int i = 0; i < rows; ++i) {
            const float* from = row(i);
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j)
                acc[i][j] +=
                    j + 1 < vectors || tail == kWidth ? load(from + j * kWidth) : load_n(from + j * kWidth, tail);
        }
    };
    if (s.accumulate) add([&](int i) { return y[i] + s.y_offset; });
    if (residual) add(residual_row);
    const bool relu = s.finish && s.act.kind == ActivationKind::relu;
    const bool relu6 = s.finish && s.act.kind == ActivationKind::relu6;
    if (relu6) {
#pragma GCC unroll 14
        for (int i = 0; i < rows; ++i)
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j) acc[i][j] = Relu6{}(acc[i][j]);
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
        float* to = y[i] + s.y_offset;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
            const vf value = relu ? max0(acc[i][j]) : acc[i][j];
            if (j + 1 < vectors || tail == kWidth) {
                store(to + j * kWidth, value);
            } else {
                store_n(to + j * kWidth, value, tail);
            }
        }
    }
    if (relu || relu6 || !s.finish || s.act.kind == ActivationKind::none) return;
    for (int i = 0; i < rows; ++i) activate_row(s.act, s.columns, y[i] + s.y_offset);
}

using ConvTileFunction = void (*)(const ConvPanel&, const float* const*, float* const*, const float*);

template <int vectors, class Rows>
struct ConvTileTable;
template <int vectors, int... i>
struct ConvTileTable<vectors, std::integer_sequence<int, i...>> {
    static constexpr ConvTileFunction functions[] = {conv_tile<i + 1, vectors>...};
};

// Where the panels of b stream by, the first tiles fetch as much of what follows as the panel holds. The others fetch
// the windows of the next tile: the hardware does not foresee several rows that each end after a few lines. Tiles of
// equal height, so that no pixel is computed twice and none is left to a low tile alone.
template <int vectors>
CK_INLINE void conv_tiles(const ConvPanel& s) {
    constexpr int most = most_named_rows(vectors);
    constexpr const ConvTileFunction* functions =
        ConvTileTable<vectors, std::make_integer_sequence<int, most>>::functions;
    const int64_t tiles = ceil_div(s.pixels, most), rows = ceil_div(s.pixels, tiles), k = s.taps * s.length;
    const int64_t lines = k * vectors * kWidth / kLineFloats;
    const int64_t start = s.taps ? s.tap[0] : 0;
    int64_t fetched = s.b_streams ? 0 : lines;
    for (int64_t i = 0; i < s.pixels; i += rows) {
        const int64_t count = s.pixels - i < rows ? s.pixels - i : rows;
        const float* next = fetched < lines ? s.b + (lines + fetched) * kLineFloats : s.x[i + count] + start;
        functions[count - 1](s, s.x + i, s.y + i, next);
        fetched += k;
    }
}

void conv_panel(const ConvPanel& s) {
    switch ((s.columns + kWidth - 1) / kWidth) {
        case 1:
            return conv_tiles<1>(s);
        case 2:
            return conv_tiles<2>(s);
#if defined(CK_ISA_avx512) || defined(CK_ISA_neon)
        case 3:
            return conv_tiles<3>(s);
#endif
        default:
            return conv_tiles<WideTile::vectors>(s);
    }
}

constexpr Conv2dKernels kConv2dKernels = {WideTile::columns, most_rows(WideTile::vectors), conv_panel, weight_panel,
                                          add_windows};

}  // namespace
