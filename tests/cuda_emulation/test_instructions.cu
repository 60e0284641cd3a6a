// The models of PTX, against descriptions of the same layouts that are not written with g and t: the layouts of CuTe's
// atoms (cutlass, include/cute/atom/mma_traits_sm80.hpp), as lists of extents and strides.
#include <cmath>
#include <random>

#include "check.h"
#include "core/dtype.h"
#include "cuda/ptx.h"
#include "tests.h"

namespace emulation_test {
namespace {

// A layout maps (lane, value) to row + rows * column.
struct Layout {
    int extent[5], stride[5];  // the first two are the lane's
    int rows;
    int at(int lane, int value) const {
        int index = 0, rest = lane;
        for (int i = 0; i < 5; ++i) {
            if (i == 2) rest = value;
            index += rest % extent[i] * stride[i];
            rest /= extent[i];
        }
        return index;
    }
    int row(int lane, int value) const { return at(lane, value) % rows; }
    int column(int lane, int value) const { return at(lane, value) / rows; }
};
struct Atom {
    Layout a, b, c;  // of A [16, K], B [8, K] and C [16, 8]
    int depth, a_values, b_values;
};
constexpr Layout kAccumulator{{4, 8, 2, 2, 1}, {32, 1, 16, 8, 0}, 16};
constexpr Atom kTf32{
    {{4, 8, 2, 2, 1}, {16, 1, 8, 64, 0}, 16}, {{4, 8, 2, 1, 1}, {8, 1, 32, 0, 0}, 8}, kAccumulator, 8, 4, 2};
constexpr Atom kBf16{
    {{4, 8, 2, 2, 2}, {32, 1, 16, 8, 128}, 16}, {{4, 8, 2, 2, 1}, {16, 1, 8, 64, 0}, 8}, kAccumulator, 16, 8, 4};

std::vector<float> small_integers(size_t count, unsigned seed) {
    std::mt19937 generator(seed);
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(static_cast<int>(generator() % 9) - 4);
    return values;
}

// Registers of lane l in registers[l * count ...].
std::vector<uint32_t> registers(const Atom& atom, const Layout& layout, int values, const std::vector<float>& matrix) {
    const bool bf16 = atom.depth == 16;
    std::vector<uint32_t> result;
    for (int lane = 0; lane < 32; ++lane)
        for (int v = 0; v < values; ++v) {
            const float value = matrix[layout.row(lane, v) * atom.depth + layout.column(lane, v)];
            if (!bf16)
                result.push_back(ck::cuda::to_tf32(value));
            else if (v % 2 == 0)
                result.push_back(ck::bfloat16(value).bits);
            else
                result.back() |= static_cast<uint32_t>(ck::bfloat16(value).bits) << 16;
        }
    return result;
}

template <bool kBF16, bool kTile>
__global__ void multiply(const uint32_t* a, const uint32_t* b, float* c) {
    const int lane = static_cast<int>(threadIdx.x);
    uint32_t own_a[1][4], own_b[2][2];
    float own_c[1][2][4];
    for (int i = 0; i < 4; ++i) own_a[0][i] = a[lane * 4 + i];
    for (int i = 0; i < 2; ++i) own_b[0][i] = own_b[1][i] = b[lane * 2 + i];
    for (int i = 0; i < 4; ++i) {
        own_c[0][0][i] = c[lane * 4 + i];
        own_c[0][1][i] = 0;
    }
    if (kTile)
        ck::cuda::mma_tile<kBF16>(own_c, own_a, own_b);
    else if (kBF16)
        ck::cuda::mma_bf16(own_c[0][0], own_a[0], own_b[0]);
    else
        ck::cuda::mma_tf32(own_c[0][0], own_a[0], own_b[0]);
    for (int i = 0; i < 4; ++i) c[lane * 4 + i] = own_c[0][0][i];
}

void check_product(const Atom& atom, void (*kernel)(const uint32_t*, const uint32_t*, float*)) {
    const std::vector<float> a = small_integers(16 * atom.depth, 1), b = small_integers(8 * atom.depth, 2);
    Buffer<uint32_t> own_a(registers(atom, atom.a, atom.a_values, a)), own_b(registers(atom, atom.b, atom.b_values, b));
    Buffer<float> c(std::vector<float>(128, 100.0f));
    launch(kernel, dim3(1), dim3(32), own_a, own_b, c);
    const std::vector<float> got = c.get();
    for (int lane = 0; lane < 32; ++lane)
        for (int v = 0; v < 4; ++v) {
            const int row = atom.c.row(lane, v), column = atom.c.column(lane, v);
            float sum = 100;
            for (int k = 0; k < atom.depth; ++k) sum += a[row * atom.depth + k] * b[column * atom.depth + k];
            CHECK(got[lane * 4 + v] == sum);
        }
}

// A tile [16][16] of bf16 by rows gives A fragments; the same tile transposed, [k][n], gives B fragments by .trans.
template <bool kTransposed>
__global__ void load_fragments(const uint16_t* tile, uint32_t* out) {
    CK_SHARED(uint16_t, rows, [16][16]);
    const int lane = static_cast<int>(threadIdx.x);
    for (int i = lane; i < 256; i += 32) rows[i / 16][i % 16] = tile[i];
    __syncthreads();
    uint32_t r[4];
    const void* row = &rows[lane % 16][lane / 16 * 8];
    if (kTransposed)
        ck::cuda::ldmatrix_x4_trans(r, row);
    else
        ck::cuda::ldmatrix_x4(r, row);
    for (int i = 0; i < 4; ++i) out[lane * 4 + i] = r[i];
}

void matrices() {
    std::vector<uint16_t> tile(256);
    for (int i = 0; i < 256; ++i) tile[i] = static_cast<uint16_t>(i);
    Buffer<uint16_t> from(tile);
    Buffer<uint32_t> to(128);
    const auto half = [&](const std::vector<uint32_t>& got, int lane, int v) {
        return static_cast<int>(got[lane * 4 + v / 2] >> (v % 2 * 16) & 0xffff);
    };
    launch(load_fragments<false>, dim3(1), dim3(32), from, to);
    std::vector<uint32_t> got = to.get();
    for (int lane = 0; lane < 32; ++lane)
        for (int v = 0; v < 8; ++v) CHECK(half(got, lane, v) == kBf16.a.row(lane, v) * 16 + kBf16.a.column(lane, v));
    launch(load_fragments<true>, dim3(1), dim3(32), from, to);
    got = to.get();
    for (int lane = 0; lane < 32; ++lane)
        for (int v = 0; v < 8; ++v) {  // matrices 0 and 1 are B's columns 0-7, 2 and 3 the next eight
            const int k = kBf16.b.column(lane, v % 4), n = kBf16.b.row(lane, v % 4) + v / 4 * 8;
            CHECK(half(got, lane, v) == k * 16 + n);
        }
}

template <int kPitch>
__global__ void load_pitched(uint32_t* out) {
    CK_SHARED(unsigned char, rows, [32 * kPitch]);
    uint32_t r[4];
    ck::cuda::ldmatrix_x4(r, rows + threadIdx.x * kPitch);
    out[threadIdx.x] = r[0];
}

// Rows 16 bytes apart use all banks once; 128 bytes apart, the same four banks eight times.
void conflicts() {
    Buffer<uint32_t> out(32);
    const auto count = [&](void (*kernel)(uint32_t*)) {
        emulation::reset_stats();
        launch(kernel, dim3(1), dim3(32), out);
        CHECK(cudaDeviceSynchronize() == cudaSuccess);
        CHECK(emulation::stats().ldmatrix_phases == 4);
        return emulation::stats().ldmatrix_conflicts;
    };
    CHECK(count(load_pitched<16>) == 0);
    CHECK(count(load_pitched<128>) == 4 * 7);
    CHECK(count(load_pitched<144>) == 0);
    CHECK(count(load_pitched<64>) == 4 * 3);
}

template <int kBytes>
__global__ void copy_through(const char* from, int valid, char* to) {
    CK_SHARED(char, staged, [32 * kBytes]);
    const int begin = static_cast<int>(threadIdx.x) * kBytes, left = valid - begin;
    ck::cuda::cp_async<kBytes>(staged + begin, from + begin, left < 0 ? 0 : left < kBytes ? left : kBytes);
    ck::cuda::cp_async_commit();
    ck::cuda::cp_async_wait<0>();
    __syncthreads();
    for (int i = 0; i < kBytes; ++i) to[i * 32 + threadIdx.x] = staged[i * 32 + threadIdx.x];
}

template <int kBytes>
void copies() {
    constexpr int valid = 21 * kBytes + kBytes / 2;
    std::vector<char> in(valid, 'x');
    Buffer<char> from(in), to(32 * kBytes);
    launch(copy_through<kBytes>, dim3(1), dim3(32), from, valid, to);
    const std::vector<char> got = to.get();
    for (int i = 0; i < 32 * kBytes; ++i) CHECK(got[i] == (i < valid ? 'x' : 0));
}

void conversions() {
    using namespace ck::cuda;
    CHECK(to_tf32(__uint_as_float(0x3f801000u)) == 0x3f802000u);  // a tie goes away from zero
    CHECK(to_tf32(__uint_as_float(0xbf800fffu)) == 0xbf800000u);
    CHECK(to_tf32(INFINITY) == 0x7f800000u);
}

}  // namespace

void instructions() {
    check_product(kTf32, multiply<false, false>);
    check_product(kTf32, multiply<false, true>);
    check_product(kBf16, multiply<true, false>);
    check_product(kBf16, multiply<true, true>);
    matrices();
    conflicts();
    copies<4>();
    copies<8>();
    copies<16>();
    conversions();
}

}  // namespace emulation_test
