#include "cpu/conv_choice.h"
#include "cpu/dispatch.h"
#include "ops/backend.h"
#include "ops/conv2d_checks.h"
#include "ops/ops.h"
#include "ops/statistics.h"

namespace ck {
namespace {

constexpr const char* kOp = "conv2d";

// Everything but P and Q.
Conv2dShape shape_of(const Shape& x, const Shape& w, const Conv2dGeometry& g) {
    CK_CHECK(x.size() == 4, kOp, "x must have shape [N,H,W,C]. Received: ", x, ".");
    CK_CHECK(w.size() == 4, kOp, "w must have shape [O,R,S,C/groups]. Received: ", w, ".");
    check_geometry(kOp, g);
    check_planes(kOp, x, w);
    const int64_t c = x[3], o = w[0];
    CK_CHECK(o >= 1 && w[1] >= 1 && w[2] >= 1 && w[3] >= 1, kOp, "w must have no empty axis. Received: w ", w, ".");
    CK_CHECK(c % g.groups == 0 && o % g.groups == 0, kOp, "groups must divide C and O. Received: C=", c, ", O=", o,
             ", groups=", g.groups, ".");
    CK_CHECK(w[3] == c / g.groups, kOp, "w must have C/groups input channels. Received: x ", x, " with C=", c, ", w ",
             w, " with ", w[3], ", groups=", g.groups, ".");
    return {x[0],
            x[1],
            x[2],
            c,
            o,
            w[1],
            w[2],
            0,
            0,
            g.stride[0],
            g.stride[1],
            g.dilation[0],
            g.dilation[1],
            g.padding[0],
            g.padding[1],
            g.padding[2],
            g.padding[3],
            g.groups};
}

int64_t checked_output_size(const char* output, const char* input, int64_t in, int64_t before, int64_t after,
                            int64_t window, int64_t stride, int64_t dilation) {
    const int64_t out = output_size(in, before + after, window, stride, dilation);
    CK_CHECK(in >= 1 && out >= 1, kOp, "the output must have at least one row and column. Received: ", output,
             " = floor((", input, "=", in, " + pad ", before, "+", after, " - dilation ", dilation, "*(window ", window,
             "-1) - 1) / stride ", stride, ") + 1 = ", out, ".");
    return out;
}

Conv2dShape full_shape(const Shape& x, const Shape& w, const Conv2dGeometry& g) {
    Conv2dShape s = shape_of(x, w, g);
    s.p = checked_output_size("P", "H", s.h, s.pad_top, s.pad_bottom, s.r, s.stride_h, s.dilation_h);
    s.q = checked_output_size("Q", "W", s.w, s.pad_left, s.pad_right, s.s, s.stride_w, s.dilation_w);
    finish_shape(kOp, s);
    return s;
}

Shape pooled_shape(const Conv2dShape& s) {
    CK_CHECK(s.p >= 2 && s.q >= 2, "max_pool2d",
             "the window must fit into the input. Received: kernel_size=(2,2), H=", s.p, ", W=", s.q, ".");
    return {s.n, s.p / 2, s.q / 2, s.o};
}

cpu::ConvPass parse_pass(const std::string& pass) {
    if (pass == "forward") return cpu::ConvPass::forward;
    if (pass == "data") return cpu::ConvPass::data;
    CK_CHECK(pass == "weights", kOp, "the pass must be forward, data or weights. Received: ", pass, ".");
    return cpu::ConvPass::weights;
}

}  // namespace

std::string conv2d_algorithm(const std::string& pass, const Shape& x, const Shape& w, const Conv2dGeometry& g) {
    const Conv2dShape s = full_shape(x, w, g);
    return cpu::reference_active() ? "reference" : cpu::name(cpu::choose_conv(parse_pass(pass), s));
}

std::vector<std::string> conv2d_algorithms(const std::string& pass, const Shape& x, const Shape& w,
                                           const Conv2dGeometry& g) {
    const Conv2dShape s = full_shape(x, w, g);
    if (cpu::reference_active()) return {"reference"};
    std::vector<std::string> names;
    for (cpu::ConvAlgorithm algorithm : cpu::applicable_conv(parse_pass(pass), s))
        names.push_back(cpu::name(algorithm));
    return names;
}

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor* bias, const Tensor* residual, const Conv2dGeometry& g,
              Activation act) {
    check_operands(kOp, x, w, bias);
    const Conv2dShape s = full_shape(x.shape(), w.shape(), g);
    if (bias) check_shape(kOp, "bias", *bias, {s.o});
    const Shape shape{s.n, s.p, s.q, s.o};
    if (residual) {
        check_operands(kOp, x, *residual, nullptr);
        check_shape(kOp, "residual", *residual, shape);
    }
    Tensor y = Tensor::empty(kOp, shape, x.dtype(), x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .conv2d(s, x.data<T>(), w.data<T>(), w.storage()->derived(), data_or_null<T>(bias),
                    data_or_null<T>(residual), act, y.data<T>());
    });
    return y;
}

