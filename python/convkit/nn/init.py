"""Initial values of weights, in place, drawn from the generator that ``convkit.manual_seed`` seeds.

Fans follow the shape of a filter [O,R,S,C/groups] or a matrix [out,in]: fan_in is the number of inputs that one output
sums over, fan_out the number of outputs that one input reaches. The default of the layers is ``default_uniform_``.
"""

from __future__ import annotations

import math

from .. import _core
from ..creation import full
from ..random import next_key
from ..tensor import Tensor


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a filter [O,R,S,C/groups] or a matrix [out,in]."""
    if len(shape) < 2:
        raise ValueError(
            f"[init] fans need a filter [O,R,S,C/groups] or a matrix [out,in]. Received: shape {tuple(shape)}."
        )
    outputs, *window, inputs = shape
    return math.prod(window) * inputs, math.prod(window) * outputs


def gain(nonlinearity: str, slope: float = 0.01) -> float:
    """The factor that keeps a signal's variance through ``nonlinearity`` (torch's table); ``slope`` is leaky ReLU's."""
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2)}
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + slope**2))
    if nonlinearity not in gains:
        raise ValueError(f"[init] nonlinearity is one of {', '.join(gains)}, leaky_relu. Received: {nonlinearity!r}.")
    return gains[nonlinearity]


def uniform_(t: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Fill ``t`` from the uniform distribution over [low, high)."""
    return t.copy_(Tensor(_core.random_uniform(t.shape, *next_key(t.size), low, high, t.dtype, t.device)))


def normal_(t: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill ``t`` from the normal distribution."""
    return t.copy_(Tensor(_core.random_normal(t.shape, *next_key(t.size), mean, std, t.dtype, t.device)))


def constant_(t: Tensor, value: float) -> Tensor:
    """Fill ``t`` with ``value``."""
    return t.copy_(full(t.shape, value, t.dtype, t.device))


def zeros_(t: Tensor) -> Tensor:
    """Fill ``t`` with 0."""
    return constant_(t, 0.0)


def ones_(t: Tensor) -> Tensor:
    """Fill ``t`` with 1."""
    return constant_(t, 1.0)


def xavier_uniform_(t: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform over +-gain * sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, equation 16)."""
    bound = gain * math.sqrt(6 / max(1, sum(fans(t.shape))))
    return uniform_(t, -bound, bound)


def xavier_normal_(t: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std gain * sqrt(2 / (fan_in + fan_out)) (Glorot and Bengio 2010)."""
    return normal_(t, 0.0, gain * math.sqrt(2 / max(1, sum(fans(t.shape)))))


def kaiming_uniform_(t: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform over +-gain * sqrt(3 / fan) (He et al. 2015); ``a`` is the slope of the leaky ReLU that follows."""
    bound = math.sqrt(3) * _kaiming_std(t, a, mode, nonlinearity)
    return uniform_(t, -bound, bound)


def kaiming_normal_(t: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal with std gain / sqrt(fan) (He et al. 2015); ``a`` is the slope of the leaky ReLU that follows."""
    return normal_(t, 0.0, _kaiming_std(t, a, mode, nonlinearity))


glorot_uniform_, glorot_normal_ = xavier_uniform_, xavier_normal_  # Keras' names
he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_


def default_uniform_(t: Tensor, fan_in: int) -> Tensor:
    """Uniform over +-1 / sqrt(fan_in): torch's default for the weights and biases of Conv2d and Linear.

    Torch writes it as Kaiming-uniform with a = sqrt(5): the gain sqrt(2 / 6) times sqrt(3 / fan_in).
    """
    bound = 1 / math.sqrt(max(1, fan_in))
    return uniform_(t, -bound, bound)


def _kaiming_std(t: Tensor, slope: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"[init] mode is fan_in or fan_out. Received: {mode!r}.")
    return gain(nonlinearity, slope) / math.sqrt(max(1, fans(t.shape)[mode == "fan_out"]))
