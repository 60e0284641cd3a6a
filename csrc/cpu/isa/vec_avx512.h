// AVX-512 F+BW+VL+DQ: 16 lanes, 32 registers, masked loads and stores.
#pragma once
#include <immintrin.h>

namespace {

constexpr int kWidth = 16;
constexpr int kRegisters = 32;
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));

CK_INLINE vf fma(vf a, vf b, vf c) {
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
CK_INLINE vf max0(vf v) {
    return (vf)_mm512_max_ps(_mm512_setzero_ps(), (__m512)v);
}  // NaN stays: second operand
CK_INLINE vf greater(vf a, vf b) {
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}  // a > b ? a : b
CK_INLINE bool any_nan(vf v) {
    return _mm512_cmp_ps_mask((__m512)v, (__m512)v, _CMP_UNORD_Q);
}
// Lane i of the result is lane lane[i] of v.
CK_INLINE vf permute(vf v, vi lane) {
    return (vf)_mm512_permutexvar_ps((__m512i)lane, (__m512)v);
}
CK_INLINE vf sqrt(vf v) {
    return (vf)_mm512_sqrt_ps((__m512)v);
}
CK_INLINE __mmask16 first_lanes(int n) {
    return (__mmask16)((1u << n) - 1);
}
// The first n lanes (0 <= n <= kWidth) of memory; the others are zero and their memory is not touched.
CK_INLINE vf load_n(const float* p, int n) {
    return (vf)_mm512_maskz_loadu_ps(first_lanes(n), p);
}
CK_INLINE void store_n(float* p, vf v, int n) {
    _mm512_mask_storeu_ps(p, first_lanes(n), (__m512)v);
}
// kWidth bytes (0 to 255) as integers; the compiler's own conversion goes lane by lane.
CK_INLINE vi load_bytes(const uint8_t* p) {
    return (vi)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i*)p));
}
CK_INLINE void store_bytes(uint8_t* p, vi v) {
    _mm_storeu_si128((__m128i*)p, _mm512_cvtepi32_epi8((__m512i)v));
}
// As load_n and store_n, of bytes.
CK_INLINE vi load_bytes_n(const uint8_t* p, int n) {
    return (vi)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(first_lanes(n), p));
}
CK_INLINE void store_bytes_n(uint8_t* p, vi v, int n) {
    _mm512_mask_cvtepi32_storeu_epi8(p, first_lanes(n), (__m512i)v);
}
CK_INLINE void stream(float* p, vf v) {
    _mm512_stream_ps(p, (__m512)v);
}  // p aligned to 64 bytes

// 64-bit products of the even lanes: low half in the even lane, high half in the odd lane above it.
CK_INLINE vu multiply_even(vu a, vu b) {
    return (vu)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}
// Lanes 3,2,1,0 of each group of four.
CK_INLINE vu reverse_fours(vu v) {
    return (vu)_mm512_shuffle_epi32((__m512i)v, _MM_PERM_ABCD);
}

}  // namespace
