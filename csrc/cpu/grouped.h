// Convolution in groups of a few channels each.
#pragma once
#include "core/backend.h"

namespace ck::cpu {

// Whether these drivers take the problem; the tiles of the direct algorithm serve wide groups as well.
bool grouped_applies(const Conv2dShape& s);

// The arguments are those of conv2d and its gradients in ops.def.
void grouped_conv(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
                  Activation act, float* y);
void grouped_data_gradient(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed,
                           const float* bias, Activation act, float* dx);
void grouped_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw);

}  // namespace ck::cpu
