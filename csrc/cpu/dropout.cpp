// Driver of dropout.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void dropout(int64_t n, PhiloxKey key, double p, const float* x, float* y) {
    reference::dropout(n, key, p, x, y);
}

}  // namespace ck::cpu
