// Scalar definitions of the losses, shared by the plain loops and the drivers.
#pragma once
#include <cmath>

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

template <class T>
T pointwise_loss_value(PointwiseLoss kind, T beta, T x, T target) {
    const T difference = x - target, distance = std::abs(difference);
    switch (kind) {
        case PointwiseLoss::mse:
            return difference * difference;
        case PointwiseLoss::smooth_l1:
            return distance < beta ? distance * distance / (2 * beta) : distance - beta / 2;
        case PointwiseLoss::bce_with_logits:  // -t log(sigmoid(x)) - (1-t) log(1-sigmoid(x)) without overflow
            return (x <= 0 ? T(0) : x) - x * target + std::log1p(std::exp(-std::abs(x)));
    }
    return 0;
}

// d loss / dx
template <class T>
T pointwise_loss_slope(PointwiseLoss kind, T beta, T x, T target) {
    const T difference = x - target;
    switch (kind) {
        case PointwiseLoss::mse:
            return 2 * difference;
        case PointwiseLoss::smooth_l1:
            if (std::abs(difference) < beta) return difference / beta;
            return difference > 0 ? T(1) : difference < 0 ? T(-1) : difference;  // 0 and NaN stay
        case PointwiseLoss::bce_with_logits: {
            const T e = std::exp(-std::abs(x));
            return (x >= 0 ? T(1) : e) / (1 + e) - target;
        }
    }
    return 0;
}

}  // namespace ck::cpu::reference
