#include <cmath>

#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void sgd_step(const SgdSettings& s, int64_t count, const SgdUpdate<T>* updates) {
    const T lr = T(s.lr), momentum = T(s.momentum), decay = T(s.weight_decay);
    for (const SgdUpdate<T>* u = updates; u < updates + count; ++u) {
        for (int64_t i = 0; i < u->n; ++i) {
            T g = decay == 0 ? u->grad[i] : u->grad[i] + decay * u->param[i];
            if (u->velocity) {
                u->velocity[i] = momentum * u->velocity[i] + g;
                g = s.nesterov ? g + momentum * u->velocity[i] : u->velocity[i];
            }
            u->param[i] -= lr * g;
        }
    }
}

template <class T>
void adam_step(const AdamSettings& s, int64_t count, const AdamUpdate<T>* updates) {
    const double correction1 = 1 - std::pow(s.beta1, double(s.step)),
                 correction2 = 1 - std::pow(s.beta2, double(s.step));
    const T rate = T(s.lr / correction1), root = T(1 / std::sqrt(correction2)), eps = T(s.eps);
    const T keep1 = T(1 - s.beta1), beta2 = T(s.beta2), keep2 = T(1 - s.beta2);
    const T decay = T(s.decoupled ? 0 : s.weight_decay), shrink = T(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
    for (const AdamUpdate<T>* u = updates; u < updates + count; ++u) {
        for (int64_t i = 0; i < u->n; ++i) {
            const T g = decay == 0 ? u->grad[i] : u->grad[i] + decay * u->param[i];
            u->m[i] += keep1 * (g - u->m[i]);
            u->v[i] = beta2 * u->v[i] + keep2 * g * g;
            u->param[i] = shrink * u->param[i] - rate * u->m[i] / (std::sqrt(u->v[i]) * root + eps);
        }
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(sgd_step)
CK_INSTANTIATE(adam_step)
