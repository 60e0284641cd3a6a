"""Matrix products: matmul and the fully connected layer."""

from __future__ import annotations

import math

from .. import _core
from ..autograd import record
from ..mixed import lowered
from ..tensor import Tensor, as_tensor
from .pointwise import activation_name


def matmul(a, b) -> Tensor:
    """a @ b by numpy's rules.

    The last two axes are matrices ``[m,k]`` and ``[k,n]``, those before them broadcast; a 1-D ``a`` is a row, a 1-D
    ``b`` a column, and its axis is missing from the result. ValueError for axes that do not match.
    """
    a, b = lowered(as_tensor(a), as_tensor(b))
    y = _core.matmul(a._data, b._data)
    shape_a, shape_b, stack = a.shape, b.shape, y.shape[: y.ndim - (a.ndim > 1) - (b.ndim > 1)]
    u, v = a._data if b.requires_grad else None, b._data if a.requires_grad else None

    def backward(dy):
        left = shape_a if len(shape_a) > 1 else (1, *shape_a)
        right = shape_b if len(shape_b) > 1 else (*shape_b, 1)
        dy = dy.reshape((*stack, left[-2], right[-1]))
        da = db = None
        if v is not None:
            da = _core.sum_to_shape(_core.matmul(dy, v.reshape(right), trans_b=True), left).reshape(shape_a)
        if u is not None:
            if len(right) == 2:  # the sum over the stack is a longer product
                left, dy = (_rows(left), left[-1]), dy.reshape((_rows(dy.shape), right[-1]))
            db = _core.sum_to_shape(_core.matmul(u.reshape(left), dy, trans_a=True), right).reshape(shape_b)
        return da, db

    return record(y, (a, b), backward)


def linear(x, w, bias=None, *, activation: str | None = None) -> Tensor:
    """activation(x @ w.T + bias).

    Shapes: x ``[..., in_features]``, w ``[out_features, in_features]``, bias ``[out_features]``; the result is
    ``[..., out_features]``. ``activation`` is None, "relu", "relu6", "leaky_relu", "tanh" or "sigmoid", applied while
    the result is in cache. ValueError for shapes that do not match.
    """
    x, w, bias = lowered(as_tensor(x), as_tensor(w), None if bias is None else as_tensor(bias))
    activation = activation_name("linear", activation)
    y = _core.linear(x._data, w._data, None if bias is None else bias._data, activation)
    x_shape, (out_features, in_features), bias_wanted = x.shape, w.shape, bias is not None and bias.requires_grad
    u, v = x._data if w.requires_grad else None, w._data if x.requires_grad else None
    y_kept = y if activation else None  # its values are needed by the activation's gradient alone

    def backward(dy):
        dz, db = _core.epilogue_gradient(activation, dy if y_kept is None else y_kept, dy, bias_wanted)
        rows = _rows(x_shape)
        dz = dz.reshape((rows, out_features))
        dx = None if v is None else _core.matmul(dz, v).reshape(x_shape)
        dw = None if u is None else _core.matmul(dz, u.reshape((rows, in_features)), trans_a=True)
        return dx, dw, db if bias_wanted else None

    return record(y, (x, w, bias), backward)


def _rows(shape) -> int:
    """How many rows [..., k] holds."""
    return math.prod(shape[:-1])
