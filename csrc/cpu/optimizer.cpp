// Drivers of the optimizers: the elements of all parameters in one loop.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // 64 KiB of each of up to four arrays: 10-20 us

// fn(update, begin, end) for ranges of the elements of every parameter, in parallel.
template <class Update, class F>
void for_ranges(int64_t count, const Update* updates, F&& fn) {
    std::vector<int64_t> first_task{0};  // of each parameter
    for (int64_t i = 0; i < count; ++i) first_task.push_back(first_task.back() + ceil_div(updates[i].n, kGrain));
    parallel_for(first_task.back(), [&](int64_t task) {
        const auto next = std::upper_bound(first_task.begin(), first_task.end(), task);
        const Update& update = updates[next - first_task.begin() - 1];
        const int64_t begin = (task - next[-1]) * kGrain;
        fn(update, begin, std::min(update.n, begin + kGrain));
    });
}

}  // namespace

void sgd_step(const SgdSettings& s, int64_t count, const SgdUpdate<float>* updates) {
    for_ranges(count, updates, [&](const SgdUpdate<float>& u, int64_t b, int64_t e) {
        kernels().optimizer.sgd_step(s, e - b, u.param + b, u.grad + b, u.velocity ? u.velocity + b : nullptr);
    });
}

void adam_step(const AdamSettings& s, int64_t count, const AdamUpdate<float>* updates) {
    const double correction1 = 1 - std::pow(s.beta1, static_cast<double>(s.step));
    const double correction2 = 1 - std::pow(s.beta2, static_cast<double>(s.step));
    for_ranges(count, updates, [&](const AdamUpdate<float>& u, int64_t b, int64_t e) {
        kernels().optimizer.adam_step(s, correction1, correction2, e - b, u.param + b, u.grad + b, u.m + b, u.v + b);
    });
}

}  // namespace ck::cpu
