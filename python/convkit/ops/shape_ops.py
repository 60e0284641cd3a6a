"""Ops that move elements: reshape, transpose, slicing, casts, devices."""

from __future__ import annotations

import math
import operator

from .. import _core, cuda, dtypes
from ..autograd import record
from ..tensor import Tensor, as_tensor


def reshape(x, shape) -> Tensor:
    """The same elements in ``shape`` (shared memory); one size may be -1."""
    x = as_tensor(x)
    before = x.shape
    shape = tuple(operator.index(size) for size in (shape if isinstance(shape, (tuple, list)) else (shape,)))
    if shape.count(-1) == 1:
        known = -math.prod(shape)
        if known <= 0 or x.size % known:
            raise ValueError(f"[reshape] -1 must stand for a whole size. Received: shape {before} to {shape}.")
        shape = tuple(x.size // known if size == -1 else size for size in shape)
    return record(x._data.reshape(shape), (x,), lambda dy: (dy.reshape(before),))


def flatten(x) -> Tensor:
    """[N, ...] -> [N, product of the rest]."""
    x = as_tensor(x)
    if x.ndim < 1:
        raise ValueError(f"[flatten] needs at least one axis. Received: shape {x.shape}.")
    return reshape(x, (x.shape[0], math.prod(x.shape[1:])))


def transpose(x, axes=()) -> Tensor:
    """Axes permuted as numpy's transpose; no axes: reversed."""
    x = as_tensor(x)
    axes = tuple(axes) or tuple(range(x.ndim))[::-1]
    y = _core.transpose(x._data, axes)

    def backward(dy):
        inverse = [0] * len(axes)
        for i, axis in enumerate(axes):
            inverse[axis] = i
        return (_core.transpose(dy, inverse),)

    return record(y, (x,), backward)


def getitem(x: Tensor, index) -> Tensor:
    """A copy of the elements that ints, slices with positive step, ``...`` and None select; differentiable."""
    start, step, size, shape = _parse_index(x.shape, index if isinstance(index, tuple) else (index,))
    full_shape = x.shape
    y = _core.slice(x._data, start, step, size)

    def backward(dy):
        return (_core.slice_gradient(dy.reshape(size), full_shape, start, step),)

    return record(y.reshape(shape), (x,), backward)


def _parse_index(shape, index):
    """start, step and size per axis of ``shape``, and the shape of the result."""
    used = sum(entry is not None and entry is not Ellipsis for entry in index)
    if used > len(shape) or sum(entry is Ellipsis for entry in index) > 1:
        raise IndexError(f"[getitem] too many indices. Received: {index} for shape {shape}.")
    if not any(entry is Ellipsis for entry in index):
        index = (*index, Ellipsis)
    gap = next(i for i, entry in enumerate(index) if entry is Ellipsis)
    index = index[:gap] + (slice(None),) * (len(shape) - used) + index[gap + 1 :]
    start, step, size, result = [], [], [], []
    for entry in index:
        if entry is None:
            result.append(1)
            continue
        length = shape[len(start)]
        if isinstance(entry, slice):
            first, stop, stride = entry.indices(length)
            if stride < 1:
                raise ValueError(f"[getitem] slices need a positive step. Received: {entry}.")
            count = max(0, math.ceil((stop - first) / stride))
            result.append(count)
        else:
            first, stride, count = _position(entry, length), 1, 1
        start.append(first)
        step.append(stride)
        size.append(count)
    return start, step, size, result


def _position(entry, length: int) -> int:
    try:
        position = operator.index(entry)
    except TypeError:
        raise TypeError(
            f"[getitem] an index must be an int, a slice, ... or None. Received: {type(entry).__name__}."
        ) from None
    if isinstance(entry, bool):
        raise TypeError("[getitem] an index must be an int, a slice, ... or None. Received: bool.")
    if not -length <= position < length:
        raise IndexError(f"[getitem] index out of range. Received: {position} for an axis of {length}.")
    return position % length


def astype(x, dtype) -> Tensor:
    """The values in another dtype; differentiable between floating dtypes."""
    x = as_tensor(x)
    before, dtype = x.dtype, dtypes.as_dtype("astype", dtype, x.device)
    if dtype.kind != "f":
        return Tensor(_core.cast(x._data, dtype))
    return record(_core.cast(x._data, dtype), (x,), lambda dy: (_core.cast(dy, before),))


def to_device(x: Tensor, device: str) -> Tensor:
    """The tensor on ``device``: itself when it is there already; differentiable."""
    device, before = device_name("to", device), x.device
    if device == before:
        return x
    return record(_core.to_device(x._data, device), (x,), lambda dy: (_core.to_device(dy, before),))


def device_name(op: str, device: str) -> str:
    """ "cpu" or "cuda:N" ("cuda" is "cuda:0"). RuntimeError when a GPU is asked for and cannot be used."""
    if not isinstance(device, str):
        raise TypeError(f'[{op}] device must be a string such as "cpu" (astype changes dtypes). Received: {device!r}.')
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise ValueError(f'[{op}] device must be "cpu", "cuda" or "cuda:N". Received: {device!r}.')
    if kind == "cpu":
        return "cpu"
    if reason := cuda.unavailable_reason():
        raise RuntimeError(f"[{op}] CUDA is not available: {reason}.")
    return f"cuda:{index or 0}"


def concatenate(tensors, axis: int) -> Tensor:
    """The tensors one after the other along ``axis``; all other sizes and the dtypes must agree."""
    tensors = [as_tensor(t) for t in tensors]
    y = _core.concatenate([t._data for t in tensors], operator.index(axis))
    sizes, wanted = [t.shape[axis] for t in tensors], [t.requires_grad for t in tensors]

    def backward(dy):
        start, step, size = [0] * dy.ndim, [1] * dy.ndim, list(dy.shape)
        gradients, offset = [], 0
        for length, is_wanted in zip(sizes, wanted):
            start[axis], size[axis] = offset, length
            gradients.append(_core.slice(dy, start, step, size) if is_wanted else None)
            offset += length
        return gradients

    return record(y, tensors, backward)


def pad(x, padding, value: float = 0.0) -> Tensor:
    """``value`` around x: ``padding`` holds one (before, after) pair for each axis, none negative."""
    x = as_tensor(x)
    try:
        before, after = (tuple(map(operator.index, side)) for side in zip(*((b, a) for b, a in padding)))
    except (TypeError, ValueError):
        raise ValueError(
            f"[pad] padding must be one pair of ints (before, after) for each axis. Received: {padding!r}."
        ) from None
    if x.dtype.kind != "f" and not float(value).is_integer():
        raise TypeError(f"[pad] a {x.dtype} tensor needs an integer. Received: {value} (use astype).")
    shape = x.shape

    def backward(dy):
        return (_core.slice(dy, before, [1] * len(shape), shape),)

    return record(_core.pad(x._data, before, after, value), (x,), backward)
