// Convolution in groups, the depthwise ones apart. Per group a product of m = N*P*Q, n = O/groups, k = R*S*C/groups,
// too narrow for tiles in shared memory: a thread keeps kOut destination channels of kPixels pixels in registers and
// reads its operands through the L1 cache, where its neighbours find them too.
#include "cuda/grouped.h"

#include "cuda/activation.h"
#include "cuda/backend.h"
#include "cuda/depthwise.h"
#include "cuda/lanes.h"

namespace ck::cuda {
namespace {

constexpr int kPixels = 4;  // with 4x4 channels: 64 multiply-adds for 4 loads of x and 4 of filters
// Threads of a weight gradient, over all parts of the pixels: 1,024 on each of 132 multiprocessors.
constexpr int64_t kGradientThreads = 1024 * kMultiprocessors;
constexpr int64_t kMostParts = 256;

// A destination has `out` channels, `group_out` of them a group; each adds up the group_in source channels of its
// group.
struct Groups {
    int out, group_out, in, group_in;
};

// filters[R*S,group_in,out]: neighbouring destination channels side by side, as float.
template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    arrange_filters_kernel(Groups groups, bool adjoint, int taps, int64_t size,
                           const T* __restrict__ w /*[O,R,S,C/groups]*/, float* __restrict__ filters) {
    for (int64_t i = first_index(); i < size; i += index_step()) {
        const int64_t row = i / groups.out, tap = row / groups.group_in;
        const int d = static_cast<int>(i - row * groups.out), k = static_cast<int>(row - tap * groups.group_in);
        const int group = d / groups.group_out;
        const int64_t from =
            adjoint ? ((static_cast<int64_t>(group) * groups.group_in + k) * taps + tap) * groups.group_out +
                          d % groups.group_out
                    : (static_cast<int64_t>(d) * taps + tap) * groups.group_in + k;
        filters[i] = to_float(w[from]);
    }
}

// Destination and source are y and x, or dx and dy for the adjoint.
template <class T, int kOut, int kIn>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks / 2)
    grouped_kernel(Lanes lanes, Taps rows, Taps columns, Groups groups, Activation act,
                   const T* __restrict__ from /*[N,source pixels,in]*/, const float* __restrict__ filters,
                   const T* __restrict__ bias /*[out] or null*/, const T* __restrict__ residual /*as `to`, or null*/,
                   T* __restrict__ to /*[N,pixels,out]*/) {
    const Lane lane(lanes);
    const int d0 = lane.channel(lanes, kOut);
    if (d0 >= groups.out) return;
    const int c0 = d0 / groups.group_out * groups.group_in;
    float start[kOut] = {};
    if (bias) load(bias + d0, start);
    for_each_of_lane<kPixels>(lanes, lane, [&](int64_t image, int pixel, int end) {
        const T* plane = from + image * rows.extent() * columns.extent() * groups.in + c0;
        int i[kPixels], j[kPixels];
        float sum[kPixels][kOut];
#pragma unroll
        for (int m = 0; m < kPixels; ++m) {
            const int here = min(pixel + m * lane.lines, end - 1);  // those beyond the end are computed, not stored
            i[m] = lanes.by_columns.quotient(here), j[m] = lanes.by_columns.remainder(here, i[m]);
#pragma unroll
            for (int e = 0; e < kOut; ++e) sum[m][e] = start[e];
        }
        const float* filter = filters + d0;
        for (int r = 0; r < rows.axis.taps; ++r) {
            for (int t = 0; t < columns.axis.taps; ++t) {
                const T* source[kPixels];
                bool inside[kPixels];
#pragma unroll
                for (int m = 0; m < kPixels; ++m) {
                    const int h = rows.source(i[m], r), v = columns.source(j[m], t);
                    inside[m] = h >= 0 && v >= 0;
                    source[m] = plane + (static_cast<int64_t>(h) * columns.extent() + v) * groups.in;
                }
#pragma unroll 1  // kIn is what registers allow
                for (int k = 0; k < groups.group_in; k += kIn, filter += kIn * static_cast<int64_t>(groups.out)) {
                    float x[kPixels][kIn] = {}, f[kIn][kOut];
#pragma unroll
                    for (int m = 0; m < kPixels; ++m)
                        if (inside[m]) load(source[m] + k, x[m]);
#pragma unroll
                    for (int c = 0; c < kIn; ++c) load(filter + c * static_cast<int64_t>(groups.out), f[c]);
#pragma unroll
                    for (int c = 0; c < kIn; ++c)
#pragma unroll
                        for (int m = 0; m < kPixels; ++m)
#pragma unroll
                            for (int e = 0; e < kOut; ++e) sum[m][e] = fmaf(x[m][c], f[c][e], sum[m][e]);
                }
            }
        }
#pragma unroll
        for (int m = 0; m < kPixels; ++m) {
            const int here = pixel + m * lane.lines;
            if (here >= end) continue;
            const int64_t at = (image * lanes.pixels + here) * groups.out + d0;
            if (residual) add(residual + at, sum[m]);
            activate_each(act, sum[m]);
            store(to + at, sum[m]);
        }
    });
}

// partial[part,O,R,S,C/groups]: the sums over a part of the N*P output rows, blockIdx.y. A thread makes one tap of kOut
// x kIn channels, in-channels fastest, and walks along the rows where its tap meets the image.
template <class T, int kOut, int kIn>
__global__ void __launch_bounds__(kElementwiseThreads, kElementwiseBlocks / 2)
    grouped_weight_gradient_kernel(Windows at, Groups groups, int64_t items, int64_t rows, int64_t part_rows,
                                   const T* __restrict__ x /*[N,H,W,C]*/, const T* __restrict__ dy /*[N,P,Q,O]*/,
                                   float* __restrict__ partial) {
    const int64_t item = first_index();
    if (item >= items) return;
    const int across = groups.group_in / kIn;
    const int64_t filter = item / across;
    const int c = static_cast<int>(item - filter * across) * kIn;
    const int tap = static_cast<int>(filter / (groups.out / kOut));
    const int o = static_cast<int>(filter - static_cast<int64_t>(tap) * (groups.out / kOut)) * kOut;
    const int r = tap / at.columns.taps, right = (tap - r * at.columns.taps) * at.columns.dilation;
    // The outputs [first_q, end_q) whose tap lies in the image.
    const int before = at.columns.before - right, reach = at.columns.in - 1 + before;
    const int first_q = before > 0 ? at.columns.by_stride.quotient(before + at.columns.stride - 1) : 0;
    const int end_q = reach < 0 ? 0 : min(at.columns.out, at.columns.by_stride.quotient(reach) + 1);
    const int64_t step = static_cast<int64_t>(at.columns.stride) * groups.in;
    const int channel = o / groups.group_out * groups.group_in + c;

    float sum[kOut][kIn] = {};
    const int64_t end = min(rows, (blockIdx.y + 1) * part_rows);
    for (int64_t row = blockIdx.y * part_rows; row < end; ++row) {
        const int64_t image = row / at.rows.out;
        const int h = at.rows.input(static_cast<int>(row - image * at.rows.out), r);
        if (!at.rows.has_input(h)) continue;
        const T* g = dy + (row * at.columns.out + first_q) * groups.out + o;
        const T* pixel =
            x + ((image * at.rows.in + h) * at.columns.in + first_q * at.columns.stride - before) * groups.in + channel;
#pragma unroll 2
        for (int q = first_q; q < end_q; ++q, g += groups.out, pixel += step) {
            float gradient[kOut], v[kIn];
            load(g, gradient);
            load(pixel, v);
#pragma unroll
            for (int a = 0; a < kOut; ++a)
#pragma unroll
                for (int b = 0; b < kIn; ++b) sum[a][b] = fmaf(gradient[a], v[b], sum[a][b]);
        }
    }
    const int taps = at.rows.taps * at.columns.taps;
    float* out = partial + blockIdx.y * (static_cast<int64_t>(groups.out) * taps * groups.group_in);
#pragma unroll
    for (int a = 0; a < kOut; ++a)
        store(out + (static_cast<int64_t>(o + a) * taps + tap) * groups.group_in + c, sum[a]);
}

template <class T>
void run(const Op& op, const Conv2dShape& s, bool adjoint, const T* from, const T* w, const T* bias, const T* residual,
         Activation act, T* to) {
    const int in = static_cast<int>(adjoint ? s.o : s.c), out = static_cast<int>(adjoint ? s.c : s.o);
    const Groups groups{out, static_cast<int>(out / s.groups), in, static_cast<int>(in / s.groups)};
    if (s.n * out == 0) return;
    const int64_t taps = s.r * s.s, size = taps * groups.group_in * out;
    const Scratch<float> filters(op, size);
    launch(op, arrange_filters_kernel<T>, blocks_for(size, kElementwiseThreads), kElementwiseThreads, 0, groups,
           adjoint, taps, size, w, filters.data());
    const bool four_out = groups.group_out % 4 == 0 && aligned(bias, residual, to);
    const bool four_in = four_out && groups.group_in % 4 == 0 && aligned(from);
    const auto kernel = four_in    ? grouped_kernel<T, 4, 4>
                        : four_out ? grouped_kernel<T, 4, 1>
                                   : grouped_kernel<T, 1, 1>;
    const Windows at = windows(op, s);
    const Lanes lanes(op, s.n, adjoint ? s.h : s.p, adjoint ? s.w : s.q, out, four_out ? 4 : 1, kPixels,
                      kMaxElementwiseBlocks);
    launch(op, kernel, lanes.grid(), kElementwiseThreads, 0, lanes, Taps{at.rows, adjoint}, Taps{at.columns, adjoint},
           groups, act, from, filters.data(), bias, residual, to);
}

}  // namespace

