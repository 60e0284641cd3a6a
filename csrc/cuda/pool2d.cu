// Pooling on [N,H,W,C]. A thread makes one pixel of kVector<T> neighbouring channels, so that each access is 16 bytes,
// or of one channel where alignment or C forbid that. Gradients gather: an input element looks at the windows over it,
// in their order; nothing is cleared beforehand and nothing is added atomically.
#include "core/argmax.h"
#include "core/pool_bins.h"
#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/pixels.h"

namespace ck::cuda {
namespace {

// A NaN wins, the first in window order; else the first maximum. Padding is skipped. The loads of `batch` taps are
// under way at once, in up to 80 registers.
template <class T, int n, int batch, class Offset>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks - 1)
    max_pool2d_kernel(Pixels pixels, Windows at, int channels, const T* __restrict__ x /*[N,H,W,C]*/,
                      T* __restrict__ y /*[N,P,Q,C]*/, Offset* __restrict__ argmax /*[N,P,Q,C] or null*/) {
    const int taps_w = at.columns.taps, taps = at.rows.taps * taps_w;
    for_each_pixel(pixels, [&](int64_t image, int p, int q, int vector) {
        const T* plane = x + image * at.rows.in * at.columns.in * channels + vector * n;
        // What -inf everywhere would give, so that no comparison has to ask whether it is the first.
        const auto first_place = static_cast<Offset>(at.rows.first_tap(p) * taps_w + at.columns.first_tap(q));
        float top[n];
        Pack<Offset, n> place;
#pragma unroll
        for (int j = 0; j < n; ++j) top[j] = -INFINITY, place.element[j] = first_place;
        for (int first = 0, r = 0, t = 0; first < taps; first += batch) {
            Pack<T, n> value[batch];
            bool inside[batch];
#pragma unroll
            for (int k = 0; k < batch; ++k) {
                const int h = at.rows.input(p, r), w = at.columns.input(q, t);
                inside[k] = first + k < taps && at.rows.has_input(h) && at.columns.has_input(w);
                const T* pixel = plane + (static_cast<int64_t>(h) * at.columns.in + w) * channels;
                if (inside[k]) value[k] = *reinterpret_cast<const Pack<T, n>*>(pixel);
                if (++t == taps_w) t = 0, ++r;
            }
#pragma unroll
            for (int k = 0; k < batch; ++k) {
                if (!inside[k]) continue;
#pragma unroll
                for (int j = 0; j < n; ++j) {
                    const float v = to_float(value[k].element[j]);
                    const bool wins = !(v <= top[j]) && top[j] == top[j];
                    top[j] = wins ? v : top[j];
                    place.element[j] = wins ? static_cast<Offset>(first + k) : place.element[j];
                }
            }
        }
        const int64_t to = ((image * at.rows.out + p) * at.columns.out + q) * channels + vector * n;
        store(y + to, top);
        if (argmax) *reinterpret_cast<Pack<Offset, n>*>(argmax + to) = place;
    });
}

template <class T, int n, class Offset>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    max_pool2d_gradient_kernel(Pixels pixels, Windows at, int channels, const T* __restrict__ dy /*[N,P,Q,C]*/,
                               const Offset* __restrict__ argmax /*[N,P,Q,C]*/, T* __restrict__ dx /*[N,H,W,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int h, int w, int vector) {
        float sum[n] = {};
        const int last_p = at.rows.last_output(h), last_q = at.columns.last_output(w);
        for (int p = at.rows.first_output(h); p <= last_p; ++p) {
            const int r = at.rows.tap(p, h);
            for (int q = at.columns.first_output(w); q <= last_q; ++q) {
                const int t = at.columns.tap(q, w);
                if (r < 0 || t < 0) continue;
                const int64_t from = ((image * at.rows.out + p) * at.columns.out + q) * channels + vector * n;
                float v[n];
                load(dy + from, v);
                const Pack<Offset, n> place = *reinterpret_cast<const Pack<Offset, n>*>(argmax + from);
                const auto here = static_cast<Offset>(r * at.columns.taps + t);
#pragma unroll
                for (int j = 0; j < n; ++j) sum[j] += place.element[j] == here ? v[j] : 0.0f;
            }
        }
        store(dx + ((image * at.rows.in + h) * at.columns.in + w) * channels + vector * n, sum);
    });
}

template <class Offset>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    max_pool2d_indices_kernel(Pixels pixels, Pool2dShape s, const Offset* __restrict__ argmax /*[N,P,Q,C]*/,
                              int64_t* __restrict__ indices /*[N,P,Q,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int p, int q, int c) {
        const int64_t i = ((image * s.p + p) * s.q + q) * s.c + c;
        indices[i] = plane_index(s, p, q, argmax[i]);
    });
}

// Where indices meet, the last element in row-major order: the maximum of 1 + its number, in whatever order they come.
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    unpool_winner_kernel(Pixels pixels, Resize2dShape s, const int64_t* __restrict__ indices /*[N,H,W,C]*/,
                         unsigned* __restrict__ winner /*[N,P,Q,C], zero*/) {
    for_each_pixel(pixels, [&](int64_t image, int h, int w, int c) {
        const int64_t element = (h * s.w + w) * s.c + c, place = indices[image * s.h * s.w * s.c + element];
        atomicMax(winner + (image * s.p * s.q + place) * s.c + c, static_cast<unsigned>(element + 1));
    });
}

template <class T>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    max_unpool2d_kernel(Pixels pixels, Resize2dShape s, const T* __restrict__ x /*[N,H,W,C]*/,
                        const unsigned* __restrict__ winner /*[N,P,Q,C]*/, T* __restrict__ y /*[N,P,Q,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int p, int q, int c) {
        const int64_t to = ((image * s.p + p) * s.q + q) * s.c + c;
        const unsigned element = winner[to];
        y[to] = element ? x[image * s.h * s.w * s.c + element - 1] : from_float<T>(0);
    });
}

template <class T>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    max_unpool2d_gradient_kernel(Pixels pixels, Resize2dShape s, const T* __restrict__ dy /*[N,P,Q,C]*/,
                                 const int64_t* __restrict__ indices /*[N,H,W,C]*/,
                                 const unsigned* __restrict__ winner /*[N,P,Q,C]*/, T* __restrict__ dx /*[N,H,W,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int h, int w, int c) {
        const int64_t element = (h * s.w + w) * s.c + c, i = image * s.h * s.w * s.c + element;
        const int64_t from = (image * s.p * s.q + indices[i]) * s.c + c;
        dx[i] = winner[from] == static_cast<unsigned>(element + 1) ? dy[from] : from_float<T>(0);
    });
}

template <class T, int n, class Bins>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks)
    average_kernel(Pixels pixels, Resize2dShape s, Bins row_bins, Bins column_bins,
                   const T* __restrict__ x /*[N,H,W,C]*/, T* __restrict__ y /*[N,P,Q,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int p, int q, int vector) {
        const AverageBin rows = row_bins(p), columns = column_bins(q);
        const T* pixel = x + (image * s.h * s.w + columns.begin) * s.c + vector * n;
        const int width = static_cast<int>(columns.end - columns.begin);
        float sum[n] = {};
        for (int64_t h = rows.begin; h < rows.end; ++h) {
#pragma unroll 4  // loads under way at once
            for (int w = 0; w < width; ++w) {
                float v[n];
                load(pixel + (h * s.w + w) * s.c, v);
#pragma unroll
                for (int j = 0; j < n; ++j) sum[j] += v[j];
            }
        }
        const float area = static_cast<float>(rows.divisor * columns.divisor);
#pragma unroll
        for (int j = 0; j < n; ++j) sum[j] /= area;
        store(y + ((image * s.p + p) * s.q + q) * s.c + vector * n, sum);
    });
}

// Divisions in 64 bits: up to 128 registers.
template <class T, int n, class Bins>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks / 2)
    average_gradient_kernel(Pixels pixels, Resize2dShape s, Bins row_bins, Bins column_bins,
                            const T* __restrict__ dy /*[N,P,Q,C]*/, T* __restrict__ dx /*[N,H,W,C]*/) {
    for_each_pixel(pixels, [&](int64_t image, int h, int w, int vector) {
        const OutputRange rows = row_bins.covering(h), columns = column_bins.covering(w);
        float sum[n] = {};
        for (int64_t p = rows.begin; p < rows.end; ++p) {
            const int64_t height = row_bins(p).divisor;
            for (int64_t q = columns.begin; q < columns.end; ++q) {
                const float area = static_cast<float>(height * column_bins(q).divisor);
                float v[n];
                load(dy + ((image * s.p + p) * s.q + q) * s.c + vector * n, v);
#pragma unroll
                for (int j = 0; j < n; ++j) sum[j] += v[j] / area;
            }
        }
        store(dx + ((image * s.h + h) * s.w + w) * s.c + vector * n, sum);
    });
}

template <class T, int n, int batch, class Offset>
void launch_max_pool2d(const Op& op, const Pool2dShape& s, const T* x, T* y, Offset* argmax) {
    const Pixels pixels(op, s.n, s.p, s.q, s.c / n);
    launch(op, max_pool2d_kernel<T, n, batch, Offset>, pixels.grid(), pixels.block(), 0, pixels, windows(op, s), s.c, x,
           y, argmax);
}

template <class T, int n, class Offset>
void launch_max_pool2d_gradient(const Op& op, const Pool2dShape& s, const T* dy, const Offset* argmax, T* dx) {
    const Pixels pixels(op, s.n, s.h, s.w, s.c / n);
    launch(op, max_pool2d_gradient_kernel<T, n, Offset>, pixels.grid(), pixels.block(), 0, pixels, windows(op, s), s.c,
           dy, argmax, dx);
}

// winner[N,P,Q,C] of the indices.
void find_unpool_winners(const Op& op, const Resize2dShape& s, const int64_t* indices, unsigned* winner) {
    const size_t bytes = static_cast<size_t>(s.n * s.p * s.q * s.c) * sizeof(unsigned);
    check(op, cudaMemsetAsync(winner, 0, bytes, stream()), "clearing");
    if (s.h * s.w == 0) return;
    const Pixels pixels(op, s.n, s.h, s.w, s.c);
    launch(op, unpool_winner_kernel, pixels.grid(), pixels.block(), 0, pixels, s, indices, winner);
}

template <class T, class Bins>
void average(const Op& op, const Resize2dShape& s, const Bins& row_bins, const Bins& column_bins, const T* x, T* y) {
    if (s.n * s.p * s.q * s.c == 0) return;
    const bool wide = in_vectors<T>(s.c, x, y);
    const Pixels pixels(op, s.n, s.p, s.q, wide ? s.c / kVector<T> : s.c);
    launch(op, wide ? average_kernel<T, kVector<T>, Bins> : average_kernel<T, 1, Bins>, pixels.grid(), pixels.block(),
           0, pixels, s, row_bins, column_bins, x, y);
}

template <class T, class Bins>
void average_gradient(const Op& op, const Resize2dShape& s, const Bins& row_bins, const Bins& column_bins, const T* dy,
                      T* dx) {
    if (s.n * s.h * s.w * s.c == 0) return;
    const bool wide = in_vectors<T>(s.c, dy, dx);
    const Pixels pixels(op, s.n, s.h, s.w, wide ? s.c / kVector<T> : s.c);
    launch(op, wide ? average_gradient_kernel<T, kVector<T>, Bins> : average_gradient_kernel<T, 1, Bins>, pixels.grid(),
           pixels.block(), 0, pixels, s, row_bins, column_bins, dy, dx);
}

Resize2dShape sizes(const Pool2dShape& s) {
    return {s.n, s.h, s.w, s.c, s.p, s.q};
}

}  // namespace

