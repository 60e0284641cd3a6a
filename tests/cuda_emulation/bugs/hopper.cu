// A product of two warpgroups: one thread of the first feeds TMA, the second multiplies.
#include "bugs.h"
#include "check.h"
#include "cuda/hopper.h"
#include "cuda/tensor_map.h"

using emulation_test::Buffer;

namespace {

constexpr int kRows = 64, kColumns = 128, kStages = 2, kTiles = 7, kDepth = 32;  // of floats
constexpr int kStageBytes = (kRows + kColumns) * 128;

enum class Plant { nothing, producer_waits_for_no_stage, consumer_waits_for_no_data, stage_freed_early };

template <Plant kPlant>
__global__ void product(const ck::cuda::TensorMap a, const ck::cuda::TensorMap b, float* c) {
    using namespace ck::cuda;
    CK_DYNAMIC_SHARED(char, shared);
    auto* full = reinterpret_cast<uint64_t*>(shared + kStages * kStageBytes);
    uint64_t* empty = full + kStages;
    if (threadIdx.x == 0) {
        for (int stage = 0; stage < kStages; ++stage) {
            mbarrier_init(full + stage, 1);
            mbarrier_init(empty + stage, 1);
        }
        mbarrier_init_fence();
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int tile = 0; tile < kTiles; ++tile) {
            const int stage = tile % kStages, round = tile / kStages;
            if (kPlant != Plant::producer_waits_for_no_stage) mbarrier_wait(empty + stage, (round + 1) % 2);
            mbarrier_arrive_expect(full + stage, kStageBytes);
            tma_load_3d(shared + stage * kStageBytes, &a, full + stage, tile * kDepth, 0, 0);
            tma_load_3d(shared + stage * kStageBytes + kRows * 128, &b, full + stage, tile * kDepth, 0, 0);
        }
    } else if (threadIdx.x >= 128) {
        float d[kColumns / 2] = {};
        for (int tile = 0; tile < kTiles; ++tile) {
            const int stage = tile % kStages;
            const char* own_a = shared + stage * kStageBytes;
            const char* own_b = own_a + kRows * 128;
            if (kPlant != Plant::consumer_waits_for_no_data) mbarrier_wait(full + stage, tile / kStages % 2);
            wgmma_fence();
            for (int k = 0; k < 4; ++k)
                wgmma<false, kColumns>(d, matrix_descriptor(own_a + 32 * k), matrix_descriptor(own_b + 32 * k));
            wgmma_commit();
            wgmma_wait<kPlant == Plant::stage_freed_early ? 1 : 0>(d);
            if (threadIdx.x == 128) mbarrier_arrive(empty + stage);
        }
        wgmma_wait<0>(d);
        const int t = static_cast<int>(threadIdx.x) - 128;
        for (int i = 0; i < kColumns / 2; ++i) {
            const int row = t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8, column = i / 4 * 8 + t % 4 * 2 + i % 2;
            c[row * kColumns + column] = d[i];
        }
    }
}

bool multiplied(void (*kernel)(ck::cuda::TensorMap, ck::cuda::TensorMap, float*)) {
    constexpr int depth = kTiles * kDepth;
    std::vector<float> a(kRows * depth), b(kColumns * depth);
    for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(static_cast<int>(i % 7) - 3);
    for (size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(static_cast<int>(i % 5) - 2);
    Buffer<float> device_a(a), device_b(b), c(kRows * kColumns);
    const auto map = [](const float* data, int rows) {
        return ck::cuda::tiled_map({"test", {}}, {data, CU_TENSOR_MAP_DATA_TYPE_FLOAT32, depth, rows, 1, rows, 1});
    };
    const ck::cuda::TensorMap map_a = map(device_a, kRows), map_b = map(device_b, kColumns);
    const size_t bytes = kStages * kStageBytes + 2 * kStages * sizeof(uint64_t);
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
    emulation::launch(nullptr, kernel, dim3(1), dim3(256), bytes, map_a, map_b, c);
    const std::vector<float> got = c.get();
    for (int row = 0; row < kRows; ++row)
        for (int column = 0; column < kColumns; ++column) {
            float sum = 0;
            for (int k = 0; k < depth; ++k) sum += a[row * depth + k] * b[column * depth + k];
            if (got[row * kColumns + column] != sum) return false;
        }
    return true;
}

}  // namespace

bool bugs::producer_waits_for_stage(bool planted) {
    return multiplied(planted ? product<Plant::producer_waits_for_no_stage> : product<Plant::nothing>);
}

bool bugs::consumer_waits_for_data(bool planted) {
    return multiplied(planted ? product<Plant::consumer_waits_for_no_data> : product<Plant::nothing>);
}

bool bugs::stage_freed_after_use(bool planted) {
    return multiplied(planted ? product<Plant::stage_freed_early> : product<Plant::nothing>);
}
