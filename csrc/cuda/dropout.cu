// Dropout. A thread draws whole counters of core/philox.h, so the mask has the same bits as on the CPU.
#include <cmath>

#include "core/philox.h"
#include "cuda/backend.h"
#include "cuda/element.h"
#include "cuda/graph.h"
#include "cuda/launch.h"

namespace ck::cuda {
namespace {

template <class T>
__global__ void __launch_bounds__(kElementwiseThreads)
    dropout_kernel(int64_t n, PhiloxKey key, const uint64_t* shift, uint32_t threshold, float scale, const T* x /*[n]*/,
                   T* y /*[n]*/, bool wide) {
    constexpr int kN = kVector<T>;
    const uint64_t first = (key.offset + *shift) / 4;
    for (int64_t i = first_index() * kN; i < n; i += index_step() * kN) {
        float v[kN];
        load(x + i, n - i, wide, v);
#pragma unroll
        for (int j = 0; j < kN; j += 4) {
            const PhiloxWords words = philox4x32(key.seed, first + static_cast<uint64_t>(i + j) / 4);
#pragma unroll
            for (int k = 0; k < 4; ++k) v[j + k] = words.word[k] >> 8 >= threshold ? v[j + k] * scale : 0.0f;
        }
        store(y + i, n - i, wide, v);
    }
}

}  // namespace

template <class T>
void dropout(int64_t n, PhiloxKey key, double p, const T* x, T* y) {
    if (n == 0) return;
    // A word's top 24 bits w make the uniform number w / 2^24, which is compared with p.
    const uint32_t threshold = static_cast<uint32_t>(std::ceil(p * 0x1p24));
    const float scale = p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f;
    launch({"dropout", {n}}, dropout_kernel<T>, blocks_for(ceil_div(n, kVector<T>), kElementwiseThreads),
           kElementwiseThreads, 0, n, key, random_shift(), threshold, scale, x, y, aligned(x, y));
}

}  // namespace ck::cuda

CK_CUDA_INSTANTIATE(dropout)
