// Stands in for runtime.cu in builds without nvcc.
#include "cuda/runtime.h"

namespace ck::cuda {

std::string architectures() {
    return "";
}
Versions versions() {
    return {};
}
std::vector<DeviceFacts> devices() {
    return {};
}
std::string unavailable_reason() {
    return "this convkit was built without CUDA";
}

}  // namespace ck::cuda
