// Driver of the matrix product, after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008)
// and BLIS: panels of B and blocks of A are packed into the order in which the register tile reads them, k is cut into
// blocks that keep both in cache. m, n, k as in GemmShape; a task is a block of m, a group of panels of n, a chunk of
// k.
#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"

namespace ck::cpu {
namespace {

// Element (i,p), i along m or n, is data[i*row + p*step]; one of the strides is 1.
struct Operand {
    const float* data;
    int64_t row, step;
};

struct Problem {
    int64_t m, n, k;
    Operand a, b;
    const float* bias;
    Activation act;
    float* c;  // [m,n]
};

constexpr int64_t kBlockK = 320;              // a panel of 64 columns is 80 KiB, a tile of A 9 KiB
constexpr int64_t kBlockM = 168;              // 168 x 320 floats of A = 210 KiB of a 1 MiB L2, beside the panel
constexpr int64_t kGroupColumns = 256;        // what packing a block of A must be paid back by
constexpr double kTaskFlops = 4e6;            // about 40 us
constexpr double kTasks = 64;                 // enough for 16 threads
constexpr int64_t kSplitOutputs = 256 * 256;  // up to here c fits the L2, and k is cut rather than c
constexpr int64_t kThinGrain = 64 * 1024;     // elements of B a task of dot products reads: 256 KiB

// How a problem is cut; by its shape alone.
struct Plan {
    int64_t tile_rows, tile_columns;
    int64_t block_m, blocks_m;       // rows
    int64_t group, groups;           // panels
    int64_t block_k, chunk, chunks;  // k of a block, of a task, and tasks along k
    bool pack_a;
    bool share_b;  // packed once for all tasks, else by each task for itself
};

int64_t balanced(int64_t total, int64_t most, int64_t unit) {  // pieces of at most `most`, equal but for the last
    if (total == 0) return unit;
    const int64_t pieces = ceil_div(total, most);
    return ceil_div(ceil_div(total, pieces), unit) * unit;
}

Plan make_plan(const Problem& g) {
    const GemmKernels& kernel = kernels().gemm;
    Plan plan;
    const bool narrow = g.n <= kernel.narrow_columns;
    plan.tile_rows = balanced(g.m, narrow ? kernel.narrow_rows : kernel.tile_rows, 1);
    plan.tile_columns = narrow ? kernel.narrow_columns : kernel.tile_columns;
    const int64_t panels = ceil_div(g.n, plan.tile_columns);
    const double flops = 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
    const int64_t wanted = static_cast<int64_t>(std::clamp(flops / kTaskFlops, 1.0, kTasks));
    plan.block_k = balanced(g.k, kBlockK, 8);
    plan.block_m = balanced(g.m, std::max(plan.tile_rows, kBlockM), plan.tile_rows);
    plan.chunk = std::max<int64_t>(g.k, 1);
    plan.group = panels;
    if (g.m * g.n <= kSplitOutputs && g.k > plan.block_k) {
        plan.block_m = ceil_div(g.m, plan.tile_rows) * plan.tile_rows;
        const int64_t blocks_k = ceil_div(g.k, plan.block_k);
        plan.chunk = ceil_div(blocks_k, std::min(blocks_k, wanted)) * plan.block_k;
    } else {
        const int64_t groups = ceil_div(wanted, ceil_div(g.m, plan.block_m));
        const int64_t least = ceil_div(kGroupColumns, plan.tile_columns);
        plan.group = std::min(panels, std::max(least, ceil_div(panels, groups)));
    }
    plan.blocks_m = ceil_div(g.m, plan.block_m);
    plan.groups = ceil_div(panels, plan.group);
    plan.chunks = ceil_div(std::max<int64_t>(g.k, 1), plan.chunk);
    plan.pack_a = panels > 1;
    plan.share_b = plan.blocks_m > 1;
    return plan;
}

// Panels [first,last) of B, rows [p0,p0+k): [panel][k][tile_columns].
void pack_panels(const Problem& g, const Plan& plan, int64_t first, int64_t last, int64_t p0, int64_t k, float* dst) {
    for (int64_t q = first; q < last; ++q, dst += k * plan.tile_columns) {
        const int64_t j = q * plan.tile_columns;
        kernels().gemm.pack(std::min(plan.tile_columns, g.n - j), k, g.b.data + j * g.b.row + p0 * g.b.step, g.b.row,
                            g.b.step, dst, plan.tile_columns);
    }
}

// The block of k that starts at p0 lies at p0 * panels * tile_columns.
void pack_all_panels(const Problem& g, const Plan& plan, float* dst) {
    const int64_t panels = ceil_div(g.n, plan.tile_columns), blocks_k = ceil_div(g.k, plan.block_k);
    parallel_for(blocks_k * panels, [&](int64_t task, int64_t) {
        const int64_t q = task % panels, p0 = task / panels * plan.block_k, k = std::min(plan.block_k, g.k - p0);
        pack_panels(g, plan, q, q + 1, p0, k, dst + (p0 * panels + q * k) * plan.tile_columns);
    });
}

// Rows [i0,i0+m) of A: [tile][k][tile_rows].
void pack_rows(const Problem& g, const Plan& plan, int64_t i0, int64_t m, int64_t p0, int64_t k, float* dst) {
    for (int64_t i = 0; i < m; i += plan.tile_rows, dst += k * plan.tile_rows) {
        kernels().gemm.pack(std::min(plan.tile_rows, m - i), k, g.a.data + (i0 + i) * g.a.row + p0 * g.a.step, g.a.row,
                            g.a.step, dst, plan.tile_rows);
    }
}

void finish(const Problem& g, int64_t m, int64_t n, int64_t j, float* c) {
    if (g.bias || g.act.kind != ActivationKind::none)
        kernels().gemm.epilogue(m, n, g.bias ? g.bias + j : nullptr, g.act, c, g.n);
}

// One task: rows [i0,i0+m), panels [first,last), k [begin,end), into c [m,n]; packs into the worker's scratch.
void multiply_block(const Problem& g, const Plan& plan, int64_t block, int64_t group, int64_t chunk,
                    const float* packed_b, float* scratch, float* c) {
    const int64_t panels = ceil_div(g.n, plan.tile_columns);
    const int64_t i0 = block * plan.block_m, m = std::min(plan.block_m, g.m - i0);
    const int64_t first = group * plan.group, last = std::min(panels, first + plan.group);
    const int64_t j0 = first * plan.tile_columns, n = std::min(g.n, last * plan.tile_columns) - j0;
    const int64_t begin = chunk * plan.chunk, end = std::min(g.k, begin + plan.chunk);
    float* scratch_b = scratch + (plan.pack_a ? (plan.block_m + 1) * plan.block_k : 0);
    GemmBlock s{};
    s.m = m;
    s.n = n;
    s.tile_rows = static_cast<int>(plan.tile_rows);
    s.tile_columns = static_cast<int>(plan.tile_columns);
    s.b_k = plan.tile_columns;
    s.c = c + i0 * g.n + j0;
    s.c_row = g.n;
    int64_t p0 = begin;
    do {
        s.k = std::min(plan.block_k, end - p0);
        if (plan.pack_a) {
            pack_rows(g, plan, i0, m, p0, s.k, scratch);
            s.a = scratch;
            s.a_tile = s.k * plan.tile_rows;
            s.a_row = 1;
            s.a_k = plan.tile_rows;
        } else {
            s.a = g.a.data + i0 * g.a.row + p0 * g.a.step;
            s.a_tile = plan.tile_rows * g.a.row;
            s.a_row = g.a.row;
            s.a_k = g.a.step;
        }
        s.b_panel = s.k * plan.tile_columns;
        s.b = packed_b + p0 * panels * plan.tile_columns + first * s.b_panel;
        if (!plan.share_b) {
            pack_panels(g, plan, first, last, p0, s.k, scratch_b);
            s.b = scratch_b;
        }
        s.accumulate = p0 > begin;
        kernels().gemm.block(s);
        p0 += plan.block_k;
    } while (p0 < end);
    if (plan.chunks == 1) finish(g, m, n, j0, s.c);
}

void multiply(const Problem& g) {
    const Plan plan = make_plan(g);
    const int64_t panels = ceil_div(g.n, plan.tile_columns);
    const int64_t tasks = plan.blocks_m * plan.groups * plan.chunks;
    Scratch<float> packed_b(plan.share_b ? panels * plan.tile_columns * g.k : 0);
    if (plan.share_b) pack_all_panels(g, plan, packed_b.data());
    // One row more than the block: packing writes whole vectors.
    const int64_t scratch_a = plan.pack_a ? (plan.block_m + 1) * plan.block_k : 0;
    const int64_t scratch_b = plan.share_b ? 0 : plan.group * plan.tile_columns * plan.block_k;
    const int64_t scratch_worker = ceil_div(scratch_a + scratch_b, 1024) * 1024;  // no line shared by two workers
    Scratch<float> scratch(scratch_worker * worker_count(tasks));
    Scratch<float> parts(plan.chunks > 1 ? plan.chunks * g.m * g.n : 0);
    parallel_for(tasks, [&](int64_t task, int64_t worker) {
        const int64_t chunk = task / (plan.blocks_m * plan.groups), rest = task % (plan.blocks_m * plan.groups);
        multiply_block(g, plan, rest / plan.groups, rest % plan.groups, chunk, packed_b.data(),
                       scratch.data() + worker * scratch_worker,
                       plan.chunks > 1 ? parts.data() + chunk * g.m * g.n : g.c);
    });
    if (plan.chunks == 1) return;
    parallel_ranges(g.m, ceil_div(16 * 1024, g.n), [&](int64_t i, int64_t end) {  // in the order of k
        kernels().gemm.sum_parts(plan.chunks, (end - i) * g.n, parts.data() + i * g.n, g.m * g.n, g.c + i * g.n);
        finish(g, end - i, g.n, 0, g.c + i * g.n);
    });
}

// Few rows of A against rows of B that are contiguous in k: every element of B is used where it lies.
void multiply_thin(const Problem& g) {
    const int64_t grain = ceil_div(ceil_div(kThinGrain, std::max<int64_t>(g.k, 1)), 4) * 4;
    parallel_ranges(g.n, grain, [&](int64_t j, int64_t end) {
        kernels().gemm.dots(g.m, end - j, g.k, g.a.data, g.a.row, g.b.data + j * g.b.row, g.b.row, g.c + j, g.n);
        finish(g, g.m, end - j, j, g.c + j);
    });
}

}  // namespace

void gemm(const GemmShape& s, const float* a, const float* b, const float* bias, Activation act, float* c) {
    if (s.m == 0 || s.n == 0) return;
    Problem g{
        s.m,  s.n, s.k, {a, s.trans_a ? 1 : s.k, s.trans_a ? s.m : 1}, {b, s.trans_b ? s.k : 1, s.trans_b ? 1 : s.n},
        bias, act, c};
    if (g.m <= kernels().gemm.thin_rows && g.b.step == 1 && (g.a.step == 1 || g.k <= 1)) return multiply_thin(g);
    multiply(g);
}

}  // namespace ck::cpu
