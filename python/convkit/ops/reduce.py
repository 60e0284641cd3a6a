"""Reductions over axes."""

from __future__ import annotations

import operator

from .. import _core, dtypes
from ..autograd import record
from ..tensor import Tensor, as_tensor
from .geometry import whole
from .shape_ops import astype


def _axes(op: str, x: Tensor, axis) -> tuple[int, ...]:
    """The reduced axes as a tuple of non-negative ints; None means all."""
    if axis is None:
        return tuple(range(x.ndim))
    try:
        axes = tuple(map(operator.index, axis if isinstance(axis, (tuple, list)) else (axis,)))
    except TypeError:
        raise TypeError(f"[{op}] axis must be None, an int or a tuple of ints. Received: axis={axis!r}.") from None
    for a in axes:
        if not -x.ndim <= a < x.ndim:
            raise ValueError(f"[{op}] axis must be in [{-x.ndim},{x.ndim}). Received: axis={axis}, shape {x.shape}.")
    return tuple(a % x.ndim for a in axes)


def _kept(shape, axes) -> tuple[int, ...]:
    """The shape with the reduced axes as 1."""
    return tuple(1 if i in axes else size for i, size in enumerate(shape))


def sum(x, axis=None, keepdims: bool = False) -> Tensor:
    """Sum over ``axis`` (None: all; int or tuple); int64 for integers and bools."""
    x = as_tensor(x)
    axes = _axes("sum", x, axis)
    shape, kept = x.shape, _kept(x.shape, axes)
    y = _core.sum(x._data, axes, keepdims)
    return record(y, (x,), lambda dy: (_core.broadcast_to(dy.reshape(kept), shape),))


def mean(x, axis=None, keepdims: bool = False) -> Tensor:
    """Arithmetic mean over ``axis`` (None: all; int or tuple); float32 for integers and bools, NaN of no elements."""
    x = as_tensor(x)
    x = x if x.dtype.kind == "f" else astype(x, dtypes.float32)
    axes = _axes("mean", x, axis)
    shape, kept = x.shape, _kept(x.shape, axes)
    total = _core.sum(x._data, axes, keepdims)
    # One recorded op: as a sum and a division it took twice as long.
    count = _core.full((), x.size / total.size if total.size else 1.0, x.dtype, x.device)

    def backward(dy):
        return (_core.broadcast_to(_core.divide(dy, count).reshape(kept), shape),)

    return record(_core.divide(total, count), (x,), backward)


def max(x, axis=None, keepdims: bool = False) -> Tensor:
    """Largest values over ``axis`` (None: all; int or tuple); NaN wins. The gradient goes to the first maximum."""
    x = as_tensor(x)
    axes = _axes("max", x, axis)
    data = x._data
    return record(_core.max(data, axes, keepdims), (x,), lambda dy: (_core.max_gradient(data, dy, axes),))


def argmax(x, axis=None) -> Tensor:
    """int64 index of the first maximum along ``axis``; None: of the flattened tensor. NaN counts as the maximum."""
    x = as_tensor(x)
    data = x._data
    if axis is None:
        data, axis = data.reshape((x.size,)), 0
    return Tensor(_core.argmax(data, _axes("argmax", Tensor(data), whole("argmax", "axis", axis)), False))