template <class T>
void grouped_conv2d(const Conv2dShape& s, const T* x, const T* w, const T* bias, const T* residual, Activation act,
                    T* y) {
    if (depthwise_applies(s)) return depthwise_conv2d(s, x, w, bias, residual, act, y);
    run({"conv2d", {s.n, s.h, s.w, s.c, s.o, s.r, s.s, s.groups}}, s, false, x, w, bias, residual, act, y);
}

template <class T>
void grouped_conv2d_data_gradient(const Conv2dShape& s, const T* dy, const T* w, const T* bias, const T* residual,
                                  Activation act, T* dx) {
    if (depthwise_applies(s)) return depthwise_conv2d_data_gradient(s, dy, w, bias, residual, act, dx);
    run({"conv2d_data_gradient", {s.n, s.h, s.w, s.c, s.o, s.r, s.s, s.groups}}, s, true, dy, w, bias, residual, act,
        dx);
}

template <class T>
void grouped_conv2d_weight_gradient(const Conv2dShape& s, const T* x, const T* dy, T* dw) {
    if (depthwise_applies(s)) return depthwise_conv2d_weight_gradient(s, x, dy, dw);
    const Op op{"conv2d_weight_gradient", {s.n, s.h, s.w, s.c, s.o, s.r, s.s, s.groups}};
    const Groups groups{static_cast<int>(s.o), static_cast<int>(s.o / s.groups), static_cast<int>(s.c),
                        static_cast<int>(s.c / s.groups)};
    const int64_t size = s.o * s.r * s.s * groups.group_in;
    if (size == 0) return;
    const bool four_out = groups.group_out % 4 == 0 && aligned(dy);
    const bool four_in = four_out && groups.group_in % 4 == 0 && aligned(x);
    const auto kernel = four_in    ? grouped_weight_gradient_kernel<T, 4, 4>
                        : four_out ? grouped_weight_gradient_kernel<T, 4, 1>
                                   : grouped_weight_gradient_kernel<T, 1, 1>;
    const int64_t items = size / ((four_out ? 4 : 1) * (four_in ? 4 : 1)), rows = s.n * s.p;
    const int64_t wanted = std::clamp<int64_t>(kGradientThreads / items, 1, kMostParts);
    const int64_t part_rows = std::max<int64_t>(1, ceil_div(rows, wanted));
    const int64_t parts = std::max<int64_t>(1, ceil_div(rows, part_rows));
    const int64_t threads = std::min<int64_t>(kElementwiseThreads, ceil_div(items, 32) * 32);
    const dim3 grid(static_cast<unsigned>(ceil_div(items, threads)), static_cast<unsigned>(parts));
    const Scratch<float> partial(op, parts * size);
    launch(op, kernel, grid, dim3(static_cast<unsigned>(threads)), 0, windows(op, s), groups, items, rows, part_rows, x,
           dy, partial.data());
    reduce_columns(op, ReduceShape{1, parts, size}, Elements<float>{partial.data()}, in_vectors<float>(size), Add{},
                   dw);
}

#define CK_INSTANTIATE_GROUPED(T)                                                                                      \
    template void grouped_conv2d(const Conv2dShape&, const T*, const T*, const T*, const T*, Activation, T*);          \
    template void grouped_conv2d_data_gradient(const Conv2dShape&, const T*, const T*, const T*, const T*, Activation, \
                                               T*);                                                                    \
    template void grouped_conv2d_weight_gradient(const Conv2dShape&, const T*, const T*, T*);
CK_INSTANTIATE_GROUPED(float)
CK_INSTANTIATE_GROUPED(bfloat16)
#undef CK_INSTANTIATE_GROUPED

}  // namespace ck::cuda
