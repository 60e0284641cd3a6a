// Weight gradients of 1x1 filters as matrix products, and of so few filters that the register tile turns round.
#include "cpu/pointwise_weights.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/conv_windows.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGemmPixels = 1024;         // up to 20 images of 7x7
constexpr int64_t kGemmWeights = 128 * 1024;  // 512 KiB
constexpr int64_t kFarWeights = 32 * 1024;    // from here on, and with so many products, the copies of x and dy pay
constexpr int64_t kGemmMacs = 200'000'000;    // also where kernels().far_operands: 10 to 35 % of the time
constexpr int64_t kSliceFloats = 8 * 1024 * 1024;  // of x and dy: 32 MiB
constexpr int64_t kGrain = 16 * 1024;              // floats a task copies or adds up
constexpr int64_t kParts = 32;                     // of the pixels, of few filters
constexpr int64_t kBlockPixels = 128;              // a panel of x takes 8 KiB (16 columns) to 32 KiB (64)
constexpr int64_t kFewFilters = 24;                // where channels as columns beat packing: 10 to 15 % of the time

// A 1x1 filter without padding: dw[O,C] = dy^T x. The matrix product packs x and dy once for all tasks, which pays when
// each is used many times; and its columns are the channels, which fill vectors when the filters would not.
bool gemm_pays(const Conv2dShape& s) {
    const bool padded = s.pad_top || s.pad_bottom || s.pad_left || s.pad_right;
    if (s.groups != 1 || s.r * s.s != 1 || padded) return false;
    const bool one_sided = s.o > 16 && s.o < 32 && s.c > 2 * s.o && s.stride_h == 1 && s.stride_w == 1;
    const int64_t pixels = s.n * s.p * s.q, weights = s.c * s.o;
    return one_sided || (pixels <= kGemmPixels && weights >= kGemmWeights) ||
           (kernels().far_operands && weights >= kFarWeights && pixels * weights >= kGemmMacs);
}

// A slice of the pixels at a time.
void gemm_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw) {
    const int64_t pixels = s.n * s.p * s.q, size = s.o * s.c;
    const int64_t slice = ceil_div(pixels, ceil_div(pixels * (s.c + s.o), kSliceFloats));
    const int64_t slices = ceil_div(pixels, slice);
    const bool dense = s.stride_h == 1 && s.stride_w == 1;
    Scratch<float> met(dense ? 0 : slice * s.c), more(slices > 1 ? size : 0);
    for (int64_t i = 0; i < slices; ++i) {
        const int64_t first = i * slice, count = std::min(slice, pixels - first);
        if (!dense) {
            parallel_ranges(count, ceil_div(kGrain, s.c), [&](int64_t begin, int64_t end) {
                for (int64_t pixel = begin; pixel < end; ++pixel) {
                    const int64_t row = (first + pixel) / s.q, q = (first + pixel) % s.q;
                    const int64_t from = (row / s.p * s.h + row % s.p * s.stride_h) * s.w + q * s.stride_w;
                    std::copy_n(x + from * s.c, s.c, met.data() + pixel * s.c);
                }
            });
        }
        gemm({s.o, s.c, count, true, false}, dy + first * s.o, dense ? x + first * s.c : met.data(), nullptr, nullptr,
             Activation{}, i > 0 ? more.data() : dw);
        if (i == 0) continue;
        parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
            const float* const add = more.data() + begin;
            kernels().pointwise.binary(BinaryOp::add, end - begin, dw + begin, 1, add, 1, dw + begin);
        });
    }
}

// So few 1x1 filters that they would fill half of a vector at most, or that they are few beside the channels: these
// take the columns of the register tile and filters its rows, both where they lie.
bool few_filters(const DirectConv& s) {
    const int64_t lanes = kernels().vector_width;
    const bool beside = s.o <= kFewFilters && s.c > 2 * s.o && (kernels().far_operands || s.o > 2 * lanes);
    return pointwise(s) && s.groups == 1 && s.c % lanes == 0 && (2 * s.o <= lanes || beside);
}

// s of merged pixels. What a WeightPanel calls x is dy here, and the other way round.
void few_filters_gradient(const DirectConv& s, const float* x, const float* dy, float* dw) {
    const int64_t panel_columns = kernels().conv2d.panel_columns, size = s.o * s.c;
    const int64_t range = ceil_div(ceil_div(s.q, kParts), kBlockPixels) * kBlockPixels, parts = ceil_div(s.q, range);
    Scratch<int64_t> tap(s.o);
    for (int64_t o = 0; o < s.o; ++o) tap.data()[o] = o;
    Scratch<float> sums(parts * size);
    parallel_for(parts, [&](int64_t part) {
        WeightPanel panel{};
        panel.rows = s.o;
        panel.tap = tap.data();
        panel.images = panel.lines = 1;
        panel.x_pixel = s.o;
        panel.dy_pixel = panel.dw_row = s.c;
        const int64_t begin = part * range, end = std::min(s.q, begin + range);
        for (int64_t q = begin; q < end; q += kBlockPixels) {
            panel.pixels = std::min(kBlockPixels, end - q);
            panel.x = dy + q * s.o;
            panel.accumulate = q > begin;
            for (int64_t c = 0; c < s.c; c += panel_columns) {
                panel.columns = static_cast<int>(std::min(panel_columns, s.c - c));
                panel.dy = x + q * s.c + c;
                panel.dw = sums.data() + part * size + c;
                const bool following = q + kBlockPixels < s.q && kernels().far_operands;
                panel.next_dy = panel.dy + kBlockPixels * s.c;
                panel.next_dy_lines = following ? panel.columns / kLineFloats : 0;
                panel.next_x = panel.x + kBlockPixels * s.o;
                panel.next_x_lines = following && c + panel_columns >= s.c ? ceil_div(s.o, kLineFloats) : 0;
                kernels().conv2d.weight_panel(panel);
            }
        }
    });
    kernels().gemm.sum_parts(parts, size, sums.data(), size, dw);
}

}  // namespace

bool pointwise_weight_gradient(const Conv2dShape& shape, const float* x, const float* dy, float* dw) {
    const DirectConv merged = merge_pixels(as_direct(shape));
    if (few_filters(merged)) {
        few_filters_gradient(merged, x, dy, dw);
    } else if (gemm_pays(shape)) {
        gemm_gradient(shape, x, dy, dw);
    } else {
        return false;
    }
    return true;
}

}  // namespace ck::cpu
