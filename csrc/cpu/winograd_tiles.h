// How an image is cut into Winograd tiles, shared by the passes.
#pragma once
#include <algorithm>

#include "cpu/dispatch.h"
#include "cpu/winograd.h"

namespace ck::cpu {

inline const WinogradKernels& winograd_kernels(WinogradTileSize size, bool rotated = false) {
    switch (size) {
        case WinogradTileSize::f4x3:
            return kernels().winograd4x3;
        case WinogradTileSize::f2x3:
            return kernels().winograd2x3;
        case WinogradTileSize::f4x3_strided:
            return rotated ? kernels().winograd4x3_adjoint : kernels().winograd4x3_strided;
        default:
            return kernels().winograd2x5;
    }
}

// Longest float sum before it is added to memory: at 64 the error of F(4x4,3x3) no longer grows with the channels
// (docs/kernels.md), for 0 to 6 % of the time.
constexpr int64_t kWinogradChain = 64;

// Rows of a [points][rows][channels] array: whole vectors, and no multiple of 2 KiB apart.
inline int64_t winograd_row(int64_t channels) {
    const int64_t lanes = kernels().vector_width;
    return ceil_div(channels, lanes) * lanes + 16;
}

// Tiles of `size` outputs squared that cover n planes of rows x columns.
struct TileGrid {
    int64_t size;
    int64_t down, across, count;

    TileGrid() = default;
    TileGrid(int64_t n, int64_t plane_rows, int64_t plane_columns, int64_t tile)
        : size(tile),
          down(ceil_div(plane_rows, tile)),
          across(ceil_div(plane_columns, tile)),
          count(n * down * across) {}

    struct Place {
        int64_t image, row, column;  // of its first output
    };
    Place place(int64_t tile) const {
        return {tile / (down * across), tile / across % down * size, tile % across * size};
    }
};

// Where the product after (point, at) begins: terms are summed a chain at a time, from `first` to `end` at every point.
struct ProductPlace {
    int64_t point, at;
};
inline ProductPlace next_product(int64_t points, int64_t point, int64_t first, int64_t at, int64_t end) {
    if (at + kWinogradChain < end) return {point, at + kWinogradChain};
    return {std::min(point + 1, points - 1), first};
}

// Of the filters' points the one that a point of a tile is multiplied by.
inline int64_t filter_point(const WinogradKernels& kernel, int64_t point) {
    const int64_t last = kernel.filter_points - 1;
    return std::min(point / kernel.points, last) * kernel.filter_points + std::min(point % kernel.points, last);
}

// The first row or column of x that outputs from `first` on meet.
inline int64_t first_met(const WinogradKernels& kernel, int64_t first, int64_t pad) {
    return ceil_div(first * kernel.stride - pad, kernel.spread);
}

// The tile of `span` pixels squared from (row,column) of image n of [h,w,pixel] each.
inline WinogradTile image_tile(const WinogradImage& image, int64_t n, int64_t h, int64_t w, int64_t pixel,
                               int64_t channels, int64_t row, int64_t column, int64_t span) {
    WinogradTile t{};
    t.channels = channels;
    t.pixel = pixel;
    int64_t first;
    if (image.argmax) {  // rows and columns that were left over are zeros
        h = h / 2 * 2;
        w = w / 2 * 2;
        t.odd_row = static_cast<int>(row & 1);
        t.odd_column = static_cast<int>(column & 1);
        t.row = w / 2 * pixel;
        first = n * (h / 2) * t.row + (row >> 1) * t.row + (column >> 1) * pixel;  // rounded down: may be negative
        t.argmax = image.argmax + first;
    } else {
        t.row = w * pixel;
        first = n * h * t.row + row * t.row + column * pixel;
    }
    t.x = image.data + first;
    t.row0 = std::clamp<int64_t>(-row, 0, span);
    t.row1 = std::clamp<int64_t>(h - row, 0, span);
    t.column0 = std::clamp<int64_t>(-column, 0, span);
    t.column1 = std::clamp<int64_t>(w - column, 0, span);
    return t;
}

}  // namespace ck::cpu
