"""The optional parts of a training step: mixup, class weights, averaged weights; and stopping on Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading

import numpy as np

from ..creation import zeros
from ..tensor import Tensor, from_numpy


def mix(x, y, alpha: float, generator: np.random.Generator):
    """Mixup (Zhang et al. 2018): each image with a partner of its batch, by one Beta(alpha, alpha) share.

    Returns (mixed x, y of the partners, share of the image itself); the loss is mixed instead of the labels, which is
    the same for cross-entropy and needs no number of classes.
    """
    share = float(generator.beta(alpha, alpha))
    order = generator.permutation(len(x))
    pixels = x.numpy()
    mixed = np.float32(share) * pixels + np.float32(1 - share) * pixels[order]
    return from_numpy(mixed, copy=False), from_numpy(y.numpy()[order], copy=False), share


def class_weights(given, classes: int):
    """Float32 tensor [classes] from a sequence of that length or a dict {class: weight}, where the others weigh 1."""
    if isinstance(given, dict):
        if wrong := [key for key in given if key not in range(classes)]:
            raise ValueError(
                f"[train.fit] class_weight must name classes in 0..{classes - 1}. Received: classes {wrong}."
            )
        values = np.array([given.get(number, 1.0) for number in range(classes)], np.float32)
    else:
        values = np.array(given, np.float32)
    if values.shape != (classes,) or not ((values >= 0) & np.isfinite(values)).all():
        raise ValueError(
            f"[train.fit] class_weight must hold one finite weight >= 0 for each of {classes} classes. "
            f"Received: {given!r}."
        )
    return from_numpy(values, copy=False)


class AveragedWeights:
    """Exponential moving average of a model's floating-point state; integers are taken as they are.

    It starts as a copy of the weights after the first update, then a = decay * a + (1 - decay) * w. ``values`` are
    tensors by name, on the device of the model.
    """

    def __init__(self, decay: float):
        self.decay = decay
        self.values: dict[str, Tensor] = {}

    def update(self, model) -> None:
        for name, value in model.state_dict().items():
            average = self.values.get(name)
            if average is None or value.dtype.kind != "f":
                self.values[name] = _copy(value)
            else:
                average.copy_(average + (value - average) * (1 - self.decay))

    @contextlib.contextmanager
    def inside(self, model):
        """Let the model have the averages, then its own weights again."""
        if not self.values:
            yield
            return
        own = {name: _copy(value) for name, value in model.state_dict().items()}
        model.load_state_dict(self.values)
        try:
            yield
        finally:
            model.load_state_dict(own)


def _copy(value: Tensor) -> Tensor:
    return zeros(value.shape, dtype=value.dtype, device=value.device).copy_(value)


class Interruption:
    """While entered, Ctrl-C only asks: ``check()`` raises KeyboardInterrupt where stopping is clean.

    A second Ctrl-C stops at once. A handler other than Python's own stays in charge; outside the main thread nothing
    changes.
    """

    def __enter__(self):
        self._asked = False
        main = threading.current_thread() is threading.main_thread()
        self._ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._ours:
            signal.signal(signal.SIGINT, self._ask)
        return self

    def _ask(self, number, frame) -> None:
        self._asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def check(self) -> None:
        if self._asked:
            raise KeyboardInterrupt

    def __exit__(self, *exception) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
