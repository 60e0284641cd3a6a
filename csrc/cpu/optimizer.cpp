// Drivers of the optimizers.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void sgd_step(const SgdSettings& s, int64_t n, float* param, const float* grad, float* velocity) {
    reference::sgd_step(s, n, param, grad, velocity);
}

void adam_step(const AdamSettings& s, int64_t n, float* param, const float* grad, float* m, float* v) {
    reference::adam_step(s, n, param, grad, m, v);
}

}  // namespace ck::cpu
