// The result of a product: where its rows lie, which tile a block has, and how a tile leaves shared memory: with
// bias, residual and activation, and with the moments of its columns.
#pragma once
#include "core/scalar.h"
#include "cuda/moments.h"
#include "cuda/operands.h"
#include "cuda/tiles.h"

namespace ck::cuda {

// Where row m of c starts: a dense matrix, or one per slice of k ...
struct DenseRows {
    static constexpr bool kStacked = false;
    int m, n;

    explicit DenseRows(const ProductSize& size) : m(static_cast<int>(size.m)), n(static_cast<int>(size.n)) {}
    int64_t products() const { return 1; }
    bool splittable() const { return true; }  // into slices of k
    __device__ int64_t offset(int slice, int row) const { return (int64_t{slice} * m + row) * n; }
};
// ... or one per product of a stack (of no axes: one product) ...
struct StackRows : DenseRows {
    static constexpr bool kStacked = true;
    Broadcast stack;

    StackRows(const ProductSize& size, const Broadcast& stack) : DenseRows(size), stack(stack) {}
    int64_t products() const { return stack.numel(); }
    bool splittable() const { return stack.ndim == 0; }
};
// ... or every stride-th pixel of dx[N,H,W,C].
struct PhaseRows {
    static constexpr bool kStacked = false;
    int h, w, c, first_h, first_w, stride_h, stride_w;
    Divider phase_h, phase_w;  // pixels of the phase

