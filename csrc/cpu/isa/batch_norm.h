// Batch-norm kernels on blocks of rows; channels are the columns, so vectors need no shuffles.
#pragma once
#include "cpu/isa/activation.h"
#include "cpu/isa/pointwise.h"
#include "cpu/isa/vec.h"

namespace {

// The one expression for what the activation sees: forward and backward must agree in every bit, or masks would flip.
CK_INLINE vf normalised(vf x, vf mean, vf scale, vf bias) {
    return fma(x - mean, scale, bias);
}

void batch_norm_moments(int64_t rows, int64_t row, int64_t columns, const float* x, const float* shift, float* sum,
                        float* square) {
    for_row_groups(rows, row, columns, {x}, [&](int64_t offset, int64_t i, auto lanes, int group) {
        const vf centre = lanes.load(shift + i);
        vf s = {}, q = {};
#pragma GCC unroll 8
        for (int r = 0; r < group; ++r) {
            const vf d = lanes.load(x + offset + r * row) - centre;
            s += d;
            q = fma(d, d, q);
        }
        lanes.store(sum + i, lanes.load(sum + i) + s);
        lanes.store(square + i, lanes.load(square + i) + q);
    });
}

// body(at, i, lanes) for the vectors of a [rows,columns] block in the order of memory, which suits passes that write:
// the constants of a column come from L1. If `streams`, what is read comes from memory: it is asked for 2 KiB ahead.
template <int kReads, class Body>
CK_INLINE void for_rows(int64_t rows, int64_t row, int64_t columns, bool streams, const float* const (&reads)[kReads],
                        Body body) {
    constexpr int kAhead = 512;
    for (int64_t r = 0; r < rows; ++r)
        for_vectors(columns, [&](int64_t i, auto lanes) {
            const int64_t at = r * row + i;
            if (streams)
                for (const float* matrix : reads)
                    if (matrix) __builtin_prefetch(matrix + at + kAhead);
            body(at, i, lanes);
        });
}

void batch_norm_normalise(int64_t rows, int64_t row, int64_t columns, Activation act, const float* x, const float* mean,
                          const float* scale, const float* bias, const float* residual, float* y, bool stream_y) {
    visit_activation(act, [&](auto f) {
        for_rows(rows, row, columns, stream_y, {x, residual}, [&](int64_t at, int64_t i, auto lanes) {
            vf z = normalised(lanes.load(x + at), lanes.load(mean + i), lanes.load(scale + i), lanes.load(bias + i));
            if (residual) z += lanes.load(residual + at);
            stream_y ? lanes.stream(y + at, f(z)) : lanes.store(y + at, f(z));
        });
    });
}

void batch_norm_gradient_sums(int64_t rows, int64_t row, int64_t columns, Activation act, const float* x,
                              const float* mean, const float* scale, const float* bias, const float* y, const float* dy,
                              float* dz, bool stream_dz, float* sum, float* product) {
    visit_activation(act, [&](auto f) {
        for_row_groups(rows, row, columns, {x, dy, y}, [&](int64_t offset, int64_t i, auto lanes, int group) {
            const vf m = lanes.load(mean + i), s = lanes.load(scale + i), b = lanes.load(bias + i);
            vf total = {}, products = {};
            for (int r = 0; r < group; ++r) {
                const int64_t at = offset + r * row;
                const vf v = lanes.load(x + at);
                const vf out = y ? lanes.load(y + at) : f(normalised(v, m, s, b));
                const vf g = f.gradient(out, lanes.load(dy + at));
                if (dz) stream_dz ? lanes.stream(dz + at, g) : lanes.store(dz + at, g);
                total += g;
                products = fma(g, v - m, products);
            }
            lanes.store(sum + i, lanes.load(sum + i) + total);
            lanes.store(product + i, lanes.load(product + i) + products);
        });
    });
}

void batch_norm_input_gradient(int64_t rows, int64_t row, int64_t columns, Activation act, const float* x,
                               const float* mean, const float* scale, const float* bias, const float* dy,
                               const float* slope, const float* offset, float* dx, bool stream_dx) {
    visit_activation(act, [&](auto f) {
        for_rows(rows, row, columns, stream_dx, {x, dy}, [&](int64_t at, int64_t i, auto lanes) {
            const vf m = lanes.load(mean + i), s = lanes.load(scale + i);
            const vf v = lanes.load(x + at);
            vf d = f.gradient(f(normalised(v, m, s, lanes.load(bias + i))), lanes.load(dy + at)) * s;
            if (slope) d += fma(v - m, lanes.load(slope + i), lanes.load(offset + i));
            stream_dx ? lanes.stream(dx + at, d) : lanes.store(dx + at, d);
        });
    });
}

constexpr BatchNormKernels kBatchNormKernels = {batch_norm_moments, batch_norm_normalise, batch_norm_gradient_sums,
                                                batch_norm_input_gradient};

}  // namespace
