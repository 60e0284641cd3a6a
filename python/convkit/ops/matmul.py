"""Matrix products: matmul and the fully connected layer."""

from __future__ import annotations

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
    u, v, a_wanted, b_wanted = a._data, b._data, a.requires_grad, b.requires_grad
    y = _core.matmul(u, v)

    def backward(dy):
        left = u if u.ndim > 1 else u.reshape((1, u.size))
        right = v if v.ndim > 1 else v.reshape((v.size, 1))
        m, k, n = left.shape[-2], left.shape[-1], right.shape[-1]
        dy = dy.reshape((*y.shape[: y.ndim - (u.ndim > 1) - (v.ndim > 1)], m, n))
        da = db = None
        if a_wanted:
            da = _core.sum_to_shape(_core.matmul(dy, right, trans_b=True), left.shape).reshape(u.shape)
        if b_wanted:
            if right.ndim == 2:  # the sum over the stack is a longer product
                rows = _rows(left)
                left, dy = left.reshape((rows, k)), dy.reshape((rows, n))
            db = _core.sum_to_shape(_core.matmul(left, dy, trans_a=True), right.shape).reshape(v.shape)
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
    u, v = x._data, w._data
    y = _core.linear(u, v, None if bias is None else bias._data, activation)
    x_wanted, w_wanted, bias_wanted = x.requires_grad, w.requires_grad, bias is not None and bias.requires_grad
    y_kept = y if activation else None  # its values are needed by the activation's gradient alone

    def backward(dy):
        dz, db = _core.epilogue_gradient(activation, dy if y_kept is None else y_kept, dy, bias_wanted)
        out_features, in_features = v.shape
        rows = _rows(u)
        dz = dz.reshape((rows, out_features))
        dx = _core.matmul(dz, v).reshape(u.shape) if x_wanted else None
        dw = _core.matmul(dz, u.reshape((rows, in_features)), trans_a=True) if w_wanted else None
        return dx, dw, db if bias_wanted else None

    return record(y, (x, w, bias), backward)


def _rows(x) -> int:
    """How many rows [..., k] holds."""
    rows = 1
    for size in x.shape[:-1]:
        rows *= size
    return rows
