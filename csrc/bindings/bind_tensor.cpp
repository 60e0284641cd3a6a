#include <cstring>
#include <optional>

#include "bindings/bindings.h"

namespace ck::bindings {
DType dtype_of(const py::dtype& dtype) {
    const char order = dtype.byteorder();
    CK_CHECK_TYPE(order == '=' || order == '|', "from_numpy",
                  "the byte order must be the machine's. Received: ", py::cast<std::string>(py::str(dtype)), ".");
    switch (dtype.kind()) {
        case 'f':
            if (dtype.itemsize() == 4) return DType::float32;
            if (dtype.itemsize() == 8) return DType::float64;
            break;
        case 'i':
            if (dtype.itemsize() == 8) return DType::int64;
            break;
        case 'u':
            if (dtype.itemsize() == 1) return DType::uint8;
            break;
        case 'b':
            return DType::boolean;
        default:
            break;
    }
    throw TypeError(concat("[from_numpy] dtype must be float32, float64, uint8, int64 or bool. Received: ",
                           py::cast<std::string>(py::str(dtype)), "."));
}

py::object python_dtype(DType dtype) {
    return visit_all(dtype, [](auto zero) -> py::object {
        if constexpr (std::is_same_v<decltype(zero), bfloat16>) {
            return py::module_::import("convkit._core").attr("bfloat16");
        } else {
            return py::dtype::of<decltype(zero)>();
        }
    });
}

namespace {

py::buffer_info buffer_of(Tensor& t) {
    if (!t.device().is_cpu()) throw py::buffer_error("[tensor] device memory has no buffer; use .to(\"cpu\") first.");
    if (t.dtype() == DType::bfloat16)
        throw py::buffer_error("[tensor] bfloat16 has no buffer; use .astype(\"float32\") first.");
    Shape strides(t.shape().size());
    int64_t stride = itemsize(t.dtype());
    for (size_t i = strides.size(); i-- > 0;) {
        strides[i] = stride;
        stride *= t.shape()[i];
    }
    // Read-only: writes go through copy_, which bumps the storage's version.
    const std::string format = visit_all(t.dtype(), [](auto zero) -> std::string {
        if constexpr (std::is_same_v<decltype(zero), bfloat16>) {
            return "";  // refused above
        } else {
            return py::format_descriptor<decltype(zero)>::format();
        }
    });
    return py::buffer_info(t.raw(), itemsize(t.dtype()), format, t.ndim(), t.shape(), strides, true);
}

// A copy, or with share = true the array's own memory, kept alive by a reference.
Tensor from_numpy(const py::array& array, bool share) {
    const DType dtype = dtype_of(array.dtype());
    Shape shape(array.shape(), array.shape() + array.ndim());
    if (!share) {
        const py::array dense = py::array::ensure(array, py::array::c_style);
        Tensor t = Tensor::empty("from_numpy", shape, dtype, Device{});
        std::memcpy(t.raw(), dense.data(), static_cast<size_t>(t.bytes()));
        return t;
    }
    const auto address = reinterpret_cast<uintptr_t>(array.data());
    CK_CHECK((array.flags() & py::array::c_style) && address % static_cast<uintptr_t>(itemsize(dtype)) == 0,
             "from_numpy", "copy=False needs a C-contiguous, aligned array. Received: shape ", shape, ", strides ",
             Shape(array.strides(), array.strides() + array.ndim()), ".");
    auto* owner = new py::array(array);
    auto release = [owner] {  // the last tensor may go in a thread without the GIL
        if (!Py_IsInitialized()) return;
        py::gil_scoped_acquire gil;
        delete owner;
    };
    auto storage = std::make_shared<Storage>(const_cast<void*>(array.data()), array.nbytes(), Device{},
                                             array.writeable(), release);
    return Tensor(std::move(shape), dtype, std::move(storage));
}

py::tuple shape_of(const Tensor& t) {  // filled directly: every op asks for shapes
    py::tuple shape(t.ndim());
    for (int i = 0; i < t.ndim(); ++i) shape[static_cast<size_t>(i)] = t.size(i);
    return shape;
}

// Of each tensor a number that changes with every write to its memory; nothing when others may write one of them.
std::optional<std::vector<uint64_t>> versions_of(const py::list& tensors) {
    std::vector<uint64_t> versions;
    for (const py::handle tensor : tensors) {
        const auto& storage = tensor.cast<const Tensor&>().storage();
        if (!storage->writes_counted()) return std::nullopt;
        versions.push_back(storage->version());
    }
    return versions;
}

py::object item(const Tensor& t) {
    CK_CHECK(t.numel() == 1, "item", "needs a tensor of one element. Received: shape ", t.shape(), ".");
    const Tensor on_host = [&t] {
        py::gil_scoped_release waiting;  // for the device
        return to_device(t, {});
    }();
    return visit_all(t.dtype(), [&](auto zero) -> py::object {
        const auto value = *on_host.data<decltype(zero)>();
        if constexpr (std::is_same_v<decltype(zero), bfloat16>) {
            return py::cast(static_cast<float>(value));
        } else {
            return py::cast(value);
        }
    });
}

}  // namespace

void bind_tensor(py::module_& m) {
    py::class_<Tensor>(m, "Tensor", py::buffer_protocol(), "Dense row-major array without gradients.")
        .def_buffer(&buffer_of)
        .def_property_readonly("shape", &shape_of)
        .def_property_readonly("ndim", &Tensor::ndim)
        .def_property_readonly("size", &Tensor::numel)
        .def_property_readonly("dtype", &Tensor::dtype)
        .def_property_readonly("device", [](const Tensor& t) { return t.device().str(); })
        .def_property_readonly("writes", [](const Tensor& t) { return t.storage()->writes(); })
        .def_property_readonly("address", [](const Tensor& t) { return reinterpret_cast<uintptr_t>(t.raw()); })
        .def("reshape", &Tensor::reshape, py::arg("shape"))
        .def("item", &item);
    py::class_<BFloat16>(m, "BFloat16", "The dtype of mixed precision on CUDA: float32 with 16 bits less of mantissa.")
        .def_property_readonly_static("name", [](const py::object&) { return "bfloat16"; })
        .def_property_readonly_static("kind", [](const py::object&) { return "f"; })
        .def_property_readonly_static("itemsize", [](const py::object&) { return 2; })
        .def("__repr__", [](const BFloat16&) { return "convkit.bfloat16"; });
    m.attr("bfloat16") = BFloat16{};
    m.def("versions", &versions_of, py::arg("tensors"));
    m.def("to_device", &to_device, py::arg("x"), py::arg("device"), NoGil());
    m.def("from_numpy", &from_numpy, py::arg("array"), py::arg("share"));
}

}  // namespace ck::bindings
