"""Window geometry as users write it, brought to one form: pairs (h, w) and paddings (top, bottom, left, right)."""

from __future__ import annotations

import operator
from collections.abc import Sequence


def whole(op: str, name: str, value) -> int:
    """An int; signs and ranges are checked by the op itself."""
    if type(value) is int:
        return value
    if not _is_index(value):
        raise TypeError(f"[{op}] {name} must be an int. Received: {name}={value!r}.")
    return operator.index(value)


def pair(op: str, name: str, value) -> tuple[int, int]:
    """``(h, w)`` from an int or a pair of ints. Signs and ranges are checked by the op itself."""
    # An int and a pair of ints first: nearly every call, and the checks below are slow
    if type(value) is int:
        return value, value
    if _is_pair_of_ints(value):
        return value
    if _is_index(value):
        return (operator.index(value),) * 2
    if _is_sequence(value, 2):
        return _index(op, name, value, value[0]), _index(op, name, value, value[1])
    _refuse(op, name, value, "an int or a pair (h, w)")


def pads(op: str, value) -> tuple[int, int, int, int]:
    """``(top, bottom, left, right)`` from an int, ``(h, w)`` or ``((top, bottom), (left, right))``."""
    if type(value) is int:
        return value, value, value, value
    if _is_pair_of_ints(value):
        return value[0], value[0], value[1], value[1]
    if _is_sequence(value, 2) and not _is_index(value[0]):
        top, bottom = pair(op, "padding", value[0])
        left, right = pair(op, "padding", value[1])
        return top, bottom, left, right
    if _is_index(value) or _is_sequence(value, 2):
        h, w = pair(op, "padding", value)
        return h, h, w, w
    _refuse(op, "padding", value, "an int, (h, w) or ((top, bottom), (left, right))")


def window_pads(op: str, value, shape, window, stride, dilation=(1, 1)) -> tuple[int, int, int, int]:
    """:func:`pads`, and the strings ``"valid"`` (none) and ``"same"`` for windows over ``shape`` = [N,H,W,C].

    ``"same"`` is TensorFlow's rule: ceil(size / stride) outputs, an odd number of padded rows or columns has the extra
    one at the bottom or right.
    """
    if not isinstance(value, str):
        return pads(op, value)
    if value == "valid":
        return 0, 0, 0, 0
    if value != "same":
        raise ValueError(
            f"[{op}] padding must be an int, (h, w), ((top, bottom), (left, right)), 'valid' or 'same'. "
            f"Received: padding={value!r}."
        )
    if len(shape) != 4:
        raise ValueError(f"[{op}] the input must have shape [N,H,W,C]. Received: {tuple(shape)}.")
    top, bottom = _same(shape[1], window[0], stride[0], dilation[0])
    left, right = _same(shape[2], window[1], stride[1], dilation[1])
    return top, bottom, left, right


def _same(size: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    outputs = -(-size // max(stride, 1))  # a stride below 1 is refused by the op
    total = max((outputs - 1) * stride + dilation * (window - 1) + 1 - size, 0)
    return total // 2, total - total // 2


def _is_pair_of_ints(value) -> bool:
    return type(value) is tuple and len(value) == 2 and type(value[0]) is type(value[1]) is int


def _is_index(value) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and not getattr(value, "ndim", 0)


def _is_sequence(value, length: int) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == length


def _index(op: str, name: str, whole, value) -> int:
    if not _is_index(value):
        _refuse(op, name, whole, "made of ints")
    return operator.index(value)


def _refuse(op: str, name: str, value, expected: str):
    # A wrong number of entries is a wrong value; anything that is not made of ints is a wrong type.
    error = ValueError if isinstance(value, (Sequence, str)) else TypeError
    raise error(f"[{op}] {name} must be {expected}. Received: {name}={value!r}.")
