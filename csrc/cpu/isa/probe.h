// What the machine can do at most, for benchmarks to compare with: multiply-adds in registers, and a copy.
#pragma once
#include "cpu/isa/vec.h"

namespace {

// Twelve chains: two units times the five cycles that the slowest of our CPUs takes for one multiply-add are ten, and
// twelve accumulators and the two factors fit the 16 registers of SSE2 and AVX2.
constexpr int kProbeChains = 12;

float multiply_add(int64_t steps, float factor, float term) {
    const vf a = set1(factor), b = set1(term);
    vf chain[kProbeChains];
    for (int c = 0; c < kProbeChains; ++c) chain[c] = set1(static_cast<float>(c));
    for (int64_t step = 0; step < steps; ++step)
#pragma GCC unroll 12
        for (int c = 0; c < kProbeChains; ++c) chain[c] = fma(chain[c], a, b);
    vf sum{};
    for (int c = 0; c < kProbeChains; ++c) sum = sum + chain[c];
    return sum_lanes(sum);
}

void stream_copy(int64_t n, const float* x, float* y) {
    for (int64_t i = 0; i < n; i += kWidth) stream(y + i, load(x + i));
}

constexpr ProbeKernels kProbeKernels = {2 * kProbeChains * kWidth, multiply_add, stream_copy};

}  // namespace
