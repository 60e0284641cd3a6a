// Drivers of the pooling family.
#include <algorithm>

#include "core/allocator.h"
#include "core/argmax.h"
#include "core/parallel.h"
#include "core/pool_bins.h"
#include "cpu/backend.h"
#include "cpu/resample.h"
#include "cpu/streaming.h"

namespace ck::cpu {
namespace {

// fn(begin, end) for groups of `rows` rows, of which one reads `work` floats: 32 Ki, 128 KiB, are 5 to 20 us. Groups
// are even but for the last, so that they do not cut blocks of two rows.
template <class F>
void for_row_pairs(int64_t rows, int64_t work, F&& fn) {
    constexpr int64_t kGrain = 32 * 1024;
    parallel_ranges(rows, std::max<int64_t>(2, kGrain / std::max<int64_t>(1, work) / 2 * 2), fn);
}

}  // namespace

void max_pool2d(const Pool2dShape& s, const float* x, float* y, void* argmax) {
    const bool stream = worth_streaming(y, s.n * s.p * s.q * s.c, s.c);
    const int64_t row = s.q * s.c, image = s.h * s.w * s.c;
    for_row_pairs(s.n * s.p, s.r * s.s * row, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            void* offsets = argmax ? static_cast<char*>(argmax) + i * row * argmax_itemsize(s) : nullptr;
            kernels().pool2d.max_row(s, i % s.p, x + i / s.p * image, y + i * row, offsets, stream);
        }
    });
}

void max_pool2d_gradient(const Pool2dShape& s, const float* dy, const void* argmax, float* dx) {
    const bool stream = worth_streaming(dx, s.n * s.h * s.w * s.c, s.c);
    const int64_t output = s.p * s.q * s.c, image = s.h * s.w * s.c;
    const int64_t rows = ceil_div(s.h + s.pad_top, 2) * 2;  // of the padded plane; whole blocks of two
    const int64_t windows = ceil_div(s.r, s.stride_h) * ceil_div(s.s, s.stride_w);  // that hold one input
    for_row_pairs(s.n * rows, (windows + 1) * s.w * s.c, [&](int64_t begin, int64_t end) {
        while (begin < end) {
            const int64_t n = begin / rows, stop = std::min(end, (n + 1) * rows);
            kernels().pool2d.max_gradient_rows(s, begin - n * rows, stop - n * rows, dy + n * output,
                                               static_cast<const char*>(argmax) + n * output * argmax_itemsize(s),
                                               dx + n * image, stream);
            begin = stop;
        }
    });
}

void max_pool2d_indices(const Pool2dShape& s, const void* argmax, int64_t* indices) {
    const int64_t row = s.q * s.c;
    visit_argmax(s, argmax, [&](auto offsets) {
        for_row_pairs(s.n * s.p, row, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin * row; i < end * row; ++i) indices[i] = plane_index(s, i, offsets[i]);
        });
    });
}

namespace {

// fn(n, begin, end, worker) for each image and strip of channels: a place of the plane is written by one task alone.
constexpr int64_t kStrip = 16;  // one cache line
int64_t strip_workers(const Resize2dShape& s) {
    return worker_count(s.n * ceil_div(s.c, kStrip));
}
template <class F>
void for_strips(const Resize2dShape& s, int64_t workers, F&& fn) {
    const int64_t strips = ceil_div(s.c, kStrip);
    parallel_for(s.n * strips, workers, [&](int64_t task, int64_t worker) {
        const int64_t begin = task % strips * kStrip;
        fn(task / strips, begin, std::min(s.c, begin + kStrip), worker);
    });
}

}  // namespace

