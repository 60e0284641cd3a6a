"""Running a model without learning: evaluate, predict, and the sums both training and evaluation keep."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from itertools import islice

import numpy as np

from ..autograd import no_grad
from ..data import DataLoader
from ..data.loader import as_inputs
from ..dtypes import float64
from ..ops import cross_entropy, softmax
from ..tensor import Tensor, from_numpy


@contextlib.contextmanager
def mode(model, training: bool):
    """Put the model into training or evaluation mode; on leaving, every module has the mode it had."""
    before = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


def device_of(model) -> str:
    """Where the model's parameters are; "cpu" for a model without any."""
    return next((parameter.device for parameter in model.parameters()), "cpu")


def placing(model) -> Callable[[Tensor], Tensor]:
    """A function that brings a tensor of a batch to the model: to its device, and floats to float64 if it has float64.

    What it is made of shows in its first parameter. Loaders yield float32, and ops take one dtype.
    """
    device, first = device_of(model), next(model.parameters(), None)
    wide = first is not None and first.dtype == float64

    def place(t: Tensor) -> Tensor:
        t = t.to(device)
        return t.astype(float64) if wide and t.dtype.kind == "f" else t

    return place


def as_loader(data, batch_size: int, **options) -> DataLoader:
    """``data`` itself when it is a loader, else a loader over it."""
    return data if isinstance(data, DataLoader) else DataLoader(data, batch_size, **options)


def correct(logits: np.ndarray, y: np.ndarray) -> float:
    """Share of the predictions [...,K] whose greatest entry is the class in y; NaN when y names no classes.

    y holds class numbers [...], or one value per class [...,K] of which the greatest counts.
    """
    if y.dtype.kind == "f" and y.shape == logits.shape and y.shape[-1] > 1:
        y = y.argmax(-1)
    if y.dtype.kind == "f" or y.shape != logits.shape[:-1] or not y.size:
        return math.nan
    return float((logits.argmax(-1) == y).mean())


class Means:
    """Mean loss and accuracy over the samples seen so far."""

    def __init__(self):
        self.samples, self._loss, self._accuracy = 0, 0.0, 0.0

    def add(self, samples: int, loss: float, accuracy: float) -> None:
        self.samples += samples
        self._loss += loss * samples
        self._accuracy += accuracy * samples

    @property
    def loss(self) -> float:
        return self._loss / self.samples if self.samples else math.nan

    @property
    def accuracy(self) -> float:
        return self._accuracy / self.samples if self.samples else math.nan


def evaluate(
    model, data, *, loss=cross_entropy, batch_size: int = 256, steps: int | None = None, after_batch=None
) -> dict[str, float]:
    """Mean loss and accuracy of ``model`` on ``data`` (a DataLoader or a pair of arrays), as {"loss", "accuracy"}.

    Runs in evaluation mode without recording gradients and restores the mode. ``steps`` bounds the batches;
    ``after_batch()`` is called after each. No data gives NaN.
    """
    loader, place, means = as_loader(data, batch_size), placing(model), Means()
    with mode(model, training=False), no_grad():
        for x, y in islice(loader, steps):
            logits = model(place(x))
            value = loss(logits, place(y)).item()
            means.add(len(x), value, correct(logits.to("cpu").numpy(), y.numpy()))
            if after_batch is not None:
                after_batch()
    return {"loss": means.loss, "accuracy": means.accuracy}


def predict(model, x, probabilities: bool = False, *, batch_size: int = 256) -> np.ndarray:
    """Logits of ``model`` for x [N,H,W,C] (uint8 is taken as x/255), or with ``probabilities`` their softmax.

    Returns a new array [N,K], float32 or the model's float64; runs in evaluation mode and restores the mode.
    """
    x, place, parts = np.asarray(x), placing(model), []
    if x.ndim == 0:
        raise ValueError("[train.predict] x must be a batch [N,H,W,C]. Received: a scalar.")
    with mode(model, training=False), no_grad():
        for start in range(0, len(x) or 1, batch_size):  # an empty x still runs, for the K of its [0,K] result
            logits = model(place(from_numpy(as_inputs(x[start : start + batch_size]))))
            parts.append((softmax(logits) if probabilities else logits).to("cpu").numpy())
    return np.concatenate(parts)