template <class T>
void max_pool2d(const Pool2dShape& s, const T* x, T* y, void* argmax) {
    if (s.n * s.p * s.q * s.c == 0) return;
    constexpr int n = kVector<T>;
    const Op op{"max_pool2d", {s.n, s.h, s.w, s.c, s.r, s.s}};
    if (argmax_itemsize(s) > 1 || !in_vectors<T>(s.c, x, y, argmax)) {
        visit_argmax(s, argmax, [&](auto typed) {
            using Offset = std::remove_const_t<std::remove_pointer_t<decltype(typed)>>;
            launch_max_pool2d<T, 1, 4>(op, s, x, y, static_cast<Offset*>(argmax));
        });
        return;
    }
    const auto offsets = static_cast<uint8_t*>(argmax);
    if (s.r * s.s % 4 && s.r * s.s % 3 == 0)  // 3x3
        launch_max_pool2d<T, n, 3>(op, s, x, y, offsets);
    else
        launch_max_pool2d<T, n, 4>(op, s, x, y, offsets);
}

template <class T>
void max_pool2d_gradient(const Pool2dShape& s, const T* dy, const void* argmax, T* dx) {
    if (s.n * s.h * s.w * s.c == 0) return;
    const Op op{"max_pool2d_gradient", {s.n, s.h, s.w, s.c, s.r, s.s}};
    if (argmax_itemsize(s) == 1 && in_vectors<T>(s.c, dy, argmax, dx))
        return launch_max_pool2d_gradient<T, kVector<T>>(op, s, dy, static_cast<const uint8_t*>(argmax), dx);
    visit_argmax(s, argmax, [&](auto offsets) { launch_max_pool2d_gradient<T, 1>(op, s, dy, offsets, dx); });
}

