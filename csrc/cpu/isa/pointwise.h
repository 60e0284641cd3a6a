// Pointwise kernels: unary functions and their gradients, binary arithmetic, comparisons, the gradient of an epilogue.
// Tails use load_n/store_n, so a value does not depend on its position.
#pragma once
#include "cpu/isa/activation.h"
#include "cpu/isa/vec.h"
#include "cpu/isa/vec_math.h"

namespace {

// y[i] = f(x[i])
template <class F>
CK_INLINE void map1(int64_t n, const float* x, float* y, F f) {
    for_vectors(n, [&](int64_t i, auto lanes) { lanes.store(y + i, f(lanes.load(x + i))); });
}

// y[i] = f(a[i], b[i])
template <class F>
CK_INLINE void map2(int64_t n, const float* a, const float* b, float* y, F f) {
    for_vectors(n, [&](int64_t i, auto lanes) { lanes.store(y + i, f(lanes.load(a + i), lanes.load(b + i))); });
}

void unary(UnaryOp op, float slope, int64_t n, const float* x, float* y) {
    switch (op) {
        case UnaryOp::negate:
            return map1(n, x, y, [](vf v) { return -v; });
        case UnaryOp::exp:
            return map1(n, x, y, [](vf v) { return exp(v); });
        case UnaryOp::log:
            return map1(n, x, y, [](vf v) { return log(v); });
        case UnaryOp::sqrt:
            return map1(n, x, y, [](vf v) { return sqrt(v); });
        case UnaryOp::abs:
            return map1(n, x, y, [](vf v) { return abs(v); });
        case UnaryOp::relu:
            return map1(n, x, y, Relu{});
        case UnaryOp::relu6:
            return map1(n, x, y, Relu6{});
        case UnaryOp::leaky_relu:
            return map1(n, x, y, LeakyRelu{slope});
        case UnaryOp::tanh:
            return map1(n, x, y, Tanh{});
        case UnaryOp::sigmoid:
            return map1(n, x, y, Sigmoid{});
    }
}

// dx = dy * f'(x), from x or from y = f(x)
void unary_gradient(UnaryOp op, float slope, int64_t n, const float* x, const float* y, const float* dy, float* dx) {
    const auto from_y = [=](auto f) { map2(n, y, dy, dx, [f](vf v, vf g) { return f.gradient(v, g); }); };
    switch (op) {
        case UnaryOp::negate:
            return map1(n, dy, dx, [](vf g) { return -g; });
        case UnaryOp::exp:
            return map2(n, y, dy, dx, [](vf v, vf g) { return g * v; });
        case UnaryOp::log:
            return map2(n, x, dy, dx, [](vf v, vf g) { return g / v; });
        case UnaryOp::sqrt:
            return map2(n, y, dy, dx, [](vf v, vf g) { return g / (v + v); });
        case UnaryOp::abs:
            return map2(n, x, dy, dx, [](vf v, vf g) { return select(v > 0, g, select(v < 0, -g, v * 0)); });
        case UnaryOp::relu:
            return from_y(Relu{});
        case UnaryOp::relu6:
            return from_y(Relu6{});
        case UnaryOp::leaky_relu:  // from x: the slope may be 0 or negative
            return map2(n, x, dy, dx, [slope](vf v, vf g) { return select(v <= 0, g * slope, g); });
        case UnaryOp::tanh:
            return from_y(Tanh{});
        case UnaryOp::sigmoid:
            return from_y(Sigmoid{});
    }
}

// body(i, lanes, a, b) where an operand of step 0 is one repeated value
template <class Body>
CK_INLINE void for_pairs(int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, Body body) {
    if (step_a && step_b) {
        for_vectors(n, [&](int64_t i, auto lanes) { body(i, lanes, lanes.load(a + i), lanes.load(b + i)); });
    } else if (step_a) {
        const vf right = set1(*b);
        for_vectors(n, [&](int64_t i, auto lanes) { body(i, lanes, lanes.load(a + i), right); });
    } else {
        const vf left = set1(*a);
        for_vectors(n, [&](int64_t i, auto lanes) { body(i, lanes, left, step_b ? lanes.load(b + i) : set1(*b)); });
    }
}

template <class F>
CK_INLINE void map_pairs(int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, float* y, F f) {
    for_pairs(n, a, step_a, b, step_b, [&](int64_t i, auto lanes, vf u, vf v) { lanes.store(y + i, f(u, v)); });
}

void binary(BinaryOp op, int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, float* y) {
    switch (op) {
        case BinaryOp::add:
            return map_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u + v; });
        case BinaryOp::subtract:
            return map_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u - v; });
        case BinaryOp::multiply:
            return map_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u * v; });
        case BinaryOp::divide:
            return map_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u / v; });
        case BinaryOp::power:
            return;  // the driver takes the plain loop: libm's powf is right in every corner
    }
}

