#include "cpu/direct_conv.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

constexpr int64_t kItemPixels = 672;           // 96 tiles of 7: a panel of weights is read 96 times from L2
constexpr int64_t kBufferFloats = 128 * 1024;  // 512 KiB of input rows leave room for a chunk of a panel in a 1 MiB L2
constexpr int64_t kResidentFilters = 64 * 1024;  // 256 KiB: all panels stay in L2, so pixels are the outer loop
constexpr int64_t kTaskMacs = 2'000'000;         // about 40 us
constexpr int64_t kTasks = 64;                   // enough for 16 threads
constexpr int64_t kPixelBlock = 56;              // pixels that pass by all resident panels at a time: 8 tiles of 7
// Terms of a sum that are added up in registers before they join the result in memory: rounding errors stay those of a
// short sum, and so much of a panel (16 KiB of 16 columns, 64 KiB of 64) stays close by for all pixels of a task.
constexpr int64_t kChunk = 256;
constexpr int64_t kTapChannels = 64;  // least terms of one tap that pay for a chunk of its own

// Output positions along one axis for which the same taps lie inside the image.
struct Band {
    int64_t begin, end;
    TapRange taps;
};

// Some pixels of a task and the taps they have inside the image, the first and the last of them.
struct Segment {
    int64_t begin, end;
    TapRange rows, columns;
};

// How a problem is cut; by its shape alone. A task is a block of windows and a group of panels, of one group of
// channels.
struct Plan {
    ConvWindows windows;
    int64_t taps, length;             // a window is `taps` contiguous runs
    int64_t chunk_taps, chunk_parts;  // a chunk is several runs, or a run is several chunks
    bool by_tap;                      // each tap by itself, where it lies in the image: no copy with padding
    int64_t panels, panel_group, panel_groups;
    int64_t tasks;
    int64_t chunks() const { return ceil_div(taps, chunk_taps) * chunk_parts; }
};

// A task has fewer than kItemPixels when there would be too few tasks to share.
Plan make_plan(const DirectConv& s) {
    const Conv2dKernels& kernel = kernels().conv2d;
    const int64_t pixels = s.n * s.p * s.q, macs = std::max<int64_t>(s.k(), 1) * s.o * s.groups;
    const int64_t wanted = std::clamp<int64_t>(pixels * macs / kTaskMacs, 1, kTasks);
    const int64_t items = ceil_div(pixels, kItemPixels) * s.groups;
    Plan plan{};
    plan.panels = ceil_div(s.o, kernel.panel_columns);
    plan.panel_groups = 1;
    int64_t target = kItemPixels;
    if (items < wanted) {
        if (s.k() * s.o > kResidentFilters) plan.panel_groups = std::min(plan.panels, ceil_div(wanted, items));
        const int64_t pieces = ceil_div(wanted, s.groups * plan.panel_groups);
        target = std::clamp<int64_t>(ceil_div(pixels, pieces), 4 * kernel.tile_rows, kItemPixels);
    }
    plan.panel_group = ceil_div(plan.panels, plan.panel_groups);
    plan.panel_groups = ceil_div(plan.panels, plan.panel_group);
    plan.by_tap = s.r * s.s > 1 && s.c >= kTapChannels;
    plan.windows =
        plan_windows(s, target, kBufferFloats, plan.by_tap ? WindowPlace::in_place : WindowPlace::in_place_inside);
    const bool runs = s.dilation_w == 1 && plan.windows.pixel_step == s.c && !plan.by_tap;
    plan.taps = s.k() == 0 ? 0 : runs ? s.r : s.r * s.s;
    plan.length = runs ? s.s * s.c : s.c;
    plan.chunk_parts = std::max<int64_t>(1, ceil_div(plan.length, kChunk));
    plan.chunk_taps = plan.by_tap || plan.length == 0 ? 1 : std::max<int64_t>(1, 3 * kChunk / 2 / plan.length);
    plan.tasks = s.groups * plan.windows.row_blocks * plan.windows.column_blocks * plan.panel_groups;
    return plan;
}

// bands[out], of which the count is returned.
int64_t find_bands(bool by_tap, int64_t out, int64_t taps, int64_t stride, int64_t dilation, int64_t pad, int64_t in,
                   Band* bands) {
    if (!by_tap) {
        bands[0] = {0, out, {0, taps}};
        return 1;
    }
    int64_t count = 0;
    for (int64_t i = 0; i < out; ++i) {
        TapRange range = taps_inside(i * stride - pad, taps, dilation, in);
        if (range.begin >= range.end) range = {0, 0};
        if (count && bands[count - 1].taps.begin == range.begin && bands[count - 1].taps.end == range.end) {
            ++bands[count - 1].end;
        } else {
            bands[count++] = {i, i + 1, range};
        }
    }
    return count;
}

