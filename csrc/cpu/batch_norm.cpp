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

// row[width] from its first c elements
void repeat_row(float* row, int64_t c, int64_t width) {
    for (int64_t done = c; done < width; done *= 2) std::copy(row, row + std::min(done, width - done), row + done);
}

// Means and summed squares of deviations of the chunks' columns, each [chunks,width].
struct Moments {
    Scratch<double> memory;
    double *mean, *squares;

    explicit Moments(const ColumnBlocks& b)
        : memory(2 * b.chunks * b.width), mean(memory.data()), squares(mean + b.chunks * b.width) {}
};

// Shifted sums of one strip of one chunk: squares of values near 0, so that float holds them and nothing cancels.
void strip_moments(const ColumnBlocks& b, const ColumnChunk& chunk, const float* x, const Moments& all) {
    alignas(64) float shift[kStrip], unused[kStrip], zero[kStrip];
    for (float* start : {shift, unused, zero}) std::fill(start, start + chunk.columns, 0.0f);
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
    const int64_t at = chunk.index * b.width + chunk.column;
    double *mean = all.mean + at, *squares = all.squares + at;
    const auto finish = [&](int64_t begin, int64_t end, int64_t count) {
        const double inverse = 1 / std::max(1.0, static_cast<double>(count));
        for (int64_t i = begin; i < end; ++i) {
            mean[i] = shift[i] + sums[i] * inverse;
            squares[i] = sums[kStrip + i] - sums[i] * sums[i] * inverse;
        }
    };
    finish(0, chunk.tail, rows + 1);
    finish(chunk.tail, chunk.columns, rows);
}

// Mean and summed squares of deviations [c] of the channels, from those of all columns of all chunks in fixed order
// (Chan et al. 1979): first about the mean of the first column, near enough that nothing cancels in double.
void combine(const ColumnBlocks& b, const Moments& all, int64_t rows, int64_t c, double* mean, double* squares) {
    std::fill(mean, mean + c, 0.0);
    std::fill(squares, squares + c, 0.0);
    for (int64_t q = 0; q < b.chunks; ++q) {
        const int64_t whole = std::min(b.chunk_rows, b.rows - q * b.chunk_rows);
        for (int64_t i = 0; i < b.width; i += c) {
            const double count = static_cast<double>(whole + (q + 1 == b.chunks && i < b.tail));
            if (count == 0) continue;  // no such column: its mean is not a number of x
            const double *part = all.mean + q * b.width + i, *part_squares = all.squares + q * b.width + i;
            for (int64_t j = 0; j < c; ++j) {
                const double off = part[j] - all.mean[j];
                mean[j] += count * off;
                squares[j] += part_squares[j] + count * off * off;
            }
        }
    }
    const double inverse = 1 / static_cast<double>(rows);
    for (int64_t j = 0; j < c; ++j) {
        squares[j] -= mean[j] * mean[j] * inverse;
        mean[j] = all.mean[j] + mean[j] * inverse;
    }
}

// Constants of the columns of a wide row: mean, scale and bias, each [width]; 1 / deviation of the channels [c].
struct ColumnConstants {
    Scratch<float> memory;
    Scratch<double> deviations;
    float *mean, *scale, *bias;
    double* inverse;

    ColumnConstants(const BatchNormShape& s, int64_t width, const float* mean_, const float* variance,
                    const float* weight, const float* bias_)
        : memory(3 * width),
          deviations(s.c),
          mean(memory.data()),
          scale(mean + width),
          bias(scale + width),
          inverse(deviations.data()) {
        for (int64_t j = 0; j < s.c; ++j) inverse[j] = 1 / std::sqrt(double(variance[j]) + s.eps);
        for (int64_t j = 0; j < s.c; ++j) scale[j] = static_cast<float>((weight ? weight[j] : 1.0) * inverse[j]);
        std::copy(mean_, mean_ + s.c, mean);
        for (int64_t j = 0; j < s.c; ++j) bias[j] = bias_ ? bias_[j] : 0.0f;
        for (float* row : {mean, scale, bias}) repeat_row(row, s.c, width);
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
    const Moments parts(b);
    parallel_for(b.chunks * b.strips, [&](int64_t task) { strip_moments(b, ColumnChunk(b, task), x, parts); });
    Scratch<double> total(2 * c);
    const double *means = total.data(), *squares = means + c;
    combine(b, parts, rows, c, total.data(), total.data() + c);
    const double inverse = 1 / static_cast<double>(rows), unbiased = 1 / static_cast<double>(rows - 1);
    for (int64_t j = 0; j < c; ++j) {
        mean[j] = static_cast<float>(means[j]);
        variance[j] = static_cast<float>(squares[j] * inverse);
    }
    if (!running_mean) return;
    for (int64_t j = 0; j < c; ++j) {
        running_mean[j] = static_cast<float>((1 - momentum) * running_mean[j] + momentum * means[j]);
        running_var[j] = static_cast<float>((1 - momentum) * running_var[j] + momentum * squares[j] * unbiased);
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
    if (s.rows == 0) {
        std::fill(dweight, dweight + s.c, 0.0f);
        std::fill(dbias, dbias + s.c, 0.0f);
    }
    if (s.rows == 0 || s.c == 0) return;
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
    Scratch<double> sums(2 * s.c);
    column_sums<2>(s.rows, s.c, sums.data(), [&](int64_t at, int64_t rows, int64_t columns, float* partial) {
        const int64_t j = at % b.width;
        kernels().batch_norm.gradient_sums(rows, b.width, columns, act, x + at, k.mean + j, k.scale + j, k.bias + j,
                                           from_y ? y + at : nullptr, dy + at, g ? g + at : nullptr, stream_g, partial,
                                           partial + kStrip);
    });
    Scratch<float> terms(2 * b.width);
    float *slope = terms.data(), *offset = slope + b.width;
    const double inverse_rows = 1 / static_cast<double>(s.rows);
    const double *sum = sums.data(), *product = sum + s.c;
    for (int64_t j = 0; j < s.c; ++j) {
        const double mean_scale = -k.scale[j] * inverse_rows;
        offset[j] = static_cast<float>(mean_scale * sum[j]);
        slope[j] = static_cast<float>(mean_scale * product[j] * (k.inverse[j] * k.inverse[j]));
        dbias[j] = static_cast<float>(sum[j]);
        dweight[j] = static_cast<float>(product[j] * k.inverse[j]);
    }
    for (float* row : {slope, offset}) repeat_row(row, s.c, b.width);
    if (from_y) act = Activation{};
    const float* from = from_y ? g : dy;
    for_wide_rows(b, [&](int64_t at, int64_t rows, int64_t columns) {
        kernels().batch_norm.gradient(rows, b.width, columns, act, x + at, k.mean, k.scale, k.bias, from + at,
                                      s.training ? slope : nullptr, s.training ? offset : nullptr, dx + at, stream);
    });
}

}  // namespace ck::cpu
