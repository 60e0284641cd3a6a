// What each unary function and activation is, as cpu/reference/scalar.h defines it; in float.
#pragma once
#include "core/shapes.h"
#include "cuda/cuda.h"

namespace ck::cuda {

__device__ __forceinline__ float sigmoid(float x) {
    const float e = expf(-fabsf(x));  // cannot overflow
    return (x >= 0 ? 1.0f : e) / (1 + e);
}

__device__ __forceinline__ float unary_value(UnaryOp op, float slope, float x) {
    switch (op) {
        case UnaryOp::negate:
            return -x;
        case UnaryOp::exp:
            return expf(x);
        case UnaryOp::log:
            return logf(x);
        case UnaryOp::sqrt:
            return sqrtf(x);
        case UnaryOp::abs:
            return fabsf(x);
        case UnaryOp::relu:
            return x <= 0 ? 0.0f : x;  // NaN passes
        case UnaryOp::relu6:
            return x <= 0 ? 0.0f : x > 6 ? 6.0f : x;
        case UnaryOp::leaky_relu:
            return x < 0 ? slope * x : x;
        case UnaryOp::tanh:
            return tanhf(x);
        case UnaryOp::sigmoid:
            return sigmoid(x);
    }
    return x;
}

// dy * f'(x), with y = f(x). At a kink the left derivative; 0 for abs.
__device__ __forceinline__ float unary_gradient_value(UnaryOp op, float slope, float x, float y, float dy) {
    switch (op) {
        case UnaryOp::negate:
            return -dy;
        case UnaryOp::exp:
            return dy * y;
        case UnaryOp::log:
            return dy / x;
        case UnaryOp::sqrt:
            return dy / (y + y);
        case UnaryOp::abs:
            return x > 0 ? dy : x < 0 ? -dy : x * 0;
        case UnaryOp::relu:
            return y <= 0 ? 0.0f : dy;
        case UnaryOp::relu6:
            return y <= 0 || y >= 6 ? 0.0f : dy;
        case UnaryOp::leaky_relu:
            return x <= 0 ? slope * dy : dy;
        case UnaryOp::tanh:
            return dy * (1 - y * y);
        case UnaryOp::sigmoid:
            return dy * (y * (1 - y));
    }
    return dy;
}

constexpr UnaryOp unary_of(ActivationKind kind) {  // kind != none
    switch (kind) {
        case ActivationKind::relu6:
            return UnaryOp::relu6;
        case ActivationKind::leaky_relu:
            return UnaryOp::leaky_relu;
        case ActivationKind::tanh:
            return UnaryOp::tanh;
        case ActivationKind::sigmoid:
            return UnaryOp::sigmoid;
        default:
            return UnaryOp::relu;
    }
}

__device__ __forceinline__ float activate(Activation act, float x) {
    return act.kind == ActivationKind::none ? x : unary_value(unary_of(act.kind), static_cast<float>(act.slope), x);
}

// dy * activation'(z) from y = activation(z) alone: leaky_relu keeps the sign of z because its slope is positive.
__device__ __forceinline__ float activation_gradient(Activation act, float y, float dy) {
    if (act.kind == ActivationKind::none) return dy;
    return unary_gradient_value(unary_of(act.kind), static_cast<float>(act.slope), y, y, dy);
}

// The same of n values at once. The kind is the same for all threads: asked once, not for each value.
template <int n>
__device__ __forceinline__ void activate(Activation act, float (&v)[n]) {
    if (act.kind == ActivationKind::none) return;
    if (act.kind == ActivationKind::relu) {
#pragma unroll
        for (int j = 0; j < n; ++j) v[j] = unary_value(UnaryOp::relu, 0, v[j]);
        return;
    }
#pragma unroll
    for (int j = 0; j < n; ++j) v[j] = activate(act, v[j]);
}
template <int n>
__device__ __forceinline__ void activation_gradient(Activation act, const float (&y)[n], float (&dy)[n]) {
    if (act.kind == ActivationKind::none) return;
    if (act.kind == ActivationKind::relu) {
#pragma unroll
        for (int j = 0; j < n; ++j) dy[j] = unary_gradient_value(UnaryOp::relu, 0, y[j], y[j], dy[j]);
        return;
    }
#pragma unroll
    for (int j = 0; j < n; ++j) dy[j] = activation_gradient(act, y[j], dy[j]);
}

}  // namespace ck::cuda
