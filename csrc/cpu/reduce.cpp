// Drivers of the reduce family. Sums: contiguous rows in pieces, columns in blocks; floats added in short chains, the
// rest in double, in an order that the shape alone decides.
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/column_blocks.h"
#include "cpu/dispatch.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGrain = 32 * 1024;  // elements of a task: about 10 us
// Outer blocks up to this size take the plain loops: a call per column strip would cost more.
constexpr int64_t kSmall = 256;

void sum_rows(int64_t rows, int64_t len, const float* x, float* y) {
    const int64_t pieces = std::max<int64_t>(1, ceil_div(len, kGrain));
    if (pieces == 1) {
        parallel_ranges(rows, kGrain / std::max<int64_t>(1, len), [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) y[r] = static_cast<float>(kernels().reduce.sum(len, x + r * len));
        });
        return;
    }
    Scratch<double> parts(rows * pieces);
    parallel_for(rows * pieces, [&](int64_t task) {
        const int64_t begin = task % pieces * kGrain;
        parts.data()[task] = kernels().reduce.sum(std::min(kGrain, len - begin), x + task / pieces * len + begin);
    });
    for (int64_t r = 0; r < rows; ++r) {
        double sum = 0;
        for (int64_t p = 0; p < pieces; ++p) sum += parts.data()[r * pieces + p];
        y[r] = static_cast<float>(sum);
    }
}

void sum_columns(int64_t rows, int64_t columns, const float* x, float* y) {
    Scratch<double> sums(columns);
    const int64_t row = ColumnBlocks(rows, columns).width;
    column_sums<1>(rows, columns, sums.data(), [&](int64_t at, int64_t block_rows, int64_t count, float* partial) {
        kernels().pointwise.epilogue_gradient(block_rows, row, count, Activation{}, x + at, x + at, nullptr, partial);
    });
    std::copy(sums.data(), sums.data() + columns, y);
}

// fn(o, column, columns) for strips of the columns of each outer block.
template <class F>
void for_strips(const ReduceShape& s, F&& fn) {
    constexpr int64_t kStrip = 256;
    const int64_t strips = ceil_div(s.inner, kStrip);
    parallel_for(s.outer * strips, [&](int64_t task) {
        const int64_t column = task % strips * kStrip;
        fn(task / strips, column, std::min(kStrip, s.inner - column));
    });
}

}  // namespace

void reduce(ReduceOp op, const ReduceShape& s, const float* x, float* y) {
    const bool sum = op == ReduceOp::sum;
    if (s.outer * s.inner == 0) return;
    if (s.len == 0) {
        std::fill(y, y + s.outer * s.inner, 0.0f);  // only sums of nothing get here
    } else if (s.inner == 1 && sum) {
        sum_rows(s.outer, s.len, x, y);
    } else if (s.inner == 1) {
        parallel_ranges(s.outer, std::max<int64_t>(1, kGrain / s.len), [&](int64_t begin, int64_t end) {
            for (int64_t r = begin; r < end; ++r) y[r] = kernels().reduce.max(s.len, x + r * s.len);
        });
    } else if (s.len * s.inner <= kSmall) {
        parallel_ranges(s.outer, kGrain / kSmall, [&](int64_t begin, int64_t end) {
            reference::reduce(op, {end - begin, s.len, s.inner}, x + begin * s.len * s.inner, y + begin * s.inner);
        });
    } else if (sum) {
        // A loop inside a parallel loop runs in its thread: either the outer blocks or the rows of one are shared out.
        const int64_t tasks = s.outer >= 8 ? s.outer : 1;
        parallel_for(tasks, [&](int64_t task) {
            for (int64_t o = task; o < s.outer; o += tasks)
                sum_columns(s.len, s.inner, x + o * s.len * s.inner, y + o * s.inner);
        });
    } else {
        for_strips(s, [&](int64_t o, int64_t i, int64_t columns) {
            kernels().reduce.column_max(s.len, s.inner, columns, x + o * s.len * s.inner + i, y + o * s.inner + i);
        });
    }
}

void argmax(const ReduceShape& s, const float* x, int64_t* index) {
    if (s.len >= 1 << 30 || (s.inner > 1 && s.len * s.inner <= kSmall)) {
        parallel_ranges(s.outer, kGrain / kSmall, [&](int64_t begin, int64_t end) {
            reference::argmax({end - begin, s.len, s.inner}, x + begin * s.len * s.inner, index + begin * s.inner);
        });
    } else if (s.inner == 1) {
        parallel_ranges(s.outer, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, s.len)),
                        [&](int64_t begin, int64_t end) {
                            for (int64_t r = begin; r < end; ++r)
                                index[r] = kernels().reduce.argmax(s.len, x + r * s.len);
                        });
    } else {
        for_strips(s, [&](int64_t o, int64_t i, int64_t columns) {
            kernels().reduce.column_argmax(s.len, s.inner, columns, x + o * s.len * s.inner + i,
                                           index + o * s.inner + i);
        });
    }
}

void scatter_to_index(const ReduceShape& s, const int64_t* index, const float* dy, float* dx) {
    const int64_t block = s.len * s.inner;
    parallel_ranges(s.outer, std::max<int64_t>(1, kGrain / std::max<int64_t>(1, block)),
                    [&](int64_t begin, int64_t end) {
                        std::fill(dx + begin * block, dx + end * block, 0.0f);
                        for (int64_t o = begin; o < end; ++o)
                            for (int64_t i = 0; i < s.inner; ++i)
                                dx[o * block + index[o * s.inner + i] * s.inner + i] = dy[o * s.inner + i];
                    });
}

}  // namespace ck::cpu
