#include "ops/backend.h"

#include "core/check.h"
#include "cpu/backend.h"
#include "cuda/backend.h"

namespace ck {

template <>
const Backend<float>& backend<float>(Device device) {
    return device.is_cpu() ? cpu::backend_float32() : cuda::backend_float32(device.index);
}

template <>
const Backend<double>& backend<double>(Device device) {
    CK_CHECK_TYPE(device.is_cpu(), "cuda", "float64 has kernels on the CPU only. Received: float64 on ", device.str(),
                  ".");
    return cpu::backend_float64();
}

template <>
const Backend<bfloat16>& backend<bfloat16>(Device device) {
    CK_CHECK_TYPE(!device.is_cpu(), "cpu",
                  "bfloat16 has kernels on CUDA only (use astype). Received: bfloat16 on cpu.");
    return cuda::backend_bfloat16(device.index);
}

template <>
const Backend<int64_t>& backend<int64_t>(Device device) {
    return device.is_cpu() ? cpu::backend_int64() : cuda::backend_int64(device.index);
}

}  // namespace ck
