// The products of cuda/warpgroup_product.h against loops, with integers, whose sums are exact: edges of tiles one off,
// less k than a tile, operands along k and along m or n, slices of k, and windows.
#include <algorithm>
#include <cmath>
#include <random>

#include "check.h"
#include "core/dtype.h"
#include "cuda/warpgroup_launch.h"
#include "tests.h"

namespace emulation_test {
namespace {

using ck::bfloat16;
using ck::cuda::Along;
using ck::cuda::kBoxElements;

std::vector<float> integers(size_t count, uint32_t seed) {
    std::mt19937 generator(seed);
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(static_cast<int>(generator() % 9) - 4);
    return values;
}
template <class T>
std::vector<T> stored(const std::vector<float>& values) {
    std::vector<T> result;
    for (const float value : values) result.push_back(T(value));
    return result;
}

// Of the numbers as they are stored, before the activation.
template <class T>
void check_moments(const ck::cuda::ProductSize& size, const ck::cuda::ColumnMoments& moments,
                   const std::vector<double>& want, const std::vector<float>& bias) {
    const int64_t parts = ck::ceil_div(size.m, moments.part_rows);
    std::vector<ck::cuda::Moments> got(size.n * parts);
    cudaMemcpy(got.data(), moments.moments->data(), got.size() * sizeof(got[0]), cudaMemcpyDeviceToHost);
    int wrong = 0;
    for (int64_t j = 0; j < size.n; ++j)
        for (int64_t q = 0; q < parts; ++q) {
            const int64_t first = q * moments.part_rows, rows = std::min(moments.part_rows, size.m - first);
            const auto value = [&](int64_t row) {
                return double{static_cast<float>(T(static_cast<float>(want[(first + row) * size.n + j]) + bias[j]))};
            };
            double mean = 0, squares = 0;
            for (int64_t row = 0; row < rows; ++row) mean += value(row) / static_cast<double>(rows);
            for (int64_t row = 0; row < rows; ++row) squares += (value(row) - mean) * (value(row) - mean);
            const ck::cuda::Moments& part = got[j * parts + q];
            wrong += !(std::fabs(part.mean - mean) <= 1e-5 * (1 + std::fabs(mean) + std::sqrt(squares)));
            wrong += !(std::fabs(part.squares - squares) <= 1e-5 * (1 + squares) * static_cast<double>(rows));
        }
    CHECK(wrong == 0);
}

// The sums that lie in `got`, or in its slices one after the other, with bias and ReLU where there is one slice.
template <class T, class A, class B>
void check_product(const ck::cuda::ProductSize& size, const A& a, const B& b, int columns, int slices,
                   const std::vector<double>& want) {
    const ck::cuda::Op op{"test", {}};
    const std::vector<float> bias = integers(size.n, 9);
    const Buffer<T> device_bias(stored<T>(bias)), c(size.m * size.n);
    const Buffer<float> partials(slices * size.m * size.n);
    const int64_t taps = ck::cuda::taps_of(a.source), depth = kBoxElements<T>;
    const int64_t tiles = taps * ck::ceil_div(size.k / taps, depth), slice = ck::ceil_div(tiles, slices) * depth;
    ck::Activation act{};
    if (slices == 1) act.kind = ck::ActivationKind::relu;
    const ck::cuda::DenseRows rows(size);
    const ck::cuda::ProductOutput<T, ck::cuda::DenseRows> out{static_cast<int>(size.m),
                                                              static_cast<int>(size.n),
                                                              static_cast<int>(size.k),
                                                              rows,
                                                              slices > 1 ? static_cast<int>(slice) : 0,
                                                              static_cast<int>(slice),
                                                              c,
                                                              slices > 1 ? static_cast<float*>(partials) : nullptr,
                                                              slices > 1 ? nullptr : static_cast<T*>(device_bias),
                                                              nullptr,
                                                              act,
                                                              ck::cuda::in_vectors<T>(size.n, static_cast<T*>(c))};
    CHECK(ck::cuda::loadable<T>(a.source) && a.source.vectors && b.source.vectors);
    ck::cuda::ColumnMoments moments;
    ck::cuda::launch_warpgroups<T>(op, {128, columns, true, slices, slice}, out, a, b,
                                   slices == 1 ? &moments : nullptr);
    CHECK(cudaDeviceSynchronize() == cudaSuccess);
    if (slices == 1) check_moments<T>(size, moments, want, bias);
    const std::vector<T> got = c.get();
    const std::vector<float> parts = partials.get();
    int wrong = 0;
    for (int64_t i = 0; i < size.m * size.n; ++i) {
        double sum = 0;
        for (int s = 0; s < slices; ++s) sum += parts[s * size.m * size.n + i];
        if (slices == 1) {
            sum = static_cast<float>(got[i]);
            wrong += sum != static_cast<float>(T(std::fmax(0.0f, static_cast<float>(want[i]) + bias[i % size.n])));
        } else {
            wrong += sum != want[i];
        }
    }
    CHECK(wrong == 0);
}

template <class T, Along a_along, Along b_along>
void matrices(int64_t m, int64_t n, int64_t k, int columns, int slices) {
    const std::vector<float> a = integers(m * k, 1), b = integers(n * k, 2);
    const Buffer<T> device_a(stored<T>(a)), device_b(stored<T>(b));
    constexpr bool a_k = a_along == Along::k, b_k = b_along == Along::k;
    std::vector<double> want(m * n);
    for (int64_t i = 0; i < m; ++i)
        for (int64_t l = 0; l < k; ++l)
            for (int64_t j = 0; j < n; ++j)
                want[i * n + j] += a[a_k ? i * k + l : l * m + i] * b[b_k ? j * k + l : l * n + j];
    const ck::cuda::Operand<a_along, ck::cuda::Matrix<T>> left{{device_a, a_k ? m : k, a_k ? k : m}};
    const ck::cuda::Operand<b_along, ck::cuda::Matrix<T>> right{{device_b, b_k ? n : k, b_k ? k : n}};
    check_product<T>({m, n, k}, left, right, columns, slices, want);
}

ck::Conv2dShape convolution(int64_t n, int64_t h, int64_t w, int64_t c, int64_t o, int64_t r, int64_t s, int64_t stride,
                            int64_t dilation, int64_t before, int64_t after) {
    ck::Conv2dShape shape{};
    shape.n = n, shape.h = h, shape.w = w, shape.c = c, shape.o = o, shape.r = r, shape.s = s;
    shape.stride_h = stride, shape.stride_w = stride + 1, shape.dilation_h = shape.dilation_w = dilation;
    shape.pad_top = before, shape.pad_left = before + 1, shape.groups = 1;
    shape.p = (h + before + after - dilation * (r - 1) - 1) / shape.stride_h + 1;
    shape.q = (w + before + 1 + after - dilation * (s - 1) - 1) / shape.stride_w + 1;
    return shape;
}

template <class T>
void windows(const ck::Conv2dShape& s, int columns, int slices) {
    const std::vector<float> x = integers(s.n * s.h * s.w * s.c, 3), w = integers(s.o * s.r * s.s * s.c, 4);
    const Buffer<T> device_x(stored<T>(x)), device_w(stored<T>(w));
    std::vector<double> want(s.n * s.p * s.q * s.o);
    for (int64_t m = 0; m < s.n * s.p * s.q; ++m)
        for (int64_t tap = 0; tap < s.r * s.s; ++tap) {
            const int64_t h = m / s.q % s.p * s.stride_h - s.pad_top + tap / s.s * s.dilation_h;
            const int64_t v = m % s.q * s.stride_w - s.pad_left + tap % s.s * s.dilation_w;
            if (h < 0 || h >= s.h || v < 0 || v >= s.w) continue;
            for (int64_t o = 0; o < s.o; ++o)
                for (int64_t c = 0; c < s.c; ++c)
                    want[m * s.o + o] +=
                        x[((m / (s.p * s.q) * s.h + h) * s.w + v) * s.c + c] * w[(o * s.r * s.s + tap) * s.c + c];
        }
    const ck::cuda::ProductSize size{s.n * s.p * s.q, s.o, s.r * s.s * s.c};
    const ck::cuda::Operand<Along::k, ck::cuda::WindowMatrix<T>> left{
        ck::cuda::convolution_windows<T>(s, static_cast<const T*>(device_x))};
    const ck::cuda::Operand<Along::k, ck::cuda::Matrix<T>> right{{device_w, size.n, size.k}};
    check_product<T>(size, left, right, columns, slices, want);
}

}  // namespace

void warpgroup_products() {
    constexpr Along k = Along::k, mn = Along::mn;
    matrices<bfloat16, k, k>(129, 127, 8, 128, 1);
    matrices<bfloat16, k, k>(127, 129, 456, 128, 1);
    matrices<bfloat16, k, mn>(128, 136, 72, 128, 1);
    matrices<bfloat16, mn, k>(136, 7, 64, 128, 1);
    matrices<bfloat16, mn, mn>(72, 264, 33, 256, 1);
    matrices<bfloat16, k, k>(65, 40, 520, 128, 3);
    matrices<float, k, k>(130, 70, 164, 128, 1);
    matrices<float, k, k>(3, 257, 36, 256, 2);
    windows<bfloat16>(convolution(3, 7, 9, 8, 20, 3, 3, 1, 1, 1, 1), 128, 1);
    windows<bfloat16>(convolution(2, 9, 8, 72, 17, 3, 2, 2, 1, 0, 2), 128, 2);
    windows<float>(convolution(2, 8, 11, 36, 33, 2, 3, 1, 2, 2, 1), 128, 1);
    windows<float>(convolution(5, 6, 6, 4, 130, 1, 1, 1, 1, 0, 0), 256, 1);
}

}  // namespace emulation_test
