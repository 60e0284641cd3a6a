#include <algorithm>

#include "cpu/reference/reference.h"

namespace ck::cpu::reference {
namespace {

// fn(i, j, weight) for every output element i (over [N,P,Q,C]) and input element j (over [N,H,W,C]) that it mixes.
template <class F>
void for_each_pair(const Resize2dShape& s, ResizeMode mode, F fn) {
    for (int64_t i = 0; i < s.n * s.p * s.q * s.c; ++i) {
        const int64_t c = i % s.c, n = i / s.c / s.q / s.p;
        const Interpolation<double> row = interpolation(mode, i / s.c / s.q % s.p, s.h, s.p);
        const Interpolation<double> column = interpolation(mode, i / s.c % s.q, s.w, s.q);
        const int64_t rows[2] = {row.low, row.high}, columns[2] = {column.low, column.high};
        const double row_weights[2] = {1 - row.fraction, row.fraction};
        const double column_weights[2] = {1 - column.fraction, column.fraction};
        for (int a = 0; a < 2; ++a)
            for (int b = 0; b < 2; ++b)
                if (row_weights[a] * column_weights[b] != 0)  // an input without weight has no say, not even as NaN
                    fn(i, ((n * s.h + rows[a]) * s.w + columns[b]) * s.c + c, row_weights[a] * column_weights[b]);
    }
}

}  // namespace

template <class T>
void upsample(const Resize2dShape& s, ResizeMode mode, const T* x, T* y) {
    std::fill(y, y + s.n * s.p * s.q * s.c, T(0));
    for_each_pair(s, mode, [&](int64_t i, int64_t j, double weight) { y[i] += T(weight) * x[j]; });
}

template <class T>
void upsample_gradient(const Resize2dShape& s, ResizeMode mode, const T* dy, T* dx) {
    std::fill(dx, dx + s.n * s.h * s.w * s.c, T(0));
    for_each_pair(s, mode, [&](int64_t i, int64_t j, double weight) { dx[j] += T(weight) * dy[i]; });
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(upsample)
CK_INSTANTIATE(upsample_gradient)
