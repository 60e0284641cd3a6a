// Strided copies in a form that kernels like.
#pragma once
#include <utility>

#include "core/shapes.h"

namespace ck {

// The same copy with neighbouring axes merged and axes of one element dropped; at least two axes. The axis along which
// the source is contiguous comes next to the last (the order of the loops does not matter).
inline StridedCopy merged(const StridedCopy& s) {
    StridedCopy m{};
    m.itemsize = s.itemsize;
    const auto append = [&m](int64_t size, int64_t src_stride, int64_t dst_stride) {
        m.shape[m.ndim] = size;
        m.src_stride[m.ndim] = src_stride;
        m.dst_stride[m.ndim++] = dst_stride;
    };
    for (int d = 0; d < s.ndim; ++d) {
        const int last = m.ndim - 1;
        if (s.shape[d] == 1) continue;
        if (last >= 0 && m.src_stride[last] == s.src_stride[d] * s.shape[d] &&
            m.dst_stride[last] == s.dst_stride[d] * s.shape[d]) {
            m.shape[last] *= s.shape[d];
            m.src_stride[last] = s.src_stride[d];
            m.dst_stride[last] = s.dst_stride[d];
        } else {
            append(s.shape[d], s.src_stride[d], s.dst_stride[d]);
        }
    }
    if (m.ndim == 0) append(1, 1, 1);
    if (m.ndim == 1) {  // one run: an axis of one element before it
        append(m.shape[0], m.src_stride[0], m.dst_stride[0]);
        m.shape[0] = 1;
    }
    for (int d = 0; d < m.ndim - 2; ++d)
        if (m.src_stride[d] == 1 && m.src_stride[m.ndim - 1] != 1) {
            std::swap(m.shape[d], m.shape[m.ndim - 2]);
            std::swap(m.src_stride[d], m.src_stride[m.ndim - 2]);
            std::swap(m.dst_stride[d], m.dst_stride[m.ndim - 2]);
        }
    return m;
}

}  // namespace ck
