// Convolution of one input channel by few filters, as the first layers of small networks for grey images have.
#pragma once
#include "core/backend.h"

namespace ck::cpu {

bool pixel_conv_applies(const Conv2dShape& s);

// The arguments are those of conv2d and its weight gradient in ops.def.
void pixel_conv(const Conv2dShape& s, const float* x, const float* w, const float* bias, Activation act, float* y);
void pixel_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw);

}  // namespace ck::cpu
