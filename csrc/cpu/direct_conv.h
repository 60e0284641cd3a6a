// The direct algorithm shared by conv2d and its data gradient: no image of columns is built; every output pixel points
// at its window in the input, or in a zero-padded copy of a few input rows.
#pragma once
#include <cstdint>

#include "core/shapes.h"

namespace ck::cpu {

// y(n,p,q,o) = activation(bias[o] + sum over r,s,c of x(n, p*stride_h - pad_top + r*dilation_h, ..., c) * w(o,r,s,c)),
// for each of `groups` sets of c input and o output channels. As a GEMM: m = n*p*q, n = o, k = r*s*c.
// Unlike a Conv2dShape, a padding may be negative, and y may be every second pixel of an image.
struct DirectConv {
    int64_t n, h, w, pixel;  // x[n,h,w,pixel], pixel = groups*c
    int64_t groups, c, o;
    int64_t r, s, p, q;
    int64_t stride_h, stride_w, dilation_h, dilation_w;
    int64_t pad_top, pad_left;
    int64_t y_image, y_row, y_pixel;  // strides of y

    int64_t k() const { return r * s * c; }
};

// Filters of one group as the kernels read them: panels of columns, [panel][k][columns], the last panel rounded up to
// whole vectors. This many floats:
int64_t packed_filter_size(const DirectConv& s);

void direct_conv(const DirectConv& s, const float* x,  // [n,h,w,pixel]
                 const float* filters,                 // [groups] packed
                 const float* bias,                    // [groups*o], may be null
                 Activation act, float* y);

}  // namespace ck::cpu
