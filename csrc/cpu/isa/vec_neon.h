// NEON, the baseline of aarch64: 4 lanes, 32 registers.
#pragma once
#include <arm_neon.h>

namespace {

constexpr int kWidth = 4;
constexpr int kRegisters = 32;
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
typedef uint32_t vu __attribute__((vector_size(16)));

CK_INLINE vf fma(vf a, vf b, vf c) {
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
CK_INLINE vf max0(vf v) {
    return (vf)vmaxq_f32(vdupq_n_f32(0), (float32x4_t)v);
}  // NaN stays
CK_INLINE vf greater(vf a, vf b) {
    return a > b ? a : b;
}  // vmaxq would let a NaN win
CK_INLINE bool any_nan(vf v) {
    return vminvq_u32(vceqq_f32((float32x4_t)v, (float32x4_t)v)) == 0;
}
// Lane i of the result is lane lane[i] of v.
CK_INLINE vf permute(vf v, vi lane) {
    vf result;
    for (int i = 0; i < kWidth; ++i) result[i] = v[lane[i]];
    return result;
}
CK_INLINE vf sqrt(vf v) {
    return (vf)vsqrtq_f32((float32x4_t)v);
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
// kWidth bytes (0 to 255) as integers.
CK_INLINE vi load_bytes(const uint8_t* p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return (vi)vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(word))));
}
CK_INLINE void store_bytes(uint8_t* p, vi v) {
    const uint16x4_t words = vmovn_u32((uint32x4_t)v);
    const uint32_t bytes = vget_lane_u32(vreinterpret_u32_u8(vmovn_u16(vcombine_u16(words, words))), 0);
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
    vst1q_f32(p, (float32x4_t)v);
}  // NEON has no streaming store of one register

// 64-bit products of the even lanes: low half in the even lane, high half in the odd lane above it.
CK_INLINE vu multiply_even(vu a, vu b) {
    return (vu)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b));
}
// Lanes 3,2,1,0 of each group of four.
CK_INLINE vu reverse_fours(vu v) {
    const uint32x4_t pairs = vrev64q_u32((uint32x4_t)v);
    return (vu)vextq_u32(pairs, pairs, 2);
}

}  // namespace
