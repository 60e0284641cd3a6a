// TensorBase: the base class of convkit.Tensor. It holds the core tensor in `_data` and passes the buffer protocol on
// to it, which a class written in Python cannot do before Python 3.12. Plain C API: creation is on every op's path.
#include "bindings/bindings.h"
// after Python.h
#include <structmember.h>

namespace ck::bindings {
namespace {

struct TensorBase {
    PyObject_HEAD PyObject* data;
};

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
    PyObject* data = reinterpret_cast<TensorBase*>(self)->data;
    if (!data) {
        PyErr_SetString(PyExc_BufferError, "[tensor] the tensor was not initialised.");
        return -1;
    }
    return PyObject_GetBuffer(data, view, flags);
}

void deallocate(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    Py_CLEAR(reinterpret_cast<TensorBase*>(self)->data);
    type->tp_free(self);
    Py_DECREF(type);
}

PyMemberDef members[] = {{"_data", T_OBJECT_EX, offsetof(TensorBase, data), 0, "the core tensor"},
                         {nullptr, 0, 0, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_doc, const_cast<char*>("Base class of convkit.Tensor.")},
                       {Py_tp_members, members},
                       {Py_tp_dealloc, reinterpret_cast<void*>(deallocate)},
                       {Py_bf_getbuffer, reinterpret_cast<void*>(get_buffer)},
                       {0, nullptr}};

PyType_Spec spec = {"convkit._core.TensorBase", sizeof(TensorBase), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace

void bind_tensor_base(py::module_& m) {
    m.attr("TensorBase") = py::reinterpret_steal<py::object>(PyType_FromSpec(&spec));
}

}  // namespace ck::bindings
