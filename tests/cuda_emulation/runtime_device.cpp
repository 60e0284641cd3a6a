// Devices and errors of the runtime API.
#include <cstdio>
#include <cstring>

#include "streams.h"

using emulation::api;
using emulation::Runtime;

namespace {

struct ErrorText {
    cudaError_t error;
    const char *name, *text;
};
// The texts are the toolkit's.
constexpr ErrorText kErrors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not initiated in this stream"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
};

const ErrorText& text_of(cudaError_t error) {
    static constexpr ErrorText unknown{cudaErrorUnknown, "cudaErrorUnknown", "unknown error"};
    for (const ErrorText& each : kErrors)
        if (each.error == error) return each;
    return unknown;
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
    return text_of(error).name;
}

const char* cudaGetErrorString(cudaError_t error) {
    static thread_local std::string text;
    text = text_of(error).text;
    const std::string message = emulation::last_message();
    if (error != cudaSuccess && error != cudaErrorNotReady && !message.empty()) text += ": " + message;
    return text.c_str();
}

cudaError_t cudaGetLastError() {
    const cudaError_t error = cudaPeekAtLastError();
    emulation::last_error() = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError() {
    Runtime& runtime = Runtime::get();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    return runtime.failure() != cudaSuccess ? runtime.failure() : emulation::last_error();
}

cudaError_t cudaDriverGetVersion(int* version) {
    *version = emulation::config().driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    *version = emulation::kRuntimeVersion;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    *count = 0;
    return api("cudaGetDeviceCount", [&](Runtime&) {
        *count = emulation::device_count();
        return cudaSuccess;
    });
}

cudaError_t cudaGetDevice(int* device) {
    return api("cudaGetDevice", [&](Runtime&) {
        *device = emulation::current_device();
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int device) {
    return api("cudaSetDevice", [&](Runtime& runtime) {
        if (device < 0 || device >= emulation::device_count())
            return runtime.refuse(cudaErrorInvalidDevice, "device " + std::to_string(device) + " of " +
                                                              std::to_string(emulation::device_count()));
        emulation::current_device() = device;
        return cudaSuccess;
    });
}

// An H100's figures, where kernels might ask for them.
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    return api("cudaGetDeviceProperties", [&](Runtime& runtime) {
        if (device < 0 || device >= emulation::device_count())
            return runtime.refuse(cudaErrorInvalidDevice, "device " + std::to_string(device));
        *properties = cudaDeviceProp{};
        std::snprintf(properties->name, sizeof properties->name, "emulated GPU %d", device);
        properties->major = emulation::config().capability / 10;
        properties->minor = emulation::config().capability % 10;
        properties->multiProcessorCount = 132;
        properties->totalGlobalMem = emulation::device_memory(device).total();
        properties->sharedMemPerBlock = 48 * 1024;
        properties->sharedMemPerBlockOptin = emulation::config().shared_bytes;
        properties->sharedMemPerMultiprocessor = emulation::config().shared_bytes + 1024;
        properties->regsPerBlock = 65536;
        properties->warpSize = 32;
        properties->maxThreadsPerBlock = 1024;
        properties->maxThreadsPerMultiProcessor = 2048;
        properties->l2CacheSize = 50 << 20;
        const int grid[3] = {0x7fffffff, 65535, 65535}, block[3] = {1024, 1024, 64};
        std::memcpy(properties->maxGridSize, grid, sizeof grid);
        std::memcpy(properties->maxThreadsDim, block, sizeof block);
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    const cudaError_t error = cudaGetDeviceProperties(&properties, device);
    if (error != cudaSuccess) return error;
    switch (attribute) {
        case cudaDevAttrMaxThreadsPerBlock:
            *value = properties.maxThreadsPerBlock;
            return cudaSuccess;
        case cudaDevAttrMultiProcessorCount:
            *value = properties.multiProcessorCount;
            return cudaSuccess;
        case cudaDevAttrComputeCapabilityMajor:
            *value = properties.major;
            return cudaSuccess;
        case cudaDevAttrComputeCapabilityMinor:
            *value = properties.minor;
            return cudaSuccess;
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            *value = static_cast<int>(properties.sharedMemPerBlockOptin);
            return cudaSuccess;
    }
    return cudaErrorInvalidValue;
}

cudaError_t cudaDeviceSynchronize() {
    return api("cudaDeviceSynchronize", [&](Runtime& runtime) {
        const cudaError_t error = runtime.unless_capturing("cudaDeviceSynchronize");
        if (error != cudaSuccess) return error;
        const int device = emulation::current_device();
        runtime.run_device(device);
        const emulation::Opened opened(device);
        const std::string text = emulation::device_memory(device).overwritten();
        if (!text.empty()) runtime.fail(cudaErrorIllegalAddress, text);
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceReset() {
    Runtime& runtime = Runtime::get();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    runtime.reset();
    return cudaSuccess;
}
