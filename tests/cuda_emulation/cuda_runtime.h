// Found in place of the toolkit's header when a compiler other than nvcc builds csrc/cuda: CUDA C++ on the CPU.
// Compile with -fno-strict-aliasing, as kernels read floats through float4.
#pragma once
#include "intrinsics.h"
#include "language.h"
#include "launch_kernel.h"
#include "runtime_api.h"
#include "warp.h"
