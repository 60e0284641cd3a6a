// The host's side of CUDA, without the toolkit's headers: what the machine has, memory, copies, waiting. Built from
// *.cu with nvcc, from no_cuda.cpp without. Nothing here runs before it is called: importing convkit does not wake the
// driver.
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
std::string unavailable_reason();    // why tensors cannot be moved to a GPU; empty when they can

// Device memory in bytes; see memory.cu. Freed blocks serve later ones, in the order of the device's one stream.
void* allocate(int64_t bytes, int device);
void release(void* block, int64_t bytes, int device);
struct MemoryStats {
    int64_t allocated = 0;  // in tensors and scratch
    int64_t cached = 0;     // kept for later
    int64_t peak = 0;       // most that was allocated at once
    int64_t segments = 0;   // blocks taken from the driver
    int64_t hits = 0;       // allocations served without the driver
};
MemoryStats memory_stats();  // of all devices together
void empty_cache();          // gives free segments back to the driver

// Copies in the order of the device's stream. To the host: returns when the bytes are there. From the host: `src` may
// be changed at once.
void copy_to_device(void* dst, const void* src, int64_t bytes, int device);
void copy_to_host(void* dst, const void* src, int64_t bytes, int device);
void copy_on_device(void* dst, const void* src, int64_t bytes, int device);
void copy_between_devices(void* dst, int dst_device, const void* src, int src_device, int64_t bytes);
void synchronize(int device);  // until everything queued has run

// For other libraries (DLPack): the device's stream, and orders between it and `other` (a cudaStream_t).
uintptr_t stream_handle(int device);
void make_stream_wait(int device, uintptr_t other);  // for all that is queued here
void wait_for_stream(int device, uintptr_t other);   // what is queued here from now on, for all that is queued there
void synchronize_device(int device);                 // all streams, everybody's

}  // namespace ck::cuda
