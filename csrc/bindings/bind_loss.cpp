#include "bindings/bindings.h"

namespace ck::bindings {
namespace {

void bind_softmax(py::module_& m, bool log, const std::string& name) {
    m.def(
        name.c_str(), [log](const Tensor& x, int64_t axis) { return softmax(log, x, axis); }, py::arg("x"),
        py::arg("axis"), NoGil());
    m.def((name + "_gradient").c_str(),
          [log](const Tensor& y, const Tensor& dy, int64_t axis) { return softmax_gradient(log, y, dy, axis); },
          py::arg("y"), py::arg("dy"), py::arg("axis"), NoGil());
}

void bind_pointwise_loss(py::module_& m, PointwiseLoss kind, const std::string& name) {
    m.def(
        name.c_str(),
        [kind](const Tensor& x, const Tensor& target, OptionalTensor weight, double beta,
               const std::string& reduction) { return pointwise_loss(kind, x, target, weight, beta, reduction); },
        py::arg("x"), py::arg("target"), py::arg("weight"), py::arg("beta"), py::arg("reduction"), NoGil());
    m.def(
        (name + "_gradient").c_str(),
        [kind](const Tensor& x, const Tensor& target, OptionalTensor weight, double beta, const std::string& reduction,
               const Tensor& dy) { return pointwise_loss_gradient(kind, x, target, weight, beta, reduction, dy); },
        py::arg("x"), py::arg("target"), py::arg("weight"), py::arg("beta"), py::arg("reduction"), py::arg("dy"),
        NoGil());
}

}  // namespace

void bind_loss(py::module_& m) {
    bind_softmax(m, false, "softmax");
    bind_softmax(m, true, "log_softmax");
    m.def(
        "cross_entropy",
        [](const Tensor& logits, const Tensor& target, OptionalTensor weight, double label_smoothing,
           const std::string& reduction) { return cross_entropy(logits, target, weight, label_smoothing, reduction); },
        py::arg("logits"), py::arg("target"), py::arg("weight"), py::arg("label_smoothing"), py::arg("reduction"),
        NoGil());
    m.def(
        "cross_entropy_gradient",
        [](const Tensor& logits, const Tensor& target, OptionalTensor weight, double label_smoothing,
           const std::string& reduction,
           const Tensor& dy) { return cross_entropy_gradient(logits, target, weight, label_smoothing, reduction, dy); },
        py::arg("logits"), py::arg("target"), py::arg("weight"), py::arg("label_smoothing"), py::arg("reduction"),
        py::arg("dy"), NoGil());
    bind_pointwise_loss(m, PointwiseLoss::mse, "mse_loss");
    bind_pointwise_loss(m, PointwiseLoss::smooth_l1, "smooth_l1_loss");
    bind_pointwise_loss(m, PointwiseLoss::bce_with_logits, "binary_cross_entropy_with_logits");
}

}  // namespace ck::bindings
