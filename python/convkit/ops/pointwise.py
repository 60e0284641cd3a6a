"""Elementwise functions, arithmetic with broadcasting, comparisons."""

from __future__ import annotations

import numbers
import operator

import numpy as np

from .. import _core, dtypes
from ..autograd import record
from ..tensor import Tensor, as_tensor

_REAL = numbers.Real | np.bool_  # made once: it takes as long as a small op


def _unary(x, forward, gradient) -> Tensor:
    """A function whose gradient follows from its result."""
    x = as_tensor(x)
    y = forward(x._data)
    return record(y, (x,), lambda dy: (gradient(y, y, dy),))


def _unary_of_input(x, forward, gradient, *settings) -> Tensor:
    """A function whose gradient needs its argument."""
    x = as_tensor(x)
    data = x._data
    return record(forward(data, *settings), (x,), lambda dy: (gradient(data, data, dy, *settings),))


def exp(x) -> Tensor:
    """e**x, elementwise."""
    return _unary(x, _core.exp, _core.exp_gradient)


def log(x) -> Tensor:
    """Natural logarithm, elementwise: NaN below 0, -inf at 0."""
    return _unary_of_input(x, _core.log, _core.log_gradient)


def sqrt(x) -> Tensor:
    """Square root, elementwise: NaN below 0."""
    return _unary(x, _core.sqrt, _core.sqrt_gradient)


def abs(x) -> Tensor:
    """Absolute value; its gradient at 0 is 0."""
    return _unary_of_input(x, _core.abs, _core.abs_gradient)


def negative(x) -> Tensor:
    """-x, of floats and int64."""
    x = as_tensor(x)
    if x.dtype == np.int64:
        return subtract(0, x)
    return record(_core.negative(x._data), (x,), lambda dy: (_core.negative(dy),))


def relu(x) -> Tensor:
    """max(x, 0). NaN passes; the gradient at 0 is 0."""
    return _unary(x, _core.relu, _core.relu_gradient)


def relu6(x) -> Tensor:
    """min(max(x, 0), 6). NaN passes; the gradient at 0 and at 6 is 0."""
    return _unary(x, _core.relu6, _core.relu6_gradient)


