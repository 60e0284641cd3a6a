// Matrix products and convolutions, thrice on end: the third finds its weights packed. Inputs lie in [-1,1], so a sum
// of k products is off by at most k roundings.
#include <algorithm>

#include "core/derived.h"
#include "cpu/conv_choice.h"
#include "selftest.h"

namespace ck::selftest {
namespace {

const Activation kActivations[] = {{},
                                   {ActivationKind::relu},
                                   {ActivationKind::relu6},
                                   {ActivationKind::leaky_relu},
                                   {ActivationKind::tanh},
                                   {ActivationKind::sigmoid}};

// An output of sums of k products and perhaps a bias, `rounding` times as far off as the plain sum.
Output sum_of(Array& values, int64_t k, int rounding = 1) {
    const double products = static_cast<double>(k);
    return {values, rounding * (products + 1) * kEps, 4, products};
}

std::vector<GemmShape> gemm_shapes() {
    std::vector<GemmShape> shapes;
    for (bool trans_a : {false, true})
        for (bool trans_b : {false, true}) {
            for (int64_t size : kSizes) {
                shapes.push_back({size, 5, 7, trans_a, trans_b});
                shapes.push_back({6, size, 9, trans_a, trans_b});
                shapes.push_back({7, 17, size, trans_a, trans_b});
                shapes.push_back({size, size, size, trans_a, trans_b});
                shapes.push_back({1, size, 300, trans_a, trans_b});
                shapes.push_back({size, 1, 5, trans_a, trans_b});
            }
            shapes.push_back({8, 2060, 260, trans_a, trans_b});    // a few rows: two groups of columns, two chunks of k
            shapes.push_back({90, 100, 400, trans_a, trans_b});    // one block cut along k
            shapes.push_back({350, 70, 40, trans_a, trans_b});     // several blocks of rows
            shapes.push_back({2104, 1000, 24, trans_a, trans_b});  // on CUDA tiles of 128x128
            shapes.push_back({17000, 56, 24, trans_a, trans_b});   // and of 128x64
        }
    return shapes;
}

Conv2dShape conv_shape(int64_t n, int64_t h, int64_t w, int64_t c, int64_t o, int64_t r, int64_t s) {
    Conv2dShape shape{};
    shape.n = n, shape.h = h, shape.w = w, shape.c = c, shape.o = o, shape.r = r, shape.s = s;
    shape.stride_h = shape.stride_w = shape.dilation_h = shape.dilation_w = shape.groups = 1;
    return shape;
}

void finish(Conv2dShape& s) {
    s.p = output_size(s.h, s.pad_top + s.pad_bottom, s.r, s.stride_h, s.dilation_h);
    s.q = output_size(s.w, s.pad_left + s.pad_right, s.s, s.stride_w, s.dilation_w);
}

// Groups of `in` and `out` channels; lines of one tile, several and a part, and outputs that see padding alone.
void add_groups(std::vector<Conv2dShape>& shapes, int64_t groups, int64_t in, int64_t out) {
    for (int64_t taps : {1, 2, 3, 5})
        for (int64_t stride : {1, 2, 3})
            for (int64_t pad : {0, 1, 4}) {
                Conv2dShape s = conv_shape(2, 5, 2 * taps + 9 * (pad % 2) + 1, groups * in, groups * out, 3, taps);
                s.groups = groups;
                s.stride_w = stride, s.stride_h = 1 + pad % 2;
                s.pad_top = s.pad_left = pad, s.pad_bottom = 1, s.pad_right = pad + 1;
                shapes.push_back(s);
            }
    Conv2dShape s = conv_shape(1, 9, 31, groups * in, groups * out, 3, 3);
    s.groups = groups;
    s.dilation_h = 2;
    s.pad_top = s.pad_left = 1;
    shapes.push_back(s);
    s.dilation_w = 2, s.stride_w = 2;
    shapes.push_back(s);
}

// Direct convolution on small maps, whose taps in the padding are left out; several chunks of k, units of channels and
// panels; the cases of 1x1 filters.
void add_direct_shapes(std::vector<Conv2dShape>& shapes) {
    Conv2dShape s = conv_shape(3, 9, 7, 140, 75, 3, 3);
    s.stride_h = s.stride_w = 2;
    s.pad_top = s.pad_left = s.pad_bottom = s.pad_right = 1;
    shapes.push_back(s);
    s = conv_shape(2, 7, 6, 300, 150, 3, 3);
    s.dilation_h = 6, s.dilation_w = 4;  // taps that meet no pixel at all
    s.pad_top = s.pad_bottom = 6, s.pad_left = s.pad_right = 5;
    shapes.push_back(s);
    s = conv_shape(1, 9, 8, 7, 5, 5, 5);
    s.groups = 1, s.pad_top = s.pad_left = 4;
    shapes.push_back(s);
    shapes.push_back(conv_shape(2, 5, 7, 512, 70, 1, 1));  // windows a multiple of 2 KiB apart
    shapes.push_back(conv_shape(1, 5, 9, 60, 24, 1, 1));
    shapes.push_back(conv_shape(3, 11, 17, 30, 35, 1, 1));
    s = conv_shape(2, 7, 5, 401, 330, 1, 1);
    s.stride_h = 2, s.stride_w = 3;
    shapes.push_back(s);
}

// Few filters: of one input channel, where lines are parts of one vector or of several, 1x1 of many channels, and wide
// windows on lines of one block and of two.
void add_few_filters(std::vector<Conv2dShape>& shapes) {
    for (int64_t o = 1; o <= 9; ++o) {
        Conv2dShape s = conv_shape(3, 9, 7 * o, 1, o, 5, 4);
        s.pad_top = 3, s.pad_left = 2, s.pad_bottom = 1, s.pad_right = 4;
        s.stride_h = 1 + o % 3, s.dilation_h = 1 + o % 2;
        shapes.push_back(s);
        s.dilation_w = 2, s.pad_left = 7 * o + 1;  // outputs that see padding alone
        shapes.push_back(s);
        shapes.push_back(conv_shape(2, 29, 29, 1, o, 3, 3));
        shapes.push_back(conv_shape(5, 11, 17, 64, o, 1, 1));
        shapes.push_back(conv_shape(1, 9, 7, 37, o, 1, 1));
    }
    for (int64_t o : {3, 4, 7, 8, 13, 16}) {
        Conv2dShape s = conv_shape(5, 10, 13, o > 8 ? 6 : 3, o, 4, 5);
        shapes.push_back(s);
        s.pad_top = 3, s.pad_left = 2, s.pad_bottom = 1, s.pad_right = 4;
        s.stride_h = 1 + o % 2, s.stride_w = 1 + o % 3, s.dilation_h = 1 + o % 2;
        shapes.push_back(s);
        s.w = 290;
        shapes.push_back(s);
    }
}

std::vector<Conv2dShape> conv_shapes() {
    std::vector<Conv2dShape> shapes;
    for (int64_t size : kSizes) {
        shapes.push_back(conv_shape(1, 5, 6, size, 3, 3, 3));       // input channels
        shapes.push_back(conv_shape(2, 5, 6, 3, size, 3, 3));       // filters
        shapes.push_back(conv_shape(1, 4, size + 2, 5, 17, 3, 3));  // output columns
        shapes.push_back(conv_shape(1, 3, 4, size, size, 1, 1));
        Conv2dShape depthwise = conv_shape(1, 7, 5, size, size, 3, 3);
        depthwise.groups = size;
        depthwise.pad_top = depthwise.pad_left = depthwise.pad_bottom = depthwise.pad_right = 1;
        shapes.push_back(depthwise);
    }
    for (int64_t outputs : {4, 7, 13, 14, 15, 29})  // depthwise, lines of tiles and of remainders
        for (int64_t stride : {1, 2}) {
            Conv2dShape depthwise = conv_shape(2, 5, stride * outputs, 19, 19, 3, 3);
            depthwise.groups = 19, depthwise.stride_w = stride;
            depthwise.pad_top = depthwise.pad_left = depthwise.pad_bottom = depthwise.pad_right = 1;
            shapes.push_back(depthwise);
        }
    for (int64_t taps : {3, 5, 13}) {  // depthwise, several parts of the pixels, taps and channels
        Conv2dShape depthwise = conv_shape(2, 17, 18, 40, 40, taps, taps);
        depthwise.groups = 40;
        depthwise.stride_w = 2, depthwise.pad_top = depthwise.pad_left = taps / 2;
        shapes.push_back(depthwise);
    }
    Conv2dShape s = conv_shape(2, 11, 9, 6, 8, 3, 2);  // everything asymmetric
    s.groups = 2;
    s.stride_h = 2, s.stride_w = 3, s.dilation_h = 2;
    s.pad_top = 1, s.pad_bottom = 2, s.pad_right = 3;
    shapes.push_back(s);
    s = conv_shape(1, 9, 9, 4, 34, 5, 5);
    s.stride_h = s.stride_w = 2;
    s.pad_top = s.pad_bottom = s.pad_left = s.pad_right = 2;
    shapes.push_back(s);
    shapes.push_back(conv_shape(0, 5, 5, 3, 4, 3, 3));
    add_groups(shapes, 19, 1, 1);
    add_groups(shapes, 5, 1, 3);
    add_groups(shapes, 3, 4, 4);  // a vector of 16 holds four groups, or a part of one
    add_groups(shapes, 5, 8, 8);
    add_groups(shapes, 2, 16, 32);
    add_groups(shapes, 2, 5, 7);
    add_direct_shapes(shapes);
    add_few_filters(shapes);
    s = conv_shape(2, 7, 11, 130, 17, 3, 3);  // taps far apart, in place
    s.dilation_h = 2, s.dilation_w = 5;
    s.pad_top = 3, s.pad_left = s.pad_right = 6;
    shapes.push_back(s);
    for (Conv2dShape& shape : shapes) finish(shape);
    return shapes;
}

// What each algorithm for dense filters is tried on: partial tiles and vectors, several blocks, several panels.
std::vector<Conv2dShape> dense_shapes() {
    std::vector<Conv2dShape> shapes = {
        conv_shape(1, 6, 6, 16, 16, 3, 3),  conv_shape(2, 7, 9, 17, 33, 3, 3),   conv_shape(1, 3, 13, 65, 31, 3, 3),
        conv_shape(2, 41, 30, 5, 18, 3, 3),  // more tiles than one block
        conv_shape(1, 6, 7, 19, 262, 3, 3),  // more panels than a task
        conv_shape(1, 5, 4, 262, 19, 3, 3), conv_shape(3, 9, 8, 17, 20, 5, 5),   conv_shape(1, 6, 21, 34, 67, 5, 5),
        conv_shape(2, 7, 7, 19, 130, 3, 3), conv_shape(4, 7, 7, 130, 67, 3, 3),  // taps in the padding left out
        conv_shape(1, 6, 9, 192, 20, 5, 5), conv_shape(1, 7, 8, 192, 140, 5, 5), conv_shape(0, 8, 9, 17, 262, 3, 3)};
    for (size_t i = 0; i < shapes.size(); ++i) {
        Conv2dShape& s = shapes[i];
        if (i % 2) s.pad_top = s.r / 2, s.pad_left = 1, s.pad_right = s.r - 1;
    }
    for (Conv2dShape s : {conv_shape(2, 17, 23, 33, 40, 3, 3), conv_shape(1, 2, 50, 70, 19, 3, 3),
                          conv_shape(3, 31, 16, 12, 70, 3, 3), conv_shape(4, 15, 16, 130, 262, 3, 3)}) {
        s.stride_h = s.stride_w = 2;
        s.pad_top = s.pad_left = 1;
        s.pad_bottom = s.w % 2, s.pad_right = s.c % 3;
        shapes.push_back(s);
    }
    for (Conv2dShape& s : shapes) finish(s);
    return shapes;
}

// test(shape, rounding) for all shapes under the automatic choice, and for the dense ones under each algorithm;
// rounding is how many times the error of the direct sum is allowed. Winograd's worst case is 69 times that (the
// product of the norms of its transforms), what random numbers show 5 times.
constexpr int kWinogradRounding = 8;
template <class Test>
void for_algorithms(Test test) {
    for (const Conv2dShape& s : conv_shapes()) {
        const auto size = s.stride_h == 2 ? cpu::WinogradTileSize::f4x3_strided
                          : s.r == 5      ? cpu::WinogradTileSize::f2x5
                                          : cpu::WinogradTileSize::f2x3;
        test(s, cpu::winograd_applies(s, size, false) ? kWinogradRounding : 1);
    }
    for (const char* algorithm : {"direct", "winograd4", "winograd2"}) {
        cpu::force_conv(algorithm);
        run_on_cuda(algorithm[0] == 'd');  // the names are the CPU's
        for (const Conv2dShape& s : dense_shapes()) test(s, algorithm[0] == 'w' ? kWinogradRounding : 1);
    }
    cpu::force_conv("auto");
    run_on_cuda(true);
}

int64_t x_size(const Conv2dShape& s) {
    return s.n * s.h * s.w * s.c;
}
int64_t y_size(const Conv2dShape& s) {
    return s.n * s.p * s.q * s.o;
}
int64_t w_size(const Conv2dShape& s) {
    return s.o * s.r * s.s * s.c / s.groups;
}

}  // namespace

void test_gemm() {
    size_t turn = 0;
    for (const GemmShape& s : gemm_shapes()) {
        const Activation act = kActivations[turn++ % 6];
        Array a = Array::random(s.m * s.k), bm = Array::random(s.k * s.n), bias = Array::random(s.n), c(s.m * s.n);
        check("gemm", {sum_of(c, s.k)}, [&](const auto& b, auto t) {
            using T = decltype(t);
            DerivedCache packed;
            for (int use = 0; use < uses<T>(); ++use)
                b.gemm(s, a.as<T>(), bm.as<T>(), &packed, turn % 2 ? bias.as<T>() : nullptr, act, c.as<T>());
        });
    }
}

void test_gemm_stack() {
    for (bool trans_a : {false, true})
        for (bool trans_b : {false, true})
            for (int64_t size : kSizes)
                for (const GemmShape& s : {GemmShape{size, 5, 7, trans_a, trans_b},
                                           {9, size, 8, trans_a, trans_b},
                                           {size, 17, size, trans_a, trans_b},
                                           {size, 1, 300, trans_a, trans_b},
                                           {200, 40, size, trans_a, trans_b}}) {
                    Broadcast stack{};  // [2,3] products; a repeats along the first axis, b along the second
                    stack.ndim = 2;
                    stack.shape[0] = 2, stack.shape[1] = 3;
                    stack.stride_a[1] = s.m * s.k, stack.stride_b[0] = s.k * s.n;
                    Array a = Array::random(3 * s.m * s.k), bm = Array::random(2 * s.k * s.n), c(6 * s.m * s.n);
                    check("gemm_stack", {sum_of(c, s.k)}, [&](const auto& b, auto t) {
                        using T = decltype(t);
                        b.gemm_stack(s, stack, a.as<T>(), bm.as<T>(), c.as<T>());
                    });
                }
}

void test_conv2d() {
    size_t turn = 0;
    for_algorithms([&](const Conv2dShape& s, int rounding) {
        const Activation act = kActivations[turn++ % 6];
        Array x = Array::random(x_size(s)), w = Array::random(w_size(s)), bias = Array::random(s.o), y(y_size(s));
        Array residual = Array::random(y_size(s));
        const int64_t k = s.r * s.s * s.c / s.groups;
        check("conv2d", {sum_of(y, k, rounding)}, [&](const auto& b, auto t) {
            using T = decltype(t);
            DerivedCache packed;
            for (int use = 0; use < uses<T>(); ++use)
                b.conv2d(s, x.as<T>(), w.as<T>(), &packed, turn % 2 ? bias.as<T>() : nullptr,
                         turn / 2 % 2 ? residual.as<T>() : nullptr, act, y.as<T>());
        });
    });
}

// The mean and variance of numbers that are off as sums of k products are, each of them up to k. CUDA's tiles of 64
// columns and of 128 are shapes of their own.
void test_conv2d_statistics() {
    std::vector<Conv2dShape> shapes = conv_shapes();
    shapes.push_back(conv_shape(1, 263, 8, 24, 1000, 1, 1));
    shapes.push_back(conv_shape(1, 170, 100, 24, 56, 1, 1));
    for (size_t i = 0; i < shapes.size(); ++i) {
        Conv2dShape& s = shapes[i];
        finish(s);
        const int64_t k = s.r * s.s * s.c / s.groups, rows = s.n * s.p * s.q;
        if (rows < 2) continue;
        Array x = Array::random(x_size(s)), w = Array::random(w_size(s)), bias = Array::random(s.o), y(y_size(s));
        Array mean(s.o), variance(s.o), running_mean(s.o), running_var(s.o);
        Array mean_before = Array::random(s.o), var_before = Array::random(s.o, 0.5f, 1);
        Output value = sum_of(y, k, kWinogradRounding);
        const double largest = static_cast<double>(k) + 1;
        const auto centre = [&](Array& of) {
            return Output{of, value.bound + static_cast<double>(rows) * kEps, 16, value.products, largest};
        };
        const auto spread = [&](Array& of) {
            return Output{of, 2 * largest * centre(of).bound, 16, 2 * largest * value.products, 4 * largest * largest};
        };
        check("conv2d_statistics", {value, centre(mean), spread(variance), centre(running_mean), spread(running_var)},
              [&](const auto& b, auto t) {
                  using T = decltype(t);
                  assign<T>(running_mean, mean_before);
                  assign<T>(running_var, var_before);
                  b.conv2d_statistics(s, x.as<T>(), w.as<T>(), nullptr, i % 2 ? bias.as<T>() : nullptr, 0.125,
                                      y.as<T>(), mean.as<Param<T>>(), variance.as<Param<T>>(),
                                      running_mean.as<Param<T>>(), running_var.as<Param<T>>());
              });
    }
}

void test_conv2d_data_gradient() {
    size_t turn = 0;
    for_algorithms([&](const Conv2dShape& s, int rounding) {
        const Activation act = kActivations[turn++ % 6];
        Array dy = Array::random(y_size(s)), w = Array::random(w_size(s)), bias = Array::random(s.c), dx(x_size(s));
        Array residual = Array::random(x_size(s));
        const int64_t k = s.r * s.s * s.o / s.groups;
        check("conv2d_data_gradient", {sum_of(dx, k, rounding)}, [&](const auto& b, auto t) {
            using T = decltype(t);
            DerivedCache packed;
            for (int use = 0; use < uses<T>(); ++use)
                b.conv2d_data_gradient(s, dy.as<T>(), w.as<T>(), &packed, turn % 2 ? bias.as<T>() : nullptr,
                                       turn % 3 ? residual.as<T>() : nullptr, act, dx.as<T>());
        });
    });
}

void test_conv2d_weight_gradient() {
    for_algorithms([&](const Conv2dShape& s, int rounding) {
        Array x = Array::random(x_size(s)), dy = Array::random(y_size(s)), dw(w_size(s));
        check("conv2d_weight_gradient", {sum_of(dw, s.n * s.p * s.q, rounding)}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.conv2d_weight_gradient(s, x.as<T>(), dy.as<T>(), dw.as<T>());
        });
    });
}

