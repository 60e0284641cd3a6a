// Max-pooling kernels. Vectors run over channels, so a window is a few loads at fixed distances and needs no shuffles.
#pragma once
#include "cpu/isa/vec.h"

namespace {

// A vector of window offsets, stored in 1, 2 or 4 bytes each.
template <class Index>
CK_INLINE vi load_offsets(AllLanes, const Index* p) {
    if constexpr (sizeof(Index) == 1) return load_bytes(p);
    typedef Index Stored __attribute__((vector_size(kWidth * sizeof(Index))));
    Stored v;
    memcpy(&v, p, sizeof v);
    return __builtin_convertvector(v, vi);
}
template <class Index>
CK_INLINE vi load_offsets(FirstLanes lanes, const Index* p) {
    if constexpr (sizeof(Index) == 1) return load_bytes_n(p, lanes.n);
    vi v = {};
    for (int i = 0; i < lanes.n; ++i) v[i] = static_cast<int32_t>(p[i]);
    return v;
}
template <class Index>
CK_INLINE void store_offsets(AllLanes, Index* p, vi v) {
    if constexpr (sizeof(Index) == 1) return store_bytes(p, v);
    typedef Index Stored __attribute__((vector_size(kWidth * sizeof(Index))));
    const Stored narrow = __builtin_convertvector(v, Stored);
    memcpy(p, &narrow, sizeof narrow);
}
template <class Index>
CK_INLINE void store_offsets(FirstLanes lanes, Index* p, vi v) {
    if constexpr (sizeof(Index) == 1) return store_bytes_n(p, v, lanes.n);
    for (int i = 0; i < lanes.n; ++i) p[i] = static_cast<Index>(v[i]);
}

// The first maximum of numbers, and a sum that is NaN if any of them is.
struct NumberMaximum {
    vf value, sum;
    vi offset;
    CK_INLINE NumberMaximum(vf v, int32_t at) : value(v), sum(v), offset(set1_int(at)) {}
    CK_INLINE void consider(vf v, int32_t at) {
        offset = select(v > value, set1_int(at), offset);
        value = greater(v, value);
        sum += v;
    }
};

// The first NaN, else the first maximum.
struct Maximum {
    vf value;
    vi offset;
    CK_INLINE Maximum(vf v, int32_t at) : value(v), offset(set1_int(at)) {}
    CK_INLINE void consider(vf v, int32_t at) {
        const vi wins = ((v > value) | (v != v)) & (value == value);
        value = select(wins, v, value);
        offset = select(wins, set1_int(at), offset);
    }
};

// Walks the taps of a window, of one vector of channels: kR x kS windows that lie inside the image are unrolled; 0: any
// part of any window.
template <class Best, int kR, int kS, class Lanes>
CK_INLINE Best walk_window(const Pool2dShape& s, Lanes lanes, const float* corner, TapRange rows, TapRange columns) {
    const int64_t row = s.dilation_h * s.w * s.c, column = s.dilation_w * s.c;  // steps from tap to tap
    if constexpr (kR > 0) {
        Best best(lanes.load(corner), 0);
#pragma GCC unroll 16
        for (int i = 1; i < kR * kS; ++i) best.consider(lanes.load(corner + i / kS * row + i % kS * column), i);
        return best;
    }
    Best best(lanes.load(corner + rows.begin * row + columns.begin * column),
              static_cast<int32_t>(rows.begin * s.s + columns.begin));
    for (int64_t r = rows.begin; r < rows.end; ++r)
        for (int64_t t = columns.begin + (r == rows.begin); t < columns.end; ++t)
            best.consider(lanes.load(corner + r * row + t * column), static_cast<int32_t>(r * s.s + t));
    return best;
}

// Asks for what windows further on in the rows of the image read anew where the stride is 2: two rows, each two vectors
// on for every vector of the output. The windows hop from pixel to pixel, which no prefetcher of a CPU follows.
CK_INLINE void prefetch_windows(const Pool2dShape& s, const float* corner) {
    constexpr int kAhead = 512;  // 2 KiB
    const float* row = corner + (s.r - 2) * s.dilation_h * s.w * s.c + kAhead;
    for (int r = 0; r < 2; ++r, row += s.dilation_h * s.w * s.c) {
        __builtin_prefetch(row);
        __builtin_prefetch(row + kWidth);
    }
}

// One output pixel. NaN (or infinities of both signs) are rare: the exact walk is left to them.
template <int kR, int kS, class Index>
CK_INLINE void max_pixel(const Pool2dShape& s, const float* corner, TapRange rows, TapRange columns, float* y,
                         Index* argmax, bool stream_y) {
    for_vectors(s.c, [&](int64_t c, auto lanes) {
        if constexpr (kR > 0) prefetch_windows(s, corner + 2 * c);
        const auto quick = walk_window<NumberMaximum, kR, kS>(s, lanes, corner + c, rows, columns);
        vf value = quick.value;
        vi offset = quick.offset;
        if (__builtin_expect(any_nan(quick.sum), 0)) {
            const auto exact = walk_window<Maximum, 0, 0>(s, lanes, corner + c, rows, columns);
            value = exact.value;
            offset = exact.offset;
        }
        stream_y ? stream(y + c, value) : lanes.store(y + c, value);
        if (argmax) store_offsets(lanes, argmax + c, offset);
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

// For K x K windows of stride 2, K = 2 or 3: the block (i,j) of 2 x 2 inputs, counted from the start of the padding,
// lies in one window (K = 2) or in four (K = 3), each loaded once for all four inputs. kInside: all of them exist.
template <int K, bool kInside>
CK_INLINE void gather_block(const Pool2dShape& s, int64_t i, int64_t j, const float* dy, const uint8_t* argmax,
                            float* dx, bool stream_dx) {
    constexpr int kAlong = K - 1, kWindows = kAlong * kAlong;  // windows i and i-1 of an axis hold block i
    int64_t window[kWindows], pixel[4];                        // offsets; negative: there is none
    for (int k = 0; k < kWindows; ++k) {
        const int64_t p = i - k / kAlong, q = j - k % kAlong;
        window[k] = kInside || (p >= 0 && p < s.p && q >= 0 && q < s.q) ? (p * s.q + q) * s.c : -1;
    }
    for (int k = 0; k < 4; ++k) {
        const int64_t h = 2 * i + k / 2 - s.pad_top, w = 2 * j + k % 2 - s.pad_left;
        pixel[k] = kInside || (h >= 0 && h < s.h && w >= 0 && w < s.w) ? (h * s.w + w) * s.c : -1;
    }
    for_vectors(s.c, [&](int64_t c, auto lanes) {
        vf gradient[kWindows];
        vi tap[kWindows];
#pragma GCC unroll 4
        for (int k = 0; k < kWindows; ++k) {
            const bool exists = kInside || window[k] >= 0;
            gradient[k] = exists ? lanes.load(dy + window[k] + c) : vf{};
            tap[k] = exists ? load_offsets(lanes, argmax + window[k] + c) : set1_int(-1);
        }
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
            vf sum = {};
#pragma GCC unroll 4
            for (int m = kWindows - 1; m >= 0; --m) {  // ascending windows, as gather_row
                const int r = k / 2 + 2 * (m / kAlong), t = k % 2 + 2 * (m % kAlong);
                if (r < K && t < K) sum += select(tap[m] == r * K + t, gradient[m], vf{});
            }
            if (!kInside && pixel[k] < 0) continue;
            float* to = dx + pixel[k] + c;
            stream_dx ? stream(to, sum) : lanes.store(to, sum);
        }
    });
}

template <int K>
void gather_blocks(const Pool2dShape& s, int64_t i, const float* dy, const uint8_t* argmax, float* dx, bool stream_dx) {
    const int64_t top = 2 * i - s.pad_top, blocks = ceil_div(s.w + s.pad_left, 2);
    const bool row_inside = i >= K - 2 && i < s.p && top >= 0 && top + 1 < s.h;
    for (int64_t j = 0; j < blocks; ++j) {
        const int64_t left = 2 * j - s.pad_left;
        if (row_inside && j >= K - 2 && j < s.q && left >= 0 && left + 1 < s.w)
            gather_block<K, true>(s, i, j, dy, argmax, dx, stream_dx);
        else
            gather_block<K, false>(s, i, j, dy, argmax, dx, stream_dx);
    }
}

// Few channels, less than a vector. The windows [from,to) of row p, each twice, as it lies over its two columns of
// inputs: their gradients, and the taps of the maxima as the first column (even) and the second (odd) look for them.
template <int K>
CK_INLINE void spread_windows(const Pool2dShape& s, int64_t p, int64_t from, int64_t to, const float* dy,
                              const uint8_t* argmax, float* gradient, float* tap) {
    for (int64_t q = from; q < to; ++q, gradient += 2 * s.c, tap += 2 * s.c) {
        vf g = {};
        vi even = set1_int(-1), odd = even;
        if (p >= 0 && p < s.p && q >= 0 && q < s.q) {
            const int64_t at = (p * s.q + q) * s.c;
            const auto read = [&](auto lanes) {
                g = lanes.load(dy + at);
                even = load_offsets(lanes, argmax + at);
            };
            at + kWidth <= s.p* s.q* s.c ? read(AllLanes{}) : read(FirstLanes{static_cast<int>(s.c)});
            for (int r = 0; r < K; ++r) odd = select(even == r * K + 1, set1_int(r * K), odd);
        }
        // Whole vectors: what they write too much is written again by the next.
        store(gradient, g);
        store(gradient + s.c, g);
        store(tap, from_bits(even));
        store(tap + s.c, from_bits(odd));
    }
}

// As gather_blocks for the rows of blocks [begin,end), for few channels: vectors run over the pixels of a row.
template <int K>
void gather_narrow_blocks(const Pool2dShape& s, int64_t begin, int64_t end, const float* dy, const uint8_t* argmax,
                          float* dx) {
    constexpr int kAlong = K - 1;
    constexpr int64_t kPiece = 512;  // floats of a row at a time: the scratch stays in L1
    float gradient[kAlong][kPiece + 3 * kWidth], tap[kAlong][kPiece + 3 * kWidth];
    const int64_t blocks = ceil_div(s.w + s.pad_left, 2), piece = kPiece / (2 * s.c);
    for (int64_t j = 0; j < blocks; j += piece) {
        const int64_t last = j + piece < blocks ? j + piece : blocks;
        const int64_t left = 2 * j - s.pad_left, first = left < 0 ? 0 : left;
        const int64_t stop = 2 * last - s.pad_left < s.w ? 2 * last - s.pad_left : s.w;
        const auto spread = [&](int64_t p) {  // row p of windows stays until row p + kAlong
            const int64_t slot = (p + kAlong) % kAlong;
            spread_windows<K>(s, p, j - (K - 2), last, dy, argmax, gradient[slot], tap[slot]);
        };
        if (K == 3) spread(begin - 1);
        for (int64_t i = begin; i < end; ++i) {
            spread(i);
#pragma GCC unroll 2
            for (int k = 0; k < 2; ++k) {
                const int64_t h = 2 * i + k - s.pad_top;
                if (h < 0 || h >= s.h) continue;
                for_vectors((stop - first) * s.c, [&](int64_t c, auto lanes) {
                    vf sum = {};
#pragma GCC unroll 4
                    for (int m = kAlong * kAlong - 1; m >= 0; --m) {  // ascending windows, as gather_row
                        const int r = k + 2 * (m / kAlong), t = 2 * (m % kAlong);
                        if (r >= K) continue;
                        const int64_t slot = (i - m / kAlong + kAlong) % kAlong;
                        const int64_t at = (first - left + 2 * (K - 2 - m % kAlong)) * s.c + c;
                        const vi wins = bits(lanes.load(tap[slot] + at)) == r * K + t;
                        sum += select(wins, lanes.load(gradient[slot] + at), vf{});
                    }
                    lanes.store(dx + (h * s.w + first) * s.c + c, sum);
                });
            }
        }
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
        const auto* offsets = static_cast<const uint8_t*>(argmax);
        if (s.c < kWidth)
            return (s.r == 2 ? gather_narrow_blocks<2> : gather_narrow_blocks<3>)(s, begin / 2, ceil_div(end, 2), dy,
                                                                                  offsets, dx);
        for (int64_t i = begin / 2; 2 * i < end; ++i)
            (s.r == 2 ? gather_blocks<2> : gather_blocks<3>)(s, i, dy, offsets, dx, stream_dx);
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
