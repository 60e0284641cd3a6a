// Convolution in groups of a few channels. A vector holds several small groups side by side, or a part of a large one;
// the input value that a group's outputs share is spread over its lanes. Lines of the input are read in place, and as
// in the depthwise kernels a column meets every output of the tile whose window holds it.
#pragma once
#include "cpu/isa/depthwise.h"
#include "cpu/isa/vec.h"

namespace {

// Sums of a tile; + 3 taps + 1 of x + 1 of lane numbers = 19 of 32 registers, or 13 of 16.
constexpr int kGroupedPixels = kRegisters == 32 ? 14 : 8;

// Values of input channel k of every lane's group, from the group (or groups) that starts at x; and the lanes in use.
template <class Lanes>
struct SpreadGroups {  // several in a vector, the last vector maybe with fewer
    Lanes lanes;
    vi group;  // first lane of each lane's group
    CK_INLINE SpreadGroups(Lanes l, int64_t size) : lanes(l), group(iota() & static_cast<int32_t>(-size)) {}
    CK_INLINE vf operator()(const float* x, int64_t k) const {
        return permute(lanes.load(x), group + static_cast<int32_t>(k));
    }
};
struct SpreadOne {  // one group fills the vector
    AllLanes lanes;
    CK_INLINE SpreadOne(AllLanes, int64_t) {}
    CK_INLINE vf operator()(const float* x, int64_t k) const { return set1(x[k]); }
};

// One vector of output channels, from c, of `pixels` outputs from q on.
template <class Spread, int taps, int stride, int pixels>
void grouped_tile(const GroupedLine& s, const Spread& spread, const float* w, int64_t x_channel, int64_t c, int64_t q) {
    constexpr int columns = (pixels - 1) * stride + taps;
    const int64_t first = q * stride - s.columns.pad;
    vf sum[pixels];
    const vf start = s.bias ? spread.lanes.load(s.bias + c) : vf{};
#pragma GCC unroll 14
    for (int i = 0; i < pixels; ++i) sum[i] = start;
    for (int64_t r = 0; r < s.rows; ++r, w += taps * s.group_in * kWidth) {
        const float* x = s.x + r * s.x_row + first * s.x_pixel + x_channel;
        for (int64_t k = 0; k < s.group_in; ++k) {
            vf tap[taps];
#pragma GCC unroll 3
            for (int t = 0; t < taps; ++t) tap[t] = load(w + (t * s.group_in + k) * kWidth);
#pragma GCC unroll 29
            for (int j = 0; j < columns; ++j) {
                if (j < taps - 1 && j < -first) continue;
                if (j > columns - taps && j >= s.columns.width - first) continue;
                const vf v = spread(x + j * s.x_pixel, k);
#pragma GCC unroll 3
                for (int t = 0; t < taps; ++t)
                    if (j >= t && (j - t) % stride == 0 && (j - t) / stride < pixels)
                        sum[(j - t) / stride] = fma(v, tap[t], sum[(j - t) / stride]);
            }
        }
    }
    const Bounds bounds(s.act);
#pragma GCC unroll 14
    for (int i = 0; i < pixels; ++i) spread.lanes.store(s.y + (q + i) * s.y_pixel + c, bounds(sum[i]));
}

template <class Spread>
using GroupedTileFunction = void (*)(const GroupedLine&, const Spread&, const float*, int64_t, int64_t, int64_t);

template <class Spread, int taps, int stride, class Pixels>
struct GroupedTileTable;
template <class Spread, int taps, int stride, int... i>
struct GroupedTileTable<Spread, taps, stride, std::integer_sequence<int, i...>> {
    static constexpr GroupedTileFunction<Spread> functions[] = {grouped_tile<Spread, taps, stride, i + 1>...};
};

// The first input channel of the group or groups that hold output channel c.
template <class Shape>
CK_INLINE int64_t input_channel(const Shape& s, int64_t c) {
    return c / s.group_out * s.group_in;
}

// What outputs without any column of the input are.
CK_INLINE void grouped_empty(const GroupedLine& s, int64_t begin, int64_t end) {
    const Bounds bounds(s.act);
    for (int64_t q = begin; q < end; ++q)
        for_vectors(s.last - s.first, [&](int64_t c, auto lanes) {
            const vf start = s.bias ? lanes.load(s.bias + s.first + c) : vf{};
            lanes.store(s.y + q * s.y_pixel + s.first + c, bounds(start));
        });
}

// One vector of output channels of the outputs [middle.begin,middle.end), in tiles of equal width.
template <class Spread, int taps, int stride>
CK_INLINE void grouped_vector(const GroupedLine& s, const Spread& spread, Outputs middle, int64_t c) {
    constexpr const GroupedTileFunction<Spread>* functions =
        GroupedTileTable<Spread, taps, stride, std::make_integer_sequence<int, kGroupedPixels>>::functions;
    const int64_t outputs = middle.end - middle.begin, width = ceil_div(outputs, ceil_div(outputs, kGroupedPixels));
    for (int64_t q = middle.begin; q < middle.end; q += width) {
        const int64_t count = middle.end - q < width ? middle.end - q : width;
        functions[count - 1](s, spread, s.w + c / kWidth * s.w_panel, input_channel(s, c), c, q);
    }
}

// body(c, spread) for the vectors of a line's output channels.
template <class Shape, class Body>
CK_INLINE void for_panels(const Shape& s, Body body) {
    for_vectors(s.last - s.first, [&](int64_t c, auto lanes) {
        if constexpr (sizeof(lanes) == sizeof(AllLanes))
            if (s.group_out >= kWidth) return body(s.first + c, SpreadOne(lanes, s.group_out));
        body(s.first + c, SpreadGroups<decltype(lanes)>(lanes, s.group_out));
    });
}

// body(taps, stride) as types for the kinds of line there are kernels for.
template <int value>
struct Constant {
    static constexpr int is = value;
};
template <class Body>
CK_INLINE void visit_line(const LineColumns& s, Body body) {
    if (s.taps == 1) return s.stride == 1 ? body(Constant<1>{}, Constant<1>{}) : body(Constant<1>{}, Constant<2>{});
    if (s.taps == 2) return body(Constant<2>{}, Constant<1>{});
    return s.stride == 1 ? body(Constant<3>{}, Constant<1>{}) : body(Constant<3>{}, Constant<2>{});
}
bool grouped_supports(int64_t taps, int64_t stride) {
    return stride == 1 ? taps >= 1 && taps <= 3 : stride == 2 && (taps == 1 || taps == 3);
}

void grouped_line(const GroupedLine& s) {
    Outputs middle = outputs_inside(s.columns, false);
    if (middle.end < middle.begin || s.columns.taps == 0 || s.rows == 0) middle.end = middle.begin;
    grouped_empty(s, 0, middle.begin);
    grouped_empty(s, middle.end, s.columns.pixels);
    if (middle.begin < middle.end)
        visit_line(s.columns, [&](auto taps, auto stride) {
            for_panels(s, [&](int64_t c, auto spread) {
                grouped_vector<decltype(spread), decltype(taps)::is, decltype(stride)::is>(s, spread, middle, c);
            });
        });
    if (s.act.kind == ActivationKind::none || s.act.kind == ActivationKind::relu || s.act.kind == ActivationKind::relu6)
        return;
    for (int64_t q = 0; q < s.columns.pixels; ++q) activate_row(s.act, s.last - s.first, s.y + q * s.y_pixel + s.first);
}

// Weight gradient: kWeightChannels input channels x taps sums stay in registers over a line, beside the gradients of a
// tile of outputs: 12 + 7 + 1 of x + 1 of lanes of 32 registers, or 6 + 7 + 2 of 16.
constexpr int kWeightChannels = kRegisters == 32 ? 4 : 2;

template <class Spread, int taps, int stride, int pixels>
CK_INLINE void grouped_weight_tile(const GroupedWeights& s, const Spread& spread, const float* x, int64_t k, int64_t c,
                                   int64_t q, vf (&sum)[kWeightChannels][taps]) {
    constexpr int columns = (pixels - 1) * stride + taps;
    const int64_t first = q * stride - s.columns.pad;
    x += first * s.x_pixel;
    vf dy[pixels];
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) dy[i] = spread.lanes.load(s.dy + (q + i) * s.dy_pixel + c);
#pragma GCC unroll 17
    for (int j = 0; j < columns; ++j) {
        if (j < taps - 1 && j < -first) continue;
        if (j > columns - taps && j >= s.columns.width - first) continue;
#pragma GCC unroll 4
        for (int m = 0; m < kWeightChannels; ++m) {
            const vf v = spread(x + j * s.x_pixel, k + m);
#pragma GCC unroll 3
            for (int t = 0; t < taps; ++t)
                if (j >= t && (j - t) % stride == 0 && (j - t) / stride < pixels)
                    sum[m][t] = fma(v, dy[(j - t) / stride], sum[m][t]);
        }
    }
}

