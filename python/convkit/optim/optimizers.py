"""Optimizers with torch's update rules, and what is done to gradients before a step.

An optimizer walks its groups of parameters in Python and hands each group to one core function, which updates the
parameters and their state in place.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import _core
from ..creation import zeros
from ..tensor import Tensor, tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer:
    """Base of the optimizers: groups of parameters with their options, and per-parameter state.

    ``params`` is an iterable of tensors, or of dicts with "params" and any of the optimizer's options for that group.
    """

    _state_names: frozenset[str]  # of each parameter's state; "step" is a number, the others are tensors

    def __init__(self, params: Params, defaults: dict[str, Any]):
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[int, dict[str, Any]] = {}  # by the parameter's number, counted through the groups
        if isinstance(params, Tensor):
            raise TypeError(f"[{self._name}] params is an iterable of tensors or of dicts. Received: one Tensor.")
        groups = list(params)
        if not groups:
            raise ValueError(f"[{self._name}] there is no parameter to optimize.")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Add ``{"params": tensors, option: value, ...}``; options left out take the optimizer's defaults."""
        if "params" not in group or not group.keys() <= {"params", *self.defaults}:
            options = ", ".join(self.defaults)
            raise ValueError(f"[{self._name}] a group holds params and any of {options}. Received: {list(group)}.")
        params = [group["params"]] if isinstance(group["params"], Tensor) else list(group["params"])
        held = {id(param) for other in self.param_groups for param in other["params"]}
        for param in params:
            if not isinstance(param, Tensor):
                raise TypeError(f"[{self._name}] parameters are tensors. Received: {type(param).__name__}.")
            if id(param) in held:
                raise ValueError(f"[{self._name}] a parameter of shape {param.shape} is given twice.")
            held.add(id(param))
        group = {**self.defaults, **group, "params": params}
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: dict[str, Any]) -> None:
        for option in ("lr", "weight_decay", "momentum", "eps"):
            if not group.get(option, 0) >= 0:
                raise ValueError(f"[{self._name}] {option} must be at least 0. Received: {option}={group[option]}.")

    def zero_grad(self) -> None:
        """Drop the gradients: the next backward pass starts new ones."""
        for group in self.param_groups:
            for param in group["params"]:
                param.grad = None

    def step(self) -> None:
        """Update every parameter that has a gradient."""
        number = 0
        for group in self.param_groups:
            # What one call of the core updates shares device, dtype and the number of its step.
            batches: dict[tuple, list[tuple[Tensor, dict[str, Any]]]] = {}
            for param in group["params"]:
                if param.grad is not None:
                    state = self.state.setdefault(number, {})
                    batches.setdefault((param.device, param.dtype, state.get("step")), []).append((param, state))
                number += 1
            for batch in batches.values():
                params, states = zip(*batch)
                self._update(params, states, group)

    def _update(self, params: Sequence[Tensor], states: Sequence[dict[str, Any]], group: dict[str, Any]) -> None:
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {number: {name: tensor or number}}, "param_groups": [...]}``; tensors are shared, not copied."""
        groups, number = [], 0
        for group in self.param_groups:
            numbers = list(range(number, number + len(group["params"])))
            groups.append({**group, "params": numbers})
            number += len(numbers)
        return {"state": {number: dict(state) for number, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over the options and a copy of the state that an optimizer of the same kind and parameters returned.

        Anything else is a ValueError and changes nothing.
        """
        try:
            groups, state = self._checked_groups(state_dict["param_groups"]), self._own_state(state_dict["state"])
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"[{self._name}] this is no state of an optimizer: {error!r}.") from error
        for group, loaded in zip(self.param_groups, groups):
            group.update(loaded)
        self.state = state

    def _checked_groups(self, loaded: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The options of the groups in a state, which must have as many parameters as ours."""
        theirs, ours = [len(group["params"]) for group in loaded], [len(group["params"]) for group in self.param_groups]
        if theirs != ours:
            raise ValueError(f"[{self._name}] the state is of groups of {theirs} parameters, not of {ours}.")
        groups = [{option: group[option] for option in self.defaults} for group in loaded]
        for group, own in zip(groups, self.param_groups):
            self._check({**group, "params": own["params"]})
        return groups

    def _own_state(self, loaded: Mapping[Any, Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
        """A copy of the per-parameter state: numbers, and tensors shaped like their parameter."""
        params = dict(enumerate(param for group in self.param_groups for param in group["params"]))
        state = {}
        for number, entry in loaded.items():
            param = params[int(number)]
            if entry and entry.keys() != self._state_names:
                raise ValueError(f"[{self._name}] the state needs {sorted(self._state_names)}, not {sorted(entry)}.")
            for name, value in entry.items():
                if name != "step" and np.shape(value) != param.shape:
                    raise ValueError(f"[{self._name}] {name} has shape {np.shape(value)}, its parameter {param.shape}.")
            state[int(number)] = {
                name: int(value) if name == "step" else tensor(value, dtype=param.dtype, device=param.device)
                for name, value in entry.items()
            }
        return state


class SGD(Optimizer):
    """v = momentum v + g;  p = p - lr v  (with nesterov: p - lr (g + momentum v));  g includes weight_decay p."""

    _state_names = frozenset({"momentum_buffer"})

    def __init__(
        self,
        params: Params,
        lr: float,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov})

    def _check(self, group):
        super()._check(group)
        if group["nesterov"] and group["momentum"] == 0:
            raise ValueError(f"[{self._name}] nesterov needs a momentum. Received: nesterov=True, momentum=0.")

    def _update(self, params, states, group):
        self._add_steps(params, params, states, group)

    def _add_steps(
        self, to: Sequence[Tensor], params: Sequence[Tensor], states: Sequence[dict[str, Any]], group: dict[str, Any]
    ) -> None:
        """Adds the steps that the gradients of ``params`` ask for to the tensors ``to``."""
        velocities = []
        if group["momentum"]:
            for param, state in zip(params, states):
                if not state:
                    state["momentum_buffer"] = zeros_like(param)
            velocities = _data(state["momentum_buffer"] for state in states)
        _core.sgd_step(
            _data(to),
            _data(param.grad for param in params),
            velocities,
            group["lr"],
            group["momentum"],
            group["weight_decay"],
            group["nesterov"],
        )


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), bias-corrected; weight decay is added to the gradient (L2)."""

    _state_names = frozenset({"step", "exp_avg", "exp_avg_sq"})
    _decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    def _check(self, group):
        super()._check(group)
        if len(group["betas"]) != 2 or not all(0 <= beta < 1 for beta in group["betas"]):
            raise ValueError(f"[{self._name}] betas are two numbers in [0, 1). Received: betas={group['betas']}.")

    def _update(self, params, states, group):
        step = states[0].get("step", 0) + 1
        first = [state["exp_avg"] if state else zeros_like(param) for param, state in zip(params, states)]
        second = [state["exp_avg_sq"] if state else zeros_like(param) for param, state in zip(params, states)]
        _core.adam_step(
            _data(params),
            _data(param.grad for param in params),
            _data(first),
            _data(second),
            group["lr"],
            *group["betas"],
            group["eps"],
            group["weight_decay"],
            self._decoupled,
            step,
        )
        # Only now: a step that the core refused has not happened, and must not count in the bias correction.
        for state, exp_avg, exp_avg_sq in zip(states, first, second):
            state.update(step=step, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq)


class AdamW(Adam):
    """Adam with decoupled weight decay: p = p - lr weight_decay p before the step (Loshchilov and Hutter 2019)."""

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)


