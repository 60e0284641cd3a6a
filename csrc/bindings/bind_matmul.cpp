#include "bindings/bindings.h"

namespace ck::bindings {

void bind_matmul(py::module_& m) {
    m.def("matmul", &matmul, py::arg("a"), py::arg("b"), py::arg("trans_a") = false, py::arg("trans_b") = false,
          NoGil());
    m.def(
        "linear",
        [](const Tensor& x, const Tensor& w, OptionalTensor bias, const std::string& activation) {
            return linear(x, w, bias, parse_activation("linear", activation));
        },
        py::arg("x"), py::arg("w"), py::arg("bias"), py::arg("activation"), NoGil());
}

}  // namespace ck::bindings
