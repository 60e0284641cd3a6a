// Drivers of the pointwise family: cut the elements into ranges, call the unit's kernels.
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/column_blocks.h"
#include "cpu/dispatch.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {
namespace {

// 32 Ki floats = 128 KiB an operand: about 20 us, and a range of two operands stays within a 1 MiB L2.
constexpr int64_t kGrain = 32 * 1024;
constexpr int64_t kGrainMath = 8 * 1024;  // of functions that compute: 10-40 us

int64_t grain(UnaryOp op) {
    const bool math = op == UnaryOp::exp || op == UnaryOp::log || op == UnaryOp::tanh || op == UnaryOp::sigmoid;
    return math ? kGrainMath : kGrain;
}

// row(n, offset_a, step_a, offset_b, step_b, offset_y) for pieces of the innermost axis, in parallel. An operand's
// step along it is 1, or 0 where it repeats.
template <class F>
void for_rows(const Broadcast& s, int64_t grain, F&& row) {
    const int inner = s.ndim - 1;
    const int64_t n = s.shape[inner], total = s.numel();
    if (total == 0) return;
    const int64_t pieces = ceil_div(n, grain), piece = ceil_div(n, pieces);
    const int64_t rows = total / n, group = std::max<int64_t>(1, grain / n);  // rows in a task
    parallel_for(ceil_div(rows, group) * pieces, [&](int64_t task) {
        const int64_t begin = task % pieces * piece, count = std::min(piece, n - begin);
        const int64_t first = task / pieces * group, last = std::min(rows, first + group);
        for (int64_t r = first; r < last; ++r) {
            int64_t a = begin * s.stride_a[inner], b = begin * s.stride_b[inner];
            for (int64_t d = inner - 1, rest = r; d >= 0; rest /= s.shape[d--]) {
                a += rest % s.shape[d] * s.stride_a[d];
                b += rest % s.shape[d] * s.stride_b[d];
            }
            row(count, a, s.stride_a[inner], b, s.stride_b[inner], r * n + begin);
        }
    });
}

}  // namespace

void unary(UnaryOp op, float slope, int64_t n, const float* x, float* y) {
    parallel_ranges(n, grain(op),
                    [&](int64_t b, int64_t e) { kernels().pointwise.unary(op, slope, e - b, x + b, y + b); });
}

void unary_gradient(UnaryOp op, float slope, int64_t n, const float* x, const float* y, const float* dy, float* dx) {
    parallel_ranges(n, kGrain, [&](int64_t b, int64_t e) {
        kernels().pointwise.unary_gradient(op, slope, e - b, x + b, y + b, dy + b, dx + b);
    });
}

void binary(BinaryOp op, const Broadcast& s, const float* a, const float* b, float* y) {
    if (op == BinaryOp::power) {
        for_rows(s, kGrainMath, [&](int64_t n, int64_t ia, int64_t step_a, int64_t ib, int64_t step_b, int64_t iy) {
            reference::binary(op, {1, {n}, {step_a}, {step_b}}, a + ia, b + ib, y + iy);
        });
        return;
    }
    for_rows(s, kGrain, [&](int64_t n, int64_t ia, int64_t step_a, int64_t ib, int64_t step_b, int64_t iy) {
        kernels().pointwise.binary(op, n, a + ia, step_a, b + ib, step_b, y + iy);
    });
}

void compare(CompareOp op, const Broadcast& s, const float* a, const float* b, bool* y) {
    for_rows(s, kGrain, [&](int64_t n, int64_t ia, int64_t step_a, int64_t ib, int64_t step_b, int64_t iy) {
        kernels().pointwise.compare(op, n, a + ia, step_a, b + ib, step_b, y + iy);
    });
}

void epilogue_gradient(int64_t rows, int64_t c, Activation act, const float* y, const float* dy, float* dz,
                       float* dbias) {
    const auto block = [&](int64_t at, int64_t block_rows, int64_t row, int64_t columns, float* sums) {
        kernels().pointwise.epilogue_gradient(block_rows, row, columns, act, y + at, dy + at, dz ? dz + at : nullptr,
                                              sums);
    };
    if (!dbias) {
        parallel_ranges(rows * c, kGrain, [&](int64_t b, int64_t e) { block(b, 1, e - b, e - b, nullptr); });
        return;
    }
    Scratch<double> sums(c);
    const int64_t row = c ? ColumnBlocks(rows, c).width : 0;
    column_sums<1>(rows, c, sums.data(), [&](int64_t at, int64_t block_rows, int64_t columns, float* partial) {
        block(at, block_rows, row, columns, partial);
    });
    std::copy(sums.data(), sums.data() + c, dbias);
}

}  // namespace ck::cpu
