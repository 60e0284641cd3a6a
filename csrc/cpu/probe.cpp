#include "cpu/probe.h"

#include <algorithm>
#include <chrono>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kTasksPerThread = 4;     // a core that another program takes delays one of them
constexpr int64_t kStepsPerMicro = 300;    // 12 multiply-adds a step on one or two units: 6 to 12 cycles
constexpr int64_t kCopyGrain = 64 * 1024;  // floats a task: 25 us at 20 GB/s; whole vectors, so streams stay aligned
constexpr int kCopies = 5;

}  // namespace

double fma_probe(double microseconds) {
    if (reference_active()) return 0;
    const ProbeKernels& probe = kernels().probe;
    const int64_t tasks = kTasksPerThread * num_threads();
    const int64_t steps = std::max<int64_t>(1, static_cast<int64_t>(microseconds * kStepsPerMicro) / kTasksPerThread);
    Scratch<float> sums(tasks);  // written, so that the work is wanted
    // 1 is no fixed point that arithmetic could skip: x -> 0.5 x + 0.5 tends to it.
    parallel_for(tasks, [&](int64_t task) { sums.data()[task] = probe.multiply_add(steps, 0.5f, 0.5f); });
    return static_cast<double>(tasks) * static_cast<double>(steps) * probe.flops_per_step;
}

double copy_bandwidth(int64_t bytes) {
    if (reference_active()) return 0;
    const ProbeKernels& probe = kernels().probe;
    const int64_t count = std::max<int64_t>(1, bytes / (kCopyGrain * 4)) * kCopyGrain;
    Scratch<float> x(count), y(count);
    parallel_ranges(count, kCopyGrain, [&](int64_t b, int64_t e) { std::fill(x.data() + b, x.data() + e, 1.0f); });
    double best = 0;
    for (int copy = 0; copy <= kCopies; ++copy) {  // the first one maps the pages of y
        const auto start = std::chrono::steady_clock::now();
        parallel_ranges(count, kCopyGrain,
                        [&](int64_t b, int64_t e) { probe.stream_copy(e - b, x.data() + b, y.data() + b); });
        const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        if (copy > 0) best = std::max(best, 2.0 * sizeof(float) * static_cast<double>(count) / seconds.count());
    }
    return best;
}

}  // namespace ck::cpu
