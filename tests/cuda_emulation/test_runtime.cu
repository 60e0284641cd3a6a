// Streams, events, copies and graphs, used rightly: right in all modes.
#include <thread>

#include "check.h"
#include "cuda/cuda.h"
#include "tests.h"

namespace emulation_test {
namespace {

__global__ void add(float* x, float value) {
    x[threadIdx.x] += value;
}
__global__ void scale(float* x, float value) {
    x[threadIdx.x] *= value;
}
__global__ void copy(const float* from, float* to) {
    to[threadIdx.x] = from[threadIdx.x];
}

constexpr int n = 8;
using Floats = std::vector<float>;

struct Stream {
    explicit Stream(unsigned flags = cudaStreamNonBlocking) { cudaStreamCreateWithFlags(&handle, flags); }
    ~Stream() { cudaStreamDestroy(handle); }
    operator cudaStream_t() const { return handle; }
    cudaStream_t handle = nullptr;
};
struct Event {
    Event() { cudaEventCreate(&handle); }
    ~Event() { cudaEventDestroy(handle); }
    operator cudaEvent_t() const { return handle; }
    cudaEvent_t handle = nullptr;
};
struct Pinned {
    Pinned() { cudaMallocHost(&data, n * sizeof(float)); }
    ~Pinned() { cudaFreeHost(data); }
    float* data = nullptr;
};

template <class... P, class... A>
void on(cudaStream_t stream, void (*kernel)(P...), const A&... arguments) {
    CHECK(emulation::launch(stream, kernel, dim3(1), dim3(n), 0, arguments...) == cudaSuccess);
}

void in_order() {
    Stream stream;
    Buffer<float> x(n);
    Pinned result;
    Floats ones(n, 1.0f);
    cudaMemcpyAsync(x, ones.data(), n * sizeof(float), cudaMemcpyHostToDevice, stream);
    ones.assign(n, 99.0f);  // pageable memory has been read
    on(stream, add, x, 2.0f);
    on(stream, scale, x, 10.0f);
    cudaMemcpyAsync(result.data, x, n * sizeof(float), cudaMemcpyDeviceToHost, stream);
    cudaMemsetAsync(x, 0, n * sizeof(float), stream);
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    CHECK(Floats(result.data, result.data + n) == Floats(n, 30.0f));
    CHECK(x.get() == Floats(n, 0.0f));
}

void events() {
    Stream first, second;
    Event ready, done;
    Buffer<float> x(Floats(n, 1.0f)), y(n);
    on(first, add, x, 1.0f);
    cudaEventRecord(ready, first);
    cudaStreamWaitEvent(second, ready);
    on(second, copy, x, y);
    cudaEventRecord(done, second);
    CHECK(cudaEventSynchronize(done) == cudaSuccess && cudaEventQuery(ready) == cudaSuccess);
    CHECK(y.get() == Floats(n, 2.0f));
    float milliseconds = -1;
    CHECK(cudaEventElapsedTime(&milliseconds, ready, done) == cudaSuccess && milliseconds >= 0);
}

// Whoever polls gets there.
void queries() {
    Stream stream;
    Event event;
    Buffer<float> x(Floats(n, 0.0f));
    for (int i = 0; i < 5; ++i) on(stream, add, x, 1.0f);
    cudaEventRecord(event, stream);
    int turns = 0;
    while (cudaEventQuery(event) == cudaErrorNotReady && turns < 100) ++turns;
    CHECK(turns < 100 && cudaStreamQuery(stream) == cudaSuccess && cudaGetLastError() == cudaSuccess);
    CHECK(x.get() == Floats(n, 5.0f));
}

// The default stream waits for blocking streams, and they for it.
void default_stream() {
    Stream blocking(cudaStreamDefault);
    Buffer<float> x(Floats(n, 1.0f));
    on(blocking, add, x, 1.0f);
    on(nullptr, scale, x, 10.0f);
    on(blocking, add, x, 1.0f);
    CHECK(x.get() == Floats(n, 21.0f));
}

void graphs() {
    Stream stream, side;
    Event fork, join;
    Buffer<float> x(Floats(n, 1.0f)), y(Floats(n, 0.0f));
    cudaGraph_t graph;
    cudaGraphExec_t step;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    on(stream, scale, x, 2.0f);
    cudaEventRecord(fork, stream);
    cudaStreamWaitEvent(side, fork);
    on(side, copy, x, y);
    cudaEventRecord(join, side);
    cudaStreamWaitEvent(stream, join);
    on(stream, add, x, 1.0f);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    CHECK(cudaGraphInstantiate(&step, graph) == cudaSuccess && cudaGraphDestroy(graph) == cudaSuccess);
    CHECK(x.get() == Floats(n, 1.0f));  // nothing has run
    for (int i = 0; i < 3; ++i) CHECK(cudaGraphLaunch(step, stream) == cudaSuccess);
    CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    CHECK(x.get() == Floats(n, 15.0f) && y.get() == Floats(n, 14.0f));
    cudaGraphExecDestroy(step);
}

void two_devices() {
    const emulation::Config before = emulation::config();
    emulation::config().devices = 2;
    cudaDeviceReset();
    int count = 0;
    CHECK(cudaGetDeviceCount(&count) == cudaSuccess && count == 2);
    {
        Buffer<float> x(Floats(n, 1.0f));
        CHECK(cudaSetDevice(1) == cudaSuccess);
        Stream stream;
        Buffer<float> y(n);
        CHECK(cudaMemcpy(y, x, n * sizeof(float), cudaMemcpyDefault) == cudaSuccess);
        cudaDeviceSynchronize();
        on(stream, add, y, 1.0f);
        cudaStreamSynchronize(stream);
        CHECK(y.get() == Floats(n, 2.0f));
        cudaPointerAttributes attributes;
        cudaPointerGetAttributes(&attributes, y + 1);
        CHECK(attributes.type == cudaMemoryTypeDevice && attributes.device == 1);
    }
    cudaSetDevice(0);
    emulation::config() = before;
    cudaDeviceReset();
}

__global__ void count_threads(unsigned* total, unsigned* blocks) {
    atomicAdd(total, 1);
    if (threadIdx.x == 0) atomicAdd(blocks + blockIdx.x, 1);
}

// Blocks on two threads of the operating system, called from two others.
void os_threads() {
    const emulation::Config before = emulation::config();
    emulation::config().os_threads = 2;
    const auto work = [] {
        Stream stream;
        Buffer<unsigned> total(std::vector<unsigned>{0}), blocks(std::vector<unsigned>(40, 0));
        CHECK(emulation::launch(stream, count_threads, dim3(40), dim3(33), 0, total, blocks) == cudaSuccess);
        CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
        CHECK(total.get()[0] == 40 * 33 && blocks.get() == std::vector<unsigned>(40, 1));
    };
    std::thread other(work);
    work();
    other.join();
    emulation::config() = before;
}

}  // namespace

void runtime() {
    in_order();
    events();
    queries();
    default_stream();
    graphs();
    two_devices();
    os_threads();
}

}  // namespace emulation_test
