// The CUDA tables: one launcher per line of ops.def, defined in cuda/<family>.cu. Element types: float and bfloat16,
// the second with float32 sums.
#pragma once
#include "core/backend.h"
#include "core/dtype.h"

namespace ck::cuda {

// The table for tensors on CUDA device `index`, which becomes the current device of this thread. DeviceError when CUDA
// cannot be used.
const Backend<float>& backend_float32(int index);
const Backend<bfloat16>& backend_bfloat16(int index);

// Launchers are templates over the element type, instantiated for both in their file.
template <class T>
struct Launch {
#define CK_OP(name, parameters) static typename Signature<T>::name name;
#include "core/ops.def"
#undef CK_OP
};

}  // namespace ck::cuda
