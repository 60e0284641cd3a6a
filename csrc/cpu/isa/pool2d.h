// Max-pooling kernels. Vectors run over channels, so a window is a few loads at fixed distances and needs no shuffles.
#pragma once
#include "cpu/isa/vec.h"

namespace {

// A vector of window offsets, stored in 1, 2 or 4 bytes each.
template <class Index>
CK_INLINE vi load_offsets(AllLanes, const Index* p) {
    typedef Index Stored __attribute__((vector_size(kWidth * sizeof(Index))));
    Stored v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, vi);
}
template <class Index>
CK_INLINE vi load_offsets(FirstLanes lanes, const Index* p) {
    vi v = {};
    for (int i = 0; i < lanes.n; ++i) v[i] = static_cast<int32_t>(p[i]);
    return v;
}
template <class Index>
CK_INLINE void store_offsets(AllLanes, Index* p, vi v) {
    typedef Index Stored __attribute__((vector_size(kWidth * sizeof(Index))));
    const Stored narrow = __builtin_convertvector(v, Stored);
    memcpy(p, &narrow, sizeof narrow);
}
template <class Index>
CK_INLINE void store_offsets(FirstLanes lanes, Index* p, vi v) {
    for (int i = 0; i < lanes.n; ++i) p[i] = static_cast<Index>(v[i]);
}

// A running maximum: a NaN wins, the first stays; else the first maximum.
struct Maximum {
    vf value;
    vi offset;
    CK_INLINE void consider(vf v, int32_t at) {
        const vi wins = ((v > value) | (v != v)) & (value == value);
        value = select(wins, v, value);
        offset = select(wins, set1_int(at), offset);
    }
};

// One output pixel. kR x kS windows that lie inside the image are unrolled; 0: any part of any window.
template <int kR, int kS, class Index>
CK_INLINE void max_pixel(const Pool2dShape& s, const float* x, TapRange rows, TapRange columns, float* y, Index* argmax,
                         bool stream_y) {
    const int64_t row = s.dilation_h * s.w * s.c, column = s.dilation_w * s.c;  // steps from tap to tap
    for_vectors(s.c, [&](int64_t c, auto lanes) {
        const float* corner = x + c;
        Maximum best;
        if constexpr (kR > 0) {
            best = {lanes.load(corner), vi{}};
#pragma GCC unroll 16
            for (int i = 1; i < kR * kS; ++i) best.consider(lanes.load(corner + i / kS * row + i % kS * column), i);
        } else {
            const int64_t first = rows.begin * s.s + columns.begin;
            best = {lanes.load(corner + rows.begin * row + columns.begin * column),
                    set1_int(static_cast<int32_t>(first))};
            for (int64_t r = rows.begin; r < rows.end; ++r)
                for (int64_t t = columns.begin; t < columns.end; ++t)
                    best.consider(lanes.load(corner + r * row + t * column), static_cast<int32_t>(r * s.s + t));
        }
        stream_y ? stream(y + c, best.value) : lanes.store(y + c, best.value);
        if (argmax) store_offsets(lanes, argmax + c, best.offset);
    });
}

template <int kR, int kS, class Index>
void max_row(const Pool2dShape& s, int64_t p, const float* x, float* y, Index* argmax, bool stream_y) {
    const int64_t h = p * s.stride_h - s.pad_top;
    const TapRange rows = taps_inside(h, s.r, s.dilation_h, s.h);
    for (int64_t q = 0; q < s.q; ++q, y += s.c, argmax += argmax ? s.c : 0) {
        const int64_t w = q * s.stride_w - s.pad_left;
        const float* corner = x + (h * s.w + w) * s.c;
        const bool inside = w >= 0 && w + (s.s - 1) * s.dilation_w < s.w;
        const TapRange columns = inside ? TapRange{0, s.s} : taps_inside(w, s.s, s.dilation_w, s.w);
        if (kR > 0 && inside && rows.begin == 0 && rows.end == kR)
            max_pixel<kR, kS>(s, corner, rows, columns, y, argmax, stream_y);
        else
            max_pixel<0, 0>(s, corner, rows, columns, y, argmax, stream_y);
    }
}

void max_pool_row(const Pool2dShape& s, int64_t p, const float* x, float* y, void* argmax, bool stream_y) {
    if (s.r == 2 && s.s == 2) return max_row<2, 2>(s, p, x, y, static_cast<uint8_t*>(argmax), stream_y);
    if (s.r == 3 && s.s == 3) return max_row<3, 3>(s, p, x, y, static_cast<uint8_t*>(argmax), stream_y);
    switch (argmax_itemsize(s)) {
        case 1:
            return max_row<0, 0>(s, p, x, y, static_cast<uint8_t*>(argmax), stream_y);
        case 2:
            return max_row<0, 0>(s, p, x, y, static_cast<uint16_t*>(argmax), stream_y);
        default:
            return max_row<0, 0>(s, p, x, y, static_cast<uint32_t*>(argmax), stream_y);
    }
}

// Along one axis: the outputs first, first+step, .. whose window holds an input, and the tap it is in each.
struct Cover {
    int64_t first, count, step;
    int64_t tap, tap_step;  // the tap falls from output to output
};

CK_INLINE int64_t common_divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// padded: the input's number counted from the start of the padding
CK_INLINE Cover cover(int64_t padded, int64_t taps, int64_t stride, int64_t dilation, int64_t outputs) {
    const int64_t reach = dilation * (taps - 1), divisor = common_divisor(stride, dilation);
    const int64_t step = dilation / divisor;
    int64_t first = padded > reach ? ceil_div(padded - reach, stride) : 0;
    const int64_t last = padded / stride < outputs - 1 ? padded / stride : outputs - 1;
    for (int64_t tries = 1; tries < step && (padded - first * stride) % dilation; ++tries) ++first;
    if (first > last || (padded - first * stride) % dilation) return {0, 0, 1, 0, 0};
    return {first, (last - first) / step + 1, step, (padded - first * stride) / dilation, stride / divisor};
}

