// Gradients of the direct convolution. Weights: rows of k = (r,s,c) against columns of dy, summed over pixels. Data:
// the overlapping windows of few channels added up.
#pragma once
#include "cpu/isa/gemm.h"
#include "cpu/isa/tile.h"

namespace {

// Most rows of a tile whose rows are named by pointers: of one vector 8, which hide the latency of the additions and
// leave room for all pointers in the 16 registers for them; 14 do not.
constexpr int most_named_rows(int vectors) {
    return vectors == 1 ? 8 : most_rows(vectors);
}

// One line for each pixel of a panel.
struct Lines {
    const float* start;
    int64_t image, line, pixel;  // steps
};

// Sums start at zero and are added to dw once, which keeps rounding errors to those of one block of pixels.
template <int rows, int vectors, bool fetch>
void weight_tile(const WeightPanel& s, const int64_t* tap, float* dw, const Lines& fetched) {
    vf acc[rows][vectors] = {};
    const float* x[rows];
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) x[i] = s.x + tap[i];
    for (int64_t image = 0; image < s.images; ++image) {
        for (int64_t line = 0; line < s.lines; ++line) {
            const float* dy = s.dy + image * s.dy_image + line * s.dy_line;
            const float* next = fetched.start + image * fetched.image + line * fetched.line;
            int64_t k = image * s.x_image + line * s.x_line;
#pragma GCC unroll 2
            for (int64_t q = 0; q < s.pixels; ++q, k += s.x_pixel, dy += s.dy_pixel, next += fetched.pixel) {
                if constexpr (fetch) __builtin_prefetch(next, 0, 2);
                vf b[vectors];
#pragma GCC unroll 4
                for (int j = 0; j < vectors; ++j) b[j] = load(dy + j * kWidth);
#pragma GCC unroll 14
                for (int i = 0; i < rows; ++i) {
                    const vf a = set1(x[i][k]);
#pragma GCC unroll 4
                    for (int j = 0; j < vectors; ++j) acc[i][j] = fma(a, b[j], acc[i][j]);
                }
            }
        }
    }
#pragma GCC unroll 14
    for (int i = 0; i < rows; ++i) {
        float* to = dw + i * s.dw_row;
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j)
            store(to + j * kWidth, s.accumulate ? load(to + j * kWidth) + acc[i][j] : acc[i][j]);
    }
}

using WeightTileFunction = void (*)(const WeightPanel&, const int64_t*, float*, const Lines&);

template <int vectors, bool fetch, class Rows>
struct WeightTileTable;
template <int vectors, bool fetch, int... i>
struct WeightTileTable<vectors, fetch, std::integer_sequence<int, i...>> {
    static constexpr WeightTileFunction functions[] = {weight_tile<i + 1, vectors, fetch>...};
};

CK_INLINE Lines fetched_by(const WeightPanel& s, int64_t tile) {
    if (tile < s.next_x_lines) return {s.next_x + tile * kLineFloats, s.x_image, s.x_line, s.x_pixel};
    tile -= s.next_x_lines;
    if (tile < s.next_dy_lines) return {s.next_dy + tile * kLineFloats, s.dy_image, s.dy_line, s.dy_pixel};
    return {s.dy, 0, 0, 0};  // nothing new
}

template <int vectors>
CK_INLINE void weight_tiles(const WeightPanel& s) {
    constexpr int most = most_named_rows(vectors);
    using Rows = std::make_integer_sequence<int, most>;
    const WeightTileFunction* const functions = kFarOperands && s.next_x_lines + s.next_dy_lines > 0
                                                    ? WeightTileTable<vectors, kFarOperands, Rows>::functions
                                                    : WeightTileTable<vectors, false, Rows>::functions;
    const int64_t tiles = ceil_div(s.rows, most), rows = ceil_div(s.rows, tiles);
    for (int64_t i = 0; i < s.rows; i += rows) {
        const int64_t count = s.rows - i < rows ? s.rows - i : rows;
        functions[count - 1](s, s.tap + i, s.dw + i * s.dw_row, fetched_by(s, i / rows));
    }
}

void weight_panel(const WeightPanel& s) {
    switch (s.columns / kWidth) {
        case 1:
            return weight_tiles<1>(s);
        case 2:
            return weight_tiles<2>(s);
#if defined(CK_ISA_avx512) || defined(CK_ISA_neon)
        case 3:
            return weight_tiles<3>(s);
#endif
        default:
            return weight_tiles<WideTile::vectors>(s);
    }
}

// Lines inside pixels: neighbouring windows overlap, and what one has just stored is not loaded again at once.
void add_windows(const WindowScatter& s) {
    for (int64_t q = 0; q < s.pixels; ++q) {
        for (int64_t line = 0; line < s.lines; ++line) {
            for (int64_t run = 0; run < s.runs; ++run) {
                const float* from = s.windows + q * s.window_step + line * s.line_step + run * s.length;
                float* to = s.sums + q * s.sums_pixel + line * s.sums_line + run * s.sums_run;
                int64_t i = 0;
                for (; i + kWidth <= s.length; i += kWidth) store(to + i, load(to + i) + load(from + i));
                const int lanes = static_cast<int>(s.length - i);
                if (lanes) store_n(to + i, load_n(to + i, lanes) + load_n(from + i, lanes), lanes);
            }
        }
    }
}

}  // namespace
