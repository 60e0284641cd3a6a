// Drivers of convolution in small groups. Per group a GEMM of n = O/groups, k = R*S*C/groups; output channels are cut
// into panels of one vector, which hold several groups or a part of one.
#include "cpu/grouped.h"

#include <algorithm>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/dispatch.h"
#include "cpu/line_conv.h"
#include "cpu/packing.h"

namespace ck::cpu {
namespace {

constexpr int64_t kTaskMacs = 1'000'000;         // about 20 us
constexpr int64_t kResidentFilters = 64 * 1024;  // 256 KiB of a 1 MiB L2: every line of a task reads them again
constexpr int64_t kMostTerms = 320;              // of one chain of additions: 3x3 windows of up to 32 channels
constexpr int64_t kTasks = 64;                   // of a weight gradient: enough for 16 threads
constexpr int64_t kMostParts = 32;
constexpr int64_t kResidentSums = 4 * 1024;  // 16 KiB of a 32 KiB L1: every line adds to the sums of its panels
constexpr int64_t kGrain = 16 * 1024;        // floats of the final sums a task adds up

// How output channels are cut. in, out: channels of a group.
struct Panels {
    int64_t in, out, channels, width, count, size;  // size: floats of a panel's filters
    int64_t group, groups;                          // panels of a task

