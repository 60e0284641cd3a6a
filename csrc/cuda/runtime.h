// What the CUDA runtime says about this machine. Built from runtime.cu with nvcc, from no_cuda.cpp without.
// Nothing here runs before it is called: importing convkit does not wake the driver.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace ck::cuda {

struct Versions {
    int runtime = 0, driver = 0;  // as CUDA counts them: 13000 is 13.0; 0 is none
};

struct DeviceFacts {
    std::string name;
    int major, minor;  // compute capability
    int64_t memory;    // bytes
};

std::string architectures();  // compiled in, such as "80 90a"; empty: built without CUDA
Versions versions();
std::vector<DeviceFacts> devices();  // empty when the driver cannot be used
std::string unavailable_reason();    // why tensors cannot be moved to a GPU

}  // namespace ck::cuda
