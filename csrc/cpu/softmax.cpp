// Drivers of the softmax family.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void softmax(bool log, int64_t rows, int64_t k, const float* x, float* y) {
    reference::softmax(log, rows, k, x, y);
}

void softmax_gradient(bool log, int64_t rows, int64_t k, const float* y, const float* dy, float* dx) {
    reference::softmax_gradient(log, rows, k, y, dy, dx);
}

}  // namespace ck::cpu
