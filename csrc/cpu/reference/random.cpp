#include <cmath>

#include "core/philox.h"
#include "cpu/reference/reference.h"

namespace ck::cpu::reference {

template <class T>
void random_uniform(int64_t n, PhiloxKey key, T low, T high, T* y) {
    for (int64_t i = 0; i < n; i += 4) {
        const PhiloxWords words = philox4x32(key.seed, key.offset / 4 + static_cast<uint64_t>(i / 4));
        for (int64_t j = i; j < n && j < i + 4; ++j) y[j] = low + (high - low) * T(unit_float(words.word[j - i]));
    }
}

// Box-Muller on the word pairs of each counter; 1 - u keeps the logarithm finite.
template <class T>
void random_normal(int64_t n, PhiloxKey key, T mean, T stddev, T* y) {
    constexpr double kTwoPi = 6.283185307179586;
    for (int64_t i = 0; i < n; i += 4) {
        const PhiloxWords words = philox4x32(key.seed, key.offset / 4 + static_cast<uint64_t>(i / 4));
        for (int64_t j = i; j < n && j < i + 4; ++j) {
            const int pair = static_cast<int>(j - i) & 2;
            const double radius = std::sqrt(-2 * std::log(1 - double(unit_float(words.word[pair]))));
            const double angle = kTwoPi * unit_float(words.word[pair + 1]);
            y[j] = mean + stddev * T(radius * ((j - i) & 1 ? std::sin(angle) : std::cos(angle)));
        }
    }
}

}  // namespace ck::cpu::reference

CK_INSTANTIATE(random_uniform)
CK_INSTANTIATE(random_normal)
