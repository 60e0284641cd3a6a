// Drivers of the pooling family.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void max_pool2d(const Pool2dShape& s, const float* x, float* y, void* argmax) {
    reference::max_pool2d(s, x, y, argmax);
}
void max_pool2d_gradient(const Pool2dShape& s, const float* dy, const void* argmax, float* dx) {
    reference::max_pool2d_gradient(s, dy, argmax, dx);
}
void max_pool2d_indices(const Pool2dShape& s, const void* argmax, int64_t* indices) {
    reference::max_pool2d_indices<float>(s, argmax, indices);
}
void max_unpool2d(const Resize2dShape& s, const float* x, const int64_t* indices, float* y) {
    reference::max_unpool2d(s, x, indices, y);
}
void max_unpool2d_gradient(const Resize2dShape& s, const float* dy, const int64_t* indices, float* dx) {
    reference::max_unpool2d_gradient(s, dy, indices, dx);
}
void avg_pool2d(const Pool2dShape& s, bool count_include_pad, const float* x, float* y) {
    reference::avg_pool2d(s, count_include_pad, x, y);
}
void avg_pool2d_gradient(const Pool2dShape& s, bool count_include_pad, const float* dy, float* dx) {
    reference::avg_pool2d_gradient(s, count_include_pad, dy, dx);
}
void adaptive_avg_pool2d(const Resize2dShape& s, const float* x, float* y) {
    reference::adaptive_avg_pool2d(s, x, y);
}
void adaptive_avg_pool2d_gradient(const Resize2dShape& s, const float* dy, float* dx) {
    reference::adaptive_avg_pool2d_gradient(s, dy, dx);
}

}  // namespace ck::cpu
