// Convolution: m = N*P*Q, n = O, k = R*S*C. a is the windows of x, b the filters as they lie.
#include "cuda/backend.h"
#include "cuda/grouped.h"
#include "cuda/product.h"

namespace ck::cuda {

template <class T>
void conv2d(const Conv2dShape& shape, const T* x, const T* w, DerivedCache*, const T* bias, Activation act, T* y) {
    if (shape.groups > 1) return grouped_conv2d<T>(shape, x, w, bias, act, y);
    const Op op{"conv2d", {shape.n, shape.h, shape.w, shape.c, shape.o, shape.r, shape.s}};
    const Conv2dShape s = kernel_shape(op, shape);
    const ProductSize size{s.n * s.p * s.q, s.o, s.r * s.s * s.c};
    multiply<T>(op, size, Operand<Along::k, WindowMatrix<T>>{convolution_windows(s, x)},
                Operand<Along::k, Matrix<T>>{{w, size.n, size.k}}, DenseRows(size), {bias, act, y});
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(conv2d)
