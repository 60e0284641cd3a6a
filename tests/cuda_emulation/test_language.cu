// The words of CUDA C++: indices, barriers, votes, shuffles, atomics, scalar functions.
#include <cmath>

#include "check.h"
#include "cuda/cuda.h"
#include "tests.h"

namespace emulation_test {
namespace {

__global__ void store_indices(int* out) {
    const int thread = static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
    const int block = static_cast<int>(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
    out[block * 24 + thread] = 100 * block + thread;
}

void indices() {
    Buffer<int> out(2 * 2 * 2 * 24);
    launch(store_indices, dim3(2, 2, 2), dim3(4, 3, 2), out);
    const std::vector<int> got = out.get();
    for (int i = 0; i < 8 * 24; ++i) CHECK(got[i] == i / 24 * 100 + i % 24);
}

__global__ void exchange_values(const int* in, int* out) {
    const int lane = static_cast<int>(threadIdx.x), value = in[lane];
    out[0 * 32 + lane] = __shfl_sync(~0u, value, 5);
    out[1 * 32 + lane] = __shfl_xor_sync(~0u, value, 3);
    out[2 * 32 + lane] = __shfl_down_sync(~0u, value, 4);
    out[3 * 32 + lane] = __shfl_up_sync(~0u, value, 4, 16);
    out[4 * 32 + lane] = static_cast<int>(__ballot_sync(~0u, value % 3 == 0));
    out[5 * 32 + lane] = __any_sync(~0u, value == 1007) + 2 * __all_sync(~0u, value >= 1000);
    // halves of the warp on their own
    const uint32_t half = lane < 16 ? 0x0000ffffu : 0xffff0000u;
    out[6 * 32 + lane] = static_cast<int>(__ballot_sync(half, 1));
}

void warps() {
    std::vector<int> in(32);
    for (int i = 0; i < 32; ++i) in[i] = 1000 + i;
    Buffer<int> from(in), to(7 * 32);
    launch(exchange_values, dim3(1), dim3(32), from, to);
    const std::vector<int> got = to.get();
    unsigned thirds = 0;
    for (int i = 0; i < 32; ++i) thirds |= static_cast<unsigned>(in[i] % 3 == 0) << i;
    for (int i = 0; i < 32; ++i) {
        CHECK(got[i] == 1005);
        CHECK(got[32 + i] == 1000 + (i ^ 3));
        CHECK(got[64 + i] == 1000 + (i + 4 < 32 ? i + 4 : i));
        CHECK(got[96 + i] == 1000 + (i % 16 >= 4 ? i - 4 : i));
        CHECK(got[128 + i] == static_cast<int>(thirds));
        CHECK(got[160 + i] == 3);
        CHECK(static_cast<unsigned>(got[192 + i]) == (i < 16 ? 0x0000ffffu : 0xffff0000u));
    }
}

// In each block: a sum through shared memory, warp barriers, and the votes of barriers.
__global__ void block_sums(const int* in, int* sums) {
    CK_DYNAMIC_SHARED(int, tree);
    CK_SHARED(int, votes, [3]);
    const unsigned i = threadIdx.x;
    tree[i] = in[blockIdx.x * blockDim.x + i];
    const int odd = __syncthreads_count(tree[i] % 2 != 0);
    const int any = __syncthreads_or(tree[i] == 3), all = __syncthreads_and(tree[i] >= 0);
    for (unsigned stride = blockDim.x / 2; stride >= 32; stride /= 2) {
        if (i < stride) tree[i] += tree[i + stride];
        __syncthreads();
    }
    if (i < 32)
        for (unsigned stride = 16; stride; stride /= 2) {
            const int other = i < stride ? tree[i + stride] : 0;
            __syncwarp();
            tree[i] += other;
            __syncwarp();
        }
    if (i == 1) {
        votes[0] = odd;
        votes[1] = any;
        votes[2] = all;
    }
    __syncthreads();
    if (i == 0) sums[blockIdx.x] = tree[0] + 1000 * votes[0] + 1000000 * (votes[1] + 2 * votes[2]);
}

void blocks() {
    constexpr int threads = 128, count = 5;
    std::vector<int> in(threads * count);
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i % 7);
    Buffer<int> from(in), sums(count);
    emulation::launch(nullptr, block_sums, dim3(count), dim3(threads), threads * sizeof(int), from, sums);
    const std::vector<int> got = sums.get();
    for (int b = 0; b < count; ++b) {
        int sum = 0, odd = 0;
        for (int i = 0; i < threads; ++i) {
            sum += in[b * threads + i];
            odd += in[b * threads + i] % 2;
        }
        CHECK(got[b] == sum + 1000 * odd + 3000000);
    }
}

__global__ void count_up(unsigned* counters, float* total) {
    atomicAdd(&counters[0], 1);
    atomicInc(&counters[1], 9);
    atomicMax(&counters[2], blockIdx.x * blockDim.x + threadIdx.x);
    atomicMin(&counters[3], threadIdx.x + 5);
    atomicAdd(total, 0.5f);
}

void atomics() {
    Buffer<unsigned> counters(std::vector<unsigned>{0, 0, 0, 100});
    Buffer<float> total(std::vector<float>{0});
    launch(count_up, dim3(3), dim3(35), counters, total);
    CHECK((counters.get() == std::vector<unsigned>{105, 5, 104, 5}));
    CHECK(total.get()[0] == 52.5f);
}

// The shared memory of a block is new, and NaN.
__global__ void read_fresh(float* out) {
    CK_SHARED(float, values, [32]);
    CK_DYNAMIC_SHARED(float, more);
    out[blockIdx.x * 32 + threadIdx.x] = values[threadIdx.x] + more[threadIdx.x];
    __syncthreads();
    values[threadIdx.x] = more[threadIdx.x] = 1;
}

void poison() {
    Buffer<float> out(4 * 32), fresh(3);
    emulation::launch(nullptr, read_fresh, dim3(4), dim3(32), 32 * sizeof(float), out);
    for (const float value : out.get()) CHECK(std::isnan(value));
    for (const float value : fresh.get()) CHECK(std::isnan(value));
}

void scalars() {
    CHECK(__float2int_rn(2.5f) == 2 && __float2int_rn(3.5f) == 4 && __float2int_rz(-2.7f) == -2);
    CHECK(__float2int_rn(1e10f) == 2147483647 && __float2int_rn(-1e10f) == -2147483647 - 1);
    CHECK(__float2int_rn(NAN) == 0 && __float2uint_rz(-3.0f) == 0 && __float2uint_rz(5e9f) == 0xffffffffu);
    CHECK(__umulhi(0x80000000u, 6) == 3 && __mulhi(-2, 0x40000000) == -1);
    CHECK(__popc(0xf0u) == 4 && __clz(1) == 31 && __clz(0) == 32 && __ffs(8) == 4 && __brev(1) == 0x80000000u);
    CHECK(max(NAN, 1.0f) == 1.0f && min(2.0f, NAN) == 2.0f && max(3, 4) == 4);
    CHECK(__float_as_uint(1.0f) == 0x3f800000u && __int_as_float(0x40000000) == 2.0f);
}

}  // namespace

void language() {
    indices();
    warps();
    blocks();
    atomics();
    poison();
    scalars();
}

}  // namespace emulation_test
