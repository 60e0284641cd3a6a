// y[i] = f(x0[i], x1[i], ...) over dense arrays, a vector of 16 bytes at a time.
#pragma once
#include "cuda/element.h"
#include "cuda/launch.h"

namespace ck::cuda {

template <class T, int inputs>
struct MapInputs {
    const T* x[inputs];  // each [n]
};

template <class F, int inputs, size_t... k>
__device__ __forceinline__ float apply(const F& f, const float (&x)[inputs], std::index_sequence<k...>) {
    return f(x[k]...);
}

template <class F, class T, int inputs>
__global__ void __launch_bounds__(kElementwiseThreads)
    map_kernel(F f, int64_t n, MapInputs<T, inputs> in, T* y /*[n]*/, bool wide) {
    constexpr int kN = kVector<T>;
    for (int64_t i = first_index() * kN; i < n; i += index_step() * kN) {
        float x[inputs][kN], result[kN];
#pragma unroll
        for (int k = 0; k < inputs; ++k) load(in.x[k] + i, n - i, wide, x[k]);
#pragma unroll
        for (int j = 0; j < kN; ++j) {
            float arguments[inputs];
#pragma unroll
            for (int k = 0; k < inputs; ++k) arguments[k] = x[k][j];
            result[j] = apply(f, arguments, std::make_index_sequence<inputs>{});
        }
        store(y + i, n - i, wide, result);
    }
}

// f is a struct with `__device__ float operator()(float, ...) const`, passed to the kernel by value. y may be an x.
template <class F, class T, class... X>
void map(const Op& op, const F& f, int64_t n, T* y, const X*... x) {
    if (n == 0) return;
    launch(op, map_kernel<F, T, sizeof...(X)>, blocks_for(ceil_div(n, kVector<T>), kElementwiseThreads),
           kElementwiseThreads, 0, f, n, MapInputs<T, sizeof...(X)>{{x...}}, y, aligned(y, x...));
}

}  // namespace ck::cuda