// Windows' places that the ops are given.
static Buffer<uint8_t> random_places(int64_t n) {
    Array numbers = Array::random(n, 0, 4);
    Buffer<uint8_t> places(n);
    for (int64_t i = 0; i < n; ++i) places[i] = static_cast<uint8_t>(std::min(numbers.floats()[i], 3.0f));
    return places;
}

static int64_t pooled_size(const Conv2dShape& s) {
    return s.n * (s.p / 2) * (s.q / 2) * s.o;
}

void test_conv2d_max_pool2d() {
    size_t turn = 0;
    for_algorithms([&](const Conv2dShape& s, int rounding) {
        if (s.p < 2 || s.q < 2) return;
        const Activation act = kActivations[turn++ % 6];
        Array x = Array::random(x_size(s)), w = Array::random(w_size(s)), bias = Array::random(s.o), y(pooled_size(s));
        const int64_t k = s.r * s.s * s.c / s.groups;
        check("conv2d_max_pool2d", {sum_of(y, k, rounding)}, [&](const auto& b, auto t) {
            using T = decltype(t);
            Buffer<uint8_t> argmax(y.size());
            b.conv2d_max_pool2d(s, x.as<T>(), w.as<T>(), nullptr, turn % 2 ? bias.as<T>() : nullptr, act, y.as<T>(),
                                argmax.data());
        });
    });
}

