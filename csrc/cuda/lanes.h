// Kernels in which a thread keeps some neighbouring channels, and with them weights or sums in registers, while it
// walks over pixels of many images.
#pragma once
#include "cuda/columns.h"
#include "cuda/pixels.h"

namespace ck::cuda {

// Blocks of kElementwiseThreads: `across` threads of n channels each (as columns.h), the others below, at other pixels.
// A block takes a piece of the pixels of the images blockIdx.y, blockIdx.y + gridDim.y, ...
struct Lanes {
    int across, strips, pixels, piece, pieces;  // pixels of an image, of a piece, pieces of an image
    int64_t images, parts;                      // parts: pieces of all blocks of one strip
    Divider by_columns;

    // A thread has at least `each` pixels of an image, where there are so many; `blocks`: about as many as there shall
    // be.
    Lanes(const Op& op, int64_t images_, int64_t rows, int64_t columns_, int64_t channels, int n, int each,
          int64_t blocks)
        : images(images_), by_columns(columns_) {
        check_sizes(op, {rows, columns_, channels / n});
        CK_CHECK(rows * columns_ < INT32_MAX / 2, op.name,
                 "on CUDA an image must have fewer than 2^30 pixels. Received: ", rows, "x", columns_, ".");
        const ColumnTiles tiles = column_tiles(ReduceShape{1, 1, channels}, n, 1);
        across = tiles.across;
        strips = static_cast<int>(tiles.strips);
        pixels = static_cast<int>(rows * columns_);
        const int64_t lines = kElementwiseThreads / across, most = std::max<int64_t>(1, blocks / strips);
        piece = static_cast<int>(std::max(lines * each, ceil_div(ceil_div(pixels, most), lines) * lines));
        pieces = static_cast<int>(ceil_div(pixels, piece));
        parts = pieces * std::clamp<int64_t>(most / pieces, 1, std::clamp<int64_t>(images, 1, kMostGridRows));
    }
    dim3 grid() const { return dim3(static_cast<unsigned>(strips * pieces), static_cast<unsigned>(parts / pieces)); }
    int lines() const { return kElementwiseThreads / across; }
};

// A thread's place among the lanes.
struct Lane {
    int thread, column, line, lines, strip, piece;

    __device__ __forceinline__ explicit Lane(const Lanes& all)
        : thread(static_cast<int>(threadIdx.x)),
          column(thread & (all.across - 1)),
          line(thread / all.across),
          lines(kElementwiseThreads / all.across),
          strip(static_cast<int>(blockIdx.x) / all.pieces),
          piece(static_cast<int>(blockIdx.x) - strip * all.pieces) {}
    // The first of this thread's n channels.
    __device__ __forceinline__ int channel(const Lanes& all, int n) const { return (strip * all.across + column) * n; }
    __device__ __forceinline__ int64_t part(const Lanes& all) const {
        return static_cast<int64_t>(blockIdx.y) * all.pieces + piece;
    }
};

// f(image, pixel, end) where the thread has the pixels pixel, pixel + lines, ... of an image: `each` of them, those <
// end.
template <int each, class F>
__device__ __forceinline__ void for_each_of_lane(const Lanes& all, const Lane& lane, F&& f) {
    const int begin = lane.piece * all.piece, end = min(all.pixels, begin + all.piece);
    for (int64_t image = blockIdx.y; image < all.images; image += gridDim.y)
        for (int pixel = begin + lane.line; pixel < end; pixel += each * lane.lines) f(image, pixel, end);
}

// The tap of one axis from the side of a destination: of the input for a convolution, of the output for its adjoint.
struct Taps {
    WindowAxis axis;
    bool adjoint;

    // Where tap `tap` of destination i lies in the source; -1: nowhere.
    __device__ __forceinline__ int source(int i, int tap) const {
        if (adjoint) return axis.output(i, tap);
        const int at = axis.input(i, tap);
        return axis.has_input(at) ? at : -1;
    }
    __device__ __forceinline__ int extent() const { return adjoint ? axis.out : axis.in; }
};

}  // namespace ck::cuda
