// Driver of the matrix product, after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008)
// and BLIS: panels of B and, where it pays, blocks of A are packed into the order in which the register tile reads
// them, and k is cut into blocks that keep both in cache. A task is a block of rows, a group of columns and, when c is
// small, a chunk of k. Thin products read B where it lies.
#include <algorithm>

#include "core/allocator.h"
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"
#include "cpu/packing.h"

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
    DerivedCache* packed_b;  // may be null
    const float* bias;       // [n] or null
    Activation act;
    float* c;  // [m,n]
    bool finish() const { return bias || act.kind != ActivationKind::none; }
};

constexpr int64_t kBlockK = 192;            // sums as short as MKL's, for its rounding error; 320 is 2-3 % faster
constexpr int64_t kBlockM = 168;            // 126 KiB of A stay in the L2 beside a panel of B of 48 KiB
constexpr int64_t kGroupColumns = 256;      // least columns of a task: they pay for packing its block of A, if it is
constexpr double kTaskFlops = 4e6;          // about 40 us
constexpr int64_t kTasks = 64;              // enough for 16 threads
constexpr int64_t kGridTasks = 4;           // c in fewer blocks than this is one block, at most 512 KiB, and k is cut
constexpr int64_t kChunks = 16;             // most copies of c that a product cut along k adds up
constexpr int64_t kThinRows = 64;           // up to here reading B once per 4 rows beats packing it
constexpr int64_t kSumGrain = 16 * 1024;    // outputs whose chunks a task adds up
constexpr int64_t kFewRows = 16;            // of A: packing B takes longer than its use, 20 to 30 % of the product
constexpr int64_t kFewColumns = 8;          // of B, beside which A is read from end to end, not a block of k at a time,
constexpr int64_t kFarA = 2 * 1024 * 1024;  // when it has so many elements: 8 MiB
constexpr int64_t kLongRow = 64;   // of A, below which adding up the lanes of a dot product takes longer than it saves
constexpr int64_t kRowChunk = 32;  // rows of B that pay for writing and adding up one row of c
constexpr int64_t kThinA = 64 * 1024;      // elements of A that dot products go through again and again: 256 KiB
constexpr int64_t kThinGrain = 64 * 1024;  // elements of B a task of dot products reads: 256 KiB

// How a problem is cut; by its shape alone.
struct Plan {
    int64_t tile_rows, tile_columns;
    int64_t padded_m, padded_n;      // whole tiles, whole panels
    int64_t block_m, blocks_m;       // rows of a task
    int64_t group, groups;           // columns of a task
    int64_t block_k, chunk, chunks;  // k of a packed block, of a task
    bool pack_a;
    bool share_a, share_b;  // packed once for all tasks, else by each task for itself

    int64_t tasks() const { return blocks_m * groups * chunks; }
    int64_t scratch_a() const { return pack_a && !share_a ? block_m * block_k : 0; }
    int64_t scratch_b() const { return share_b ? 0 : group * block_k; }
    int64_t scratch() const { return ceil_div(scratch_a() + scratch_b(), 1024) * 1024; }  // no line for two workers
};

int64_t balanced(int64_t total, int64_t most, int64_t unit) {  // pieces of at most `most`, equal but for the last
    if (total == 0) return unit;
    const int64_t pieces = ceil_div(total, most);
    return ceil_div(ceil_div(total, pieces), unit) * unit;
}

double flops(const Problem& g) {
    return 2.0 * static_cast<double>(g.m) * static_cast<double>(g.n) * static_cast<double>(g.k);
}

