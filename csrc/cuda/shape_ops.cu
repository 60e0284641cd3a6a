// Shape ops: every transpose, slice, concatenation, padding and repetition is one strided copy.
//
// Axes are merged first. Where both sides are contiguous along the last axis, elements are moved in units of up to 16
// bytes; where only the destination is and the source along another axis, a tile of that plane goes through shared
// memory, so that both sides are accessed by whole lines.
#include <cstring>

#include "core/strided.h"
#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/launch.h"

namespace ck::cuda {
namespace {

// One unit a thread, in the order of the destination. Index counts them.
template <class Unit, class Index>
__global__ void __launch_bounds__(kElementwiseThreads)
    strided_copy_kernel(StridedCopy s, Index n, const Unit* src, Unit* dst) {
    for (Index i = static_cast<Index>(first_index()); i < n; i += static_cast<Index>(index_step())) {
        Index rest = i;
        int64_t from = 0, to = 0;
        for (int d = s.ndim - 1; d >= 0; --d) {
            const Index extent = static_cast<Index>(s.shape[d]), outer = rest / extent;
            const int64_t step = static_cast<int64_t>(rest - outer * extent);
            from += step * s.src_stride[d];
            to += step * s.dst_stride[d];
            rest = outer;
        }
        dst[to] = src[from];
    }
}

// Tiles of the plane of the last two axes: the source is contiguous along the first of them, the destination along the
// second. One tile a block of (kTile, kTileLines) threads.
constexpr int kTile = 32, kTileLines = 8;

template <class Unit>
__global__ void __launch_bounds__(kTile* kTileLines) transpose_kernel(StridedCopy s, const Unit* src, Unit* dst) {
    CK_SHARED(Unit, tile, [kTile][kTile + 1]);  // the odd pitch spreads a column over the banks
    const int row_axis = s.ndim - 2, column_axis = s.ndim - 1;
    const int64_t rows = s.shape[row_axis], columns = s.shape[column_axis];
    const int64_t across = ceil_div(columns, kTile), down = ceil_div(rows, kTile);
    int64_t rest = blockIdx.x;
    const int64_t column = rest % across * kTile, row = rest / across % down * kTile;
    rest /= across * down;
    for (int d = row_axis - 1; d >= 0; --d) {
        src += rest % s.shape[d] * s.src_stride[d];
        dst += rest % s.shape[d] * s.dst_stride[d];
        rest /= s.shape[d];
    }
    const int x = static_cast<int>(threadIdx.x);
    for (int c = static_cast<int>(threadIdx.y); c < kTile; c += kTileLines)
        if (row + x < rows && column + c < columns)
            tile[c][x] = src[row + x + (column + c) * s.src_stride[column_axis]];
    __syncthreads();
    for (int r = static_cast<int>(threadIdx.y); r < kTile; r += kTileLines)
        if (row + r < rows && column + x < columns) dst[(row + r) * s.dst_stride[row_axis] + column + x] = tile[x][r];
}

// The copy with `bytes` moved at a time instead of itemsize.
bool in_units(const StridedCopy& s, const void* src, const void* dst, int64_t bytes) {
    const auto divides = [&](int64_t elements) { return elements * s.itemsize % bytes == 0; };
    const int last = s.ndim - 1;
    if (s.src_stride[last] != 1 || s.dst_stride[last] != 1 || !divides(s.shape[last])) return false;
    for (int d = 0; d < last; ++d)
        if (s.shape[d] > 1 && !(divides(s.src_stride[d]) && divides(s.dst_stride[d]))) return false;
    return (reinterpret_cast<uintptr_t>(src) | reinterpret_cast<uintptr_t>(dst)) % static_cast<uintptr_t>(bytes) == 0;
}

StridedCopy widened(const StridedCopy& s, int64_t bytes) {
    StridedCopy wide = s;
    const int64_t factor = bytes / s.itemsize;
    for (int d = 0; d < s.ndim - 1; ++d) {
        wide.src_stride[d] /= factor;
        wide.dst_stride[d] /= factor;
    }
    wide.shape[s.ndim - 1] /= factor;
    wide.itemsize = bytes;
    return wide;
}

template <class Unit>
void copy(const Op& op, const StridedCopy& s, int64_t n, const void* src, void* dst) {
    const Unit* from = static_cast<const Unit*>(src);
    Unit* to = static_cast<Unit*>(dst);
    const int row = s.ndim - 2, column = s.ndim - 1;
    // A narrow plane would leave most of a tile's threads idle.
    if (s.src_stride[row] == 1 && s.src_stride[column] != 1 && s.dst_stride[column] == 1 && s.shape[row] >= kTile / 2 &&
        s.shape[column] >= kTile / 2) {
        const int64_t planes = n / (s.shape[row] * s.shape[column]);
        const int64_t tiles = ceil_div(s.shape[row], kTile) * ceil_div(s.shape[column], kTile) * planes;
        return launch(op, transpose_kernel<Unit>, static_cast<unsigned>(tiles), dim3(kTile, kTileLines), 0, s, from,
                      to);
    }
    const dim3 grid = blocks_for(n, kElementwiseThreads);
    if (n < (int64_t{1} << 31))  // 64-bit division is slow on a GPU
        launch(op, strided_copy_kernel<Unit, uint32_t>, grid, kElementwiseThreads, 0, s, static_cast<uint32_t>(n), from,
               to);
    else
        launch(op, strided_copy_kernel<Unit, int64_t>, grid, kElementwiseThreads, 0, s, n, from, to);
}

template <class To, class From>
__device__ __forceinline__ To convert(From x) {
    if constexpr (std::is_same_v<From, bfloat16>) {
        return convert<To>(to_float(x));
    } else if constexpr (std::is_same_v<To, bfloat16>) {
        return from_float<bfloat16>(static_cast<float>(x));
    } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To> && !std::is_same_v<To, bool>) {
        // NaN and values out of range have no integer: the smallest int64, as on the CPU.
        const bool fits = x >= From(-0x1p63) && x < From(0x1p63);
        return static_cast<To>(fits ? static_cast<int64_t>(x) : INT64_MIN);
    } else {
        return static_cast<To>(x);
    }
}

// Rounded step by step as on the CPU: the compiler would fuse the two.
template <class To>
__global__ void __launch_bounds__(kElementwiseThreads)
    arange_kernel(int64_t n, double start, double step, To* y /*[n]*/) {
    for (int64_t i = first_index(); i < n; i += index_step())
        y[i] = convert<To>(__dadd_rn(start, __dmul_rn(step, static_cast<double>(i))));
}

constexpr int kCastElements = 4;  // a thread: 16 bytes of float

template <class From, class To>
__global__ void __launch_bounds__(kElementwiseThreads)
    cast_kernel(int64_t n, const From* x /*[n]*/, bool wide, To* y /*[n]*/) {
    constexpr int kN = kCastElements;
    for (int64_t i = first_index() * kN; i < n; i += index_step() * kN) {
        if (wide && i + kN <= n) {
            const Pack<From, kN> from = *reinterpret_cast<const Pack<From, kN>*>(x + i);
            Pack<To, kN> to;
#pragma unroll
            for (int j = 0; j < kN; ++j) to.element[j] = convert<To>(from.element[j]);
            *reinterpret_cast<Pack<To, kN>*>(y + i) = to;
        } else {
            for (int64_t j = i; j < min(n, i + kN); ++j) y[j] = convert<To>(x[j]);
        }
    }
}

template <class Unit>
__global__ void __launch_bounds__(kElementwiseThreads) fill_kernel(int64_t n, Unit element, Unit* y /*[n]*/) {
    for (int64_t i = first_index(); i < n; i += index_step()) y[i] = element;
}

template <class Unit>
void fill_units(int64_t n, const void* element, void* y) {
    Unit unit;
    std::memcpy(&unit, element, sizeof unit);
    launch({"full", {n}}, fill_kernel<Unit>, blocks_for(n, kElementwiseThreads), kElementwiseThreads, 0, n, unit,
           static_cast<Unit*>(y));
}

}  // namespace

