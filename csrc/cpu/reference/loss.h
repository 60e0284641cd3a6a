// Scalar definitions of the losses, shared by the plain loops and the drivers.
#pragma once
#include <cmath>

#include "core/scalar.h"
#include "core/shapes.h"

namespace ck::cpu::reference {

// One row's targets: t_j = weight_j ((1 - smoothing) p_j + smoothing / k), where a label means p_label = 1.
template <class T>
struct Target {
    const CrossEntropyShape& s;
    const int64_t* label;    // [1] or null
    const T* probabilities;  // [k] or null
    const T* weight;         // [k] or null

    double share(int64_t j) const { return label ? double(*label == j) : double(probabilities[j]); }
    double operator[](int64_t j) const {
        return ((1 - s.label_smoothing) * share(j) + s.label_smoothing / double(s.k)) * (weight ? weight[j] : 1.0);
    }
};

// What the sum of a loss is divided by; a mean of nothing is 0/0.
template <class T>
double divisor(const CrossEntropyShape& s, const int64_t* labels, const T* weight) {
    if (s.reduction != Reduction::mean) return 1;
    if (!labels || !weight) return double(s.rows);
    double sum = 0;
    for (int64_t r = 0; r < s.rows; ++r) sum += weight[labels[r]];
    return sum;
}
inline double divisor(const PointwiseLossShape& s) {
    return s.reduction == Reduction::mean ? double(s.n) : 1;
}

}  // namespace ck::cpu::reference
