// Convolutions walked line by line: a line of outputs meets the lines of the input that its filter rows reach, in
// place. Shared by the depthwise and the grouped drivers.
#pragma once
#include <algorithm>
#include <vector>

#include "core/phase_axis.h"
#include "cpu/kernels.h"

namespace ck::cpu {

struct RowAxis {
    int64_t out, in;  // lines of y and of x
    int64_t taps, stride, dilation, pad;

    int64_t start(int64_t p) const { return p * stride - pad; }
    TapRange inside(int64_t p) const {
        const TapRange range = taps_inside(start(p), taps, dilation, in);
        return {range.begin, std::max(range.begin, range.end)};
    }
    // Lines of x that outputs [begin,end) read, held inside the image.
    int64_t first_line(int64_t begin) const { return std::clamp<int64_t>(start(begin), 0, in); }
    int64_t last_line(int64_t end) const {
        return std::clamp<int64_t>(start(end - 1) + (taps - 1) * dilation + 1, 0, in);
    }
};

// A convolution of [in,width] images whose outputs go to every y_row-th line and y_pixel-th pixel.
struct LinePhase {
    RowAxis rows;
    LineColumns columns;
    const float* filters;
    int64_t y_offset, y_row, y_pixel;
    PhaseAxis row_taps, column_taps;  // of a data gradient: which taps of the filter these are

    // fn(tap, from): tap `tap` of the phase is tap `from` of the filter.
    template <class F>
    void for_taps(const Conv2dShape& s, F&& fn) const {
        for (int64_t a = 0; a < rows.taps; ++a)
            for (int64_t b = 0; b < columns.taps; ++b)
                fn(a * columns.taps + b, row_taps.tap(a) * s.s + column_taps.tap(b));
    }
};

inline RowAxis row_axis(const Conv2dShape& s) {
    return {s.p, s.h, s.r, s.stride_h, s.dilation_h, s.pad_top};
}
inline LineColumns columns_of(const Conv2dShape& s) {
    return {s.q, s.w, s.s, s.stride_w, s.dilation_w, s.pad_left};
}

inline LinePhase forward_phase(const Conv2dShape& s, const float* filters) {
    return {row_axis(s), columns_of(s), filters, 0, s.q * s.o, s.o, {}, {}};
}

// The phases of the data gradient. `filters` has tap_size floats a tap; every tap belongs to one phase.
inline std::vector<LinePhase> gradient_phases(const Conv2dShape& s, int64_t tap_size, const float* filters) {
    std::vector<LinePhase> phases;
    for (int64_t i = 0; i < std::min(s.stride_h, s.h); ++i) {
        const PhaseAxis rows = phase_axis(i, s.h, s.stride_h, s.dilation_h, s.pad_top, s.r);
        for (int64_t j = 0; j < std::min(s.stride_w, s.w); ++j) {
            const PhaseAxis columns = phase_axis(j, s.w, s.stride_w, s.dilation_w, s.pad_left, s.s);
            phases.push_back({{rows.size, s.p, rows.taps, 1, rows.dilation, rows.pad},
                              {columns.size, s.q, columns.taps, 1, columns.dilation, columns.pad},
                              filters,
                              (i * s.w + j) * s.c,
                              s.stride_h * s.w * s.c,
                              s.stride_w * s.c,
                              rows,
                              columns});
            filters += rows.taps * columns.taps * tap_size;
        }
    }
    return phases;
}

// Lines of outputs, counted through all images, that make a task.
inline int64_t task_lines(int64_t lines, int64_t macs_per_line, int64_t task_macs) {
    const int64_t wanted = std::max<int64_t>(1, task_macs / std::max<int64_t>(1, macs_per_line));
    return ceil_div(lines, ceil_div(lines, wanted));
}

// fn(image, p0, p1) for the pieces of the lines [begin,end) that belong to one image of `rows` lines.
template <class F>
void for_images(int64_t begin, int64_t end, int64_t rows, F&& fn) {
    while (begin < end) {
        const int64_t image = begin / rows, p0 = begin % rows, p1 = std::min(rows, p0 + end - begin);
        fn(image, p0, p1);
        begin += p1 - p0;
    }
}

}  // namespace ck::cpu