// What a task reads and writes: rows [f0,f1) of all images, columns [q0,q1), panels [first,last).
struct Task {
    int64_t f0, f1, q0, q1;
    int64_t first, last;
    const float* x;  // at the group's channels
    const float* filters;
    const float* bias;
    const float* residual;  // as y
    Activation act;
    float* y;
};

// Scratch of one worker.
struct Lists {
    float* buffer;
    const float** row;     // windows at the start of each row
    const float** window;  // of each pixel, and one more
    float** output;
};

// Windows and outputs of a task's pixels, those of a segment together; then where the next task's windows may start.
int64_t list_pixels(const DirectConv& s, const ConvWindows& v, const Task& task, const Band* rows, int64_t row_count,
                    const Band* columns, int64_t column_count, Lists lists, Segment* segments) {
    for (int64_t f = task.f0; f < task.f1;) {
        const int64_t image = f / s.p, p0 = f % s.p, count = std::min(s.p - p0, task.f1 - f);
        const float* start = place_windows(s, v, task.x, image, p0, count, task.q0, task.q1, lists.buffer);
        for (int64_t i = 0; i < count; ++i) lists.row[f - task.f0 + i] = start + i * v.step_h * v.row_step;
        f += count;
    }
    int64_t count = 0, pixel = 0;
    for (int64_t i = 0; i < row_count; ++i) {
        for (int64_t j = 0; j < column_count; ++j) {
            const int64_t begin = pixel;
            const int64_t q0 = std::max(task.q0, columns[j].begin), q1 = std::min(task.q1, columns[j].end);
            for (int64_t f = task.f0; f < task.f1; ++f) {
                const int64_t p = f % s.p;
                if (p < rows[i].begin || p >= rows[i].end) continue;
                float* y_row = task.y + f / s.p * s.y_image + p * s.y_row;
                for (int64_t q = q0; q < q1; ++q, ++pixel) {
                    lists.window[pixel] = lists.row[f - task.f0] + (q - task.q0) * v.step_w * v.pixel_step;
                    lists.output[pixel] = y_row + q * s.y_pixel;
                }
            }
            if (pixel > begin) segments[count++] = {begin, pixel, rows[i].taps, columns[j].taps};
        }
    }
    if (pixel) lists.window[pixel] = lists.window[pixel - 1] + v.step_w * v.pixel_step;
    return count;
}

// All of a task's panels stay in L2.
bool resident(const DirectConv& s, const Task& task) {
    return s.k() * (task.last - task.first) * kernels().conv2d.panel_columns <= kResidentFilters;
}

// The pixels of some segments times the panels of a task, chunk by chunk of k.
void run_panels(const DirectConv& s, const Plan& plan, const int64_t* tap, const Task& task, const Lists& lists,
                const Segment* segments, int64_t count) {
    const int64_t width = kernels().conv2d.panel_columns, lanes = kernels().vector_width;
    ConvPanel panel{};
    panel.act = task.act;
    panel.residual = task.residual;
    panel.start = task.y;
    panel.b_streams = !resident(s, task);
    const auto run = [&](const Segment& segment) {
        panel.pixels = segment.end - segment.begin;
        panel.x = lists.window + segment.begin;
        panel.y = lists.output + segment.begin;
        kernels().conv2d.panel(panel);
    };
    const auto empty = [&](const Segment& segment) {
        return plan.taps == 0 || segment.rows.begin >= segment.rows.end || segment.columns.begin >= segment.columns.end;
    };
    for (int64_t j = task.first; j < task.last; ++j) {
        panel.columns = static_cast<int>(std::min(width, s.o - j * width));
        panel.bias = task.bias ? task.bias + j * width : nullptr;
        panel.y_offset = j * width;
        panel.taps = 0;
        panel.accumulate = false;
        panel.finish = true;
        for (int64_t i = 0; i < count; ++i)
            if (empty(segments[i])) run(segments[i]);
        const float* filters = task.filters + j * width * s.k();
        const int64_t padded = ceil_div(panel.columns, lanes) * lanes;
        for (int64_t chunk = 0; chunk < plan.chunks(); ++chunk) {
            const int64_t t = chunk / plan.chunk_parts * plan.chunk_taps, part = chunk % plan.chunk_parts;
            const int64_t begin = plan.length * part / plan.chunk_parts;
            const int64_t start = tap[t] + begin;
            panel.taps = std::min(plan.chunk_taps, plan.taps - t);
            panel.length = plan.length * (part + 1) / plan.chunk_parts - begin;
            panel.tap = plan.chunk_taps == 1 ? &start : tap + t;
            panel.b = filters + (t * plan.length + begin) * padded;
            for (int64_t i = 0; i < count; ++i) {
                const Segment& g = segments[i];
                int64_t first = 0, last = plan.taps - 1;
                if (plan.by_tap) {
                    if (empty(g) || t / s.s < g.rows.begin || t / s.s >= g.rows.end || t % s.s < g.columns.begin ||
                        t % s.s >= g.columns.end)
                        continue;
                    first = g.rows.begin * s.s + g.columns.begin;
                    last = (g.rows.end - 1) * s.s + g.columns.end - 1;
                }
                panel.accumulate = t > first || part > 0;
                panel.finish = t + panel.taps > last && part == plan.chunk_parts - 1;
                run(g);
            }
        }
    }
}

