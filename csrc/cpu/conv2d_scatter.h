// Data gradient of a convolution with few input channels, as first layers have: the other way round than direct_conv,
// whose columns would be mostly empty vectors.
#pragma once
#include "core/shapes.h"

namespace ck::cpu {

bool scatter_applies(const Conv2dShape& s);

// Each dy pixel times all filters gives its window's share of dx, [R*S*C], which is added where the window lies.
// As a GEMM: m = N*P*Q, n = R*S*C, k = O. Every task owns some rows of dx, so the order of additions is fixed.
void scatter_data_gradient(const Conv2dShape& s, const float* dy,  // [N,P,Q,O]
                           const float* w,                         // [O,R,S,C]
                           const float* bias,                      // [C], may be null
                           Activation act, float* dx);             // [N,H,W,C]

}  // namespace ck::cpu
