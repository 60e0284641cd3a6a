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

// One panel whose rows are contiguous in k: 4x4 transposes, a cache line of every row at a time. The last group of rows
// overlaps the one before, as does the last group of k, so any count from 4 upwards has no tail.
void pack_transposed(int64_t rows, int64_t k, const float* src, int64_t row, float* dst, int64_t width) {
    constexpr int64_t kLine = 16, kAhead = 4 * kLine;  // rows are pages apart: the hardware does not look ahead
    for (int64_t p0 = 0; p0 < k; p0 += kLine) {
        const int64_t end = p0 + kLine < k ? p0 + kLine : k;
        for (int64_t group = 0; group < rows; group += 4) {
            const int64_t count = rows < 4 ? rows : 4, i = group + 4 <= rows ? group : rows - count;
            int64_t p = p0;
            if (count == 4) {
                for (int64_t q = i; q < i + 4; ++q) __builtin_prefetch(src + q * row + p + kAhead);
                for (; p + 4 <= end; p += 4) transpose4(src + i * row + p, row, dst + p * width + i, width);
                if (p < end && end >= 4) {
                    p = end;
                    transpose4(src + i * row + p - 4, row, dst + (p - 4) * width + i, width);
                }
            }
            for (; p < end; ++p)
                for (int64_t q = i; q < i + count; ++q) dst[p * width + q] = src[q * row + p];
        }
    }
}

CK_INLINE void copy_row(int64_t n, const float* src, float* dst) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) store(dst + i, load(src + i));
    for (; i + 4 <= n; i += 4) store4(dst + i, load4(src + i));
    if (i < n && n >= 4) return store4(dst + n - 4, load4(src + n - 4));
    for (; i < n; ++i) dst[i] = src[i];
}

// Zeros after the last element of src, up to the next whole vector of dst.
CK_INLINE void copy_row_padded(int64_t n, const float* src, float* dst) {
    for_vectors(n, [&](int64_t i, auto lanes) { store(dst + i, lanes.load(src + i)); });
}

void pack(int64_t rows, int64_t k, const float* src, int64_t row, int64_t step, float* dst, int64_t width) {
    if (row == 1) {  // along the rows of the source, which may be long: all panels at once
        const int64_t full = rows - rows % width;
        const bool padded = width % kWidth == 0, masked = kWidth == 16 && width < kWidth;  // where masks are cheap
        const int lanes = static_cast<int>(width);
        constexpr int64_t kRowsAhead = 2;  // these are pages apart as well
        for (int64_t p = 0; p < k; ++p, src += step) {
            if constexpr (kFarOperands) {
                for (int64_t i = 0; i < rows; i += kLineFloats) __builtin_prefetch(src + kRowsAhead * step + i);
            }
            if (masked) {
                for (int64_t i = 0; i < full; i += width)
                    store_n(dst + i * k + p * width, load_n(src + i, lanes), lanes);
            } else {
                for (int64_t i = 0; i < full; i += width) copy_row(width, src + i, dst + i * k + p * width);
            }
            if (full == rows) continue;
            float* to = dst + full * k + p * width;
            if (padded) {
                copy_row_padded(rows - full, src + full, to);
            } else {
                copy_row(rows - full, src + full, to);
            }
        }
        if (padded) return;
    } else {
        for (int64_t i = 0; i < rows; i += width)
            pack_transposed(rows - i < width ? rows - i : width, k, src + i * row, row, dst + i * k, width);
    }
    const int64_t last = rows % width, whole = (last + kWidth - 1) / kWidth * kWidth;
    if (whole > width) return;  // a panel of A, read one element at a time
    for (int64_t p = 0; p < k; ++p)
        for (int64_t i = last; i < whole; ++i) dst[(rows - last) * k + p * width + i] = 0;
}

// ---- register tile -------------------------------------------------------------------------------------------------

// The lines that a tile fetches for those that follow, one for every k: kLineFloats of them `step` apart, the next as
// many `jump` further. Null: none.
struct Ahead {
    const float* line;
    int64_t step, jump;
};

