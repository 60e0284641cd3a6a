// Driver of the shape ops: every transpose, slice, concatenation, padding and repetition is one strided copy.
//
// Axes are merged until two are left to the inner loops: the last one, along which the destination is usually
// contiguous, and the one along which the source is. Their plane is cut into tiles, so that a transpose reads and
// writes whole cache lines; where both sides are contiguous along the last axis a tile row is one memcpy.
#include <algorithm>
#include <cstring>

#include "core/parallel.h"
#include "core/strided.h"
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {
namespace {

constexpr int64_t kTaskBytes = 128 * 1024;  // of one side: 10 to 30 us

// Two axes of a copy.
struct Plane {
    int64_t rows, columns;
    int64_t src_row, src_column, dst_row, dst_column;
};

template <class T>
void copy_plane(const Plane& s, const T* src, T* dst) {
    if (s.src_column == 1 && s.dst_column == 1) {
        const size_t bytes = static_cast<size_t>(s.columns) * sizeof(T);
        for (int64_t r = 0; r < s.rows; ++r) std::memcpy(dst + r * s.dst_row, src + r * s.src_row, bytes);
        return;
    }
    constexpr int64_t kTile = 256 / sizeof(T);  // four cache lines, so that a page serves four lines a visit
    for (int64_t c = 0; c < s.columns; c += kTile) {
        const int64_t stop = std::min(s.columns, c + kTile);
        for (int64_t r = 0; r < s.rows; ++r) {
            const T* from = src + r * s.src_row;
            T* to = dst + r * s.dst_row;
            if (s.dst_column == 1)
                for (int64_t i = c; i < stop; ++i) to[i] = from[i * s.src_column];
            else
                for (int64_t i = c; i < stop; ++i) to[i * s.dst_column] = from[i * s.src_column];
        }
    }
}

template <class T>
void copy(const StridedCopy& s, const T* src, T* dst) {
    const int row = s.ndim - 2, column = s.ndim - 1;
    constexpr int64_t kElements = kTaskBytes / sizeof(T);
    const int64_t width = std::min(s.shape[column], kElements);  // of a task's plane
    const int64_t height = std::min(s.shape[row], std::max<int64_t>(1, kElements / width));
    const int64_t across = ceil_div(s.shape[column], width), down = ceil_div(s.shape[row], height);
    int64_t planes = across * down;
    for (int d = 0; d < row; ++d) planes *= s.shape[d];
    const int64_t group = std::max<int64_t>(1, kElements / (width * height));
    parallel_ranges(planes, group, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            const int64_t c = i % across * width, r = i / across % down * height;
            const T* from = src + r * s.src_stride[row] + c * s.src_stride[column];
            T* to = dst + r * s.dst_stride[row] + c * s.dst_stride[column];
            int64_t rest = i / across / down;
            for (int d = row - 1; d >= 0; rest /= s.shape[d--]) {
                from += rest % s.shape[d] * s.src_stride[d];
                to += rest % s.shape[d] * s.dst_stride[d];
            }
            copy_plane<T>({std::min(height, s.shape[row] - r), std::min(width, s.shape[column] - c), s.src_stride[row],
                           s.src_stride[column], s.dst_stride[row], s.dst_stride[column]},
                          from, to);
        }
    });
}

// f(pointer of a type with so many bytes).
template <class F>
void visit_itemsize(int64_t itemsize, void* y, F&& f) {
    switch (itemsize) {
        case 1:
            return f(static_cast<uint8_t*>(y));
        case 2:
            return f(static_cast<uint16_t*>(y));
        case 4:
            return f(static_cast<uint32_t*>(y));
        default:
            return f(static_cast<uint64_t*>(y));
    }
}

}  // namespace

void strided_copy(const StridedCopy& s, const void* src, void* dst) {
    for (int d = 0; d < s.ndim; ++d)
        if (s.shape[d] == 0) return;
    const StridedCopy m = merged(s);
    visit_itemsize(s.itemsize, dst,
                   [&](auto* to) { copy(m, static_cast<const std::remove_pointer_t<decltype(to)>*>(src), to); });
}

void fill(int64_t n, int64_t itemsize, const void* element, void* y) {
    visit_itemsize(itemsize, y, [&](auto* to) {
        std::remove_pointer_t<decltype(to)> value;
        std::memcpy(&value, element, sizeof value);
        parallel_ranges(n, 256 * 1024, [&](int64_t begin, int64_t end) { std::fill(to + begin, to + end, value); });
    });
}

void arange(int64_t n, double start, double step, DType to, void* y) {
    reference::arange<float>(n, start, step, to, y);
}

void cast(int64_t n, DType from, const void* x, DType to, void* y) {
    parallel_ranges(n, 64 * 1024, [&](int64_t begin, int64_t end) {  // the plain loop is bound by memory
        reference::cast<float>(end - begin, from, static_cast<const char*>(x) + begin * itemsize(from), to,
                               static_cast<char*>(y) + begin * itemsize(to));
    });
}

}  // namespace ck::cpu
