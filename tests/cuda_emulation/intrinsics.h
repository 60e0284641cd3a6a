// Scalar functions and atomics of device code. Those that a GPU computes roughly (__expf, rsqrtf, ...) are exact here:
// tests of them need tolerances.
#pragma once
#include <math.h>

#include <cstring>
#include <limits>
#include <type_traits>

#include "language.h"

template <class T>
T __ldg(const T* p) {
    return *p;
}
template <class T>
T __ldcs(const T* p) {
    return *p;
}
template <class T>
T __ldcg(const T* p) {
    return *p;
}
template <class T>
void __stcs(T* p, T value) {
    *p = value;
}
template <class T>
void __stcg(T* p, T value) {
    *p = value;
}

namespace emulation {
template <class To, class From>
To bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
// Conversions of a GPU stop at the ends of the range, and make NaN zero.
template <class Integer>
Integer saturated(double value) {
    using Limits = std::numeric_limits<Integer>;
    if (value != value) return 0;
    if (value <= Limits::min()) return Limits::min();
    if (value >= Limits::max()) return Limits::max();
    return static_cast<Integer>(value);
}
}  // namespace emulation

inline unsigned __float_as_uint(float value) {
    return emulation::bits<unsigned>(value);
}
inline float __uint_as_float(unsigned value) {
    return emulation::bits<float>(value);
}
inline int __float_as_int(float value) {
    return emulation::bits<int>(value);
}
inline float __int_as_float(int value) {
    return emulation::bits<float>(value);
}
inline int __float2int_rn(float value) {
    return emulation::saturated<int>(nearbyintf(value));
}
inline int __float2int_rz(float value) {
    return emulation::saturated<int>(truncf(value));
}
inline int __float2int_rd(float value) {
    return emulation::saturated<int>(floorf(value));
}
inline int __float2int_ru(float value) {
    return emulation::saturated<int>(ceilf(value));
}
inline unsigned __float2uint_rn(float value) {
    return emulation::saturated<unsigned>(nearbyintf(value));
}
inline unsigned __float2uint_rz(float value) {
    return emulation::saturated<unsigned>(truncf(value));
}
inline float __int2float_rn(int value) {
    return static_cast<float>(value);
}
inline float __uint2float_rn(unsigned value) {
    return static_cast<float>(value);
}

inline int __popc(unsigned value) {
    return __builtin_popcount(value);
}
inline int __popcll(unsigned long long value) {
    return __builtin_popcountll(value);
}
inline int __ffs(int value) {
    return __builtin_ffs(value);
}
inline int __clz(int value) {
    return value ? __builtin_clz(static_cast<unsigned>(value)) : 32;
}
inline unsigned __brev(unsigned value) {
    unsigned result = 0;
    for (int bit = 0; bit < 32; ++bit) result |= (value >> bit & 1) << (31 - bit);
    return result;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32);
}
inline int __mulhi(int a, int b) {
    return static_cast<int>(static_cast<int64_t>(a) * b >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}

inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline double __dadd_rn(double a, double b) {
    return a + b;
}
inline double __dmul_rn(double a, double b) {
    return a * b;
}
inline float __fsub_rn(float a, float b) {
    return a - b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __fsqrt_rn(float a) {
    return sqrtf(a);
}
inline float __frcp_rn(float a) {
    return 1.0f / a;
}
inline float __fdividef(float a, float b) {
    return a / b;
}
inline float __expf(float a) {
    return expf(a);
}
inline float __logf(float a) {
    return logf(a);
}
inline float __log2f(float a) {
    return log2f(a);
}
inline float __cosf(float a) {
    return cosf(a);
}
inline float __sinf(float a) {
    return sinf(a);
}
inline float __powf(float a, float b) {
    return powf(a, b);
}
inline float __saturatef(float a) {
    return a > 0 ? (a < 1 ? a : 1) : 0;
}
inline float rsqrtf(float a) {
    return 1.0f / sqrtf(a);
}
inline long long clock64() {
    return 0;
}
#define __trap() ::emulation::fail("__trap() at %s:%d", __FILE__, __LINE__)

// As CUDA's: of a number and NaN the number.
template <class T>
constexpr std::enable_if_t<std::is_integral<T>::value, T> max(T a, T b) {
    return a < b ? b : a;
}
template <class T>
constexpr std::enable_if_t<std::is_integral<T>::value, T> min(T a, T b) {
    return b < a ? b : a;
}
inline float max(float a, float b) {
    return fmaxf(a, b);
}
inline float min(float a, float b) {
    return fminf(a, b);
}
inline double max(double a, double b) {
    return fmax(a, b);
}
inline double min(double a, double b) {
    return fmin(a, b);
}

// Relaxed, as CUDA's: they order nothing around them.
namespace emulation {
template <class T, class F>
T exchange(T* p, F next) {
    T old, value;
    __atomic_load(p, &old, __ATOMIC_RELAXED);
    do value = next(old);
    while (!__atomic_compare_exchange(p, &old, &value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return old;
}
template <class T>
struct Same {
    using type = T;
};
template <class T>
using SameAs = typename Same<T>::type;  // not deduced: atomicAdd(&counter, 1)
}  // namespace emulation

template <class T>
T atomicAdd(T* p, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T old) { return static_cast<T>(old + value); });
}
template <class T>
T atomicSub(T* p, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T old) { return static_cast<T>(old - value); });
}
template <class T>
T atomicMax(T* p, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicMin(T* p, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicOr(T* p, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T old) { return static_cast<T>(old | value); });
}
template <class T>
T atomicAnd(T* p, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T old) { return static_cast<T>(old & value); });
}
template <class T>
T atomicExch(T* p, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* p, emulation::SameAs<T> expected, emulation::SameAs<T> value) {
    return emulation::exchange(p, [=](T old) { return old == expected ? value : old; });
}
inline unsigned atomicInc(unsigned* p, unsigned last) {
    return emulation::exchange(p, [=](unsigned old) { return old >= last ? 0u : old + 1; });
}
