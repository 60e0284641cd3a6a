#include <map>

#include "bindings/bindings.h"
#include "core/device_memory.h"
#include "cuda/graph.h"
#include "cuda/runtime.h"

namespace ck::bindings {
namespace {

struct CudaGraph {
    std::shared_ptr<cuda::Graph> graph;
};

}  // namespace

void bind_cuda(py::module_& m) {
    py::class_<cuda::DeviceFacts>(m, "CudaDevice", "What the driver says about one GPU.")
        .def_readonly("name", &cuda::DeviceFacts::name)
        .def_property_readonly("compute_capability",
                               [](const cuda::DeviceFacts& d) { return std::make_pair(d.major, d.minor); })
        .def_readonly("memory", &cuda::DeviceFacts::memory);
    m.attr("cuda_architectures") = cuda::architectures();
    set_device_memory({&cuda::allocate, &cuda::release});
    m.def("cuda_unavailable_reason", &cuda::unavailable_reason, NoGil());
    m.def("cuda_devices", &cuda::devices, NoGil());
    m.def(
        "cuda_versions",
        [] {
            const cuda::Versions v = cuda::versions();
            return std::make_pair(v.runtime, v.driver);
        },
        NoGil());
    m.def(
        "cuda_memory_stats",
        [] {
            const cuda::MemoryStats s = cuda::memory_stats();
            return std::map<std::string, int64_t>{{"allocated", s.allocated},
                                                  {"cached", s.cached},
                                                  {"peak", s.peak},
                                                  {"segments", s.segments},
                                                  {"hits", s.hits}};
        },
        NoGil());
    py::class_<CudaGraph>(m, "CudaGraph",
                          "What was queued on a device between cuda_begin_capture and cuda_end_capture.")
        .def(
            "replay", [](CudaGraph& g, uint64_t random_shift) { cuda::replay(*g.graph, random_shift); },
            py::arg("random_shift"), NoGil());
    m.def("cuda_begin_capture", &cuda::begin_capture, py::arg("device"), NoGil());
    m.def(
        "cuda_end_capture", [] { return CudaGraph{cuda::end_capture()}; }, NoGil());
    m.def("cuda_abandon_capture", &cuda::abandon_capture, NoGil());
    m.def("cuda_empty_cache", &cuda::empty_cache, NoGil());
    m.def("cuda_synchronize", &cuda::synchronize, py::arg("device"), NoGil());
    m.def("cuda_stream", &cuda::stream_handle, py::arg("device"), NoGil());
    m.def("cuda_make_stream_wait", &cuda::make_stream_wait, py::arg("device"), py::arg("stream"), NoGil());
}

}  // namespace ck::bindings
