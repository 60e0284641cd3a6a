#include "bindings/bindings.h"

namespace ck::bindings {
using Tensors = std::vector<Tensor>;

void bind_optimizer(py::module_& m) {
    m.def(
        "sgd_step",
        [](const Tensors& params, const Tensors& grads, const Tensors& velocities, double lr, double momentum,
           double weight_decay, bool nesterov) {
            sgd_step({lr, momentum, weight_decay, nesterov}, params, grads, velocities);
        },
        py::arg("params"), py::arg("grads"), py::arg("velocities"), py::arg("lr"), py::arg("momentum"),
        py::arg("weight_decay"), py::arg("nesterov"), NoGil());
    m.def(
        "adam_step",
        [](const Tensors& params, const Tensors& grads, const Tensors& first_moments, const Tensors& second_moments,
           double lr, double beta1, double beta2, double eps, double weight_decay, bool decoupled, int64_t step) {
            adam_step({lr, beta1, beta2, eps, weight_decay, decoupled, step}, params, grads, first_moments,
                      second_moments);
        },
        py::arg("params"), py::arg("grads"), py::arg("m"), py::arg("v"), py::arg("lr"), py::arg("beta1"),
        py::arg("beta2"), py::arg("eps"), py::arg("weight_decay"), py::arg("decoupled"), py::arg("step"), NoGil());
}

}  // namespace ck::bindings
