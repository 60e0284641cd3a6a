"""A model of convkit.models as calls of another library's functions: `lower(model, x, to)` hands every layer to `to`.

`to` has the methods of :class:`Backend`; values are whatever it works on.
"""

from __future__ import annotations

from typing import Protocol

from .. import nn
from ..models.mobilenet import InvertedResidual
from ..models.resnet import BasicBlock, Bottleneck

ACTIVATIONS = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid"}


class Backend(Protocol):
    """One method per kind of layer: (layer, x) -> y."""

    def conv(self, layer: nn.Conv2d, x): ...
    def norm(self, layer: nn.BatchNorm2d, x): ...
    def linear(self, layer: nn.Linear, x): ...
    def max_pool(self, layer: nn.MaxPool2d, x): ...
    def avg_pool(self, layer: nn.AvgPool2d, x): ...
    def adaptive_pool(self, layer: nn.AdaptiveAvgPool2d, x): ...
    def dropout(self, layer: nn.Dropout, x): ...
    def flatten(self, x): ...
    def activation(self, name: str, x): ...
    def add(self, a, b): ...


def lower(module: nn.Module, x, to: Backend):
    """What ``module`` computes of x, computed by ``to``."""
    layers = {
        nn.Conv2d: to.conv, nn.BatchNorm2d: to.norm, nn.Linear: to.linear, nn.MaxPool2d: to.max_pool,
        nn.AvgPool2d: to.avg_pool, nn.AdaptiveAvgPool2d: to.adaptive_pool, nn.Dropout: to.dropout,
    }  # fmt: skip
    if type(module) in layers:
        return layers[type(module)](module, x)
    if type(module) in ACTIVATIONS:
        return to.activation(ACTIVATIONS[type(module)], x)
    if isinstance(module, nn.Flatten):
        return to.flatten(x)
    if isinstance(module, BasicBlock | Bottleneck):
        return _residual(module, x, to)
    if isinstance(module, InvertedResidual):
        y = lower(module.conv, x, to)
        return to.add(x, y) if module.residual else y
    if isinstance(module, nn.Sequential):
        for child in module.children():
            x = lower(child, x, to)
        return x
    raise NotImplementedError(f"[bench] no peer has the layer {type(module).__name__}.")


def _residual(block: BasicBlock | Bottleneck, x, to: Backend):
    names = "123" if isinstance(block, Bottleneck) else "12"
    y = x
    for name in names:
        y = to.norm(getattr(block, f"bn{name}"), to.conv(getattr(block, f"conv{name}"), y))
        if name != names[-1]:
            y = to.activation("relu", y)
    shortcut = x if block.downsample is None else lower(block.downsample, x, to)
    return to.activation("relu", to.add(y, shortcut))
