// The adjoint of convolution, by phases: the pixels of dx that are stride apart meet the same taps, so each of the
// stride_h * stride_w phases is a convolution of dy with stride 1. m = pixels of the phase, n = C, k = its taps * O.
#include "cuda/backend.h"
#include "cuda/grouped.h"
#include "cuda/product.h"

namespace ck::cuda {

template <class T>
void conv2d_data_gradient(const Conv2dShape& shape, const T* dy, const T* w, DerivedCache*, const T* bias,
                          const T* residual, Activation act, T* dx) {
    if (shape.groups > 1) return grouped_conv2d_data_gradient<T>(shape, dy, w, bias, residual, act, dx);
    const Op op{"conv2d_data_gradient", {shape.n, shape.h, shape.w, shape.c, shape.o, shape.r, shape.s}};
    const Conv2dShape s = kernel_shape(op, shape);
    for (int64_t i = 0; i < std::min(s.stride_h, s.h); ++i) {
        const PhaseAxis down = phase_axis(i, s.h, s.stride_h, s.dilation_h, s.pad_top, s.r);
        for (int64_t j = 0; j < std::min(s.stride_w, s.w); ++j) {
            const PhaseAxis across = phase_axis(j, s.w, s.stride_w, s.dilation_w, s.pad_left, s.s);
            const ProductSize size{s.n * down.size * across.size, s.c, down.taps * across.taps * s.o};
            const WindowMatrix<T> windows(dy, s.n, s.p, s.q, s.o, {down.size, down.taps, 1, down.dilation, down.pad},
                                          {across.size, across.taps, 1, across.dilation, across.pad});
            const FilterMatrix<T> filters(w, s, down, across);
            const PhaseRows rows(s, i, j, down, across);
            multiply<T>(op, size, Operand<Along::k, WindowMatrix<T>>{windows},
                        Operand<Along::mn, FilterMatrix<T>>{filters}, rows, {bias, act, dx, residual});
        }
    }
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(conv2d_data_gradient)
