#include "bugs.h"
#include "check.h"
#include "cuda/cuda.h"

using emulation_test::Buffer;
using emulation_test::launch;

namespace {

constexpr int kTile = 64;

// y = 2 x, through a tile; the planted kernel fills it beyond the end of x, and throws away what it has read.
template <bool kPlanted>
__global__ void doubled(const float* x, int n, float* y) {
    CK_SHARED(float, tile, [kTile]);
    const int i = static_cast<int>(blockIdx.x) * kTile + static_cast<int>(threadIdx.x);
    tile[threadIdx.x] = kPlanted || i < n ? __ldg(x + i) : 0;
    __syncthreads();
    if (i < n) y[i] = 2 * tile[threadIdx.x];
}

// The sum of n values: the last block to come adds up what the others have left.
template <bool kPlanted>
__global__ void sum(const float* x, int n, float* partial, unsigned* counter, float* result) {
    CK_SHARED(bool, last, [1]);
    if (threadIdx.x == 0) {
        float own = 0;
        for (int i = static_cast<int>(blockIdx.x); i < n; i += static_cast<int>(gridDim.x)) own += x[i];
        partial[blockIdx.x] = own;
        if (!kPlanted) __threadfence();
        last[0] = atomicInc(counter, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last[0] || threadIdx.x != 1) return;
    __threadfence();
    float all = 0;
    for (unsigned block = 0; block < gridDim.x; ++block) all += partial[block];
    *result = all;
}

// A row of the sums of three neighbours, with zeros around x[h, w].
template <bool kPlanted>
__global__ void three_tap(const float* x, int h, int w, float* y) {
    const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= h * w) return;
    float total = 0;
    for (int tap = -1; tap <= 1; ++tap) {
        const int column = i % w + tap;
        const bool inside = column >= 0 && (kPlanted || column < w);
        if (inside) total += x[i / w * w + column];
    }
    y[i] = total;
}

// How many blocks there are.
template <bool kPlanted>
__global__ void count_blocks(unsigned* counter) {
    if (threadIdx.x != 0) return;
    if (kPlanted)
        *counter += 1;
    else
        atomicAdd(counter, 1);
}

// The sums of rows of n values, four at a time where the row allows it.
template <bool kPlanted>
__global__ void vector_sums(const float* x, int n, float* sums) {
    const float* row = x + blockIdx.x * n;
    float sum = 0;
    int i = 0;
    if (kPlanted || n % 4 == 0)
        for (; i + 4 <= n; i += 4) {
            const float4 four = *reinterpret_cast<const float4*>(row + i);
            sum += four.x + four.y + four.z + four.w;
        }
    for (; i < n; ++i) sum += row[i];
    sums[blockIdx.x] = sum;
}

}  // namespace

bool bugs::read_out_of_bounds(bool planted) {
    constexpr int n = 100;
    Buffer<float> x(std::vector<float>(n, 1.0f)), y(n);
    launch(planted ? doubled<true> : doubled<false>, dim3(2), dim3(kTile), x, n, y);
    return y.get() == std::vector<float>(n, 2.0f);
}

bool bugs::fence_before_publishing(bool planted) {
    constexpr int n = 1000, blocks = 6;
    Buffer<float> x(std::vector<float>(n, 1.0f)), partial(blocks), result(1);
    Buffer<unsigned> counter(std::vector<unsigned>(1, 0));
    launch(planted ? sum<true> : sum<false>, dim3(blocks), dim3(32), x, n, partial, counter, result);
    return result.get()[0] == n;
}

bool bugs::padding_edge(bool planted) {
    constexpr int h = 3, w = 5;
    Buffer<float> x(std::vector<float>(h * w, 1.0f)), y(h * w);
    launch(planted ? three_tap<true> : three_tap<false>, dim3(1), dim3(32), x, h, w, y);
    const std::vector<float> got = y.get();
    for (int i = 0; i < h * w; ++i)
        if (got[i] != (i % w == 0 || i % w == w - 1 ? 2 : 3)) return false;
    return true;
}

bool bugs::sum_across_blocks(bool planted) {
    constexpr unsigned blocks = 5;
    Buffer<unsigned> counter(std::vector<unsigned>(1, 0));
    launch(planted ? count_blocks<true> : count_blocks<false>, dim3(blocks), dim3(32), counter);
    return counter.get()[0] == blocks;
}

bool bugs::misaligned_vector(bool planted) {
    constexpr int n = 6, rows = 3;
    Buffer<float> x(std::vector<float>(rows * n, 1.0f)), sums(rows);
    launch(planted ? vector_sums<true> : vector_sums<false>, dim3(rows), dim3(1), x, n, sums);
    return sums.get() == std::vector<float>(rows, n);
}
