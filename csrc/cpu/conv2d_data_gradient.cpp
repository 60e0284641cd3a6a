// Driver of conv2d_data_gradient.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void conv2d_data_gradient(const Conv2dShape& s, const float* dy, const float* w, const float* bias, Activation act,
                          float* dx) {
    reference::conv2d_data_gradient(s, dy, w, bias, act, dx);
}

}  // namespace ck::cpu
