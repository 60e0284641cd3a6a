// Elements in kernels: float or bfloat16 in memory, float in arithmetic; and loads and stores of several at once.
#pragma once
#include "core/dtype.h"
#include "cuda/cuda.h"

namespace ck::cuda {

__device__ __forceinline__ float to_float(float x) {
    return x;
}
__device__ __forceinline__ float to_float(bfloat16 x) {
    return __uint_as_float(uint32_t{x.bits} << 16);
}

// To the nearest, ties to even; a NaN stays one: bfloat16's own conversion, which is the host's alone.
template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
    return x;
}
template <>
__device__ __forceinline__ bfloat16 from_float<bfloat16>(float x) {
    const uint32_t word = __float_as_uint(x);
    bfloat16 half;
    half.bits = static_cast<uint16_t>(x != x ? word >> 16 | 0x40u : (word + 0x7fffu + (word >> 16 & 1u)) >> 16);
    return half;
}

// The widest access of a thread is 16 bytes: 4 floats or 8 bfloat16.
constexpr int kVectorBytes = 16;
template <class T>
constexpr int kVector = kVectorBytes / static_cast<int>(sizeof(T));

// n neighbours, which one access moves where they have up to 16 bytes; the address must be a multiple of their size
// (or of 16 bytes).
template <class T, int n>
struct alignas(n * sizeof(T) < kVectorBytes ? n * sizeof(T) : kVectorBytes) Pack {
    T element[n];
};

template <int n, class T>
__device__ __forceinline__ void load(const T* p /*[n]*/, float (&v)[n]) {
    const Pack<T, n> pack = *reinterpret_cast<const Pack<T, n>*>(p);
#pragma unroll
    for (int i = 0; i < n; ++i) v[i] = to_float(pack.element[i]);
}

template <int n, class T>
__device__ __forceinline__ void store(T* p /*[n]*/, const float (&v)[n]) {
    Pack<T, n> pack;
#pragma unroll
    for (int i = 0; i < n; ++i) pack.element[i] = from_float<T>(v[i]);
    *reinterpret_cast<Pack<T, n>*>(p) = pack;
}

// For launchers: whether rows of `count` elements may be walked by vectors of 16 bytes. Tensors may be borrowed with
// the alignment of one element; a null pointer is aligned.
template <class T, class... Pointers>
bool in_vectors(int64_t count, const Pointers*... pointers) {
    return count % kVector<T> == 0 && ((reinterpret_cast<uintptr_t>(pointers) % kVectorBytes == 0) && ...);
}

}  // namespace ck::cuda
