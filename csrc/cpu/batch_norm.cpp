// Drivers of batch normalisation on x[rows,c]: statistics, then one pass that normalises; backward likewise.
#include <cmath>
#include <cstring>

#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/column_blocks.h"
#include "cpu/dispatch.h"
#include "cpu/streaming.h"

namespace ck::cpu {
namespace {

constexpr int64_t kStrip = ColumnBlocks::kStrip;
constexpr int64_t kGrain = 32 * 1024;  // elements of a task of the passes: 10-20 us

// Rows from which a chunk estimates its shift: more than one, so that an outlier does not spoil the squares.
constexpr int64_t kShiftRows = 32;

// Mean and summed squares of deviations of one column's chunk.
struct Moments {
    double mean, squares;
};

// Shifted sums of one strip of one chunk: squares of values near 0, so that float holds them and nothing cancels.
void strip_moments(const ColumnBlocks& b, const ColumnChunk& chunk, const float* x, Moments* all) {
    alignas(64) float shift[kStrip] = {}, unused[kStrip] = {}, zero[kStrip] = {};
    const int64_t rows = chunk.end - chunk.begin, sample = std::min(rows, kShiftRows);
    const float* first = x + chunk.begin * b.width + chunk.column;
    if (sample) {
        kernels().batch_norm.moments(sample, b.width, chunk.columns, first, zero, shift, unused);
        for (int64_t i = 0; i < chunk.columns; ++i) shift[i] /= static_cast<float>(sample);
    } else {
        std::copy(first, first + chunk.tail, shift);
    }
    double sums[2 * kStrip];
    chunk.sum<2>(b, sums, [&](int64_t at, int64_t block_rows, int64_t columns, float* partial) {
        kernels().batch_norm.moments(block_rows, b.width, columns, x + at, shift, partial, partial + kStrip);
    });
    Moments* result = all + chunk.index * b.width + chunk.column;
    for (int64_t i = 0; i < chunk.columns; ++i) {
        const double count = static_cast<double>(rows + (i < chunk.tail));
        if (count > 0) result[i] = {shift[i] + sums[i] / count, sums[kStrip + i] - sums[i] * sums[i] / count};
    }
}

// Channel j from the moments of its columns and chunks, in fixed order (Chan et al. 1979).
Moments combine(const ColumnBlocks& b, const Moments* all, int64_t rows, int64_t c, int64_t j) {
    const auto each = [&](auto fn) {
        for (int64_t q = 0; q < b.chunks; ++q) {
            const int64_t whole = std::min(b.chunk_rows, b.rows - q * b.chunk_rows);
            for (int64_t i = j; i < b.width; i += c) {
                const int64_t count = whole + (q + 1 == b.chunks && i < b.tail);
                if (count) fn(static_cast<double>(count), all[q * b.width + i]);
            }
        }
    };
    double sum = 0, squares = 0;
    each([&](double count, const Moments& part) { sum += count * part.mean; });
    const double mean = sum / static_cast<double>(rows);
    each([&](double count, const Moments& part) {
        squares += part.squares + count * (part.mean - mean) * (part.mean - mean);
    });
    return {mean, squares};
}

// Constants of the columns of a wide row: mean, scale and bias, each [width].
struct ColumnConstants {
    Scratch<float> memory;
    float *mean, *scale, *bias;

