#pragma once
#include "core/shapes.h"

namespace ck::cpu {

// The weight gradient of 1x1 filters, where they are worth a way of their own; elsewhere false, with nothing done.
bool pointwise_weight_gradient(const Conv2dShape& shape, const float* x, const float* dy, float* dw);

}  // namespace ck::cpu
