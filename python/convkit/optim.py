"""Optimizers, gradient clipping and learning-rate schedules, with torch's update rules and formulas.

An optimizer walks its groups of parameters in Python and hands each group to one core function, which updates the
parameters and their state in place. A schedule is a pure function of the number of steps taken.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from . import _core
from .autograd import no_grad
from .creation import zeros
from .mixed import with_precision
from .tensor import Tensor, tensor

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
                    state["momentum_buffer"] = _zeros_like(param)
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
        steps = [_zeros_like(param) for param in params]
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
        first = [state["exp_avg"] if state else _zeros_like(param) for param, state in zip(params, states)]
        second = [state["exp_avg_sq"] if state else _zeros_like(param) for param, state in zip(params, states)]
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


def muon_groups(model, filters_lr: float, weight_decay: float = 0.0, fixed_norm: bool = True) -> list[dict[str, Any]]:
    """The parameters of ``model`` as groups for Muon: what :func:`decay_groups` makes of all but filters, then these.

    Filters of convolutions, depthwise and transposed ones too, get ``filters_lr``, orthogonal steps and ``fixed_norm``,
    which suits models with batch normalisation; the others are SGD's, with the optimizer's lr:
    ``Muon(muon_groups(model, 0.05, 5e-4), lr=0.2)``.
    """
    filters = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    groups = [
        {**group, "params": [parameter for parameter in group["params"] if parameter.ndim != 4], "orthogonalize": False}
        for group in decay_groups(model, weight_decay)
    ]
    groups.append({"params": filters, "lr": filters_lr, "fixed_norm": fixed_norm})
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


class Schedule:
    """Base of the schedules: ``step()`` after each batch (or epoch) sets every group's lr for the steps taken so far.

    Creating one sets the lr of step 0.
    """

    def __init__(self, optimizer: Optimizer, base_lrs: Iterable[float] | None = None):
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups] if base_lrs is None else list(base_lrs)
        self.steps = 0
        self._apply()

    def lr(self, base: float, steps: int) -> float:
        """The learning rate after ``steps`` steps of a group that started with ``base``."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one step and set every group's learning rate."""
        self.steps += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """The number of steps taken and the learning rates it started from."""
        return {"steps": self.steps, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue where another schedule was; sets the learning rates too. ValueError for anything else."""
        name = type(self).__name__
        try:
            steps, base_lrs = int(state_dict["steps"]), [float(base) for base in state_dict["base_lrs"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"[{name}] this is no state of a schedule: {error!r}.") from error
        if len(base_lrs) != len(self.base_lrs):
            raise ValueError(f"[{name}] the state is of {len(base_lrs)} groups, not of {len(self.base_lrs)}.")
        self.steps, self.base_lrs = steps, base_lrs
        self._apply()

    def _apply(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = self.lr(base, self.steps)


class StepLR(Schedule):
    """lr times ``gamma`` after every ``step_size`` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        _check_steps("StepLR", step_size=step_size)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def lr(self, base: float, steps: int) -> float:
        return base * self.gamma ** (steps // self.step_size)


class CosineAnnealingLR(Schedule):
    """Half a cosine from lr down to ``eta_min`` in ``T_max`` steps (Loshchilov and Hutter 2017, without restarts)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        _check_steps("CosineAnnealingLR", T_max=T_max)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def lr(self, base: float, steps: int) -> float:
        return _cosine(base, self.eta_min, steps / self.T_max)


class OneCycleLR(Schedule):
    """From max_lr / 25 up to max_lr in the first ``pct_start`` of the steps, then down to max_lr / 250,000.

    The 1cycle policy (Smith and Topin 2018) with torch's factors, along half a cosine each way (``anneal_strategy``
    "cos") or a line ("linear"). ``max_lr`` is a number, or one for each group; a step beyond ``total_steps`` is a
    ValueError.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
    ):
        _check_steps("OneCycleLR", total_steps=total_steps)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f'[OneCycleLR] anneal_strategy is "cos" or "linear". Received: anneal_strategy={anneal_strategy!r}.'
            )
        if not 0 <= pct_start <= 1:
            raise ValueError(f"[OneCycleLR] pct_start is a share of the steps. Received: pct_start={pct_start}.")
        groups = len(optimizer.param_groups)
        peaks = [float(peak) for peak in max_lr] if isinstance(max_lr, list | tuple) else [float(max_lr)] * groups
        if len(peaks) != groups:
            raise ValueError(f"[OneCycleLR] max_lr needs one number for each of {groups} groups. Received: {max_lr}.")
        self.total_steps, self.pct_start = total_steps, pct_start
        self._anneal = _cosine if anneal_strategy == "cos" else _line
        super().__init__(optimizer, peaks)

    def lr(self, base: float, steps: int) -> float:
        if steps > self.total_steps:
            raise ValueError(f"[OneCycleLR] the cycle ends after {self.total_steps} steps. Received: step {steps}.")
        peak, last = self.pct_start * self.total_steps - 1, self.total_steps - 1
        if steps <= peak:
            return self._anneal(base / 25, base, steps / peak if peak > 0 else 1)
        return self._anneal(base, base / 25e4, (steps - peak) / (last - peak) if last > peak else 1)


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


def _data(tensors: Iterable[Tensor]) -> list[_core.Tensor]:
    return [t._data for t in tensors]


def _zeros_like(param: Tensor) -> Tensor:
    return zeros(param.shape, dtype=param.dtype, device=param.device)


def _check_steps(name: str, **steps: int) -> None:
    for argument, value in steps.items():
        if not (isinstance(value, int) and value > 0):
            raise ValueError(f"[{name}] {argument} is a positive number of steps. Received: {argument}={value}.")


def _cosine(start: float, end: float, share: float) -> float:
    """From ``start`` at share 0 to ``end`` at share 1 along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def _line(start: float, end: float, share: float) -> float:
    """The same along a line, which ends there: after the last step of a cycle the share is above 1."""
    return start + (end - start) * min(share, 1)