def decay_groups(model, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters of ``model`` as groups for an optimizer: filters and matrices decay, vectors do not.

    Vectors are the biases and the scales and shifts of normalisation: decaying them costs accuracy and regularises
    nothing (He et al. 2019, "Bag of tricks", section 3.1). ``SGD(decay_groups(model, 5e-4), lr=0.1)``.
    """
    decayed, spared = [], []
    for parameter in model.parameters():
        (decayed if parameter.ndim > 1 else spared).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": spared, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients by one factor such that their common Euclidean norm is at most ``max_norm``.

    Returns the norm they had (Pascanu et al. 2013). Where it is infinite or NaN, which no factor cures, they stay.
    """
    if not max_norm >= 0:
        raise ValueError(f"[clip_gradients] max_norm must not be negative. Received: max_norm={max_norm}.")
    learned = [parameter for parameter in parameters if parameter.grad is not None]
    squares = [(parameter.grad * parameter.grad).sum() for parameter in learned]
    norm = math.sqrt(sum(squares[1:], squares[0]).item()) if squares else 0.0
    if max_norm < norm < math.inf:
        for parameter in learned:
            parameter.grad = parameter.grad * (max_norm / norm)
    return norm


def _data(tensors: Iterable[Tensor]) -> list[_core.Tensor]:
    return [t._data for t in tensors]


def zeros_like(param: Tensor) -> Tensor:
    return zeros(param.shape, dtype=param.dtype, device=param.device)
