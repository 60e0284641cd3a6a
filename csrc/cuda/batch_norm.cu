// Batch normalisation on x[rows,c]: statistics, then one pass that normalises; backward likewise. All of it is bound by
// memory. A thread keeps n neighbouring channels and walks down the rows of its chunk, so the constants of its channels
// are in registers; blocks take a strip of channels and a chunk of rows (columns.h), and what they find is put together
// in the order of the chunks. The second pass begins with the rows that the first has left in the L2 cache.
#include "cuda/activation.h"
#include "cuda/backend.h"
#include "cuda/columns.h"
#include "cuda/moments.h"

namespace ck::cuda {
namespace {

constexpr int kFinishThreads = 128;  // of the blocks, one a channel, that put 528 chunks or some 10,000 parts together
constexpr int kRowsAtOnce = 4;       // loads under way in a thread: 64 bytes of 512 threads hide 1 us at 4.3 TB/s
// Blocks that a multiprocessor shall hold: with 8 channels a thread has up to 128 registers. The 528 blocks of
// columns.h are then two full waves on an H200, and one with 4 channels.
constexpr int resident_blocks(int n) {
    return n > 4 ? kElementwiseBlocks / 2 : kElementwiseBlocks;
}

// What a thread does of x[rows,c]: rows first, first + lines, ... < end of the n channels from c0.
struct Strip {
    int thread, line, lines, across;
    int64_t c0, first, end, chunk;

    __device__ __forceinline__ Strip(const ColumnTiles& tiles, int64_t rows, int n, int64_t chunk_)
        : thread(static_cast<int>(threadIdx.x)),
          line(thread / tiles.across),
          lines(kElementwiseThreads / tiles.across),
          across(tiles.across),
          c0((static_cast<int64_t>(blockIdx.x) * tiles.across + (thread & (tiles.across - 1))) * n),
          first(chunk_ * tiles.chunk_len + line),
          end(min(rows, (chunk_ + 1) * tiles.chunk_len)),
          chunk(chunk_) {}
};

template <class T, int n>
__global__ void __launch_bounds__(kElementwiseThreads, resident_blocks(n))
    moments_kernel(int64_t rows, int64_t c, ColumnTiles tiles, const T* __restrict__ x /*[rows,c]*/,
                   Moments* __restrict__ moments /*[c,chunks]*/) {
    CK_SHARED(float, counts, [kElementwiseThreads]);
    CK_SHARED(Moments, all, [n][kElementwiseThreads]);  // 16 KiB at most
    const Strip strip(tiles, rows, n, blockIdx.y);
    float count = 0;
    Moments mine[n] = {};
    // Deviations from the mean of a few rows at a time: nothing cancels, however far from 0 the numbers are.
    for (int64_t row = strip.first; row < strip.end && strip.c0 < c; row += kRowsAtOnce * strip.lines) {
        Pack<T, n> value[kRowsAtOnce] = {};
        int have = 0;
#pragma unroll
        for (int k = 0; k < kRowsAtOnce; ++k) {
            if (row + k * strip.lines >= strip.end) continue;
            value[k] = *reinterpret_cast<const Pack<T, n>*>(x + (row + k * strip.lines) * c + strip.c0);
            have = k + 1;
        }
        const float more = static_cast<float>(have), share = more / (count + more);
#pragma unroll
        for (int j = 0; j < n; ++j) {
            Moments these{0, 0};
#pragma unroll
            for (int k = 0; k < kRowsAtOnce; ++k) these.mean += to_float(value[k].element[j]);
            these.mean /= more;
#pragma unroll
            for (int k = 0; k < kRowsAtOnce; ++k) {
                const float deviation = k < have ? to_float(value[k].element[j]) - these.mean : 0.0f;
                these.squares = fmaf(deviation, deviation, these.squares);
            }
            mine[j] = merge(mine[j], count, these, share);
        }
        count += more;
    }
    counts[strip.thread] = count;
#pragma unroll
    for (int j = 0; j < n; ++j) all[j][strip.thread] = mine[j];
    for (int half = strip.lines / 2; half > 0; half /= 2) {
        __syncthreads();
        const int other = strip.thread + half * strip.across;
        if (strip.line >= half || counts[other] == 0) continue;
        const float total = count + counts[other], share = counts[other] / total;
#pragma unroll
        for (int j = 0; j < n; ++j) {
            mine[j] = merge(mine[j], count, all[j][other], share);
            all[j][strip.thread] = mine[j];
        }
        counts[strip.thread] = count = total;
    }
    if (strip.line > 0 || strip.c0 >= c) return;
#pragma unroll
    for (int j = 0; j < n; ++j) moments[(strip.c0 + j) * tiles.chunks + strip.chunk] = mine[j];
}

// One block a channel: the moments of its parts, in float64, since a count may have more digits than float32.
__global__ void __launch_bounds__(kFinishThreads)
    statistics_kernel(int64_t rows, int64_t part_rows, int64_t parts, double momentum,
                      const Moments* __restrict__ moments /*[c,parts]*/, float* __restrict__ mean /*[c]*/,
                      float* __restrict__ variance /*[c]*/, float* __restrict__ running_mean /*[c] or null*/,
                      float* __restrict__ running_var) {
    const Moments* mine = moments + blockIdx.x * parts;
    const auto rows_of = [&](int64_t q) { return static_cast<double>(min(part_rows, rows - q * part_rows)); };
    double sum = 0, squares = 0;
    for (int64_t q = threadIdx.x; q < parts; q += blockDim.x) sum += rows_of(q) * mine[q].mean;
    const double centre = reduce_block(sum, Add{}) / static_cast<double>(rows);
    for (int64_t q = threadIdx.x; q < parts; q += blockDim.x) {
        const double delta = mine[q].mean - centre;
        squares += mine[q].squares + rows_of(q) * delta * delta;
    }
    squares = reduce_block(squares, Add{});
    if (threadIdx.x > 0) return;
    const unsigned j = blockIdx.x;
    mean[j] = static_cast<float>(centre);
    variance[j] = static_cast<float>(squares / static_cast<double>(rows));
    if (!running_mean) return;
    const double unbiased = squares / static_cast<double>(rows - 1);
    running_mean[j] = static_cast<float>((1 - momentum) * running_mean[j] + momentum * centre);
    running_var[j] = static_cast<float>((1 - momentum) * running_var[j] + momentum * unbiased);
}

// The parameters of all channels, each [c]; weight and bias may be null.
struct Channels {
    const float *mean, *variance, *weight, *bias;
    float eps;
};

// Of n channels: z = (x - mean) * scale + bias.
template <int n>
struct Affine {
    float mean[n], scale[n], bias[n];

