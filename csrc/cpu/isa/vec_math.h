// exp, log, tanh and sigmoid on vectors. The bounds in units of the last place (ulp) are the largest errors found
// against float64 on any ISA, over 10^7 arguments in each of: the whole range, near 0 or 1, the denormal results.
// NaN gives NaN.
#pragma once
#include "cpu/isa/vec.h"

namespace {

// 2^n for -126 <= n <= 127
CK_INLINE vf power_of_2(vi n) {
    return (vf)(((vu)n + 127) << 23);  // unsigned: NaN leaves any n
}

// 1.0 ulp. Overflows to inf above 88.72, underflows gradually to 0 at -103.97. The polynomial and the two-part ln 2 are
// those of Cephes' expf (Moshier).
CK_INLINE vf exp(vf x) {
    x = select(x > 89, set1(89), select(x < -104, set1(-104), x));
    // Adding 1.5 * 2^23 leaves the nearest integer of x / ln 2 in the low bits.
    const vf shifted = fma(x, set1(1.44269504f), set1(12582912));
    const vf n = shifted - 12582912;
    vf r = fma(n, set1(-0.693359375f), x);
    r = fma(n, set1(2.12194440e-4f), r);
    vf p = set1(1.9875691500e-4f);
    p = fma(p, r, set1(1.3981999507e-3f));
    p = fma(p, r, set1(8.3334519073e-3f));
    p = fma(p, r, set1(4.1665795894e-2f));
    p = fma(p, r, set1(1.6666665459e-1f));
    p = fma(p, r, set1(5.0000001201e-1f));
    p = fma(p, r * r, r) + 1;
    // In two steps, because 2^128 and 2^-150 are not floats.
    const vi k = (vi)((vu)shifted - 0x4b400000), half = k >> 1;
    return p * power_of_2(half) * power_of_2((vi)((vu)k - (vu)half));
}

// 0.9 ulp. -inf at 0, NaN below. The reduction to m in [sqrt(1/2), sqrt(2)) and the polynomial in s = f / (2 + f) are
// those of FreeBSD's e_logf.c.
CK_INLINE vf log(vf x) {
    const vi tiny = x < 0x1p-126f;
    const vf scaled = select(tiny, x * 0x1p23f, x);
    const vi i = (vi)((vu)scaled - 0x3f3504f3);  // sqrt(1/2)
    const vf e = to_float((i >> 23) - select(tiny, set1_int(23), vi{}));
    const vf f = from_bits((i & 0x007fffff) + 0x3f3504f3) - 1;
    const vf s = f / (f + 2), z = s * s, w = z * z, half_square = 0.5f * f * f;
    const vf odd = w * fma(w, set1(0.24279078841f), set1(0.40000972152f));
    const vf even = z * fma(w, set1(0.28498786688f), set1(0.66666662693f));
    const vf tail = fma(s, half_square + (odd + even), e * 9.0580006145e-06f);
    const vf y = fma(e, set1(6.9313812256e-01f), (tail - half_square) + f);
    const vf infinity = from_bits(set1_int(0x7f800000));
    return select(x > 0, select(x == infinity, x, y), select(x == 0, -infinity, from_bits(set1_int(0x7fc00000))));
}

// log(1 + x) for 0 <= x <= 1: what rounding 1 + x loses is put back to first order.
CK_INLINE vf log1p_unit(vf x) {
    const vf u = x + 1;
    return log(u) + (x - (u - 1)) / u;
}

// 1.4 ulp. A polynomial near 0 (Cephes' tanhf), 1 - 2 / (exp(2|x|) + 1) with the sign of x elsewhere.
CK_INLINE vf tanh(vf x) {
    const vf z = x * x, a = abs(x);
    vf p = set1(-5.70498872745e-3f);
    p = fma(p, z, set1(2.06390887954e-2f));
    p = fma(p, z, set1(-5.37397155531e-2f));
    p = fma(p, z, set1(1.33314422036e-1f));
    p = fma(p, z, set1(-3.33332819422e-1f));
    const vf near = fma(p * z, a, a), far = 1 - 2 / (exp(a + a) + 1);
    return from_bits(bits(select(a < 0.625f, near, far)) | (bits(x) & INT32_MIN));
}

// 1 / (1 + exp(-x)), 2.4 ulp; exp of a negative number cannot overflow
CK_INLINE vf sigmoid(vf x) {
    const vf e = exp(-abs(x));
    return select(x < 0, e, set1(1)) / (e + 1);
}

}  // namespace
