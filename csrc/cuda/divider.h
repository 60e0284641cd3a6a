// Division by a number that only the host knows beforehand: a multiplication and a shift instead of some twenty
// instructions.
#pragma once
#include "cuda/cuda.h"

namespace ck::cuda {

// For dividends and divisors below 2^31 (Granlund and Montgomery 1994): with l = ceil(log2(divisor)) and
// multiplier = ceil(2^(31+l) / divisor) < 2^32, n * multiplier is less than 2^(31+l) / divisor too large.
struct Divider {
    uint32_t divisor, multiplier, shift;

    explicit Divider(int64_t divisor_) : divisor(static_cast<uint32_t>(divisor_)), shift(0) {
        while ((uint64_t{1} << shift) < divisor) ++shift;
        multiplier = static_cast<uint32_t>(((uint64_t{1} << (31 + shift)) + divisor - 1) / divisor);
    }
    __device__ __forceinline__ int quotient(int n) const {
        const uint32_t twice = static_cast<uint32_t>(n) * 2;
        return static_cast<int>(static_cast<uint32_t>(uint64_t{twice} * multiplier >> 32) >> shift);
    }
    __device__ __forceinline__ int remainder(int n, int quotient) const {
        return n - quotient * static_cast<int>(divisor);
    }
};

}  // namespace ck::cuda