template <class Spread, int taps, int stride>
void grouped_weight_vector(const GroupedWeights& s, const Spread& spread, int64_t c) {
    const Outputs middle = outputs_inside(s.columns, false);
    float* dw = s.dw + c / kWidth * s.dw_panel;
    for (int64_t r = 0; r < s.rows; ++r, dw += taps * s.group_in * kWidth) {
        const float* x = s.x + r * s.x_row + input_channel(s, c);
        for (int64_t k = 0; k < s.group_in; k += kWeightChannels) {
            vf sum[kWeightChannels][taps] = {};
            int64_t q = middle.begin;
            for (; q + kWeightPixels <= middle.end; q += kWeightPixels)
                grouped_weight_tile<Spread, taps, stride, kWeightPixels>(s, spread, x, k, c, q, sum);
            for (; q < middle.end; ++q) grouped_weight_tile<Spread, taps, stride, 1>(s, spread, x, k, c, q, sum);
#pragma GCC unroll 4
            for (int m = 0; m < kWeightChannels; ++m)
#pragma GCC unroll 3
                for (int t = 0; t < taps; ++t) {
                    float* to = dw + (t * s.group_in + k + m) * kWidth;
                    store(to, load(to) + sum[m][t]);
                }
        }
    }
}

void grouped_weights(const GroupedWeights& s) {
    visit_line(s.columns, [&](auto taps, auto stride) {
        for_panels(s, [&](int64_t c, auto spread) {
            grouped_weight_vector<decltype(spread), decltype(taps)::is, decltype(stride)::is>(s, spread, c);
        });
    });
}

constexpr GroupedKernels kGroupedKernels = {grouped_supports, grouped_line, grouped_weights};

}  // namespace