typedef uint8_t vb __attribute__((vector_size(kWidth)));  // one bool per lane

template <class F>
CK_INLINE void compare_pairs(int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, bool* y, F f) {
    for_pairs(n, a, step_a, b, step_b, [&](int64_t i, auto, vf u, vf v) {
        const vb result = __builtin_convertvector(f(u, v) & 1, vb);
        memcpy(y + i, &result, static_cast<size_t>(n - i < kWidth ? n - i : kWidth));
    });
}

void compare(CompareOp op, int64_t n, const float* a, int64_t step_a, const float* b, int64_t step_b, bool* y) {
    switch (op) {
        case CompareOp::equal:
            return compare_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u == v; });
        case CompareOp::not_equal:
            return compare_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u != v; });
        case CompareOp::less:
            return compare_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u < v; });
        case CompareOp::less_equal:
            return compare_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u <= v; });
        case CompareOp::greater:
            return compare_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u > v; });
        case CompareOp::greater_equal:
            return compare_pairs(n, a, step_a, b, step_b, y, [](vf u, vf v) { return u >= v; });
    }
}

// Rows in a group whose sums stay in registers before they are added to the sums in memory: short chains of additions.
constexpr int kRowGroup = 8;

// Asks L2 for the cache lines of as many floats as a group has in one vector of columns. Not L1: two groups of two
// matrices fill it, and rows of 4 KiB meet in the same sets.
CK_INLINE void prefetch_vectors(const float* p) {
    constexpr int kLine = 16;  // floats
#pragma GCC unroll 8
    for (int i = 0; i < kRowGroup * kWidth; i += kLine) __builtin_prefetch(p + i, 0, 2);
}

// Calls body(offset, i, lanes, rows) for the vectors of a [rows,columns] block, up to kRowGroup rows at a time:
// offset is that of the first row's vector, the next rows are `row` apart; i is its first column.
//
// A group is read down its columns, which no prefetcher of a CPU follows: from memory that ran at a third of the speed.
// So the group behind is asked for meanwhile, in the order of memory, from each of the matrices `reads` (null: none);
// strips of 256 to 1024 columns make that 8 to 32 KiB ahead.
template <int kReads, class Body>
CK_INLINE void for_row_groups(int64_t rows, int64_t row, int64_t columns, const float* const (&reads)[kReads],
                              Body body) {
    int64_t r = 0;
    for (; r + kRowGroup <= rows; r += kRowGroup) {
        int64_t ahead = (r + kRowGroup) * row, column = 0;
        for_vectors(columns, [&](int64_t i, auto lanes) {
            for (const float* matrix : reads)
                if (matrix) prefetch_vectors(matrix + ahead + column);
            column += kRowGroup * kWidth;
            if (column >= columns) {
                column -= columns;
                ahead += row;
            }
            body(r * row + i, i, lanes, kRowGroup);
        });
    }
    if (r == rows) return;
    const int rest = static_cast<int>(rows - r);
    for_vectors(columns, [&](int64_t i, auto lanes) { body(r * row + i, i, lanes, rest); });
}

void epilogue_gradient(int64_t rows, int64_t row, int64_t columns, Activation act, const float* y, const float* dy,
                       float* dz, float* sums) {
    visit_activation(act, [&](auto f) {
        for_row_groups(rows, row, columns, {y, dy}, [&](int64_t offset, int64_t i, auto lanes, int group) {
            vf sum = {};
#pragma GCC unroll 8
            for (int r = 0; r < group; ++r) {
                const int64_t at = offset + r * row;
                const vf g = f.gradient(lanes.load(y + at), lanes.load(dy + at));
                if (dz) lanes.store(dz + at, g);
                sum += g;
            }
            if (sums) lanes.store(sums + i, lanes.load(sums + i) + sum);
        });
    });
}

constexpr PointwiseKernels kPointwiseKernels = {unary, unary_gradient, binary, compare, epilogue_gradient};

}  // namespace
