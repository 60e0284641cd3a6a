// Separable resampling: averages, interpolation and their adjoints are weighted sums over a few rows and columns.
#pragma once
#include "cpu/isa/vec.h"

namespace {

void resample_row(const ResampleBand& row, int64_t q, const ResampleBand* columns, int64_t w, int64_t c,
                  int64_t channels, const float* x, float* y) {
    for (int64_t j = 0; j < q; ++j) {
        const ResampleBand& column = columns[j];
        const float* corner = x + (row.first * w + column.first) * c;
        const float divisor = row.divisor * column.divisor;
        for_vectors(channels, [&](int64_t i, auto lanes) {
            vf sum = {};
            for (int64_t a = 0; a < row.count; ++a) {
                vf line = {};
                for (int64_t b = 0; b < column.count; ++b)
                    line = fma(set1(column.weight[b]), lanes.load(corner + (a * w + b) * c + i), line);
                sum = fma(set1(row.weight[a]), line, sum);
            }
            lanes.store(y + j * c + i, divisor == 1 ? sum : sum / divisor);
        });
    }
}

constexpr ResizeKernels kResizeKernels = {resample_row};

}  // namespace