// c[rows, columns] (+)= a b with all sums in registers; columns fills `vectors` vectors, the last one perhaps in part.
// Sums start at zero and are added to c once per block of k, which keeps rounding errors to those of a short sum.
template <int rows, int vectors, bool fetch>
void tile(const GemmBlock& s, const float* a, const float* b, float* c, int columns, Ahead next) {
    vf acc[rows][vectors] = {};
    const int64_t a_row = s.a_row;
    if constexpr (kFarOperands) {
        for (int i = 0; i < rows; ++i)
            for (int j = 0; j < vectors; ++j) __builtin_prefetch(c + i * s.c_row + j * kWidth, 1);
    }
    const int64_t segment = fetch ? kLineFloats : s.k;
    for (int64_t p0 = 0; p0 < s.k; p0 += segment, next.line += next.jump) {
        const int64_t end = s.k - p0 < segment ? s.k - p0 : segment;
#pragma GCC unroll 4
        for (int64_t p = 0; p < end; ++p, a += s.a_k, b += s.b_k) {
            if constexpr (fetch) __builtin_prefetch(next.line + p * next.step, 0, 2);
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

using TileFunction = void (*)(const GemmBlock&, const float*, const float*, float*, int, Ahead);

// functions[rows - 1]: one instance for every height, so that no row is computed for nothing.
template <int vectors, bool fetch, class Rows>
struct TileTable;
template <int vectors, bool fetch, int... i>
struct TileTable<vectors, fetch, std::integer_sequence<int, i...>> {
    static constexpr TileFunction functions[] = {tile<i + 1, vectors, fetch>...};
};
constexpr int most_rows(int vectors) {
    return vectors <= NarrowTile::vectors ? NarrowTile::rows : WideTile::rows;
}
template <int vectors>
CK_INLINE TileFunction tile_of(int rows, bool fetch) {
    using Rows = std::make_integer_sequence<int, most_rows(vectors)>;
    return fetch && kFarOperands ? TileTable<vectors, kFarOperands, Rows>::functions[rows - 1]
                                 : TileTable<vectors, false, Rows>::functions[rows - 1];
}

CK_INLINE TileFunction tile_function(int vectors, int rows, bool fetch) {
    switch (vectors) {
        case 1:
            return tile_of<1>(rows, fetch);
        case 2:
            return tile_of<2>(rows, fetch);
#if defined(CK_ISA_avx512) || defined(CK_ISA_neon)
        case 3:
            return tile_of<3>(rows, fetch);
#endif
        default:
            return tile_of<WideTile::vectors>(rows, fetch);
    }
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

constexpr int64_t kNearFloats = 32 * 1024;  // 128 KiB

CK_INLINE void block_tile(const GemmBlock& s, int64_t t, int64_t panel, Ahead next) {
    const int64_t i = t * s.tile_rows, j = panel * s.tile_columns;
    const int rows = static_cast<int>(s.m - i < s.tile_rows ? s.m - i : s.tile_rows);
    const int columns = static_cast<int>(s.n - j < s.tile_columns ? s.n - j : s.tile_columns);
    float* c = s.c + i * s.c_row + j;
    const float *a = s.a + t * s.a_tile, *b = s.b + panel * s.b_panel;
    tile_function((columns + kWidth - 1) / kWidth, rows, next.line)(s, a, b, c, columns, next);
    if (s.finish) epilogue(rows, columns, s.bias ? s.bias + j : nullptr, s.act, c, s.c_row);
}

// What tile t fetches. Lines of the panel of B that follows, in the order of a packed one, then those of the next A
// that is packed, or whose k are rows. Rows contiguous in k are fetched by every second tile, for the two that follow
// and a little further (high ones do not reach that far); when there are few tiles by those that B leaves.
CK_INLINE Ahead ahead(const GemmBlock& s, int64_t t, int64_t tiles, const float* next_b, const float* next_a) {
    const int64_t lines = s.tile_columns / kLineFloats;
    int64_t line = t;
    if (s.next_a && s.a_k == 1) {
        const bool many = tiles > 2 * lines, high = 2 * s.tile_rows > kLineFloats;
        const bool rows_turn = many ? t % 2 == 0 || t + 1 == tiles || (high && t > 2 * lines) : t >= lines;
        if (rows_turn) return {t + 1 < tiles ? s.a + (t + 1) * s.a_tile : s.next_a, s.a_row, kLineFloats};
        if (many) line = t / 2;
    }
    if (line < lines) {
        if (!next_b) return {};
        if (s.b_k == s.tile_columns) return {next_b + line * s.k * kLineFloats, kLineFloats, kLineFloats * kLineFloats};
        return {next_b + line * kLineFloats, s.b_k, kLineFloats * s.b_k};
    }
    const int64_t a_line = (line - lines) * kLineFloats;
    if (!next_a || s.a_k == 1 || a_line >= s.m) return {};
    const bool packed = s.a_k == s.tile_rows;
    if (packed) return {next_a + a_line * s.k, kLineFloats, kLineFloats * kLineFloats};
    return {next_a + a_line, s.a_k, kLineFloats * s.a_k};
}

// Whichever is larger passes by the other one's tile: along rows of c while all of B is in the nearest caches, else a
// panel of B stays there for all tiles of A.
void block(const GemmBlock& s) {
    const int64_t tiles = ceil_div(s.m, s.tile_rows), panels = ceil_div(s.n, s.tile_columns);
    if (s.n * s.k <= kNearFloats) {
        for (int64_t t = 0; t < tiles; ++t) {
            for (int64_t panel = 0; panel < panels; ++panel) {
                const float* const next_b = s.next_b ? s.next_b + panel * s.b_panel : nullptr;
                block_tile(s, t, panel, ahead(s, t, tiles, next_b, panel == 0 ? s.next_a : nullptr));
            }
        }
    } else {
        for (int64_t panel = 0; panel < panels; ++panel) {
            const bool last = panel + 1 == panels;
            const float* const next_b = last ? s.next_b : s.b + (panel + 1) * s.b_panel;
            for (int64_t t = 0; t < tiles; ++t)
                block_tile(s, t, panel, ahead(s, t, tiles, next_b, last ? s.next_a : nullptr));
        }
    }
}

// ---- thin operands: every element of B is used once, where it lies --------------------------------------------------

constexpr int kDotRows = kRegisters >= 32 ? 4 : 3;  // with 4 columns 12 sums + 3 of a + 1 of b fill 16 registers
constexpr int kDotColumns = 4;
constexpr int64_t kDotChain = 64 * kWidth;  // elements of k added up before the sums are flushed

template <int rows, class Lanes>
CK_INLINE void dot_step(Lanes lanes, const float* a, int64_t a_row, const float* const* column, int64_t p,
                        vf (&acc)[rows][kDotColumns]) {
    vf av[rows];
#pragma GCC unroll 4
    for (int i = 0; i < rows; ++i) av[i] = lanes.load(a + i * a_row + p);
#pragma GCC unroll 4
    for (int q = 0; q < kDotColumns; ++q) {
        const vf bv = lanes.load(column[q] + p);
#pragma GCC unroll 4
        for (int i = 0; i < rows; ++i) acc[i][q] = fma(av[i], bv, acc[i][q]);
    }
}

// The sums of the lanes of four vectors.
CK_INLINE vf4 sum_lanes4(const vf (&v)[4]) {
    float lanes[4 * kWidth], sums[16];
    for (int q = 0; q < 4; ++q) {
        store(lanes + q * kWidth, v[q]);
        vf4 part = load4(lanes + q * kWidth);
        for (int i = 4; i < kWidth; i += 4) part += load4(lanes + q * kWidth + i);
        store4(sums + 4 * q, part);
    }
    float columns[16];
    transpose4(sums, 4, columns, 4);
    return (load4(columns) + load4(columns + 4)) + (load4(columns + 8) + load4(columns + 12));
}

template <int rows>
void dot_rows(int64_t n, int64_t k, const float* a, int64_t a_row, const float* b, int64_t b_row, float* c,
              int64_t c_row) {
    const int64_t whole = k / kWidth * kWidth;
    for (int64_t j = 0; j < n; j += kDotColumns) {
        const float* column[kDotColumns];
        for (int q = 0; q < kDotColumns; ++q) column[q] = b + (j + q < n ? j + q : n - 1) * b_row;
        vf total[rows][kDotColumns] = {};
        for (int64_t p = 0; p < k;) {
            vf acc[rows][kDotColumns] = {};
            const int64_t end = p + kDotChain < whole ? p + kDotChain : whole;
            for (; p < end; p += kWidth) dot_step(AllLanes{}, a, a_row, column, p, acc);
            if (p == whole && p < k) {
                dot_step(FirstLanes{static_cast<int>(k - p)}, a, a_row, column, p, acc);
                p = k;
            }
            for (int i = 0; i < rows; ++i)
                for (int q = 0; q < kDotColumns; ++q) total[i][q] = total[i][q] + acc[i][q];
        }
        for (int i = 0; i < rows; ++i) {
            const vf4 sums = sum_lanes4(total[i]);
            for (int q = 0; q < kDotColumns && j + q < n; ++q) c[i * c_row + j + q] = sums[q];
        }
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
            return dot_rows<kDotRows>(n, k, a, a_row, b, b_row, c, c_row);
    }
}

// c[m,columns] (+)= a[m,rows] b[rows,columns] for a column block of `vectors` vectors
template <int rows, int vectors, class Lanes>
CK_INLINE void add_rows(Lanes lanes, int64_t m, const float* a, int64_t a_row, int64_t a_step, const float* b,
                        int64_t b_row, bool accumulate, float* c, int64_t c_row) {
    vf bv[rows][vectors];
#pragma GCC unroll 8
    for (int p = 0; p < rows; ++p)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; ++v) bv[p][v] = lanes.load(b + p * b_row + v * kWidth);
    for (int64_t i = 0; i < m; ++i, a += a_row, c += c_row) {
        vf sum[vectors] = {};
        if (accumulate)
            for (int v = 0; v < vectors; ++v) sum[v] = lanes.load(c + v * kWidth);
#pragma GCC unroll 8
        for (int p = 0; p < rows; ++p) {
            const vf av = set1(a[p * a_step]);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; ++v) sum[v] = fma(av, bv[p][v], sum[v]);
        }
        for (int v = 0; v < vectors; ++v) lanes.store(c + v * kWidth, sum[v]);
    }
}

constexpr int kLineVectors = kWidth == 16 ? 1 : 2;  // with AVX2 a cache line: rows far apart meet in one set of the L1

template <int rows>
CK_INLINE void add_long_rows(int64_t m, int64_t n, const float* a, int64_t a_row, int64_t a_step, const float* b,
                             int64_t b_row, bool accumulate, float* c, int64_t c_row) {
    const int64_t whole = n - n % (kLineVectors * kWidth);
    for (int64_t j = 0; j < whole; j += kLineVectors * kWidth)
        add_rows<rows, kLineVectors>(AllLanes{}, m, a, a_row, a_step, b + j, b_row, accumulate, c + j, c_row);
    for_vectors(n - whole, [&](int64_t j, auto lanes) {
        add_rows<rows, 1>(lanes, m, a, a_row, a_step, b + whole + j, b_row, accumulate, c + whole + j, c_row);
    });
}

void combine_rows(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_row, int64_t a_step, const float* b,
                  int64_t b_row, float* c, int64_t c_row) {
    constexpr int kRows = 8 / kLineVectors;  // 8 registers of b for all rows of a: c passes by once per kRows
    int64_t p = 0;
    for (; p + kRows <= k; p += kRows)
        add_long_rows<kRows>(m, n, a + p * a_step, a_row, a_step, b + p * b_row, b_row, p > 0, c, c_row);
    for (; p < k; ++p) add_long_rows<1>(m, n, a + p * a_step, a_row, a_step, b + p * b_row, b_row, p > 0, c, c_row);
}

// ---- chunks of k --------------------------------------------------------------------------------------

void sum_parts(int64_t parts, int64_t n, const float* part, int64_t part_step, float* c) {
    map1(n, part, c, [](vf v) { return v; });
    for (int64_t q = 1; q < parts; ++q) map2(n, c, part + q * part_step, c, [](vf u, vf v) { return u + v; });
}

constexpr GemmKernels kGemmKernels = {
    WideTile::rows, WideTile::columns, NarrowTile::rows, NarrowTile::columns, kDotRows, pack, block, dots,
    combine_rows,   sum_parts,         epilogue};

}  // namespace
