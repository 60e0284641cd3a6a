// Memory and copies of the runtime API.
#include <cstdlib>
#include <cstring>
#include <map>

#include "sanitizers.h"
#include "streams.h"

using emulation::Allocation;
using emulation::api;
using emulation::Runtime;

namespace emulation {
namespace {

std::map<const char*, size_t>& pinned_blocks() {  // of cudaMallocHost
    static auto& blocks = *new std::map<const char*, size_t>;
    return blocks;
}

bool pinned(const void* address) {
    const auto& blocks = pinned_blocks();
    auto block = blocks.upper_bound(static_cast<const char*>(address));
    if (block == blocks.begin()) return false;
    --block;
    return static_cast<const char*>(address) < block->first + block->second;
}

// What is wrong with one side of a copy; "" when nothing is.
std::string wrong_side(const char* name, const void* address, size_t bytes, bool on_device) {
    const int device = device_of(address);
    if (on_device != (device >= 0))
        return std::string(name) + (on_device ? " is no device memory" : " is device memory");
    if (!on_device) return "";
    const Allocation block = device_memory(device).find(address);
    if (block.begin && !block.freed && block.holds(address, bytes)) return "";
    return std::string(name) + ", " + std::to_string(bytes) +
           " bytes, leaves its block: " + describe_device_address(address);
}

struct Sides {
    bool to_device, from_device;
};

Sides sides_of(const void* to, const void* from, cudaMemcpyKind kind) {
    if (kind == cudaMemcpyDefault) return {device_of(to) >= 0, device_of(from) >= 0};
    return {kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice,
            kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice};
}

// Opens the devices of both sides, as a copy may go from one to another.
void move_now(void* to, const void* from, size_t bytes) {
    const int to_device = device_of(to), from_device = device_of(from);
    if (to_device >= 0) device_memory(to_device).open();
    if (from_device >= 0) device_memory(from_device).open();
    std::memmove(to, from, bytes);
    if (from_device >= 0) device_memory(from_device).close();
    if (to_device >= 0) device_memory(to_device).close();
}

// As the runtime does: pageable host memory is read before the call returns, and written before it returns; pinned
// memory is read and written when the stream gets there.
cudaError_t copy(Runtime& runtime, void* to, const void* from, size_t bytes, cudaMemcpyKind kind, CUstream_st& stream) {
    if (!bytes) return cudaSuccess;
    const Sides sides = sides_of(to, from, kind);
    std::string wrong = wrong_side("the destination of a copy", to, bytes, sides.to_device);
    if (wrong.empty()) wrong = wrong_side("the source of a copy", from, bytes, sides.from_device);
    if (!wrong.empty()) return runtime.refuse(cudaErrorInvalidValue, wrong);
    if (!sides.from_device && !pinned(from) && !stream.capture) {
        const auto staged = std::make_shared<std::vector<char>>(bytes);
        std::memcpy(staged->data(), from, bytes);
        return runtime.queue(stream, [=] { move_now(to, staged->data(), bytes); });
    }
    const cudaError_t error = runtime.queue(stream, [=] { move_now(to, from, bytes); });
    if (!sides.to_device && !pinned(to) && !stream.capture) runtime.run_all(stream);
    return error;
}

cudaError_t fill(Runtime& runtime, void* to, int value, size_t bytes, CUstream_st& stream) {
    if (!bytes) return cudaSuccess;
    const std::string wrong = wrong_side("the destination of a fill", to, bytes, true);
    if (!wrong.empty()) return runtime.refuse(cudaErrorInvalidValue, wrong);
    return runtime.queue(stream, [=] {
        const Opened opened(device_of(to));
        std::memset(to, value, bytes);
    });
}

}  // namespace

cudaPointerAttributes attributes_of(const void* address) {
    void* given = const_cast<void*>(address);
    if (pinned(address)) return {cudaMemoryTypeHost, 0, given, given};
    const int device = device_of(address);
    if (device < 0) return {cudaMemoryTypeUnregistered, -2, nullptr, nullptr};
    const Allocation block = device_memory(device).find(address);
    if (!block.begin || block.freed) return {cudaMemoryTypeUnregistered, -2, nullptr, nullptr};
    return {cudaMemoryTypeDevice, device, given, nullptr};
}

}  // namespace emulation

