// The PTX that kernels use, each instruction one function: here for nvcc; the emulation models the same functions.
#pragma once
#include "cuda/cuda.h"

#if defined(__CUDACC__)
namespace ck::cuda {

__device__ __forceinline__ uint32_t shared_address(const void* p) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(p));
}

// Copies `bytes` (4, 8 or 16) from global to shared memory in its own time; from src_bytes on they are zeros.
template <int bytes>
__device__ __forceinline__ void cp_async(void* dst, const void* src, int src_bytes) {
    if constexpr (bytes == 16) {  // past L1: what one block reads twice is in its shared memory already
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(dst)), "l"(src),
                     "r"(src_bytes)
                     : "memory");
    } else {
        asm volatile("cp.async.ca.shared.global [%0], [%1], %3, %2;\n" ::"r"(shared_address(dst)), "l"(src),
                     "r"(src_bytes), "n"(bytes)
                     : "memory");
    }
}
// Closes a group of this thread's copies.
__device__ __forceinline__ void cp_async_commit() {
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}
// Until all but the newest `groups` groups of this thread have arrived.
template <int groups>
__device__ __forceinline__ void cp_async_wait() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(groups) : "memory");
}

// Four matrices of 8 rows of 16 bytes; lane l has the address of row l % 8 of matrix l / 8. Lane 4g+t receives word t
// of row g of each.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}
// The same, each matrix of 8x8 halves transposed: lane 4g+t receives halves g of rows 2t and 2t+1.
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// c[16,8] += a[16,8] b[8,8] by a warp, with g = lane / 4, t = lane % 4:
//   a = (g,t) (g+8,t) (g,t+4) (g+8,t+4)   b = (t,g) (t+4,g)   c = (g,2t) (g,2t+1) (g+8,2t) (g+8,2t+1)
__device__ __forceinline__ void mma_tf32(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// c[16,8] += a[16,16] b[16,8]: as above, a column of a and a row of b being two neighbours, the lower in the low half.
__device__ __forceinline__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// To the nearest of TF32's 10 bits, ties away from zero; the unit itself would cut the others off.
__device__ __forceinline__ uint32_t to_tf32(float x) {
    uint32_t y;
    asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(y) : "f"(x));
    return y;
}

// All products of a warp's fragments; one function because the emulation does them in one rendezvous.
template <bool bf16, int rows, int columns>
__device__ __forceinline__ void mma_tile(float (&c)[rows][columns][4], const uint32_t (&a)[rows][4],
                                         const uint32_t (&b)[columns][2]) {
#    pragma unroll
    for (int i = 0; i < rows; ++i) {
#    pragma unroll
        for (int j = 0; j < columns; ++j) {
            if constexpr (bf16) {
                mma_bf16(c[i][j], a[i], b[j]);
            } else {
                mma_tf32(c[i][j], a[i], b[j]);
            }
        }
    }
}

}  // namespace ck::cuda
#else
#    include <ptx_models.h>
#endif
