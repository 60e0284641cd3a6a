// Drivers of the softmax family: ranges of rows.
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGrain = 8 * 1024;  // elements of a task: about 10 us of exponentials

int64_t rows_of_task(int64_t k) {
    return std::max<int64_t>(1, kGrain / k);
}

}  // namespace

void softmax(bool log, int64_t rows, int64_t k, const float* x, float* y) {
    parallel_ranges(rows, rows_of_task(k), [&](int64_t begin, int64_t end) {
        kernels().softmax.softmax(log, end - begin, k, x + begin * k, y + begin * k);
    });
}

void softmax_gradient(bool log, int64_t rows, int64_t k, const float* y, const float* dy, float* dx) {
    parallel_ranges(rows, rows_of_task(k), [&](int64_t begin, int64_t end) {
        kernels().softmax.softmax_gradient(log, end - begin, k, y + begin * k, dy + begin * k, dx + begin * k);
    });
}

}  // namespace ck::cpu
