#include "bindings/bindings.h"
#include "core/allocator.h"
#include "core/derived.h"
#include "core/parallel.h"
#include "core/precision.h"
#include "cpu/dispatch.h"
#include "cpu/probe.h"

namespace ck::bindings {

void bind_config(py::module_& m) {
    m.attr("compiler") = CK_COMPILER;
    m.attr("git_hash") = CK_GIT_HASH;  // of the sources, empty when they were no checkout
    m.attr("openmp") = parallel_enabled();
    m.def("compiled_isas", &cpu::compiled_isas);
    m.def("available_isas", &cpu::available_isas);
    m.def("active_isa", &cpu::active_isa);
    m.def("set_isa", &cpu::set_isa, py::arg("name"));
    m.def("get_num_threads", &num_threads);
    m.def("set_num_threads", &set_num_threads, py::arg("count"));
    m.def(
        "set_precise", [](bool precise) { set_precision(precise ? Precision::precise : Precision::fast); },
        py::arg("precise"));
    m.def("precise", [] { return precision() == Precision::precise; });
    m.def(
        "set_cache_limit",
        [](int64_t bytes) {
            DerivedCache::drop_all();
            set_cache_limit(bytes);
        },
        py::arg("bytes"), NoGil());
    m.def("cached_bytes", &cached_bytes);
    m.def("retained_bytes", &retained_bytes);
    m.def("drop_packed_weights", &DerivedCache::drop_all, NoGil());
    m.def("scratch_peak", &scratch_peak);
    m.def("reset_scratch_peak", &reset_scratch_peak);
    m.def("fma_probe", &cpu::fma_probe, py::arg("microseconds"), NoGil());
    m.def("copy_bandwidth", &cpu::copy_bandwidth, py::arg("bytes"), NoGil());
}

}  // namespace ck::bindings
