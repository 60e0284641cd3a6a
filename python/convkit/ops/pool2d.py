"""Pooling over windows of [N,H,W,C] tensors, its inverse, and averages over bins."""

from __future__ import annotations

from .. import _core
from ..autograd import needs_grad, record
from ..tensor import Tensor, as_tensor
from .geometry import pads, pair, window_pads


def _geometry(op: str, x: Tensor, kernel_size, stride, padding, dilation, ceil_mode):
    window = pair(op, "kernel_size", kernel_size)
    stride = window if stride is None else pair(op, "stride", stride)
    dilation = pair(op, "dilation", dilation)
    return window, stride, window_pads(op, padding, x.shape, window, stride, dilation), dilation, bool(ceil_mode)


def max_pool2d(x, kernel_size, *, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window: x [N,H,W,C] -> y [N,P,Q,C], or (y, indices) with ``return_indices``.

    ``kernel_size``, ``stride`` (None: kernel_size) and ``dilation`` are an int or (h, w); ``padding`` is an int,
    (h, w), ((top, bottom), (left, right)), "valid" or "same", at most half the (dilated) window on each side. A NaN
    wins, the first in row-major window order; else the first maximum; padding never wins. ``ceil_mode`` rounds the
    output size up, but drops a window that would start beyond the input and the padding before it. ``indices`` is an
    int64 tensor [N,P,Q,C] of places h*W+w in the unpadded plane, per channel. ValueError for a window that is larger
    than the padded input or holds no element of it, TypeError for a dtype other than float32 and float64.
    """
    x = as_tensor(x)
    geometry = _geometry("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode)
    shape = x.shape
    y, argmax = _core.max_pool2d(x._data, geometry, return_indices or needs_grad(x))
    y = record(y, (x,), lambda dy: (_core.max_pool2d_gradient(shape, dy, argmax, geometry),))
    return (y, Tensor(_core.max_pool2d_indices(shape, argmax, geometry))) if return_indices else y


def max_unpool2d(x, indices, kernel_size, *, stride=None, padding=0, output_size=None) -> Tensor:
    """The partial inverse of :func:`max_pool2d`: x [N,P,Q,C] at the places ``indices`` of a zero [N,H,W,C].

    ``output_size`` is (H, W), by default H = (P-1)*stride - pad_top - pad_bottom + kernel_size and W alike, which the
    other arguments serve alone. Where an index repeats in a plane the last in row-major order stays and alone receives
    the gradient. ValueError for an index outside [0, H*W), shapes that differ, or a window and padding that no pooling
    has; TypeError unless indices are int64. ``padding="same"`` needs the ``output_size``.
    """
    op = "max_unpool2d"
    x, places = as_tensor(x), as_tensor(indices)._data
    if x.ndim != 4:
        raise ValueError(f"[{op}] x must have shape [N,H,W,C]. Received: {x.shape}.")
    window = pair(op, "kernel_size", kernel_size)
    step = window if stride is None else pair(op, "stride", stride)
    size = _unpooled_size(op, x.shape, window, step, padding, output_size)
    y = _core.max_unpool2d(x._data, places, size)
    return record(y, (x,), lambda dy: (_core.max_unpool2d_gradient(dy, places),))


def _unpooled_size(op: str, shape, window, stride, padding, output_size) -> tuple[int, int]:
    """(H, W) that a pooling brought to ``shape`` = [N,P,Q,C]; checks its arguments also where they do not count."""
    if min(*window, *stride) < 1:
        raise ValueError(
            f"[{op}] kernel_size and stride must be at least 1. Received: kernel_size={window}, stride={stride}."
        )
    if output_size is not None:
        size = pair(op, "output_size", output_size)
        top, bottom, left, right = window_pads(op, padding, (shape[0], *size, shape[3]), window, stride)
    else:
        top, bottom, left, right = (0, 0, 0, 0) if padding == "valid" else pads(op, padding)
        size = (
            (shape[1] - 1) * stride[0] - top - bottom + window[0],
            (shape[2] - 1) * stride[1] - left - right + window[1],
        )
    received = f"Received: top={top}, bottom={bottom}, left={left}, right={right}"
    if min(top, bottom, left, right) < 0:
        raise ValueError(f"[{op}] padding must be at least 0. {received}.")
    # A dilated pooling, whose output_size must be given, may have more padding
    if output_size is None and (2 * max(top, bottom) > window[0] or 2 * max(left, right) > window[1]):
        raise ValueError(
            f"[{op}] padding must be at most half the window on each side. {received}, kernel_size={window}."
        )
    return size


def avg_pool2d(x, kernel_size, *, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> Tensor:
    """The mean of each window: x [N,H,W,C] -> [N,P,Q,C].

    Arguments and errors as :func:`max_pool2d`. With ``count_include_pad`` the padding counts as zeros, so the divisor
    is the window's area (cut off at the end of the padded input, where only ``ceil_mode`` reaches beyond, as torch
    does); else the divisor is the number of input elements in the window.
    """
    x = as_tensor(x)
    geometry = _geometry("avg_pool2d", x, kernel_size, stride, padding, 1, ceil_mode)
    shape, counted = x.shape, bool(count_include_pad)
    y = _core.avg_pool2d(x._data, geometry, counted)
    return record(y, (x,), lambda dy: (_core.avg_pool2d_gradient(shape, dy, geometry, counted),))


def adaptive_avg_pool2d(x, output_size) -> Tensor:
    """Means over ``output_size`` (int or (P, Q)) bins: x [N,H,W,C] -> [N,P,Q,C].

    Bin p averages the rows from floor(p*H/P) to ceil((p+1)*H/P), which overlap where P does not divide H.
    """
    x = as_tensor(x)
    shape = x.shape
    y = _core.adaptive_avg_pool2d(x._data, pair("adaptive_avg_pool2d", "output_size", output_size))
    return record(y, (x,), lambda dy: (_core.adaptive_avg_pool2d_gradient(shape, dy),))
