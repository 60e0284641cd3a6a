// The adjoint of a strided convolution, along one axis: `stride` phases of the result, each a convolution with stride 1
// and a subset of the taps, rotated.
#pragma once
#include <cstdint>
#include <numeric>

#include "core/shapes.h"

namespace ck {

// dx rows phase, phase + stride, ... meet the taps first, first + step, ... (`taps` of them). Tap a of the rotated
// filter, counted from the last of these, meets the dy row i + a*dilation - pad for the phase's row i.
struct PhaseAxis {
    int64_t size;  // rows of dx
    int64_t taps, first, step;
    int64_t dilation, pad;

    int64_t tap(int64_t a) const { return first + (taps - 1 - a) * step; }  // of the filter
};

inline PhaseAxis phase_axis(int64_t phase, int64_t size, int64_t stride, int64_t dilation, int64_t pad,
                            int64_t window) {
    const int64_t common = std::gcd(stride, dilation);
    PhaseAxis axis{ceil_div(size - phase, stride), 0, 0, stride / common, dilation / common, 0};
    for (; axis.first < axis.step && axis.first < window; ++axis.first) {
        const int64_t distance = phase + pad - axis.first * dilation;  // stride times the dy row of the first tap
        if (distance % stride) continue;
        axis.taps = ceil_div(window - axis.first, axis.step);
        axis.pad = (axis.taps - 1) * axis.dilation - distance / stride;
        break;
    }
    return axis;
}

}  // namespace ck