void max_unpool2d(const Resize2dShape& s, const float* x, const int64_t* indices, float* y) {
    for_strips(s, strip_workers(s), [&](int64_t n, int64_t begin, int64_t end, int64_t) {
        float* plane = y + n * s.p * s.q * s.c;
        for (int64_t i = 0; i < s.p * s.q; ++i) std::fill(plane + i * s.c + begin, plane + i * s.c + end, 0.0f);
        for (int64_t i = n * s.h * s.w; i < (n + 1) * s.h * s.w; ++i)
            for (int64_t c = begin; c < end; ++c) plane[indices[i * s.c + c] * s.c + c] = x[i * s.c + c];
    });
}

void max_unpool2d_gradient(const Resize2dShape& s, const float* dy, const int64_t* indices, float* dx) {
    const int64_t workers = strip_workers(s), places = s.p * s.q * kStrip;
    const Scratch<int64_t> scratch(workers * places);
    for_strips(s, workers, [&](int64_t n, int64_t begin, int64_t end, int64_t worker) {
        int64_t* last = scratch.data() + worker * places;  // the element of x that stayed at each place
        const float* plane = dy + n * s.p * s.q * s.c;
        const int64_t stop = (n + 1) * s.h * s.w;
        for (int64_t i = n * s.h * s.w; i < stop; ++i)
            for (int64_t c = begin; c < end; ++c) last[indices[i * s.c + c] * kStrip + c - begin] = i;
        for (int64_t i = n * s.h * s.w; i < stop; ++i)
            for (int64_t c = begin; c < end; ++c) {
                const int64_t place = indices[i * s.c + c];
                dx[i * s.c + c] = last[place * kStrip + c - begin] == i ? plane[place * s.c + c] : 0.0f;
            }
    });
}

namespace {

template <class Bin>
ResampleAxis average_axis(int64_t outputs, Bin bin) {
    std::vector<ResampleAxis::Entry> entries;
    for (int64_t p = 0; p < outputs; ++p)
        for (int64_t i = bin(p).begin; i < bin(p).end; ++i) entries.push_back({p, i, 1});
    ResampleAxis axis(outputs, entries);
    // Dividing the sum, not the terms, keeps the mean of equal numbers exact.
    for (int64_t p = 0; p < outputs; ++p) axis.bands[p].divisor = static_cast<float>(bin(p).divisor);
    return axis;
}

template <class Bin>
ResampleAxis average_gradient_axis(int64_t inputs, int64_t outputs, Bin bin) {
    std::vector<ResampleAxis::Entry> entries;
    for (int64_t p = 0; p < outputs; ++p)
        for (int64_t i = bin(p).begin; i < bin(p).end; ++i)
            entries.push_back({p, i, 1 / static_cast<float>(bin(p).divisor)});
    return ResampleAxis(inputs, transposed(std::move(entries)));
}

}  // namespace

void avg_pool2d(const Pool2dShape& s, bool count_include_pad, const float* x, float* y) {
    resample(s.n, s.h, s.w, s.c, average_axis(s.p, row_bins(s, count_include_pad)),
             average_axis(s.q, column_bins(s, count_include_pad)), x, y);
}

void avg_pool2d_gradient(const Pool2dShape& s, bool count_include_pad, const float* dy, float* dx) {
    resample(s.n, s.p, s.q, s.c, average_gradient_axis(s.h, s.p, row_bins(s, count_include_pad)),
             average_gradient_axis(s.w, s.q, column_bins(s, count_include_pad)), dy, dx);
}

void adaptive_avg_pool2d(const Resize2dShape& s, const float* x, float* y) {
    resample(s.n, s.h, s.w, s.c, average_axis(s.p, adaptive_bins(s.h, s.p)), average_axis(s.q, adaptive_bins(s.w, s.q)),
             x, y);
}

void adaptive_avg_pool2d_gradient(const Resize2dShape& s, const float* dy, float* dx) {
    resample(s.n, s.p, s.q, s.c, average_gradient_axis(s.h, s.p, adaptive_bins(s.h, s.p)),
             average_gradient_axis(s.w, s.q, adaptive_bins(s.w, s.q)), dy, dx);
}

}  // namespace ck::cpu
