// Depthwise convolution: as many groups as input channels, each with O/C filters of its own (the multiplier).
#pragma once
#include "core/backend.h"

namespace ck::cpu {

// Wide multipliers fill a vector by themselves: those are ordinary groups.
bool is_depthwise(const Conv2dShape& s);

// The arguments are those of conv2d and its gradients in ops.def.
void depthwise_conv(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
                    Activation act, float* y);
void depthwise_data_gradient(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed,
                             const float* bias, Activation act, float* dx);
void depthwise_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw);

}  // namespace ck::cpu
