#include <cmath>

#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void sgd_step(const SgdSettings& s, int64_t n, T* param, const T* grad, T* velocity) {
    const T lr = T(s.lr), momentum = T(s.momentum), decay = T(s.weight_decay);
    for (int64_t i = 0; i < n; ++i) {
        T g = decay == 0 ? grad[i] : grad[i] + decay * param[i];
        if (velocity) {
            velocity[i] = s.first_step ? g : momentum * velocity[i] + g;
            g = s.nesterov ? g + momentum * velocity[i] : velocity[i];
        }
        param[i] -= lr * g;
    }
}

template <class T>
void adam_step(const AdamSettings& s, int64_t n, T* param, const T* grad, T* m, T* v) {
    const double correction1 = 1 - std::pow(s.beta1, double(s.step)),
                 correction2 = 1 - std::pow(s.beta2, double(s.step));
    const T rate = T(s.lr / correction1), root = T(1 / std::sqrt(correction2)), eps = T(s.eps);
    const T keep1 = T(1 - s.beta1), beta2 = T(s.beta2), keep2 = T(1 - s.beta2);
    const T decay = T(s.decoupled ? 0 : s.weight_decay), shrink = T(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
    for (int64_t i = 0; i < n; ++i) {
        const T g = decay == 0 ? grad[i] : grad[i] + decay * param[i];
        m[i] += keep1 * (g - m[i]);
        v[i] = beta2 * v[i] + keep2 * g * g;
        param[i] = shrink * param[i] - rate * m[i] / (std::sqrt(v[i]) * root + eps);
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(sgd_step)
CK_INSTANTIATE(adam_step)
