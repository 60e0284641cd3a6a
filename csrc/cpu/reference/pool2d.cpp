#include <algorithm>
#include <vector>

#include "core/argmax.h"
#include "core/pool_bins.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

// A NaN wins, the first in window order; else the first maximum. Padding is skipped.
template <class T>
void max_pool2d(const Pool2dShape& s, const T* x, T* y, void* argmax) {
    for (int64_t i = 0; i < s.n * s.p * s.q * s.c; ++i) {
        const int64_t c = i % s.c, q = i / s.c % s.q, p = i / s.c / s.q % s.p, n = i / s.c / s.q / s.p;
        const int64_t h0 = p * s.stride_h - s.pad_top, w0 = q * s.stride_w - s.pad_left;
        const TapRange rows = taps_inside(h0, s.r, s.dilation_h, s.h);
        const TapRange columns = taps_inside(w0, s.s, s.dilation_w, s.w);
        int64_t best = -1;
        T top = 0;
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            for (int64_t t = columns.begin; t < columns.end; ++t) {
                const T v = x[((n * s.h + h0 + r * s.dilation_h) * s.w + w0 + t * s.dilation_w) * s.c + c];
                if (best < 0 || v > top || (v != v && top == top)) {
                    best = r * s.s + t;
                    top = v;
                }
            }
        }
        y[i] = top;
        if (argmax) store_argmax(s, argmax, i, best);
    }
}

template <class T>
void max_pool2d_gradient(const Pool2dShape& s, const T* dy, const void* argmax, T* dx) {
    std::fill(dx, dx + s.n * s.h * s.w * s.c, T(0));
    for (int64_t i = 0; i < s.n * s.p * s.q * s.c; ++i) {
        const int64_t c = i % s.c, n = i / s.c / s.q / s.p;
        dx[(n * s.h * s.w + plane_index(s, i, load_argmax(s, argmax, i))) * s.c + c] += dy[i];
    }
}

template <class T>
void max_pool2d_indices(const Pool2dShape& s, const void* argmax, int64_t* indices) {
    for (int64_t i = 0; i < s.n * s.p * s.q * s.c; ++i) indices[i] = plane_index(s, i, load_argmax(s, argmax, i));
}

template <class T>
void max_unpool2d(const Resize2dShape& s, const T* x, const int64_t* indices, T* y) {
    std::fill(y, y + s.n * s.p * s.q * s.c, T(0));
    for (int64_t n = 0; n < s.n; ++n)
        for (int64_t i = n * s.h * s.w * s.c; i < (n + 1) * s.h * s.w * s.c; ++i)
            y[(n * s.p * s.q + indices[i]) * s.c + i % s.c] = x[i];
}

template <class T>
void max_unpool2d_gradient(const Resize2dShape& s, const T* dy, const int64_t* indices, T* dx) {
    std::vector<int64_t> last(s.p * s.q * s.c);  // the element of x that stayed at each place
    for (int64_t n = 0; n < s.n; ++n) {
        const int64_t begin = n * s.h * s.w * s.c, end = begin + s.h * s.w * s.c;
        for (int64_t i = begin; i < end; ++i) last[indices[i] * s.c + i % s.c] = i;
        for (int64_t i = begin; i < end; ++i) {
            const int64_t place = indices[i] * s.c + i % s.c;
            dx[i] = last[place] == i ? dy[n * s.p * s.q * s.c + place] : T(0);
        }
    }
}

namespace {

// y[n,p,q,c] = sum of x over row_bin(p) x column_bin(q), divided by both divisors.
template <class T, class RowBin, class ColumnBin>
void average(const Resize2dShape& s, RowBin row_bin, ColumnBin column_bin, const T* x, T* y) {
    for (int64_t i = 0; i < s.n * s.p * s.q * s.c; ++i) {
        const int64_t c = i % s.c, n = i / s.c / s.q / s.p;
        const AverageBin rows = row_bin(i / s.c / s.q % s.p), columns = column_bin(i / s.c % s.q);
        T sum = 0;
        for (int64_t h = rows.begin; h < rows.end; ++h)
            for (int64_t w = columns.begin; w < columns.end; ++w) sum += x[((n * s.h + h) * s.w + w) * s.c + c];
        y[i] = sum / T(rows.divisor * columns.divisor);
    }
}

template <class T, class RowBin, class ColumnBin>
void average_gradient(const Resize2dShape& s, RowBin row_bin, ColumnBin column_bin, const T* dy, T* dx) {
    std::fill(dx, dx + s.n * s.h * s.w * s.c, T(0));
    for (int64_t i = 0; i < s.n * s.p * s.q * s.c; ++i) {
        const int64_t c = i % s.c, n = i / s.c / s.q / s.p;
        const AverageBin rows = row_bin(i / s.c / s.q % s.p), columns = column_bin(i / s.c % s.q);
        const T share = dy[i] / T(rows.divisor * columns.divisor);
        for (int64_t h = rows.begin; h < rows.end; ++h)
            for (int64_t w = columns.begin; w < columns.end; ++w) dx[((n * s.h + h) * s.w + w) * s.c + c] += share;
    }
}

Resize2dShape sizes(const Pool2dShape& s) {
    return {s.n, s.h, s.w, s.c, s.p, s.q};
}

}  // namespace

template <class T>
void avg_pool2d(const Pool2dShape& s, bool count_include_pad, const T* x, T* y) {
    average(sizes(s), row_bins(s, count_include_pad), column_bins(s, count_include_pad), x, y);
}

template <class T>
void avg_pool2d_gradient(const Pool2dShape& s, bool count_include_pad, const T* dy, T* dx) {
    average_gradient(sizes(s), row_bins(s, count_include_pad), column_bins(s, count_include_pad), dy, dx);
}

template <class T>
void adaptive_avg_pool2d(const Resize2dShape& s, const T* x, T* y) {
    average(s, adaptive_bins(s.h, s.p), adaptive_bins(s.w, s.q), x, y);
}

template <class T>
void adaptive_avg_pool2d_gradient(const Resize2dShape& s, const T* dy, T* dx) {
    average_gradient(s, adaptive_bins(s.h, s.p), adaptive_bins(s.w, s.q), dy, dx);
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(max_pool2d)
CK_INSTANTIATE(max_pool2d_gradient)
CK_INSTANTIATE(max_pool2d_indices)
CK_INSTANTIATE(max_unpool2d)
CK_INSTANTIATE(max_unpool2d_gradient)
CK_INSTANTIATE(avg_pool2d)
CK_INSTANTIATE(avg_pool2d_gradient)
CK_INSTANTIATE(adaptive_avg_pool2d)
CK_INSTANTIATE(adaptive_avg_pool2d_gradient)
