// Driver of conv2d.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void conv2d(const Conv2dShape& s, const float* x, const float* w, const float* bias, Activation act, float* y) {
    reference::conv2d(s, x, w, bias, act, y);
}

}  // namespace ck::cpu
