// Drivers of the pointwise family: cut the elements into ranges, call the unit's kernels.
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {
namespace {

// 32 Ki floats = 128 KiB an operand: about 20 us, and a range of two operands stays within a 1 MiB L2.
constexpr int64_t kGrain = 32 * 1024;

// The units have no vector exp and log: what needs them runs the plain loop.
bool plain(UnaryOp op) {
    return op == UnaryOp::exp || op == UnaryOp::log || op == UnaryOp::tanh || op == UnaryOp::sigmoid;
}

}  // namespace

void unary(UnaryOp op, float slope, int64_t n, const float* x, float* y) {
    auto* kernel = plain(op) ? &reference::unary<float> : kernels().pointwise.unary;
    parallel_ranges(n, kGrain, [&](int64_t b, int64_t e) { kernel(op, slope, e - b, x + b, y + b); });
}

void unary_gradient(UnaryOp op, float slope, int64_t n, const float* x, const float* y, const float* dy, float* dx) {
    parallel_ranges(n, kGrain, [&](int64_t b, int64_t e) {
        kernels().pointwise.unary_gradient(op, slope, e - b, x + b, y + b, dy + b, dx + b);
    });
}

void binary(BinaryOp op, const Broadcast& s, const float* a, const float* b, float* y) {
    reference::binary(op, s, a, b, y);
}

void compare(CompareOp op, const Broadcast& s, const float* a, const float* b, bool* y) {
    reference::compare(op, s, a, b, y);
}

void epilogue_gradient(int64_t rows, int64_t c, Activation act, const float* y, const float* dy, float* dz,
                       float* dbias) {
    reference::epilogue_gradient(rows, c, act, y, dy, dz, dbias);
}

}  // namespace ck::cpu