// dx of row h: each pixel gathers the gradients of the windows whose maximum it is, in ascending order.
template <class Index>
CK_INLINE void gather_row(const Pool2dShape& s, int64_t h, const float* dy, const Index* argmax, float* dx,
                          bool stream_dx) {
    const Cover rows = cover(h + s.pad_top, s.r, s.stride_h, s.dilation_h, s.p);
    for (int64_t w = 0; w < s.w; ++w) {
        const Cover columns = cover(w + s.pad_left, s.s, s.stride_w, s.dilation_w, s.q);
        float* pixel = dx + (h * s.w + w) * s.c;
        for_vectors(s.c, [&](int64_t c, auto lanes) {
            vf sum = {};
            for (int64_t i = 0; i < rows.count; ++i) {
                const int64_t tap_row = (rows.tap - i * rows.tap_step) * s.s + columns.tap;
                const int64_t line = ((rows.first + i * rows.step) * s.q + columns.first) * s.c + c;
                for (int64_t j = 0; j < columns.count; ++j) {
                    const int64_t at = line + j * columns.step * s.c;
                    const auto tap = static_cast<int32_t>(tap_row - j * columns.tap_step);
                    sum += select(load_offsets(lanes, argmax + at) == tap, lanes.load(dy + at), vf{});
                }
            }
            stream_dx ? stream(pixel + c, sum) : lanes.store(pixel + c, sum);
        });
    }
}

// For K x K windows of stride 2, K = 2 or 3: a block of 2 x 2 inputs belongs to one (K = 2) or to four windows
// (K = 3), each loaded once for all four inputs. i numbers the blocks downwards from the start of the padding.
template <int K>
void gather_blocks(const Pool2dShape& s, int64_t i, const float* dy, const uint8_t* argmax, float* dx, bool stream_dx) {
    constexpr int kWindows = K - 1;  // along each axis: windows i and i-1 hold block i
    for (int64_t j = 0; 2 * j < s.w + s.pad_left; ++j) {
        int64_t window[kWindows * kWindows], pixel[4];  // offsets; negative: there is none
        for (int a = 0; a < kWindows; ++a)
            for (int b = 0; b < kWindows; ++b) {
                const bool exists = i - a >= 0 && i - a < s.p && j - b >= 0 && j - b < s.q;
                window[a * kWindows + b] = exists ? ((i - a) * s.q + j - b) * s.c : -1;
            }
        for (int a = 0; a < 2; ++a)
            for (int b = 0; b < 2; ++b) {
                const int64_t h = 2 * i + a - s.pad_top, w = 2 * j + b - s.pad_left;
                pixel[a * 2 + b] = h >= 0 && h < s.h && w >= 0 && w < s.w ? (h * s.w + w) * s.c : -1;
            }
        for_vectors(s.c, [&](int64_t c, auto lanes) {
            vf gradient[kWindows * kWindows];
            vi tap[kWindows * kWindows];
#pragma GCC unroll 4
            for (int k = 0; k < kWindows * kWindows; ++k) {
                const bool exists = window[k] >= 0;
                gradient[k] = exists ? lanes.load(dy + window[k] + c) : vf{};
                tap[k] = exists ? load_offsets(lanes, argmax + window[k] + c) : set1_int(-1);
            }
#pragma GCC unroll 4
            for (int k = 0; k < 4; ++k) {
                vf sum = {};
#pragma GCC unroll 4
                for (int m = kWindows * kWindows - 1; m >= 0; --m) {  // ascending windows, as gather_row
                    const int r = k / 2 + 2 * (m / kWindows), t = k % 2 + 2 * (m % kWindows);
                    if (r < K && t < K) sum += select(tap[m] == r * K + t, gradient[m], vf{});
                }
                if (pixel[k] < 0) continue;
                float* to = dx + pixel[k] + c;
                stream_dx ? stream(to, sum) : lanes.store(to, sum);
            }
        });
    }
}

template <class Index>
void gather_rows(const Pool2dShape& s, int64_t begin, int64_t end, const float* dy, const void* argmax, float* dx,
                 bool stream_dx) {
    for (int64_t u = begin > s.pad_top ? begin : s.pad_top; u < end && u < s.h + s.pad_top; ++u)
        gather_row(s, u - s.pad_top, dy, static_cast<const Index*>(argmax), dx, stream_dx);
}

void max_pool_gradient_rows(const Pool2dShape& s, int64_t begin, int64_t end, const float* dy, const void* argmax,
                            float* dx, bool stream_dx) {
    const bool dense = s.stride_h == 2 && s.stride_w == 2 && s.dilation_h == 1 && s.dilation_w == 1 && s.r == s.s;
    if (dense && (s.r == 2 || s.r == 3)) {
        for (int64_t i = begin / 2; 2 * i < end; ++i)
            (s.r == 2 ? gather_blocks<2> : gather_blocks<3>)(s, i, dy, static_cast<const uint8_t*>(argmax), dx,
                                                             stream_dx);
        return;
    }
    switch (argmax_itemsize(s)) {
        case 1:
            return gather_rows<uint8_t>(s, begin, end, dy, argmax, dx, stream_dx);
        case 2:
            return gather_rows<uint16_t>(s, begin, end, dy, argmax, dx, stream_dx);
        default:
            return gather_rows<uint32_t>(s, begin, end, dy, argmax, dx, stream_dx);
    }
}

constexpr Pool2dKernels kPool2dKernels = {max_pool_row, max_pool_gradient_rows};

}  // namespace