Plan make_plan(const Problem& g) {
    const GemmKernels& kernel = kernels().gemm;
    Plan plan;
    const bool narrow = g.n <= kernel.narrow_columns;
    plan.tile_rows = balanced(g.m, narrow ? kernel.narrow_rows : kernel.tile_rows, 1);
    plan.tile_columns = narrow ? kernel.narrow_columns : kernel.tile_columns;
    plan.padded_m = ceil_div(g.m, plan.tile_rows) * plan.tile_rows;
    plan.padded_n = ceil_div(g.n, plan.tile_columns) * plan.tile_columns;
    plan.block_k = balanced(g.k, kBlockK, 8);
    // Packing A pays unless it is used by one panel, or lies in so short rows that a block is nearly dense. Contiguous
    // in k it has to be transposed, for which it must be hard to read where it lies.
    plan.pack_a = g.n > plan.tile_columns && (g.a.row == 1 ? g.m > kBlockM : g.k > kBlockK && !kernels().far_operands);
    const int64_t blocks_m = ceil_div(g.m, kBlockM), blocks_n = ceil_div(g.n, kGroupColumns);
    const int64_t tasks = static_cast<int64_t>(std::clamp(flops(g) / kTaskFlops, 1.0, double{kTasks}));
    if (blocks_m * blocks_n < kGridTasks && g.k > plan.block_k) {
        const int64_t blocks_k = ceil_div(g.k, plan.block_k);
        plan.block_m = plan.padded_m;
        plan.group = plan.padded_n;
        plan.chunk = ceil_div(blocks_k, std::min(kChunks, tasks)) * plan.block_k;
    } else {
        plan.block_m = balanced(g.m, kBlockM, plan.tile_rows);
        const int64_t columns = ceil_div(g.n, ceil_div(tasks, blocks_m));
        plan.group = balanced(g.n, std::max(kGroupColumns, columns), plan.tile_columns);
        plan.chunk = std::max<int64_t>(g.k, 1);
    }
    plan.blocks_m = ceil_div(g.m, plan.block_m);
    plan.groups = ceil_div(g.n, plan.group);
    plan.chunks = ceil_div(std::max<int64_t>(g.k, 1), plan.chunk);
    plan.share_a = plan.pack_a && plan.groups > 1 && g.a.row == 1;
    plan.share_b = plan.blocks_m > 1;
    return plan;
}

// Rows [i,i+rows) and k [p,p+k) of an operand as panels of `width` rows: [panel][k][width].
void pack(const Operand& x, int64_t i, int64_t rows, int64_t p, int64_t k, int64_t width, float* dst) {
    kernels().gemm.pack(rows, k, x.data + i * x.row + p * x.step, x.row, x.step, dst, width);
}

// All `rows` of an operand, `group` rows a task, a multiple of `width`: the block of k that starts at p lies at p times
// the number of rows, in whole panels.
void pack_all(const Operand& x, int64_t rows, int64_t group, int64_t k, int64_t block_k, int64_t width, float* dst) {
    const int64_t padded = ceil_div(rows, width) * width, groups = ceil_div(rows, group);
    parallel_for(ceil_div(k, block_k) * groups, [&](int64_t task) {
        const int64_t i = task % groups * group, p = task / groups * block_k, count = std::min(block_k, k - p);
        pack(x, i, std::min(group, rows - i), p, count, width, dst + p * padded + i * count);
    });
}

void pack_a(const Problem& g, const Plan& plan, float* dst) {
    pack_all(g.a, g.m, plan.block_m, g.k, plan.block_k, plan.tile_rows, dst);
}
void pack_b(const Problem& g, const Plan& plan, float* dst) {
    const int64_t group = ceil_div(kGroupColumns, plan.tile_columns) * plan.tile_columns;
    pack_all(g.b, g.n, group, g.k, plan.block_k, plan.tile_columns, dst);
}

uint64_t key_of_b(const Problem& g, const Plan& plan) {
    return packing_key(Packing::gemm_b, {g.n, g.k, g.b.row, plan.tile_columns, plan.block_k});
}

// Columns [j,j+n) of m rows of c
void finish(const Problem& g, int64_t m, int64_t n, int64_t j, float* c) {
    if (g.finish()) kernels().gemm.epilogue(m, n, g.bias ? g.bias + j : nullptr, g.act, c, g.n);
}

// Operands that all tasks share; others are packed by each task.
struct Packed {
    const float *a, *b;
};

