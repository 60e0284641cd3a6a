"""Loss functions as modules: each holds the arguments of one loss in ``convkit.ops``."""

from __future__ import annotations

from typing import Any

from .. import ops
from ..tensor import Tensor, as_tensor
from .module import Module


class CrossEntropyLoss(Module):
    """Cross-entropy of logits [..., K] with labels [...] or probabilities [..., K]; see ``convkit.cross_entropy``."""

    def __init__(self, weight: Any = None, label_smoothing: float = 0.0, reduction: str = "mean"):
        _register_weight(self, weight)
        self.label_smoothing, self.reduction = label_smoothing, reduction

    def forward(self, logits: Tensor, labels: Any) -> Tensor:
        return ops.cross_entropy(
            logits, labels, weight=self.weight, label_smoothing=self.label_smoothing, reduction=self.reduction
        )


class MSELoss(Module):
    """(x - target)^2; see ``convkit.mse_loss``."""

    def __init__(self, reduction: str = "mean"):
        self.reduction = reduction

    def forward(self, x: Tensor, target: Any) -> Tensor:
        return ops.mse_loss(x, target, reduction=self.reduction)


class SmoothL1Loss(Module):
    """0.5 (x - target)^2 / beta below beta, |x - target| - beta/2 above; see ``convkit.smooth_l1_loss``."""

    def __init__(self, beta: float = 1.0, reduction: str = "mean"):
        self.beta, self.reduction = beta, reduction

    def forward(self, x: Tensor, target: Any) -> Tensor:
        return ops.smooth_l1_loss(x, target, beta=self.beta, reduction=self.reduction)


class BCEWithLogitsLoss(Module):
    """Cross-entropy of sigmoid(logits) with targets in [0, 1]; see ``convkit.binary_cross_entropy_with_logits``."""

    def __init__(self, weight: Any = None, reduction: str = "mean"):
        _register_weight(self, weight)
        self.reduction = reduction

    def forward(self, logits: Tensor, target: Any) -> Tensor:
        return ops.binary_cross_entropy_with_logits(logits, target, weight=self.weight, reduction=self.reduction)


def _register_weight(loss: Module, weight: Any) -> None:
    """A weight is a buffer, so that it moves to the device with its loss."""
    loss.weight = None
    if weight is not None:
        loss.register_buffer("weight", as_tensor(weight))
