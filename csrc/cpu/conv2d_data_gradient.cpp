// Driver of conv2d's data gradient, the forward pass of conv_transpose2d. dx is cut into stride_h x stride_w phases;
// each is a convolution of dy with stride 1 and a subset of the filter taps, rotated.
// As a GEMM: m = N*H*W, n = C, k = R*S*O / (stride_h*stride_w).
#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "core/phase_axis.h"
#include "cpu/backend.h"
#include "cpu/conv2d_scatter.h"
#include "cpu/conv_choice.h"
#include "cpu/depthwise.h"
#include "cpu/direct_conv.h"
#include "cpu/dispatch.h"
#include "cpu/grouped.h"
#include "cpu/packing.h"

namespace ck::cpu {
namespace {

DirectConv phase_problem(const Conv2dShape& s, const PhaseAxis& rows, const PhaseAxis& columns) {
    DirectConv d = as_rotated(s);
    d.r = rows.taps;
    d.s = columns.taps;
    d.p = rows.size;
    d.q = columns.size;
    d.stride_h = d.stride_w = 1;
    d.dilation_h = rows.dilation;
    d.dilation_w = columns.dilation;
    d.pad_top = rows.pad;
    d.pad_left = columns.pad;
    d.y_row *= s.stride_h;
    d.y_pixel *= s.stride_w;
    return d;
}

// Row k = (tap row, tap column, o) of a panel is w[o, r, s, panel's channels], contiguous already.
void pack_filters(const Conv2dShape& s, const DirectConv& phase, const PhaseAxis& rows, const PhaseAxis& columns,
                  const float* w, float* packed) {
    const int64_t width = kernels().conv2d.panel_columns, lanes = kernels().vector_width;
    const int64_t panels = ceil_div(phase.o, width), taps = phase.r * phase.s, filter = s.r * s.s * phase.o;
    parallel_for(s.groups * panels * taps, [&](int64_t task) {
        const int64_t tap = task % taps, panel = task / taps % panels, group = task / (taps * panels);
        const int64_t r = rows.tap(tap / phase.s);
        const int64_t column = columns.tap(tap % phase.s);
        const int64_t c = panel * width, count = std::min(width, phase.o - c);
        const int64_t padded = ceil_div(count, lanes) * lanes;
        const float* src = w + group * phase.c * filter + (r * s.s + column) * phase.o + c;
        float* dst = packed + group * packed_filter_size(phase) + c * phase.k() + tap * phase.c * padded;
        kernels().gemm.pack(count, phase.c, src, 1, filter, dst, padded);
    });
}

uint64_t phase_key(const Conv2dShape& s, const DirectConv& phase, const PhaseAxis& rows, const PhaseAxis& columns) {
    return packing_key(Packing::direct_conv_gradient,
                       {s.groups, phase.o, phase.c, s.r, s.s, rows.first, rows.step, columns.first, columns.step});
}

void run_phases(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed, const ConvEpilogue& after,
                float* dx) {
    for (int64_t i = 0; i < std::min(s.stride_h, s.h); ++i) {
        const PhaseAxis rows = phase_axis(i, s.h, s.stride_h, s.dilation_h, s.pad_top, s.r);
        for (int64_t j = 0; j < std::min(s.stride_w, s.w); ++j) {
            const PhaseAxis columns = phase_axis(j, s.w, s.stride_w, s.dilation_w, s.pad_left, s.s);
            const DirectConv phase = phase_problem(s, rows, columns);
            const int64_t start = (i * s.w + j) * s.c;
            const ConvEpilogue here{after.bias, after.residual ? after.residual + start : nullptr, after.act};
            const PackedWeights filters(packed, phase_key(s, phase, rows, columns),
                                        s.groups * packed_filter_size(phase),
                                        [&](float* to) { pack_filters(s, phase, rows, columns, w, to); });
            direct_conv(phase, dy, filters.data(), here, dx + start);
        }
    }
}

}  // namespace

void conv2d_data_gradient(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed,
                          const float* bias, const float* residual, Activation act, float* dx) {
    const ConvAlgorithm algorithm = choose_conv(ConvPass::data, s);
    if (algorithm == ConvAlgorithm::winograd4 || algorithm == ConvAlgorithm::winograd2)
        return winograd_conv(winograd_tile_size(algorithm, s), as_rotated(s), {dy, nullptr}, w, true, packed,
                             {bias, residual, act}, {dx, false, nullptr});
    if (algorithm == ConvAlgorithm::direct) return run_phases(s, dy, w, packed, {bias, residual, act}, dx);
    const Activation own = residual ? Activation{} : act;  // else add_residual's
    if (algorithm == ConvAlgorithm::depthwise) {
        depthwise_data_gradient(s, dy, w, packed, bias, own, dx);
    } else if (algorithm == ConvAlgorithm::grouped) {
        grouped_data_gradient(s, dy, w, packed, bias, own, dx);
    } else {
        scatter_data_gradient(s, dy, w, bias, own, dx);
    }
    if (residual) add_residual(s.n * s.h * s.w * s.c, residual, act, dx);
}

}  // namespace ck::cpu
