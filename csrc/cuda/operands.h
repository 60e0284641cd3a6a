// The matrices that a product multiplies, as kernels see them: row(i) and column(j) prepare what belongs to one index,
// at(row, column) is the address of the element, null for what is zero: padding, and what lies past the last row or
// column. Kernels prepare once what stays the same over many elements. Neighbouring columns are neighbours in memory;
// where `vectors` is set, so are the kVector<T> columns from a multiple of kVector<T> on, at an aligned address.
#pragma once
#include "core/phase_axis.h"
#include "core/shapes.h"
#include "cuda/element.h"
#include "cuda/pixels.h"

namespace ck::cuda {

// A dense matrix [rows,columns].
template <class T>
struct Matrix {
    using Element = T;
    const T* data;
    int rows, columns;
    bool vectors;

    Matrix(const T* data, int64_t rows, int64_t columns)
        : data(data),
          rows(static_cast<int>(rows)),
          columns(static_cast<int>(columns)),
          vectors(in_vectors<T>(columns, data)) {}

    struct Row {
        int64_t offset;  // negative: none
    };
    __device__ Row row(int i) const { return {i < rows ? int64_t{i} * columns : -1}; }
    __device__ int column(int j) const { return j < columns ? j : -1; }
    __device__ const T* at(Row row, int column) const {
        return row.offset >= 0 && column >= 0 ? data + row.offset + column : nullptr;
    }
};

// Along one axis window i meets through tap t the pixel i*stride + t*dilation - pad.
struct PatchAxis {
    int64_t windows, taps, stride, dilation, pad;
};

// The windows of pixels[N,H,W,C], [N*windows_h*windows_w, taps_h*taps_w*C]: the matrix of a convolution (im2col), which
// exists in no memory. C is never 0: front doors refuse it.
template <class T>
struct WindowMatrix {
    using Element = T;
    const T* data;
    int h, w, c;
    int rows, columns;
    bool vectors;
    int stride_h, stride_w, dilation_h, dilation_w, pad_h, pad_w;
    Divider windows_h, windows_w, taps_w, channels;

    WindowMatrix(const T* data, int64_t n, int64_t h, int64_t w, int64_t c, const PatchAxis& down,
                 const PatchAxis& across)
        : data(data),
          h(static_cast<int>(h)),
          w(static_cast<int>(w)),
          c(static_cast<int>(c)),
          rows(static_cast<int>(n * down.windows * across.windows)),
          columns(static_cast<int>(down.taps * across.taps * c)),
          vectors(in_vectors<T>(c, data)),
          stride_h(static_cast<int>(down.stride)),
          stride_w(static_cast<int>(across.stride)),
          dilation_h(static_cast<int>(down.dilation)),
          dilation_w(static_cast<int>(across.dilation)),
          pad_h(static_cast<int>(down.pad)),
          pad_w(static_cast<int>(across.pad)),
          windows_h(down.windows),
          windows_w(across.windows),
          taps_w(across.taps > 0 ? across.taps : 1),
          channels(c) {}

    // So far outside that no window or tap leads back, and twice that is still an int.
    static constexpr int kOutside = -(1 << 30);
    struct Place {  // of a window's first tap; of a tap, from there
        int64_t offset;
        int h, w;
    };
    __device__ Place row(int i) const {
        if (i >= rows) return {0, kOutside, 0};
        const int line = windows_w.quotient(i), image = windows_h.quotient(line);
        const int p = windows_h.remainder(line, image), q = windows_w.remainder(i, line);
        return place(image, p * stride_h - pad_h, q * stride_w - pad_w, 0);
    }
    __device__ Place column(int j) const {
        if (j >= columns) return {0, kOutside, 0};
        const int tap = channels.quotient(j), down = taps_w.quotient(tap);
        const int across = taps_w.remainder(tap, down), channel = channels.remainder(j, tap);
        return place(0, down * dilation_h, across * dilation_w, channel);
    }
    __device__ const T* at(const Place& row, const Place& column) const {
        const bool inside = static_cast<unsigned>(row.h + column.h) < static_cast<unsigned>(h) &&
                            static_cast<unsigned>(row.w + column.w) < static_cast<unsigned>(w);
        return inside ? data + (row.offset + column.offset) : nullptr;
    }

  private:
    __device__ Place place(int image, int i, int j, int channel) const {
        return {((int64_t{image} * h + i) * w + j) * c + channel, i, j};
    }
};

// For kernels: sizes whose sums fit 32 bits, strides of a single window and dilations of a single tap, which lead
// nowhere and may be of any size, 1.
inline Conv2dShape kernel_shape(const Op& op, Conv2dShape s) {
    if (s.p == 1) s.stride_h = 1;
    if (s.q == 1) s.stride_w = 1;
    if (s.r == 1) s.dilation_h = 1;
    if (s.s == 1) s.dilation_w = 1;
    check_sizes(op, {s.h, s.w, s.p, s.q, s.r * s.dilation_h, s.s * s.dilation_w, s.pad_top, s.pad_left});
    return s;
}

// As the filters of a convolution meet them.
template <class T>
WindowMatrix<T> convolution_windows(const Conv2dShape& s, const T* x /*[N,H,W,C]*/) {
    return {x,
            s.n,
            s.h,
            s.w,
            s.c,
            {s.p, s.r, s.stride_h, s.dilation_h, s.pad_top},
            {s.q, s.s, s.stride_w, s.dilation_w, s.pad_left}};
}

// The filters w[O,R,S,C] of one phase of the adjoint, [taps_h*taps_w*O, C], the taps rotated.
template <class T>
struct FilterMatrix {
    using Element = T;
    const T* data;
    int rows, c, r, s;
    bool vectors;
    int last_h, last_w, step_h, step_w;  // tap a of the phase is tap last - a*step of the filter
    Divider taps_w, filters;

    FilterMatrix(const T* data, const Conv2dShape& shape, const PhaseAxis& down, const PhaseAxis& across)
        : data(data),
          rows(static_cast<int>(down.taps * across.taps * shape.o)),
          c(static_cast<int>(shape.c)),
          r(static_cast<int>(shape.r)),
          s(static_cast<int>(shape.s)),
          vectors(in_vectors<T>(shape.c, data)),
          last_h(static_cast<int>(down.tap(0))),
          last_w(static_cast<int>(across.tap(0))),
          step_h(static_cast<int>(down.step)),
          step_w(static_cast<int>(across.step)),
          taps_w(across.taps > 0 ? across.taps : 1),
          filters(shape.o) {}

    struct Row {
        int64_t offset;  // negative: none
    };
    __device__ Row row(int i) const {
        if (i >= rows) return {-1};
        const int tap = filters.quotient(i), down = taps_w.quotient(tap);
        const int across = taps_w.remainder(tap, down), filter = filters.remainder(i, tap);
        return {((int64_t{filter} * r + last_h - down * step_h) * s + last_w - across * step_w) * c};
    }
    __device__ int column(int j) const { return j < c ? j : -1; }
    __device__ const T* at(Row row, int column) const {
        return row.offset >= 0 && column >= 0 ? data + row.offset + column : nullptr;
    }
};

}  // namespace ck::cuda
