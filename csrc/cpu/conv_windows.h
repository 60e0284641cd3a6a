// The windows of a convolution: every output pixel's inputs at constant offsets from one address, in the image itself
// or in a zero-padded copy of a few of its rows. No image of columns is built.
#pragma once
#include <cstdint>

#include "core/shapes.h"

namespace ck::cpu {

// y(n,p,q,o) = sum over r,s,c of x(n, p*stride_h - pad_top + r*dilation_h, ..., c) * w(o,r,s,c), then a ConvEpilogue,
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

DirectConv as_direct(const Conv2dShape& s);
// The data gradient as the convolution of dy with the rotated filters, where stride and dilation are 1; otherwise what
// depends on those is each phase's own, or, of Winograd's tiles, meant for dy with zeros between its pixels.
DirectConv as_rotated(const Conv2dShape& s);

// Whether a 1x1 filter reads every pixel once and y is dense.
bool pointwise(const DirectConv& s);
// Such a filter sees one long row: no edges to cut the work at. Others come back unchanged.
DirectConv merge_pixels(DirectConv s);

// Outputs are cut into blocks of `rows` (images follow each other) x `columns`. The window of output (p,q) of a block
// starts p*step_h*row_step + q*step_w*pixel_step after the block's; in it, tap (r,s,c) lies
// r*dilation_h*row_step + s*dilation_w*pixel_step + c further.
struct ConvWindows {
    bool in_place;
    int64_t pixel_step, row_step;  // floats
    int64_t step_h, step_w;
    int64_t rows, columns, row_blocks, column_blocks;
    int64_t buffer;  // floats that a block's copy takes

    int64_t tap(const DirectConv& s, int64_t r, int64_t column) const {
        return r * s.dilation_h * row_step + column * s.dilation_w * pixel_step;
    }
};

// Where windows lie: always copied; in place where they are inside the image and, when of several taps, no two
// neighbours a multiple of 2 KiB apart, where they would share a set of the first-level cache; or always in place, for
// callers that leave out the taps in the padding.
enum class WindowPlace : uint8_t { copied, in_place_inside, in_place };

// Blocks of about `pixels` outputs that read about `most_floats` at most.
ConvWindows plan_windows(const DirectConv& s, int64_t pixels, int64_t most_floats, WindowPlace place);

// Whether a copy of a window's rows would be mostly rows and columns that no tap meets.
bool dilated(const DirectConv& s);

// The output positions of [begin,end) at which a tap, dilation included, lies inside the input.
struct OutputRange {
    int64_t begin, end;
};
OutputRange meeting(int64_t begin, int64_t end, int64_t tap, int64_t stride, int64_t pad, int64_t in);

// The window of the first of `count` output rows from p0 and of the columns [q0,q1) of one image. Copies to `buffer`
// when windows are not in place, and moves `buffer` past the copy.
const float* place_windows(const DirectConv& s, const ConvWindows& windows, const float* x,  // [n,h,w,pixel]
                           int64_t image, int64_t p0, int64_t count, int64_t q0, int64_t q1, float*& buffer);

}  // namespace ck::cpu
