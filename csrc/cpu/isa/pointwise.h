// Pointwise kernels: unary functions and their gradients, binary arithmetic. Tails use load_n/store_n, so a value does
// not depend on its position.
#pragma once

namespace {

// y[i] = f(x[i])
template <class F>
CK_INLINE void map1(int64_t n, const float* x, float* y, F f) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(y + i, f(load(x + i)));
    if (i < n) store_n(y + i, f(load_n(x + i, n - i)), n - i);
}

// y[i] = f(a[i], b[i])
template <class F>
CK_INLINE void map2(int64_t n, const float* a, const float* b, float* y, F f) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(y + i, f(load(a + i), load(b + i)));
    if (i < n) store_n(y + i, f(load_n(a + i, n - i), load_n(b + i, n - i)), n - i);
}

void unary(UnaryOp op, float slope, int64_t n, const float* x, float* y) {
    switch (op) {
        case UnaryOp::negate:
            return map1(n, x, y, [](vf v) { return -v; });
        case UnaryOp::sqrt:
            return map1(n, x, y, [](vf v) { return sqrt(v); });
        case UnaryOp::abs:
            return map1(n, x, y, [](vf v) { return abs(v); });
        case UnaryOp::relu:
            return map1(n, x, y, [](vf v) { return max0(v); });
        case UnaryOp::relu6:
            return map1(n, x, y, [](vf v) { return select(v > 6, set1(6), max0(v)); });
        case UnaryOp::leaky_relu:
            return map1(n, x, y, [slope](vf v) { return select(v < 0, v * slope, v); });
        default:
            return;
    }
}

// For ops whose gradient needs only comparisons and products: dx = dy * f(x or y).
void unary_gradient(UnaryOp op, float slope, int64_t n, const float* x, const float* y, const float* dy, float* dx) {
    switch (op) {
        case UnaryOp::negate:
            return map1(n, dy, dx, [](vf g) { return -g; });
        case UnaryOp::exp:
            return map2(n, y, dy, dx, [](vf v, vf g) { return g * v; });
        case UnaryOp::log:
            return map2(n, x, dy, dx, [](vf v, vf g) { return g / v; });
        case UnaryOp::sqrt:
            return map2(n, y, dy, dx, [](vf v, vf g) { return g / (v + v); });
        case UnaryOp::abs:
            return map2(n, x, dy, dx, [](vf v, vf g) { return select(v > 0, g, select(v < 0, -g, v * 0)); });
        case UnaryOp::relu:
            return map2(n, y, dy, dx, [](vf v, vf g) { return select(v <= 0, vf{}, g); });
        case UnaryOp::relu6:
            return map2(n, y, dy, dx, [](vf v, vf g) { return select((v <= 0) | (v >= 6), vf{}, g); });
        case UnaryOp::leaky_relu:
            return map2(n, x, dy, dx, [slope](vf v, vf g) { return select(v <= 0, g * slope, g); });
        case UnaryOp::tanh:
            return map2(n, y, dy, dx, [](vf v, vf g) { return g * (1 - v * v); });
        case UnaryOp::sigmoid:
            return map2(n, y, dy, dx, [](vf v, vf g) { return g * (v * (1 - v)); });
    }
}

template <class F>
CK_INLINE void map2_steps(int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, float* y, F f) {
    if (step_a && step_b) return map2(n, a, b, y, f);
    if (step_a) {
        const vf right = set1(*b);
        return map1(n, a, y, [&](vf v) { return f(v, right); });
    }
    const vf left = set1(*a);
    if (step_b) return map1(n, b, y, [&](vf v) { return f(left, v); });
    const vf value = f(left, set1(*b));
    for (int64_t i = 0; i < n; ++i) y[i] = value[0];
}

void binary(BinaryOp op, int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, float* y) {
    switch (op) {
        case BinaryOp::add:
            return map2_steps(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u + v; });
        case BinaryOp::subtract:
            return map2_steps(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u - v; });
        case BinaryOp::multiply:
            return map2_steps(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u * v; });
        case BinaryOp::divide:
            return map2_steps(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u / v; });
        case BinaryOp::power:
            return;  // the driver takes the plain loop: libm's powf is right in every corner
    }
}

constexpr PointwiseKernels kPointwiseKernels = {unary, unary_gradient, binary};

}  // namespace
