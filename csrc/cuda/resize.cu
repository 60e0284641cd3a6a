// Upsampling on [N,H,W,C]. A thread makes one pixel of kVector<T> neighbouring channels, or of one; the gradient
// gathers from the outputs that look at an input.
#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/pixels.h"

namespace ck::cuda {
namespace {

template <int n, class T>
__device__ __forceinline__ void add_weighted(const T* p /*[n]*/, float weight, float (&sum)[n]) {
    if (weight == 0) return;  // an input without weight has no say, not even as NaN
    float v[n];
    load(p, v);
#pragma unroll
    for (int j = 0; j < n; ++j) sum[j] = fmaf(weight, v[j], sum[j]);
}

template <class T, int n>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    upsample_kernel(Pixels pixels, Resize2dShape s, ResizeMode mode, const T* __restrict__ x /*[N,H,W,C]*/,
                    T* __restrict__ y /*[N,P,Q,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int p, int q, int vector) {
        const auto row = interpolation<float>(mode, p, s.h, s.p), column = interpolation<float>(mode, q, s.w, s.q);
        const T* low = x + (image * s.h + row.low) * s.w * s.c + vector * n;
        const T* high = x + (image * s.h + row.high) * s.w * s.c + vector * n;
        const float above = 1 - row.fraction, left = 1 - column.fraction;
        float sum[n] = {};
        add_weighted(low + column.low * s.c, above * left, sum);
        add_weighted(low + column.high * s.c, above * column.fraction, sum);
        add_weighted(high + column.low * s.c, row.fraction * left, sum);
        add_weighted(high + column.high * s.c, row.fraction * column.fraction, sum);
        store(y + ((image * s.p + p) * s.q + q) * s.c + vector * n, sum);
    });
}

template <class T, int n>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    upsample_gradient_kernel(Pixels pixels, Resize2dShape s, ResizeMode mode, const T* __restrict__ dy /*[N,P,Q,C]*/,
                             T* __restrict__ dx /*[N,H,W,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int h, int w, int vector) {
        const InterpolatedBy rows{mode, h, s.h, s.p / s.h}, columns{mode, w, s.w, s.q / s.w};
        const int64_t last_q = columns.end();
        float sum[n] = {};
        for (int64_t p = rows.begin(), last_p = rows.end(); p < last_p; ++p) {
            const float row_weight = rows.weight<float>(p);
            const T* line = dy + (image * s.p + p) * s.q * s.c + vector * n;
#pragma unroll 2
            for (int64_t q = columns.begin(); q < last_q; ++q)
                add_weighted(line + q * s.c, row_weight * columns.weight<float>(q), sum);
        }
        store(dx + ((image * s.h + h) * s.w + w) * s.c + vector * n, sum);
    });
}

}  // namespace

template <class T>
void upsample(const Resize2dShape& s, ResizeMode mode, const T* x, T* y) {
    if (s.n * s.p * s.q * s.c == 0) return;
    const Op op{"upsample", {s.n, s.h, s.w, s.c, s.p, s.q}};
    const bool wide = in_vectors<T>(s.c, x, y);
    const Pixels pixels(op, s.n, s.p, s.q, wide ? s.c / kVector<T> : s.c);
    launch(op, wide ? upsample_kernel<T, kVector<T>> : upsample_kernel<T, 1>, pixels.grid(), pixels.block(), 0, pixels,
           s, mode, x, y);
}

template <class T>
void upsample_gradient(const Resize2dShape& s, ResizeMode mode, const T* dy, T* dx) {
    if (s.n * s.h * s.w * s.c == 0) return;
    const Op op{"upsample_gradient", {s.n, s.h, s.w, s.c, s.p, s.q}};
    const bool wide = in_vectors<T>(s.c, dy, dx);
    const Pixels pixels(op, s.n, s.h, s.w, wide ? s.c / kVector<T> : s.c);
    launch(op, wide ? upsample_gradient_kernel<T, kVector<T>> : upsample_gradient_kernel<T, 1>, pixels.grid(),
           pixels.block(), 0, pixels, s, mode, dy, dx);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(upsample)
CK_CUDA_INSTANTIATE(upsample_gradient)
