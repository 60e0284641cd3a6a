// Sums and maxima along the middle axis of [outer,len,inner], neighbouring threads taking neighbouring columns. Blocks
// share out `len` by the shape alone; a second launch reduces what each block found.
#pragma once
#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/rows.h"

namespace ck::cuda {

// How a block of kElementwiseThreads covers its strip of columns: `across` threads of n columns each, the others below.
struct ColumnTiles {
    int across;         // a power of two up to 32: 512 neighbouring bytes of float
    int64_t strips;     // of across * n columns
    int64_t chunks;     // of `len`
    int64_t chunk_len;  // a multiple of kElementwiseThreads / across but for the last
};

inline ColumnTiles column_tiles(const ReduceShape& s, int n, int64_t most_chunks) {
    const int across = row_lanes(std::min<int64_t>(32, ceil_div(s.inner, n))).lanes;
    const int64_t down = kElementwiseThreads / across, strips = ceil_div(s.inner, across * n);
    const int64_t chunks = std::clamp<int64_t>(ceil_div(s.len, 4 * down), 1, most_chunks);  // 4 elements a thread
    const int64_t chunk_len = std::max<int64_t>(1, ceil_div(ceil_div(s.len, chunks), down)) * down;
    return {across, strips, std::max<int64_t>(1, ceil_div(s.len, chunk_len)), chunk_len};
}

// With 4 blocks on each of 132 multiprocessors, when there is so much to do.
inline ColumnTiles column_tiles(const ReduceShape& s, int n) {
    const int64_t strips = s.outer * column_tiles(s, n, 1).strips;
    return column_tiles(s, n, std::max<int64_t>(1, 4 * kMultiprocessors / strips));
}

// y[o,chunk,i] = f over x[o, the chunk, i]; source(at, count, wide, v) loads what is to be reduced. Grid: (outer *
// strips, chunks).
template <class Source, class F, class Y, int n>
__global__ void __launch_bounds__(kElementwiseThreads)
    columns_kernel(ReduceShape s, ColumnTiles tiles, Source source, bool wide, F f, Y* y /*[outer,chunks,inner]*/) {
    using V = Number<Y>;
    CK_SHARED(V, partial, [n][kElementwiseThreads]);  // 8 KiB at most
    const int thread = static_cast<int>(threadIdx.x), column = thread & (tiles.across - 1);
    const int line = thread / tiles.across, lines = kElementwiseThreads / tiles.across;
    const int64_t o = blockIdx.x / tiles.strips, strip = blockIdx.x - o * tiles.strips;
    const int64_t i = (strip * tiles.across + column) * n;
    const int64_t begin = blockIdx.y * tiles.chunk_len, end = min(s.len, begin + tiles.chunk_len);

    V total[n];
#pragma unroll
    for (int j = 0; j < n; ++j) total[j] = F::template start<V>();
    if (i < s.inner) {
#pragma unroll(Source::kLoadsAtOnce)
        for (int64_t l = begin + line; l < end; l += lines) {
            V v[n];
            source((o * s.len + l) * s.inner + i, s.inner - i, wide, v);
#pragma unroll
            for (int j = 0; j < n; ++j) total[j] = f(total[j], v[j]);
        }
    }
#pragma unroll
    for (int j = 0; j < n; ++j) partial[j][thread] = total[j];
    for (int half = lines / 2; half > 0; half /= 2) {
        __syncthreads();
        if (line < half) {
#pragma unroll
            for (int j = 0; j < n; ++j)
                partial[j][thread] = f(partial[j][thread], partial[j][thread + half * tiles.across]);
        }
    }
    if (line == 0 && i < s.inner) {
#pragma unroll
        for (int j = 0; j < n; ++j) total[j] = partial[j][thread];
        store(y + (o * gridDim.y + blockIdx.y) * s.inner + i, s.inner - i, false, total);
    }
}

// Loads x[outer,len,inner] as it is.
template <class T>
struct Elements {
    static constexpr int kLoadsAtOnce = 4;
    const T* x;
    template <class V, int n>
    __device__ void operator()(int64_t at, int64_t count, bool wide, V (&v)[n]) const {
        load(x + at, count, wide, v);
    }
};

template <class Source, class F, class Y, int n>
void launch_columns(const Op& op, const ReduceShape& s, const ColumnTiles& tiles, const Source& source, bool wide, F f,
                    std::integral_constant<int, n>, Y* y) {
    CK_CHECK(s.outer * tiles.strips <= kMaxBlocks, op.name,
             "on CUDA at most 2^31 rows can be reduced at once. Received: ", s.outer * tiles.strips, ".");
    const dim3 grid(static_cast<unsigned>(s.outer * tiles.strips), static_cast<unsigned>(tiles.chunks));
    launch(op, columns_kernel<Source, F, Y, n>, grid, kElementwiseThreads, 0, s, tiles, source, wide, f, y);
}

// y[outer,inner] = f over the middle axis of what `source` loads; `wide`: it may load vectors.
template <class T, class Source, class F>
void reduce_columns(const Op& op, const ReduceShape& s, const Source& source, bool wide, F f, T* y) {
    if (s.outer * s.inner == 0) return;
    constexpr std::integral_constant<int, kVector<T>> n;
    const ColumnTiles tiles = column_tiles(s, n);
    if (tiles.chunks == 1) return launch_columns(op, s, tiles, source, wide, f, n, y);
    const Scratch<Number<T>> partial(op, s.outer * tiles.chunks * s.inner);
    launch_columns(op, s, tiles, source, wide, f, n, partial.data());
    const ReduceShape rest{s.outer, tiles.chunks, s.inner};
    launch_columns(op, rest, column_tiles(rest, n, 1), Elements<Number<T>>{partial.data()},
                   in_vectors<Number<T>>(s.inner), f, n, y);
}

}  // namespace ck::cuda
