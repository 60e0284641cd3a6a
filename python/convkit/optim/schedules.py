"""Learning-rate schedules with torch's formulas: pure functions of the number of steps taken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .optimizers import Optimizer


class Schedule:
    """Base of the schedules: ``step()`` after each batch (or epoch) sets every group's lr for the steps taken so far.

    Creating one sets the lr of step 0.
    """

    def __init__(self, optimizer: Optimizer, base_lrs: Iterable[float] | None = None):
        self.optimizer = optimizer
        self.base_lrs = [group["lr"] for group in optimizer.param_groups] if base_lrs is None else list(base_lrs)
        self._go_to(0, self.base_lrs)

    def lr(self, base: float, steps: int) -> float:
        """The learning rate after ``steps`` steps of a group that started with ``base``."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one step and set every group's learning rate."""
        self._go_to(self.steps + 1, self.base_lrs)

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
        self._go_to(steps, base_lrs)

    def _go_to(self, steps: int, base_lrs: list[float]) -> None:
        rates = [self.lr(base, steps) for base in base_lrs]  # before anything changes: a schedule may refuse the step
        for group, rate in zip(self.optimizer.param_groups, rates):
            group["lr"] = rate
        self.steps, self.base_lrs = steps, base_lrs


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
