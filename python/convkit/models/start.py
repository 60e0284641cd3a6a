"""Initial values that several models share."""

from __future__ import annotations

from .. import nn


def he_start(model: nn.Module, linear_std: float | None = None) -> None:
    """Start ``model`` as torchvision does: filters He-normal over fan_out (He et al. 2015), biases of zero.

    Linear layers start normal with ``linear_std`` and biases of zero, or keep the layer's own default without it.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(layer, nn.Linear) and linear_std is not None:
            nn.init.normal_(layer.weight, std=linear_std)
        else:
            continue
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
