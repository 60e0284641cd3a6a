#include "bugs.h"
#include "check.h"
#include "cuda/ptx.h"

using emulation_test::Buffer;
using emulation_test::launch;

namespace {

constexpr int kThreads = 64, kTiles = 7, kStages = 3;

enum class Plant { nothing, waits_for_too_few, no_barrier };

// Reverses each tile, through shared memory that cp.async fills kStages - 1 tiles ahead.
template <Plant kPlant>
__global__ void reverse_ahead(const float* x, float* y) {
    CK_SHARED(float, stages, [kStages][kThreads]);
    const int i = threadIdx.x;
    const auto load = [&](int tile) {
        if (tile < kTiles) ck::cuda::cp_async<4>(&stages[tile % kStages][i], x + tile * kThreads + i, 4);
        ck::cuda::cp_async_commit();
    };
    for (int tile = 0; tile < kStages - 1; ++tile) load(tile);
    for (int tile = 0; tile < kTiles; ++tile) {
        ck::cuda::cp_async_wait<kPlant == Plant::waits_for_too_few ? kStages - 1 : kStages - 2>();
        if (kPlant != Plant::no_barrier) __syncthreads();  // all have this tile, and have read the one before
        load(tile + kStages - 1);
        y[tile * kThreads + i] = stages[tile % kStages][kThreads - 1 - i];
    }
    ck::cuda::cp_async_wait<0>();
}

bool reversed(void (*kernel)(const float*, float*)) {
    std::vector<float> x(kTiles * kThreads);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
    Buffer<float> from(x), to(x.size());
    launch(kernel, dim3(1), dim3(kThreads), from, to);
    const std::vector<float> y = to.get();
    for (int k = 0; k < kTiles; ++k)
        for (int i = 0; i < kThreads; ++i)
            if (y[k * kThreads + i] != x[k * kThreads + kThreads - 1 - i]) return false;
    return true;
}

}  // namespace

bool bugs::waits_for_copies(bool planted) {
    return reversed(planted ? reverse_ahead<Plant::waits_for_too_few> : reverse_ahead<Plant::nothing>);
}

bool bugs::pipeline_barrier(bool planted) {
    return reversed(planted ? reverse_ahead<Plant::no_barrier> : reverse_ahead<Plant::nothing>);
}
