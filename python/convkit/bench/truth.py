"""What the results of a benchmark must be: float64 numpy, at a sample of places that includes the last of every axis.

Each function returns (index, value, scale): ``result[index]`` must be ``value``, and ``scale`` is the sum of the
absolute products behind it, in which rounding errors are counted. Whole results would cost minutes for the large
problems; a few thousand places find every mistake that is not confined to fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Rounding of n terms in blocks, with the growth of Winograd's transforms, stays below 32 eps of the sum of absolute
# products; a term left out of a sum of 5,000 is 4,000 eps of it.
TOLERANCE = 32
_ELEMENTS = 2**21  # doubles gathered for one truth: 16 MiB, 20 ms
_PRODUCTS = 2**25  # multiply-adds of one truth: 10 ms
_TAPS = 9  # of a filter whose gradient is checked: more say no more about the code
_ALONE = 2**18  # multiply-adds of one product that numpy's BLAS computes without waking threads, which may be kept busy


@dataclass
class Part:
    """One array of a result: where it is sampled, the truth there and the scale of its rounding errors."""

    index: object  # of the result
    value: np.ndarray
    scale: np.ndarray

    def error(self, result: np.ndarray) -> tuple[float, bool]:
        """(largest error relative to the largest value, whether every error is within the tolerance)."""
        got = np.asarray(result[self.index], np.float64)
        difference = np.abs(got - self.value)
        allowed = TOLERANCE * np.finfo(result.dtype).eps * self.scale
        largest = np.abs(self.value).max(initial=0.0)
        return float(difference.max(initial=0.0) / (largest or 1.0)), bool((difference <= allowed).all())


@dataclass(frozen=True)
class Geometry:
    """A convolution as the core takes it."""

    stride: tuple[int, int]
    padding: tuple[int, int, int, int]  # top, bottom, left, right
    dilation: tuple[int, int]
    groups: int


def places(rng, total: int, k: int, columns: int) -> np.ndarray:
    """As many numbers of [0,total) as the budgets allow for sums of k terms in ``columns``, first and last included."""
    count = max(64, min(_PRODUCTS // max(k * columns, 1), _ELEMENTS // max(k, 1)))
    if count >= total:
        return np.arange(total)
    return np.unique(np.concatenate([[0, total - 1], rng.integers(0, total, count)]))


def _grouped(rows: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """[places,taps,groups,a] x [groups,taps,a,b] -> [places,groups*b]."""
    n, taps, groups, a = rows.shape
    left = rows.transpose(2, 0, 1, 3).reshape(groups, n, taps * a)
    columns = filters.shape[3]
    y = np.matmul(left, filters.reshape(groups, taps * a, columns))
    return y.transpose(1, 0, 2).reshape(n, groups * columns)


def _gather(source: np.ndarray, n, row, column, valid) -> np.ndarray:
    """source[n, row, column] as doubles, zero where not valid; row and column are [places,R] and [places,S]."""
    h, w = source.shape[1:3]
    rows, columns = np.clip(row, 0, h - 1), np.clip(column, 0, w - 1)
    taken = source[n[:, None, None], rows[:, :, None], columns[:, None, :]].astype(np.float64)
    return taken * valid[..., None]


def _sum_windows(find: Callable, source, filters, shape, bias, rng) -> Part:
    """A result [n,h,w,c] whose places are sums over windows of ``source``; ``find`` says which rows and columns."""
    n, h, w, _ = shape
    groups, taps, a, b = filters.shape
    chosen = places(rng, n * h * w, taps * a * groups, b)
    image, i, j = np.unravel_index(chosen, (n, h, w))
    (row, row_valid), (column, column_valid) = find(i, 0), find(j, 1)
    windows = _gather(source, image, row, column, row_valid[:, :, None] & column_valid[:, None, :])
    windows = windows.reshape(len(chosen), taps, groups, a)
    value, scale = _grouped(windows, filters), _grouped(np.abs(windows), np.abs(filters))
    if bias is not None:
        value, scale = value + bias, scale + np.abs(bias)
    return Part((image, i, j), value, scale)


def conv(x, w, bias, geometry: Geometry, shape, rng) -> Part:
    """y [n,p,q,o] of x [n,h,w,c] and w [o,r,s,c/groups]."""
    (o, r, s, c), g = w.shape, geometry.groups
    filters = w.astype(np.float64).reshape(g, o // g, r * s, c).transpose(0, 2, 3, 1)
    size, taps = x.shape[1:3], (r, s)

    def find(position, axis):
        start = position * geometry.stride[axis] - geometry.padding[2 * axis]
        line = start[:, None] + np.arange(taps[axis]) * geometry.dilation[axis]
        return line, (line >= 0) & (line < size[axis])

    return _sum_windows(find, x, filters, shape, None if bias is None else bias.astype(np.float64), rng)


def conv_data(w, dy, bias, geometry: Geometry, shape, rng) -> Part:
    """dx [n,h,w,c] of dy [n,p,q,o]: what each input element contributed to."""
    (o, r, s, c), g = w.shape, geometry.groups
    filters = w.astype(np.float64).reshape(g, o // g, r * s, c).transpose(0, 2, 1, 3)
    size, taps = dy.shape[1:3], (r, s)

    def find(position, axis):
        offset = position[:, None] + geometry.padding[2 * axis] - np.arange(taps[axis]) * geometry.dilation[axis]
        line = offset // geometry.stride[axis]
        return line, (offset % geometry.stride[axis] == 0) & (line >= 0) & (line < size[axis])

    return _sum_windows(find, dy, filters, shape, None if bias is None else bias.astype(np.float64), rng)


def some(total: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, total - 1, min(total, most)).round().astype(int))


def conv_weights(x, dy, w_shape, geometry: Geometry, rng) -> Part:
    """dw [o,r,s,c/groups]: some filters and channels of some groups, at some taps."""
    (o, r, s, c), g = w_shape, geometry.groups
    pixels = dy.shape[0] * dy.shape[1] * dy.shape[2]
    side = min(16, max(4, math.isqrt(_PRODUCTS // max(1, pixels * _TAPS))))
    index, values, scales = [], [], []
    taps = some(r * s, _TAPS)
    for group in some(g, 4):
        filters, channels = some(o // g, side) + group * (o // g), some(c, side)
        images = x[..., channels + group * c].astype(np.float64)
        upstream = dy[..., filters].astype(np.float64)
        for i, j in zip(taps // s, taps % s):
            (p, h), (q, w) = (_overlap(x.shape, dy.shape, geometry, axis, tap) for axis, tap in ((0, i), (1, j)))
            a = upstream[:, p, q].reshape(-1, len(filters))
            b = images[:, h, w].reshape(-1, len(channels))
            values.append(_sum_of_outer(a, b))
            scales.append(_sum_of_outer(np.abs(a), np.abs(b)))
            index.append((filters[:, None], i, j, channels[None, :]))
    flat = [np.broadcast_arrays(*part) for part in index]
    index = tuple(np.stack([part[axis] for part in flat]) for axis in range(4))
    return Part(index, np.stack(values), np.stack(scales))


def _sum_of_outer(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a^T b in pieces."""
    step = max(1, _ALONE // (a.shape[1] * b.shape[1]))
    return sum(
        (a[i : i + step].T @ b[i : i + step] for i in range(0, len(a), step)), np.zeros((a.shape[1], b.shape[1]))
    )


def _overlap(x_shape, y_shape, geometry: Geometry, axis: int, tap: int) -> tuple[slice, slice]:
    """The outputs whose tap reads an input element, and those elements, along one axis."""
    stride, size, count = geometry.stride[axis], x_shape[axis + 1], y_shape[axis + 1]
    offset = tap * geometry.dilation[axis] - geometry.padding[2 * axis]
    first = max(0, -(offset // stride))
    last = min(count, (size - 1 - offset) // stride + 1)
    if last <= first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last), slice(first * stride + offset, (last - 1) * stride + offset + 1, stride)


def product(a, b, rng) -> Part:
    """y [m,n] of a [m,k] and b [k,n]."""
    side = min(256, max(16, math.isqrt(_PRODUCTS // max(1, a.shape[1]))))
    rows, columns = some(a.shape[0], side), some(b.shape[1], side)
    left, right = a[rows].astype(np.float64), b[:, columns].astype(np.float64)
    return Part(np.ix_(rows, columns), left @ right, np.abs(left) @ np.abs(right))
