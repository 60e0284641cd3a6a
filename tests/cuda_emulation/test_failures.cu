// Kernels that must end with a message, and the same message in every order.
#include "check.h"
#include "cuda/ptx.h"
#include "tests.h"

namespace emulation_test {
namespace {

__global__ void two_barriers() {
    if (threadIdx.x < 32)
        __syncthreads();
    else
        __syncthreads();
}
__global__ void early_return() {
    if (threadIdx.x == 7) return;
    __syncthreads();
}
__global__ void absent_lane() {
    if (threadIdx.x != 3) __shfl_sync(0xfffffff7u, 1, 3);
}
__global__ void foreign_mask() {
    __ballot_sync(0x0000ffffu, 1);
}
__global__ void overlapping_masks() {
    __ballot_sync(threadIdx.x < 16 ? 0x0001ffffu : 0xffff0000u, 1);
}
__global__ void diverged() {
    if (threadIdx.x < 16)
        __ballot_sync(~0u, 1);
    else
        __shfl_sync(~0u, 1, 0);
}
__global__ void barrier_and_shuffle() {
    if (threadIdx.x < 16)
        __syncthreads();
    else
        __ballot_sync(~0u, 1);
}
__global__ void never_waits(const float* x) {
    CK_SHARED(float, value, [32]);
    ck::cuda::cp_async<4>(&value[threadIdx.x], x + threadIdx.x, 4);
    ck::cuda::cp_async_commit();
}
__global__ void misaligned_copy(const float* x) {
    CK_SHARED(float, value, [64]);
    ck::cuda::cp_async<16>(&value[4], x + 1, 16);
}
__global__ void copy_out_of_shared(const float* x, float* y) {
    ck::cuda::cp_async<4>(y, x, 4);
}
__global__ void copy_out_of_bounds(const float* x) {
    CK_SHARED(float, value, [64]);
    ck::cuda::cp_async<16>(&value[0], x + 32, 16);
}
__global__ void misaligned_row() {
    CK_SHARED(unsigned char, rows, [1024]);
    uint32_t r[4];
    ck::cuda::ldmatrix_x4(r, rows + threadIdx.x * 8);
}
__global__ void too_much_shared() {
    CK_SHARED(float, values, [49153 / 4 + 1]);
    values[threadIdx.x] = 0;
}
__global__ void waits_for_a_block(unsigned* flag) {
    while (atomicAdd(flag, 0) == 0) __nanosleep(10);
}
__global__ void trapped() {
    if (threadIdx.x == 9) __trap();
}
__global__ void writes_past_shared() {
    CK_SHARED(float, values, [32]);
    float* volatile past = values;
    past[33] = 0;
}
__global__ void writes_past_block(float* x) {
    x[threadIdx.x] = 0;
}
__global__ void reads(const float* x, float* y) {
    *y = *x;
}
__global__ void follows(float* const* pointer) {
    **pointer = 1;
}
__device__ int recurse(int depth) {
    volatile char frame[4096];
    frame[0] = static_cast<char>(depth);
    return depth ? recurse(depth - 1) + frame[0] : 0;
}
__global__ void overflows(int depth, int* out) {
    *out = recurse(depth);
}

void in_one_order() {
    const dim3 one(1), warp(32), two_warps(64);
    expect_failure("wait in different __syncthreads", two_barriers, one, two_warps);
    expect_failure("__syncthreads", early_return, one, two_warps);
    expect_failure("lane 3, which does not take part", absent_lane, one, warp);
    expect_failure("the calling lane is not in its mask", foreign_mask, one, warp);
    expect_failure("__ballot_sync", overlapping_masks, one, warp);
    expect_failure("have diverged", diverged, one, warp);
    expect_failure("deadlock: 0 of 32 threads have ended", barrier_and_shuffle, one, warp);
    expect_failure("names lanes that have ended or do not exist", diverged, one, dim3(20));
    expect_failure("bytes of static shared memory", too_much_shared, one, warp);
    expect_failure("thread (9,0,0): __trap()", trapped, one, warp);
    expect_failure("is not at a multiple of 16 bytes", misaligned_row, one, warp);
    {
        Buffer<float> x(32), y(1);
        expect_failure("never waited for", never_waits, one, warp, x);
    }
    {
        Buffer<float> x(32);
        expect_failure("is misaligned", misaligned_copy, one, warp, x);
    }
    {
        Buffer<float> x(32), y(1);
        expect_failure("outside the block's shared memory", copy_out_of_shared, one, one, x, y);
    }
    {
        Buffer<float> x(32);
        expect_failure("cp.async reads 16 bytes", copy_out_of_bounds, one, one, x);
    }
    {
        float on_host = 0;
        Buffer<float> y(1);
        expect_failure("a pointer to host memory", reads, one, one, &on_host, y);
    }
    {
        float* freed = nullptr;
        cudaMalloc(&freed, 4);
        cudaFree(freed);
        expect_failure("was given freed memory of device 0", reads, one, one, freed, freed);
    }
}

// What the sanitizers report themselves, and in other words.
void in_the_plain_build() {
    const dim3 one(1), warp(32);
    expect_failure("past the end of an array in shared memory", writes_past_shared, one, warp);
    {
        Buffer<float> x(31);
        expect_failure("a block of 124 bytes of device memory was written to at byte 124", writes_past_block, one, warp,
                       x);
    }
    {
        Buffer<float*> nowhere(std::vector<float*>{nullptr});
        expect_failure("an illegal memory access was encountered", follows, one, one, nowhere);
    }
    {
        Buffer<int> out(1);
        expect_failure("overflowed; CONVKIT_EMULATION_STACK makes it larger", overflows, one, one, 1000, out);
    }
    {
        Buffer<unsigned> flag(std::vector<unsigned>{0});
        expect_failure("what they wait for cannot come", waits_for_a_block, one, one, flag);
    }
}

}  // namespace

void failing_kernels() {
    for (const char* order : {"forward", "reverse", "random"}) {
        emulation::set("order", order);
        in_one_order();
        if (kPlainBuild) in_the_plain_build();
    }
    emulation::set("order", "forward");
}

}  // namespace emulation_test
