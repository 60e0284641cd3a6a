"""Neighbouring modules that run as one op.

A layer takes the activation after it; batch normalisation takes the sum of a residual block as well; and in evaluation
or frozen, where no gradient is wanted, a convolution takes the normalisation after it into its filters, and the sum
with it. In training it finds the statistics for the normalisation after it. A convolution takes 2x2 max-pooling that
follows all this. A module with a forward hook always runs by itself: the hook must see its own module called.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from .. import _core, ops
from ..autograd import needs_grad
from ..tensor import Tensor
from . import layers
from .module import Module

# Exact types only: a subclass may compute something else in its forward.
_TAKES_ACTIVATION = {layers.Conv2d, layers.ConvTranspose2d, layers.Linear, layers.BatchNorm2d}
_ACTIVATIONS = {
    layers.ReLU: "relu",
    layers.ReLU6: "relu6",
    layers.LeakyReLU: "leaky_relu",
    layers.Tanh: "tanh",
    layers.Sigmoid: "sigmoid",
}


def fusable(layer: Module, following: Module) -> str | None:
    """The ``activation=`` with which ``layer`` alone computes ``following(layer(x))``, or None."""
    if type(layer) not in _TAKES_ACTIVATION:
        return None
    name = _ACTIVATIONS.get(type(following))
    if name == "leaky_relu" and following.negative_slope != 0.01:
        return None  # the ops fuse the default slope only
    return name


def fusion(layer: Module, following: Module) -> str | None:
    """What ``fusable`` says, unless one of the two has a hook."""
    return None if layer._forward_hooks or following._forward_hooks else fusable(layer, following)


def run(modules: list[Module], x: Tensor) -> Tensor:
    """The modules one after the other, neighbours as one op where they may be."""
    index, count = 0, len(modules)
    while index < count:
        module = last = modules[index]
        index += 1
        if index == count or type(module) not in _TAKES_ACTIVATION:
            x = module(x)
            continue
        parameters = folded(module, modules[index], x)
        statistics = None
        if parameters is not None:
            last = modules[index]
            index += 1
        elif measures(module, modules[index]):
            x, statistics = module(x, norm=modules[index])
            module = last = modules[index]
            index += 1
        activation = fusion(last, modules[index]) if index < count else None
        if activation is not None:
            index += 1
        pooled = index < count and halved(module, modules[index - 1], modules[index])
        index += pooled
        try:
            x = _call(module, x, activation, parameters, pooled, statistics)
        except ValueError:
            if pooled:  # one by one, the error names the module that it is about
                modules[index - 1](_call(module, x, activation, parameters, False, statistics))
            raise
    return x


def measures(conv: Module, norm: Module) -> bool:
    """Whether ``conv`` can find the statistics of its result for ``norm``, which is called next and learns."""
    if type(conv) is not layers.Conv2d or type(norm) is not layers.BatchNorm2d:
        return False
    if conv.out_channels != norm.num_features or conv.weight.dtype != norm.running_mean.dtype:
        return False  # the error is the norm's
    return norm.learns and not (conv._forward_hooks or norm._forward_hooks)


def halved(conv: Module, last: Module, following: Module) -> bool:
    """Whether ``conv``, which computes all modules up to ``last``, can take the max-pooling ``following`` as well."""
    if type(conv) is not layers.Conv2d or type(following) is not layers.MaxPool2d:
        return False
    if conv._forward_hooks or last._forward_hooks or following._forward_hooks:
        return False
    pool = (following.kernel_size, following.stride, following.padding, following.dilation)
    plain = (
        pool[0] in (2, (2, 2)) and pool[1] in (None, 2, (2, 2)) and pool[2] in (0, (0, 0)) and pool[3] in (1, (1, 1))
    )
    return plain and not following.ceil_mode and not following.return_indices


def convolve(
    conv: Module, norm: Module, activation: Module | None, x: Tensor, residual: Tensor | None = None
) -> Tensor:
    """activation(norm(conv(x)) + residual) in as few ops as may be; without activation for None."""
    name = None if activation is None else fusion(norm, activation)
    fused = name is not None or (activation is None and not norm._forward_hooks)
    parameters = folded(conv, norm, x, residual) if fused else None
    if parameters is not None:
        return conv(x, name, parameters, residual=residual)
    if fused and type(norm) is layers.BatchNorm2d:  # else replaced by its user
        y, statistics = conv(x, norm=norm) if measures(conv, norm) else (conv(x), None)
        return norm(y, name, residual, statistics)
    y = norm(conv(x))
    y = y if residual is None else y + residual
    return y if activation is None else activation(y)


def _call(
    module: Module,
    x: Tensor,
    activation: str | None,
    parameters: tuple[Tensor, Tensor] | None,
    pooled: bool,
    statistics: tuple[Tensor, Tensor] | None,
) -> Tensor:
    """The module with what it takes over from its neighbours; without any, as its hooks expect to see it called."""
    if statistics is not None:
        return module(x, activation, statistics=statistics)
    if pooled:
        return module(x, activation, parameters, True)
    if parameters is not None:
        return module(x, activation, parameters)
    return module(x) if activation is None else module(x, activation)


# Of each convolution: what its folded parameters were made of, and they.
_folded: WeakKeyDictionary[Module, tuple[list, tuple[Tensor, Tensor]]] = WeakKeyDictionary()


def folded(conv: Module, norm: Module, x: Tensor, residual: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
    """Weight and bias with which ``conv`` alone computes ``norm(conv(x))``, or None where it may not.

    It may in evaluation, and in training where both are frozen. What it returns is kept for the next call, until one of
    the tensors that it was made of is written or replaced. Where writes are not counted, because someone else holds the
    memory, nothing is folded.
    """
    if type(conv) is not layers.Conv2d or type(norm) is not layers.BatchNorm2d:
        return None
    if norm.learns:
        _folded.pop(conv, None)  # training writes the weights: they would only take up memory
        return None
    if conv._forward_hooks or norm._forward_hooks or conv.out_channels != norm.num_features:
        return None
    if needs_grad(x, residual, conv.weight, conv.bias, norm.weight, norm.bias):
        return None
    sources = (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
    data = [t._data for t in sources if t is not None]
    versions = _core.versions(data)
    if versions is None:
        return None
    made_of = [data, versions, norm.eps]  # the core tensors compare by identity
    found = _folded.get(conv)
    if found is None or found[0] != made_of:
        found = _folded[conv] = made_of, _fold(conv, norm)
    return found[1]


def _fold(conv: Module, norm: Module) -> tuple[Tensor, Tensor]:
    scale = 1.0 / ops.sqrt(norm.running_var + norm.eps)  # [O]
    scale = scale if norm.weight is None else scale * norm.weight
    shift = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = shift * scale if norm.bias is None else shift * scale + norm.bias
    return conv.weight * scale.reshape(-1, 1, 1, 1), bias
