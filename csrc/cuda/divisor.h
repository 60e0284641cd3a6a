// Division by a number that the host knows: a GPU divides in some twenty instructions, this in two.
#pragma once
#include <cstdint>

#include "cuda/cuda.h"

namespace ck::cuda {

// For 0 <= x < 2^31 and divisors in [1, 2^31). With 2^(s-1) < divisor <= 2^s and multiplier = ceil(2^(31+s) / divisor),
// which is below 2^32, the product exceeds x/divisor * 2^(31+s) by less than x <= 2^(31+s) / divisor: the floor is
// right.
class Divisor {
  public:
    explicit Divisor(int64_t divisor) : divisor_(static_cast<int>(divisor)) {
        while (int64_t{1} << (shift_ - 31) < divisor) ++shift_;
        multiplier_ = static_cast<uint32_t>(((uint64_t{1} << shift_) + static_cast<uint64_t>(divisor) - 1) /
                                            static_cast<uint64_t>(divisor));
    }
    __host__ __device__ int value() const { return divisor_; }
    // x / divisor; x becomes x % divisor.
    __host__ __device__ int split(int& x) const {
        const int quotient = static_cast<int>(uint64_t{static_cast<uint32_t>(x)} * multiplier_ >> shift_);
        x -= quotient * divisor_;
        return quotient;
    }

  private:
    int divisor_;
    uint32_t multiplier_;
    int shift_ = 31;
};

}  // namespace ck::cuda
