#include "bindings/bindings.h"
#include "cuda/runtime.h"

namespace ck::bindings {

void bind_cuda(py::module_& m) {
    py::class_<cuda::DeviceFacts>(m, "CudaDevice", "What the driver says about one GPU.")
        .def_readonly("name", &cuda::DeviceFacts::name)
        .def_property_readonly("compute_capability",
                               [](const cuda::DeviceFacts& d) { return std::make_pair(d.major, d.minor); })
        .def_readonly("memory", &cuda::DeviceFacts::memory);
    m.attr("cuda_architectures") = cuda::architectures();
    m.def("cuda_unavailable_reason", &cuda::unavailable_reason, NoGil());
    m.def("cuda_devices", &cuda::devices, NoGil());
    m.def(
        "cuda_versions",
        [] {
            const cuda::Versions v = cuda::versions();
            return std::make_pair(v.runtime, v.driver);
        },
        NoGil());
}

}  // namespace ck::bindings