template <class T>
void max_pool2d_indices(const Pool2dShape& s, const void* argmax, int64_t* indices) {
    if (s.n * s.p * s.q * s.c == 0) return;
    const Op op{"max_pool2d_indices", {s.n, s.h, s.w, s.c, s.r, s.s}};
    const Pixels pixels(op, s.n, s.p, s.q, s.c);
    visit_argmax(s, argmax, [&](auto offsets) {
        using Offset = std::remove_const_t<std::remove_pointer_t<decltype(offsets)>>;
        launch(op, max_pool2d_indices_kernel<Offset>, pixels.grid(), pixels.block(), 0, pixels, s, offsets, indices);
    });
}

template <class T>
void max_unpool2d(const Resize2dShape& s, const T* x, const int64_t* indices, T* y) {
    if (s.n * s.p * s.q * s.c == 0) return;
    const Op op{"max_unpool2d", {s.n, s.h, s.w, s.c, s.p, s.q}};
    const Scratch<unsigned> winner(op, s.n * s.p * s.q * s.c);
    find_unpool_winners(op, s, indices, winner.data());
    const Pixels pixels(op, s.n, s.p, s.q, s.c);
    launch(op, max_unpool2d_kernel<T>, pixels.grid(), pixels.block(), 0, pixels, s, x, winner.data(), y);
}

