// Convolution as plain loops. As a GEMM: m = N*P*Q, n = O, k = R*S*C (per group: O/groups, R*S*C/groups).
#include "core/scalar.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {
namespace {

// The input row (column) that output row p meets through filter row r; outside [0,H) it is padding, which adds nothing.
// (The fast paths add 0 * w there: the same but for a w that is not finite.)
int64_t input_row(const Conv2dShape& s, int64_t p, int64_t r) {
    return p * s.stride_h - s.pad_top + r * s.dilation_h;
}
int64_t input_column(const Conv2dShape& s, int64_t q, int64_t v) {
    return q * s.stride_w - s.pad_left + v * s.dilation_w;
}

}  // namespace

template <class T>
void conv2d(const Conv2dShape& s, const T* x, const T* w, DerivedCache*, const T* bias, const T* residual,
            Activation act, T* y) {
    const int64_t group_c = s.c / s.groups, group_o = s.o / s.groups;
    for (int64_t n = 0; n < s.n; ++n)
        for (int64_t p = 0; p < s.p; ++p)
            for (int64_t q = 0; q < s.q; ++q)
                for (int64_t o = 0; o < s.o; ++o) {
                    const int64_t first_c = o / group_o * group_c;
                    T sum = bias ? bias[o] : T(0);
                    for (int64_t r = 0; r < s.r; ++r)
                        for (int64_t v = 0; v < s.s; ++v) {
                            const int64_t h = input_row(s, p, r), j = input_column(s, q, v);
                            if (h < 0 || h >= s.h || j < 0 || j >= s.w) continue;
                            const T* pixel = x + ((n * s.h + h) * s.w + j) * s.c + first_c;
                            const T* filter = w + ((o * s.r + r) * s.s + v) * group_c;
                            for (int64_t c = 0; c < group_c; ++c) sum += pixel[c] * filter[c];
                        }
                    const int64_t at = ((n * s.p + p) * s.q + q) * s.o + o;
                    y[at] = activate<T>(act, residual ? sum + residual[at] : sum);
                }
}

template <class T>
void conv2d_statistics(const Conv2dShape& s, const T* x, const T* w, DerivedCache* packed, const T* bias,
                       double momentum, T* y, Param<T>* mean, Param<T>* variance, Param<T>* running_mean,
                       Param<T>* running_var) {
    conv2d(s, x, w, packed, bias, static_cast<const T*>(nullptr), Activation{}, y);
    batch_norm_statistics(s.n * s.p * s.q, s.o, momentum, static_cast<const T*>(y), mean, variance, running_mean,
                          running_var);
}

// Gathers: every input element collects the outputs it contributed to.
template <class T>
void conv2d_data_gradient(const Conv2dShape& s, const T* dy, const T* w, DerivedCache*, const T* bias,
                          const T* residual, Activation act, T* dx) {
    const int64_t group_c = s.c / s.groups, group_o = s.o / s.groups;
    for (int64_t n = 0; n < s.n; ++n)
        for (int64_t h = 0; h < s.h; ++h)
            for (int64_t j = 0; j < s.w; ++j)
                for (int64_t c = 0; c < s.c; ++c) {
                    const int64_t first_o = c / group_c * group_o;
                    T sum = bias ? bias[c] : T(0);
                    for (int64_t r = 0; r < s.r; ++r)
                        for (int64_t v = 0; v < s.s; ++v) {
                            const int64_t row = h + s.pad_top - r * s.dilation_h;
                            const int64_t column = j + s.pad_left - v * s.dilation_w;
                            if (row < 0 || row % s.stride_h || column < 0 || column % s.stride_w) continue;
                            const int64_t p = row / s.stride_h, q = column / s.stride_w;
                            if (p >= s.p || q >= s.q) continue;
                            const T* pixel = dy + ((n * s.p + p) * s.q + q) * s.o + first_o;
                            const T* filter = w + ((first_o * s.r + r) * s.s + v) * group_c + c % group_c;
                            for (int64_t o = 0; o < group_o; ++o) sum += pixel[o] * filter[o * s.r * s.s * group_c];
                        }
                    const int64_t i = ((n * s.h + h) * s.w + j) * s.c + c;
                    if (residual) sum += residual[i];
                    dx[i] = activate<T>(act, sum);
                }
}

template <class T>
void conv2d_weight_gradient(const Conv2dShape& s, const T* x, const T* dy, T* dw) {
    const int64_t group_c = s.c / s.groups, group_o = s.o / s.groups;
    for (int64_t o = 0; o < s.o; ++o)
        for (int64_t r = 0; r < s.r; ++r)
            for (int64_t v = 0; v < s.s; ++v)
                for (int64_t c = 0; c < group_c; ++c) {
                    const int64_t input_c = o / group_o * group_c + c;
                    T sum = 0;
                    for (int64_t n = 0; n < s.n; ++n)
                        for (int64_t p = 0; p < s.p; ++p)
                            for (int64_t q = 0; q < s.q; ++q) {
                                const int64_t h = input_row(s, p, r), j = input_column(s, q, v);
                                if (h < 0 || h >= s.h || j < 0 || j >= s.w) continue;
                                sum += x[((n * s.h + h) * s.w + j) * s.c + input_c] *
                                       dy[((n * s.p + p) * s.q + q) * s.o + o];
                            }
                    dw[((o * s.r + r) * s.s + v) * group_c + c] = sum;
                }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(conv2d)
CK_INSTANTIATE(conv2d_statistics)
CK_INSTANTIATE(conv2d_data_gradient)
CK_INSTANTIATE(conv2d_weight_gradient)
