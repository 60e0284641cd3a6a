// As golden.cu, for cuda/hopper.h, by one warpgroup: products of integers, and boxes of random bits. The architecture
// is sm_90a, which -arch=native is not.
//
//     nvcc -std=c++17 --expt-relaxed-constexpr -gencode arch=compute_90a,code=sm_90a -I csrc
//         tests/cuda_golden/hopper.cu csrc/cuda/tensor_map.cu -o hopper
//     ./hopper | diff - tests/cuda_golden/hopper.txt
#include "cuda/hopper.h"

#include "golden.h"

namespace ck::cuda {
namespace {

constexpr int kThreads = 128, kColumns = 128, kLineWords = kBoxBytes / 4;
constexpr int kWordsA = 64 * kLineWords, kWordsB = kColumns * kLineWords;

// d[64,128] of 128 bytes of k's, the operands in shared memory as they come; of each thread a sum that tells its
// elements apart.
template <bool bf16, bool a_mn, bool b_mn>
__global__ void product_kernel(const uint32_t* in, uint32_t* out) {
    CK_DYNAMIC_SHARED(uint32_t, operands);
    for (int i = static_cast<int>(threadIdx.x); i < kWordsA + kWordsB; i += kThreads) operands[i] = in[i];
    fence_proxy_async();
    __syncthreads();
    float d[kColumns / 2] = {};
    wgmma_fence();
    const auto* a = reinterpret_cast<const char*>(operands);
    const char* b = a + kWordsA * 4;
#pragma unroll
    for (int step = 0; step < 4; ++step)
        wgmma<bf16, kColumns, a_mn, b_mn>(d, matrix_descriptor(a + step * (a_mn ? 2048 : 32), 8192),
                                          matrix_descriptor(b + step * (b_mn ? 2048 : 32), 8192));
    wgmma_commit();
    wgmma_wait<0>(d);
    int sum = 0;
#pragma unroll
    for (int i = 0; i < kColumns / 2; ++i) sum += static_cast<int>(d[i]) * (2 * i + 1);
    out[threadIdx.x] = static_cast<uint32_t>(sum);
}

struct Box {
    int at[4], offset[2], rows;
    bool windows;
};
__global__ void box_kernel(const __grid_constant__ TensorMap map, Box box, uint32_t* out) {
    CK_DYNAMIC_SHARED(uint32_t, lines);
    auto* barrier = reinterpret_cast<uint64_t*>(lines + box.rows * kLineWords);
    if (threadIdx.x == 0) {
        mbarrier_init(barrier, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect(barrier, box.rows * kBoxBytes);
        if (box.windows) {
            tma_load_im2col(lines, &map, barrier, box.at[0], box.at[1], box.at[2], box.at[3], box.offset[0],
                            box.offset[1]);
        } else {
            tma_load_3d(lines, &map, barrier, box.at[0], box.at[1], box.at[2]);
        }
    }
    __syncthreads();
    mbarrier_wait(barrier, 0);
    for (int i = static_cast<int>(threadIdx.x); i < box.rows * kLineWords; i += kThreads) out[i] = lines[i];
}

template <bool bf16, bool a_mn = false, bool b_mn = false>
void product(const char* name) {
    std::vector<uint32_t> in(kWordsA + kWordsB);
    for (uint32_t& word : in) word = bf16 ? integer() >> 16 | (integer() & 0xffff0000u) : integer();
    const Words from(in), to(kThreads);
    launch({name, {}}, product_kernel<bf16, a_mn, b_mn>, dim3(1), dim3(kThreads), in.size() * 4,
           static_cast<const uint32_t*>(from.data), to.data);
    to.print(name, kThreads);
}

void box(const char* name, const TensorMap& map, const Box& box) {
    const size_t words = static_cast<size_t>(box.rows) * kLineWords;
    const Words to(words);
    launch({name, {}}, box_kernel, dim3(1), dim3(kThreads), words * 4 + 8, map, box, to.data);
    to.print(name, words);
}

// The lower half of a unit and more above TF32's last bit: no ties, whose direction nobody promises.
std::vector<uint32_t> untied_floats(size_t count) {
    std::vector<uint32_t> words = bits(count);
    for (uint32_t& word : words) word = (word & 0x803fffffu) | 0x3f800001u;
    return words;
}

}  // namespace
}  // namespace ck::cuda

int main() {
    using namespace ck::cuda;
    product<false>("wgmma tf32");
    product<true>("wgmma bf16");
    product<true, true, false>("wgmma bf16, a along m");
    product<true, false, true>("wgmma bf16, b along n");
    product<true, true, true>("wgmma bf16, both");
    const Op op{"golden", {}};
    const auto halves = CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, tf32 = CU_TENSOR_MAP_DATA_TYPE_TFLOAT32;
    const Words tensor(bits(3 * 5 * 36)), floats(untied_floats(8 * 32));  // [3,5,72] of bfloat16; [8,32]
    box("tma 3d", tiled_map(op, {tensor.data, halves, 72, 5, 3, 8, 1}), {{16, -1, 1, 0}, {0, 0}, 8, false});
    box("tma 3d, tf32", tiled_map(op, {floats.data, tf32, 32, 8, 1, 8, 1}), {{0, 0, 0, 0}, {0, 0}, 8, false});
    const Words image(bits(2 * 5 * 6 * 8));  // [2,5,6,16] of bfloat16, 3x3 windows with a border of 1, steps of 1 and 2
    box("tma im2col", window_map(op, {image.data, halves, 2, 5, 6, 16, {-1, -1}, {-2, -1}, {2, 1}, 16}),
        {{0, 1, 2, 0}, {1, 2}, 16, true});
    return 0;
}
