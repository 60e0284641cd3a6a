// Winograd's minimal filtering, F(m x m, r x r) (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks",
// 2015): tiles of m + r - 1 pixels squared are evaluated at as many points squared, multiplied point by point by the
// filters' values there, and interpolated. The transforms here run over channels, so they need no shuffles.
#pragma once
#include "cpu/isa/activation.h"
#include "cpu/isa/conv2d.h"
#include "cpu/isa/pool2d.h"
#include "cpu/isa/vec.h"

namespace {

// The points: 0, one or two pairs +-p, infinity. A pixel tile is multiplied by B^T (`input`); polynomials with n
// coefficients are evaluated (`evaluate`: rows 1, p, p^2, ...; the point infinity has the last coefficient) and the
// other way round (`combine`, the transpose). kScale are the factors of the points that the filters carry.
template <int points>
struct Points;

template <>
struct Points<4> {  // 0, +-1, infinity
    static constexpr float kScale[4] = {1, 0.5f, 0.5f, 1};
    static CK_INLINE void input(const vf* d, vf* v) {
        v[0] = d[0] - d[2];
        v[1] = d[1] + d[2];
        v[2] = d[2] - d[1];
        v[3] = d[3] - d[1];
    }
    template <int n>
    static CK_INLINE void evaluate(const vf* y, vf* v) {
        const vf even = n > 2 ? y[0] + y[2] : y[0];
        v[0] = y[0];
        v[1] = even + y[1];
        v[2] = even - y[1];
        v[3] = y[n - 1];
    }
    template <int n>
    static CK_INLINE void combine(const vf* v, vf* y) {
        const vf even = v[1] + v[2], odd = v[1] - v[2];
        y[0] = v[0] + even;
        y[1] = odd;
        if (n > 2) y[2] = even;
        y[n - 1] += v[3];
    }
};

// 0, +-a, +-b, infinity with a = 1/sqrt(2) and b = sqrt(2): as many operations as with the usual 1 and 2 at a quarter
// of the rounding error, because no power of them is far from 1.
template <>
struct Points<6> {
    static constexpr float kA = 0.70710678118654752440f, kB = 1.41421356237309504880f, kA2 = 0.5f, kB2 = 2;
    // 1 / product of (p - q) over the other finite points q: 1, 1 / (2a^2 (a^2 - b^2)), 1 / (2b^2 (b^2 - a^2)).
    static constexpr float kScale[6] = {1, -2 / 3.0f, -2 / 3.0f, 1 / 6.0f, 1 / 6.0f, 1};
    static CK_INLINE void input(const vf* d, vf* v) {
        const vf even_a = fma(d[2], set1(-kB2), d[4]), odd_a = kA * fma(d[1], set1(-kB2), d[3]);
        const vf even_b = fma(d[2], set1(-kA2), d[4]), odd_b = kB * fma(d[1], set1(-kA2), d[3]);
        v[0] = fma(d[2], set1(-(kA2 + kB2)), d[0] + d[4]);
        v[1] = even_a + odd_a;
        v[2] = even_a - odd_a;
        v[3] = even_b + odd_b;
        v[4] = even_b - odd_b;
        v[5] = fma(d[3], set1(-(kA2 + kB2)), d[1] + d[5]);
    }
    template <int n>
    static CK_INLINE void evaluate(const vf* y, vf* v) {
        vf even_a = y[0], even_b = y[0], odd_a = y[1], odd_b = y[1];
        if (n > 4) {
            even_a = fma(fma(y[4], set1(kA2), y[2]), set1(kA2), y[0]);
            even_b = fma(fma(y[4], set1(kB2), y[2]), set1(kB2), y[0]);
        } else if (n > 2) {
            even_a = fma(y[2], set1(kA2), y[0]);
            even_b = fma(y[2], set1(kB2), y[0]);
        }
        if (n > 3) {
            odd_a = fma(y[3], set1(kA2), y[1]);
            odd_b = fma(y[3], set1(kB2), y[1]);
        }
        odd_a *= kA;
        odd_b *= kB;
        v[0] = y[0];
        v[1] = even_a + odd_a;
        v[2] = even_a - odd_a;
        v[3] = even_b + odd_b;
        v[4] = even_b - odd_b;
        v[5] = y[n - 1];
    }
    template <int n>
    static CK_INLINE void combine(const vf* v, vf* y) {
        const vf even_a = v[1] + v[2], odd_a = kA * (v[1] - v[2]);
        const vf even_b = v[3] + v[4], odd_b = kB * (v[3] - v[4]);
        y[0] = v[0] + (even_a + even_b);
        y[1] = odd_a + odd_b;
        if (n > 2) y[2] = fma(even_a, set1(kA2), kB2 * even_b);
        if (n > 3) y[3] = fma(odd_a, set1(kA2), kB2 * odd_b);
        if (n > 4) y[4] = fma(even_a, set1(kA2 * kA2), kB2 * kB2 * even_b);
        y[n - 1] += v[5];
    }
};

// Without 0, for an even number of finite points: of the filters' factors 1 / product of (p - q), those of -p differ in
// sign.
template <>
struct Points<5> {
    using Six = Points<6>;
    static constexpr float kScale[5] = {-0.47140452079103168293f, 0.47140452079103168293f, 0.23570226039551584147f,
                                        -0.23570226039551584147f, 1};
    static CK_INLINE void input(const vf* d, vf* v) {
        const vf even_a = fma(d[1], set1(-Six::kB2), d[3]), odd_a = Six::kA * fma(d[0], set1(-Six::kB2), d[2]);
        const vf even_b = fma(d[1], set1(-Six::kA2), d[3]), odd_b = Six::kB * fma(d[0], set1(-Six::kA2), d[2]);
        v[0] = even_a + odd_a;
        v[1] = even_a - odd_a;
        v[2] = even_b + odd_b;
        v[3] = even_b - odd_b;
        v[4] = fma(d[2], set1(-(Six::kA2 + Six::kB2)), d[0] + d[4]);
    }
    template <int n>
    static CK_INLINE void evaluate(const vf* y, vf* v) {
        vf six[6];
        Six::evaluate<n>(y, six);
        for (int i = 0; i < 5; ++i) v[i] = six[i + 1];
    }
    template <int n>
    static CK_INLINE void combine(const vf* v, vf* y) {
        const vf six[6] = {vf{}, v[0], v[1], v[2], v[3], v[4]};
        Six::combine<n>(six, y);
    }
};

// store(i, j, T t T^T) for the matrix t = load(i, j) of size in x in, where step(d, v) is v = T d for one column.
template <int in, int out, class Step, class Load, class Store>
CK_INLINE void transform(Step step, Load load, Store store) {
    vf half[out][in];
#pragma GCC unroll 9
    for (int j = 0; j < in; ++j) {
        vf d[in], v[out];
#pragma GCC unroll 9
        for (int i = 0; i < in; ++i) d[i] = load(i, j);
        step(d, v);
#pragma GCC unroll 9
        for (int i = 0; i < out; ++i) half[i][j] = v[i];
    }
#pragma GCC unroll 9
    for (int i = 0; i < out; ++i) {
        vf v[out];
        step(half[i], v);
#pragma GCC unroll 9
        for (int j = 0; j < out; ++j) store(i, j, v[j]);
    }
}

template <int points>
struct InputStep {
    CK_INLINE void operator()(const vf* d, vf* v) const { Points<points>::input(d, v); }
};
template <int points, int n>
struct EvaluateStep {
    CK_INLINE void operator()(const vf* y, vf* v) const { Points<points>::template evaluate<n>(y, v); }
};
template <int points, int n>
struct CombineStep {
    CK_INLINE void operator()(const vf* v, vf* y) const { Points<points>::template combine<n>(v, y); }
};
// The filters' own: evaluate and combine with the factors of the points.
template <int points, int n>
struct FilterStep {
    CK_INLINE void operator()(const vf* w, vf* u) const {
        Points<points>::template evaluate<n>(w, u);
#pragma GCC unroll 6
        for (int i = 0; i < points; ++i) u[i] *= Points<points>::kScale[i];
    }
};
template <int points, int n>
struct FilterGradientStep {
    CK_INLINE void operator()(const vf* u, vf* w) const {
        vf scaled[points] = {};
#pragma GCC unroll 6
        for (int i = 0; i < points; ++i) scaled[i] = Points<points>::kScale[i] * u[i];
        Points<points>::template combine<n>(scaled, w);
    }
};

// F(4x4,3x3) of stride 2 and padding 1, "decomposed" (Huang et al., "DWM: A Decomposable Winograd Method", 2020): even
// pixels meet the outer taps, odd ones the middle one, which makes a convolution of stride 1 each, F(4,2) with 5 points
// and F(4,1), whose 4 points are its pixels. The latter's filter is the same at all of them and is stored once.
constexpr int kStridedPoints = 9, kStridedFilterPoints = 6;
struct StridedInput {  // 9 pixels
    CK_INLINE void operator()(const vf* d, vf* v) const {
        const vf even[5] = {d[0], d[2], d[4], d[6], d[8]};
        Points<5>::input(even, v);
        for (int i = 0; i < 4; ++i) v[5 + i] = d[2 * i + 1];
    }
};
struct StridedEvaluate {  // 4 of dy
    CK_INLINE void operator()(const vf* y, vf* v) const {
        Points<5>::evaluate<4>(y, v);
        for (int i = 0; i < 4; ++i) v[5 + i] = y[i];
    }
};
struct StridedCombine {
    CK_INLINE void operator()(const vf* v, vf* y) const {
        Points<5>::combine<4>(v, y);
        for (int i = 0; i < 4; ++i) y[i] += v[5 + i];
    }
};
struct StridedFilter {
    CK_INLINE void operator()(const vf* w, vf* u) const {
        const vf outer[2] = {w[0], w[2]};
        FilterStep<5, 2>{}(outer, u);
        u[5] = w[1];
    }
};
struct StridedFilterGradient {
    CK_INLINE void operator()(const vf* u, vf* w) const {
        vf outer[2];
        FilterGradientStep<5, 2>{}(u, outer);
        w[0] = outer[0];
        w[1] = u[5];
        w[2] = outer[1];
    }
};
// The data gradient, 8x8 pixels of dx from 5x5 of dy: odd pixels meet the outer taps, even ones the middle one.
struct AdjointInput {
    CK_INLINE void operator()(const vf* d, vf* v) const {
        Points<5>::input(d, v);
        for (int i = 0; i < 4; ++i) v[5 + i] = d[i];
    }
};
struct AdjointCombine {
    CK_INLINE void operator()(const vf* v, vf* y) const {
        vf odd[4];
        Points<5>::combine<4>(v, odd);
        for (int i = 0; i < 4; ++i) {
            y[2 * i] = v[5 + i];
            y[2 * i + 1] = odd[i];
        }
    }
};

// A tile of the image that 2x2 max-pooling had before it.
template <int size, int points, class Step>
CK_INLINE void winograd_pooled_tile(Step step, const WinogradTile& s) {
    int64_t row[size], column[size];  // of the window that each pixel is in
    int32_t row_place[size], column_place[size];
    for (int i = 0; i < size; ++i) {
        row[i] = (i + s.odd_row) / 2 * s.row;
        row_place[i] = (i + s.odd_row) % 2 * 2;
        column[i] = (i + s.odd_column) / 2 * s.pixel;
        column_place[i] = (i + s.odd_column) % 2;
    }
    const int64_t point = s.v_point;
    for_vectors(s.channels, [&](int64_t c, auto lanes) {
        float* v = s.v + c;
        transform<size, points>(
            step,
            [&](int i, int j) {
                const bool exists = i >= s.row0 && i < s.row1 && j >= s.column0 && j < s.column1;
                if (!exists) return vf{};
                const int64_t at = row[i] + column[j] + c;
                const vi place = load_offsets(lanes, s.argmax + at);
                return select(place == row_place[i] + column_place[j], lanes.load(s.x + at), vf{});
            },
            [&](int i, int j, vf value) { ::store(v + (i * points + j) * point, value); });
    });
}

// v[point][channels] of one tile of size x size pixels, of which rows [row0,row1) x columns [column0,column1) exist.
template <int size, int points, class Step>
CK_INLINE void winograd_tile(Step step, const WinogradTile& s) {
    if (s.argmax) return winograd_pooled_tile<size, points>(step, s);
    const int64_t pixel = s.pixel, row = s.row, point = s.v_point;
    if (s.row0 == 0 && s.column0 == 0 && s.row1 == size && s.column1 == size) {
        for_vectors(s.channels, [&](int64_t c, auto lanes) {
            const float* x = s.x + c;
            float* v = s.v + c;
            transform<size, points>(
                step, [&](int i, int j) { return lanes.load(x + i * row + j * pixel); },
                [&](int i, int j, vf value) { ::store(v + (i * points + j) * point, value); });
        });
        return;
    }
    for_vectors(s.channels, [&](int64_t c, auto lanes) {
        const float* x = s.x + c;
        float* v = s.v + c;
        transform<size, points>(
            step,
            [&](int i, int j) {
                const bool exists = i >= s.row0 && i < s.row1 && j >= s.column0 && j < s.column1;
                return exists ? lanes.load(x + i * row + j * pixel) : vf{};
            },
            [&](int i, int j, vf value) { ::store(v + (i * points + j) * point, value); });
    });
}

template <int size, int points, class Step>
void winograd_input(const WinogradTile& s) {
    winograd_tile<size, points>(Step{}, s);
}

// y = activation(A^T v A + bias + residual) for the rows x columns pixels of the tile that exist.
template <int m, int points, class Step>
void winograd_output(const WinogradOutput& s) {
    const bool relu = s.act.kind == ActivationKind::relu;
    for_vectors(s.channels, [&](int64_t c, auto lanes) {
        const vf bias = s.bias ? lanes.load(s.bias + c) : vf{};
        const float* v = s.v + c;
        float* y = s.y + c;
        transform<points, m>(
            Step{}, [&](int i, int j) { return ::load(v + (i * points + j) * s.v_point); },
            [&](int i, int j, vf value) {
                if (i >= s.rows || j >= s.columns) return;
                const int64_t at = i * s.row + j * s.pixel;
                value += bias;
                if (s.residual) value += lanes.load(s.residual + c + at);
                lanes.store(y + at, relu ? max0(value) : value);
            });
    });
    if (relu || s.act.kind == ActivationKind::none) return;
    for (int64_t i = 0; i < s.rows; ++i)
        for (int64_t j = 0; j < s.columns; ++j) activate_row(s.act, s.channels, s.y + i * s.row + j * s.pixel);
}

// The maxima of 2x2 outputs, and where in their window they lie.
template <int m, int points, class Step>
void winograd_output_pooled(const WinogradOutput& s) {
    const bool relu = s.act.kind == ActivationKind::relu;
    for_vectors(s.channels, [&](int64_t c, auto lanes) {
        const vf bias = s.bias ? lanes.load(s.bias + c) : vf{};
        const float* v = s.v + c;
        vf z[m][m];
        transform<points, m>(
            Step{}, [&](int i, int j) { return ::load(v + (i * points + j) * s.v_point); },
            [&](int i, int j, vf value) {
                value += bias;
                z[i][j] = relu ? max0(value) : value;
            });
#pragma GCC unroll 2
        for (int i = 0; i < m / 2; ++i) {
#pragma GCC unroll 2
            for (int j = 0; j < m / 2; ++j) {
                if (i >= s.rows || j >= s.columns) continue;
                Maximum best(z[2 * i][2 * j], 0);
                best.consider(z[2 * i][2 * j + 1], 1);
                best.consider(z[2 * i + 1][2 * j], 2);
                best.consider(z[2 * i + 1][2 * j + 1], 3);
                const int64_t at = i * s.row + j * s.pixel + c;
                lanes.store(s.y + at, best.value);
                if (s.argmax) store_offsets(lanes, s.argmax + at, best.offset);
            }
        }
    });
}

// u[point][k][columns] = G w G^T, columns rounded up to whole vectors.
template <int r, int points, class Step>
void winograd_filters(const WinogradFilters& s) {
    constexpr int64_t kAhead = 4;  // channels, whose filters lie kilobytes apart: the hardware does not look ahead
    for (int64_t k = 0; k < s.k; ++k) {
        for_vectors(s.columns, [&](int64_t c, auto lanes) {
            const float* w = s.w + k * s.w_k + c;
#pragma GCC unroll 5
            for (int i = 0; i < r; ++i)
#pragma GCC unroll 5
                for (int j = 0; j < r; ++j) __builtin_prefetch(w + kAhead * s.w_k + i * s.w_row + j * s.w_column);
            float* u = s.u + k * s.u_k + c;
            transform<r, points>(
                Step{}, [&](int i, int j) { return lanes.load(w + i * s.w_row + j * s.w_column); },
                [&](int i, int j, vf value) { ::store(u + (i * points + j) * s.u_point, value); });
        });
    }
}

// dw (+)= G^T u G
template <int r, int points, class Step>
void winograd_filter_gradient(const WinogradFilterGradient& s) {
    for (int64_t o = 0; o < s.rows; ++o) {
        for_vectors(s.columns, [&](int64_t c, auto lanes) {
            const float* u = s.u + o * s.u_row + c;
            float* dw = s.dw + o * s.dw_row + c;
            transform<points, r>(
                Step{}, [&](int i, int j) { return lanes.load(u + (i * points + j) * s.u_point); },
                [&](int i, int j, vf value) {
                    float* to = dw + (i * r + j) * s.dw_tap;
                    lanes.store(to, s.accumulate ? lanes.load(to) + value : value);
                });
        });
    }
}

template <int m, int r, int points = m + r - 1>
constexpr WinogradKernels kWinograd = {m,
                                       points,
                                       points,
                                       points,
                                       1,
                                       1,
                                       winograd_input<points, points, InputStep<points>>,
                                       winograd_input<m, points, EvaluateStep<points, m>>,
                                       winograd_output<m, points, CombineStep<points, m>>,
                                       winograd_output_pooled<m, points, CombineStep<points, m>>,
                                       winograd_filters<r, points, FilterStep<points, r>>,
                                       winograd_filter_gradient<r, points, FilterGradientStep<points, r>>};

constexpr WinogradKernels kWinogradStrided = {4,
                                              9,
                                              kStridedPoints,
                                              kStridedFilterPoints,
                                              2,
                                              1,
                                              winograd_input<9, kStridedPoints, StridedInput>,
                                              winograd_input<4, kStridedPoints, StridedEvaluate>,
                                              winograd_output<4, kStridedPoints, StridedCombine>,
                                              winograd_output_pooled<4, kStridedPoints, StridedCombine>,
                                              winograd_filters<3, kStridedFilterPoints, StridedFilter>,
                                              winograd_filter_gradient<3, kStridedFilterPoints, StridedFilterGradient>};
constexpr WinogradKernels kWinogradAdjoint = {8,
                                              5,
                                              kStridedPoints,
                                              kStridedFilterPoints,
                                              1,
                                              2,
                                              winograd_input<5, kStridedPoints, AdjointInput>,
                                              nullptr,
                                              winograd_output<8, kStridedPoints, AdjointCombine>,
                                              nullptr,
                                              winograd_filters<3, kStridedFilterPoints, StridedFilter>,
                                              nullptr};

}  // namespace