std::pair<Tensor, Statistics> conv2d_statistics(const Tensor& x, const Tensor& w, const Tensor* bias,
                                                const Conv2dGeometry& g, double momentum, Tensor* running_mean,
                                                Tensor* running_var) {
    check_operands(kOp, x, w, bias);
    const Conv2dShape s = full_shape(x.shape(), w.shape(), g);
    if (s.n * s.p * s.q == 1) return {conv2d(x, w, bias, nullptr, g, Activation{}), std::nullopt};
    if (bias) check_shape(kOp, "bias", *bias, {s.o});
    Tensor y = Tensor::empty(kOp, {s.n, s.p, s.q, s.o}, x.dtype(), x.device());
    Statistics statistics = take_statistics(y, running_mean, running_var, [&](Tensor& mean, Tensor& variance) {
        visit_floating(kOp, x.dtype(), [&](auto zero) {
            using T = decltype(zero);
            backend<T>(x.device())
                .conv2d_statistics(s, x.data<T>(), w.data<T>(), w.storage()->derived(), data_or_null<T>(bias), momentum,
                                   y.data<T>(), mean.data<Param<T>>(), variance.data<Param<T>>(),
                                   data_or_null<Param<T>>(running_mean), data_or_null<Param<T>>(running_var));
        });
    });
    return {y, statistics};
}

Tensor conv2d_data_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Conv2dGeometry& g,
                            const Tensor* residual) {
    check_operands(kOp, dy, w, residual);
    const Conv2dShape s = full_shape(x_shape, w.shape(), g);
    check_shape(kOp, "the gradient", dy, {s.n, s.p, s.q, s.o});
    if (residual) check_shape(kOp, "the residual", *residual, x_shape);
    Tensor dx = Tensor::empty(kOp, x_shape, dy.dtype(), dy.device());
    visit_floating(kOp, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(dy.device())
            .conv2d_data_gradient(s, dy.data<T>(), w.data<T>(), w.storage()->derived(), nullptr,
                                  data_or_null<T>(residual), Activation{}, dx.data<T>());
    });
    return dx;
}

Tensor conv2d_weight_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Conv2dGeometry& g) {
    check_operands(kOp, x, dy, nullptr);
    const Conv2dShape s = full_shape(x.shape(), w_shape, g);
    check_shape(kOp, "the gradient", dy, {s.n, s.p, s.q, s.o});
    Tensor dw = Tensor::empty(kOp, w_shape, x.dtype(), x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).conv2d_weight_gradient(s, x.data<T>(), dy.data<T>(), dw.data<T>());
    });
    return dw;
}

std::pair<Tensor, Tensor> conv2d_max_pool2d(const Tensor& x, const Tensor& w, const Tensor* bias,
                                            const Conv2dGeometry& g, Activation act, bool argmax_wanted) {
    check_operands(kOp, x, w, bias);
    const Conv2dShape s = full_shape(x.shape(), w.shape(), g);
    if (bias) check_shape(kOp, "bias", *bias, {s.o});
    const Shape pooled = pooled_shape(s);
    Tensor y = Tensor::empty(kOp, pooled, x.dtype(), x.device());
    Tensor argmax = Tensor::empty(kOp, argmax_wanted ? pooled : Shape{0}, DType::uint8, x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .conv2d_max_pool2d(s, x.data<T>(), w.data<T>(), w.storage()->derived(), data_or_null<T>(bias), act,
                               y.data<T>(), argmax_wanted ? argmax.data<uint8_t>() : nullptr);
    });
    return {y, argmax};
}

Tensor conv2d_max_pool2d_data_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy, const Tensor& argmax,
                                       const Conv2dGeometry& g) {
    check_operands(kOp, dy, w, nullptr);
    const Conv2dShape s = full_shape(x_shape, w.shape(), g);
    check_shape(kOp, "the gradient", dy, pooled_shape(s));
    check_argmax(kOp, dy, argmax, pooled_shape(s));
    Tensor dx = Tensor::empty(kOp, x_shape, dy.dtype(), dy.device());
    visit_floating(kOp, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(dy.device())
            .conv2d_max_pool2d_data_gradient(s, dy.data<T>(), argmax.data<uint8_t>(), w.data<T>(),
                                             w.storage()->derived(), dx.data<T>());
    });
    return dx;
}

Tensor conv2d_max_pool2d_weight_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy, const Tensor& argmax,
                                         const Conv2dGeometry& g) {
    check_operands(kOp, x, dy, nullptr);
    const Conv2dShape s = full_shape(x.shape(), w_shape, g);
    check_shape(kOp, "the gradient", dy, pooled_shape(s));
    check_argmax(kOp, dy, argmax, pooled_shape(s));
    Tensor dw = Tensor::empty(kOp, w_shape, x.dtype(), x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .conv2d_max_pool2d_weight_gradient(s, x.data<T>(), dy.data<T>(), argmax.data<uint8_t>(), dw.data<T>());
    });
    return dw;
}

}  // namespace ck