    ColumnConstants(const BatchNormShape& s, int64_t width, const float* mean_, const float* variance,
                    const float* weight, const float* bias_)
        : memory(3 * width), mean(memory.data()), scale(mean + width), bias(scale + width) {
        for (int64_t i = 0; i < width; ++i) {
            const int64_t j = i % s.c;
            mean[i] = mean_[j];
            scale[i] = static_cast<float>((weight ? weight[j] : 1.0) / std::sqrt(double(variance[j]) + s.eps));
            bias[i] = bias_ ? bias_[j] : 0.0f;
        }
    }
};

// fn(offset, rows, columns) for groups of wide rows, in parallel. The last ones first: the pass before, over the same
// matrices, has left these in the cache.
template <class F>
void for_wide_rows(const ColumnBlocks& b, F&& fn) {
    const int64_t group = ceil_div(std::max<int64_t>(1, kGrain / b.width), 8) * 8;
    if (b.tail) fn(b.rows * b.width, int64_t{1}, b.tail);
    parallel_ranges(b.rows, group,
                    [&](int64_t begin, int64_t end) { fn((b.rows - end) * b.width, end - begin, b.width); });
}

}  // namespace

void batch_norm_statistics(int64_t rows, int64_t c, double momentum, const float* x, float* mean, float* variance,
                           float* running_mean, float* running_var) {
    if (c == 0) return;
    const ColumnBlocks b(rows, c);
    Scratch<Moments> moments(b.chunks * b.width);
    parallel_for(b.chunks * b.strips, [&](int64_t task) { strip_moments(b, ColumnChunk(b, task), x, moments.data()); });
    for (int64_t j = 0; j < c; ++j) {
        const Moments total = combine(b, moments.data(), rows, c, j);
        mean[j] = static_cast<float>(total.mean);
        variance[j] = static_cast<float>(total.squares / static_cast<double>(rows));
        if (!running_mean) continue;
        const double unbiased = total.squares / static_cast<double>(rows - 1);
        running_mean[j] = static_cast<float>((1 - momentum) * running_mean[j] + momentum * total.mean);
        running_var[j] = static_cast<float>((1 - momentum) * running_var[j] + momentum * unbiased);
    }
}

void batch_norm(const BatchNormShape& s, const float* x, const float* mean, const float* variance, const float* weight,
                const float* bias, const float* residual, float* y) {
    if (s.rows == 0 || s.c == 0) return;
    const ColumnBlocks b(s.rows, s.c);
    const ColumnConstants k(s, b.width, mean, variance, weight, bias);
    const bool stream = worth_streaming(y, s.rows * s.c, b.width);
    for_wide_rows(b, [&](int64_t at, int64_t rows, int64_t columns) {
        kernels().batch_norm.normalise(rows, b.width, columns, s.activation, x + at, k.mean, k.scale, k.bias,
                                       residual ? residual + at : nullptr, y + at, stream);
    });
}

void batch_norm_gradient(const BatchNormShape& s, const float* x, const float* mean, const float* variance,
                         const float* weight, const float* bias, const float* y, const float* dy, float* dx,
                         float* dweight, float* dbias, float* dz) {
    Scratch<double> sums(2 * s.c);
    std::fill(sums.data(), sums.data() + 2 * s.c, 0.0);
    if (s.rows > 0 && s.c > 0) {
        const ColumnBlocks b(s.rows, s.c);
        const ColumnConstants k(s, b.width, mean, variance, weight, bias);
        // Without a residual the mask of a ReLU follows from x, which is read anyway. Otherwise the first pass finds
        // g = dL/dz from y and leaves it in dz or dx for the second.
        Activation act = s.activation;
        const bool costly = act.kind == ActivationKind::tanh || act.kind == ActivationKind::sigmoid;
        const bool from_y = act.kind != ActivationKind::none && (dz || costly);
        float* g = !from_y ? nullptr : dz ? dz : dx;
        const bool stream = worth_streaming(dx, s.rows * s.c, b.width);
        const bool stream_g = g && worth_streaming(g, s.rows * s.c, b.width);
        column_sums<2>(s.rows, s.c, sums.data(), [&](int64_t at, int64_t rows, int64_t columns, float* partial) {
            const int64_t j = at % b.width;
            kernels().batch_norm.gradient_sums(rows, b.width, columns, act, x + at, k.mean + j, k.scale + j, k.bias + j,
                                               from_y ? y + at : nullptr, dy + at, g ? g + at : nullptr, stream_g,
                                               partial, partial + kStrip);
        });
        Scratch<float> means(2 * b.width);
        float *slope = means.data(), *offset = slope + b.width;
        for (int64_t i = 0; i < b.width; ++i) {
            const int64_t j = i % s.c;
            const double count = static_cast<double>(s.rows), scale = k.scale[i];
            offset[i] = static_cast<float>(-scale * sums.data()[j] / count);
            slope[i] = static_cast<float>(-scale * sums.data()[s.c + j] / (count * (double(variance[j]) + s.eps)));
        }
        if (from_y) act = Activation{};
        const float* from = from_y ? g : dy;
        for_wide_rows(b, [&](int64_t at, int64_t rows, int64_t columns) {
            kernels().batch_norm.gradient(rows, b.width, columns, act, x + at, k.mean, k.scale, k.bias, from + at,
                                          s.training ? slope : nullptr, s.training ? offset : nullptr, dx + at, stream);
        });
    }
    for (int64_t j = 0; j < s.c; ++j) {
        dbias[j] = static_cast<float>(sums.data()[j]);
        dweight[j] = static_cast<float>(sums.data()[s.c + j] / std::sqrt(double(variance[j]) + s.eps));
    }
}

}  // namespace ck::cpu
