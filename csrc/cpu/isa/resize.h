// Separable resampling: averages, interpolation and their adjoints are weighted sums over a few rows and columns.
#pragma once
#include "cpu/isa/vec.h"

namespace {

// kVectors vectors of channels of one output pixel; x is its first input.
template <int kVectors, class Lanes>
CK_INLINE void resample_pixel(const ResampleBand& row, const ResampleBand& column, int64_t w, int64_t c, Lanes lanes,
                              const float* x, float* y, bool stream_y) {
    vf sum[kVectors] = {};
    for (int64_t a = 0; a < row.count; ++a) {
        vf line[kVectors] = {};
        for (int64_t b = 0; b < column.count; ++b) {
            const vf weight = set1(column.weight[b]);
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v)
                line[v] = fma(weight, lanes.load(x + (a * w + b) * c + v * kWidth), line[v]);
        }
        const vf weight = set1(row.weight[a]);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) sum[v] = fma(weight, line[v], sum[v]);
    }
    const float divisor = row.divisor * column.divisor;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
        const vf value = divisor == 1 ? sum[v] : sum[v] / divisor;
        stream_y ? stream(y + v * kWidth, value) : lanes.store(y + v * kWidth, value);
    }
}

void resample_row(const ResampleBand& row, int64_t q, const ResampleBand* columns, int64_t w, int64_t c,
                  int64_t channels, const float* x, float* y, bool stream_y) {
    for (int64_t j = 0; j < q; ++j, y += c) {
        const float* corner = x + (row.first * w + columns[j].first) * c;
        int64_t i = 0;
        for (; i + 4 * kWidth <= channels; i += 4 * kWidth)  // four: the latency of a sum over many taps
            resample_pixel<4>(row, columns[j], w, c, AllLanes{}, corner + i, y + i, stream_y);
        for_vectors(channels - i, [&](int64_t rest, auto lanes) {
            resample_pixel<1>(row, columns[j], w, c, lanes, corner + i + rest, y + i + rest, stream_y);
        });
    }
}

constexpr ResizeKernels kResizeKernels = {resample_row};

}  // namespace
