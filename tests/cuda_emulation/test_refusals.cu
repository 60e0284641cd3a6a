// Calls that must be refused, and wrong uses of streams and memory that must show.
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>

#include "check.h"
#include "cuda/cuda.h"
#include "tests.h"

namespace emulation_test {
namespace {

__global__ void set(float* x, float value) {
    x[threadIdx.x] = value;
}

void copies() {
    float host[4] = {};
    Buffer<float> x(4);
    CHECK(cudaMemcpy(host, x, 16, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK_MESSAGE("the destination of a copy is no device memory");
    CHECK(cudaMemcpy(x, host, 16, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
    CHECK_MESSAGE("the destination of a copy is device memory");
    CHECK(cudaMemcpy(x, host, 16, cudaMemcpyDeviceToDevice) == cudaErrorInvalidValue);
    CHECK(cudaMemcpy(x, host, 17, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
    CHECK_MESSAGE("17 bytes, leaves its block");
    CHECK(cudaMemset(host, 0, 16) == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue && cudaGetLastError() == cudaSuccess);
}

void memory() {
    float* x = nullptr;
    CHECK(cudaMalloc(&x, 4) == cudaSuccess && cudaFree(x + 1) == cudaErrorInvalidValue);
    CHECK(cudaFree(x) == cudaSuccess && cudaFree(x) == cudaErrorInvalidValue);
    CHECK_MESSAGE("cudaFree of freed memory of device 0, byte 0 of a block of 4");
    CHECK(cudaFree(nullptr) == cudaSuccess && cudaFreeHost(&x) == cudaErrorInvalidValue);

    const emulation::Config before = emulation::config();
    emulation::config().device_bytes = 1 << 20;
    cudaDeviceReset();
    size_t left = 0, total = 0;
    CHECK(cudaMalloc(&x, 3 << 18) == cudaSuccess && cudaMemGetInfo(&left, &total) == cudaSuccess);
    CHECK(left == 1 << 18 && total == 1 << 20);
    float* more = nullptr;
    CHECK(cudaMalloc(&more, (1 << 18) + 1) == cudaErrorMemoryAllocation && more == nullptr);
    CHECK(cudaFree(x) == cudaSuccess && cudaMalloc(&more, 1 << 20) == cudaSuccess);
    emulation::config() = before;
    cudaDeviceReset();
}

void launches() {
    Buffer<float> x(4);
    CHECK(launch(set, dim3(1), dim3(1025), x, 0.0f) == cudaErrorInvalidConfiguration);
    CHECK_MESSAGE("a block of (1025, 1, 1)");
    CHECK(launch(set, dim3(0), dim3(4), x, 0.0f) == cudaErrorInvalidConfiguration);
    CHECK(launch(set, dim3(1, 65536), dim3(4), x, 0.0f) == cudaErrorInvalidConfiguration);
    CHECK(emulation::launch(nullptr, set, dim3(1), dim3(4), 48 * 1024 + 1, x, 0.0f) == cudaErrorInvalidValue);
    const auto limit = cudaFuncAttributeMaxDynamicSharedMemorySize;
    CHECK(cudaFuncSetAttribute(set, limit, 227 * 1024 + 1) == cudaErrorInvalidValue);
    CHECK(cudaFuncSetAttribute(set, limit, 227 * 1024) == cudaSuccess);
    CHECK(emulation::launch(nullptr, set, dim3(1), dim3(4), 227 * 1024, x, 0.0f) == cudaSuccess);
    emulation::inject("launch", cudaErrorLaunchFailure, 1);
    CHECK(launch(set, dim3(1), dim3(4), x, 0.0f) == cudaSuccess);
    CHECK(launch(set, dim3(1), dim3(4), x, 0.0f) == cudaErrorLaunchFailure);
    CHECK(launch(set, dim3(1), dim3(4), x, 0.0f) == cudaSuccess && cudaDeviceSynchronize() == cudaSuccess);
    CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
    cudaGetLastError();
}

void captures() {
    Buffer<float> x(4);
    cudaStream_t stream, side;
    cudaEvent_t event;
    cudaGraph_t graph;
    float* more = nullptr;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking);
    cudaEventCreate(&event);
    CHECK(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal) == cudaErrorStreamCaptureUnsupported);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    CHECK(cudaMalloc(&more, 4) == cudaErrorStreamCaptureUnsupported);
    CHECK_MESSAGE("cudaMalloc while a stream is being captured");
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated && !graph);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported);
    cudaStreamEndCapture(stream, &graph);
    cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal);
    cudaEventRecord(event, stream);
    cudaStreamWaitEvent(side, event);
    emulation::launch(side, set, dim3(1), dim3(4), 0, x, 1.0f);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureUnjoined);
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureUnmatched);
    CHECK(cudaStreamQuery(side) == cudaSuccess);
    cudaEventDestroy(event);
    cudaStreamDestroy(side);
    cudaStreamDestroy(stream);
    CHECK(cudaStreamDestroy(stream) == cudaErrorInvalidResourceHandle);
    cudaGetLastError();
}

void unusable() {
    const emulation::Config before = emulation::config();
    int count = -1, version = -1;
    emulation::config().driver = 12040;
    CHECK(cudaGetDeviceCount(&count) == cudaErrorInsufficientDriver && count == 0);
    CHECK(cudaDriverGetVersion(&version) == cudaSuccess && version == 12040);
    emulation::config() = before;
    emulation::config().devices = 0;
    cudaDeviceReset();
    CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice && cudaSetDevice(0) == cudaErrorNoDevice);
    emulation::config() = before;
    emulation::config().capability = 75;
    cudaDeviceReset();
    cudaFuncAttributes attributes;
    CHECK(cudaFuncGetAttributes(&attributes, set) == cudaErrorNoKernelImageForDevice);
    emulation::config() = before;
    const pid_t child = fork();
    if (child == 0) _exit(cudaGetDeviceCount(&count) == cudaErrorInitializationError ? 0 : 1);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cudaGetLastError();
}

