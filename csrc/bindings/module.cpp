#include "bindings/bindings.h"
#include "core/check.h"

namespace ck::bindings {

Py_ssize_t length(py::handle sequence) {
    if (PyTuple_Check(sequence.ptr())) return PyTuple_GET_SIZE(sequence.ptr());
    return PyList_Check(sequence.ptr()) ? PyList_GET_SIZE(sequence.ptr()) : -1;
}

bool load_ints(py::handle sequence, Py_ssize_t size, int64_t* out) {
    for (Py_ssize_t i = 0; i < size; ++i) {
        if (length(sequence) != size) return false;  // __index__ of an element may have changed a list
        out[i] = PyLong_AsLongLong(PySequence_Fast_GET_ITEM(sequence.ptr(), i));
        if (out[i] == -1 && PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
    }
    return true;
}

PYBIND11_MODULE(_core, m, py::mod_gil_not_used()) {
    m.doc() = "The compiled core of convkit: tensors without gradients, and the kernels. Use the convkit package.";
    py::register_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const ValueError& e) {
            PyErr_SetString(PyExc_ValueError, e.what());
        } catch (const TypeError& e) {
            PyErr_SetString(PyExc_TypeError, e.what());
        } catch (const DeviceError& e) {
            PyErr_SetString(PyExc_RuntimeError, e.what());
        }
    });
    bind_tensor(m);
    bind_tensor_base(m);
    bind_dlpack(m);
    bind_config(m);
    bind_cuda(m);
    bind_pointwise(m);
    bind_conv2d(m);
    bind_loss(m);
    bind_norm(m);
    bind_optimizer(m);
    bind_matmul(m);
    bind_pool2d(m);
}

}  // namespace ck::bindings
