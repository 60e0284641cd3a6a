// Convolution: geometry arrives as (stride, padding, dilation, groups), already pairs and (top, bottom, left, right).
#include "bindings/bindings.h"
#include "cpu/conv_choice.h"

namespace ck::bindings {
namespace {

using Pair = std::array<int64_t, 2>;
using Pads = std::array<int64_t, 4>;

}  // namespace

void bind_conv2d(py::module_& m) {
    m.def(
        "conv2d",
        [](const Tensor& x, const Tensor& w, OptionalTensor bias, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups, const std::string& activation, OptionalTensor residual) {
            return conv2d(x, w, bias, residual, {stride, padding, dilation, groups},
                          parse_activation("conv2d", activation));
        },
        py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("activation"), py::arg("residual") = py::none(), NoGil());
    m.def(
        "conv2d_statistics",
        [](const Tensor& x, const Tensor& w, OptionalTensor bias, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups, double momentum, Tensor* running_mean, Tensor* running_var) {
            return conv2d_statistics(x, w, bias, {stride, padding, dilation, groups}, momentum, running_mean,
                                     running_var);
        },
        py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("momentum"), py::arg("running_mean"), py::arg("running_var"), NoGil());
    m.def(
        "conv2d_max_pool2d",
        [](const Tensor& x, const Tensor& w, OptionalTensor bias, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups, const std::string& activation, bool argmax_wanted) {
            return conv2d_max_pool2d(x, w, bias, {stride, padding, dilation, groups},
                                     parse_activation("conv2d", activation), argmax_wanted);
        },
        py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("activation"), py::arg("argmax_wanted"), NoGil());
    m.def(
        "conv2d_max_pool2d_data_gradient",
        [](const Shape& x_shape, const Tensor& w, const Tensor& dy, const Tensor& argmax, const Pair& stride,
           const Pads& padding, const Pair& dilation, int64_t groups) {
            return conv2d_max_pool2d_data_gradient(x_shape, w, dy, argmax, {stride, padding, dilation, groups});
        },
        py::arg("x_shape"), py::arg("w"), py::arg("dy"), py::arg("argmax"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"), NoGil());
    m.def(
        "conv2d_max_pool2d_weight_gradient",
        [](const Tensor& x, const Shape& w_shape, const Tensor& dy, const Tensor& argmax, const Pair& stride,
           const Pads& padding, const Pair& dilation, int64_t groups) {
            return conv2d_max_pool2d_weight_gradient(x, w_shape, dy, argmax, {stride, padding, dilation, groups});
        },
        py::arg("x"), py::arg("w_shape"), py::arg("dy"), py::arg("argmax"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"), NoGil());
    m.def(
        "conv2d_algorithm",
        [](const std::string& pass, const Shape& x_shape, const Shape& w_shape, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups) {
            return conv2d_algorithm(pass, x_shape, w_shape, {stride, padding, dilation, groups});
        },
        py::arg("direction"), py::arg("x_shape"), py::arg("w_shape"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"));
    m.def(
        "conv2d_algorithms",
        [](const std::string& pass, const Shape& x_shape, const Shape& w_shape, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups) {
            return conv2d_algorithms(pass, x_shape, w_shape, {stride, padding, dilation, groups});
        },
        py::arg("direction"), py::arg("x_shape"), py::arg("w_shape"), py::arg("stride"), py::arg("padding"),
        py::arg("dilation"), py::arg("groups"));
    m.def("set_conv2d_algorithm", &cpu::force_conv, py::arg("name"));
    m.def(
        "conv2d_data_gradient",
        [](const Shape& x_shape, const Tensor& w, const Tensor& dy, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups, OptionalTensor residual) {
            return conv2d_data_gradient(x_shape, w, dy, {stride, padding, dilation, groups}, residual);
        },
        py::arg("x_shape"), py::arg("w"), py::arg("dy"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("residual") = py::none(), NoGil());
    m.def(
        "conv2d_weight_gradient",
        [](const Tensor& x, const Shape& w_shape, const Tensor& dy, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups) {
            return conv2d_weight_gradient(x, w_shape, dy, {stride, padding, dilation, groups});
        },
        py::arg("x"), py::arg("w_shape"), py::arg("dy"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), NoGil());
    m.def(
        "conv_transpose2d",
        [](const Tensor& x, const Tensor& w, OptionalTensor bias, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups, const Pair& output_padding, const std::string& activation) {
            return conv_transpose2d(x, w, bias, {stride, padding, dilation, groups}, output_padding,
                                    parse_activation("conv_transpose2d", activation));
        },
        py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), py::arg("output_padding"), py::arg("activation"), NoGil());
    m.def(
        "conv_transpose2d_data_gradient",
        [](const Shape& x_shape, const Tensor& w, const Tensor& dy, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups) {
            return conv_transpose2d_data_gradient(x_shape, w, dy, {stride, padding, dilation, groups});
        },
        py::arg("x_shape"), py::arg("w"), py::arg("dy"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), NoGil());
    m.def(
        "conv_transpose2d_weight_gradient",
        [](const Tensor& x, const Shape& w_shape, const Tensor& dy, const Pair& stride, const Pads& padding,
           const Pair& dilation, int64_t groups) {
            return conv_transpose2d_weight_gradient(x, w_shape, dy, {stride, padding, dilation, groups});
        },
        py::arg("x"), py::arg("w_shape"), py::arg("dy"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
        py::arg("groups"), NoGil());
}

}  // namespace ck::bindings
