// The adjoint of a convolution, with bias and activation. In that convolution's letters: its input [N,H,W,C] is the
// result here, its output [N,P,Q,O] the argument, and w is its filter [O,R,S,C/groups] = [C_in,R,S,C_out/groups].
#include <algorithm>

#include "ops/backend.h"
#include "ops/conv2d_checks.h"
#include "ops/ops.h"

namespace ck {
namespace {

constexpr const char* kOp = "conv_transpose2d";

// Everything but H and W, the size of the result.
Conv2dShape shape_of(const Shape& x, const Shape& w, const Conv2dGeometry& g) {
    CK_CHECK(x.size() == 4, kOp, "x must have shape [N,H,W,C_in]. Received: ", x, ".");
    CK_CHECK(w.size() == 4, kOp, "w must have shape [C_in,R,S,C_out/groups]. Received: ", w, ".");
    check_geometry(kOp, g);
    check_planes(kOp, x, w);
    CK_CHECK(w[0] >= 1 && w[1] >= 1 && w[2] >= 1 && w[3] >= 1, kOp, "w must have no empty axis. Received: w ", w, ".");
    CK_CHECK(x[1] >= 1 && x[2] >= 1, kOp, "x must have at least one row and column. Received: x ", x, ".");
    CK_CHECK(x[3] == w[0], kOp, "w must have C_in filters. Received: x ", x, " with C_in=", x[3], ", w ", w, " with ",
             w[0], ".");
    CK_CHECK(x[3] % g.groups == 0, kOp, "groups must divide C_in. Received: C_in=", x[3], ", groups=", g.groups, ".");
    const int64_t c_out = checked_numel(kOp, {w[3], g.groups});
    return {
        x[0],         0,           0,           c_out,         x[3],          w[1],         w[2],         x[1],
        x[2],         g.stride[0], g.stride[1], g.dilation[0], g.dilation[1], g.padding[0], g.padding[1], g.padding[2],
        g.padding[3], g.groups};
}

int64_t checked_output_size(const char* output, const char* input, int64_t in, int64_t before, int64_t after,
                            int64_t window, int64_t stride, int64_t dilation, int64_t extra) {
    CK_CHECK(extra >= 0 && extra < std::max(stride, dilation), kOp,
             "output_padding must be at least 0 and below max(stride, dilation). Received: output_padding=", extra,
             ", stride=", stride, ", dilation=", dilation, ".");
    const int64_t out = (in - 1) * stride - before - after + dilation * (window - 1) + extra + 1;
    CK_CHECK(out >= 1, kOp, "the output must have at least one row and column. Received: ", output, " = (", input, "=",
             in, " - 1)*stride ", stride, " - pad ", before, "-", after, " + dilation ", dilation, "*(window ", window,
             "-1) + output_padding ", extra, " + 1 = ", out, ".");
    return out;
}

// For the gradients: the size of the result is that of its gradient.
Conv2dShape full_shape(const Shape& x, const Shape& w, const Tensor& dy, const Conv2dGeometry& g) {
    Conv2dShape s = shape_of(x, w, g);
    CK_CHECK(dy.ndim() == 4 && dy.size(0) == s.n && dy.size(1) >= 1 && dy.size(2) >= 1 && dy.size(3) == s.c, kOp,
             "the gradient must have the shape of the result. Received: ", dy.shape(), ", N=", s.n, ", C_out=", s.c,
             ".");
    s.h = dy.size(1);
    s.w = dy.size(2);
    finish_shape(kOp, s);
    return s;
}

}  // namespace

Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor* bias, const Conv2dGeometry& g,
                        const std::array<int64_t, 2>& output_padding, Activation act) {
    check_operands(kOp, x, w, bias);
    Conv2dShape s = shape_of(x.shape(), w.shape(), g);
    s.h = checked_output_size("P", "H", s.p, s.pad_top, s.pad_bottom, s.r, s.stride_h, s.dilation_h, output_padding[0]);
    s.w = checked_output_size("Q", "W", s.q, s.pad_left, s.pad_right, s.s, s.stride_w, s.dilation_w, output_padding[1]);
    finish_shape(kOp, s);
    if (bias) check_shape(kOp, "bias", *bias, {s.c});
    Tensor y = Tensor::empty(kOp, {s.n, s.h, s.w, s.c}, x.dtype(), x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device())
            .conv2d_data_gradient(s, x.data<T>(), w.data<T>(), w.storage()->derived(), data_or_null<T>(bias), nullptr,
                                  act, y.data<T>());
    });
    return y;
}

Tensor conv_transpose2d_data_gradient(const Shape& x_shape, const Tensor& w, const Tensor& dy,
                                      const Conv2dGeometry& g) {
    check_operands(kOp, dy, w, nullptr);
    const Conv2dShape s = full_shape(x_shape, w.shape(), dy, g);
    Tensor dx = Tensor::empty(kOp, x_shape, dy.dtype(), dy.device());
    visit_floating(kOp, dy.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(dy.device())
            .conv2d(s, dy.data<T>(), w.data<T>(), w.storage()->derived(), nullptr, nullptr, Activation{}, dx.data<T>());
    });
    return dx;
}

Tensor conv_transpose2d_weight_gradient(const Tensor& x, const Shape& w_shape, const Tensor& dy,
                                        const Conv2dGeometry& g) {
    check_operands(kOp, x, dy, nullptr);
    const Conv2dShape s = full_shape(x.shape(), w_shape, dy, g);
    Tensor dw = Tensor::empty(kOp, w_shape, x.dtype(), x.device());
    visit_floating(kOp, x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        backend<T>(x.device()).conv2d_weight_gradient(s, dy.data<T>(), x.data<T>(), dw.data<T>());
    });
    return dw;
}

}  // namespace ck
