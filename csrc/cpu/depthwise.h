// Depthwise convolution: as many groups as input channels, each with O/C filters of its own (the multiplier).
#pragma once
#include "cpu/conv_windows.h"

namespace ck::cpu {

// Wide multipliers fill a vector by themselves: those are ordinary groups.
bool is_depthwise(const Conv2dShape& s);

// All channels of x side by side, each repeated for the filters that read it.
DirectConv as_depthwise(const Conv2dShape& s);

// y = activation(bias + windows * filters), s.o channels wide; with fold > 1 neighbouring channels are summed first,
// and y has s.o/fold. s.groups = 1, s.c*s.repeat = s.o.
void depthwise_conv(const DirectConv& s, const float* x,  // [n,h,w,c]
                    const float* filters,                 // [r*s,o]
                    const float* bias,                    // [o/fold], may be null
                    Activation act, int64_t fold, float* y);

void depthwise_weight_gradient(const DirectConv& s, const float* x,  // [n,h,w,c]
                               const float* dy,                      // [n,p,q,o]
                               float* dw);                           // [o,r,s]

}  // namespace ck::cpu
