// How launchers start kernels and learn of failures. Everything runs on the one stream of the tensors' device.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <utility>

#include "core/check.h"
#include "cuda/cuda.h"
#include "cuda/device.h"
#include "cuda/tiles.h"

namespace ck::cuda {

// What is running, for errors: Op{"conv2d", {s.n, s.h, s.w, s.c}}. Lives within one expression.
struct Op {
    const char* name;
    std::initializer_list<int64_t> sizes;
};

[[noreturn]] void fail(const Op& op, cudaError_t status, const char* what);

// Throws DeviceError unless status is cudaSuccess. `what` names the call.
inline void check(const Op& op, cudaError_t status, const char* what) {
    if (status != cudaSuccess) fail(op, status, what);
}

// Blocks of `threads` threads that walk n elements with first_index() and index_step().
inline dim3 blocks_for(int64_t n, int64_t threads) {
    return dim3(static_cast<unsigned>(std::clamp<int64_t>(ceil_div(n, threads), 1, kMaxElementwiseBlocks)));
}

// kernel<<<grid, block, shared bytes, stream()>>>(arguments...)
template <class... P, class... A>
void launch(const Op& op, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, A&&... arguments) {
    if (shared > kDefaultSharedBytes) {
        check(op, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)),
              "shared memory");
    }
#if defined(__CUDACC__)
    kernel<<<grid, block, shared, stream()>>>(static_cast<P>(std::forward<A>(arguments))...);
    check(op, cudaGetLastError(), "launch");
#else
    check(op, emulation::launch(stream(), kernel, grid, block, shared, static_cast<P>(std::forward<A>(arguments))...),
          "launch");
#endif
}

// Device memory of one op, given back to the allocator in stream order when the op's launches are queued.
template <class T>
class Scratch {
  public:
    Scratch(const Op& op, int64_t count);
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    T* data() const { return static_cast<T*>(data_); }

  private:
    int64_t bytes_;
    void* data_;
};

void* allocate_scratch(const Op& op, int64_t bytes);
void release_scratch(void* block, int64_t bytes);

template <class T>
Scratch<T>::Scratch(const Op& op, int64_t count)
    : bytes_(count * static_cast<int64_t>(sizeof(T))), data_(allocate_scratch(op, bytes_)) {}
template <class T>
Scratch<T>::~Scratch() {
    release_scratch(data_, bytes_);
}

}  // namespace ck::cuda
