// Reductions: sums, maxima and their positions, along contiguous rows and down columns.
#pragma once
#include "cpu/isa/vec.h"

namespace {

double row_sum(int64_t n, const float* x) {
    return sum_vectors(n, [&](int64_t i, auto lanes) { return lanes.load(x + i); });
}

CK_INLINE float lowest() {
    return -__builtin_inff();
}
// Where v replaces the best so far: a larger number, or the first NaN.
CK_INLINE vi better(vf v, vf best) {
    return ~(v <= best) & (best == best);
}

float row_max(int64_t n, const float* x) {
    const vf best = fold_vectors(
        n, set1(lowest()), [&](int64_t i, auto lanes) { return lanes.keep(lanes.load(x + i), lowest()); },
        [](vf a, vf b) { return select(better(b, a), b, a); });
    float top = best[0];
    for (int i = 1; i < kWidth; ++i)
        if (top == top && (best[i] > top || best[i] != best[i])) top = best[i];
    return top;
}

int64_t row_argmax(int64_t n, const float* x) {
    // -1 marks a lane that has seen nothing above -inf; rows of -inf alone keep index 0.
    vf best = set1(lowest());
    vi index = set1_int(-1), position = iota();
    for_vectors(n, [&](int64_t i, auto lanes) {
        const vf v = lanes.keep(lanes.load(x + i), lowest());
        const vi wins = better(v, best);
        best = select(wins, v, best);
        index = select(wins, position, index);
        position += kWidth;
    });
    float top = lowest();
    int64_t result = 0;
    for (int i = 0; i < kWidth; ++i) {
        if (index[i] < 0) continue;
        const bool nan = best[i] != best[i], top_nan = top != top;
        const bool same = nan ? top_nan : best[i] == top;
        if ((nan && !top_nan) || (!top_nan && best[i] > top) || (same && index[i] < result)) {
            top = best[i];
            result = index[i];
        }
    }
    return result;
}

void column_max(int64_t rows, int64_t row, int64_t columns, const float* x, float* y) {
    for_vectors(columns, [&](int64_t i, auto lanes) { lanes.store(y + i, lanes.load(x + i)); });
    for_row_groups(rows, row, columns, {x}, [&](int64_t offset, int64_t i, auto lanes, int group) {
        vf best = lanes.load(y + i);
        for (int r = 0; r < group; ++r) {
            const vf v = lanes.load(x + offset + r * row);
            best = select(better(v, best), v, best);
        }
        lanes.store(y + i, best);
    });
}

void column_argmax(int64_t rows, int64_t row, int64_t columns, const float* x, int64_t* index) {
    for_vectors(columns, [&](int64_t i, auto lanes) {
        vf best = lanes.load(x + i);
        vi position = {};
        for (int64_t r = 1; r < rows; ++r) {
            const vf v = lanes.load(x + i + r * row);
            const vi wins = better(v, best);
            best = select(wins, v, best);
            position = select(wins, set1_int(static_cast<int32_t>(r)), position);
        }
        for (int64_t lane = 0; lane < kWidth && i + lane < columns; ++lane) index[i + lane] = position[lane];
    });
}

constexpr ReduceKernels kReduceKernels = {row_sum, row_max, row_argmax, column_max, column_argmax};

}  // namespace
