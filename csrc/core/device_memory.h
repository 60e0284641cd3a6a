// Memory of devices for Storage. core knows no CUDA: the backend leaves its functions here when the module is loaded.
#pragma once
#include <cstdint>

namespace ck {

struct DeviceMemory {
    void* (*allocate)(int64_t bytes, int device);             // throws DeviceError
    void (*release)(void* block, int64_t bytes, int device);  // bytes as passed to allocate
};

void set_device_memory(const DeviceMemory& functions);
const DeviceMemory& device_memory();

}  // namespace ck
