#include "cuda/runtime.h"

#include <cuda_runtime.h>

namespace ck::cuda {
namespace {

std::string version_text(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::string architectures() {
    return CK_CUDA_ARCHITECTURES;
}

Versions versions() {
    Versions result;
    if (cudaRuntimeGetVersion(&result.runtime) != cudaSuccess) result.runtime = 0;
    if (cudaDriverGetVersion(&result.driver) != cudaSuccess) result.driver = 0;
    return result;
}

std::vector<DeviceFacts> devices() {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
    std::vector<DeviceFacts> result;
    for (int device = 0; device < count; ++device) {
        cudaDeviceProp properties;
        if (cudaGetDeviceProperties(&properties, device) != cudaSuccess) continue;
        result.push_back(
            {properties.name, properties.major, properties.minor, static_cast<int64_t>(properties.totalGlobalMem)});
    }
    return result;
}

std::string unavailable_reason() {
    const Versions version = versions();
    if (version.driver == 0) return "no NVIDIA driver was found";
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaErrorInsufficientDriver)
        return "the NVIDIA driver is too old: it supports CUDA " + version_text(version.driver) +
               ", this convkit needs CUDA " + version_text(version.runtime);
    if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) return "the NVIDIA driver found no GPU";
    if (status != cudaSuccess) return std::string("the CUDA runtime failed: ") + cudaGetErrorString(status);
    return "this version of convkit has no CUDA kernels yet";
}

}  // namespace ck::cuda
