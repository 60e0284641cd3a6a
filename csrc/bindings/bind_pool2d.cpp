// Pooling and resizing. A window's geometry arrives as (kernel_size, stride, padding, dilation, ceil_mode), already
// pairs and (top, bottom, left, right).
#include "bindings/bindings.h"

namespace ck::bindings {
namespace {

using Pair = std::array<int64_t, 2>;
using Geometry = std::tuple<Pair, Pair, std::array<int64_t, 4>, Pair, bool>;

Pool2dGeometry geometry(const Geometry& g) {
    const auto& [window, stride, padding, dilation, ceil_mode] = g;
    return {window, stride, padding, dilation, ceil_mode};
}

}  // namespace

void bind_pool2d(py::module_& m) {
    m.def(
        "max_pool2d",
        [](const Tensor& x, const Geometry& g, bool argmax_wanted) {
            return max_pool2d(x, geometry(g), argmax_wanted);
        },
        py::arg("x"), py::arg("geometry"), py::arg("argmax_wanted"), NoGil());
    m.def(
        "max_pool2d_gradient",
        [](const Shape& x_shape, const Tensor& dy, const Tensor& argmax, const Geometry& g) {
            return max_pool2d_gradient(x_shape, dy, argmax, geometry(g));
        },
        py::arg("x_shape"), py::arg("dy"), py::arg("argmax"), py::arg("geometry"), NoGil());
    m.def(
        "max_pool2d_indices",
        [](const Shape& x_shape, const Tensor& argmax, const Geometry& g) {
            return max_pool2d_indices(x_shape, argmax, geometry(g));
        },
        py::arg("x_shape"), py::arg("argmax"), py::arg("geometry"), NoGil());
    m.def("max_unpool2d", &max_unpool2d, py::arg("x"), py::arg("indices"), py::arg("size"), NoGil());
    m.def("max_unpool2d_gradient", &max_unpool2d_gradient, py::arg("dy"), py::arg("indices"), NoGil());
    m.def(
        "avg_pool2d",
        [](const Tensor& x, const Geometry& g, bool count_include_pad) {
            return avg_pool2d(x, geometry(g), count_include_pad);
        },
        py::arg("x"), py::arg("geometry"), py::arg("count_include_pad"), NoGil());
    m.def(
        "avg_pool2d_gradient",
        [](const Shape& x_shape, const Tensor& dy, const Geometry& g, bool count_include_pad) {
            return avg_pool2d_gradient(x_shape, dy, geometry(g), count_include_pad);
        },
        py::arg("x_shape"), py::arg("dy"), py::arg("geometry"), py::arg("count_include_pad"), NoGil());
    m.def("adaptive_avg_pool2d", &adaptive_avg_pool2d, py::arg("x"), py::arg("size"), NoGil());
    m.def("adaptive_avg_pool2d_gradient", &adaptive_avg_pool2d_gradient, py::arg("x_shape"), py::arg("dy"), NoGil());

    m.def(
        "upsample",
        [](const Tensor& x, const Pair& scale, const std::string& mode) {
            return upsample(x, scale, parse_resize_mode(mode));
        },
        py::arg("x"), py::arg("scale"), py::arg("mode"), NoGil());
    m.def(
        "upsample_gradient",
        [](const Shape& x_shape, const Tensor& dy, const std::string& mode) {
            return upsample_gradient(x_shape, dy, parse_resize_mode(mode));
        },
        py::arg("x_shape"), py::arg("dy"), py::arg("mode"), NoGil());
}

}  // namespace ck::bindings
