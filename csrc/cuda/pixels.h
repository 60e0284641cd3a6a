// Kernels in which a thread makes one pixel of one vector of channels of an image: how threads find theirs, and how
// windows of taps lead from there to the pixels of the other side. Within an image all is 32-bit arithmetic.
#pragma once
#include <initializer_list>

#include "cuda/divider.h"
#include "cuda/launch.h"

namespace ck::cuda {

// Sums of a few of these stay below 2^31.
constexpr int64_t kMostAlongAxis = int64_t{1} << 28;

inline void check_sizes(const Op& op, std::initializer_list<int64_t> along_axes) {
    for (int64_t size : along_axes)
        CK_CHECK(size < kMostAlongAxis, op.name,
                 "on CUDA sizes of images and windows must be below 2^28. Received: ", size, ".");
}

// The pixels of [images,rows,columns,C], each in `vectors` steps of channels.
struct Pixels {
    int64_t images;
    int items;  // of one image
    Divider by_vectors, by_columns;

    Pixels(const Op& op, int64_t images_, int64_t rows, int64_t columns_, int64_t vectors_)
        : images(images_), items(0), by_vectors(vectors_), by_columns(columns_) {
        check_sizes(op, {rows, columns_, vectors_});
        const int64_t pixels = rows * columns_;
        CK_CHECK(pixels < INT32_MAX / vectors_, op.name,
                 "on CUDA an image must have fewer than 2^31 elements. Received: ", pixels, " pixels of ", vectors_,
                 " vectors of channels.");
        items = static_cast<int>(pixels * vectors_);
    }
    // Whole warps; one block for a small image.
    int64_t threads() const { return std::min<int64_t>(kElementwiseThreads, ceil_div(items, 32) * 32); }
    dim3 block() const { return dim3(static_cast<unsigned>(threads())); }
    dim3 grid() const {
        return dim3(static_cast<unsigned>(ceil_div(items, threads())),
                    static_cast<unsigned>(std::min(images, kMostGridRows)));
    }
};

// f(image, row, column, vector) for the items of this thread.
template <class F>
__device__ __forceinline__ void for_each_pixel(const Pixels& pixels, F&& f) {
    if (first_index() >= pixels.items) return;
    const int item = static_cast<int>(first_index());
    const int pixel = pixels.by_vectors.quotient(item), vector = pixels.by_vectors.remainder(item, pixel);
    const int row = pixels.by_columns.quotient(pixel), column = pixels.by_columns.remainder(pixel, row);
    for (int64_t image = blockIdx.y; image < pixels.images; image += gridDim.y) f(image, row, column, vector);
}

// Windows along one axis.
struct WindowAxis {
    int in, out, taps, stride, dilation, before;
    Divider by_stride;

    __device__ __forceinline__ int input(int output, int tap) const {
        return output * stride - before + tap * dilation;
    }
    __device__ __forceinline__ bool has_input(int i) const {
        return static_cast<unsigned>(i) < static_cast<unsigned>(in);
    }
    __device__ __forceinline__ int first_tap(int output) const {  // with an input, not in the padding
        const int start = input(output, 0);
        return start < 0 ? (dilation - 1 - start) / dilation : 0;
    }
    // The outputs [first,last] that reach over input i; with dilation not all have a tap there.
    __device__ __forceinline__ int first_output(int i) const {
        const int reach = i + before - (taps - 1) * dilation;
        return reach > 0 ? by_stride.quotient(reach + stride - 1) : 0;
    }
    __device__ __forceinline__ int last_output(int i) const { return min(out - 1, by_stride.quotient(i + before)); }
    // The tap with which output p, of these, meets input i; -1 if none.
    __device__ __forceinline__ int tap(int p, int i) const {
        const int distance = i + before - p * stride;
        if (dilation == 1) return distance;
        return distance % dilation ? -1 : distance / dilation;
    }
    // The output that meets input i with `tap`; -1 if none.
    __device__ __forceinline__ int output(int i, int tap) const {
        const int distance = i + before - tap * dilation;
        if (distance < 0) return -1;
        const int p = by_stride.quotient(distance);
        return p < out && by_stride.remainder(distance, p) == 0 ? p : -1;
    }
};

struct Windows {
    WindowAxis rows, columns;
};

// Of a Pool2dShape or a Conv2dShape.
template <class Shape>
Windows windows(const Op& op, const Shape& s) {
    const auto axis = [&](int64_t in, int64_t out, int64_t taps, int64_t stride, int64_t dilation, int64_t before,
                          int64_t after) {
        if (out == 1) stride = 1;  // leads nowhere, and may be of any size; as the dilation of a single tap
        if (taps == 1) dilation = 1;
        check_sizes(op, {in, out, dilation * taps, before, after});
        return WindowAxis{static_cast<int>(in),     static_cast<int>(out),      static_cast<int>(taps),
                          static_cast<int>(stride), static_cast<int>(dilation), static_cast<int>(before),
                          Divider(stride)};
    };
    return {axis(s.h, s.p, s.r, s.stride_h, s.dilation_h, s.pad_top, s.pad_bottom),
            axis(s.w, s.q, s.s, s.stride_w, s.dilation_w, s.pad_left, s.pad_right)};
}

}  // namespace ck::cuda
