// What takes the place of kernel<<<grid, block, shared, stream>>>(arguments...).
#pragma once
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "language.h"
#include "runtime_api.h"

namespace emulation {

struct KernelCall {
    const void* kernel;
    dim3 grid, block;
    size_t shared;
    std::vector<const void*> pointers;  // among the arguments: must be device memory
    std::function<void()> body;         // one thread's call
};

// Queues the call on the stream.
cudaError_t enqueue(cudaStream_t stream, KernelCall call);

template <class T>
void collect_pointer(std::vector<const void*>& pointers, const T& argument) {
    if constexpr (std::is_pointer_v<T>) pointers.push_back(argument);
}

template <class... P, class... A>
cudaError_t launch(cudaStream_t stream, void (*kernel)(P...), dim3 grid, dim3 block, size_t shared, A&&... arguments) {
    static_assert((std::is_trivially_copyable_v<P> && ...), "arguments of a kernel are copied as bytes");
    static_assert((sizeof(P) + ... + 0) <= 4096, "arguments of a kernel have 4096 bytes");
    const std::tuple<std::decay_t<P>...> values(static_cast<P>(std::forward<A>(arguments))...);
    KernelCall call{reinterpret_cast<const void*>(kernel), grid, block, shared, {}, {}};
    std::apply([&](const auto&... each) { (collect_pointer(call.pointers, each), ...); }, values);
    call.body = [kernel, values] { std::apply(kernel, values); };
    return enqueue(stream, std::move(call));
}

}  // namespace emulation
