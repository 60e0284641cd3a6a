// The PTX of sm_90a that kernels use: mbarriers, tensor loads (TMA), products of warpgroups (wgmma). As in ptx.h, each
// instruction one function: here for nvcc; the emulation models the same functions. Tensor maps are those of
// cuda/tensor_map.h.
#pragma once
#include "cuda/ptx.h"
#include "cuda/tensor_map.h"

#if defined(__CUDACC__)
namespace ck::cuda {

// ---- mbarrier -------------------------------------------------------------------------------------------------------

// A phase ends after `count` arrivals and when all bytes that were expected in it have come.
__device__ __forceinline__ void mbarrier_init(uint64_t* barrier, int count) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(count) : "memory");
}
// Makes mbarrier_init seen by TMA.
__device__ __forceinline__ void mbarrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}
__device__ __forceinline__ void mbarrier_arrive(uint64_t* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];\n" ::"r"(shared_address(barrier)) : "memory");
}
__device__ __forceinline__ void mbarrier_arrive_expect(uint64_t* barrier, int bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
}
// Until the phase of this parity has ended; the first has parity 0, and the one before it counts as ended.
__device__ __forceinline__ void mbarrier_wait(uint64_t* barrier, int parity) {
    asm volatile(
        "{\n.reg .pred ended;\nWAIT:\nmbarrier.try_wait.parity.shared::cta.b64 ended, [%0], %1;\n@ended bra DONE;\n"
        "bra WAIT;\nDONE:\n}\n" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
}

// Writes of this thread to shared memory come before what TMA and wgmma do to it after the next barrier. For tests,
// whose tiles threads write; the kernels have TMA write theirs.
__device__ __forceinline__ void fence_proxy_async() {
    asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
}

// ---- TMA ------------------------------------------------------------------------------------------------------------

// One box of the map to `shared`, a multiple of 1024 bytes; its bytes are counted at the barrier. Coordinates name the
// first element, the innermost dimension first; what lies outside is zero.
__device__ __forceinline__ void tma_load_3d(void* shared, const TensorMap* map, uint64_t* barrier, int x, int y,
                                            int z) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
        "[%2];\n" ::"r"(shared_address(shared)),
        "l"(map), "r"(shared_address(barrier)), "r"(x), "r"(y), "r"(z)
        : "memory");
}
// Pixels of an im2col map from the window at (h, w) of image n on, each moved by the offsets of a tap.
__device__ __forceinline__ void tma_load_im2col(void* shared, const TensorMap* map, uint64_t* barrier, int c, int w,
                                                int h, int n, int offset_w, int offset_h) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], "
        "[%1, {%3, %4, %5, %6}], [%2], {%7, %8};\n" ::"r"(shared_address(shared)),
        "l"(map), "r"(shared_address(barrier)), "r"(c), "r"(w), "r"(h), "r"(n), "h"(static_cast<uint16_t>(offset_w)),
        "h"(static_cast<uint16_t>(offset_h))
        : "memory");
}

// ---- wgmma ----------------------------------------------------------------------------------------------------------

// Registers of each thread of the calling warpgroup from here on; a multiple of 8.
template <int count>
__device__ __forceinline__ void setmaxnreg_inc() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(count));
}
template <int count>
__device__ __forceinline__ void setmaxnreg_dec() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(count));
}

// Meets the 128 threads of the calling warpgroup; ids 1 and up, 0 is __syncthreads'.
__device__ __forceinline__ void warpgroup_barrier(int id) {
    asm volatile("bar.sync %0, 128;\n" ::"r"(id) : "memory");
}

// An operand in lines of 128 bytes, permuted as TMA's 128-byte swizzle does; 8 lines are one pattern of 1024 bytes.
// Lines along k: patterns follow along m or n. Lines along m or n: patterns follow along k, and `next` bytes lead from
// one line's 64 elements to the next 64 (PTX ISA, "Matrix Descriptor Format").
__device__ __forceinline__ uint64_t matrix_descriptor(const void* address, int next = 16) {
    constexpr uint64_t kPattern = 1024 / 16, kSwizzle128 = 1;
    return (shared_address(address) >> 4 & 0x3fff) | static_cast<uint64_t>(next / 16) << 16 | kPattern << 32 |
           kSwizzle128 << 62;
}

