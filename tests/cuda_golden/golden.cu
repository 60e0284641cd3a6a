// Every function of cuda/ptx.h on fixed bits, by one warp. The emulation's models print golden.txt; a GPU must print
// the same, for the PTX itself is code that the emulation never runs. Products use integers, which are exact in any
// order.
//
//     nvcc -std=c++17 --expt-relaxed-constexpr -arch=native -I csrc tests/cuda_golden/golden.cu -o golden
//     ./golden | diff - tests/cuda_golden/golden.txt
#include "golden.h"

#include "cuda/ptx.h"

namespace ck::cuda {
namespace {

constexpr int kLanes = 32;

// Copies of `bytes` with every number of valid bytes, in two groups, of which the first is waited for alone.
template <int bytes>
__global__ void copy_kernel(const uint32_t* in, uint32_t* out) {
    CK_SHARED(uint32_t, tile, [2][kLanes * 4]);
    constexpr int kWords = bytes / 4;
    const int lane = static_cast<int>(threadIdx.x);
    for (int group = 0; group < 2; ++group) {
        cp_async<bytes>(&tile[group][lane * kWords], in + group * kLanes * kWords + lane * kWords, lane % (bytes + 1));
        cp_async_commit();
    }
    cp_async_wait<1>();
    __syncthreads();
    for (int i = 0; i < kWords; ++i) out[lane * kWords + i] = tile[0][lane * kWords + i];
    cp_async_wait<0>();
    __syncthreads();
    for (int i = 0; i < kWords; ++i) out[(kLanes + lane) * kWords + i] = tile[1][lane * kWords + i];
}

template <bool transposed>
__global__ void ldmatrix_kernel(const uint32_t* in, uint32_t* out) {
    CK_SHARED(uint32_t, rows, [kLanes][4]);
    const int lane = static_cast<int>(threadIdx.x);
    for (int i = 0; i < 4; ++i) rows[lane][i] = in[lane * 4 + i];
    __syncthreads();
    uint32_t r[4];
    if constexpr (transposed)
        ldmatrix_x4_trans(r, rows[lane ^ 5]);
    else
        ldmatrix_x4(r, rows[lane ^ 5]);
    for (int i = 0; i < 4; ++i) out[lane * 4 + i] = r[i];
}

template <bool bf16>
__global__ void mma_kernel(const uint32_t* in, uint32_t* out) {
    const int lane = static_cast<int>(threadIdx.x);
    uint32_t a[4], b[2];
    float c[4];
    for (int i = 0; i < 4; ++i) a[i] = in[lane * 10 + i];
    for (int i = 0; i < 2; ++i) b[i] = in[lane * 10 + 4 + i];
    for (int i = 0; i < 4; ++i) c[i] = __uint_as_float(in[lane * 10 + 6 + i]);
    if constexpr (bf16)
        mma_bf16(c, a, b);
    else
        mma_tf32(c, a, b);
    for (int i = 0; i < 4; ++i) out[lane * 4 + i] = __float_as_uint(c[i]);
}

__global__ void to_tf32_kernel(const uint32_t* in, uint32_t* out) {
    out[threadIdx.x] = to_tf32(__uint_as_float(in[threadIdx.x]));
}

void run(const char* name, void (*kernel)(const uint32_t*, uint32_t*), const std::vector<uint32_t>& in, size_t words) {
    const Words from(in), to(words);
    launch({name, {}}, kernel, dim3(1), dim3(kLanes), 0, static_cast<const uint32_t*>(from.data), to.data);
    to.print(name, words);
}

std::vector<uint32_t> products(bool bf16) {
    std::vector<uint32_t> words;
    for (int lane = 0; lane < kLanes; ++lane)
        for (int i = 0; i < 10; ++i)
            words.push_back(bf16 && i < 6 ? integer() >> 16 | (integer() & 0xffff0000u) : integer());
    return words;
}

std::vector<uint32_t> ordinary_floats() {  // no NaN, whose bits a GPU may choose; denormals are left out too
    std::vector<uint32_t> words = bits(kLanes);
    for (uint32_t& word : words) word = (word & 0x807fffffu) | ((word >> 23 & 0x7f) + 64) << 23;
    words[0] = 0x3f801000u, words[1] = 0x3f800fffu, words[2] = 0xbf801000u, words[3] = 0, words[4] = 0x7f800000u;
    return words;
}

}  // namespace
}  // namespace ck::cuda

int main() {
    using namespace ck::cuda;
    run("cp_async 4", copy_kernel<4>, bits(2 * kLanes), 2 * kLanes);
    run("cp_async 8", copy_kernel<8>, bits(4 * kLanes), 4 * kLanes);
    run("cp_async 16", copy_kernel<16>, bits(8 * kLanes), 8 * kLanes);
    run("ldmatrix_x4", ldmatrix_kernel<false>, bits(4 * kLanes), 4 * kLanes);
    run("ldmatrix_x4_trans", ldmatrix_kernel<true>, bits(4 * kLanes), 4 * kLanes);
    run("mma_tf32", mma_kernel<false>, products(false), 4 * kLanes);
    run("mma_bf16", mma_kernel<true>, products(true), 4 * kLanes);
    run("to_tf32", to_tf32_kernel, ordinary_floats(), kLanes);
    return 0;
}
