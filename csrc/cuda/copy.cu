// Copies between host and device. From the host they go through pinned staging memory: the bytes are taken at once, and
// the device fetches them in its own time, beside what it computes. Copies back wait for the stream.
#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "cuda/device.h"
#include "cuda/launch.h"
#include "cuda/runtime.h"

namespace ck::cuda {
namespace {

// Two halves: the host fills one while the device reads the other. 8 MiB each is past where the bus is at full speed.
constexpr int64_t kStagingBytes = 8 << 20;

struct Staging {
    void* memory = nullptr;
    cudaEvent_t read = nullptr;  // when the device has taken the last bytes
};

struct StagingPair {
    std::mutex lock;
    Staging half[2];
    int next = 0;
};

StagingPair& staging_of(int device) {
    static std::mutex lock;
    static auto* pairs = new std::vector<StagingPair*>;  // as the pools of memory.cu, never destroyed
    std::lock_guard<std::mutex> guard(lock);
    while (static_cast<int>(pairs->size()) <= device) pairs->push_back(new StagingPair);
    return *(*pairs)[static_cast<size_t>(device)];
}

void refuse_while_recording(const Op& op, int64_t bytes) {
    cudaStreamCaptureStatus recording = cudaStreamCaptureStatusNone;
    check(op, cudaStreamIsCapturing(stream(), &recording), "the stream");
    CK_CHECK_AS(DeviceError, recording == cudaStreamCaptureStatusNone, op.name,
                "nothing can be moved to or from the device while a CUDA graph is recorded. Received: ", bytes,
                " bytes.");
}

}  // namespace

void copy_to_device(void* dst, const void* src, int64_t bytes, int device) {
    const Op op{"to", {bytes}};
    use_device(device);
    refuse_while_recording(op, bytes);
    StagingPair& pair = staging_of(device);
    std::lock_guard<std::mutex> guard(pair.lock);
    for (int64_t at = 0; at < bytes; at += kStagingBytes) {
        Staging& half = pair.half[pair.next];
        pair.next ^= 1;
        if (!half.memory) {
            if (!half.read) check(op, cudaEventCreateWithFlags(&half.read, cudaEventDisableTiming), "an event");
            check(op, cudaMallocHost(&half.memory, kStagingBytes), "pinned memory");
        } else {
            check(op, cudaEventSynchronize(half.read), "waiting for a copy");
        }
        const size_t piece = static_cast<size_t>(std::min(kStagingBytes, bytes - at));
        std::memcpy(half.memory, static_cast<const char*>(src) + at, piece);
        check(op, cudaMemcpyAsync(static_cast<char*>(dst) + at, half.memory, piece, cudaMemcpyHostToDevice, stream()),
              "copy to the device");
        check(op, cudaEventRecord(half.read, stream()), "recording an event");
    }
}

void copy_to_host(void* dst, const void* src, int64_t bytes, int device) {
    if (bytes == 0) return;
    const Op op{"to", {bytes}};
    use_device(device);
    refuse_while_recording(op, bytes);
    check(op, cudaMemcpyAsync(dst, src, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, stream()),
          "copy to the host");
    check(op, cudaStreamSynchronize(stream()), "an earlier op");
}

void copy_on_device(void* dst, const void* src, int64_t bytes, int device) {
    if (bytes == 0) return;
    use_device(device);
    check({"copy", {bytes}}, cudaMemcpyAsync(dst, src, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream()),
          "copy");
}

void copy_between_devices(void* dst, int dst_device, const void* src, int src_device, int64_t bytes) {
    std::vector<char> host(static_cast<size_t>(bytes));  // rare; direct access between two GPUs is not always there
    copy_to_host(host.data(), src, bytes, src_device);
    copy_to_device(dst, host.data(), bytes, dst_device);
}

void synchronize(int device) {
    use_device(device);
    check({"synchronize", {}}, cudaStreamSynchronize(stream()), "an earlier op");
}

uintptr_t stream_handle(int device) {
    use_device(device);
    return reinterpret_cast<uintptr_t>(stream());
}

namespace {

// What `later` runs from now on comes after all that is queued on `earlier`.
void order(const Op& op, cudaStream_t earlier, cudaStream_t later) {
    cudaEvent_t ready;
    check(op, cudaEventCreateWithFlags(&ready, cudaEventDisableTiming), "an event");
    check(op, cudaEventRecord(ready, earlier), "recording an event");
    check(op, cudaStreamWaitEvent(later, ready, 0), "waiting for an event");
    check(op, cudaEventDestroy(ready), "an event");
}

}  // namespace

void make_stream_wait(int device, uintptr_t other) {
    use_device(device);
    order({"dlpack", {}}, stream(), reinterpret_cast<cudaStream_t>(other));
}

void wait_for_stream(int device, uintptr_t other) {
    use_device(device);
    order({"dlpack", {}}, reinterpret_cast<cudaStream_t>(other), stream());
}

void synchronize_device(int device) {
    use_device(device);
    check({"dlpack", {}}, cudaDeviceSynchronize(), "an earlier op");
}

}  // namespace ck::cuda
