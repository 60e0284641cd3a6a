"""Cases of whole layers and of models: forward and backward through the public interface, as a user runs them.

They are timed at full size and checked, before, on a few small images against the same model in float64, which runs on
the plain loops.
"""

from __future__ import annotations

import copy
import functools

import numpy as np

from .. import models, nn, optim
from ..autograd import no_grad
from ..dtypes import float64
from ..ops import cross_entropy
from ..tensor import Tensor, from_numpy
from .cases import Case
from .networks import macs
from .shapes import Layer, Network, with_batch
from .truth import Part

_IMAGES, _SIDE = 2, 64  # of the check
LEARNING_RATE = 1e-4


def _relative(got: np.ndarray, want: np.ndarray) -> float:
    norm = float(np.linalg.norm(want))
    return float(np.linalg.norm(got.astype(np.float64) - want)) / (norm or 1.0)


def _without_kinks(model: nn.Module) -> nn.Module:
    """A copy with tanh for ReLU: rounding turns some of ResNet-50's ReLUs, and its gradients by percents with them.

    Without, they agree to 4e-4. ReLU's own gradients are checked where the ops are.
    """
    copied = copy.deepcopy(model)
    for module in copied.modules():
        for name, child in list(module.named_children()):
            if type(child) in (nn.ReLU, nn.ReLU6):
                setattr(module, name, nn.Tanh())
    return copied


class _ModelCase(Case):
    """What layers and networks share: a model, and a truth that is the model itself in float64."""

    checked = "small images"
    # Rounding may turn a ReLU or a maximum that stands at a tie, and a small batch's normalisation magnifies it; a
    # wrong gradient differs by its own size.
    tolerance = 0.03
    model: nn.Module

    def results(self):
        return self.answer(self.model)

    def answer(self, model: nn.Module) -> tuple[np.ndarray, ...]:
        """What the check compares, computed by ``model``."""
        raise NotImplementedError

    @functools.cached_property
    def truth(self):
        wide = copy.deepcopy(self.model).to(float64)
        return tuple(Part(..., np.asarray(part, np.float64), np.ones(())) for part in self.answer(wide))

    def error(self, results):
        errors = [_relative(got, part.value) for got, part in zip(results, self.truth)]
        return max(errors), all(np.isfinite(errors)) and max(errors) <= self.tolerance

    def _gradients(self, model: nn.Module, loss: Tensor) -> np.ndarray:
        for parameter in model.parameters():
            parameter.grad = None
        loss.backward()
        gradients = [parameter.grad.numpy().ravel() for parameter in model.parameters()]
        for parameter in model.parameters():
            parameter.grad = None
        return np.concatenate(gradients)


class LayerCase(_ModelCase):
    """Convolution, and what follows it, forward and backward: gradients of x and of the parameters."""

    weights_kept = False

    def __init__(self, problem: Layer, direction: str, dtype):
        super().__init__(problem, direction, dtype)
        conv = problem.conv
        layers = [
            nn.Conv2d(
                conv.c, conv.o, conv.kernel, conv.stride, conv.padding, conv.dilation, conv.groups,
                bias="bn" not in problem.parts,
            )
        ]  # fmt: skip
        made = {"bn": lambda: nn.BatchNorm2d(conv.o), "relu": nn.ReLU, "pool": lambda: nn.MaxPool2d(2)}
        layers += [made[part]() for part in problem.parts]
        self.model = nn.Sequential(*layers).to(self.dtype).train()
        from .cases import ConvCase

        self.arrays = {"x": self.draw(conv.n, *conv.hw, conv.c)}
        with no_grad():
            self.arrays["dy"] = self.draw(*self.model(from_numpy(self.arrays["x"])).shape)
        self.flops = 3 * ConvCase(with_batch(conv, 1), "forward", self.dtype).flops * conv.n
        self.small = {name: array[:_IMAGES] for name, array in self.arrays.items()}

    @functools.cached_property
    def _tensors(self):
        return Tensor(from_numpy(self.arrays["x"])._data, requires_grad=True), from_numpy(self.arrays["dy"])

    def run(self):
        x, dy = self._tensors
        x.grad = None
        for parameter in self.model.parameters():
            parameter.grad = None
        y = self.model(x)
        y.backward(dy)
        return y._data, x.grad._data

    def answer(self, model):
        dtype = next(model.parameters()).dtype
        x = Tensor(from_numpy(self.small["x"].astype(dtype))._data, requires_grad=True)
        y = model(x)
        dy = from_numpy(self.small["dy"].astype(dtype))
        dw = self._gradients(model, (y * dy).sum())
        return y.numpy(), x.grad.numpy(), dw


class NetworkCase(_ModelCase):
    """A training step (forward, cross-entropy, backward, Adam) or the forward in evaluation mode."""

    tolerance = 0.003

    def __init__(self, problem: Network, direction: str, dtype):
        super().__init__(problem, direction, dtype)
        self.training = problem.mode == "training"
        self.model = models.build(problem.model).to(self.dtype).train(self.training)
        height, width, channels = self.model.input_shape
        self.arrays = {"x": self.draw(problem.n, height, width, channels)}
        self.small = {"x": self.draw(_IMAGES, min(height, _SIDE), min(width, _SIDE), channels)}
        classes = self._logits(self.model, self.small["x"]).shape[1]
        self.arrays["labels"] = self.rng.integers(0, classes, problem.n)
        self.small["labels"] = self.rng.integers(0, classes, _IMAGES)
        self.flops = 2 * macs(models.build(problem.model)) * problem.n * (3 if self.training else 1)

    @staticmethod
    def _logits(model: nn.Module, x: np.ndarray) -> np.ndarray:
        training = model.training
        with no_grad():
            logits = model.eval()(from_numpy(x)).numpy()
        model.train(training)
        return logits

    @functools.cached_property
    def _call(self):
        x, labels = from_numpy(self.arrays["x"]), self.arrays["labels"]
        # A model of its own: the steps that are timed must not move the weights that peers copy.
        model = copy.deepcopy(self.model)
        if not self.training:
            return lambda: model(x)
        optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)

        def step():
            optimizer.zero_grad()
            loss = cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        return step

    def run(self):
        if self.training:
            return (self._call()._data,)
        with no_grad():
            return (self._call()._data,)

    def answer(self, model):
        dtype = next(model.parameters()).dtype
        x = self.small["x"].astype(dtype)
        if not self.training:
            return (self._logits(model, x),)
        state = {name: value.numpy().copy() for name, value in model.named_buffers()}
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.training = False
        loss = cross_entropy(model(from_numpy(x)), self.small["labels"])
        smooth = _without_kinks(model)
        gradients = self._gradients(smooth, cross_entropy(smooth(from_numpy(x)), self.small["labels"]))
        model.train()
        for name, value in model.named_buffers():  # the running statistics of before
            value.copy_(from_numpy(state[name]))
        return loss.numpy(), gradients
