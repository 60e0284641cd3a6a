// Driver of conv2d. As a GEMM: m = N*P*Q, n = O, k = R*S*C (per group: O/groups, R*S*C/groups).
#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/conv_choice.h"
#include "cpu/depthwise.h"
#include "cpu/direct_conv.h"
#include "cpu/dispatch.h"
#include "cpu/grouped.h"
#include "cpu/packing.h"
#include "cpu/pixel_conv.h"

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

void run_direct(const DirectConv& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
                Activation act, float* y) {
    const PackedWeights filters(packed, packing_key(Packing::direct_conv, {s.groups, s.o, s.k()}),
                                s.groups * packed_filter_size(s), [&](float* to) { pack_filters(s, w, to); });
    direct_conv(s, x, filters.data(), bias, act, y);
}

}  // namespace

void conv2d(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
            Activation act, float* y) {
    const ConvAlgorithm algorithm = choose_conv(ConvPass::forward, s);
    switch (algorithm) {
        case ConvAlgorithm::depthwise:
            return depthwise_conv(s, x, w, packed, bias, act, y);
        case ConvAlgorithm::grouped:
            return grouped_conv(s, x, w, packed, bias, act, y);
        case ConvAlgorithm::winograd4:
        case ConvAlgorithm::winograd2:
            return winograd_conv(winograd_tile_size(algorithm, s), as_direct(s), {x, nullptr}, w, false, packed, bias,
                                 act, {y, false, nullptr});
        case ConvAlgorithm::pixels:
            return pixel_conv(s, x, w, bias, act, y);
        default:
            return run_direct(as_direct(s), x, w, packed, bias, act, y);
    }
}

}  // namespace ck::cpu