def leaky_relu(x, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope * x."""
    return _unary_of_input(x, _core.leaky_relu, _core.leaky_relu_gradient, negative_slope)


def tanh(x) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    return _unary(x, _core.tanh, _core.tanh_gradient)


def sigmoid(x) -> Tensor:
    """1 / (1 + e**-x), elementwise, without overflow."""
    return _unary(x, _core.sigmoid, _core.sigmoid_gradient)


def activation_name(op: str, activation) -> str:
    """The name as the core takes it, where "" means none. The core refuses unknown names."""
    if activation is None:
        return ""
    if not isinstance(activation, str):
        raise TypeError(f"[{op}] activation must be None or a name. Received: activation={activation!r}.")
    return activation


def _operands(op: str, a, b) -> tuple[Tensor, Tensor]:
    """Both as tensors; a Python number takes the other's dtype."""
    if isinstance(a, Tensor) and isinstance(b, numbers.Number):
        return a, _like(op, b, a)
    if isinstance(b, Tensor) and isinstance(a, numbers.Number):
        return _like(op, a, b), b
    return as_tensor(a), as_tensor(b)


def _like(op: str, number, tensor: Tensor) -> Tensor:
    dtype = tensor.dtype
    if not isinstance(number, _REAL):
        raise TypeError(f"[{op}] numbers are real. Received: {number}.")
    if dtype.kind != "f" and not isinstance(number, numbers.Integral) and not float(number).is_integer():
        raise TypeError(f"[{op}] a {dtype} tensor needs an integer. Received: {number} (use astype).")
    return Tensor(filled(op, (), number, dtype, tensor.device))


def filled(op: str, shape, number, dtype, device: str) -> _core.Tensor:
    """``shape`` full of ``number``; ValueError where an integer dtype does not reach that far."""
    if isinstance(number, numbers.Integral) and dtype.kind in "iu":  # a double, which the core takes, is not enough
        number, limits = operator.index(number), np.iinfo(dtype)
        if not limits.min <= number <= limits.max:
            raise ValueError(f"[{op}] {dtype} cannot hold this number. Received: {number}.")
        if not -(2**53) <= number <= 2**53:
            data = _core.full(shape, 0, dtype, device)
            _core.copy_into(data, as_tensor(np.full(shape, number, dtype))._data)
            return data
    return _core.full(shape, number, dtype, device)


def add(a, b) -> Tensor:
    """a + b with broadcasting."""
    a, b = _operands("add", a, b)
    shape_a, shape_b = a.shape, b.shape

    def backward(dy):
        return _core.sum_to_shape(dy, shape_a), _core.sum_to_shape(dy, shape_b)

    return record(_core.add(a._data, b._data), (a, b), backward)


def subtract(a, b) -> Tensor:
    """a - b with broadcasting."""
    a, b = _operands("subtract", a, b)
    shape_a, shape_b, b_wanted = a.shape, b.shape, b.requires_grad

    def backward(dy):
        db = _core.sum_to_shape(_core.negative(dy), shape_b) if b_wanted else None
        return _core.sum_to_shape(dy, shape_a), db

    return record(_core.subtract(a._data, b._data), (a, b), backward)


def multiply(a, b) -> Tensor:
    """a * b with broadcasting."""
    a, b = _operands("multiply", a, b)
    shape_a, shape_b = a.shape, b.shape
    u, v = a._data if b.requires_grad else None, b._data if a.requires_grad else None

    def backward(dy):
        return (
            None if v is None else _core.sum_to_shape(_core.multiply(dy, v), shape_a),
            None if u is None else _core.sum_to_shape(_core.multiply(dy, u), shape_b),
        )

    return record(_core.multiply(a._data, b._data), (a, b), backward)


def divide(a, b) -> Tensor:
    """a / b with broadcasting; float32 where no tensor is floating."""
    a, b = (t if isinstance(t, numbers.Number) else as_tensor(t) for t in (a, b))
    if isinstance(a, numbers.Number) and isinstance(b, numbers.Number):
        a = as_tensor(a)
    if all(isinstance(t, numbers.Number) or t.dtype.kind != "f" for t in (a, b)):
        a, b = (Tensor(_core.cast(t._data, dtypes.float32)) if isinstance(t, Tensor) else t for t in (a, b))
    a, b = _operands("divide", a, b)
    shape_a, shape_b, a_wanted = a.shape, b.shape, a.requires_grad
    u, v = a._data if b.requires_grad else None, b._data

    def backward(dy):
        da = _core.divide(dy, v)
        db = None
        if u is not None:
            db = _core.sum_to_shape(_core.negative(_core.divide(_core.multiply(da, u), v)), shape_b)
        return _core.sum_to_shape(da, shape_a) if a_wanted else None, db

    return record(_core.divide(a._data, v), (a, b), backward)


def power(a, b) -> Tensor:
    """a ** b with broadcasting. The gradient of b needs a > 0, as log(a) does."""
    is_one = isinstance(b, numbers.Number) and b == 0
    a, b = _operands("power", a, b)
    y = _core.power(a._data, b._data)
    shape_a, shape_b, a_wanted = a.shape, b.shape, a.requires_grad and not is_one
    u = a._data if a_wanted or b.requires_grad else None
    v, y_kept = b._data if a_wanted else None, y if b.requires_grad else None

    def backward(dy):
        da = db = None
        if is_one:
            da = _core.full(shape_a, 0, dy.dtype, dy.device)  # at u = 0 the slope below would be 0 * infinity
        elif v is not None:
            one = _core.full((), 1.0, v.dtype, v.device)
            slope = _core.multiply(v, _core.power(u, _core.subtract(v, one)))
            da = _core.sum_to_shape(_core.multiply(dy, slope), shape_a)
        if y_kept is not None:
            db = _core.sum_to_shape(_core.multiply(dy, _core.multiply(y_kept, _core.log(u))), shape_b)
        return da, db

    return record(y, (a, b), backward)


_COMPARISONS = {
    name: getattr(_core, name) for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
}


def compare(name: str, a, b) -> Tensor:
    """bool tensor of a <name> b with broadcasting; NaN compares unequal. Mixed dtypes compare by value."""
    a = as_tensor(a)
    if isinstance(b, numbers.Number):
        exact = np.int64 if isinstance(b, numbers.Integral) and -(2**63) <= b < 2**63 else np.float64
        b = Tensor(filled(name, (), b, a.dtype if a.dtype.kind == "f" else np.dtype(exact), a.device))
    return Tensor(_COMPARISONS[name](a._data, as_tensor(b)._data))
