// One m.def line per op of the small families; the larger families have a bind_<family>.cpp each.
#include "bindings/bindings.h"

namespace ck::bindings {
namespace {

template <UnaryOp op>
void bind_unary(py::module_& m, const std::string& name) {
    m.def(
        name.c_str(), [](const Tensor& x, double slope) { return unary(op, x, slope); }, py::arg("x"),
        py::arg("slope") = 0.01, NoGil());
    m.def((name + "_gradient").c_str(),
          [](const Tensor& x, const Tensor& y, const Tensor& dy, double slope) {
              return unary_gradient(op, x, y, dy, slope);
          },
          py::arg("x"), py::arg("y"), py::arg("dy"), py::arg("slope") = 0.01, NoGil());
}

template <BinaryOp op>
void bind_binary(py::module_& m, const char* name) {
    m.def(
        name, [](const Tensor& a, const Tensor& b) { return binary(op, a, b); }, py::arg("a"), py::arg("b"), NoGil());
}

template <CompareOp op>
void bind_compare(py::module_& m, const char* name) {
    m.def(
        name, [](const Tensor& a, const Tensor& b) { return compare(op, a, b); }, py::arg("a"), py::arg("b"), NoGil());
}

}  // namespace

void bind_pointwise(py::module_& m) {
    bind_unary<UnaryOp::negate>(m, "negative");
    bind_unary<UnaryOp::exp>(m, "exp");
    bind_unary<UnaryOp::log>(m, "log");
    bind_unary<UnaryOp::sqrt>(m, "sqrt");
    bind_unary<UnaryOp::abs>(m, "abs");
    bind_unary<UnaryOp::relu>(m, "relu");
    bind_unary<UnaryOp::relu6>(m, "relu6");
    bind_unary<UnaryOp::leaky_relu>(m, "leaky_relu");
    bind_unary<UnaryOp::tanh>(m, "tanh");
    bind_unary<UnaryOp::sigmoid>(m, "sigmoid");
    bind_binary<BinaryOp::add>(m, "add");
    bind_binary<BinaryOp::subtract>(m, "subtract");
    bind_binary<BinaryOp::multiply>(m, "multiply");
    bind_binary<BinaryOp::divide>(m, "divide");
    bind_binary<BinaryOp::power>(m, "power");
    bind_compare<CompareOp::equal>(m, "equal");
    bind_compare<CompareOp::not_equal>(m, "not_equal");
    bind_compare<CompareOp::less>(m, "less");
    bind_compare<CompareOp::less_equal>(m, "less_equal");
    bind_compare<CompareOp::greater>(m, "greater");
    bind_compare<CompareOp::greater_equal>(m, "greater_equal");
    m.def(
        "epilogue_gradient",
        [](const std::string& activation, const Tensor& y, const Tensor& dy, bool bias_wanted) {
            return epilogue_gradient(parse_activation("epilogue_gradient", activation), y, dy, bias_wanted);
        },
        py::arg("activation"), py::arg("y"), py::arg("dy"), py::arg("bias_wanted"), NoGil());

    m.def(
        "sum",
        [](const Tensor& x, const Shape& axes, bool keepdims) { return reduce(ReduceOp::sum, x, axes, keepdims); },
        py::arg("x"), py::arg("axes"), py::arg("keepdims"), NoGil());
    m.def(
        "max",
        [](const Tensor& x, const Shape& axes, bool keepdims) { return reduce(ReduceOp::max, x, axes, keepdims); },
        py::arg("x"), py::arg("axes"), py::arg("keepdims"), NoGil());
    m.def("argmax", &argmax, py::arg("x"), py::arg("axes"), py::arg("keepdims"), NoGil());
    m.def("max_gradient", &max_gradient, py::arg("x"), py::arg("dy"), py::arg("axes"), NoGil());
    m.def("sum_to_shape", &sum_to_shape, py::arg("x"), py::arg("shape"), NoGil());

    m.def("transpose", &transpose, py::arg("x"), py::arg("axes"), NoGil());
    m.def("slice", &slice, py::arg("x"), py::arg("start"), py::arg("step"), py::arg("size"), NoGil());
    m.def("slice_gradient", &slice_gradient, py::arg("dy"), py::arg("shape"), py::arg("start"), py::arg("step"),
          NoGil());
    m.def("broadcast_to", &broadcast_to, py::arg("x"), py::arg("shape"), NoGil());
    m.def("cast", &cast, py::arg("x"), py::arg("dtype"), NoGil());
    m.def("full", &full, py::arg("shape"), py::arg("value"), py::arg("dtype"), py::arg("device") = Device{}, NoGil());
    m.def("arange", &arange, py::arg("start"), py::arg("stop"), py::arg("step"), py::arg("dtype"),
          py::arg("device") = Device{}, NoGil());
    m.def("concatenate", &concatenate, py::arg("tensors"), py::arg("axis"), NoGil());
    m.def("pad", &pad, py::arg("x"), py::arg("before"), py::arg("after"), py::arg("value"), NoGil());
    m.def("copy_into", &copy_into, py::arg("dst"), py::arg("src"), NoGil());

    m.def(
        "random_uniform",
        [](const Shape& shape, uint64_t seed, uint64_t offset, double low, double high, DType dtype, Device device) {
            return random_uniform(shape, {seed, offset}, low, high, dtype, device);
        },
        py::arg("shape"), py::arg("seed"), py::arg("offset"), py::arg("low"), py::arg("high"), py::arg("dtype"),
        py::arg("device") = Device{}, NoGil());
    m.def(
        "random_normal",
        [](const Shape& shape, uint64_t seed, uint64_t offset, double mean, double stddev, DType dtype, Device device) {
            return random_normal(shape, {seed, offset}, mean, stddev, dtype, device);
        },
        py::arg("shape"), py::arg("seed"), py::arg("offset"), py::arg("mean"), py::arg("stddev"), py::arg("dtype"),
        py::arg("device") = Device{}, NoGil());
}

}  // namespace ck::bindings
