// Softmax kernels over contiguous rows.
#pragma once
#include "cpu/isa/vec.h"
#include "cpu/isa/vec_math.h"

namespace {

// The largest number of a row; a NaN comes back through the exponentials.
CK_INLINE float row_top(int64_t n, const float* x) {
    return max_lanes(fold_vectors(
        n, set1(-__builtin_inff()),
        [&](int64_t i, auto lanes) { return lanes.keep(lanes.load(x + i), -__builtin_inff()); },
        [](vf a, vf b) { return select(b > a, b, a); }));
}

// The sum of exp(x - top), each also to y unless null.
CK_INLINE double exponentials(int64_t n, const float* x, float top, float* y) {
    return sum_vectors(n, [&](int64_t i, auto lanes) {
        const vf e = exp(lanes.load(x + i) - top);
        if (y) lanes.store(y + i, e);
        return lanes.keep(e, 0);
    });
}

CK_INLINE float logarithm(double x) {
    return log(set1(static_cast<float>(x)))[0];
}

void softmax(bool log_wanted, int64_t rows, int64_t k, const float* x, float* y) {
    for (int64_t r = 0; r < rows; ++r, x += k, y += k) {
        const float top = row_top(k, x);
        const double sum = exponentials(k, x, top, log_wanted ? nullptr : y);
        if (log_wanted) {
            const float log_sum = logarithm(sum);
            map1(k, x, y, [&](vf v) { return (v - top) - log_sum; });
        } else {
            const float inverse = static_cast<float>(1 / sum);
            map1(k, y, y, [&](vf e) { return e * inverse; });
        }
    }
}

void softmax_gradient(bool log_wanted, int64_t rows, int64_t k, const float* y, const float* dy, float* dx) {
    for (int64_t r = 0; r < rows; ++r, y += k, dy += k, dx += k) {
        const float sum = static_cast<float>(sum_vectors(k, [&](int64_t i, auto lanes) {
            const vf g = lanes.load(dy + i);
            return log_wanted ? g : g * lanes.load(y + i);
        }));
        if (log_wanted) {
            map2(k, y, dy, dx, [&](vf v, vf g) { return g - exp(v) * sum; });
        } else {
            map2(k, y, dy, dx, [&](vf v, vf g) { return v * (g - sum); });
        }
    }
}

constexpr SoftmaxKernels kSoftmaxKernels = {softmax, softmax_gradient};

}  // namespace
