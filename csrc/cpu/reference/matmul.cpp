#include "core/scalar.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void gemm(const GemmShape& s, const T* a, const T* b, DerivedCache*, const T* bias, Activation act, T* c) {
    for (int64_t i = 0; i < s.m; ++i) {
        for (int64_t j = 0; j < s.n; ++j) {
            T sum = 0;
            for (int64_t p = 0; p < s.k; ++p) {
                sum += (s.trans_a ? a[p * s.m + i] : a[i * s.k + p]) * (s.trans_b ? b[j * s.k + p] : b[p * s.n + j]);
            }
            c[i * s.n + j] = activate<T>(act, bias ? sum + bias[j] : sum);
        }
    }
}

template <class T>
void gemm_stack(const GemmShape& s, const Broadcast& stack, const T* a, const T* b, T* c) {
    for (int64_t i = 0; i < stack.numel(); ++i) {
        const auto at = stack.offsets(i);
        gemm<T>(s, a + at.a, b + at.b, nullptr, nullptr, Activation{}, c + i * s.m * s.n);
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(gemm)
CK_INSTANTIATE(gemm_stack)
