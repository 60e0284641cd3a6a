// Driver of conv2d. As a GEMM: m = N*P*Q, n = O, k = R*S*C (per group: O/groups, R*S*C/groups).
#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/depthwise.h"
#include "cpu/direct_conv.h"
#include "cpu/dispatch.h"
#include "cpu/grouped.h"

namespace ck::cpu {
namespace {

// w[O,R,S,C/groups] to panels: a transpose, as the filters' rows become columns.
void pack_filters(const DirectConv& s, const float* w, float* packed) {
    const int64_t width = kernels().conv2d.panel_columns, lanes = kernels().vector_width;
    const int64_t panels = ceil_div(s.o, width), k = s.k();
    parallel_for(s.groups * panels, [&](int64_t task) {
        const int64_t group = task / panels, o = task % panels * width, columns = std::min(width, s.o - o);
        kernels().gemm.pack(columns, k, w + (group * s.o + o) * k, k, 1, packed + group * packed_filter_size(s) + o * k,
                            ceil_div(columns, lanes) * lanes);
    });
}

}  // namespace

void conv2d(const Conv2dShape& s, const float* x, const float* w, const float* bias, Activation act, float* y) {
    if (is_depthwise(s)) return depthwise_conv(s, x, w, bias, act, y);
    if (is_grouped(s)) return grouped_conv(s, x, w, bias, act, y);
    const DirectConv direct = as_direct(s);
    Scratch<float> packed(s.groups * packed_filter_size(direct));
    pack_filters(direct, w, packed.data());
    direct_conv(direct, x, packed.data(), bias, act, y);
}

}  // namespace ck::cpu
