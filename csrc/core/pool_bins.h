// The input rows (or columns) that each output of an average pooling covers, and the outputs that cover an input.
#pragma once
#include "core/shapes.h"

namespace ck {

// Outputs [begin,end) along one axis.
struct OutputRange {
    int64_t begin, end;
};

// Windows of avg_pool2d along one axis.
struct WindowBins {
    int64_t in, out, window, stride, before, after;
    bool include_pad;

    constexpr AverageBin operator()(int64_t p) const {
        return average_bin(p, in, window, stride, before, after, include_pad);
    }
    constexpr OutputRange covering(int64_t i) const {
        const int64_t first = i + before - window + 1, last = (i + before) / stride;
        return {first > 0 ? ceil_div(first, stride) : 0, last < out ? last + 1 : out};
    }
};

struct AdaptiveBins {
    int64_t in, out;

    constexpr AverageBin operator()(int64_t p) const { return adaptive_bin(p, in, out); }
    // p*in < (i+1)*out and (p+1)*in > i*out: the bin of i, were the outputs pooled to the inputs.
    constexpr OutputRange covering(int64_t i) const {
        const AverageBin bin = adaptive_bin(i, out, in);
        return {bin.begin, bin.end};
    }
};

constexpr WindowBins row_bins(const Pool2dShape& s, bool include_pad) {
    return {s.h, s.p, s.r, s.stride_h, s.pad_top, s.pad_bottom, include_pad};
}
constexpr WindowBins column_bins(const Pool2dShape& s, bool include_pad) {
    return {s.w, s.q, s.s, s.stride_w, s.pad_left, s.pad_right, include_pad};
}
constexpr AdaptiveBins adaptive_bins(int64_t in, int64_t out) {
    return {in, out};
}

}  // namespace ck
