"""Muon: orthogonal steps for filters and matrices."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import no_grad
from ..mixed import with_precision
from ..tensor import Tensor
from .optimizers import SGD, Optimizer, Params, decay_groups, zeros_like


class Muon(SGD):
    """SGD whose steps of matrices are made orthogonal (Jordan et al. 2024, "Muon: An optimizer for hidden layers").

    p = (1 - lr weight_decay) p - lr sqrt(max(1, rows / columns)) O, where O is the matrix U V^T of the singular value
    decomposition U S V^T of momentum v + g (with nesterov), nearly: five steps of a Newton-Schulz iteration bring all
    singular values above 1/500 of their norm to about 1. A parameter [O,...] is a matrix of O rows. For filters and
    inner matrices; a group with ``orthogonalize=False`` is SGD's in everything, for vectors, which are refused
    otherwise, and for the last layer (see :func:`muon_groups`).

    ``fixed_norm`` scales each matrix to the Frobenius norm sqrt(rows) after its step, in place of weight decay, where a
    normalisation follows that makes scale meaningless; lr is then the share of the weights that a step moves.
    """

    def __init__(
        self,
        params: Params,
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        nesterov: bool = True,
        orthogonalize: bool = True,
        fixed_norm: bool = False,
    ):
        options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        Optimizer.__init__(self, params, options | {"orthogonalize": orthogonalize, "fixed_norm": fixed_norm})

    def _check(self, group):
        super()._check(group)
        for param in group["params"]:
            if group["orthogonalize"] and param.ndim < 2:
                raise ValueError(
                    "[Muon] a parameter with fewer than two axes needs a group with orthogonalize=False. "
                    f"Received: shape {param.shape}."
                )

    def _update(self, params, states, group):
        if not group["orthogonalize"]:
            return super()._update(params, states, group)
        steps = [zeros_like(param) for param in params]  # momentum and its checks are SGD's, at a rate of -1
        self._add_steps(steps, params, states, {**group, "lr": -1.0, "weight_decay": 0.0})
        with no_grad(), with_precision(None):
            for param, step in zip(params, steps):
                if param.size:
                    param.copy_(self._moved(param, step, group))

    @staticmethod
    def _moved(param: Tensor, step: Tensor, group: dict[str, Any]) -> Tensor:
        rows, columns = param.shape[0], param.size // param.shape[0]
        step = _orthogonal(step.reshape(rows, columns)).reshape(*param.shape)
        rate = group["lr"] * math.sqrt(max(1.0, rows / columns))
        moved = param * (1.0 - group["lr"] * group["weight_decay"]) - step * rate
        return moved * (math.sqrt(rows) / _norm(moved)) if group["fixed_norm"] else moved


def muon_groups(model, filters_lr: float, weight_decay: float = 0.0, fixed_norm: bool = True) -> list[dict[str, Any]]:
    """The parameters of ``model`` as groups for Muon: what :func:`decay_groups` makes of all but filters, then these.

    Filters of convolutions, depthwise and transposed ones too, get ``filters_lr``, orthogonal steps and ``fixed_norm``,
    which suits models with batch normalisation; the others are SGD's, with the optimizer's lr:
    ``Muon(muon_groups(model, 0.02, 5e-4), lr=0.2)``.
    """
    filters = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    groups = [
        {**group, "params": [parameter for parameter in group["params"] if parameter.ndim != 4], "orthogonalize": False}
        for group in decay_groups(model, weight_decay)
    ]
    groups.append({"params": filters, "lr": filters_lr, "fixed_norm": fixed_norm})
    return [group for group in groups if group["params"]]


def _norm(x: Tensor) -> Tensor:
    """The Frobenius norm; above zero, so that a zero matrix divided by it stays zero."""
    return ((x * x).sum() + 1e-30) ** 0.5


def _orthogonal(x: Tensor) -> Tensor:
    """x [m,n] with its singular values above 1/500 of their norm brought between 0.67 and 1.21.

    Each step applies Jordan's polynomial to them, 3.4445 s - 4.775 s^3 + 2.0315 s^5, which lifts small ones fast.
    """
    if x.shape[0] > x.shape[1]:
        return _orthogonal(x.T).T
    x = x / _norm(x)
    for _ in range(5):
        squares = x @ x.T
        x = x * 3.4445 + (squares * -4.775 + (squares @ squares) * 2.0315) @ x
    return x
