// Depthwise convolution: m = N*P*Q; each channel is a product of its own with n = 1, k = R*S, so memory is the bound. A
// thread keeps kVector<T> channels (4 for the weight gradient) and walks over pixels; the windows of neighbouring
// pixels overlap in the L1 cache.
#include "cuda/depthwise.h"

#include "cuda/activation.h"
#include "cuda/backend.h"
#include "cuda/lanes.h"

namespace ck::cuda {
namespace {

constexpr int kPixels = 4;  // of a thread in a piece
// 8 channels a thread and 9 taps take up to 128 registers: 2 blocks on a multiprocessor.
constexpr int kBlocks = kElementwiseBlocks / 2;
constexpr int kTapsAtOnce = 9;        // sums of a 3x3 filter in registers
constexpr int kGradientChannels = 4;  // times 9 taps: 36 registers of sums

// Destination and source are y and x, or dx and dy for the adjoint. side 3: a 3x3 filter, in registers; 0: any, in
// shared memory.
template <class T, int n, int side>
__global__ void __launch_bounds__(kElementwiseThreads, kBlocks)
    depthwise_kernel(Lanes lanes, Taps rows, Taps columns, int channels, Activation act,
                     const T* __restrict__ from /*[N,source pixels,C]*/, const T* __restrict__ w /*[C,R,S]*/,
                     const T* __restrict__ bias /*[C] or null*/, const T* __restrict__ residual /*as `to`, or null*/,
                     T* __restrict__ to /*[N,pixels,C]*/) {
    CK_DYNAMIC_SHARED(float, filters);  // [R*S][across * n]
    const Lane lane(lanes);
    const int width = lanes.across * n, c0 = lane.channel(lanes, n);
    const int taps_w = side ? side : columns.axis.taps, taps = side ? side * side : rows.axis.taps * taps_w;
    const int first = lane.strip * width;
    for (int i = lane.thread; i < taps * width; i += kElementwiseThreads) {
        const int tap = i % taps, c = i / taps;  // as they lie in memory
        filters[tap * width + c] = first + c < channels ? to_float(w[static_cast<int64_t>(first + c) * taps + tap]) : 0;
    }
    __syncthreads();
    if (c0 >= channels) return;
    float kept[side ? side * side : 1][n], start[n] = {};
    if (side) {
#pragma unroll
        for (int k = 0; k < side * side; ++k) load(filters + k * width + lane.column * n, kept[k]);
    }
    if (bias) load(bias + c0, start);
    for_each_of_lane<1>(lanes, lane, [&](int64_t image, int pixel, int) {
        const int i = lanes.by_columns.quotient(pixel), j = lanes.by_columns.remainder(pixel, i);
        float sum[n];
#pragma unroll
        for (int e = 0; e < n; ++e) sum[e] = start[e];
#pragma unroll
        for (int r = 0; r < taps / taps_w; ++r) {
            const int h = rows.source(i, r);
            if (h < 0) continue;
            const T* line = from + (image * rows.extent() + h) * columns.extent() * channels + c0;
#pragma unroll
            for (int t = 0; t < taps_w; ++t) {
                const int v = columns.source(j, t);
                if (v < 0) continue;
                float x[n], filter[n];
                load(line + static_cast<int64_t>(v) * channels, x);
                if (!side) load(filters + (r * taps_w + t) * width + lane.column * n, filter);
#pragma unroll
                for (int e = 0; e < n; ++e)
                    sum[e] = fmaf(x[e], side ? kept[side ? r * side + t : 0][e] : filter[e], sum[e]);
            }
        }
        const int64_t at = (image * lanes.pixels + pixel) * channels + c0;
        if (residual) add(residual + at, sum);
        activate_each(act, sum);
        store(to + at, sum);
    });
}

// The sums over the pixels of each part for the taps from first_tap on.
template <class T, int n>
__global__ void __launch_bounds__(kElementwiseThreads, kBlocks)
    depthwise_weight_gradient_kernel(Lanes lanes, Windows at, int channels, int first_tap,
                                     const T* __restrict__ x /*[N,H,W,C]*/, const T* __restrict__ dy /*[N,P,Q,C]*/,
                                     float* __restrict__ partial /*[parts,C,R,S]*/) {
    CK_SHARED(float, all, [n][kElementwiseThreads]);
    const Lane lane(lanes);
    const int c0 = lane.channel(lanes, n), taps_w = at.columns.taps, taps = at.rows.taps * taps_w;
    float sum[kTapsAtOnce][n] = {};
    int down[kTapsAtOnce], right[kTapsAtOnce];  // of each tap, from the window's first pixel
#pragma unroll
    for (int k = 0; k < kTapsAtOnce; ++k) {
        const int r = (first_tap + k) / taps_w, t = first_tap + k - r * taps_w;
        down[k] = first_tap + k < taps ? r * at.rows.dilation : at.rows.in + at.rows.before;  // outside
        right[k] = t * at.columns.dilation;
    }
    if (c0 < channels) {
        for_each_of_lane<1>(lanes, lane, [&](int64_t image, int pixel, int) {
            const int p = lanes.by_columns.quotient(pixel), q = lanes.by_columns.remainder(pixel, p);
            const int h0 = at.rows.input(p, 0), w0 = at.columns.input(q, 0);
            float g[n];
            load(dy + (image * lanes.pixels + pixel) * channels + c0, g);
            const T* plane = x + image * at.rows.in * at.columns.in * channels + c0;
#pragma unroll
            for (int k = 0; k < kTapsAtOnce; ++k) {
                const int h = h0 + down[k], w = w0 + right[k];
                if (!at.rows.has_input(h) || !at.columns.has_input(w)) continue;
                float v[n];
                load(plane + (static_cast<int64_t>(h) * at.columns.in + w) * channels, v);
#pragma unroll
                for (int e = 0; e < n; ++e) sum[k][e] = fmaf(v[e], g[e], sum[k][e]);
            }
        });
    }
#pragma unroll
    for (int k = 0; k < kTapsAtOnce; ++k) {
#pragma unroll
        for (int e = 0; e < n; ++e) all[e][lane.thread] = sum[k][e];
        for (int half = lane.lines / 2; half > 0; half /= 2) {
            __syncthreads();
            if (lane.line >= half) continue;
#pragma unroll
            for (int e = 0; e < n; ++e) all[e][lane.thread] += all[e][lane.thread + half * lanes.across];
        }
        if (lane.line == 0 && c0 < channels && first_tap + k < taps) {
#pragma unroll
            for (int e = 0; e < n; ++e)
                partial[(lane.part(lanes) * channels + c0 + e) * taps + first_tap + k] = all[e][lane.thread];
        }
        __syncthreads();  // before `all` is used again
    }
}

template <class T>
void run(const Op& op, const Conv2dShape& s, bool adjoint, const T* from, const T* w, const T* bias, const T* residual,
         Activation act, T* to) {
    const Windows at = windows(op, s);
    const bool wide = in_vectors<T>(s.c, from, bias, residual, to), square = s.r == 3 && s.s == 3;
    const int n = wide ? kVector<T> : 1;
    const Lanes lanes(op, s.n, adjoint ? s.h : s.p, adjoint ? s.w : s.q, s.c, n, kPixels, kMaxElementwiseBlocks);
    if (lanes.images == 0 || s.c == 0) return;
    const size_t shared = static_cast<size_t>(s.r * s.s * lanes.across * n) * sizeof(float);
    const auto kernel = !wide    ? depthwise_kernel<T, 1, 0>
                        : square ? depthwise_kernel<T, kVector<T>, 3>
                                 : depthwise_kernel<T, kVector<T>, 0>;
    launch(op, kernel, lanes.grid(), kElementwiseThreads, shared, lanes, Taps{at.rows, adjoint},
           Taps{at.columns, adjoint}, s.c, act, from, w, bias, residual, to);
}

}  // namespace

// A strip has up to 256 channels: their filters lie in shared memory, as floats.
bool depthwise_applies(const Conv2dShape& s) {
    return s.groups == s.c && s.c == s.o && s.r * s.s * 256 * static_cast<int64_t>(sizeof(float)) <= kMostSharedBytes;
}

template <class T>
void depthwise_conv2d(const Conv2dShape& s, const T* x, const T* w, const T* bias, const T* residual, Activation act,
                      T* y) {
    run({"conv2d", {s.n, s.h, s.w, s.c, s.r, s.s, s.groups}}, s, false, x, w, bias, residual, act, y);
}

template <class T>
void depthwise_conv2d_data_gradient(const Conv2dShape& s, const T* dy, const T* w, const T* bias, const T* residual,
                                    Activation act, T* dx) {
    run({"conv2d_data_gradient", {s.n, s.h, s.w, s.c, s.r, s.s, s.groups}}, s, true, dy, w, bias, residual, act, dx);
}

template <class T>
void depthwise_conv2d_weight_gradient(const Conv2dShape& s, const T* x, const T* dy, T* dw) {
    const Op op{"conv2d_weight_gradient", {s.n, s.h, s.w, s.c, s.r, s.s, s.groups}};
    if (s.c == 0) return;
    constexpr int n = kGradientChannels;
    const bool wide = s.c % n == 0 && aligned(x, dy);
    const Lanes lanes(op, s.n, s.p, s.q, s.c, wide ? n : 1, kPixels, kMaxElementwiseBlocks / 4);
    const int64_t size = s.c * s.r * s.s;
    const Scratch<float> partial(op, lanes.parts * size);
    for (int64_t tap = 0; tap < s.r * s.s; tap += kTapsAtOnce)
        launch(op, wide ? depthwise_weight_gradient_kernel<T, n> : depthwise_weight_gradient_kernel<T, 1>, lanes.grid(),
               kElementwiseThreads, 0, lanes, windows(op, s), s.c, tap, x, dy, partial.data());
    reduce_columns(op, ReduceShape{1, lanes.parts, size}, Elements<float>{partial.data()}, in_vectors<float>(size),
                   Add{}, dw);
}

#define CK_INSTANTIATE_DEPTHWISE(T)                                                                             \
    template void depthwise_conv2d(const Conv2dShape&, const T*, const T*, const T*, const T*, Activation, T*); \
    template void depthwise_conv2d_data_gradient(const Conv2dShape&, const T*, const T*, const T*, const T*,    \
                                                 Activation, T*);                                               \
    template void depthwise_conv2d_weight_gradient(const Conv2dShape&, const T*, const T*, T*);
CK_INSTANTIATE_DEPTHWISE(float)
CK_INSTANTIATE_DEPTHWISE(bfloat16)
#undef CK_INSTANTIATE_DEPTHWISE

}  // namespace ck::cuda