// One task: a block of rows, a group of panels, a chunk of k, into c [m,n]. Packs into the worker's scratch.
void multiply_block(const Problem& g, const Plan& plan, int64_t task, Packed packed, float* scratch, float* c) {
    const int64_t i = task / plan.groups % plan.blocks_m * plan.block_m, j = task % plan.groups * plan.group;
    const int64_t begin = task / (plan.groups * plan.blocks_m) * plan.chunk, end = std::min(g.k, begin + plan.chunk);
    float* scratch_b = scratch + plan.scratch_a();
    GemmBlock s{};
    s.m = std::min(plan.block_m, g.m - i);
    s.n = std::min(plan.group, g.n - j);
    s.tile_rows = static_cast<int>(plan.tile_rows);
    s.tile_columns = static_cast<int>(plan.tile_columns);
    s.b_k = plan.tile_columns;
    s.c = c + i * g.n + j;
    s.c_row = g.n;
    s.bias = g.bias ? g.bias + j : nullptr;
    s.act = g.act;
    int64_t p = begin;
    do {
        s.k = std::min(plan.block_k, end - p);
        if (plan.pack_a) {
            if (!plan.share_a) pack(g.a, i, s.m, p, s.k, plan.tile_rows, scratch);
            s.a = plan.share_a ? packed.a + p * plan.padded_m + i * s.k : scratch;
            s.a_tile = s.k * plan.tile_rows;
            s.a_row = 1;
            s.a_k = plan.tile_rows;
        } else {
            s.a = g.a.data + i * g.a.row + p * g.a.step;
            s.a_tile = plan.tile_rows * g.a.row;
            s.a_row = g.a.row;
            s.a_k = g.a.step;
        }
        if (plan.share_b) {
            s.b = packed.b + p * plan.padded_n + j * s.k;
        } else {
            pack(g.b, j, s.n, p, s.k, plan.tile_columns, scratch_b);
            s.b = scratch_b;
        }
        s.b_panel = s.k * plan.tile_columns;
        s.accumulate = p > begin;
        p += plan.block_k;
        const int64_t next_k = std::min(plan.block_k, end - p);  // of the block that is fetched meanwhile
        s.next_b = plan.share_b && p < end ? packed.b + p * plan.padded_n + j * next_k : nullptr;
        s.next_a = plan.share_a && p < end ? packed.a + p * plan.padded_m + i * next_k : nullptr;
        // Rows of a long A are far in the last block as well, which has no next.
        if (!plan.pack_a && g.a.step == 1 && end - begin > plan.block_k) s.next_a = s.a + (p < end ? s.k : 0);
        s.finish = p >= end && plan.chunks == 1 && g.finish();
        kernels().gemm.block(s);
    } while (p < end);
}

// c = activation(sum of the chunks' products in the order of k + bias); rows of the parts are `row` apart.
void add_chunks(const Problem& g, int64_t chunks, const float* parts /*[chunks,m,row]*/, int64_t row) {
    const int64_t n = std::min(g.n, kSumGrain), m = n < g.n ? 1 : ceil_div(kSumGrain, g.n), groups = ceil_div(g.n, n);
    parallel_for(ceil_div(g.m, m) * groups, [&](int64_t task) {
        const int64_t i = task / groups * m, j = task % groups * n, rows = std::min(m, g.m - i);
        const int64_t columns = std::min(n, g.n - j);
        float* c = g.c + i * g.n + j;
        for (int64_t q = 0; q < rows; ++q)
            kernels().gemm.sum_parts(chunks, columns, parts + (i + q) * row + j, g.m * row, c + q * g.n);
        finish(g, rows, columns, j, c);
    });
}

void multiply(const Problem& g) {
    Plan plan = make_plan(g);
    const uint64_t key = key_of_b(g, plan);
    const auto found = g.packed_b && g.k > 0 ? g.packed_b->find(key) : DerivedCache::Lookup{};
    plan.share_b |= found.buffer || found.wanted;
    const PackedWeights packed_b(g.packed_b, key, found, plan.share_b ? plan.padded_n * g.k : 0, [&](float* to) {
        if (plan.share_b) pack_b(g, plan, to);
    });
    const int64_t tasks = plan.tasks(), blocks = plan.blocks_m * plan.groups, workers = worker_count(tasks);
    Scratch<float> packed_a(plan.share_a ? plan.padded_m * g.k : 0);
    if (plan.share_a) pack_a(g, plan, packed_a.data());
    Scratch<float> scratch(workers * plan.scratch());
    Scratch<float> parts(plan.chunks > 1 ? plan.chunks * g.m * g.n : 0);
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        float* c = plan.chunks > 1 ? parts.data() + task / blocks * g.m * g.n : g.c;
        multiply_block(g, plan, task, {packed_a.data(), packed_b.data()}, scratch.data() + worker * plan.scratch(), c);
    });
    if (plan.chunks > 1) add_chunks(g, plan.chunks, parts.data(), g.n);
}