    Panels(int64_t in_, int64_t out_, int64_t channels_, int64_t taps)
        : in(in_),
          out(out_),
          channels(channels_),
          width(kernels().vector_width),
          count(ceil_div(channels, width)),
          size(taps * in * width) {
        cut(std::max<int64_t>(1, kResidentFilters / size));
    }
    void cut(int64_t panels) {
        groups = ceil_div(count, std::min(count, panels));
        group = ceil_div(count, groups);
        groups = ceil_div(count, group);
    }
    int64_t first(int64_t index) const { return index * group * width; }
    int64_t last(int64_t index) const { return std::min(channels, (index + 1) * group * width); }
};

// y of all phases from x, [n,in lines,width,x_pixel]. A band has a line of each phase.
void run_phases(const std::vector<LinePhase>& phases, const Panels& panels, int64_t n, int64_t bands, int64_t band_macs,
                int64_t x_pixel, const float* x, const float* bias, Activation act, float* y, int64_t y_image) {
    const int64_t lines = n * bands;
    const int64_t block = task_lines(lines, ceil_div(band_macs, panels.groups), kTaskMacs);
    parallel_for(ceil_div(lines, block) * panels.groups, [&](int64_t task) {
        const int64_t begin = task / panels.groups * block, end = std::min(lines, begin + block);
        GroupedLine line{};
        line.group_in = panels.in;
        line.group_out = panels.out;
        line.first = panels.first(task % panels.groups);
        line.last = panels.last(task % panels.groups);
        line.x_pixel = x_pixel;
        line.bias = bias;
        line.act = act;
        for_images(begin, end, bands, [&](int64_t image, int64_t p0, int64_t p1) {
            for (int64_t p = p0; p < p1; ++p) {
                for (const LinePhase& phase : phases) {
                    if (p >= phase.rows.out) continue;
                    const TapRange taps = phase.rows.inside(p);
                    const int64_t x_line = phase.columns.width * x_pixel;
                    line.columns = phase.columns;
                    line.rows = taps.end - taps.begin;
                    line.x = x + image * phase.rows.in * x_line +
                             (phase.rows.start(p) + taps.begin * phase.rows.dilation) * x_line;
                    line.x_row = phase.rows.dilation * x_line;
                    line.w = phase.filters + taps.begin * phase.columns.taps * panels.in * panels.width;
                    line.w_panel = phase.rows.taps * phase.columns.taps * panels.in * panels.width;
                    line.y = y + image * y_image + phase.y_offset + p * phase.y_row;
                    line.y_pixel = phase.y_pixel;
                    kernels().grouped.line(line);
                }
            }
        });
    });
}

void pack_filters(const Conv2dShape& s, const Panels& panels, const float* w, float* packed) {
    const int64_t k = s.r * s.s * panels.in;
    parallel_for(panels.count, [&](int64_t panel) {
        const int64_t o = panel * panels.width;
        kernels().gemm.pack(std::min(panels.width, s.o - o), k, w + o * k, k, 1, packed + panel * panels.size,
                            panels.width);
    });
}

// Lane i of (panel, tap, o) is w[o of the lane's group, r, s, channel of the lane]: runs of channels, contiguous in w.
void pack_gradient_filters(const Conv2dShape& s, const LinePhase& phase, const Panels& panels, const float* w,
                           float* packed) {
    const int64_t run = std::min(panels.out, panels.width), taps = phase.rows.taps * phase.columns.taps;
    parallel_for(panels.count, [&](int64_t panel) {
        float* to = packed + panel * taps * panels.in * panels.width;
        std::fill_n(to, taps * panels.in * panels.width, 0.0f);
        for (int64_t lane = 0; lane < panels.width && panel * panels.width + lane < s.c; lane += run) {
            const int64_t c = panel * panels.width + lane, group = c / panels.out;
            phase.for_taps(s, [&](int64_t tap, int64_t from) {
                for (int64_t k = 0; k < panels.in; ++k)
                    std::copy_n(w + ((group * panels.in + k) * s.r * s.s + from) * panels.out + c % panels.out, run,
                                to + (tap * panels.in + k) * panels.width + lane);
            });
        }
    });
}

}  // namespace

bool grouped_applies(const Conv2dShape& s) {
    const int64_t in = s.c / s.groups, out = s.o / s.groups, width = kernels().vector_width;
    const auto fills = [&](int64_t channels) { return channels % width == 0; };
    const bool shares = in == out && in >= 4 && width % in == 0;  // whole groups side by side
    const auto& supports = kernels().grouped.supports;
    return s.groups > 1 && (shares || (fills(in) && fills(out))) && s.r * s.s * std::max(in, out) <= kMostTerms &&
           s.dilation_w == 1 && s.stride_w <= 2 && supports(s.s, s.stride_w);
}

void grouped_conv(const Conv2dShape& s, const float* x, const float* w, DerivedCache* packed, const float* bias,
                  Activation act, float* y) {
    if (s.n * s.p * s.q == 0) return;
    const int64_t k = s.r * s.s * (s.c / s.groups);
    const Panels panels(s.c / s.groups, s.o / s.groups, s.o, s.r * s.s);
    const PackedWeights filters(packed, packing_key(Packing::grouped, {s.groups, s.o, s.c, s.r, s.s}),
                                panels.count * panels.size, [&](float* to) { pack_filters(s, panels, w, to); });
    run_phases({forward_phase(s, filters.data())}, panels, s.n, s.p, s.q * s.o * k, s.c, x, bias, act, y,
               s.p * s.q * s.o);
}

void grouped_data_gradient(const Conv2dShape& s, const float* dy, const float* w, DerivedCache* packed,
                           const float* bias, Activation act, float* dx) {
    if (s.n * s.h * s.w == 0) return;
    const Panels panels(s.o / s.groups, s.c / s.groups, s.c, s.r * s.s);
    const int64_t tap_size = panels.count * panels.in * panels.width;
    const PackedWeights filters(
        packed,
        packing_key(Packing::grouped_gradient, {s.groups, s.o, s.c, s.r, s.s, s.h, s.w, s.stride_h, s.stride_w,
                                                s.dilation_h, s.dilation_w, s.pad_top, s.pad_left}),
        panels.count * panels.size, [&](float* to) {
            for (const LinePhase& phase : gradient_phases(s, tap_size, to))
                pack_gradient_filters(s, phase, panels, w, to + (phase.filters - to));
        });
    const std::vector<LinePhase> phases = gradient_phases(s, tap_size, filters.data());
    const int64_t macs = ceil_div(s.w * s.c * s.r * s.s * panels.in, s.stride_w);
    run_phases(phases, panels, s.n, ceil_div(s.h, s.stride_h), macs, s.o, dy, bias, act, dx, s.h * s.w * s.c);
}

void grouped_weight_gradient(const Conv2dShape& s, const float* x, const float* dy, float* dw) {
    Panels panels(s.c / s.groups, s.o / s.groups, s.o, s.r * s.s);
    const int64_t k = s.r * s.s * panels.in, lines = s.n * s.p, size = panels.count * panels.size;
    const int64_t wanted = std::clamp<int64_t>(lines * s.q * s.o * k / kTaskMacs, 1, kTasks);
    // Lines are split only as far as pairs of panels, 128 bytes of a pixel, do not make enough tasks.
    const int64_t most = std::min({kMostParts, ceil_div(wanted, ceil_div(panels.count, 2)), lines});
    const int64_t block = ceil_div(lines, most), parts = ceil_div(lines, block);
    panels.cut(std::min(panels.group, ceil_div(panels.count * parts, wanted)));
    const RowAxis rows = row_axis(s);
    Scratch<float> sums(parts * size);
    parallel_for(parts * panels.groups, [&](int64_t task) {
        const int64_t part = task / panels.groups, index = task % panels.groups;
        GroupedWeights line{};
        line.group_in = panels.in;
        line.group_out = panels.out;
        line.columns = columns_of(s);
        line.x_pixel = s.c;
        line.x_row = s.dilation_h * s.w * s.c;
        line.dy_pixel = s.o;
        line.dw_panel = panels.size;
        float* sum = sums.data() + part * size;
        const int64_t last = panels.last(index),
                      step = panels.width * std::max<int64_t>(1, kResidentSums / panels.size);
        for (line.first = panels.first(index); line.first < last; line.first = line.last) {
            line.last = std::min(last, line.first + step);
            std::fill_n(sum + line.first / panels.width * panels.size,
                        ceil_div(line.last - line.first, panels.width) * panels.size, 0.0f);
            for_images(part * block, std::min(lines, (part + 1) * block), s.p,
                       [&](int64_t image, int64_t p0, int64_t p1) {
                           for (int64_t p = p0; p < p1; ++p) {
                               const TapRange taps = rows.inside(p);
                               line.rows = taps.end - taps.begin;
                               line.x = x + (image * s.h + rows.start(p) + taps.begin * s.dilation_h) * s.w * s.c;
                               line.dy = dy + (image * s.p + p) * s.q * s.o;
                               line.dw = sum + taps.begin * s.s * panels.in * panels.width;
                               kernels().grouped.weights(line);
                           }
                       });
        }
    });
    parallel_ranges(size, kGrain, [&](int64_t begin, int64_t end) {
        kernels().gemm.sum_parts(parts, end - begin, sums.data() + begin, size, sums.data() + begin);
    });
    parallel_for(panels.count, [&](int64_t panel) {
        const int64_t o = panel * panels.width;
        kernels().gemm.pack(k, std::min(panels.width, s.o - o), sums.data() + panel * panels.size, panels.width, 1,
                            dw + o * k, k);
    });
}

}  // namespace ck::cpu
