// Drivers of the resize family.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void upsample(const Resize2dShape& s, ResizeMode mode, const float* x, float* y) {
    reference::upsample(s, mode, x, y);
}
void upsample_gradient(const Resize2dShape& s, ResizeMode mode, const float* dy, float* dx) {
    reference::upsample_gradient(s, mode, dy, dx);
}

}  // namespace ck::cpu
