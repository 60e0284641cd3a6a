// Driver of conv2d_weight_gradient.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void conv2d_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw) {
    reference::conv2d_weight_gradient(s, x, dy, dw);
}

}  // namespace ck::cpu
