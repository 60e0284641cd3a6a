// SSE2, the baseline of x86-64: 4 lanes, 16 registers, no fused multiply-add (fma rounds twice here).
#pragma once
#include <emmintrin.h>

namespace {

constexpr int kWidth = 4;
constexpr int kRegisters = 16;
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));

CK_INLINE vf fma(vf a, vf b, vf c) {
    return a * b + c;
}
CK_INLINE vf max0(vf v) {
    return (vf)_mm_max_ps(_mm_setzero_ps(), (__m128)v);
}  // NaN stays: second operand
CK_INLINE vf greater(vf a, vf b) {
    return (vf)_mm_max_ps((__m128)a, (__m128)b);
}  // a > b ? a : b
CK_INLINE bool any_nan(vf v) {
    return _mm_movemask_ps(_mm_cmpunord_ps((__m128)v, (__m128)v)) != 0;
}
// Lane i of the result is lane lane[i] of v.
CK_INLINE vf permute(vf v, vi lane) {
    vf result;
    for (int i = 0; i < kWidth; ++i) result[i] = v[lane[i]];
    return result;
}
CK_INLINE vf sqrt(vf v) {
    return (vf)_mm_sqrt_ps((__m128)v);
}
// The first n lanes (0 <= n <= kWidth) of memory; the others are zero and their memory is not touched.
CK_INLINE vf load_n(const float* p, int n) {
    vf v = {};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
}
CK_INLINE void store_n(float* p, vf v, int n) {
    for (int i = 0; i < n; ++i) p[i] = v[i];
}
// kWidth bytes (0 to 255) as integers; the compiler's own conversion goes lane by lane.
CK_INLINE vi load_bytes(const uint8_t* p) {
    int32_t word;
    memcpy(&word, p, sizeof word);
    const __m128i zero = _mm_setzero_si128();
    return (vi)_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(word), zero), zero);
}
CK_INLINE void store_bytes(uint8_t* p, vi v) {
    const __m128i words = _mm_packs_epi32((__m128i)v, (__m128i)v);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(p, &bytes, sizeof bytes);
}
// As load_n and store_n, of bytes.
CK_INLINE vi load_bytes_n(const uint8_t* p, int n) {
    vi v = {};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
}
CK_INLINE void store_bytes_n(uint8_t* p, vi v, int n) {
    for (int i = 0; i < n; ++i) p[i] = static_cast<uint8_t>(v[i]);
}
CK_INLINE void stream(float* p, vf v) {
    _mm_stream_ps(p, (__m128)v);
}  // p aligned to 16 bytes

// 64-bit products of the even lanes: low half in the even lane, high half in the odd lane above it.
CK_INLINE vu multiply_even(vu a, vu b) {
    return (vu)_mm_mul_epu32((__m128i)a, (__m128i)b);
}
// Lanes 3,2,1,0 of each group of four.
CK_INLINE vu reverse_fours(vu v) {
    return (vu)_mm_shuffle_epi32((__m128i)v, 0x1B);
}

}  // namespace
