#include "bindings/bindings.h"

namespace ck::bindings {

void bind_optimizer(py::module_& m) {
    m.def(
        "sgd_step",
        [](Tensor& param, const Tensor& grad, Tensor* velocity, double lr, double momentum, double weight_decay,
           bool nesterov, bool first_step) {
            sgd_step({lr, momentum, weight_decay, nesterov, first_step}, param, grad, velocity);
        },
        py::arg("param"), py::arg("grad"), py::arg("velocity"), py::arg("lr"), py::arg("momentum"),
        py::arg("weight_decay"), py::arg("nesterov"), py::arg("first_step"), NoGil());
    m.def(
        "adam_step",
        [](Tensor& param, const Tensor& grad, Tensor& first_moment, Tensor& second_moment, double lr, double beta1,
           double beta2, double eps, double weight_decay, bool decoupled, int64_t step) {
            adam_step({lr, beta1, beta2, eps, weight_decay, decoupled, step}, param, grad, first_moment, second_moment);
        },
        py::arg("param"), py::arg("grad"), py::arg("m"), py::arg("v"), py::arg("lr"), py::arg("beta1"),
        py::arg("beta2"), py::arg("eps"), py::arg("weight_decay"), py::arg("decoupled"), py::arg("step"), NoGil());
}

}  // namespace ck::bindings
