// Depthwise convolution, vectorised over channels: each channel meets its own filter, so nothing is shared between
// columns. Lines of the input are read in place; taps that would lie in the padding are left out.
//
// The common filters slide: a column of the input is loaded once and meets every output of the tile whose window holds
// it, which takes 1 load for 3 multiplications where a load for each would bind. Others go tap by tap.
#pragma once
#include "cpu/isa/conv2d.h"
#include "cpu/isa/vec.h"

namespace {

constexpr int kDepthwisePixels = 8;  // sums of a tile; + 3 taps of a filter row + 1 of x = 12 of 16 registers

// An activation between two bounds (none, relu, relu6) costs nothing beside the sums; NaN passes.
struct Bounds {
    vf low, high;
    explicit Bounds(Activation act) {
        const bool none = act.kind != ActivationKind::relu && act.kind != ActivationKind::relu6;
        low = set1(none ? -__builtin_inff() : 0);
        high = set1(act.kind == ActivationKind::relu6 ? 6 : __builtin_inff());
    }
    CK_INLINE vf operator()(vf v) const {
        v = greater(low, v);
        return select(v > high, high, v);
    }
};

// Columns [first,last) of those a tile of outputs looks at exist.
struct TileColumns {
    int64_t first, last;
};

// A tile hops from pixel to pixel, which no prefetcher of a CPU follows: far maps took up to twice as long. So each
// vector of channels, of which c is the first, fetches its share of the [pixels,channels] behind those of the tile.
template <int pixels>
CK_INLINE void fetch_ahead(const float* tile, int64_t channels, int64_t c) {
    constexpr int kLine = 64 / sizeof(float);
    const float* share = tile + pixels * (channels + c);
#pragma GCC unroll 16
    for (int i = 0; i < pixels * kWidth; i += kLine) __builtin_prefetch(share + i);
}

// Of the lines of x that a filter covers the last `stride` are new. Behind the last tile of a line begins the next one.
template <int pixels, int stride, class Line>
CK_INLINE void fetch_lines_ahead(const Line& s, const float* x, int64_t c) {
    for (int64_t r = s.rows > stride ? s.rows - stride : 0; r < s.rows; ++r)
        fetch_ahead<pixels * stride>(x + r * s.x_row, s.channels, c);
}

// One vector of channels of `pixels` outputs. x points to the tile's first column.
template <int pixels, int taps, int stride, class Lanes>
CK_INLINE void depthwise_slide(const DepthwiseLine& s, Lanes lanes, const float* x, TileColumns exist,
                               const Bounds& bounds, float* y, int64_t c) {
    constexpr int columns = (pixels - 1) * stride + taps;
    vf sum[pixels];
    const vf start = s.bias ? lanes.load(s.bias + c) : vf{};
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) sum[i] = start;
    const float* w = s.w + c;
    x += c;
    for (int64_t r = 0; r < s.rows; ++r, x += s.x_row, w += s.columns.taps * s.channels) {
        vf tap[taps];
#pragma GCC unroll 3
        for (int t = 0; t < taps; ++t) tap[t] = lanes.load(w + t * s.channels);
#pragma GCC unroll 17
        for (int j = 0; j < columns; ++j) {
            if (j < taps - 1 && j < exist.first) continue;  // a window that touches the image lacks taps - 1 at most
            if (j > columns - taps && j >= exist.last) continue;
            const vf v = in_register(lanes.load(x + j * s.channels));
#pragma GCC unroll 3
            for (int t = 0; t < taps; ++t)
                if (j >= t && (j - t) % stride == 0 && (j - t) / stride < pixels)
                    sum[(j - t) / stride] = fma(v, tap[t], sum[(j - t) / stride]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) lanes.store(y + i * s.y_pixel + c, bounds(sum[i]));
}

// The same for any filter; all the taps [taps.begin,taps.end) of every output exist.
template <int pixels, class Lanes>
CK_INLINE void depthwise_taps(const DepthwiseLine& s, Lanes lanes, const float* x, TapRange taps, const Bounds& bounds,
                              float* y, int64_t c) {
    const int64_t column = s.columns.dilation * s.channels, step = s.columns.stride * s.channels;
    vf sum[pixels];
    const vf start = s.bias ? lanes.load(s.bias + c) : vf{};
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) sum[i] = start;
    for (int64_t r = 0; r < s.rows; ++r) {
        for (int64_t t = taps.begin; t < taps.end; ++t) {
            const vf w = lanes.load(s.w + r * s.columns.taps * s.channels + t * s.channels + c);
            const float* from = x + r * s.x_row + t * column + c;
#pragma GCC unroll 8
            for (int i = 0; i < pixels; ++i) sum[i] = fma(lanes.load(from + i * step), w, sum[i]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) lanes.store(y + i * s.y_pixel + c, bounds(sum[i]));
}

// A tile of outputs from q on; taps = 0: any filter, of which this range exists.
template <int pixels, int taps, int stride, bool far>
void depthwise_tile(const DepthwiseLine& s, int64_t q, TapRange range) {
    const int64_t first = q * s.columns.stride - s.columns.pad;
    const float* x = s.x + first * s.channels;
    float* y = s.y + q * s.y_pixel;
    const Bounds bounds(s.act);
    for_vectors(s.channels, [&](int64_t c, auto lanes) {
        if constexpr (far) {
            fetch_lines_ahead<pixels, stride ? stride : 1>(s, x, c);
#pragma GCC unroll 8
            for (int i = 0; i < pixels; ++i) __builtin_prefetch(y + (pixels + i) * s.y_pixel + c, 1);
        }
        if constexpr (taps > 0)
            depthwise_slide<pixels, taps, stride>(s, lanes, x, {-first, s.columns.width - first}, bounds, y, c);
        else
            depthwise_taps<pixels>(s, lanes, x, range, bounds, y, c);
    });
}

using DepthwiseTileFunction = void (*)(const DepthwiseLine&, int64_t, TapRange);

template <int taps, int stride, bool far, class Pixels>
struct DepthwiseTileTable;
template <int taps, int stride, bool far, int... i>
struct DepthwiseTileTable<taps, stride, far, std::integer_sequence<int, i...>> {
    static constexpr DepthwiseTileFunction functions[] = {depthwise_tile<i + 1, taps, stride, far>...};
};

// Outputs [begin,end) in tiles of equal width, so that none is left alone with the latency of its sum.
template <int taps, int stride>
CK_INLINE void depthwise_tiles(const DepthwiseLine& s, int64_t begin, int64_t end, TapRange range) {
    using Pixels = std::make_integer_sequence<int, kDepthwisePixels>;
    const DepthwiseTileFunction* functions = s.far ? DepthwiseTileTable<taps, stride, true, Pixels>::functions
                                                   : DepthwiseTileTable<taps, stride, false, Pixels>::functions;
    if (begin >= end) return;
    const int64_t width = ceil_div(end - begin, ceil_div(end - begin, kDepthwisePixels));
    for (int64_t q = begin; q < end; q += width) {
        const int64_t count = end - q < width ? end - q : width;
        functions[count - 1](s, q, range);
    }
}

// Outputs [begin,end) whose windows lie inside the image when `whole`, else touch it.
struct Outputs {
    int64_t begin, end;
};
CK_INLINE Outputs outputs_inside(const LineColumns& s, bool whole) {
    const int64_t reach = (s.taps - 1) * s.dilation, lack = whole ? 0 : reach;
    const int64_t least = s.pad - lack, most = s.width - 1 + s.pad - reach + lack;  // q * stride lies between
    const int64_t begin = least > 0 ? ceil_div(least, s.stride) : 0;
    const int64_t end = most < 0 ? 0 : most / s.stride + 1;
    return {begin < s.pixels ? begin : s.pixels, end < s.pixels ? end : s.pixels};
}

void depthwise_line(const DepthwiseLine& s) {
    const bool slides = s.columns.dilation == 1 && ((s.columns.taps == 3 && s.columns.stride <= 2) ||
                                                    (s.columns.taps == 2 && s.columns.stride == 1));
    Outputs middle = outputs_inside(s.columns, !slides);
    if (middle.end < middle.begin) middle.end = middle.begin;
    const auto single = [&](int64_t q) {
        depthwise_tile<1, 0, 0, false>(
            s, q,
            taps_inside(q * s.columns.stride - s.columns.pad, s.columns.taps, s.columns.dilation, s.columns.width));
    };
    for (int64_t q = 0; q < middle.begin; ++q) single(q);
    if (!slides)
        depthwise_tiles<0, 0>(s, middle.begin, middle.end, {0, s.columns.taps});
    else if (s.columns.taps == 2)
        depthwise_tiles<2, 1>(s, middle.begin, middle.end, {});
    else if (s.columns.stride == 1)
        depthwise_tiles<3, 1>(s, middle.begin, middle.end, {});
    else
        depthwise_tiles<3, 2>(s, middle.begin, middle.end, {});
    for (int64_t q = middle.end; q < s.columns.pixels; ++q) single(q);
    if (s.act.kind == ActivationKind::none || s.act.kind == ActivationKind::relu || s.act.kind == ActivationKind::relu6)
        return;
    for (int64_t q = 0; q < s.columns.pixels; ++q) activate_row(s.act, s.channels, s.y + q * s.y_pixel);
}

// Weight gradient. Sums of a line or tile of outputs start at zero and are added to dw once: short chains of roundings.

// Outputs of a sliding tile of a weight gradient, whose dy stay in registers (with 16 of them, partly as operands in
// the first-level cache). The maps of networks for 224 x 224 images are multiples of 7 wide.
constexpr int kWeightPixels = 7;
constexpr int kNarrowLine = 2 * kWeightPixels;

template <int pixels, int stride, class Lanes>
CK_INLINE void depthwise_weight_slide(const DepthwiseWeights& s, Lanes lanes, int64_t q, int64_t c, vf (&sum)[3][3]) {
    constexpr int taps = 3, columns = (pixels - 1) * stride + taps;
    const int64_t first = q * s.columns.stride - s.columns.pad;
    const float* x = s.x + first * s.channels + c;
    vf dy[pixels];
#pragma GCC unroll 8
    for (int i = 0; i < pixels; ++i) dy[i] = lanes.load(s.dy + (q + i) * s.channels + c);
#pragma GCC unroll 17
    for (int j = 0; j < columns; ++j) {
        if (j < taps - 1 && j < -first) continue;
        if (j > columns - taps && j >= s.columns.width - first) continue;
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) {
            if (r >= s.rows) break;
            const vf v = in_register(lanes.load(x + r * s.x_row + j * s.channels));
#pragma GCC unroll 3
            for (int t = 0; t < taps; ++t)
                if (j >= t && (j - t) % stride == 0 && (j - t) / stride < pixels)
                    sum[r][t] = fma(v, dy[(j - t) / stride], sum[r][t]);
        }
    }
}

template <class Lanes>
CK_INLINE void add_weight_sums(const DepthwiseWeights& s, Lanes lanes, int64_t c, const vf (&sum)[3][3]) {
#pragma GCC unroll 3
    for (int r = 0; r < 3; ++r) {
        if (r >= s.rows) break;
#pragma GCC unroll 3
        for (int t = 0; t < 3; ++t) {
            float* to = s.dw + r * s.columns.taps * s.channels + t * s.channels + c;
            lanes.store(to, lanes.load(to) + sum[r][t]);
        }
    }
}

// The sums of a vector of channels stay in registers along the line.
template <int stride>
void depthwise_weights_by_channel(const DepthwiseWeights& s, Outputs middle) {
    for_vectors(s.channels, [&](int64_t c, auto lanes) {
        vf sum[3][3] = {};
        int64_t q = middle.begin;
        for (; q + kWeightPixels <= middle.end; q += kWeightPixels)
            depthwise_weight_slide<kWeightPixels, stride>(s, lanes, q, c, sum);
        for (; q < middle.end; ++q) depthwise_weight_slide<1, stride>(s, lanes, q, c, sum);
        add_weight_sums(s, lanes, c, sum);
    });
}

// Memory is read from end to end, but for what is left over.
template <int stride>
void depthwise_weights_by_tile(const DepthwiseWeights& s, Outputs middle) {
    for (; middle.begin + kWeightPixels <= middle.end; middle.begin += kWeightPixels) {
        const float* x = s.x + (middle.begin * stride - s.columns.pad) * s.channels;
        const float* dy = s.dy + middle.begin * s.channels;
        for_vectors(s.channels, [&](int64_t c, auto lanes) {
            if (s.far) {
                fetch_lines_ahead<kWeightPixels, stride>(s, x, c);
                fetch_ahead<kWeightPixels>(dy, s.channels, c);
            }
            vf sum[3][3] = {};
            depthwise_weight_slide<kWeightPixels, stride>(s, lanes, middle.begin, c, sum);
            add_weight_sums(s, lanes, c, sum);
        });
    }
    if (middle.begin < middle.end) depthwise_weights_by_channel<stride>(s, middle);
}

// Any filter: tap by tap, over the outputs that have it; two sums hide the latency of each other.
void depthwise_weights_taps(const DepthwiseWeights& s) {
    const int64_t step = s.columns.stride * s.channels;
    for (int64_t r = 0; r < s.rows; ++r) {
        for (int64_t t = 0; t < s.columns.taps; ++t) {
            const int64_t first = t * s.columns.dilation - s.columns.pad;  // column of output 0
            const TapRange range = taps_inside(first, s.columns.pixels, s.columns.stride, s.columns.width);
            const float* x = s.x + r * s.x_row + first * s.channels;
            float* dw = s.dw + r * s.columns.taps * s.channels + t * s.channels;
            for_vectors(s.channels, [&](int64_t c, auto lanes) {
                vf sum[4] = {};
                int64_t q = range.begin;
                for (; q + 4 <= range.end; q += 4)
#pragma GCC unroll 4
                    for (int i = 0; i < 4; ++i)
                        sum[i] = fma(lanes.load(x + (q + i) * step + c), lanes.load(s.dy + (q + i) * s.channels + c),
                                     sum[i]);
                for (; q < range.end; ++q)
                    sum[0] = fma(lanes.load(x + q * step + c), lanes.load(s.dy + q * s.channels + c), sum[0]);
                lanes.store(dw + c, lanes.load(dw + c) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
            });
        }
    }
}

void depthwise_weights(const DepthwiseWeights& s) {
    if (s.columns.taps != 3 || s.rows > 3 || s.columns.dilation != 1 || s.columns.stride > 2)
        return depthwise_weights_taps(s);
    const Outputs middle = outputs_inside(s.columns, false);  // the others meet no input
    // Narrow lines usually have many channels, more than the first-level cache holds of a line.
    if (s.columns.pixels <= kNarrowLine || s.far)
        s.columns.stride == 1 ? depthwise_weights_by_tile<1>(s, middle) : depthwise_weights_by_tile<2>(s, middle);
    else
        s.columns.stride == 1 ? depthwise_weights_by_channel<1>(s, middle) : depthwise_weights_by_channel<2>(s, middle);
}

constexpr DepthwiseKernels kDepthwiseKernels = {depthwise_line, depthwise_weights};

}  // namespace
