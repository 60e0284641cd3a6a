// What the tests of the emulation share.
#pragma once
#include <cuda_runtime.h>

#include <string>
#include <vector>

namespace emulation_test {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPlainBuild = false, kRaceDetector = false;
#elif defined(__SANITIZE_THREAD__)
constexpr bool kPlainBuild = false, kRaceDetector = true;
#else
constexpr bool kPlainBuild = true, kRaceDetector = false;
#endif

// Counts a failure and prints it with the mode it happened in.
void check(bool condition, const char* text, const char* file, int line);
#define CHECK(condition) ::emulation_test::check((condition), #condition, __FILE__, __LINE__)
// The last message has the text in it.
#define CHECK_MESSAGE(part) ::emulation_test::check_message((part), __FILE__, __LINE__)
void check_message(const char* part, const char* file, int line);
int failures();

// Calls body in all orders x times of copies x times of streams; under the slow race detector, which sees what does not
// happen as well, in three of them. The configuration is left as it was.
template <class F>
void in_all_modes(F&& body) {
    const emulation::Config before = emulation::config();
    for (int i = 0; i < 27; ++i) {
        if (kRaceDetector && i % 13) continue;
        emulation::config().order = static_cast<emulation::Order>(i / 9);
        emulation::config().copies = static_cast<emulation::Timing>(i / 3 % 3);
        emulation::config().streams = static_cast<emulation::Timing>(i % 3);
        body();
    }
    emulation::config() = before;
}
std::string mode();

// Device memory with its host copy; freed at the end of the scope.
template <class T>
class Buffer {
  public:
    explicit Buffer(size_t count) : count_(count) { cudaMalloc(&data_, count * sizeof(T)); }
    explicit Buffer(const std::vector<T>& from) : Buffer(from.size()) {
        cudaMemcpy(data_, from.data(), count_ * sizeof(T), cudaMemcpyHostToDevice);
    }
    ~Buffer() { cudaFree(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    operator T*() const { return data_; }
    std::vector<T> get() const {
        std::vector<T> values(count_);
        cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost);
        return values;
    }

  private:
    size_t count_;
    T* data_ = nullptr;
};

template <class... P, class... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, A&&... arguments) {
    return emulation::launch(nullptr, kernel, grid, block, 0, static_cast<P>(arguments)...);
}

// The kernel fails, and the message has `part` in it. Leaves the device as new.
template <class... P, class... A>
void expect_failure(const char* part, void (*kernel)(P...), dim3 grid, dim3 block, A&&... arguments) {
    launch(kernel, grid, block, arguments...);
    CHECK(cudaDeviceSynchronize() != cudaSuccess);
    CHECK_MESSAGE(part);
    cudaDeviceReset();
}

}  // namespace emulation_test
