// Door checks that conv2d and conv_transpose2d share.
#pragma once
#include <algorithm>

#include "ops/ops.h"

namespace ck {

// Sizes and paddings are kept so small that no address or output size below can overflow 64 bits.
constexpr int64_t kMaxGeometry = int64_t{1} << 30;

inline void check_operands(const char* op, const Tensor& a, const Tensor& b, const Tensor* bias) {
    check_same_device(op, a, b);
    check_same_dtype(op, a, b);
    if (!bias) return;
    check_same_device(op, a, *bias);
    check_same_dtype(op, a, *bias);
}

inline void check_geometry(const char* op, const Conv2dGeometry& g) {
    const auto [stride_h, stride_w] = g.stride;
    const auto [dilation_h, dilation_w] = g.dilation;
    const auto [top, bottom, left, right] = g.padding;
    CK_CHECK(stride_h >= 1 && stride_w >= 1 && stride_h <= kMaxGeometry && stride_w <= kMaxGeometry, op,
             "stride must be at least 1 and at most 2^30. Received: stride=(", stride_h, ",", stride_w, ").");
    CK_CHECK(dilation_h >= 1 && dilation_w >= 1 && dilation_h <= kMaxGeometry && dilation_w <= kMaxGeometry, op,
             "dilation must be at least 1 and at most 2^30. Received: dilation=(", dilation_h, ",", dilation_w, ").");
    CK_CHECK(top >= 0 && bottom >= 0 && left >= 0 && right >= 0 && top <= kMaxGeometry && bottom <= kMaxGeometry &&
                 left <= kMaxGeometry && right <= kMaxGeometry,
             op, "padding must be at least 0 and at most 2^30. Received: top=", top, ", bottom=", bottom,
             ", left=", left, ", right=", right, ".");
    CK_CHECK(g.groups >= 1, op, "groups must be at least 1. Received: groups=", g.groups, ".");
}

// Rows and columns of images and filters; x and w have four axes.
inline void check_planes(const char* op, const Shape& x, const Shape& w) {
    CK_CHECK(x[1] <= kMaxGeometry && x[2] <= kMaxGeometry && w[1] <= kMaxGeometry && w[2] <= kMaxGeometry, op,
             "x and w must have at most 2^30 rows and columns. Received: x ", x, ", w ", w, ".");
}

// Once all sizes are known: they bound the drivers' scratch, so that no product of them overflows.
inline void finish_shape(const char* op, Conv2dShape& s) {
    constexpr int64_t kMost = int64_t{1} << 40;  // elements, 4 TB
    const int64_t rows = s.h + s.pad_top + s.pad_bottom, columns = s.w + s.pad_left + s.pad_right;
    CK_CHECK(rows <= kMost / columns && std::max(s.c, s.o) <= kMost / (rows * columns), op,
             "one padded image must have at most 2^40 elements. Received: H=", s.h, ", W=", s.w, ", C=", s.c,
             ", O=", s.o, ", padding top=", s.pad_top, ", bottom=", s.pad_bottom, ", left=", s.pad_left,
             ", right=", s.pad_right, ".");
    s.stride_h = std::min(s.stride_h, rows);  // beyond it there is no second window, however far
    s.stride_w = std::min(s.stride_w, columns);
}

}  // namespace ck
