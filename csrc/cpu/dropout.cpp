// Driver of dropout.
#include <cmath>

#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/dispatch.h"

namespace ck::cpu {

void dropout(int64_t n, PhiloxKey key, double p, const float* x, float* y) {
    constexpr int64_t kGrain = 16 * 1024;  // elements, whole counters: 10-20 us
    // A word's top 24 bits w make the uniform number w / 2^24, which is compared with p.
    const auto threshold = static_cast<int32_t>(std::ceil(p * 0x1p24));
    const float scale = p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f;
    parallel_ranges(n, kGrain, [&](int64_t begin, int64_t end) {
        const uint64_t counter = key.offset / 4 + static_cast<uint64_t>(begin / 4);
        kernels().dropout.dropout(end - begin, key.seed, counter, threshold, scale, x + begin, y + begin);
    });
}

}  // namespace ck::cpu
