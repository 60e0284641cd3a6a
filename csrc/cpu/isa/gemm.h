// Matrix product kernels: packing, the register-tile kernel and its block loop, dot products for thin operands.
#pragma once
#include "cpu/isa/activation.h"
#include "cpu/isa/pointwise.h"
#include "cpu/isa/tile.h"

namespace {

// ---- packing -------------------------------------------------------------------------------------------------------

// dst[4 columns][4] = src[4 rows][4], transposed.
CK_INLINE void transpose4(const float* src, int64_t row, float* dst, int64_t width) {
    const vf4 r0 = load4(src), r1 = load4(src + row), r2 = load4(src + 2 * row), r3 = load4(src + 3 * row);
    const vf4 a = shuffle4<0, 4, 1, 5>(r0, r1), b = shuffle4<0, 4, 1, 5>(r2, r3);
    const vf4 c = shuffle4<2, 6, 3, 7>(r0, r1), d = shuffle4<2, 6, 3, 7>(r2, r3);
    store4(dst, shuffle4<0, 1, 4, 5>(a, b));
    store4(dst + width, shuffle4<2, 3, 6, 7>(a, b));
    store4(dst + 2 * width, shuffle4<0, 1, 4, 5>(c, d));
    store4(dst + 3 * width, shuffle4<2, 3, 6, 7>(c, d));
}

// Rows contiguous in k: 4x4 transposes, a cache line of every row at a time. The last group of rows overlaps the one
// before, so any count from 4 upwards has no tail.
void pack_transposed(int64_t rows, int64_t k, const float* src, int64_t row, float* dst, int64_t width) {
    constexpr int64_t kLine = 16;
    const int64_t columns = (rows + kWidth - 1) / kWidth * kWidth;
    for (int64_t p0 = 0; p0 < k; p0 += kLine) {
        const int64_t end = p0 + kLine < k ? p0 + kLine : k;
        for (int64_t group = 0; group < rows; group += 4) {
            const int64_t i = group + 4 <= rows ? group : rows < 4 ? 0 : rows - 4;
            const int64_t count = rows < 4 ? rows : 4;
            int64_t p = p0;
            if (count == 4) {
                for (; p + 4 <= end; p += 4) transpose4(src + i * row + p, row, dst + p * width + i, width);
            }
            for (; p < end; ++p)
                for (int64_t q = i; q < i + count; ++q) dst[p * width + q] = src[q * row + p];
        }
        if (columns > width) continue;
        for (int64_t p = p0; p < end; ++p)
            for (int64_t i = rows; i < columns; ++i) dst[p * width + i] = 0;
    }
}

void pack(int64_t rows, int64_t k, const float* src, int64_t row, int64_t step, float* dst, int64_t width) {
    if (row != 1) return pack_transposed(rows, k, src, row, dst, width);
    for (int64_t p = 0; p < k; ++p) {
        const float* from = src + p * step;
        float* to = dst + p * width;
        int64_t i = 0;
        for (; i + kWidth <= rows; i += kWidth) store(to + i, load(from + i));
        if (i < rows) store(to + i, load_n(from + i, static_cast<int>(rows - i)));
    }
}

// ---- register tile -------------------------------------------------------------------------------------------------

// c[rows, columns] (+)= a b with all sums in registers; columns fills `vectors` vectors, the last one perhaps in part.
// Sums start at zero and are added to c once per block of k, which keeps rounding errors to those of a short sum.
template <int rows, int vectors>
void tile(const GemmBlock& s, const float* a, const float* b, float* c, int columns) {
    vf acc[rows][vectors] = {};
    const int64_t a_row = s.a_row;
    for (int64_t p = 0; p < s.k; ++p, a += s.a_k, b += s.b_k) {
        vf bv[vectors];
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) bv[j] = load(b + j * kWidth);
#pragma GCC unroll 14
        for (int i = 0; i < rows; ++i) {
            const vf av = set1(a[i * a_row]);
#pragma GCC unroll 4
            for (int j = 0; j < vectors; ++j) acc[i][j] = fma(av, bv[j], acc[i][j]);
        }
    }
    const int tail = columns - (vectors - 1) * kWidth;
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
        float* row = c + i * s.c_row;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
            float* to = row + j * kWidth;
            if (j + 1 < vectors || tail == kWidth) {
                store(to, s.accumulate ? load(to) + acc[i][j] : acc[i][j]);
            } else {
                store_n(to, s.accumulate ? load_n(to, tail) + acc[i][j] : acc[i][j], tail);
            }
        }
    }
}

using TileFunction = void (*)(const GemmBlock&, const float*, const float*, float*, int);

// kTiles<vectors>[rows - 1]: one instance for every height, so that no row is computed for nothing.
template <int vectors, class Rows>
struct TileTable;
template <int vectors, int... i>
struct TileTable<vectors, std::integer_sequence<int, i...>> {
    static constexpr TileFunction functions[] = {tile<i + 1, vectors>...};
};
constexpr int most_rows(int vectors) {
    return vectors <= NarrowTile::vectors ? NarrowTile::rows : WideTile::rows;
}
template <int vectors>
constexpr const TileFunction* kTiles =
    TileTable<vectors, std::make_integer_sequence<int, most_rows(vectors)>>::functions;

