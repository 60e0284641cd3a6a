// AVX2 + FMA: 8 lanes, 16 registers, masked loads and stores.
#pragma once
#include <immintrin.h>

namespace {

constexpr int kWidth = 8;
constexpr int kRegisters = 16;
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));

CK_INLINE vf fma(vf a, vf b, vf c) {
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
CK_INLINE vf max0(vf v) {
    return (vf)_mm256_max_ps(_mm256_setzero_ps(), (__m256)v);
}  // NaN stays: second operand
CK_INLINE vf greater(vf a, vf b) {
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}  // a > b ? a : b
CK_INLINE bool any_nan(vf v) {
    return _mm256_movemask_ps(_mm256_cmp_ps((__m256)v, (__m256)v, _CMP_UNORD_Q)) != 0;
}
// Lane i of the result is lane lane[i] of v.
CK_INLINE vf permute(vf v, vi lane) {
    return (vf)_mm256_permutevar8x32_ps((__m256)v, (__m256i)lane);
}
CK_INLINE vf sqrt(vf v) {
    return (vf)_mm256_sqrt_ps((__m256)v);
}
CK_INLINE __m256i first_lanes(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// The first n lanes (0 <= n <= kWidth) of memory; the others are zero and their memory is not touched.
CK_INLINE vf load_n(const float* p, int n) {
    return (vf)_mm256_maskload_ps(p, first_lanes(n));
}
CK_INLINE void store_n(float* p, vf v, int n) {
    _mm256_maskstore_ps(p, first_lanes(n), (__m256)v);
}
// kWidth bytes (0 to 255) as integers; the compiler's own conversion goes lane by lane.
CK_INLINE vi load_bytes(const uint8_t* p) {
    return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p));
}
CK_INLINE void store_bytes(uint8_t* p, vi v) {
    const __m256i w = (__m256i)v;
    const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(w), _mm256_extracti128_si256(w, 1));
    _mm_storel_epi64((__m128i*)p, _mm_packus_epi16(words, words));
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
    _mm256_stream_ps(p, (__m256)v);
}  // p aligned to 32 bytes

// 64-bit products of the even lanes: low half in the even lane, high half in the odd lane above it.
CK_INLINE vu multiply_even(vu a, vu b) {
    return (vu)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
// Lanes 3,2,1,0 of each group of four.
CK_INLINE vu reverse_fours(vu v) {
    return (vu)_mm256_shuffle_epi32((__m256i)v, 0x1B);
}

}  // namespace
