"""Losses. ``reduction`` is "mean" (default), "sum" or "none" (one value per row, or per element)."""

from __future__ import annotations

import numbers

from .. import _core, dtypes
from ..autograd import record
from ..mixed import raised
from ..tensor import Tensor, as_tensor


def cross_entropy(logits, labels, *, weight=None, label_smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
    """Cross-entropy of softmax(logits), fused.

    logits [..., K]; labels: integers [...] in [0, K), or probabilities [..., K]. ``weight`` [K] scales each class; the
    mean over integer labels divides by the summed weights of the labels (over probabilities by the number of rows).
    ``label_smoothing`` spreads this share of each target evenly over the classes (Szegedy et al. 2016).
    A label out of range is a ValueError; on CUDA, where a check would wait for the device, its loss is NaN.
    """
    logits, labels = raised(as_tensor(logits)), as_tensor(labels)
    target = labels._data
    if labels.dtype.kind in "iu":
        target = _core.cast(target, dtypes.int64)
    elif labels.dtype.kind != "f":
        raise TypeError(f"[cross_entropy] labels must be integers or probabilities. Received: {labels.dtype}.")
    data, weights = logits._data, None if weight is None else as_tensor(weight)._data
    logits_wanted, labels_wanted = logits.requires_grad, labels.requires_grad

    def backward(dy):
        dx = None
        if logits_wanted:
            dx = _core.cross_entropy_gradient(data, target, weights, label_smoothing, reduction, dy)
        if not labels_wanted:
            return dx, None
        slope = _core.multiply(
            _core.log_softmax(data, -1), _core.full((), label_smoothing - 1, data.dtype, data.device)
        )
        slope = slope if weights is None else _core.multiply(slope, weights)
        dy = _per_element(dy, reduction, data.size // data.shape[-1])
        return dx, _core.multiply(slope, dy.reshape((*dy.shape, 1)))

    return record(_core.cross_entropy(data, target, weights, label_smoothing, reduction), (logits, labels), backward)


def mse_loss(x, target, *, reduction: str = "mean") -> Tensor:
    """(x - target)**2; target has the shape of x, or is a number."""
    return _difference_loss(_core.mse_loss, _core.mse_loss_gradient, x, target, 0.0, reduction)


def smooth_l1_loss(x, target, *, beta: float = 1.0, reduction: str = "mean") -> Tensor:
    """(x - target)**2 / (2 beta) where |x - target| < beta, else |x - target| - beta / 2 (Girshick 2015)."""
    return _difference_loss(_core.smooth_l1_loss, _core.smooth_l1_loss_gradient, x, target, beta, reduction)


def _difference_loss(forward, gradient, x, target, beta, reduction) -> Tensor:
    """A loss of x - target: its gradient for the target is the opposite of that for x."""
    x = raised(as_tensor(x))
    target = _target(x, target)
    u, v, target_wanted = x._data, target._data, target.requires_grad

    def backward(dy):
        dx = gradient(u, v, None, beta, reduction, dy)
        return dx, _core.negative(dx) if target_wanted else None

    return record(forward(u, v, None, beta, reduction), (x, target), backward)


def binary_cross_entropy_with_logits(logits, target, *, weight=None, reduction: str = "mean") -> Tensor:
    """-target log(sigmoid(logits)) - (1 - target) log(1 - sigmoid(logits)), stable for any logits.

    target (floats, or integer labels 0 and 1) has the shape of the logits, or is a number; ``weight`` broadcasts to
    it. The mean is over the elements.
    """
    x = raised(as_tensor(logits))
    target = _target(x, target)
    target = target if target.dtype.kind == "f" else target.astype(x.dtype)
    u, v, target_wanted = x._data, target._data, target.requires_grad
    weights = None if weight is None else _core.broadcast_to(as_tensor(weight)._data, u.shape)

    def backward(dy):
        dx = _core.binary_cross_entropy_with_logits_gradient(u, v, weights, 0.0, reduction, dy)
        if not target_wanted:
            return dx, None
        slope = _core.negative(u if weights is None else _core.multiply(u, weights))
        return dx, _core.multiply(slope, _per_element(dy, reduction, u.size))

    y = _core.binary_cross_entropy_with_logits(u, v, weights, 0.0, reduction)
    return record(y, (x, target), backward)


def _per_element(dy, reduction: str, count: int):
    """The gradient of each of the ``count`` losses, from that of their reduction."""
    return _core.divide(dy, _core.full((), count, dy.dtype, dy.device)) if reduction == "mean" else dy


def _target(x: Tensor, target) -> Tensor:
    if isinstance(target, numbers.Number):
        return Tensor(_core.full(x.shape, target, x.dtype, x.device))
    return raised(as_tensor(target))
