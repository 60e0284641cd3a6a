// Streams as queues of work, and the state of the runtime around them. All of it is guarded by one mutex: the emulated
// machine does one thing at a time.
#pragma once
#include <unistd.h>

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "device_memory.h"
#include "emulation.h"
#include "launch_kernel.h"
#include "runtime_api.h"

struct CUgraph_st {
    std::vector<std::function<void()>> steps;
};
struct CUgraphExec_st {
    std::vector<std::function<void()>> steps;
};

namespace emulation {

// Work on streams that becomes a graph instead of being queued. The order of capture satisfies all dependencies.
struct Capture {
    CUstream_st* origin;
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool invalid = false;
    std::vector<std::function<void()>> steps;
    std::vector<CUstream_st*> streams;
};

struct Operation {
    uint64_t sequence;
    std::function<void()> run;
};

// The point of a stream at which an event was recorded.
struct Marker {
    CUstream_st* stream;
    uint64_t sequence;
    bool reached = false;
    double seconds = 0;
};

}  // namespace emulation

struct CUstream_st {
    int device;
    bool is_default, waits_for_default;
    std::deque<emulation::Operation> queue;
    emulation::Capture* capture = nullptr;
    int captured = 0, joined = 0;  // steps captured here, and how many of them another stream has waited for
};

struct CUevent_st {
    int device;
    bool timing;
    std::shared_ptr<emulation::Marker> marker;  // null: never recorded
    // Recorded while its stream was captured: that stream, and the steps it had.
    emulation::Capture* capture = nullptr;
    CUstream_st* captured_stream = nullptr;
    int captured_steps = 0;
};

namespace emulation {

class Runtime {
  public:
    static Runtime& get();

    // The stream that a handle names on the current device; null: there is none.
    CUstream_st* stream(cudaStream_t handle);
    CUstream_st* add_stream(unsigned flags);
    void remove_stream(CUstream_st* stream);
    bool known(cudaEvent_t event) const;
    // What the next queued operation will be known by.
    uint64_t next_sequence() const { return sequence_ + 1; }

    cudaError_t queue(CUstream_st& stream, std::function<void()> work);
    void run_until(CUstream_st& stream, uint64_t sequence);
    void run_all(CUstream_st& stream) { run_until(stream, ~uint64_t{0}); }
    void run_device(int device);
    void run_one(CUstream_st& stream);
    // Random timing: perhaps some of what is queued happens now.
    void perhaps_progress();

    cudaError_t begin_capture(CUstream_st& stream, cudaStreamCaptureMode mode);
    cudaError_t end_capture(CUstream_st& stream, CUgraph_st** graph);
    // Refuses what is not allowed while this thread captures: anything that waits, allocates or frees.
    cudaError_t unless_capturing(const char* what);

    // Kept until the reset of the device; all calls return it.
    void fail(cudaError_t error, const std::string& text);
    cudaError_t refuse(cudaError_t error, const std::string& text);
    cudaError_t failure() const { return failure_; }
    // Why no call can succeed: driver, devices, a fork.
    cudaError_t unusable() const;
    std::string message() const { return message_; }
    cudaError_t injected(const std::string& call);
    void inject(const std::string& call, cudaError_t error, int after);
    void reset();

    std::recursive_mutex mutex;
    std::vector<CUevent_st*> events;

  private:
    void make_defaults();
    struct Injected {
        std::string call;
        cudaError_t error;
        int after;
    };
    std::vector<std::unique_ptr<CUstream_st>> defaults_, streams_;
    std::vector<std::unique_ptr<Capture>> captures_;
    std::vector<Injected> injected_;
    uint64_t sequence_ = 0, random_ = 0;
    const pid_t process_ = getpid();
    cudaError_t failure_ = cudaSuccess;
    std::string message_;
};

int& current_device();      // of the calling thread
cudaError_t& last_error();  // of the calling thread

// The frame of the functions of the API: the lock, planted errors, failures of earlier work, the last error.
template <class F>
cudaError_t api(const char* name, F&& body) {
    Runtime& runtime = Runtime::get();
    const std::lock_guard<std::recursive_mutex> lock(runtime.mutex);
    cudaError_t error = runtime.injected(name);
    if (error == cudaSuccess) error = runtime.unusable();
    if (error == cudaSuccess) error = runtime.failure();
    if (error == cudaSuccess) {
        runtime.perhaps_progress();
        error = body(runtime);
        if (error == cudaSuccess) error = runtime.failure();
    }
    if (error != cudaSuccess && error != cudaErrorNotReady) last_error() = error;
    return error;
}

constexpr int kRuntimeVersion = 13000;
double seconds_now();
cudaPointerAttributes attributes_of(const void* address);

}  // namespace emulation
