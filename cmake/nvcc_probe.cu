// Compiled, linked and run by FindNvcc.cmake: prints the architectures of the GPUs present, such as 90;90. An nvcc that
// is too old for csrc/cuda fails here already.
#include <cudaTypedefs.h>
#include <cuda_runtime.h>

#include <cstdio>

__global__ void kernel() {}

// Since CUDA 12.5 and 12.0; cuda/tensor_map.cu needs them.
[[maybe_unused]] const auto entry_point = &cudaGetDriverEntryPointByVersion;
using Encode = PFN_cuTensorMapEncodeTiled_v12000;

int main() {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess) return 0;
    for (int device = 0; device < count; ++device) {
        int major = 0, minor = 0;
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
        std::printf("%s%d%d", device ? ";" : "", major, minor);
    }
    return 0;
}
