// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011):
// four 32-bit words from (key, counter). Element i of a draw uses word i%4 of counter offset/4 + i/4, so any element
// can be made by any thread, on any device.
#pragma once
#include <cstdint>

namespace ck {

struct PhiloxWords {
    uint32_t word[4];
};

constexpr PhiloxWords philox4x32(uint64_t seed, uint64_t counter) {
    uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
    uint32_t c0 = static_cast<uint32_t>(counter), c1 = static_cast<uint32_t>(counter >> 32), c2 = 0, c3 = 0;
    for (int round = 0; round < 10; ++round) {
        const uint64_t p0 = uint64_t{0xD2511F53} * c0, p1 = uint64_t{0xCD9E8D57} * c2;
        const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
        const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
        c1 = static_cast<uint32_t>(p1);
        c3 = static_cast<uint32_t>(p0);
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    return {{c0, c1, c2, c3}};
}

// Uniform in [0,1): the top 24 bits, so that every value is a float and 1 is never reached.
constexpr float unit_float(uint32_t word) {
    return static_cast<float>(word >> 8) * 0x1p-24f;
}

}  // namespace ck
