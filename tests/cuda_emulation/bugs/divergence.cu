#include "bugs.h"
#include "check.h"
#include "cuda/cuda.h"

using emulation_test::Buffer;
using emulation_test::launch;

namespace {

constexpr int kThreads = 64;

template <bool kPlanted>
__global__ void reverse(const float* x, float* y) {
    CK_SHARED(float, tile, [kThreads]);
    tile[threadIdx.x] = x[threadIdx.x];
    if (!kPlanted || threadIdx.x < kThreads / 2) __syncthreads();
    y[threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

template <bool kPlanted>
__global__ void warp_sum(const float* x, float* y) {
    float sum = x[threadIdx.x];
    if (!kPlanted || threadIdx.x < 16)
        for (int distance = 16; distance; distance /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    if (threadIdx.x == 0) *y = sum;
}

}  // namespace

bool bugs::barrier_of_half_a_block(bool planted) {
    std::vector<float> x(kThreads);
    for (int i = 0; i < kThreads; ++i) x[i] = static_cast<float>(i);
    Buffer<float> from(x), to(kThreads);
    launch(planted ? reverse<true> : reverse<false>, dim3(1), dim3(kThreads), from, to);
    return to.get() == std::vector<float>(x.rbegin(), x.rend());
}

bool bugs::shuffle_of_half_a_warp(bool planted) {
    Buffer<float> x(std::vector<float>(32, 1.0f)), y(1);
    launch(planted ? warp_sum<true> : warp_sum<false>, dim3(1), dim3(32), x, y);
    return y.get()[0] == 32;
}
