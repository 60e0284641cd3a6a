#include <cmath>

#include "cpu/reference/loss.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

// The loss of a row is sum_j t_j (log sum_i exp(x_i) - x_j) with the smoothed, weighted targets t_j.
template <class T>
void cross_entropy(const CrossEntropyShape& s, const T* x, const int64_t* labels, const T* probabilities,
                   const T* weight, T* y) {
    double total = 0;
    for (int64_t r = 0; r < s.rows; ++r, x += s.k) {
        const Target<T> target{s, labels ? labels + r : nullptr, probabilities ? probabilities + r * s.k : nullptr,
                               weight};
        T top = x[0];
        for (int64_t j = 1; j < s.k; ++j) top = x[j] > top ? x[j] : top;
        double sum = 0, loss = 0;
        for (int64_t j = 0; j < s.k; ++j) sum += std::exp(x[j] - top);
        for (int64_t j = 0; j < s.k; ++j) {
            // An absent class adds nothing, even with a logit of -inf.
            if (target[j] != 0) loss += target[j] * (std::log(sum) - (x[j] - top));
        }
        if (s.reduction == Reduction::none) y[r] = T(loss);
        total += loss;
    }
    if (s.reduction != Reduction::none) y[0] = T(total / divisor(s, labels, weight));
}

template <class T>
void cross_entropy_gradient(const CrossEntropyShape& s, const T* x, const int64_t* labels, const T* probabilities,
                            const T* weight, const T* dy, T* dx) {
    const double scale = 1 / divisor(s, labels, weight);
    for (int64_t r = 0; r < s.rows; ++r, x += s.k, dx += s.k) {
        const Target<T> target{s, labels ? labels + r : nullptr, probabilities ? probabilities + r * s.k : nullptr,
                               weight};
        T top = x[0];
        for (int64_t j = 1; j < s.k; ++j) top = x[j] > top ? x[j] : top;
        double sum = 0, mass = 0;
        for (int64_t j = 0; j < s.k; ++j) sum += std::exp(x[j] - top);
        for (int64_t j = 0; j < s.k; ++j) mass += target[j];
        const double g = dy[s.reduction == Reduction::none ? r : 0] * scale;
        for (int64_t j = 0; j < s.k; ++j) dx[j] = T(g * (mass * (std::exp(x[j] - top) / sum) - target[j]));
    }
}

template <class T>
void pointwise_loss(const PointwiseLossShape& s, const T* x, const T* target, const T* weight, T* y) {
    double total = 0;
    for (int64_t i = 0; i < s.n; ++i) {
        const T loss = pointwise_loss_value<T>(s.kind, T(s.beta), x[i], target[i]) * (weight ? weight[i] : T(1));
        if (s.reduction == Reduction::none) y[i] = loss;
        total += loss;
    }
    if (s.reduction != Reduction::none) y[0] = T(total / divisor(s));
}

template <class T>
void pointwise_loss_gradient(const PointwiseLossShape& s, const T* x, const T* target, const T* weight, const T* dy,
                             T* dx) {
    for (int64_t i = 0; i < s.n; ++i) {
        const T g = s.reduction == Reduction::none ? dy[i] : T(dy[0] / divisor(s));
        dx[i] = pointwise_loss_slope<T>(s.kind, T(s.beta), x[i], target[i]) * (weight ? weight[i] : T(1)) * g;
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(cross_entropy)
CK_INSTANTIATE(cross_entropy_gradient)
CK_INSTANTIATE(pointwise_loss)
CK_INSTANTIATE(pointwise_loss_gradient)
