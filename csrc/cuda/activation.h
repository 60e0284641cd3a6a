// Activations of several values at once.
#pragma once
#include "core/scalar.h"
#include "cuda/cuda.h"

namespace ck::cuda {

// The kind is the same for all threads: asked once, not for each value.
template <int n>
__device__ __forceinline__ void activate_each(Activation act, float (&v)[n]) {
    if (act.kind == ActivationKind::none) return;
    if (act.kind == ActivationKind::relu) {
#pragma unroll
        for (int j = 0; j < n; ++j) v[j] = unary_value(UnaryOp::relu, 0.0f, v[j]);
        return;
    }
    const UnaryOp op = unary_of(act.kind);
    const float slope = static_cast<float>(act.slope);
#pragma unroll
    for (int j = 0; j < n; ++j) v[j] = unary_value(op, slope, v[j]);
}
template <int n>
__device__ __forceinline__ void activation_gradient_each(Activation act, const float (&y)[n], float (&dy)[n]) {
    if (act.kind == ActivationKind::none) return;
    if (act.kind == ActivationKind::relu) {
#pragma unroll
        for (int j = 0; j < n; ++j) dy[j] = unary_gradient_value(UnaryOp::relu, 0.0f, y[j], y[j], dy[j]);
        return;
    }
#pragma unroll
    for (int j = 0; j < n; ++j) dy[j] = activation_gradient(act, y[j], dy[j]);
}

}  // namespace ck::cuda
