// Drivers of the losses.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void cross_entropy(const CrossEntropyShape& s, const float* x, const int64_t* labels, const float* probabilities,
                   const float* weight, float* y) {
    reference::cross_entropy(s, x, labels, probabilities, weight, y);
}

void cross_entropy_gradient(const CrossEntropyShape& s, const float* x, const int64_t* labels,
                            const float* probabilities, const float* weight, const float* dy, float* dx) {
    reference::cross_entropy_gradient(s, x, labels, probabilities, weight, dy, dx);
}

void pointwise_loss(const PointwiseLossShape& s, const float* x, const float* target, const float* weight, float* y) {
    reference::pointwise_loss(s, x, target, weight, y);
}

void pointwise_loss_gradient(const PointwiseLossShape& s, const float* x, const float* target, const float* weight,
                             const float* dy, float* dx) {
    reference::pointwise_loss_gradient(s, x, target, weight, dy, dx);
}

}  // namespace ck::cpu
