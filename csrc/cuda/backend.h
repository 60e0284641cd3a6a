// The CUDA tables: one launcher per line of ops.def, defined in cuda/<family>.cu as a template over the element type
// and instantiated for float and bfloat16 (with sums in float32).
#pragma once
#include "core/backend.h"

namespace ck::cuda {

// The table for tensors on CUDA device `index`, which becomes this thread's current device. DeviceError when it or CUDA
// cannot be used.
const Backend<float>& backend_float32(int index);
const Backend<bfloat16>& backend_bfloat16(int index);
const Backend<int64_t>& backend_int64(int index);

#define CK_OP(name, parameters) \
    template <class T>          \
    void name parameters;
#include "core/ops.def"
#undef CK_OP

}  // namespace ck::cuda

// Closes a family's file: CK_CUDA_INSTANTIATE(unary) for float and bfloat16.
#define CK_CUDA_INSTANTIATE(name)                            \
    namespace ck::cuda {                                     \
    template ::ck::Signature<float>::name name<float>;       \
    template ::ck::Signature<bfloat16>::name name<bfloat16>; \
    }
// And for int64, as ops.def says.
#define CK_CUDA_INSTANTIATE_INT64(name) template ::ck::Signature<int64_t>::name ck::cuda::name<int64_t>;
