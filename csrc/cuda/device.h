// Devices as launchers and the runtime see them: the current one, its stream, and why there may be none.
#pragma once
#include "cuda/cuda.h"

namespace ck::cuda {

// Makes `device` the current one of this thread; DeviceError when CUDA or that device cannot be used.
void use_device(int device);
int current_device();
cudaStream_t stream();  // of the current device; work of all threads is in its order

// Whether products may use wgmma: never but on a Hopper for which kernels were compiled. CONVKIT_CUDA_PRODUCTS=mma or
// wgmma, for measurements and tests, makes it never or always where the operands allow it.
enum class Warpgroups { never, where_faster, always };
Warpgroups warpgroups();

}  // namespace ck::cuda
