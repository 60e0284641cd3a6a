// Matrix products and convolutions. Inputs lie in [-1,1], so a sum of k products is off by at most k roundings.
#include "selftest.h"

namespace ck::selftest {
namespace {

const Activation kActivations[] = {{},
                                   {ActivationKind::relu},
                                   {ActivationKind::relu6},
                                   {ActivationKind::leaky_relu},
                                   {ActivationKind::tanh},
                                   {ActivationKind::sigmoid}};

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
    for (Conv2dShape& shape : shapes) finish(shape);
    return shapes;
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
    for (bool trans_a : {false, true})
        for (bool trans_b : {false, true})
            for (int64_t size : kSizes)
                for (const GemmShape& s : {GemmShape{size, 5, 7, trans_a, trans_b},
                                           {6, size, 9, trans_a, trans_b},
                                           {7, 17, size, trans_a, trans_b},
                                           {size, size, size, trans_a, trans_b},
                                           {1, size, 300, trans_a, trans_b},
                                           {size, 1, 5, trans_a, trans_b}}) {
                    const Activation act = kActivations[turn++ % 6];
                    Array a = Array::random(s.m * s.k), bm = Array::random(s.k * s.n), bias = Array::random(s.n);
                    Array c(s.m * s.n);
                    check("gemm", {{c, static_cast<double>(s.k + 1) * kEps}}, [&](const auto& b, auto t) {
                        using T = decltype(t);
                        b.gemm(s, a.as<T>(), bm.as<T>(), turn % 2 ? bias.as<T>() : nullptr, act, c.as<T>());
                    });
                }
}

void test_conv2d() {
    size_t turn = 0;
    for (const Conv2dShape& s : conv_shapes()) {
        const Activation act = kActivations[turn++ % 6];
        Array x = Array::random(x_size(s)), w = Array::random(w_size(s)), bias = Array::random(s.o), y(y_size(s));
        const double k = static_cast<double>(s.r * s.s * s.c / s.groups + 1);
        check("conv2d", {{y, k * kEps}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.conv2d(s, x.as<T>(), w.as<T>(), turn % 2 ? bias.as<T>() : nullptr, act, y.as<T>());
        });
    }
}

void test_conv2d_data_gradient() {
    size_t turn = 0;
    for (const Conv2dShape& s : conv_shapes()) {
        const Activation act = kActivations[turn++ % 6];
        Array dy = Array::random(y_size(s)), w = Array::random(w_size(s)), bias = Array::random(s.c), dx(x_size(s));
        const double k = static_cast<double>(s.r * s.s * s.o / s.groups + 1);
        check("conv2d_data_gradient", {{dx, k * kEps}}, [&](const auto& b, auto t) {
            using T = decltype(t);
            b.conv2d_data_gradient(s, dy.as<T>(), w.as<T>(), turn % 2 ? bias.as<T>() : nullptr, act, dx.as<T>());
        });
    }
}

void test_conv2d_weight_gradient() {
    for (const Conv2dShape& s : conv_shapes()) {
        Array x = Array::random(x_size(s)), dy = Array::random(y_size(s)), dw(w_size(s));
        check("conv2d_weight_gradient", {{dw, static_cast<double>(s.n * s.p * s.q) * kEps}},
              [&](const auto& b, auto t) {
                  using T = decltype(t);
                  b.conv2d_weight_gradient(s, x.as<T>(), dy.as<T>(), dw.as<T>());
              });
    }
}

}  // namespace ck::selftest
