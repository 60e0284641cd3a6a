// The direct algorithm shared by conv2d and its data gradient: every output pixel points at its window in the input.
#pragma once
#include "cpu/conv_epilogue.h"
#include "cpu/conv_windows.h"

namespace ck::cpu {

// Filters of one group as the kernels read them: panels of columns, [panel][k][columns], the last panel rounded up to
// whole vectors. This many floats:
int64_t packed_filter_size(const DirectConv& s);

void direct_conv(const DirectConv& s, const float* x,  // [n,h,w,pixel]
                 const float* filters,                 // [groups] packed
                 const ConvEpilogue& after, float* y);

}  // namespace ck::cpu