    PhaseRows(const Conv2dShape& s, int64_t first_h, int64_t first_w, const PhaseAxis& down, const PhaseAxis& across)
        : h(static_cast<int>(s.h)),
          w(static_cast<int>(s.w)),
          c(static_cast<int>(s.c)),
          first_h(static_cast<int>(first_h)),
          first_w(static_cast<int>(first_w)),
          stride_h(static_cast<int>(s.stride_h)),
          stride_w(static_cast<int>(s.stride_w)),
          phase_h(down.size),
          phase_w(across.size) {}
    int64_t products() const { return 1; }
    bool splittable() const { return false; }
    __device__ int64_t offset(int, int row) const {
        const int line = phase_w.quotient(row), image = phase_h.quotient(line);
        const int i = phase_h.remainder(line, image), j = phase_w.remainder(row, line);
        return ((int64_t{image} * h + first_h + i * stride_h) * w + first_w + j * stride_w) * c;
    }
};

template <class T, class Rows>
struct ProductOutput {
    int m, n, k;
    Rows rows;
    int k_step, k_slice;  // slice z sums the k's from z*k_step on, k_slice of them
    T* c;
    float* partials;    // not null: [slices,m,n] instead of c, without what follows the sum
    const T* bias;      // [n], may be null
    const T* residual;  // rows as c's, may be null
    Activation act;
    bool vectors;                // 16-byte stores
    Moments* moments = nullptr;  // of c's columns, [n,parts], or null; of dense rows alone
    int parts = 0;
};

// Bands of kBandTiles rows of tiles, a band column by column: blocks that run together share a's and b's tiles in L2.
struct TilePlace {
    int slice, row, column;
};
template <int bm, int bn>
__device__ TilePlace tile_place(int m, int n) {
    const unsigned rows = (m + bm - 1) / bm, columns = (n + bn - 1) / bn, slice = blockIdx.x / (rows * columns);
    const unsigned index = blockIdx.x - slice * rows * columns, band = index / (kBandTiles * columns);
    const unsigned height = min(rows - band * kBandTiles, static_cast<unsigned>(kBandTiles));
    const unsigned inside = index - band * kBandTiles * columns;
    return {static_cast<int>(slice), static_cast<int>((band * kBandTiles + inside % height) * bm),
            static_cast<int>(inside / height * bn)};
}

// The accumulators meet in shared memory as rows of floats, so that stores are 16 bytes of neighbours. Permuted, 8
// words at a time, so that neither the rows of mma's fragments nor those of SimtTile's threads meet in a bank.
template <int bn>
__device__ __forceinline__ int result_word(int row, int column) {
    return row * bn + (column ^ ((row ^ row >> 2) & 3) << 3);
}

// By Tile::kThreads threads, of which this is number `thread`.
template <class U, class Tile, class P>
__device__ void write_rows(const P& p, const TilePlace& place, int thread, const float* tile, U* c) {
    constexpr int kChunks = Tile::kColumns / kVector<U>;
    const int chunk = thread % kChunks * kVector<U>, column = place.column + chunk;
    if (column >= p.n) return;
    float bias[kVector<U>] = {};
#pragma unroll
    for (int e = 0; e < kVector<U>; ++e)
        if (p.bias && column + e < p.n) bias[e] = to_float(p.bias[column + e]);
#pragma unroll 1
    for (int row = thread / kChunks; row < Tile::kRows && place.row + row < p.m; row += Tile::kThreads / kChunks) {
        const int64_t at = p.rows.offset(place.slice, place.row + row) + column;
        float v[kVector<U>], residual[kVector<U>] = {};
        if (p.residual) load(p.residual + at, p.n - column, p.vectors, residual);
#pragma unroll
        for (int e = 0; e < kVector<U>; ++e)
            v[e] = activate(p.act, tile[result_word<Tile::kColumns>(row, chunk + e)] + bias[e] + residual[e]);
        U* to = c + at;
        if (p.vectors) {
            store(to, v);
        } else {
#pragma unroll
            for (int e = 0; e < kVector<U>; ++e)
                if (column + e < p.n) to[e] = from_float<U>(v[e]);
        }
    }
}

// Rows of a part of the moments: the threads of a tile share its columns out, a part of one each. Mostly 64 rows, whose
// 8 bytes of moments, written and read, are an eighth of the bfloat16 values that need not be read again.
template <class Tile>
constexpr int kPartRows = Tile::kRows / (Tile::kThreads / Tile::kColumns);

// The moments of the tile's columns, of the numbers as they are stored (of those batch normalisation's gradient
// speaks). Deviations from a part's first row: it is one of them, so that the squares lose no more than a factor of its
// rows. Neighbouring threads have neighbouring columns, which lie in different banks.
template <class T, class Tile, class P>
__device__ void write_moments(const P& p, const TilePlace& place, int thread, const float* tile) {
    constexpr int kRows = kPartRows<Tile>;
    const int first = thread / Tile::kColumns * kRows;
    const int inside = thread % Tile::kColumns, column = place.column + inside;
    const int rows = min(kRows, p.m - place.row - first);
    if (column >= p.n || rows <= 0) return;
    const float bias = p.bias ? to_float(p.bias[column]) : 0.0f;
    const auto value = [&](int row) {
        return to_float(from_float<T>(tile[result_word<Tile::kColumns>(first + row, inside)] + bias));
    };
    const float shift = value(0);
    float sum = 0, squares = 0;
#pragma unroll 4
    for (int row = 1; row < rows; ++row) {
        const float deviation = value(row) - shift;
        sum += deviation;
        squares = fmaf(deviation, deviation, squares);
    }
    const float mean = sum / static_cast<float>(rows);
    p.moments[int64_t{column} * p.parts + (place.row + first) / kRows] = {shift + mean, fmaf(-sum, mean, squares)};
}

// For launchers whose kernel calls write_moments: the memory for them.
template <class Tile, class T, class Rows>
void take_moments(const Op& op, ColumnMoments& moments, ProductOutput<T, Rows>& out) {
    moments.part_rows = kPartRows<Tile>;
    out.parts = static_cast<int>(ceil_div(out.m, moments.part_rows));
    out.moments = moments.moments.emplace(op, int64_t{out.n} * out.parts).data();
}

}  // namespace ck::cuda
