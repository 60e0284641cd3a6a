// Drivers of the losses: ranges of rows or elements; totals are added in double, in order.
#include "cpu/reference/loss.h"
#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGrain = 8 * 1024;  // elements of a task: about 10 us

int64_t rows_of_task(const CrossEntropyShape& s) {
    return std::max<int64_t>(1, kGrain / s.k);
}

double total(const Scratch<double>& parts, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; ++i) sum += parts.data()[i];
    return sum;
}

}  // namespace

void cross_entropy(const CrossEntropyShape& s, const float* x, const int64_t* labels, const float* probabilities,
                   const float* weight, float* y) {
    Scratch<double> losses(s.rows);
    parallel_ranges(s.rows, rows_of_task(s), [&](int64_t begin, int64_t end) {
        kernels().loss.cross_entropy(s, end - begin, x + begin * s.k, labels ? labels + begin : nullptr,
                                     probabilities ? probabilities + begin * s.k : nullptr, weight,
                                     losses.data() + begin);
    });
    if (s.reduction == Reduction::none) {
        std::copy(losses.data(), losses.data() + s.rows, y);
    } else {
        y[0] = static_cast<float>(total(losses, s.rows) / reference::divisor(s, labels, weight));
    }
}

void cross_entropy_gradient(const CrossEntropyShape& s, const float* x, const int64_t* labels,
                            const float* probabilities, const float* weight, const float* dy, float* dx) {
    const double scale = 1 / reference::divisor(s, labels, weight);
    const int64_t dy_step = s.reduction == Reduction::none;
    parallel_ranges(s.rows, rows_of_task(s), [&](int64_t begin, int64_t end) {
        kernels().loss.cross_entropy_gradient(s, end - begin, x + begin * s.k, labels ? labels + begin : nullptr,
                                              probabilities ? probabilities + begin * s.k : nullptr, weight,
                                              dy + begin * dy_step, dy_step, scale, dx + begin * s.k);
    });
}

void pointwise_loss(const PointwiseLossShape& s, const float* x, const float* target, const float* weight, float* y) {
    const bool each = s.reduction == Reduction::none;
    const int64_t tasks = ceil_div(s.n, kGrain);
    Scratch<double> sums(tasks);
    parallel_for(tasks, [&](int64_t task) {
        const int64_t begin = task * kGrain, n = std::min(kGrain, s.n - begin);
        sums.data()[task] =
            kernels().loss.pointwise_loss(s.kind, static_cast<float>(s.beta), n, x + begin, target + begin,
                                          weight ? weight + begin : nullptr, each ? y + begin : nullptr);
    });
    if (!each) y[0] = static_cast<float>(total(sums, tasks) / reference::divisor(s));
}

void pointwise_loss_gradient(const PointwiseLossShape& s, const float* x, const float* target, const float* weight,
                             const float* dy, float* dx) {
    const int64_t dy_step = s.reduction == Reduction::none;
    const float scale = static_cast<float>(1 / reference::divisor(s));
    parallel_ranges(s.n, kGrain, [&](int64_t begin, int64_t end) {
        kernels().loss.pointwise_loss_gradient(s.kind, static_cast<float>(s.beta), end - begin, x + begin,
                                               target + begin, weight ? weight + begin : nullptr, dy + begin * dy_step,
                                               dy_step, scale, dx + begin);
    });
}

}  // namespace ck::cpu