cudaError_t cudaMalloc(void** block, size_t bytes) {
    return api("cudaMalloc", [&](Runtime& runtime) {
        *block = nullptr;
        const cudaError_t error = runtime.unless_capturing("cudaMalloc");
        if (error != cudaSuccess || !bytes) return error;
        *block = emulation::device_memory(emulation::current_device()).allocate(bytes);
        return *block ? cudaSuccess
                      : runtime.refuse(cudaErrorMemoryAllocation, std::to_string(bytes) + " bytes of device memory");
    });
}

// Waits for the device, as the real one does.
cudaError_t cudaFree(void* block) {
    return api("cudaFree", [&](Runtime& runtime) {
        if (!block) return cudaSuccess;
        const cudaError_t error = runtime.unless_capturing("cudaFree");
        if (error != cudaSuccess) return error;
        const int device = emulation::device_of(block);
        if (device < 0) return runtime.refuse(cudaErrorInvalidValue, "cudaFree of what is no device memory");
        runtime.run_device(device);
        if (!emulation::device_memory(device).release(block))
            return runtime.refuse(cudaErrorInvalidValue, "cudaFree of " + emulation::describe_device_address(block));
        return cudaSuccess;
    });
}

cudaError_t cudaMallocHost(void** block, size_t bytes) {
    return api("cudaMallocHost", [&](Runtime& runtime) {
        *block = nullptr;
        const cudaError_t error = runtime.unless_capturing("cudaMallocHost");
        if (error != cudaSuccess || !bytes) return error;
        if (posix_memalign(block, 4096, bytes) != 0)
            return runtime.refuse(cudaErrorMemoryAllocation, std::to_string(bytes) + " bytes of pinned host memory");
        if (emulation::config().poison) std::memset(*block, 0xff, bytes);
        emulation::pinned_blocks()[static_cast<char*>(*block)] = bytes;
        return cudaSuccess;
    });
}

cudaError_t cudaFreeHost(void* block) {
    return api("cudaFreeHost", [&](Runtime& runtime) {
        if (!block) return cudaSuccess;
        const cudaError_t error = runtime.unless_capturing("cudaFreeHost");
        if (error != cudaSuccess) return error;
        if (!emulation::pinned_blocks().count(static_cast<char*>(block)))
            return runtime.refuse(cudaErrorInvalidValue, "cudaFreeHost of what cudaMallocHost did not give");
        for (int device = 0; device < emulation::device_count(); ++device) runtime.run_device(device);
        emulation::pinned_blocks().erase(static_cast<char*>(block));
        std::free(block);
        return cudaSuccess;
    });
}

cudaError_t cudaMemGetInfo(size_t* left, size_t* total) {
    return api("cudaMemGetInfo", [&](Runtime&) {
        const emulation::DeviceMemory& memory = emulation::device_memory(emulation::current_device());
        *total = memory.total();
        *left = memory.total() - memory.used();
        return cudaSuccess;
    });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* address) {
    return api("cudaPointerGetAttributes", [&](Runtime&) {
        *attributes = emulation::attributes_of(address);
        return cudaSuccess;
    });
}

cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) {
    return api("cudaMemcpy", [&](Runtime& runtime) {
        cudaError_t error = runtime.unless_capturing("cudaMemcpy");
        if (error != cudaSuccess) return error;
        CUstream_st& stream = *runtime.stream(nullptr);
        error = emulation::copy(runtime, to, from, bytes, kind, stream);
        const emulation::Sides sides = emulation::sides_of(to, from, kind);
        if (error == cudaSuccess && !(sides.to_device && sides.from_device)) runtime.run_all(stream);
        return error;
    });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, cudaStream_t handle) {
    return api("cudaMemcpyAsync", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        return emulation::copy(runtime, to, from, bytes, kind, *stream);
    });
}

cudaError_t cudaMemset(void* to, int value, size_t bytes) {
    return api("cudaMemset", [&](Runtime& runtime) {
        const cudaError_t error = runtime.unless_capturing("cudaMemset");
        return error != cudaSuccess ? error : emulation::fill(runtime, to, value, bytes, *runtime.stream(nullptr));
    });
}

cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t handle) {
    return api("cudaMemsetAsync", [&](Runtime& runtime) {
        CUstream_st* stream = runtime.stream(handle);
        if (!stream) return runtime.refuse(cudaErrorInvalidResourceHandle, "no such stream");
        return emulation::fill(runtime, to, value, bytes, *stream);
    });
}