// With work that happens as late as it may, what does not wait reads NaN.
void missing_waits() {
    emulation::set("streams", "late");
    cudaStream_t first, second;
    cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
    Buffer<float> x(4), y(4);
    float* pinned = nullptr;
    cudaMallocHost(&pinned, 16);
    emulation::launch(first, set, dim3(1), dim3(4), 0, x, 1.0f);
    cudaMemcpyAsync(y, x, 16, cudaMemcpyDeviceToDevice, second);  // waits for nothing
    cudaMemcpyAsync(pinned, y, 16, cudaMemcpyDeviceToHost, second);
    CHECK(std::isnan(pinned[0]));
    CHECK(cudaStreamSynchronize(second) == cudaSuccess && std::isnan(pinned[0]));
    CHECK(std::isnan(x.get()[0]));  // nor does the default stream wait for these
    CHECK(cudaStreamSynchronize(first) == cudaSuccess && x.get()[0] == 1.0f);
    cudaFreeHost(pinned);
    cudaStreamDestroy(first);
    cudaStreamDestroy(second);
}

// The process ends where host code touches device memory; the plain build says why.
void host_touches_device_memory() {
    Buffer<float> x(4);
    int ends[2];
    if (pipe(ends) != 0) return;
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        *static_cast<volatile float*>(x + 1) = 1;
        _exit(0);
    }
    close(ends[1]);
    std::string said;
    char text[256];
    for (ssize_t bytes; (bytes = read(ends[0], text, sizeof text)) > 0;) said.append(text, bytes);
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    if (kPlainBuild)
        CHECK(said.find("host code touches memory of device 0, byte 4 of a block of 16") != std::string::npos);
}

}  // namespace

void refused_calls() {
    copies();
    memory();
    launches();
    captures();
    unusable();
    missing_waits();
    host_touches_device_memory();
}

}  // namespace emulation_test
