// The gradient of the filters: m = O, n = R*S*C, k = N*P*Q. k is long and the result small, so multiply() cuts it into
// slices. Both operands lie along m and n.
#include "cuda/backend.h"
#include "cuda/grouped.h"
#include "cuda/product.h"

namespace ck::cuda {

template <class T>
void conv2d_weight_gradient(const Conv2dShape& shape, const T* x, const T* dy, T* dw) {
    if (shape.groups > 1) return grouped_conv2d_weight_gradient<T>(shape, x, dy, dw);
    const Op op{"conv2d_weight_gradient", {shape.n, shape.h, shape.w, shape.c, shape.o, shape.r, shape.s}};
    const Conv2dShape s = kernel_shape(op, shape);
    const ProductSize size{s.o, s.r * s.s * s.c, s.n * s.p * s.q};
    multiply<T>(op, size, Operand<Along::mn, Matrix<T>>{{dy, size.k, size.m}},
                Operand<Along::mn, WindowMatrix<T>>{convolution_windows(s, x)}, DenseRows(size),
                {nullptr, Activation{}, dw});
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(conv2d_weight_gradient)