    __device__ __forceinline__ Affine(const Channels& all, int64_t c0, int64_t c) {
#pragma unroll
        for (int j = 0; j < n; ++j) {
            const int64_t i = c0 + j;
            mean[j] = i < c ? all.mean[i] : 0.0f;
            scale[j] = i < c ? (all.weight ? all.weight[i] : 1.0f) / sqrtf(all.variance[i] + all.eps) : 0.0f;
            bias[j] = i < c && all.bias ? all.bias[i] : 0.0f;
        }
    }
    __device__ __forceinline__ float operator()(int j, float x) const {
        return fmaf(x - mean[j], scale[j], bias[j]);
    }
};

template <class T, int n>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    normalise_kernel(int64_t rows, int64_t c, ColumnTiles tiles, Activation act, Channels channels,
                     const T* __restrict__ x /*[rows,c]*/, const T* __restrict__ residual /*[rows,c] or null*/,
                     T* __restrict__ y /*[rows,c]*/) {
    const Strip strip(tiles, rows, n, gridDim.y - 1 - blockIdx.y);
    if (strip.c0 >= c) return;
    const Affine<n> affine(channels, strip.c0, c);
#pragma unroll 4
    for (int64_t row = strip.first; row < strip.end; row += strip.lines) {
        const int64_t at = row * c + strip.c0;
        float z[n], r[n] = {};
        load(x + at, z);
        if (residual) load(residual + at, r);
#pragma unroll
        for (int j = 0; j < n; ++j) z[j] = affine(j, z[j]) + r[j];
        activate_each(act, z);
        store(y + at, z);
    }
}

// Per channel, of a chunk or of all rows: the sums of g and of g * (x - mean), g = dL/dz.
struct GradientSums {
    float g, product;
};

// dy becomes g = dL/dz: from the result y, which a residual was added to, or else from x, which is read anyway.
template <class T, int n>
__device__ __forceinline__ void activation_gradient_of(const Affine<n>& affine, Activation act, const float (&x)[n],
                                                       const T* y /*may be null*/, int64_t at, float (&dy)[n]) {
    if (act.kind == ActivationKind::none) return;
    float result[n];
    if (y) {
        load(y + at, result);
    } else {
#pragma unroll
        for (int j = 0; j < n; ++j) result[j] = affine(j, x[j]);
        activate_each(act, result);
    }
    activation_gradient_each(act, result, dy);
}

template <class T, int n>
__global__ void __launch_bounds__(kElementwiseThreads, resident_blocks(n))
    gradient_sums_kernel(int64_t rows, int64_t c, ColumnTiles tiles, Activation act, Channels channels,
                         const T* __restrict__ x /*[rows,c]*/, const T* __restrict__ y /*[rows,c] or null*/,
                         const T* __restrict__ dy /*[rows,c]*/, T* __restrict__ dz /*[rows,c] or null*/,
                         GradientSums* __restrict__ sums /*[c,chunks]*/) {
    CK_SHARED(GradientSums, all, [n][kElementwiseThreads]);  // 16 KiB at most
    const Strip strip(tiles, rows, n, blockIdx.y);
    const Affine<n> affine(channels, strip.c0, c);
    GradientSums mine[n] = {};
#pragma unroll 4
    for (int64_t row = strip.first; row < strip.end && strip.c0 < c; row += strip.lines) {
        const int64_t at = row * c + strip.c0;
        float value[n], g[n];
        load(x + at, value);
        load(dy + at, g);
        activation_gradient_of(affine, act, value, y, at, g);
        if (dz) store(dz + at, g);
#pragma unroll
        for (int j = 0; j < n; ++j) {
            mine[j].g += g[j];
            mine[j].product = fmaf(g[j], value[j] - affine.mean[j], mine[j].product);
        }
    }
#pragma unroll
    for (int j = 0; j < n; ++j) all[j][strip.thread] = mine[j];
    for (int half = strip.lines / 2; half > 0; half /= 2) {
        __syncthreads();
        if (strip.line >= half) continue;
#pragma unroll
        for (int j = 0; j < n; ++j) {
            mine[j].g += all[j][strip.thread + half * strip.across].g;
            mine[j].product += all[j][strip.thread + half * strip.across].product;
            all[j][strip.thread] = mine[j];
        }
    }
    if (strip.line > 0 || strip.c0 >= c) return;
#pragma unroll
    for (int j = 0; j < n; ++j) sums[(strip.c0 + j) * tiles.chunks + strip.chunk] = mine[j];
}

// dx = scale * g + slope * (x - mean) + offset: the means of g and of g * n, n = (x - mean) r, over the rows. Both are
// 0 where the statistics were constants.
struct Correction {
    float slope, offset;
};

__global__ void __launch_bounds__(kFinishThreads)
    gradient_finish_kernel(int64_t rows, int64_t chunks, bool training, Channels channels,
                           const GradientSums* __restrict__ sums /*[c,chunks]*/, float* __restrict__ dweight /*[c]*/,
                           float* __restrict__ dbias /*[c]*/, Correction* __restrict__ corrections /*[c]*/) {
    const unsigned j = blockIdx.x;
    double g = 0, product = 0;
    for (int64_t q = threadIdx.x; q < chunks; q += blockDim.x) {
        g += sums[j * chunks + q].g;
        product += sums[j * chunks + q].product;
    }
    g = reduce_block(g, Add{});
    product = reduce_block(product, Add{});
    if (threadIdx.x > 0) return;
    const double r = 1 / sqrt(static_cast<double>(channels.variance[j]) + channels.eps);
    dbias[j] = static_cast<float>(g);
    dweight[j] = static_cast<float>(product * r);
    const double share = training ? (channels.weight ? channels.weight[j] : 1.0) * r / static_cast<double>(rows) : 0.0;
    corrections[j] = {static_cast<float>(-share * r * r * product), static_cast<float>(-share * g)};
}

// `from` is dy, with an activation whose result is y or, without y, follows from x; or what the first pass stored, g.
template <class T, int n>
__global__ void __launch_bounds__(kElementwiseThreads, resident_blocks(n))
    gradient_kernel(int64_t rows, int64_t c, ColumnTiles tiles, Activation act, bool training, Channels channels,
                    const Correction* __restrict__ corrections /*[c]*/, const T* __restrict__ x /*[rows,c]*/,
                    const T* __restrict__ y /*[rows,c] or null*/, const T* __restrict__ from /*[rows,c]*/,
                    T* __restrict__ dx /*[rows,c]*/) {
    const Strip strip(tiles, rows, n, gridDim.y - 1 - blockIdx.y);
    if (strip.c0 >= c) return;
    const Affine<n> affine(channels, strip.c0, c);
    Correction correction[n];
#pragma unroll
    for (int j = 0; j < n; ++j) correction[j] = corrections[strip.c0 + j];
    const bool needs_x = training || (act.kind != ActivationKind::none && !y);
#pragma unroll 4
    for (int64_t row = strip.first; row < strip.end; row += strip.lines) {
        const int64_t at = row * c + strip.c0;
        float value[n] = {}, g[n];
        load(from + at, g);
        if (needs_x) load(x + at, value);
        activation_gradient_of(affine, act, value, y, at, g);
#pragma unroll
        for (int j = 0; j < n; ++j) {
            const float means = fmaf(correction[j].slope, value[j] - affine.mean[j], correction[j].offset);
            g[j] = training ? fmaf(affine.scale[j], g[j], means) : affine.scale[j] * g[j];
        }
        store(dx + at, g);
    }
}

ColumnTiles row_tiles(int64_t rows, int64_t c, int n) {
    return column_tiles(ReduceShape{1, rows, c}, n);
}
dim3 grid_of(const ColumnTiles& tiles) {
    return dim3(static_cast<unsigned>(tiles.strips), static_cast<unsigned>(tiles.chunks));
}
dim3 one_each(int64_t channels) {
    return dim3(static_cast<unsigned>(channels));
}

}  // namespace

void finish_statistics(const Op& op, int64_t rows, int64_t c, const ColumnMoments& of, double momentum, float* mean,
                       float* variance, float* running_mean, float* running_var) {
    launch(op, statistics_kernel, one_each(c), kFinishThreads, 0, rows, of.part_rows, ceil_div(rows, of.part_rows),
           momentum, of.moments->data(), mean, variance, running_mean, running_var);
}

template <class T>
void batch_norm_statistics(int64_t rows, int64_t c, double momentum, const T* x, Param<T>* mean, Param<T>* variance,
                           Param<T>* running_mean, Param<T>* running_var) {
    if (rows * c == 0) return;
    const Op op{"batch_norm_statistics", {rows, c}};
    const bool wide = in_vectors<T>(c, x);
    const ColumnTiles tiles = row_tiles(rows, c, wide ? kVector<T> : 1);
    ColumnMoments chunks;
    chunks.part_rows = tiles.chunk_len;
    chunks.moments.emplace(op, c * tiles.chunks);
    launch(op, wide ? moments_kernel<T, kVector<T>> : moments_kernel<T, 1>, grid_of(tiles), kElementwiseThreads, 0,
           rows, c, tiles, x, chunks.moments->data());
    finish_statistics(op, rows, c, chunks, momentum, mean, variance, running_mean, running_var);
}

template <class T>
void batch_norm(const BatchNormShape& s, const T* x, const Param<T>* mean, const Param<T>* variance,
                const Param<T>* weight, const Param<T>* bias, const T* residual, T* y) {
    if (s.rows * s.c == 0) return;
    const Op op{"batch_norm", {s.rows, s.c}};
    const bool wide = in_vectors<T>(s.c, x, residual, y);
    const ColumnTiles tiles = row_tiles(s.rows, s.c, wide ? kVector<T> : 1);
    const Channels channels{mean, variance, weight, bias, static_cast<float>(s.eps)};
    launch(op, wide ? normalise_kernel<T, kVector<T>> : normalise_kernel<T, 1>, grid_of(tiles), kElementwiseThreads, 0,
           s.rows, s.c, tiles, s.activation, channels, x, residual, y);
}

template <class T>
void batch_norm_gradient(const BatchNormShape& s, const T* x, const Param<T>* mean, const Param<T>* variance,
                         const Param<T>* weight, const Param<T>* bias, const T* y, const T* dy, T* dx,
                         Param<T>* dweight, Param<T>* dbias, T* dz) {
    if (s.c == 0) return;
    const Op op{"batch_norm_gradient", {s.rows, s.c}};
    const bool wide = in_vectors<T>(s.c, x, y, dy, dx, dz);
    const ColumnTiles tiles = row_tiles(s.rows, s.c, wide ? kVector<T> : 1);
    const Channels channels{mean, variance, weight, bias, static_cast<float>(s.eps)};
    const Scratch<GradientSums> sums(op, s.c * tiles.chunks);
    const Scratch<Correction> corrections(op, s.c);
    const Activation act = s.activation;
    const T* result = dz ? y : nullptr;
    launch(op, wide ? gradient_sums_kernel<T, kVector<T>> : gradient_sums_kernel<T, 1>, grid_of(tiles),
           kElementwiseThreads, 0, s.rows, s.c, tiles, act, channels, x, result, dy, dz, sums.data());
    launch(op, gradient_finish_kernel, one_each(s.c), kFinishThreads, 0, s.rows, tiles.chunks, s.training, channels,
           sums.data(), dweight, dbias, corrections.data());
    if (s.rows == 0) return;
    // The second pass reads dz instead of y and dy where it is dy or 0 and so has lost nothing as a bfloat16.
    const bool from_dz = dz && (act.kind == ActivationKind::relu || act.kind == ActivationKind::relu6);
    launch(op, wide ? gradient_kernel<T, kVector<T>> : gradient_kernel<T, 1>, grid_of(tiles), kElementwiseThreads, 0,
           s.rows, s.c, tiles, from_dz ? Activation{} : act, s.training, channels, corrections.data(), x, result,
           from_dz ? dz : dy, dx);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(batch_norm_statistics)
CK_CUDA_INSTANTIATE(batch_norm)
CK_CUDA_INSTANTIATE(batch_norm_gradient)
