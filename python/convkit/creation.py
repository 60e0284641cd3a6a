"""Tensors from nothing."""

from __future__ import annotations

from . import _core, dtypes
from .tensor import Tensor


def _shape(shape) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)


def full(shape, value, dtype=None, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """``shape`` filled with ``value``; the dtype follows the value (float32, int64 or bool) unless given."""
    if dtype is None:
        dtype = dtypes.bool_ if isinstance(value, bool) else dtypes.int64 if isinstance(value, int) else dtypes.float32
    result = Tensor(_core.full(_shape(shape), value, dtypes.as_dtype("full", dtype))).to(device)
    result.requires_grad = requires_grad
    return result


def zeros(*shape, dtype=dtypes.float32, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """``zeros(2, 3)`` or ``zeros((2, 3))``."""
    return full(shape[0] if len(shape) == 1 else shape, 0.0, dtype, device, requires_grad)


def ones(*shape, dtype=dtypes.float32, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """``ones(2, 3)`` or ``ones((2, 3))``."""
    return full(shape[0] if len(shape) == 1 else shape, 1.0, dtype, device, requires_grad)


def arange(start, stop=None, step=1, dtype=None, device: str = "cpu") -> Tensor:
    """start, start + step, ... below stop, as numpy's; int64 for ints, else float32."""
    if stop is None:
        start, stop = 0, start
    if dtype is None:
        dtype = dtypes.int64 if all(isinstance(v, int) for v in (start, stop, step)) else dtypes.float32
    return Tensor(_core.arange(start, stop, step, dtypes.as_dtype("arange", dtype))).to(device)
