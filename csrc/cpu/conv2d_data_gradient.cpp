// Driver of conv2d's data gradient, the forward pass of conv_transpose2d. dx is cut into stride_h x stride_w phases;
// each is a convolution of dy with stride 1 and a subset of the filter taps, rotated.
// As a GEMM: m = N*H*W, n = C, k = R*S*O / (stride_h*stride_w).
#include <algorithm>
#include <numeric>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/conv2d_scatter.h"
#include "cpu/conv_choice.h"
#include "cpu/depthwise.h"
#include "cpu/direct_conv.h"
#include "cpu/dispatch.h"
#include "cpu/packing.h"

namespace ck::cpu {
namespace {

// One axis of a phase: dx rows phase, phase + stride, ... meet the taps first, first + step, ... (`taps` of them). Tap
// a of the rotated filter, counted from the last of these, meets the dy row i + a*dilation - pad for the phase's row i.
struct PhaseAxis {
    int64_t size;  // rows of dx
    int64_t taps, first, step;
    int64_t dilation, pad;
};

PhaseAxis phase_axis(int64_t phase, int64_t size, int64_t stride, int64_t dilation, int64_t pad, int64_t window) {
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

DirectConv phase_problem(const Conv2dShape& s, const PhaseAxis& rows, const PhaseAxis& columns) {
    DirectConv d{};
    d.n = s.n;
    d.h = s.p;
    d.w = s.q;
    d.pixel = s.o;
    d.groups = s.groups;
    d.c = s.o / s.groups;
    d.o = s.c / s.groups;
    d.r = rows.taps;
    d.s = columns.taps;
    d.p = rows.size;
    d.q = columns.size;
    d.stride_h = d.stride_w = 1;
    d.dilation_h = rows.dilation;
    d.dilation_w = columns.dilation;
    d.pad_top = rows.pad;
    d.pad_left = columns.pad;
    d.y_image = s.h * s.w * s.c;
    d.y_row = s.stride_h * s.w * s.c;
    d.y_pixel = s.stride_w * s.c;
    d.repeat = 1;
    return d;
}

// Row k = (tap row, tap column, o) of a panel is w[o, r, s, panel's channels], contiguous already.
void pack_filters(const Conv2dShape& s, const DirectConv& phase, const PhaseAxis& rows, const PhaseAxis& columns,
                  const float* w, float* packed) {
    const int64_t width = kernels().conv2d.panel_columns, lanes = kernels().vector_width;
    const int64_t panels = ceil_div(phase.o, width), taps = phase.r * phase.s, filter = s.r * s.s * phase.o;
    parallel_for(s.groups * panels * taps, [&](int64_t task) {
        const int64_t tap = task % taps, panel = task / taps % panels, group = task / (taps * panels);
        const int64_t r = rows.first + (phase.r - 1 - tap / phase.s) * rows.step;
        const int64_t column = columns.first + (phase.s - 1 - tap % phase.s) * columns.step;
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

// dx in the channels of dy; those that one input channel feeds are then summed.
void depthwise_phase(const Conv2dShape& s, DirectConv phase, const PhaseAxis& rows, const PhaseAxis& columns,
                     const float* dy, const float* w, const float* bias, Activation act, float* dx) {
    phase.groups = 1;
    phase.c = phase.o = s.o;
    Scratch<float> filters(phase.r * phase.s * s.o);  // [taps,O]
    for (int64_t tap = 0; tap < phase.r * phase.s; ++tap) {
        const int64_t r = rows.first + (phase.r - 1 - tap / phase.s) * rows.step;
        const int64_t column = columns.first + (phase.s - 1 - tap % phase.s) * columns.step;
        for (int64_t o = 0; o < s.o; ++o) filters.data()[tap * s.o + o] = w[(o * s.r + r) * s.s + column];
    }
    depthwise_conv(phase, dy, filters.data(), bias, act, s.o / s.c, dx);
}

void run_phases(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed, const float* bias,
                Activation act, float* dx) {
    for (int64_t i = 0; i < std::min(s.stride_h, s.h); ++i) {
        const PhaseAxis rows = phase_axis(i, s.h, s.stride_h, s.dilation_h, s.pad_top, s.r);
        for (int64_t j = 0; j < std::min(s.stride_w, s.w); ++j) {
            const PhaseAxis columns = phase_axis(j, s.w, s.stride_w, s.dilation_w, s.pad_left, s.s);
            const DirectConv phase = phase_problem(s, rows, columns);
            float* start = dx + (i * s.w + j) * s.c;
            if (is_depthwise(s)) {
                depthwise_phase(s, phase, rows, columns, dy, w, bias, act, start);
                continue;
            }
            const PackedWeights filters(packed, phase_key(s, phase, rows, columns),
                                        s.groups * packed_filter_size(phase),
                                        [&](float* to) { pack_filters(s, phase, rows, columns, w, to); });
            direct_conv(phase, dy, filters.data(), bias, act, start);
        }
    }
}

}  // namespace

void conv2d_data_gradient(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed,
                          const float* bias, Activation act, float* dx) {
    const ConvAlgorithm algorithm = choose_conv(ConvPass::data, s);
    switch (algorithm) {
        case ConvAlgorithm::scatter:
            return scatter_data_gradient(s, dy, w, bias, act, dx);
        case ConvAlgorithm::winograd4:
        case ConvAlgorithm::winograd2:
            return winograd_conv(winograd_tile_size(algorithm, s), as_rotated(s), {dy, nullptr}, w, true, packed, bias,
                                 act, {dx, false, nullptr});
        default:
            return run_phases(s, dy, w, packed, bias, act, dx);
    }
}

}  // namespace ck::cpu
