#include "check.h"

#include "cuda/launch.h"

#include <cstdio>

namespace emulation_test {
namespace {

int failed = 0;
constexpr const char* kOrders[] = {"forward", "reverse", "random"};
constexpr const char* kTimings[] = {"at_once", "late", "random"};

}  // namespace

std::string mode() {
    const emulation::Config& config = emulation::config();
    return std::string("order ") + kOrders[static_cast<int>(config.order)] + ", copies " +
           kTimings[static_cast<int>(config.copies)] + ", streams " + kTimings[static_cast<int>(config.streams)];
}

void check(bool condition, const char* text, const char* file, int line) {
    if (condition) return;
    ++failed;
    std::printf("%s:%d: not %s (%s); %s\n", file, line, text, mode().c_str(), emulation::last_message().c_str());
}

void check_message(const char* part, const char* file, int line) {
    check(emulation::last_message().find(part) != std::string::npos, part, file, line);
}

int failures() {
    return failed;
}

}  // namespace emulation_test

// What launchers of csrc/cuda ask for.
namespace ck::cuda {
cudaStream_t stream() {
    return nullptr;
}
void* allocate_scratch(const Op&, int64_t bytes) {
    void* block = nullptr;
    cudaMalloc(&block, static_cast<size_t>(bytes));
    return block;
}
void release_scratch(void* block, int64_t) {
    cudaFree(block);
}
void fail(const Op& op, cudaError_t status, const char* what) {
    throw DeviceError(concat("[", op.name, "] ", what, ": ", cudaGetErrorString(status)));
}
}  // namespace ck::cuda
