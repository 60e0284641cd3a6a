// What the binding files share. pybind11 stays inside csrc/bindings.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdlib>

#include "core/tensor.h"
#include "ops/ops.h"

namespace ck::bindings {
namespace py = pybind11;

// Every op runs without the GIL.
using NoGil = py::call_guard<py::gil_scoped_release>;

void bind_tensor(py::module_& m);       // bind_tensor.cpp: Tensor, numpy and buffer protocol
void bind_tensor_base(py::module_& m);  // bind_tensor_base.cpp: what convkit.Tensor derives from
void bind_dlpack(py::module_& m);       // bind_dlpack.cpp: sharing memory with other libraries
void bind_config(py::module_& m);       // bind_config.cpp: ISA, threads, build facts
void bind_cuda(py::module_& m);         // bind_cuda.cpp: what the CUDA runtime says about this machine
void bind_pointwise(py::module_& m);    // bind_ops.cpp: unary, binary, comparisons, reductions, shape ops, random
void bind_conv2d(py::module_& m);       // bind_conv2d.cpp: convolution, its adjoint and their gradients
void bind_loss(py::module_& m);         // bind_loss.cpp: softmax, losses
void bind_norm(py::module_& m);         // bind_norm.cpp: batch norm, dropout
void bind_optimizer(py::module_& m);    // bind_optimizer.cpp
void bind_matmul(py::module_& m);       // bind_matmul.cpp: matmul, linear
void bind_pool2d(py::module_& m);       // bind_pool2d.cpp: pooling and resizing

// Sizes, strides and paddings come with every op, and pybind11's own conversion takes five times as long as this one.
// The length of a tuple or list, -1 of anything else; its `size` ints into out, false when it holds anything else.
Py_ssize_t length(py::handle sequence);
bool load_ints(py::handle sequence, Py_ssize_t size, int64_t* out);

DType dtype_of(const py::dtype& dtype);  // TypeError for those that tensors do not have

// A Tensor or None. pybind11's own conversion of None to a null pointer first asks whether another library knows it,
// which takes as long as the rest of a small op.
struct OptionalTensor {
    const Tensor* tensor = nullptr;
    operator const Tensor*() const { return tensor; }
};

// The dtype that numpy does not have; its one instance is _core.bfloat16.
struct BFloat16 {};
py::object python_dtype(DType dtype);  // numpy's, or that

}  // namespace ck::bindings

namespace pybind11::detail {

template <>
struct type_caster<ck::bindings::OptionalTensor> {
    PYBIND11_TYPE_CASTER(ck::bindings::OptionalTensor, make_caster<ck::Tensor>::name + const_name(" | None"));
    bool load(handle source, bool convert) {
        if (source.is_none()) return true;
        make_caster<ck::Tensor> tensor;
        if (!tensor.load(source, convert)) return false;
        value.tensor = &cast_op<const ck::Tensor&>(tensor);
        return true;
    }
};

template <size_t size>
struct type_caster<std::array<int64_t, size>> {
    using Ints = std::array<int64_t, size>;
    PYBIND11_TYPE_CASTER(Ints, const_name("collections.abc.Sequence[int]"));
    bool load(handle source, bool) {
        return ck::bindings::length(source) == Py_ssize_t{size} && ck::bindings::load_ints(source, size, value.data());
    }
};

template <>
struct type_caster<ck::Shape> {
    PYBIND11_TYPE_CASTER(ck::Shape, const_name("collections.abc.Sequence[int]"));
    bool load(handle source, bool) {
        const Py_ssize_t size = ck::bindings::length(source);
        if (size < 0) return false;
        value.resize(static_cast<size_t>(size));
        return ck::bindings::load_ints(source, size, value.data());
    }
};

}  // namespace pybind11::detail

// In Python a device is "cpu" or "cuda:0".
template <>
struct pybind11::detail::type_caster<ck::Device> {
    PYBIND11_TYPE_CASTER(ck::Device, const_name("str"));
    bool load(handle source, bool) {
        if (!isinstance<str>(source)) return false;
        const auto text = pybind11::cast<std::string>(source);
        if (text == "cpu") {
            value = {};
            return true;
        }
        if (text.rfind("cuda:", 0) != 0) return false;
        value = {ck::DeviceType::cuda, std::atoi(text.c_str() + 5)};
        return true;
    }
    static handle cast(ck::Device source, return_value_policy, handle) { return str(source.str()).release(); }
};

// In Python a dtype is numpy's, bfloat16 excepted.
template <>
struct pybind11::detail::type_caster<ck::DType> {
    PYBIND11_TYPE_CASTER(ck::DType, const_name("numpy.dtype"));
    bool load(handle source, bool) {
        if (isinstance<ck::bindings::BFloat16>(source)) {
            value = ck::DType::bfloat16;
            return true;
        }
        if (!isinstance<dtype>(source)) return false;
        value = ck::bindings::dtype_of(reinterpret_borrow<dtype>(source));
        return true;
    }
    static handle cast(ck::DType source, return_value_policy, handle) {
        return ck::bindings::python_dtype(source).release();
    }
};
