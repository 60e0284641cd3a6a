// Drivers of the reduce family.
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {

void reduce(ReduceOp op, const ReduceShape& s, const float* x, float* y) {
    reference::reduce(op, s, x, y);
}
void argmax(const ReduceShape& s, const float* x, int64_t* index) {
    reference::argmax(s, x, index);
}

void scatter_to_index(const ReduceShape& s, const int64_t* index, const float* dy, float* dx) {
    reference::scatter_to_index(s, index, dy, dx);
}

}  // namespace ck::cpu
