// Random numbers: core/philox.h on the device. A thread makes whole counters, four numbers each.
#include "core/philox.h"
#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/graph.h"
#include "cuda/launch.h"

namespace ck::cuda {
namespace {

// low + (high - low) * u, rounded step by step as on the CPU: the compiler would fuse the two. `bits` are those of a
// word that count.
struct Uniform {
    float low, high;
    uint32_t bits;
    __device__ void operator()(const PhiloxWords& words, float* v /*[4]*/) const {
#pragma unroll
        for (int i = 0; i < 4; ++i) v[i] = __fadd_rn(low, __fmul_rn(high - low, unit_float(words.word[i] & bits)));
    }
};

// Box-Muller on the pairs of words, in double as on the CPU: the floats then differ by a rounding at most, in the rare
// case that the functions' last bits decide it.
struct Normal {
    float mean, stddev;
    __device__ void operator()(const PhiloxWords& words, float* v /*[4]*/) const {
        constexpr double kTwoPi = 6.283185307179586;
#pragma unroll
        for (int pair = 0; pair < 4; pair += 2) {
            const double radius = sqrt(-2 * log(1 - static_cast<double>(unit_float(words.word[pair]))));
            const double angle = kTwoPi * static_cast<double>(unit_float(words.word[pair + 1]));
            v[pair] = __fadd_rn(mean, __fmul_rn(stddev, static_cast<float>(radius * cos(angle))));
            v[pair + 1] = __fadd_rn(mean, __fmul_rn(stddev, static_cast<float>(radius * sin(angle))));
        }
    }
};

template <class F, class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    random_kernel(F f, PhiloxKey key, const uint64_t* shift, int64_t n, T* y /*[n]*/, bool wide) {
    const uint64_t first = (key.offset + *shift) / 4;
    for (int64_t i = first_index() * 4; i < n; i += index_step() * 4) {
        float v[4];
        f(philox4x32(key.seed, first + static_cast<uint64_t>(i) / 4), v);
        store(y + i, n - i, wide, v);
    }
}

template <class F, class T>
void draw(const Op& op, const F& f, PhiloxKey key, int64_t n, T* y) {
    if (n == 0) return;
    launch(op, random_kernel<F, T>, blocks_for(ceil_div(n, 4), kElementwiseThreads), kElementwiseThreads, 0, f, key,
           random_shift(), n, y, aligned(y));
}

}  // namespace

template <class T>
void random_uniform(int64_t n, PhiloxKey key, T low, T high, T* y) {
    // bfloat16 has 8 bits: with more, the largest draws of [0,1) would be rounded to 1.
    const uint32_t bits = std::is_same_v<T, bfloat16> ? 0xff000000u : 0xffffffffu;
    draw({"rand", {n}}, Uniform{static_cast<float>(low), static_cast<float>(high), bits}, key, n, y);
}

template <class T>
void random_normal(int64_t n, PhiloxKey key, T mean, T stddev, T* y) {
    draw({"randn", {n}}, Normal{static_cast<float>(mean), static_cast<float>(stddev)}, key, n, y);
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(random_uniform)
CK_CUDA_INSTANTIATE(random_normal)
