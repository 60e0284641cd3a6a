// What follows the sum of a convolution: bias, residual, activation.
#pragma once
#include "core/shapes.h"

namespace ck::cpu {

// What follows the sums: y = activation(sum + bias + residual).
struct ConvEpilogue {
    const float* bias;      // [groups*o], may be null
    const float* residual;  // laid out as y, may be null
    Activation act;
};

// y = activation(y + residual), [n] each, for the kernels that know no residual: it is rare behind their shapes.
void add_residual(int64_t n, const float* residual, Activation act, float* y);

}  // namespace ck::cpu
