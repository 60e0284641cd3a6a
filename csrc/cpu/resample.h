// Separable linear maps over the rows and columns of images: what averages, upsampling and their adjoints share.
#pragma once
#include <vector>

#include "cpu/kernels.h"

namespace ck::cpu {

// One axis of the map, a sparse matrix.
class ResampleAxis {
  public:
    struct Entry {
        int64_t output, input;
        float weight;
    };
    // Entries in order of output, and the inputs of one output are consecutive. An output without entries is zero.
    ResampleAxis(int64_t outputs, const std::vector<Entry>& entries);
    ResampleAxis(ResampleAxis&&) = default;  // bands point into weights, which a move leaves in place

    std::vector<ResampleBand> bands;  // one per output
    std::vector<float> weights;
};

// The same entries with output and input exchanged, in order of the new output.
std::vector<ResampleAxis::Entry> transposed(std::vector<ResampleAxis::Entry> entries);

// y [N,P,Q,C] = rows x columns^T for each channel of x [N,H,W,C].
void resample(int64_t n, int64_t h, int64_t w, int64_t c, const ResampleAxis& rows, const ResampleAxis& columns,
              const float* x, float* y);

}  // namespace ck::cpu
