// The input rows (or columns) that each output of an average pooling covers, as functions of the output.
#pragma once
#include "core/shapes.h"

namespace ck {

inline auto row_bins(const Pool2dShape& s, bool include_pad) {
    return [=](int64_t p) { return average_bin(p, s.h, s.r, s.stride_h, s.pad_top, s.pad_bottom, include_pad); };
}
inline auto column_bins(const Pool2dShape& s, bool include_pad) {
    return [=](int64_t q) { return average_bin(q, s.w, s.s, s.stride_w, s.pad_left, s.pad_right, include_pad); };
}
inline auto adaptive_bins(int64_t in, int64_t out) {
    return [=](int64_t p) { return adaptive_bin(p, in, out); };
}

}  // namespace ck
