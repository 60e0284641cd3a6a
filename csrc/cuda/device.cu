#include "cuda/device.h"

#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <string>
#include <vector>

#include "core/check.h"
#include "cuda/launch.h"
#include "cuda/runtime.h"

namespace ck::cuda {
namespace {

constexpr int kNone = -1;

struct Devices {
    std::mutex lock;
    bool ready = false;
    pid_t process = 0;
    std::vector<cudaStream_t> streams;  // one per device, made on first use
};
Devices& state() {
    static Devices devices;
    return devices;
}

thread_local int current = kNone;

std::string version_text(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

__global__ void probe_kernel() {}

// Whether the code in this library runs on `device`; the text says which architectures do not meet.
std::string missing_kernels(int device) {
    cudaFuncAttributes attributes;
    int before = 0;
    cudaGetDevice(&before);
    cudaSetDevice(device);
    const cudaError_t status = cudaFuncGetAttributes(&attributes, probe_kernel);
    cudaSetDevice(before);
    if (status == cudaSuccess) return "";
    cudaGetLastError();  // it is told here
    if (status != cudaErrorNoKernelImageForDevice && status != cudaErrorInvalidDeviceFunction)
        return std::string("the CUDA runtime failed: ") + cudaGetErrorString(status);
    cudaDeviceProp properties;
    cudaGetDeviceProperties(&properties, device);
    return "this convkit has kernels for sm " + architectures() + ", the GPU (" + properties.name + ") is sm_" +
           std::to_string(properties.major) + std::to_string(properties.minor);
}

bool forked_after_use() {
    return state().process != 0 && state().process != getpid();
}

// The calls that tell about the machine wake the driver too, and a forked child inherits it broken.
void note_use() {
    if (state().process == 0) state().process = getpid();
}

std::string find_reason() {
    note_use();
    if (forked_after_use())
        return "CUDA was used before this process was forked, and a forked child cannot use it (start children with "
               "multiprocessing's spawn)";
    const Versions version = versions();
    if (version.driver == 0) return "no NVIDIA driver was found";
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess) cudaGetLastError();
    if (status == cudaErrorInsufficientDriver)
        return "the NVIDIA driver is too old: it supports CUDA " + version_text(version.driver) +
               ", this convkit needs CUDA " + version_text(version.runtime);
    if (status == cudaErrorNoDevice || (status == cudaSuccess && count == 0)) return "the NVIDIA driver found no GPU";
    if (status != cudaSuccess) return std::string("the CUDA runtime failed: ") + cudaGetErrorString(status);
    return missing_kernels(0);
}

}  // namespace

std::string unavailable_reason() {
    std::lock_guard<std::mutex> guard(state().lock);
    return state().ready && !forked_after_use() ? "" : find_reason();
}

void use_device(int device) {
    {
        std::lock_guard<std::mutex> guard(state().lock);
        const Devices& devices = state();
        if (devices.ready && !forked_after_use() && device >= 0 && device < static_cast<int>(devices.streams.size()) &&
            devices.streams[static_cast<size_t>(device)]) {
            // Always asked for: another library may have changed this thread's device since.
            check({"cuda", {device}}, cudaSetDevice(device), "choosing the device");
            current = device;
            return;
        }
    }
    const std::string reason = unavailable_reason();
    CK_CHECK_AS(DeviceError, reason.empty(), "cuda", "CUDA is not available: ", reason, ".");
    std::lock_guard<std::mutex> guard(state().lock);
    Devices& devices = state();
    if (!devices.ready) {
        int count = 0;
        check({"cuda", {}}, cudaGetDeviceCount(&count), "counting devices");
        devices.streams.resize(static_cast<size_t>(count), nullptr);
        devices.ready = true;
    }
    const int count = static_cast<int>(devices.streams.size());
    CK_CHECK_AS(DeviceError, device >= 0 && device < count, "cuda", "the machine has ", count,
                " CUDA device(s), counted from 0. Received: cuda:", device, ".");
    const std::string missing = missing_kernels(device);
    CK_CHECK_AS(DeviceError, missing.empty(), "cuda", "cuda:", device, " is not available: ", missing, ".");
    check({"cuda", {device}}, cudaSetDevice(device), "choosing the device");
    cudaStream_t& stream = devices.streams[static_cast<size_t>(device)];
    if (!stream) check({"cuda", {device}}, cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "a stream");
    current = device;
}

int current_device() {
    return current;
}

Warpgroups warpgroups() {
    static const char* const text = std::getenv("CONVKIT_CUDA_PRODUCTS");
    static const std::string wanted = text ? text : "";
    CK_CHECK(wanted.empty() || wanted == "mma" || wanted == "wgmma", "cuda",
             "CONVKIT_CUDA_PRODUCTS must be mma or wgmma. Received: ", wanted, ".");
    // The instructions are those of sm_90a, which no other architecture has, not even sm_90.
    static const bool compiled = architectures().find("90a") != std::string::npos || architectures() == "emulated";
    int major = 0, minor = 0;
    const Op op{"cuda", {current}};
    check(op, cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, current), "asking for its kind");
    check(op, cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, current), "asking for its kind");
    const bool possible = compiled && major == 9 && minor == 0;
    CK_CHECK_AS(DeviceError, possible || wanted != "wgmma", "cuda",
                "CONVKIT_CUDA_PRODUCTS=wgmma needs a GPU of compute capability 9.0 and kernels for sm_90a. Received: ",
                major, ".", minor, ", kernels for ", architectures(), ".");
    if (!possible || wanted == "mma") return Warpgroups::never;
    return wanted == "wgmma" ? Warpgroups::always : Warpgroups::where_faster;
}

cudaStream_t stream() {
    return state().streams[static_cast<size_t>(current)];
}

void fail(const Op& op, cudaError_t status, const char* what) {
    cudaGetLastError();  // the next call starts clean, where the error allows one
    std::string sizes;
    for (int64_t size : op.sizes) sizes += (sizes.empty() ? "" : ",") + std::to_string(size);
    throw DeviceError(concat("[", op.name, "] CUDA failed (", what, "): ", cudaGetErrorString(status),
                             ". Received: sizes [", sizes, "] on cuda:", current, "."));
}

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
    {
        std::lock_guard<std::mutex> guard(state().lock);
        note_use();
    }
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

}  // namespace ck::cuda
