// Optimizer kernels: one pass over parameter, gradient and moments.
#pragma once
#include "cpu/isa/vec.h"

namespace {

void sgd_step(const SgdSettings& s, int64_t n, float* param, const float* grad, float* velocity) {
    const vf rate = set1(static_cast<float>(-s.lr)), momentum = set1(static_cast<float>(s.momentum));
    const vf decay = set1(static_cast<float>(s.weight_decay));
    const bool decays = s.weight_decay != 0, nesterov = s.nesterov;
    for_vectors(n, [&](int64_t i, auto lanes) {
        const vf p = lanes.load(param + i);
        vf g = lanes.load(grad + i);
        if (decays) g = fma(decay, p, g);
        if (velocity) {
            const vf v = fma(momentum, lanes.load(velocity + i), g);
            lanes.store(velocity + i, v);
            g = nesterov ? fma(momentum, v, g) : v;
        }
        lanes.store(param + i, fma(rate, g, p));
    });
}

// correction1 = 1 - beta1^step, correction2 = 1 - beta2^step
void adam_step(const AdamSettings& s, double correction1, double correction2, int64_t n, float* param,
               const float* grad, float* m, float* v) {
    const vf rate = set1(static_cast<float>(-s.lr / correction1)), eps = set1(static_cast<float>(s.eps));
    const vf root = set1(static_cast<float>(1 / __builtin_sqrt(correction2)));
    const vf keep1 = set1(static_cast<float>(1 - s.beta1)), keep2 = set1(static_cast<float>(1 - s.beta2));
    const vf beta2 = set1(static_cast<float>(s.beta2)), decay = set1(static_cast<float>(s.weight_decay));
    const vf shrink = set1(static_cast<float>(1 - s.lr * s.weight_decay));
    const bool adds = s.weight_decay != 0 && !s.decoupled, shrinks = s.weight_decay != 0 && s.decoupled;
    for_vectors(n, [&](int64_t i, auto lanes) {
        vf p = lanes.load(param + i), g = lanes.load(grad + i);
        if (adds) g = fma(decay, p, g);
        if (shrinks) p = p * shrink;
        vf first = lanes.load(m + i);
        first = fma(keep1, g - first, first);
        const vf second = fma(beta2, lanes.load(v + i), keep2 * g * g);
        lanes.store(m + i, first);
        lanes.store(v + i, second);
        lanes.store(param + i, fma(rate, first / fma(sqrt(second), root, eps), p));
    });
}

constexpr OptimizerKernels kOptimizerKernels = {sgd_step, adam_step};

}  // namespace
