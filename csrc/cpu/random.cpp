// Drivers of the random family. Philox makes any range of elements by itself, so ranges run in any order.
#include "core/parallel.h"
#include "cpu/backend.h"
#include "cpu/reference/reference.h"

namespace ck::cpu {
namespace {

constexpr int64_t kGrain = 4 * 1024;  // a multiple of 4, the words of one counter; about 20-80 us

PhiloxKey advanced(PhiloxKey key, int64_t elements) {
    return {key.seed, key.offset + static_cast<uint64_t>(elements)};
}

}  // namespace

void random_uniform(int64_t n, PhiloxKey key, float low, float high, float* y) {
    parallel_ranges(
        n, kGrain, [&](int64_t b, int64_t e) { reference::random_uniform(e - b, advanced(key, b), low, high, y + b); });
}

void random_normal(int64_t n, PhiloxKey key, float mean, float stddev, float* y) {
    parallel_ranges(n, kGrain, [&](int64_t b, int64_t e) {
        reference::random_normal(e - b, advanced(key, b), mean, stddev, y + b);
    });
}

}  // namespace ck::cpu
