"""Tensor: a core tensor with a gradient. Methods are thin calls of the functions in ``convkit.ops``."""

from __future__ import annotations

import numpy as np

from . import _core, cuda, dtypes


class Tensor(_core.TensorBase):
    """Dense row-major array on a device, with an optional gradient.

    Made by :func:`convkit.tensor`, :func:`convkit.from_numpy` and the ops. ``numpy()`` and the buffer protocol give
    read-only views of the same memory. ``grad`` is a Tensor after ``backward()``, else None.
    """

    __slots__ = ("__weakref__", "_node", "grad", "requires_grad")
    __array_priority__ = 1000.0  # numpy_array + tensor calls Tensor.__radd__; np.exp(tensor) gives an array
    __hash__ = object.__hash__

    def __init__(self, data: _core.Tensor, requires_grad: bool = False):
        if requires_grad and data.dtype.kind != "f":
            raise TypeError(f"[tensor] only float32 and float64 have gradients. Received: {data.dtype}.")
        self._data = data
        self.requires_grad = requires_grad
        self.grad = None
        self._node = None

    # facts
    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def device(self) -> str:
        """``"cpu"`` or ``"cuda:0"``."""
        return self._data.device

    def __len__(self):
        if not self.shape:
            raise TypeError("[len] a tensor without axes has no length.")
        return self.shape[0]

    def __repr__(self):
        text = np.array2string(_values(self), separator=", ", prefix="tensor(")
        extra = "" if self.dtype == np.float32 else f", dtype={self.dtype}"
        extra += "" if self.device == "cpu" else f", device={self.device!r}"
        return f"tensor({text}{extra}{', requires_grad=True' if self.requires_grad else ''})"

    def __bool__(self):
        return bool(self.item())

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    # in and out
    def item(self):
        """The value of a tensor of one element as a Python number."""
        return self._data.item()

    def numpy(self) -> np.ndarray:
        """Read-only view of the same memory."""
        if self.device != "cpu":
            raise TypeError(f'[numpy] a tensor on {self.device} has no numpy view. Use .to("cpu") first.')
        if self.dtype is dtypes.bfloat16:
            raise TypeError("[numpy] numpy has no bfloat16. Use .astype(ck.float32) first.")
        return np.asarray(self._data)

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"[numpy] a {array.dtype} tensor cannot become {np.dtype(dtype)} without a copy.")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A DLPack capsule that shares the memory (``copy=True``: of a copy); ``stream`` as the protocol has it."""
        if self.device == "cpu" and stream is not None:
            raise BufferError(f"[dlpack] CPU memory takes stream=None. Received: {stream!r}.")
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f"[dlpack] the tensor is on {self.device}. Received: dl_device={dl_device!r}.")
        data = self._data
        if copy:
            data = _core.full(self.shape, 0, self.dtype, self.device)
            _core.copy_into(data, self._data)
        if self.device != "cpu":
            _order_before(self.device, stream)
        known = stream if stream not in (None, -1) else None
        return _core.to_dlpack(data, max_version is not None and max_version[0] >= 1, known)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0) if self.device == "cpu" else (2, cuda.index_of(self.device))  # kDLCPU, kDLCUDA

    def tolist(self):
        """The elements as nested lists of Python numbers, as numpy's."""
        return _values(self).tolist()

    def detach(self) -> Tensor:
        """The same memory, without a graph."""
        return Tensor(self._data)

    def __reduce__(self):  # copy.deepcopy and pickle: values without graph and gradient
        return _restore, (type(self), _values(self).copy(), self.requires_grad, self.device, self.dtype.name)

    def copy_(self, other) -> Tensor:
        """Overwrites the elements in place; shapes and dtypes must agree.

        Not recorded: a backward pass that comes later and needs the old values is a RuntimeError.
        """
        _core.copy_into(self._data, as_tensor(other)._data)
        return self

    def to(self, device: str) -> Tensor:
        """The tensor on ``device`` ("cpu", "cuda:0"): itself when it is there. RuntimeError without a usable GPU."""
        return ops.to_device(self, device)

    def astype(self, dtype) -> Tensor:
        """The values in another dtype; differentiable between floating dtypes. TypeError for other dtypes."""
        return ops.astype(self, dtype)

    def backward(self, grad=None, retain_graph: bool = False) -> None:
        """Accumulates gradients into the leaves. ``grad`` is needed unless the tensor has one element."""
        autograd.backward(self, grad, retain_graph)

    # arithmetic
    def __add__(self, other):
        return ops.add(self, other)

    def __radd__(self, other):
        return ops.add(other, self)

    def __sub__(self, other):
        return ops.subtract(self, other)

    def __rsub__(self, other):
        return ops.subtract(other, self)

    def __mul__(self, other):
        return ops.multiply(self, other)

    def __rmul__(self, other):
        return ops.multiply(other, self)

    def __truediv__(self, other):
        return ops.divide(self, other)

    def __rtruediv__(self, other):
        return ops.divide(other, self)

    def __pow__(self, other):
        return ops.power(self, other)

    def __rpow__(self, other):
        return ops.power(other, self)

    def __matmul__(self, other):
        return ops.matmul(self, other)

    def __rmatmul__(self, other):
        return ops.matmul(other, self)

    def __neg__(self):
        return ops.negative(self)

    def __abs__(self):
        return ops.abs(self)

    def __eq__(self, other):
        return NotImplemented if other is None else ops.compare("equal", self, other)

    def __ne__(self, other):
        return NotImplemented if other is None else ops.compare("not_equal", self, other)

    def __lt__(self, other):
        return ops.compare("less", self, other)

    def __le__(self, other):
        return ops.compare("less_equal", self, other)

    def __gt__(self, other):
        return ops.compare("greater", self, other)

    def __ge__(self, other):
        return ops.compare("greater_equal", self, other)

    def exp(self):
        """e**x, elementwise."""
        return ops.exp(self)

    def log(self):
        """Natural logarithm, elementwise: NaN below 0, -inf at 0."""
        return ops.log(self)

    def sqrt(self):
        """Square root, elementwise: NaN below 0."""
        return ops.sqrt(self)

    def abs(self):
        """Absolute value; its gradient at 0 is 0."""
        return ops.abs(self)

    # shape
    def reshape(self, *shape) -> Tensor:
        """The same elements in another shape; one size may be -1."""
        return ops.reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def transpose(self, *axes) -> Tensor:
        """Axes permuted, reversed when none are given, as numpy's."""
        return ops.transpose(self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)

    @property
    def T(self) -> Tensor:
        """All axes reversed, as numpy's."""
        return ops.transpose(self, ())

    def __getitem__(self, index) -> Tensor:
        return ops.getitem(self, index)

    # reductions
    def sum(self, axis=None, keepdims: bool = False) -> Tensor:
        """Sum over ``axis`` (None: all; int or tuple); int64 for integers and bools."""
        return ops.sum(self, axis, keepdims)

    def mean(self, axis=None, keepdims: bool = False) -> Tensor:
        """Mean over ``axis`` (None: all; int or tuple); float32 for integers and bools, NaN of no elements."""
        return ops.mean(self, axis, keepdims)

    def max(self, axis=None, keepdims: bool = False) -> Tensor:
        """Largest values over ``axis`` (None: all; int or tuple); the gradient goes to the first maximum."""
        return ops.max(self, axis, keepdims)

    def argmax(self, axis=None) -> Tensor:
        """int64 index of the first maximum (of the flattened tensor when axis is None)."""
        return ops.argmax(self, axis)


