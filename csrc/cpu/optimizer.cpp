// Drivers of the optimizers.
#include <cmath>

#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // 64 KiB of each of up to four arrays: 10-20 us

}  // namespace

void sgd_step(const SgdSettings& s, int64_t n, float* param, const float* grad, float* velocity) {
    parallel_ranges(n, kGrain, [&](int64_t b, int64_t e) {
        kernels().optimizer.sgd_step(s, e - b, param + b, grad + b, velocity ? velocity + b : nullptr);
    });
}

void adam_step(const AdamSettings& s, int64_t n, float* param, const float* grad, float* m, float* v) {
    const double correction1 = 1 - std::pow(s.beta1, static_cast<double>(s.step));
    const double correction2 = 1 - std::pow(s.beta2, static_cast<double>(s.step));
    parallel_ranges(n, kGrain, [&](int64_t b, int64_t e) {
        kernels().optimizer.adam_step(s, correction1, correction2, e - b, param + b, grad + b, m + b, v + b);
    });
}

}  // namespace ck::cpu
