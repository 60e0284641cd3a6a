#include "bugs.h"
#include "check.h"
#include "cuda/cuda.h"

using emulation_test::Buffer;
using emulation_test::launch;

namespace {

constexpr int kThreads = 64, kTiles = 3;

enum class Barriers { all, none_after_fill, none_before_fill };

// Reverses each tile of x.
template <Barriers kBarriers>
__global__ void reverse_tiles(const float* x, float* y) {
    CK_SHARED(float, tile, [kThreads]);
    for (int k = 0; k < kTiles; ++k) {
        tile[threadIdx.x] = x[k * kThreads + threadIdx.x];
        if (kBarriers != Barriers::none_after_fill) __syncthreads();
        y[k * kThreads + threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
        if (kBarriers != Barriers::none_before_fill) __syncthreads();
    }
}

bool reversed(void (*kernel)(const float*, float*)) {
    std::vector<float> x(kTiles * kThreads);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
    Buffer<float> from(x), to(x.size());
    launch(kernel, dim3(1), dim3(kThreads), from, to);
    const std::vector<float> y = to.get();
    for (int k = 0; k < kTiles; ++k)
        for (int i = 0; i < kThreads; ++i)
            if (y[k * kThreads + i] != x[k * kThreads + kThreads - 1 - i]) return false;
    return true;
}

// The sum of each row of x[rows, n], n < kThreads, over a tile whose rest should be zero.
template <bool kPlanted>
__global__ void row_sums(const float* x, int n, float* sums) {
    CK_SHARED(float, row, [kThreads]);
    const int i = threadIdx.x;
    if (i < n)
        row[i] = x[blockIdx.x * n + i];
    else if (!kPlanted)
        row[i] = 0;
    __syncthreads();
    float sum = 0;
    for (int k = 0; k < kThreads; ++k) sum += row[k];
    if (i == 0) sums[blockIdx.x] = sum;
}

}  // namespace

bool bugs::barrier_after_fill(bool planted) {
    return reversed(planted ? reverse_tiles<Barriers::none_after_fill> : reverse_tiles<Barriers::all>);
}

bool bugs::barrier_before_next_fill(bool planted) {
    return reversed(planted ? reverse_tiles<Barriers::none_before_fill> : reverse_tiles<Barriers::all>);
}

bool bugs::unwritten_tail(bool planted) {
    constexpr int n = 5, rows = 3;
    Buffer<float> x(std::vector<float>(rows * n, 1.0f)), sums(rows);
    launch(planted ? row_sums<true> : row_sums<false>, dim3(rows), dim3(kThreads), x, n, sums);
    return sums.get() == std::vector<float>(rows, n);
}
