// Convolution: m = N*P*Q, n = O, k = R*S*C. a is the windows of x, b the filters as they lie.
#include "cuda/backend.h"
#include "cuda/grouped.h"
#include "cuda/map.h"
#include "cuda/product.h"

namespace ck::cuda {
namespace {

struct AddAndActivate {
    Activation act;
    __device__ float operator()(float y, float residual) const { return activate(act, y + residual); }
};

}  // namespace

template <class T>
void conv2d(const Conv2dShape& shape, const T* x, const T* w, DerivedCache*, const T* bias, const T* residual,
            Activation act, T* y) {
    const Op op{"conv2d", {shape.n, shape.h, shape.w, shape.c, shape.o, shape.r, shape.s}};
    if (shape.groups > 1) {  // whose kernels know no residual: it is rare behind them
        grouped_conv2d<T>(shape, x, w, bias, residual ? Activation{} : act, y);
        if (residual) map(op, AddAndActivate{act}, shape.n * shape.p * shape.q * shape.o, y, y, residual);
        return;
    }
    const Conv2dShape s = kernel_shape(op, shape);
    const ProductSize size{s.n * s.p * s.q, s.o, s.r * s.s * s.c};
    multiply<T>(op, size, Operand<Along::k, WindowMatrix<T>>{convolution_windows(s, x)},
                Operand<Along::k, Matrix<T>>{{w, size.n, size.k}}, DenseRows(size), {bias, act, y, residual});
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(conv2d)
