// Convolution: m = N*P*Q, n = O, k = R*S*C. a is the windows of x, b the filters as they lie.
#include "cuda/backend.h"
#include "cuda/grouped.h"
#include "cuda/product.h"

namespace ck::cuda {
namespace {

// y of dense filters, and the moments of its columns unless that is null (multiply() may leave them out).
template <class T>
void convolve(const Op& op, const Conv2dShape& shape, const T* x, const T* w, const ProductResult<T>& result) {
    const Conv2dShape s = kernel_shape(op, shape);
    const ProductSize size{s.n * s.p * s.q, s.o, s.r * s.s * s.c};
    multiply<T>(op, size, Operand<Along::k, WindowMatrix<T>>{convolution_windows(s, x)},
                Operand<Along::k, Matrix<T>>{{w, size.n, size.k}}, DenseRows(size), result);
}

}  // namespace

template <class T>
void conv2d(const Conv2dShape& shape, const T* x, const T* w, DerivedCache*, const T* bias, const T* residual,
            Activation act, T* y) {
    if (shape.groups > 1) return grouped_conv2d<T>(shape, x, w, bias, residual, act, y);
    const Op op{"conv2d", {shape.n, shape.h, shape.w, shape.c, shape.o, shape.r, shape.s}};
    convolve<T>(op, shape, x, w, {bias, act, y, residual});
}

// The statistics come with the result where a tile of it is finished by one block; otherwise it is read again: of
// convolutions in groups, and of those so small that their sums are cut into slices.
template <class T>
void conv2d_statistics(const Conv2dShape& s, const T* x, const T* w, DerivedCache* packed, const T* bias,
                       double momentum, T* y, Param<T>* mean, Param<T>* variance, Param<T>* running_mean,
                       Param<T>* running_var) {
    const Op op{"conv2d_statistics", {s.n, s.h, s.w, s.c, s.o, s.r, s.s}};
    const int64_t rows = s.n * s.p * s.q;
    ColumnMoments moments;
    if (s.groups > 1) {
        conv2d<T>(s, x, w, packed, bias, nullptr, Activation{}, y);
    } else {
        convolve<T>(op, s, x, w, {bias, Activation{}, y, nullptr, &moments});
    }
    if (moments.moments) {
        finish_statistics(op, rows, s.o, moments, momentum, mean, variance, running_mean, running_var);
    } else {
        batch_norm_statistics<T>(rows, s.o, momentum, y, mean, variance, running_mean, running_var);
    }
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(conv2d)
CK_CUDA_INSTANTIATE(conv2d_statistics)
