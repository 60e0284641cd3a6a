// The vector verbs the kernels are written in. `vf` holds kWidth floats, `vi` as many int32; both are GCC/Clang vector
// types, so + - * / & | and comparisons (giving a vi mask of 0 / -1) are the compiler's. What the language does not
// have comes from vec_<isa>.h: fma, max0, greater, any_nan, sqrt, stream, load_n, store_n, the same of bytes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#define CK_INLINE inline __attribute__((always_inline))

#if defined(CK_ISA_avx512)
#    include "cpu/isa/vec_avx512.h"
#elif defined(CK_ISA_avx2)
#    include "cpu/isa/vec_avx2.h"
#elif defined(CK_ISA_sse2)
#    include "cpu/isa/vec_sse2.h"
#elif defined(CK_ISA_neon)
#    include "cpu/isa/vec_neon.h"
#else
#    error "unit.cpp is compiled with CK_ISA_<name>"
#endif

static CK_INLINE vf load(const float* p) {
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
static CK_INLINE void store(float* p, vf v) {
    memcpy(p, &v, sizeof v);
}
// A loaded value for several uses. GCC would load it for each of them: vectors of a whole cache line are then bound by
// loads (a depthwise line took 1.2 times as long). Narrower ones have loads to spare, and gain from fewer instructions.
static CK_INLINE vf in_register(vf v) {
#if defined(CK_ISA_avx512)
    __asm__("" : "+v"(v));
#endif
    return v;
}
// x - 0 keeps the sign of zero and compiles to a plain broadcast; 0 + x would be an addition.
static CK_INLINE vf set1(float x) {
    return x - vf{};
}
static CK_INLINE vi set1_int(int32_t x) {
    return x - vi{};
}
static CK_INLINE vf select(vi mask, vf a, vf b) {
    return mask ? a : b;
}
static CK_INLINE vi select(vi mask, vi a, vi b) {
    return mask ? a : b;
}
static CK_INLINE vi bits(vf v) {
    return (vi)v;
}
static CK_INLINE vf from_bits(vi v) {
    return (vf)v;
}
static CK_INLINE vf to_float(vi v) {
    return __builtin_convertvector(v, vf);
}
static CK_INLINE vi to_int(vf v) {
    return __builtin_convertvector(v, vi);
}  // truncates
static CK_INLINE vf abs(vf v) {
    return from_bits(bits(v) & 0x7fffffff);
}
// Lane numbers 0,1,2,...
static CK_INLINE vi iota() {
    vi v;
    for (int i = 0; i < kWidth; ++i) v[i] = i;
    return v;
}
static CK_INLINE float sum_lanes(vf v) {
    float lane[kWidth];
    store(lane, v);
    for (int half = kWidth / 2; half; half /= 2)
        for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    return lane[0];
}
static CK_INLINE float max_lanes(vf v) {  // of numbers
    float lane[kWidth];
    store(lane, v);
    for (int half = kWidth / 2; half; half /= 2)
        for (int i = 0; i < half; ++i) lane[i] = lane[i] > lane[i + half] ? lane[i] : lane[i + half];
    return lane[0];
}

namespace {

// A whole vector of memory, or its first n lanes: what for_vectors hands to the body of a loop.
struct AllLanes {
    CK_INLINE vf load(const float* p) const { return ::load(p); }
    CK_INLINE void store(float* p, vf v) const { ::store(p, v); }
    CK_INLINE void stream(float* p, vf v) const { ::stream(p, v); }
    CK_INLINE vf keep(vf v, float) const { return v; }
};
struct FirstLanes {
    int n;
    CK_INLINE vf load(const float* p) const { return load_n(p, n); }
    CK_INLINE void store(float* p, vf v) const { store_n(p, v, n); }
    CK_INLINE void stream(float* p, vf v) const { store_n(p, v, n); }  // only whole vectors can be streamed
    CK_INLINE vf keep(vf v, float other) const { return select(iota() < n, v, set1(other)); }  // others replaced
};
// body(i, lanes) for the vectors that cover [0,n)
template <class Body>
CK_INLINE void for_vectors(int64_t n, Body body) {
    int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) body(i, AllLanes{});
    if (i < n) body(i, FirstLanes{static_cast<int>(n - i)});
}

// Folds value(i, lanes) over the vectors that cover [0,n) into one vector, in four chains to hide the latency;
// combine(a, b) must not depend on the order, and lanes past the end must not matter.
template <class Value, class Combine>
CK_INLINE vf fold_vectors(int64_t n, vf start, Value value, Combine combine) {
    constexpr int kChains = 4;
    vf fold[kChains] = {start, start, start, start};
    int64_t i = 0;
    for (; i + kChains * kWidth <= n; i += kChains * kWidth)
#pragma GCC unroll 4
        for (int c = 0; c < kChains; ++c) fold[c] = combine(fold[c], value(i + c * kWidth, AllLanes{}));
    for_vectors(n - i, [&](int64_t j, auto lanes) { fold[0] = combine(fold[0], value(i + j, lanes)); });
    return combine(combine(fold[0], fold[1]), combine(fold[2], fold[3]));
}

// The sum of value(i, lanes) over the vectors that cover [0,n); lanes past the end must be 0. Chains of at most 32
// float additions, in double beyond.
template <class Value>
CK_INLINE double sum_vectors(int64_t n, Value value) {
    constexpr int64_t kBlock = 32 * 4 * kWidth;
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += kBlock) {
        total += sum_lanes(fold_vectors(
            n - begin < kBlock ? n - begin : kBlock, vf{},
            [&](int64_t i, auto lanes) { return value(begin + i, lanes); }, [](vf a, vf b) { return a + b; }));
    }
    return total;
}

}  // namespace

// Four lanes on every ISA: what the packing kernels transpose.
typedef float vf4 __attribute__((vector_size(16)));
typedef int32_t vi4 __attribute__((vector_size(16)));

static CK_INLINE vf4 load4(const float* p) {
    vf4 v;
    memcpy(&v, p, sizeof v);
    return v;
}
static CK_INLINE void store4(float* p, vf4 v) {
    memcpy(p, &v, sizeof v);
}
// Lanes i of the eight that a and b hold together.
template <int i0, int i1, int i2, int i3>
static CK_INLINE vf4 shuffle4(vf4 a, vf4 b) {
#if defined(__clang__)
    return __builtin_shufflevector(a, b, i0, i1, i2, i3);
#else
    return __builtin_shuffle(a, b, vi4{i0, i1, i2, i3});
#endif
}
