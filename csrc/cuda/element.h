// Elements in kernels: float or bfloat16 in memory, float in arithmetic, or int64 in both; and loads and stores of
// several at once.
#pragma once
#include <type_traits>

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

// What kernels compute in: float, or int64 where the elements are.
template <class T>
using Number = std::conditional_t<std::is_same_v<T, int64_t>, int64_t, float>;

template <class T>
__device__ __forceinline__ Number<T> to_number(T x) {
    if constexpr (std::is_same_v<T, int64_t>)
        return x;
    else
        return to_float(x);
}
template <class T, class V>
__device__ __forceinline__ T from_number(V x) {
    if constexpr (std::is_same_v<V, float>)
        return from_float<T>(x);
    else
        return x;
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

template <int n, class T, class V>
__device__ __forceinline__ void load(const T* p /*[n]*/, V (&v)[n]) {
    const Pack<T, n> pack = *reinterpret_cast<const Pack<T, n>*>(p);
#pragma unroll
    for (int i = 0; i < n; ++i) v[i] = to_number(pack.element[i]);
}

template <int n, class T, class V>
__device__ __forceinline__ void store(T* p /*[n]*/, const V (&v)[n]) {
    Pack<T, n> pack;
#pragma unroll
    for (int i = 0; i < n; ++i) pack.element[i] = from_number<T>(v[i]);
    *reinterpret_cast<Pack<T, n>*>(p) = pack;
}

// v += n neighbours
template <int n, class T>
__device__ __forceinline__ void add(const T* p /*[n]*/, float (&v)[n]) {
    float more[n];
    load(p, more);
#pragma unroll
    for (int i = 0; i < n; ++i) v[i] += more[i];
}

// The first `count` of n neighbours, the rest being 0; in one access if there are n and `wide` says that the address
// allows it.
template <int n, class T, class V>
__device__ __forceinline__ void load(const T* p /*[count]*/, int64_t count, bool wide, V (&v)[n]) {
    if (wide && count >= n) return load(p, v);
#pragma unroll
    for (int i = 0; i < n; ++i) v[i] = i < count ? to_number(p[i]) : V(0);
}
template <int n, class T, class V>
__device__ __forceinline__ void store(T* p /*[count]*/, int64_t count, bool wide, const V (&v)[n]) {
    if (wide && count >= n) return store(p, v);
#pragma unroll
    for (int i = 0; i < n; ++i)
        if (i < count) p[i] = from_number<T>(v[i]);
}

// For launchers: whether these may be accessed by 16 bytes. Tensors may be borrowed with the alignment of one element;
// a null pointer is aligned.
template <class... T>
bool aligned(const T*... pointers) {
    return ((reinterpret_cast<uintptr_t>(pointers) % kVectorBytes == 0) && ...);
}
// And whether all rows of `row` elements may.
template <class T, class... Pointers>
bool in_vectors(int64_t row, const Pointers*... pointers) {
    return row % kVector<T> == 0 && aligned(pointers...);
}

}  // namespace ck::cuda
