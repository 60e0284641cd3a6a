#include <tuple>

#include "bindings/bindings.h"

namespace ck::bindings {
namespace {

BatchNormSettings settings(double eps, const std::string& activation, bool training) {
    return {eps, parse_activation("batch_norm", activation), training};
}

}  // namespace

void bind_norm(py::module_& m) {
    m.def("batch_norm_statistics", &batch_norm_statistics, py::arg("x"), py::arg("momentum"), py::arg("running_mean"),
          py::arg("running_var"), NoGil());
    m.def(
        "batch_norm",
        [](const Tensor& x, const Tensor& mean, const Tensor& variance, OptionalTensor weight, OptionalTensor bias,
           OptionalTensor residual, double eps, const std::string& activation) {
            return batch_norm(x, mean, variance, weight, bias, residual, settings(eps, activation, false));
        },
        py::arg("x"), py::arg("mean"), py::arg("variance"), py::arg("weight"), py::arg("bias"), py::arg("residual"),
        py::arg("eps"), py::arg("activation"), NoGil());
    m.def(
        "batch_norm_gradient",
        [](const Tensor& x, const Tensor& mean, const Tensor& variance, OptionalTensor weight, OptionalTensor bias,
           OptionalTensor y, const Tensor& dy, bool has_residual, double eps, const std::string& activation,
           bool training) {
            BatchNormGradients g = batch_norm_gradient(x, mean, variance, weight, bias, y, dy, has_residual,
                                                       settings(eps, activation, training));
            return std::make_tuple(g.dx, g.dweight, g.dbias, g.dresidual);
        },
        py::arg("x"), py::arg("mean"), py::arg("variance"), py::arg("weight"), py::arg("bias"), py::arg("y"),
        py::arg("dy"), py::arg("has_residual"), py::arg("eps"), py::arg("activation"), py::arg("training"), NoGil());
    m.def(
        "dropout",
        [](const Tensor& x, uint64_t seed, uint64_t offset, double p) {
            return dropout(x, {seed, offset}, p);
        },
        py::arg("x"), py::arg("seed"), py::arg("offset"), py::arg("p"), NoGil());
}

}  // namespace ck::bindings