template <class T>
void max_unpool2d_gradient(const Resize2dShape& s, const T* dy, const int64_t* indices, T* dx) {
    if (s.n * s.h * s.w * s.c == 0) return;
    const Op op{"max_unpool2d_gradient", {s.n, s.h, s.w, s.c, s.p, s.q}};
    const Scratch<unsigned> winner(op, s.n * s.p * s.q * s.c);
    find_unpool_winners(op, s, indices, winner.data());
    const Pixels pixels(op, s.n, s.h, s.w, s.c);
    launch(op, max_unpool2d_gradient_kernel<T>, pixels.grid(), pixels.block(), 0, pixels, s, dy, indices, winner.data(),
           dx);
}

template <class T>
void avg_pool2d(const Pool2dShape& s, bool count_include_pad, const T* x, T* y) {
    average({"avg_pool2d", {s.n, s.h, s.w, s.c, s.r, s.s}}, sizes(s), row_bins(s, count_include_pad),
            column_bins(s, count_include_pad), x, y);
}

template <class T>
void avg_pool2d_gradient(const Pool2dShape& s, bool count_include_pad, const T* dy, T* dx) {
    average_gradient({"avg_pool2d_gradient", {s.n, s.h, s.w, s.c, s.r, s.s}}, sizes(s), row_bins(s, count_include_pad),
                     column_bins(s, count_include_pad), dy, dx);
}

template <class T>
void adaptive_avg_pool2d(const Resize2dShape& s, const T* x, T* y) {
    average({"adaptive_avg_pool2d", {s.n, s.h, s.w, s.c, s.p, s.q}}, s, adaptive_bins(s.h, s.p),
            adaptive_bins(s.w, s.q), x, y);
}

template <class T>
void adaptive_avg_pool2d_gradient(const Resize2dShape& s, const T* dy, T* dx) {
    average_gradient({"adaptive_avg_pool2d_gradient", {s.n, s.h, s.w, s.c, s.p, s.q}}, s, adaptive_bins(s.h, s.p),
                     adaptive_bins(s.w, s.q), dy, dx);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(max_pool2d)
CK_CUDA_INSTANTIATE(max_pool2d_gradient)
CK_CUDA_INSTANTIATE(max_pool2d_indices)
CK_CUDA_INSTANTIATE(max_unpool2d)
CK_CUDA_INSTANTIATE(max_unpool2d_gradient)
CK_CUDA_INSTANTIATE(avg_pool2d)
CK_CUDA_INSTANTIATE(avg_pool2d_gradient)
CK_CUDA_INSTANTIATE(adaptive_avg_pool2d)
CK_CUDA_INSTANTIATE(adaptive_avg_pool2d_gradient)