def tensor(data, dtype=None, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """A new tensor from numbers, nested lists, numpy arrays or tensors (always a copy).

    Python floats become float32, ints int64, bools bool. numpy arrays keep float32, float64, uint8, int64 and bool;
    other integer arrays widen to int64; anything else is a TypeError.
    """
    if dtype is dtypes.bfloat16:
        data = tensor(data, dtypes.float32, device).astype(dtype)
        return Tensor(data._data, requires_grad)
    if isinstance(data, Tensor):
        array = _values(data)
    elif isinstance(data, (np.ndarray, np.generic)) or hasattr(data, "__array__"):
        array = np.asarray(data)
    else:
        array = _from_python(data)
    if array.dtype.byteorder not in "=|" or not array.flags.aligned:
        array = array.astype(array.dtype.newbyteorder("="))
    if dtype is not None:
        array = array.astype(dtypes.as_dtype("tensor", dtype), copy=False)
    elif array.dtype.kind in "iu" and array.dtype != np.uint8:
        if array.dtype == np.uint64 and array.size and array.max() >= 2**63:
            raise ValueError(f"[tensor] integers must fit into int64. Received: {array.max()}.")
        array = array.astype(np.int64)
    return Tensor(Tensor(_core.from_numpy(array, False)).to(device)._data, requires_grad)


def _restore(kind, array, requires_grad: bool, device: str, dtype: str) -> Tensor:
    result = kind.__new__(kind)
    made = tensor(array, dtypes.bfloat16 if dtype == "bfloat16" else None, device)
    Tensor.__init__(result, made._data, requires_grad)
    return result


def _values(t: Tensor) -> np.ndarray:
    """The elements in the host's memory, bfloat16 as float32; a view where they are there."""
    t = t.detach().to("cpu")
    return (t.astype(dtypes.float32) if t.dtype is dtypes.bfloat16 else t).numpy()


def _order_before(device: str, stream) -> None:
    """Let ``stream`` of a DLPack consumer come after what is queued on ``device``; -1 asks for no order."""
    index = cuda.index_of(device)
    if stream is None:
        _core.cuda_synchronize(index)
    elif stream != -1:
        _core.cuda_make_stream_wait(index, stream)


def _from_python(data) -> np.ndarray:
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ValueError(f"[tensor] nested lists must have equal lengths. Received: {data!r}.") from error
    if array.dtype.kind == "f":
        # Lists may hold numpy scalars or arrays; only Python floats mean "float32".
        return array.astype(np.float32)
    if array.dtype.kind not in "iub":
        raise TypeError(f"[tensor] needs numbers. Received: {type(data).__name__} of {array.dtype}.")
    return array


def as_tensor(data) -> Tensor:
    """Tensors as they are, anything else through :func:`tensor`."""
    return data if isinstance(data, Tensor) else tensor(data)


def from_numpy(array, copy: bool = True) -> Tensor:
    """A tensor with the array's elements; ``copy=False`` shares its memory or raises ValueError."""
    array = np.asarray(array)
    if copy:
        return tensor(array)
    return Tensor(_core.from_numpy(array, True))


def from_dlpack(x) -> Tensor:
    """A tensor that shares the memory of ``x``, any object with ``__dlpack__`` in row-major CPU or CUDA memory."""
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"[from_dlpack] needs an object with __dlpack__. Received: {type(x).__name__}.")
    kind, index = x.__dlpack_device__() if hasattr(x, "__dlpack_device__") else (1, 0)
    order = {} if kind == 1 else {"stream": _core.cuda_stream(index)}
    try:
        capsule = x.__dlpack__(max_version=(1, 0), **order)
    except TypeError:  # a producer older than DLPack 1.0
        capsule = x.__dlpack__(**order)
    return Tensor(_core.from_dlpack(capsule))


from . import autograd, ops  # noqa: E402  (ops make Tensors)
