// Winograd convolution: no dilation, one group, 3x3 or 5x5 filters of stride 1, 3x3 ones of stride 2 (their data
// gradient for a padding of 1).
// docs/kernels.md has the error bounds.
#pragma once
#include "core/derived.h"
#include "cpu/conv_epilogue.h"
#include "cpu/conv_windows.h"

namespace ck::cpu {

// F(outputs x outputs, taps x taps): 4x3 multiplies 4 times less than the direct sum, 2x3 2.25 times at a smaller
// rounding error, 2x5 2.8 times, 4x3 of stride 2 1.8 times.
enum class WinogradTileSize : uint8_t { f4x3, f2x3, f2x5, f4x3_strided };

// What the kernels compute; s.r, s.s must be the tile's taps.
bool winograd_applies(const Conv2dShape& s, WinogradTileSize size, bool rotated);  // rotated: for the data gradient

// An image [n,h,w,c]; with argmax, what 2x2 max-pooling (stride 2, rounded down) left of it: data and argmax
// [n,h/2,w/2,c], where the pixels that were no maximum count as zeros.
struct WinogradImage {
    const float* data;
    const uint8_t* argmax;
};

// Where outputs go: y, or their maxima by 2x2 with argmax (may be null) as above.
struct WinogradResult {
    float* data;
    bool pooled;
    uint8_t* argmax;
};

// y = x * w and what follows; of the data gradient s is the convolution of dy with the rotated filters (of stride 2:
// of dy with zeros between its pixels). As a GEMM for each of the points: m = tiles, n = s.o, k = s.c.
void winograd_conv(WinogradTileSize size, const DirectConv& s, const WinogradImage& x,
                   const float* w,  // [o,r,s,c]; rotated: [c,r,s,o]
                   bool rotated, DerivedCache* packed,
                   const ConvEpilogue& after,  // pooled: no residual, activations none and relu only
                   const WinogradResult& y);

// dw = sum over pixels of x dy. As a GEMM for each of the points: m = O, n = C, k = tiles.
void winograd_weight_gradient(WinogradTileSize size, const Conv2dShape& s, const float* x,  // [N,H,W,C]
                              const WinogradImage& dy, float* dw);                          // [O,R,S,C]

}  // namespace ck::cpu
