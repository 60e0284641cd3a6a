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
    u, v = a._data if b.requires_grad else None, b._data if a.requires_grad else None
    shape_a, shape_b = a.shape, b.shape
    if len(shape_a) == len(shape_b) == 2:
        backward = _gradient_of_matrices(u, v)
    else:
        backward = _gradient_of_stacks(u, v, shape_a, shape_b, y.shape[: y.ndim - (a.ndim > 1) - (b.ndim > 1)])
    return record(y, (a, b), backward)


def _gradient_of_matrices(u, v):
    """The closure for ``record``; ``u``, ``v``: a and b where the gradient of the other is wanted."""

    def backward(dy):
        da = None if v is None else _core.matmul(dy, v, False, True)
        db = None if u is None else _core.matmul(u, dy, True)
        return da, db

    return backward


def _gradient_of_stacks(u, v, shape_a, shape_b, stack):
    """As above for any axes; ``stack``: those of the result before the last two."""

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

    return backward


def linear(x, w, bias=None, *, activation: str | None = None) -> Tensor:
    """activation(x @ w.T + bias).

    Shapes: x ``[..., in_features]``, w ``[out_features, in_features]``, bias ``[out_features]``; the result is
    ``[..., out_features]``. ``activation`` is None, "relu", "relu6", "leaky_relu", "tanh" or "sigmoid", applied while
    the result is in cache. ValueError for shapes that do not match.
    """
    x, w, bias = lowered(as_tensor(x), as_tensor(w), None if bias is None else as_tensor(bias))
    activation = activation_name("linear", activation)
    y = _core.linear(x._data, w._data, None if bias is None else bias._data, activation)
    bias_wanted = bias is not None and bias.requires_grad
    u, v = x._data if w.requires_grad else None, w._data if x.requires_grad else None
    y_kept = y if activation else None  # its values are needed by the activation's gradient alone
    x_shape = x.shape
    stack = None if len(x_shape) == 2 else x_shape[:-1]  # of rows, which the gradients take as one matrix

    def backward(dy):
        dz, db = _core.epilogue_gradient(activation, dy if y_kept is None else y_kept, dy, bias_wanted)
        if stack is not None:
            dz = dz.reshape((math.prod(stack), dz.shape[-1]))
        dx = dw = None
        if v is not None:
            dx = _core.matmul(dz, v)
            dx = dx if stack is None else dx.reshape(x_shape)
        if u is not None:
            rows = u if stack is None else u.reshape((dz.shape[0], x_shape[-1]))
            dw = _core.matmul(dz, rows, True)
        return dx, dw, db if bias_wanted else None

    return record(y, (x, w, bias), backward)


def _rows(shape) -> int:
    """How many rows [..., k] holds."""
    return math.prod(shape[:-1])
