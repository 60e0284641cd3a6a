// Optimizers. One launch updates up to 64 parameters: a network has many small ones, and their launches would take
// longer than their bytes. Which elements are whose comes with the kernel's arguments.
#include <cmath>

#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/launch.h"

namespace ck::cuda {
namespace {

constexpr int kMaxUpdates = 64;       // 40 bytes each, 2.8 KiB with the blocks' table, of the 4 KiB for arguments
constexpr int kBlockElements = 4096;  // 256 threads with 4 vectors of float each

template <class Update>
struct UpdateTable {
    int count;
    Update update[kMaxUpdates];
    int first_block[kMaxUpdates];  // of each parameter
    bool wide[kMaxUpdates];        // its arrays may be accessed by vectors
};

// The rules, with the roundings of cpu/isa/optimizer.h.
struct SgdRule {
    float rate, momentum, decay;  // rate = -lr
    bool nesterov;

    template <class T>
    __device__ void operator()(const SgdUpdate<T>& u, int64_t at, bool wide) const {
        constexpr int kN = kVector<T>;
        float p[kN], g[kN], v[kN];
        load(u.param + at, u.n - at, wide, p);
        load(u.grad + at, u.n - at, wide, g);
        if (u.velocity) load(u.velocity + at, u.n - at, wide, v);
#pragma unroll
        for (int i = 0; i < kN; ++i) {
            if (decay != 0) g[i] = fmaf(decay, p[i], g[i]);
            if (u.velocity) {
                v[i] = fmaf(momentum, v[i], g[i]);
                g[i] = nesterov ? fmaf(momentum, v[i], g[i]) : v[i];
            }
            p[i] = fmaf(rate, g[i], p[i]);
        }
        if (u.velocity) store(u.velocity + at, u.n - at, wide, v);
        store(u.param + at, u.n - at, wide, p);
    }
};

struct AdamRule {
    float rate, root, eps;  // rate = -lr / (1 - beta1^step), root = 1 / sqrt(1 - beta2^step)
    float keep1, beta2, keep2;
    float decay, shrink;  // of the gradient, of the parameter

    template <class T>
    __device__ void operator()(const AdamUpdate<T>& u, int64_t at, bool wide) const {
        constexpr int kN = kVector<T>;
        float p[kN], g[kN], m[kN], v[kN];
        load(u.param + at, u.n - at, wide, p);
        load(u.grad + at, u.n - at, wide, g);
        load(u.m + at, u.n - at, wide, m);
        load(u.v + at, u.n - at, wide, v);
#pragma unroll
        for (int i = 0; i < kN; ++i) {
            if (decay != 0) g[i] = fmaf(decay, p[i], g[i]);
            m[i] = fmaf(keep1, g[i] - m[i], m[i]);
            v[i] = fmaf(beta2, v[i], keep2 * g[i] * g[i]);
            p[i] = fmaf(rate, m[i] / fmaf(sqrtf(v[i]), root, eps), p[i] * shrink);
        }
        store(u.m + at, u.n - at, wide, m);
        store(u.v + at, u.n - at, wide, v);
        store(u.param + at, u.n - at, wide, p);
    }
};

template <class T, class Rule, class Update>
__global__ void __launch_bounds__(kElementwiseThreads)
    step_kernel(Rule rule, const __grid_constant__ UpdateTable<Update> table) {
    const int block = static_cast<int>(blockIdx.x);
    int index = 0, end = table.count;
    while (end - index > 1) {  // the last parameter that starts at or before this block
        const int middle = (index + end) / 2;
        (table.first_block[middle] <= block ? index : end) = middle;
    }
    const Update u = table.update[index];
    const int64_t begin = static_cast<int64_t>(block - table.first_block[index]) * kBlockElements;
    const int64_t stop = min(u.n, begin + kBlockElements);
    for (int64_t at = begin + threadIdx.x * kVector<T>; at < stop; at += kElementwiseThreads * kVector<T>)
        rule(u, at, table.wide[index]);
}

template <class T>
bool all_aligned(const SgdUpdate<T>& u) {
    return aligned(u.param, u.grad, u.velocity);
}
template <class T>
bool all_aligned(const AdamUpdate<T>& u) {
    return aligned(u.param, u.grad, u.m, u.v);
}

// Table by table, without the parameters that have no elements.
template <class T, class Rule, class Update>
void step(const char* name, const Rule& rule, int64_t count, const Update* updates) {
    UpdateTable<Update> table;
    int64_t i = 0;
    while (i < count) {
        int blocks = 0;
        for (table.count = 0; i < count && table.count < kMaxUpdates; ++i) {
            if (updates[i].n == 0) continue;
            table.update[table.count] = updates[i];
            table.first_block[table.count] = blocks;
            table.wide[table.count++] = all_aligned(updates[i]);
            blocks += static_cast<int>(ceil_div(updates[i].n, kBlockElements));
        }
        if (blocks == 0) return;
        launch({name, {table.count, blocks}}, step_kernel<T, Rule, Update>, static_cast<unsigned>(blocks),
               kElementwiseThreads, 0, rule, table);
    }
}

}  // namespace

template <class T>
void sgd_step(const SgdSettings& s, int64_t count, const SgdUpdate<T>* updates) {
    const SgdRule rule{static_cast<float>(-s.lr), static_cast<float>(s.momentum), static_cast<float>(s.weight_decay),
                       s.nesterov};
    step<T>("sgd_step", rule, count, updates);
}

template <class T>
void adam_step(const AdamSettings& s, int64_t count, const AdamUpdate<T>* updates) {
    const double correction1 = 1 - std::pow(s.beta1, static_cast<double>(s.step));
    const double correction2 = 1 - std::pow(s.beta2, static_cast<double>(s.step));
    AdamRule rule{};
    rule.rate = static_cast<float>(-s.lr / correction1);
    rule.root = static_cast<float>(1 / std::sqrt(correction2));
    rule.eps = static_cast<float>(s.eps);
    rule.keep1 = static_cast<float>(1 - s.beta1);
    rule.beta2 = static_cast<float>(s.beta2);
    rule.keep2 = static_cast<float>(1 - s.beta2);
    rule.decay = static_cast<float>(s.decoupled ? 0 : s.weight_decay);
    rule.shrink = static_cast<float>(s.decoupled ? 1 - s.lr * s.weight_decay : 1);
    step<T>("adam_step", rule, count, updates);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(sgd_step)
CK_CUDA_INSTANTIATE(adam_step)