CK_INLINE TileFunction tile_function(int vectors, int rows) {
    switch (vectors) {
        case 1:
            return kTiles<1>[rows - 1];
        case 2:
            return kTiles<2>[rows - 1];
#if defined(CK_ISA_avx512) || defined(CK_ISA_neon)
        case 3:
            return kTiles<3>[rows - 1];
#endif
        default:
            return kTiles<WideTile::vectors>[rows - 1];
    }
}

// A panel of B stays in the nearest caches while the tiles of A pass by it.
void block(const GemmBlock& s) {
    for (int64_t j = 0, panel = 0; j < s.n; j += s.tile_columns, ++panel) {
        const int columns = static_cast<int>(s.n - j < s.tile_columns ? s.n - j : s.tile_columns);
        const int vectors = (columns + kWidth - 1) / kWidth;
        for (int64_t i = 0, t = 0; i < s.m; i += s.tile_rows, ++t) {
            const int rows = static_cast<int>(s.m - i < s.tile_rows ? s.m - i : s.tile_rows);
            tile_function(vectors, rows)(s, s.a + t * s.a_tile, s.b + panel * s.b_panel, s.c + i * s.c_row + j,
                                         columns);
        }
    }
}

// ---- dot products --------------------------------------------------------------------------------------------------

CK_INLINE float sum_lanes(vf v) {
    float sum = 0;
    for (int i = 0; i < kWidth; ++i) sum += v[i];
    return sum;
}

constexpr int kDotRows = 4, kDotColumns = 4;  // 16 sums + 4 of a + 1 of b: at most 21 of 32 registers
constexpr int64_t kDotChain = 64;             // vectors added up before the sums are flushed

template <int rows>
void dot_rows(int64_t n, int64_t k, const float* a, int64_t a_row, const float* b, int64_t b_row, float* c,
              int64_t c_row) {
    for (int64_t j = 0; j < n; j += kDotColumns) {
        const float* column[kDotColumns];
        for (int q = 0; q < kDotColumns; ++q) column[q] = b + (j + q < n ? j + q : n - 1) * b_row;
        vf total[rows][kDotColumns] = {};
        for (int64_t p = 0; p < k;) {
            const int64_t chain = p + kDotChain * kWidth, end = chain < k ? chain : k;
            vf acc[rows][kDotColumns] = {};
            for (; p < end; p += kWidth) {
                const int lanes = static_cast<int>(end - p < kWidth ? end - p : kWidth);
                vf av[rows];
                for (int i = 0; i < rows; ++i)
                    av[i] = lanes == kWidth ? load(a + i * a_row + p) : load_n(a + i * a_row + p, lanes);
                for (int q = 0; q < kDotColumns; ++q) {
                    const vf bv = lanes == kWidth ? load(column[q] + p) : load_n(column[q] + p, lanes);
                    for (int i = 0; i < rows; ++i) acc[i][q] = fma(av[i], bv, acc[i][q]);
                }
            }
            for (int i = 0; i < rows; ++i)
                for (int q = 0; q < kDotColumns; ++q) total[i][q] = total[i][q] + acc[i][q];
        }
        for (int i = 0; i < rows; ++i)
            for (int q = 0; q < kDotColumns && j + q < n; ++q) c[i * c_row + j + q] = sum_lanes(total[i][q]);
    }
}

void dots(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, const float* b, int64_t b_row, float* c,
          int64_t c_row) {
    switch (m) {
        case 1:
            return dot_rows<1>(n, k, a, a_row, b, b_row, c, c_row);
        case 2:
            return dot_rows<2>(n, k, a, a_row, b, b_row, c, c_row);
        case 3:
            return dot_rows<3>(n, k, a, a_row, b, b_row, c, c_row);
        default:
            return dot_rows<4>(n, k, a, a_row, b, b_row, c, c_row);
    }
}

// ---- what follows the product --------------------------------------------------------------------------------------

void sum_parts(int64_t parts, int64_t n, const float* part, int64_t part_step, float* c) {
    map1(n, part, c, [](vf v) { return v; });
    for (int64_t q = 1; q < parts; ++q) map2(n, c, part + q * part_step, c, [](vf u, vf v) { return u + v; });
}

void epilogue(int64_t m, int64_t n, const float* bias, Activation act, float* c, int64_t c_row) {
    visit_activation(act, [&](auto f) {
        for (float* row = c; row != c + m * c_row; row += c_row) {
            if (bias) {
                map2(n, row, bias, row, [f](vf u, vf v) { return f(u + v); });
            } else {
                map1(n, row, row, f);
            }
        }
    });
}

constexpr GemmKernels kGemmKernels = {
    WideTile::rows, WideTile::columns, NarrowTile::rows, NarrowTile::columns, kDotRows, pack, block,
    dots,           sum_parts,         epilogue};

}  // namespace
