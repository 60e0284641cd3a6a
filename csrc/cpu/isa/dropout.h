// Dropout with Philox4x32-10 (core/philox.h) in vectors: four lanes hold the words c0..c3 of one counter, so the random
// words come out in the order of the elements.
#pragma once
#include "cpu/isa/vec.h"

namespace {

typedef uint64_t vl __attribute__((vector_size(4 * kWidth)));  // half as many 64-bit lanes: c0 + 2^32 c1, c2 + 2^32 c3

// even, odd, even, odd, ...
CK_INLINE vl alternate(uint64_t even, uint64_t odd) {
    vl v = {};
    for (int i = 0; i < kWidth / 2; ++i) v[i] = i % 2 ? odd : even;
    return v;
}

// The words of kStates vectors of counters; several at once hide the latency of the products.
template <int kStates>
CK_INLINE void philox(vu key, vl (&state)[kStates]) {
    const vu multiplier = (vu)alternate(0xD2511F53, 0xCD9E8D57);
    const vu increment = (vu)alternate(0x9E3779B9, 0xBB67AE85);
    for (int round = 0; round < 10; ++round, key += increment) {
#pragma GCC unroll 4
        for (int s = 0; s < kStates; ++s) {
            const vu products = multiply_even((vu)state[s], multiplier);  // low0, high0, low1, high1
            state[s] = (vl)(reverse_fours(products) ^ (vu)(state[s] >> 32) ^ key);
        }
    }
}

void dropout(int64_t n, uint64_t seed, uint64_t counter, int32_t threshold, float scale, const float* x, float* y) {
    constexpr int kStates = 4;
    constexpr int64_t kStep = kStates * kWidth;
    const vu key = (vu)alternate(seed & 0xffffffff, seed >> 32);
    vl next[kStates];
    for (int s = 0; s < kStates; ++s) {
        next[s] = alternate(counter + static_cast<uint64_t>(s * kWidth / 4), 0);
        for (int i = 0; i < kWidth / 2; i += 2) next[s][i] += static_cast<uint64_t>(i / 2);
    }
    for (int64_t begin = 0; begin < n; begin += kStep) {
        vl state[kStates];
        for (int s = 0; s < kStates; ++s) {
            state[s] = next[s];
            next[s] += alternate(kStep / 4, 0);
        }
        philox(key, state);
        const int64_t left = n - begin < kStep ? n - begin : kStep;
        for_vectors(left, [&](int64_t i, auto lanes) {
            const vi word = (vi)((vu)state[i / kWidth] >> 8);
            const vf v = lanes.load(x + begin + i) * scale;
            lanes.store(y + begin + i, select(word >= threshold, v, vf{}));
        });
    }
}

constexpr DropoutKernels kDropoutKernels = {dropout};

}  // namespace
