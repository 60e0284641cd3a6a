"""softmax and its logarithm."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..mixed import raised
from ..tensor import Tensor, as_tensor
from .geometry import whole


def softmax(x, axis: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along ``axis``, without overflow."""
    return _softmax("softmax", x, axis, _core.softmax, _core.softmax_gradient)


def log_softmax(x, axis: int = -1) -> Tensor:
    """Logarithm of :func:`softmax`, exact where softmax itself is 0 in floating point."""
    return _softmax("log_softmax", x, axis, _core.log_softmax, _core.log_softmax_gradient)


def _softmax(op, x, axis, forward, gradient) -> Tensor:
    x, axis = raised(as_tensor(x)), whole(op, "axis", axis)
    y = forward(x._data, axis)
    return record(y, (x,), lambda dy: (gradient(y, dy, axis),))