// Before the first wgmma, and when a thread has touched accumulators or operands since.
__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
}
__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
}
// Until all but the newest `groups` groups are done; d is what they add to, lest the compiler read it earlier.
template <int groups, int count>
__device__ __forceinline__ void wgmma_wait(float (&d)[count]) {
    asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(groups) : "memory");
#    pragma unroll
    for (int i = 0; i < count; ++i) asm volatile("" : "+f"(d[i])::"memory");
}

#    define CK_ACCUMULATORS_8(i)                                                                                    \
        "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
            "+f"(d[i + 7])
#    define CK_ACCUMULATORS_32(i) \
        CK_ACCUMULATORS_8(i), CK_ACCUMULATORS_8(i + 8), CK_ACCUMULATORS_8(i + 16), CK_ACCUMULATORS_8(i + 24)
#    define CK_WGMMA_128(shape, ending)                                                                 \
        asm volatile("wgmma.mma_async.sync.aligned.m64n128" shape                                       \
                     " {"                                                                               \
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "           \
                     "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
                     "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"   \
                     "}, %64, %65, 1, 1, 1" ending ";\n"                                                \
                     : CK_ACCUMULATORS_32(0), CK_ACCUMULATORS_32(32)                                    \
                     : "l"(a), "l"(b))
#    define CK_WGMMA_256(shape, ending)                                                                               \
        asm volatile("wgmma.mma_async.sync.aligned.m64n256" shape                                                     \
                     " {"                                                                                             \
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                         \
                     "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "               \
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "               \
                     "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "               \
                     "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "               \
                     "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "               \
                     "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "   \
                     "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127" \
                     "}, %128, %129, 1, 1, 1" ending ";\n"                                                            \
                     : CK_ACCUMULATORS_32(0), CK_ACCUMULATORS_32(32), CK_ACCUMULATORS_32(64), CK_ACCUMULATORS_32(96)  \
                     : "l"(a), "l"(b))

// d[64,n] += a[64,k] b[k,n] of 32 bytes of k's, from matrix_descriptor; begins here, done after wgmma_wait. Thread t of
// the warpgroup has of d, with g = t % 32 / 4: element i is row 16 (t / 32) + g + 8 (i / 2 % 2), column 8 (i / 4) +
// 2 (t % 4) + i % 2. a_mn, b_mn: lines run along m or n, which bfloat16 alone can.
template <bool bf16, int n, bool a_mn = false, bool b_mn = false>
__device__ __forceinline__ void wgmma(float (&d)[n / 2], uint64_t a, uint64_t b) {
    static_assert(n == 128 || n == 256, "the columns that are written out here");
    static_assert(bf16 || (!a_mn && !b_mn), "words have lines along k");
    if constexpr (!bf16 && n == 128) {
        CK_WGMMA_128("k8.f32.tf32.tf32", "");
    } else if constexpr (!bf16) {
        CK_WGMMA_256("k8.f32.tf32.tf32", "");
    } else if constexpr (n == 128 && !a_mn && !b_mn) {
        CK_WGMMA_128("k16.f32.bf16.bf16", ", 0, 0");
    } else if constexpr (n == 128 && !a_mn && b_mn) {
        CK_WGMMA_128("k16.f32.bf16.bf16", ", 0, 1");
    } else if constexpr (n == 128 && a_mn && !b_mn) {
        CK_WGMMA_128("k16.f32.bf16.bf16", ", 1, 0");
    } else if constexpr (n == 128 && a_mn && b_mn) {
        CK_WGMMA_128("k16.f32.bf16.bf16", ", 1, 1");
    } else if constexpr (n == 256 && !a_mn && !b_mn) {
        CK_WGMMA_256("k16.f32.bf16.bf16", ", 0, 0");
    } else if constexpr (n == 256 && !a_mn && b_mn) {
        CK_WGMMA_256("k16.f32.bf16.bf16", ", 0, 1");
    } else if constexpr (n == 256 && a_mn && !b_mn) {
        CK_WGMMA_256("k16.f32.bf16.bf16", ", 1, 0");
    } else {
        CK_WGMMA_256("k16.f32.bf16.bf16", ", 1, 1");
    }
}
#    undef CK_ACCUMULATORS_8
#    undef CK_ACCUMULATORS_32
#    undef CK_WGMMA_128
#    undef CK_WGMMA_256

}  // namespace ck::cuda
#else
#    include <hopper_models.h>
#endif
