#include <optional>

#include "bindings/bindings.h"

namespace ck::bindings {

void bind_matmul(py::module_& m) {
    m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("trans_a") = false, py::arg("trans_b") = false,
          NoGil());
    m.def(
        "linear",
        [](const Tensor& x, const Tensor& w, const std::optional<Tensor>& bias, const std::string& activation) {
            return linear(x, w, bias ? &*bias : nullptr, parse_activation("linear", activation));
        },
        py::arg("x"), py::arg("w"), py::arg("bias").none(true), py::arg("activation"), NoGil());
}

}  // namespace ck::bindings