void test_conv2d_max_pool2d_data_gradient() {
    for_algorithms([&](const Conv2dShape& s, int rounding) {
        if (s.p < 2 || s.q < 2) return;
        Buffer<uint8_t> argmax = random_places(pooled_size(s));
        Array dy = Array::random(pooled_size(s)), w = Array::random(w_size(s)), dx(x_size(s));
        const int64_t k = s.r * s.s * s.o / s.groups;
        check("conv2d_max_pool2d_data_gradient", {sum_of(dx, k, rounding)}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.conv2d_max_pool2d_data_gradient(s, dy.as<T>(), argmax.data(), w.as<T>(), nullptr, dx.as<T>());
        });
    });
}

void test_conv2d_max_pool2d_weight_gradient() {
    for_algorithms([&](const Conv2dShape& s, int rounding) {
        if (s.p < 2 || s.q < 2) return;
        Buffer<uint8_t> argmax = random_places(pooled_size(s));
        Array x = Array::random(x_size(s)), dy = Array::random(pooled_size(s)), dw(w_size(s));
        const int64_t k = s.n * s.p * s.q;
        check("conv2d_max_pool2d_weight_gradient", {sum_of(dw, k, rounding)}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.conv2d_max_pool2d_weight_gradient(s, x.as<T>(), dy.as<T>(), argmax.data(), dw.as<T>());
        });
    });
}

}  // namespace ck::selftest
