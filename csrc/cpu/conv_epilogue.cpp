#include "cpu/conv_epilogue.h"

#include "core/parallel.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGrain = 16 * 1024;  // floats of a task: 64 KiB an operand

}  // namespace

void add_residual(int64_t n, const float* residual, Activation act, float* y) {
    parallel_ranges(n, kGrain, [&](int64_t begin, int64_t end) {
        kernels().pointwise.binary(BinaryOp::add, end - begin, y + begin, 1, residual + begin, 1, y + begin);
        if (act.kind != ActivationKind::none)
            kernels().gemm.epilogue(1, end - begin, nullptr, act, y + begin, end - begin);
    });
}

}  // namespace ck::cpu
