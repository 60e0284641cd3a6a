// The functions of cuda/hopper.h, against the same things said in other words: an operand in shared memory has its
// 16-byte chunk c of line r at r * 128 + (c ^ r % 8) * 16; accumulators lie as CuTe's CLayout_64xN says (cutlass,
// include/cute/atom/mma_traits_sm90_gmma.hpp); im2col is a loop over output pixels.
#include <random>

#include "check.h"
#include "core/dtype.h"
#include "cuda/hopper.h"
#include "cuda/tensor_map.h"
#include "tests.h"

namespace emulation_test {
namespace {

constexpr int kColumns = 128;
constexpr auto kFloats = CU_TENSOR_MAP_DATA_TYPE_FLOAT32;
const ck::cuda::Op kOp{"test", {}};

__device__ int chunk_byte(int row, int byte) {
    return row * 128 + ((byte / 16) ^ (row % 8)) * 16 + byte % 16;
}

template <class T>
T as(float value) {
    if constexpr (sizeof(T) == 4)
        return value;
    else
        return ck::bfloat16(value).bits;
}

// Where element (mn, k) of an operand lies, lines of 128 bytes along k or along m or n: 64 of these in one line, the
// next 64 in a tile of `depth` lines of their own.
template <class T>
__device__ int operand_byte(bool along_mn, int mn, int k, int depth) {
    constexpr int bytes = sizeof(T);
    return along_mn ? mn / 64 * depth * 128 + chunk_byte(k, mn % 64 * bytes) : chunk_byte(mn, k * bytes);
}

// D[64, 128] = A[64, depth] B[128, depth]^T, depth 128 bytes; element i of thread t to out[t * 64 + i].
template <class T, bool a_mn, bool b_mn>
__global__ void multiply(const T* a, const T* b, float* out) {
    constexpr int depth = 128 / sizeof(T), next = depth * 128;
    CK_DYNAMIC_SHARED(char, shared);
    char* own_b = shared + 64 * 128;
    for (int i = threadIdx.x; i < 64 * depth; i += 128)
        *reinterpret_cast<T*>(shared + operand_byte<T>(a_mn, i / depth, i % depth, depth)) = a[i];
    for (int i = threadIdx.x; i < kColumns * depth; i += 128)
        *reinterpret_cast<T*>(own_b + operand_byte<T>(b_mn, i / depth, i % depth, depth)) = b[i];
    ck::cuda::fence_proxy_async();
    __syncthreads();
    float d[kColumns / 2] = {};
    ck::cuda::wgmma_fence();
    for (int k = 0; k < 4; ++k)
        ck::cuda::wgmma<sizeof(T) == 2, kColumns, a_mn, b_mn>(
            d, ck::cuda::matrix_descriptor(shared + (a_mn ? 2048 : 32) * k, next),
            ck::cuda::matrix_descriptor(own_b + (b_mn ? 2048 : 32) * k, next));
    ck::cuda::wgmma_commit();
    ck::cuda::wgmma_wait<0>(d);
    for (int i = 0; i < kColumns / 2; ++i) out[threadIdx.x * (kColumns / 2) + i] = d[i];
}

template <class T, bool a_mn = false, bool b_mn = false>
void product() {
    constexpr int depth = 128 / sizeof(T);
    std::mt19937 generator(3);
    std::vector<float> a(64 * depth), b(kColumns * depth);
    std::vector<T> stored_a, stored_b;
    for (float& value : a) stored_a.push_back(as<T>(value = static_cast<float>(static_cast<int>(generator() % 9) - 4)));
    for (float& value : b) stored_b.push_back(as<T>(value = static_cast<float>(static_cast<int>(generator() % 9) - 4)));
    Buffer<T> device_a(stored_a), device_b(stored_b);
    Buffer<float> out(128 * kColumns / 2);
    const int bytes = (64 + kColumns) * 128;
    emulation::launch(nullptr, multiply<T, a_mn, b_mn>, dim3(1), dim3(128), bytes, device_a, device_b, out);
    const std::vector<float> got = out.get();
    for (int t = 0; t < 128; ++t)
        for (int i = 0; i < kColumns / 2; ++i) {
            // ((4, 8, 4), (2, 2, N / 8)) : ((128, 1, 16), (64, 8, 512)), to row + 64 column
            const int place = t % 4 * 128 + t / 4 % 8 + t / 32 * 16 + i % 2 * 64 + i / 2 % 2 * 8 + i / 4 * 512;
            float sum = 0;
            for (int k = 0; k < depth; ++k) sum += a[place % 64 * depth + k] * b[place / 64 * depth + k];
            CHECK(got[t * kColumns / 2 + i] == sum);
        }
}

struct Box {
    int rows, c, w, h, n, offset_w, offset_h;
    bool im2col;
};

// Loads one box of floats; its rows, without the swizzle, to out.
__global__ void load_box(const ck::cuda::TensorMap map, Box box, float* out) {
    CK_DYNAMIC_SHARED(char, shared);
    auto* barrier = reinterpret_cast<uint64_t*>(shared + box.rows * 128);
    if (threadIdx.x == 0) {
        ck::cuda::mbarrier_init(barrier, 1);
        ck::cuda::mbarrier_init_fence();
        ck::cuda::mbarrier_arrive_expect(barrier, box.rows * 128);
        if (box.im2col)
            ck::cuda::tma_load_im2col(shared, &map, barrier, box.c, box.w, box.h, box.n, box.offset_w, box.offset_h);
        else
            ck::cuda::tma_load_3d(shared, &map, barrier, box.c, box.w, box.h);
    }
    __syncthreads();
    ck::cuda::mbarrier_wait(barrier, 0);
    for (int i = threadIdx.x; i < box.rows * 32; i += blockDim.x)
        out[i] = *reinterpret_cast<float*>(shared + chunk_byte(i / 32, i % 32 * 4));
}

std::vector<float> loaded(const ck::cuda::TensorMap& map, const Box& box) {
    Buffer<float> out(box.rows * 32);
    const size_t bytes = box.rows * 128 + sizeof(uint64_t);
    emulation::launch(nullptr, load_box, dim3(1), dim3(64), bytes, map, box, out);
    return out.get();
}

void matrix_boxes() {
    constexpr int rows = 20, columns = 44, box_rows = 16;
    std::vector<float> x(rows * columns);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
    Buffer<float> device(x);
    const ck::cuda::TensorMap map = ck::cuda::tiled_map(kOp, {device, kFloats, columns, rows, 1, box_rows, 1});
    for (const int row : {0, 8, -3})
        for (const int column : {0, 32}) {
            const std::vector<float> got = loaded(map, {box_rows, column, row, 0, 0, 0, 0, false});
            for (int i = 0; i < box_rows * 32; ++i) {
                const int r = row + i / 32, c = column + i % 32;
                CHECK(got[i] == (r >= 0 && r < rows && c < columns ? x[r * columns + c] : 0));
            }
        }
}

// Planes of a tensor [3,4,20], of which a box takes 5 rows of as many planes as there are, and one more.
void tensor_boxes() {
    std::vector<float> x(3 * 4 * 20);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
    Buffer<float> device(x);
    const ck::cuda::TensorMap map = ck::cuda::tiled_map(kOp, {device, kFloats, 20, 4, 3, 1, 4});
    const std::vector<float> got = loaded(map, {4, 4, 2, 1, 0, 0, 0, false});
    for (int i = 0; i < 4 * 32; ++i) {
        const int plane = 1 + i / 32, c = 4 + i % 32;
        CHECK(got[i] == (plane < 3 && c < 20 ? x[(plane * 4 + 2) * 20 + c] : 0));
    }
}

// What TMA does to floats on their way to a product in TF32: 13 bits less, to the nearest.
void rounded_boxes() {
    std::vector<float> x(32);
    for (size_t i = 0; i < x.size(); ++i) x[i] = 1 + static_cast<float>(i) * 0x1p-12f;
    Buffer<float> device(x);
    const auto type = CU_TENSOR_MAP_DATA_TYPE_TFLOAT32;
    const std::vector<float> got =
        loaded(ck::cuda::tiled_map(kOp, {device, type, 32, 1, 1, 1, 1}), {1, 0, 0, 0, 0, 0, 0, false});
    for (int i = 0; i < 32; ++i)
        if (i % 4 != 2) CHECK(got[i] == 1 + static_cast<float>((i + 1) / 4) * 0x1p-10f);
}

// Of an address that is not aligned, rows that are not, corners that are too far: the driver says no.
void refused_maps() {
    Buffer<float> device(4096);
    const auto refused = [](auto&& make) {
        try {
            make();
        } catch (const ck::DeviceError&) {
            return true;
        }
        return false;
    };
    CHECK(refused([&] { ck::cuda::tiled_map(kOp, {device + 1, kFloats, 32, 4, 1, 4, 1}); }));
    CHECK(refused([&] { ck::cuda::tiled_map(kOp, {device, kFloats, 33, 4, 1, 4, 1}); }));
    ck::cuda::WindowMap windows{device, kFloats, 1, 8, 8, 4, {-1, -1}, {0, 0}, {1, 1}, 32};
    CHECK(ck::cuda::in_window_map(windows) && !refused([&] { ck::cuda::window_map(kOp, windows); }));
    windows.lower[1] = -129;
    CHECK(!ck::cuda::in_window_map(windows) && refused([&] { ck::cuda::window_map(kOp, windows); }));
    windows.lower[1] = -1, windows.step[0] = 9;
    CHECK(!ck::cuda::in_window_map(windows) && refused([&] { ck::cuda::window_map(kOp, windows); }));
}

struct Convolution {
    int n, h, w, c, taps, stride, pad, dilation;
    int out(int extent) const { return (extent + 2 * pad - dilation * (taps - 1) - 1) / stride + 1; }
};

void im2col_boxes(const Convolution& s) {
    constexpr int pixels = 32;
    const int p = s.out(s.h), q = s.out(s.w);
    std::vector<float> x(s.n * s.h * s.w * s.c);
    for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i + 1);
    Buffer<float> device(x);
    const int lower = -s.pad, upper = s.pad - (s.taps - 1) * s.dilation;
    const ck::cuda::TensorMap map = ck::cuda::window_map(
        kOp, {device, kFloats, s.n, s.h, s.w, s.c, {lower, lower}, {upper, upper}, {s.stride, s.stride}, pixels});
    for (int first = 0; first < s.n * p * q; first += pixels)
        for (int r = 0; r < s.taps; ++r) {
            const int tap = s.taps - 1 - r, pixel = first % (p * q);
            const Box box{pixels,
                          0,
                          pixel % q * s.stride - s.pad,
                          pixel / q * s.stride - s.pad,
                          first / (p * q),
                          tap * s.dilation,
                          r * s.dilation,
                          true};
            const std::vector<float> got = loaded(map, box);
            for (int i = 0; i < pixels * 32; ++i) {
                const int m = first + i / 32, c = i % 32;
                const int h = m % (p * q) / q * s.stride - s.pad + r * s.dilation;
                const int w = m % q * s.stride - s.pad + tap * s.dilation;
                const bool inside = m < s.n * p * q && c < s.c && h >= 0 && h < s.h && w >= 0 && w < s.w;
                CHECK(got[i] == (inside ? x[((m / (p * q) * s.h + h) * s.w + w) * s.c + c] : 0));
            }
        }
}

}  // namespace

void hopper() {
    product<float>();
    product<uint16_t>();
    product<uint16_t, true, false>();
    product<uint16_t, false, true>();
    product<uint16_t, true, true>();
    matrix_boxes();
    tensor_boxes();
    rounded_boxes();
    refused_maps();
    im2col_boxes({2, 5, 6, 32, 3, 1, 1, 1});
    im2col_boxes({3, 7, 5, 12, 3, 2, 1, 1});
    im2col_boxes({1, 9, 9, 36, 2, 2, 0, 3});
    im2col_boxes({2, 4, 4, 8, 1, 1, 0, 1});
}

}  // namespace emulation_test
