// Mean and summed squares of deviations, of parts of a column and of all of it. Deviations are taken from numbers of
// the part, so nothing cancels, however far from 0 the numbers are.
#pragma once
#include <optional>

#include "cuda/launch.h"

namespace ck::cuda {

// Of one column in a number of rows: the mean, and the sum of squared deviations from it.
struct Moments {
    float mean, squares;
};

// The moments of two sets of rows together (Chan et al. 1979); share: that of b among all.
__device__ __forceinline__ Moments merge(Moments a, float rows_a, Moments b, float share) {
    const float delta = b.mean - a.mean;
    return {fmaf(delta, share, a.mean), a.squares + b.squares + delta * delta * rows_a * share};
}

// [columns,parts] of a matrix whose part q has the rows from q * part_rows on, part_rows of them or what is left.
struct ColumnMoments {
    std::optional<Scratch<Moments>> moments;  // none: nobody took them
    int64_t part_rows = 0;
};

// What batch_norm_statistics says of a matrix [rows,c] of these moments.
void finish_statistics(const Op& op, int64_t rows, int64_t c, const ColumnMoments& of, double momentum,
                       float* mean /*[c]*/, float* variance /*[c]*/, float* running_mean /*[c] or null*/,
                       float* running_var);

}  // namespace ck::cuda