// c[m,columns], rows g.n apart, from `columns` columns of B from j on and k values from p on.
void dots(const Problem& g, int64_t p, int64_t k, int64_t j, int64_t columns, float* c) {
    const int64_t rows = balanced(g.m, kernels().gemm.dot_rows, 1);
    for (int64_t i = 0; i < g.m; i += rows)
        kernels().gemm.dots(std::min(rows, g.m - i), columns, k, g.a.data + i * g.a.row + p, g.a.row,
                            g.b.data + j * g.b.row + p, g.b.row, c + i * g.n, g.n);
}

// Few rows of A against rows of B, both contiguous in k: dot products of what lies in memory. A task is a range of rows
// of B and a chunk of k that keeps A in the L2.
void multiply_dots(const Problem& g) {
    const int64_t chunk = balanced(g.k, kThinA / g.m, 64), chunks = ceil_div(g.k, chunk);
    const int64_t n = ceil_div(ceil_div(kThinGrain, chunk), 4) * 4, groups = ceil_div(g.n, n);
    Scratch<float> parts(chunks > 1 ? chunks * g.m * g.n : 0);
    parallel_for(chunks * groups, [&](int64_t task) {
        const int64_t q = task / groups, p = q * chunk, j = task % groups * n, columns = std::min(n, g.n - j);
        float* c = (chunks > 1 ? parts.data() + q * g.m * g.n : g.c) + j;
        dots(g, p, std::min(chunk, g.k - p), j, columns, c);
        if (chunks == 1) finish(g, g.m, columns, j, c);
    });
    if (chunks > 1) add_chunks(g, chunks, parts.data(), g.n);
}

// A few rows of A against rows of B contiguous in n: chunks of long rows, so that memory is read from end to end.
void multiply_few_rows(const Problem& g) {
    const int64_t n = std::min(g.n, kSumGrain / g.m), groups = ceil_div(g.n, n);
    const int64_t least = std::max({kRowChunk * g.m, ceil_div(kThinGrain, n), ceil_div(g.k, kTasks)});
    const int64_t chunk = balanced(g.k, least, 1), chunks = ceil_div(g.k, chunk);
    const int64_t row = ceil_div(g.n, 16) * 16 + 16;  // rows of B are often pages apart: those of c must not be too
    Scratch<float> parts(chunks * g.m * row);
    parallel_for(chunks * groups, [&](int64_t task) {
        const int64_t p = task / groups * chunk, j = task % groups * n;
        kernels().gemm.combine_rows(g.m, std::min(n, g.n - j), std::min(chunk, g.k - p), g.a.data + p * g.a.step,
                                    g.a.row, g.a.step, g.b.data + p * g.b.step + j, g.b.step,
                                    parts.data() + task / groups * g.m * row + j, row);
    });
    add_chunks(g, chunks, parts.data(), row);
}

Problem make_problem(const GemmShape& s, const float* a, const float* b, float* c) {
    Problem g{};
    g.m = s.m;
    g.n = s.n;
    g.k = s.k;
    g.a = {a, s.trans_a ? 1 : s.k, s.trans_a ? s.m : 1};
    g.b = {b, s.trans_b ? s.k : 1, s.trans_b ? 1 : s.n};
    g.c = c;
    return g;
}

// Rows of A, of which there are few, against rows of B.
bool is_dots(const Problem& g) {
    return g.k > 0 && g.m <= kThinRows && g.k >= 4 * (g.m - 1) && g.a.step == 1 && g.b.step == 1;
}
bool is_few_rows(const Problem& g) {
    return g.k > 0 && g.m <= kFewRows && g.b.row == 1;
}

