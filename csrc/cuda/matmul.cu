#include "cuda/backend.h"
#include "cuda/product.h"

namespace ck::cuda {
namespace {

// op(a) is [m,k]: stored like that, k runs along its lines; transposed, m does.
template <class T>
void multiply_stack(const Op& op, const GemmShape& s, const Broadcast& stack, const T* a, const T* b,
                    const ProductResult<T>& result) {
    const ProductSize size{s.m, s.n, s.k};
    const StackRows rows(size, stack);
    const auto with_b = [&](const auto& left) {
        if (s.trans_b) {
            multiply<T>(op, size, left, Operand<Along::k, Matrix<T>>{{b, s.n, s.k}}, rows, result);
        } else {
            multiply<T>(op, size, left, Operand<Along::mn, Matrix<T>>{{b, s.k, s.n}}, rows, result);
        }
    };
    if (s.trans_a) {
        with_b(Operand<Along::mn, Matrix<T>>{{a, s.k, s.m}});
    } else {
        with_b(Operand<Along::k, Matrix<T>>{{a, s.m, s.k}});
    }
}

}  // namespace

template <class T>
void gemm(const GemmShape& s, const T* a, const T* b, DerivedCache*, const T* bias, Activation act, T* c) {
    multiply_stack<T>({"matmul", {s.m, s.n, s.k}}, s, Broadcast{}, a, b, {bias, act, c});
}

template <class T>
void gemm_stack(const GemmShape& s, const Broadcast& stack, const T* a, const T* b, T* c) {
    multiply_stack<T>({"matmul", {stack.numel(), s.m, s.n, s.k}}, s, stack, a, b, {nullptr, Activation{}, c});
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(gemm)
CK_CUDA_INSTANTIATE(gemm_stack)
