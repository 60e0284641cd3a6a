"""Tensors from nothing."""

from __future__ import annotations

import numbers
import operator

import numpy as np

from . import _core, dtypes, ops
from .tensor import Tensor, as_tensor


def _shape(shape) -> tuple[int, ...]:
    try:
        return tuple(map(operator.index, shape if isinstance(shape, (tuple, list)) else (shape,)))
    except TypeError:
        raise TypeError(f"[full] a shape must be an int or a tuple of ints. Received: {shape!r}.") from None


def _dtype_of(*values) -> np.dtype:
    """What Python numbers become: bool, int64 or float32."""
    if all(isinstance(value, (bool, np.bool_)) for value in values):
        return dtypes.bool_
    return dtypes.int64 if all(isinstance(value, numbers.Integral) for value in values) else dtypes.float32


def full(shape, value, dtype=None, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """``shape`` filled with ``value``; the dtype follows the value (float32, int64 or bool) unless given."""
    if dtype is None:
        dtype = _dtype_of(value)
    device = ops.device_name("full", device)
    dtype = dtypes.as_dtype("full", dtype, device)
    return Tensor(ops.pointwise.filled("full", _shape(shape), value, dtype, device), requires_grad)


def zeros(*shape, dtype=dtypes.float32, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return full(shape[0] if len(shape) == 1 else shape, 0.0, dtype, device, requires_grad)


def ones(*shape, dtype=dtypes.float32, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """``ones(2, 3)`` or ``ones((2, 3))``."""
    return full(shape[0] if len(shape) == 1 else shape, 1.0, dtype, device, requires_grad)


def arange(start, stop=None, step=1, dtype=None, device: str = "cpu") -> Tensor:
    """start, start + step, ... below stop, as numpy's; int64 for ints, else float32. The same bits on every device."""
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        dtype = _dtype_of(start, stop, step)
    device = ops.device_name("arange", device)
    dtype = dtypes.as_dtype("arange", dtype, device)
    if dtype.kind in "iu" and max(abs(start), abs(stop)) > 2**53:  # a double, which the core takes, is not enough
        return as_tensor(np.arange(start, stop, step, dtype)).to(device)
    return Tensor(_core.arange(start, stop, step, dtype, device))
