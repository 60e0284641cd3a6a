// The CUDA dialect of this project, the one header that kernels include. nvcc compiles it for a GPU; any other compiler
// against tests/cuda_emulation, which runs the same kernels on the CPU. What a kernel must keep to for that:
//   * launches go through launch() in cuda/launch.h, never <<<>>>;
//   * shared memory is declared with CK_SHARED and CK_DYNAMIC_SHARED, so that it can be poisoned and fenced;
//   * PTX is written in cuda/ptx.h and cuda/hopper.h alone, each instruction one function with a model beside it;
//   * no thread returns before a barrier that waits for it, none waits for another block.
#pragma once
#include <cuda_runtime.h>

#include <cstdint>

#if defined(__CUDACC__)
// CK_SHARED(float, tile, [16][32]);
#    define CK_SHARED(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__
// The memory whose size the launch gives.
#    define CK_DYNAMIC_SHARED(T, name)                                       \
        extern __shared__ __align__(1024) unsigned char ck_dynamic_shared[]; \
        T* name = reinterpret_cast<T*>(ck_dynamic_shared)
#endif

namespace ck::cuda {

// Elementwise kernels walk their range in steps of the whole grid:
//   for (int64_t i = first_index(); i < n; i += index_step())
__device__ __forceinline__ int64_t first_index() {
    return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ int64_t index_step() {
    return static_cast<int64_t>(gridDim.x) * blockDim.x;
}

}  // namespace ck::cuda
