#include "core/scalar.h"
#include "core/shapes.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void unary(UnaryOp op, T slope, int64_t n, const T* x, T* y) {
    for (int64_t i = 0; i < n; ++i) y[i] = unary_value<T>(op, slope, x[i]);
}

template <class T>
void unary_gradient(UnaryOp op, T slope, int64_t n, const T* x, const T* y, const T* dy, T* dx) {
    for (int64_t i = 0; i < n; ++i) dx[i] = unary_gradient_value<T>(op, slope, x[i], y[i], dy[i]);
}

namespace {

// Walks the broadcast shape in row-major order: fn(i, offset_a, offset_b).
template <class F>
void for_each(const Broadcast& s, F fn) {
    int64_t index[kMaxDims] = {}, offset_a = 0, offset_b = 0;
    const int64_t n = s.numel();
    for (int64_t i = 0; i < n; ++i) {
        fn(i, offset_a, offset_b);
        for (int d = s.ndim - 1; d >= 0; --d) {
            offset_a += s.stride_a[d];
            offset_b += s.stride_b[d];
            if (++index[d] < s.shape[d]) break;
            offset_a -= s.stride_a[d] * s.shape[d];
            offset_b -= s.stride_b[d] * s.shape[d];
            index[d] = 0;
        }
    }
}

}  // namespace

template <class T>
void binary(BinaryOp op, const Broadcast& s, const T* a, const T* b, T* y) {
    for_each(s, [&](int64_t i, int64_t ia, int64_t ib) { y[i] = binary_value<T>(op, a[ia], b[ib]); });
}

template <class T>
void compare(CompareOp op, const Broadcast& s, const T* a, const T* b, bool* y) {
    for_each(s, [&](int64_t i, int64_t ia, int64_t ib) { y[i] = compare_value<T>(op, a[ia], b[ib]); });
}

template <class T>
void epilogue_gradient(int64_t rows, int64_t c, Activation act, const T* y, const T* dy, T* dz, T* dbias) {
    for (int64_t j = 0; j < c; ++j) {
        double sum = 0;
        for (int64_t i = 0; i < rows; ++i) {
            const T g = activation_gradient<T>(act, y[i * c + j], dy[i * c + j]);
            if (dz) dz[i * c + j] = g;
            sum += g;
        }
        if (dbias) dbias[j] = T(sum);
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(unary)
CK_INSTANTIATE(unary_gradient)
CK_INSTANTIATE(binary)
CK_INSTANTIATE(compare)
CK_INSTANTIATE(epilogue_gradient)
CK_INSTANTIATE_INT64(binary)
CK_INSTANTIATE_INT64(compare)