// Resident panels: some pixels at a time, so that their windows stay near; else a chunk of a panel for all pixels.
void run_task(const DirectConv& s, const Plan& plan, const int64_t* tap, const Task& task, const Lists& lists,
              const Segment* segments, int64_t count) {
    if (!resident(s, task)) return run_panels(s, plan, tap, task, lists, segments, count);
    for (int64_t i = 0; i < count; ++i) {
        Segment piece = segments[i];
        for (; piece.begin < segments[i].end; piece.begin = piece.end) {
            piece.end = std::min(segments[i].end, piece.begin + kPixelBlock);
            run_panels(s, plan, tap, task, lists, &piece, 1);
        }
    }
}

}  // namespace

int64_t packed_filter_size(const DirectConv& s) {
    const int64_t width = kernels().vector_width;
    return s.k() * ceil_div(s.o, width) * width;
}

void direct_conv(const DirectConv& problem, const float* x, const float* filters, const ConvEpilogue& after, float* y) {
    const DirectConv s = merge_pixels(problem);
    if (s.n * s.p * s.q == 0) return;
    const Plan plan = make_plan(s);
    const ConvWindows& v = plan.windows;
    Scratch<int64_t> tap(plan.taps);
    for (int64_t t = 0; t < plan.taps; ++t)
        tap.data()[t] = plan.length == s.s * s.c ? v.tap(s, t, 0) : v.tap(s, t / s.s, t % s.s);
    Scratch<Band> rows(plan.by_tap ? s.p : 1), columns(plan.by_tap ? s.q : 1);
    const int64_t row_bands = find_bands(plan.by_tap, s.p, s.r, s.stride_h, s.dilation_h, s.pad_top, s.h, rows.data());
    const int64_t column_bands =
        find_bands(plan.by_tap, s.q, s.s, s.stride_w, s.dilation_w, s.pad_left, s.w, columns.data());
    const int64_t workers = worker_count(plan.tasks), pixels = v.rows * v.columns, most = row_bands * column_bands;
    const int64_t windows_size = pixels + 1;
    Scratch<float> buffers(workers * v.buffer);
    Scratch<const float*> windows(workers * (windows_size + v.rows));
    Scratch<float*> outputs(workers * pixels);
    Scratch<Segment> segments(workers * most);
    parallel_for(plan.tasks, workers, [&](int64_t index, int64_t worker) {
        const int64_t panels = index % plan.panel_groups, rest = index / plan.panel_groups;
        const int64_t group = rest / (v.column_blocks * v.row_blocks);
        Task task{};
        task.q0 = rest % v.column_blocks * v.columns;
        task.q1 = std::min(s.q, task.q0 + v.columns);
        task.f0 = rest / v.column_blocks % v.row_blocks * v.rows;
        task.f1 = std::min(s.n * s.p, task.f0 + v.rows);
        task.first = panels * plan.panel_group;
        task.last = std::min(plan.panels, task.first + plan.panel_group);
        task.x = x + group * s.c;
        task.filters = filters + group * packed_filter_size(s);
        task.bias = after.bias ? after.bias + group * s.o : nullptr;
        task.residual = after.residual ? after.residual + group * s.o : nullptr;
        task.act = after.act;
        task.y = y + group * s.o;
        const float** window = windows.data() + worker * (windows_size + v.rows);
        const Lists lists{buffers.data() + worker * v.buffer, window + windows_size, window,
                          outputs.data() + worker * pixels};
        Segment* const list = segments.data() + worker * most;
        const int64_t count =
            list_pixels(s, v, task, rows.data(), row_bands, columns.data(), column_bands, lists, list);
        run_task(s, plan, tap.data(), task, lists, list, count);
    });
}

}  // namespace ck::cpu
