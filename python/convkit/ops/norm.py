"""Batch normalisation."""

from __future__ import annotations

from .. import _core
from ..autograd import is_recomputing, record
from ..tensor import Tensor, as_tensor
from .pointwise import activation_name


def batch_norm(
    x,
    running_mean,
    running_var,
    weight=None,
    bias=None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
    residual=None,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """activation((x - mean) / sqrt(var + eps) * weight + bias + residual), in one pass (Ioffe and Szegedy 2015).

    x [..., C] is normalised over all axes but the last; weight, bias and the running statistics are [C], residual has
    the shape of x. Training uses the statistics of x and moves the running ones in place,
    ``(1 - momentum) * old + momentum * new`` with the unbiased variance (both may be None); a single value per channel
    is a ValueError. Otherwise the running statistics normalise. ``statistics``: mean and variance [C] of x, as
    ``ops.conv2d_statistics`` found them; training then looks for none, and leaves the running ones where they are. They
    must be those of x: its gradient counts their share, and none goes into them.
    """
    x, activation = as_tensor(x), activation_name("batch_norm", activation)
    weight, bias, residual = [None if t is None else as_tensor(t) for t in (weight, bias, residual)]
    if statistics is not None and not training:
        raise ValueError("[batch_norm] statistics are those of training. Received: training=False.")
    if statistics is None:
        mean, variance = _statistics(x, running_mean, running_var, training, momentum)
    else:
        mean, variance = (as_tensor(t)._data for t in statistics)
    data, w, b, z = [None if t is None else t._data for t in (x, weight, bias, residual)]
    y = _core.batch_norm(data, mean, variance, w, b, z, eps, activation)
    output, has_residual = y if activation else None, residual is not None
    b = b if activation else None  # which shifts what the activation sees, and nothing else

    def backward(dy):
        return _core.batch_norm_gradient(
            data, mean, variance, w, b, output, dy, has_residual, eps, activation, training
        )

    return record(y, (x, weight, bias, residual), backward)


def _core_of(tensor):
    return None if tensor is None else tensor._data


def _statistics(x, running_mean, running_var, training, momentum):
    """Core tensors [C]: mean and variance that normalise x."""
    if training:
        return _core.batch_norm_statistics(x._data, momentum, *moving_statistics(running_mean, running_var))
    if running_mean is None or running_var is None:
        raise ValueError("[batch_norm] running_mean and running_var are needed when not training. Received: None.")
    return as_tensor(running_mean)._data, as_tensor(running_var)._data


def moving_statistics(running_mean, running_var):
    """Core tensors [C], or None each, that a training step moves."""
    running = running_mean, running_var
    for t in running:
        if t is not None and not isinstance(t, Tensor):
            raise TypeError(
                "[batch_norm] running_mean and running_var must be Tensors when training, which updates them in place. "
                f"Received: {type(t).__name__}."
            )
    if is_recomputing():  # they have moved when this was computed first
        return None, None
    return tuple(map(_core_of, running))
