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

constexpr int64_t kDotPixels = 512;  // of a task: their planes and a part of their channels stay in the L1

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

// So few filters that they would fill a small part of a vector: channels fill it, and an output is the dot product of
// a pixel and a filter.
bool dots_pay(const DirectConv& s) {
    return pointwise(s) && s.groups == 1 && s.o <= kernels().gemm.dot_rows && s.c >= 2 * kernels().vector_width;
}

// s of merged pixels.
void run_dots(const DirectConv& s, const float* x, const float* w, const float* bias, Activation act, float* y) {
    const int64_t tasks = ceil_div(s.q, kDotPixels), workers = worker_count(tasks), size = s.o * kDotPixels;
    Scratch<float> planes(workers * size);  // filter by filter
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        float* const plane = planes.data() + worker * size;
        const int64_t q = task * kDotPixels, count = std::min(kDotPixels, s.q - q);
        kernels().gemm.dots(s.o, count, s.c, w, s.c, x + q * s.pixel, s.pixel, plane, kDotPixels);
        for (int64_t o = 0; bias && o < s.o; ++o) {
            float* to = plane + o * kDotPixels;
            kernels().pointwise.binary(BinaryOp::add, count, to, 1, bias + o, 0, to);
        }
        if (act.kind != ActivationKind::none) kernels().gemm.epilogue(s.o, count, nullptr, act, plane, kDotPixels);
        kernels().gemm.pack(s.o, count, plane, kDotPixels, 1, y + q * s.o, s.o);
    });
}

void run_direct(const DirectConv& s, const float* x, const float* w, DerivedCache* packed, const ConvEpilogue& after,
                float* y) {
    const PackedWeights filters(packed, packing_key(Packing::direct_conv, {s.groups, s.o, s.k()}),
                                s.groups * packed_filter_size(s), [&](float* to) { pack_filters(s, w, to); });
    direct_conv(s, x, filters.data(), after, y);
}

}  // namespace

void conv2d(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
            const float* residual, Activation act, float* y) {
    const ConvAlgorithm algorithm = choose_conv(ConvPass::forward, s);
    const DirectConv direct = as_direct(s);
    if (algorithm == ConvAlgorithm::winograd4 || algorithm == ConvAlgorithm::winograd2)
        return winograd_conv(winograd_tile_size(algorithm, s), direct, {x, nullptr}, w, false, packed,
                             {bias, residual, act}, {y, false, nullptr});
    if (algorithm == ConvAlgorithm::direct && !dots_pay(direct))
        return run_direct(direct, x, w, packed, {bias, residual, act}, y);
    const Activation own = residual ? Activation{} : act;
    if (algorithm == ConvAlgorithm::depthwise) {
        depthwise_conv(s, x, w, packed, bias, own, y);
    } else if (algorithm == ConvAlgorithm::grouped) {
        grouped_conv(s, x, w, packed, bias, own, y);
    } else if (algorithm == ConvAlgorithm::pixels) {
        pixel_conv(s, x, w, bias, own, y);
    } else {
        run_dots(merge_pixels(direct), x, w, bias, own, y);
    }
    if (residual) add_residual(s.n * s.p * s.q * s.o, residual, act, y);
}

// One after the other: on one core the statistics are 4-12% of convolution, statistics and normalisation together, and
// taking them block by block from the L2 cache would save half of that at best (ResNet-50's 1x1 at batch 8).
void conv2d_statistics(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
                       double momentum, float* y, float* mean, float* variance, float* running_mean,
                       float* running_var) {
    conv2d(s, x, w, packed, bias, nullptr, Activation{}, y);
    batch_norm_statistics(s.n * s.p * s.q, s.o, momentum, y, mean, variance, running_mean, running_var);
}

}  // namespace ck::cpu