bool is_few_columns(const Problem& g) {
    return g.n > 1 && g.n <= kFewColumns && g.a.step == 1 && g.m > kFewRows && g.k >= kLongRow && g.m * g.k >= kFarA;
}

// c^T = B^T A^T, dot products of A's rows with few others.
void multiply_few_columns(const Problem& g) {
    Scratch<float> columns(g.n * g.k), sums(g.n * g.m);
    if (g.b.row == 1) kernels().gemm.pack(g.k, g.n, g.b.data, g.b.step, 1, columns.data(), g.k);
    Problem transposed{};
    transposed.m = g.n;
    transposed.n = g.m;
    transposed.k = g.k;
    transposed.a = g.b.row == 1 ? Operand{columns.data(), g.k, 1} : g.b;
    transposed.b = g.a;
    transposed.c = sums.data();
    multiply_dots(transposed);
    parallel_ranges(g.m, kSumGrain / kFewColumns, [&](int64_t begin, int64_t end) {
        kernels().gemm.pack(g.n, end - begin, sums.data() + begin, g.m, 1, g.c + begin * g.n, g.n);
        finish(g, end - begin, g.n, 0, g.c + begin * g.n);
    });
}

}  // namespace

void gemm(const GemmShape& s, const float* a, const float* b, DerivedCache* packed, const float* bias, Activation act,
          float* c) {
    if (s.m == 0 || s.n == 0) return;
    Problem g = make_problem(s, a, b, c);
    g.packed_b = packed;
    g.bias = bias;
    g.act = act;
    const bool column = g.n == 1 && g.m > 1;  // the same numbers as a row: c^T = b^T a^T
    Scratch<float> repeated(column && bias ? g.m : 0);
    if (column) {
        if (bias) std::fill_n(repeated.data(), g.m, *bias);
        g.bias = bias ? repeated.data() : nullptr;
        std::swap(g.m, g.n);
        std::swap(g.a, g.b);
        g.packed_b = nullptr;
    }
    if (is_dots(g)) return multiply_dots(g);
    if (is_few_rows(g)) return multiply_few_rows(g);
    if (is_few_columns(g)) return multiply_few_columns(g);
    multiply(g);
}

// Products of one task each are shared out whole; of a larger one the work is.
void gemm_stack(const GemmShape& s, const Broadcast& stack, const float* a, const float* b, float* c) {
    const int64_t count = stack.numel(), size = s.m * s.n;
    const auto product = [&](int64_t i) {
        const auto at = stack.offsets(i);
        return make_problem(s, a + at.a, b + at.b, c + i * size);
    };
    if (count == 0 || size == 0) return;
    const Problem first = product(0);
    const Plan plan = make_plan(first);
    if (plan.tasks() > 1) {
        for (int64_t i = 0; i < count; ++i)
            gemm(s, first.a.data + stack.offsets(i).a, first.b.data + stack.offsets(i).b, nullptr, nullptr, {},
                 c + i * size);
        return;
    }
    const int64_t each = std::max<int64_t>(1, static_cast<int64_t>(kTaskFlops / std::max(1.0, flops(first))));
    const int64_t tasks = ceil_div(count, each), workers = worker_count(tasks);
    Scratch<float> scratch(workers * plan.scratch());
    parallel_for(tasks, workers, [&](int64_t task, int64_t worker) {
        for (int64_t i = task * each; i < std::min(count, (task + 1) * each); ++i) {
            const Problem g = product(i);
            if (is_dots(g)) {
                dots(g, 0, g.k, 0, g.n, g.c);
            } else if (is_few_rows(g)) {
                kernels().gemm.combine_rows(g.m, g.n, g.k, g.a.data, g.a.row, g.a.step, g.b.data, g.b.step, g.c, g.n);
            } else {
                multiply_block(g, plan, 0, {}, scratch.data() + worker * plan.scratch(), g.c);
            }
        }
    });
}

}  // namespace ck::cpu