template <class T>
void fill(int64_t n, int64_t itemsize, const void* element, void* y) {
    if (n == 0) return;
    switch (itemsize) {
        case 1:
            return fill_units<uint8_t>(n, element, y);
        case 2:
            return fill_units<uint16_t>(n, element, y);
        case 4:
            return fill_units<uint32_t>(n, element, y);
        default:
            return fill_units<uint64_t>(n, element, y);
    }
}

template <class T>
void strided_copy(const StridedCopy& s, const void* src, void* dst) {
    int64_t n = 1;
    for (int d = 0; d < s.ndim; ++d) n *= s.shape[d];
    if (n == 0) return;
    const StridedCopy m = merged(s);
    int64_t bytes = kVectorBytes;
    while (bytes > m.itemsize && !in_units(m, src, dst, bytes)) bytes /= 2;
    const StridedCopy wide = widened(m, bytes);
    n = n * m.itemsize / bytes;
    const Op op{"copy", {n, bytes}};
    switch (bytes) {
        case 1:
            return copy<uint8_t>(op, wide, n, src, dst);
        case 2:
            return copy<uint16_t>(op, wide, n, src, dst);
        case 4:
            return copy<uint32_t>(op, wide, n, src, dst);
        case 8:
            return copy<uint64_t>(op, wide, n, src, dst);
        default:
            return copy<Pack<uint64_t, 2>>(op, wide, n, src, dst);
    }
}

template <class T>
void arange(int64_t n, double start, double step, DType to, void* y) {
    if (n == 0) return;
    visit_all(to, [&](auto target) {
        using To = decltype(target);
        launch({"arange", {n}}, arange_kernel<To>, blocks_for(n, kElementwiseThreads), kElementwiseThreads, 0, n, start,
               step, static_cast<To*>(y));
    });
}

template <class T>
void cast(int64_t n, DType from, const void* x, DType to, void* y) {
    if (n == 0) return;
    visit_all(from, [&](auto source) {
        visit_all(to, [&](auto target) {
            using From = decltype(source);
            using To = decltype(target);
            const From* in = static_cast<const From*>(x);
            To* out = static_cast<To*>(y);
            launch({"astype", {n}}, cast_kernel<From, To>, blocks_for(ceil_div(n, kCastElements), kElementwiseThreads),
                   kElementwiseThreads, 0, n, in, aligned(in, out), out);
        });
    });
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(strided_copy)
CK_CUDA_INSTANTIATE(cast)
CK_CUDA_INSTANTIATE(fill)
CK_CUDA_INSTANTIATE(arange)
