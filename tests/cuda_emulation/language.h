// The words and types that nvcc adds to C++. A bare __shared__ does not compile: shared memory that is not declared
// with CK_SHARED could be neither poisoned nor fenced.
#pragma once
#include <cstddef>
#include <cstdint>

#include "emulation.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) __attribute__((aligned(n)))

struct alignas(8) float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(8) int2 {
    int x, y;
};
struct alignas(16) int4 {
    int x, y, z, w;
};
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(2) uchar2 {
    unsigned char x, y;
};
struct alignas(4) uchar4 {
    unsigned char x, y, z, w;
};
struct alignas(4) ushort2 {
    unsigned short x, y;
};
struct alignas(8) ushort4 {
    unsigned short x, y, z, w;
};
struct alignas(16) double2 {
    double x, y;
};
struct alignas(16) longlong2 {
    long long x, y;
};
struct float3 {
    float x, y, z;
};
struct int3 {
    int x, y, z;
};
struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline float2 make_float2(float x, float y) {
    return {x, y};
}
inline float3 make_float3(float x, float y, float z) {
    return {x, y, z};
}
inline float4 make_float4(float x, float y, float z, float w) {
    return {x, y, z, w};
}
inline int2 make_int2(int x, int y) {
    return {x, y};
}
inline int3 make_int3(int x, int y, int z) {
    return {x, y, z};
}
inline int4 make_int4(int x, int y, int z, int w) {
    return {x, y, z, w};
}
inline uint2 make_uint2(unsigned x, unsigned y) {
    return {x, y};
}
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
    return {x, y, z, w};
}
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) {
    return {x, y, z, w};
}
inline ushort4 make_ushort4(unsigned short x, unsigned short y, unsigned short z, unsigned short w) {
    return {x, y, z, w};
}
inline double2 make_double2(double x, double y) {
    return {x, y};
}

namespace emulation {
struct Builtins {
    uint3 thread, block;
    dim3 block_size, grid_size;
    int lane;
};
// Read all the time: the quick model of thread-local storage, which a loaded library may use for so few bytes.
extern __thread Builtins builtins __attribute__((tls_model("initial-exec")));
inline int lane() {
    return builtins.lane;
}
}  // namespace emulation
#define threadIdx (::emulation::builtins.thread)
#define blockIdx (::emulation::builtins.block)
#define blockDim (::emulation::builtins.block_size)
#define gridDim (::emulation::builtins.grid_size)
constexpr int warpSize = 32;

#define CK_SHARED(T, name, ...)        \
    using name##_type = T __VA_ARGS__; \
    static const char name##_key = 0;  \
    auto& name = *static_cast<name##_type*>(::emulation::static_shared(&name##_key, sizeof(name##_type), 16))
#define CK_DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::emulation::dynamic_shared())
