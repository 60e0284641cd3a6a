"""Cases of pooling and of batch normalisation."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from .. import _core
from ..ops.geometry import window_pads
from .cases import EPS, Case, core
from .shapes import BatchNorm, Pool2d
from .truth import Part, some

_IMAGES = 2  # of the batch whose pooling is checked: every image goes through the same code
_CHANNELS = 16  # whose normalisation is checked
_TIE = 1e-5  # ReLU's derivative is not asked for nearer to 0 than this: rounding may decide it


class PoolCase(Case):
    """x and dy; the argmax of the forward pass is made before the backward pass is timed."""

    def __init__(self, problem: Pool2d, direction: str, dtype):
        super().__init__(problem, direction, dtype)
        self.x_shape = (problem.n, *problem.hw, problem.c)
        self.padding = window_pads(
            "bench", problem.padding, self.x_shape, problem.kernel, problem.stride, problem.dilation
        )
        self.core_geometry = (problem.kernel, problem.stride, self.padding, problem.dilation, problem.ceil_mode)
        self.arrays = {"x": self.draw(*self.x_shape)}
        self.y_shape = self._forward()[0].shape
        self.arrays["dy"] = self.draw(*self.y_shape)
        self._count_bytes(self.x_shape, self.y_shape)

    def _forward(self):
        x = core(self.arrays["x"])
        if self.problem.mode == "max":
            return _core.max_pool2d(x, self.core_geometry, True)
        return (_core.avg_pool2d(x, self.core_geometry, True),)

    @functools.cached_property
    def _call(self):
        x, dy, g = core(self.arrays["x"]), core(self.arrays["dy"]), self.core_geometry
        if self.direction == "forward":
            if self.problem.mode == "max":
                return lambda: _core.max_pool2d(x, g, True)[0]
            return lambda: _core.avg_pool2d(x, g, True)
        if self.problem.mode == "max":
            argmax = self._forward()[1]
            return lambda: _core.max_pool2d_gradient(self.x_shape, dy, argmax, g)
        return lambda: _core.avg_pool2d_gradient(self.x_shape, dy, g, True)

    def run(self):
        return (self._call(),)

    @functools.cached_property
    def truth(self):
        images = some(self.problem.n, _IMAGES)
        x, dy = (self.arrays[name][images].astype(np.float64) for name in ("x", "dy"))
        value = self._windows(x) if self.direction == "forward" else self._scatter(x, dy)
        return (Part(images, value, np.maximum(np.abs(value), np.abs(dy).max(initial=0.0))),)

    def _taps(self, x: np.ndarray, fill: float):
        """The padded x, and for every tap of the window the slice of it that the outputs see."""
        top, _, left, _ = self.padding
        (sh, sw), (dh, dw), (r, s) = self.problem.stride, self.problem.dilation, self.problem.kernel
        p, q = self.y_shape[1:3]
        h, w = (p - 1) * sh + dh * (r - 1) + 1, (q - 1) * sw + dw * (s - 1) + 1
        size = max(h, x.shape[1] + top), max(w, x.shape[2] + left)
        padded = np.full((x.shape[0], *size, x.shape[3]), fill)
        padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
        slices = [
            (slice(None), slice(i * dh, i * dh + (p - 1) * sh + 1, sh), slice(j * dw, j * dw + (q - 1) * sw + 1, sw))
            for i, j in itertools.product(range(r), range(s))
        ]
        return padded, slices

    def _windows(self, x: np.ndarray) -> np.ndarray:
        maximum = self.problem.mode == "max"
        padded, slices = self._taps(x, -np.inf if maximum else 0.0)
        parts = (padded[index] for index in slices)
        return functools.reduce(np.maximum, parts) if maximum else sum(parts) / self._area()

    def _scatter(self, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """dx: dy at the first maximum of each window, or shared by the window."""
        maximum = self.problem.mode == "max"
        padded, slices = self._taps(x, -np.inf)
        gradient = np.zeros_like(padded)
        best, left = self._windows(x), np.ones(dy.shape, bool)
        for index in slices:
            mine = left & (padded[index] == best) if maximum else np.True_
            gradient[index] += dy * mine if maximum else dy / self._area()
            left &= ~mine
        top, _, start, _ = self.padding
        return gradient[:, top : top + x.shape[1], start : start + x.shape[2]]

    def _area(self) -> np.ndarray:
        """[P,Q,1] elements of each window that lie inside the padded input."""
        top, bottom, left, right = self.padding
        inside = []
        for axis, pads in ((0, top + bottom), (1, left + right)):
            size = self.problem.hw[axis] + pads
            start = np.arange(self.y_shape[axis + 1]) * self.problem.stride[axis]
            inside.append(np.minimum(start + self.problem.kernel[axis], size) - start)
        return (inside[0][:, None] * inside[1][None, :])[..., None].astype(np.float64)


class NormCase(Case):
    """Batch normalisation in training: the statistics of x, then activation(bn(x) + residual)."""

    def __init__(self, problem: BatchNorm, direction: str, dtype):
        super().__init__(problem, direction, dtype)
        shape = (problem.n, *problem.hw, problem.c)
        self.adds = "add" in problem.parts
        self.activation = next((part for part in problem.parts if part != "add"), "")
        a = self.arrays = {"x": self.draw(*shape), "weight": 1 + self.draw(problem.c) / 4, "bias": self.draw(problem.c)}
        a["weight"] = a["weight"].astype(self.dtype)
        if self.adds:
            a["residual"] = self.draw(*shape)
        if direction == "backward":
            a["dy"] = self.draw(*shape)
            z = self._normalised(slice(None), self.dtype)
            for bend in {"relu": (0,), "relu6": (0, 6)}.get(self.activation, ()):
                a["dy"][np.abs(z - bend) < _TIE] = 0
        reads = 1 + self.adds + 2 * (direction == "backward")  # backward: x, y or its mask, dy
        self._count_bytes(*[shape] * (reads + 1 + (self.adds and direction == "backward")))

    @functools.cached_property
    def _call(self):
        t = {name: core(array) for name, array in self.arrays.items()}
        c = self.problem.c
        running = core(np.zeros(c, self.dtype)), core(np.ones(c, self.dtype))
        residual = t.get("residual")

        def forward():
            mean, variance = _core.batch_norm_statistics(t["x"], 0.1, *running)
            y = _core.batch_norm(t["x"], mean, variance, t["weight"], t["bias"], residual, EPS, self.activation)
            return mean, variance, y

        if self.direction == "forward":
            return lambda: forward()[2:]
        mean, variance, y = forward()
        kept = y if self.activation else None
        return lambda: _core.batch_norm_gradient(
            t["x"], mean, variance, t["weight"], t["bias"], kept, t["dy"], self.adds, EPS, self.activation, True
        )[:3]

    def run(self):
        return self._call()

    def _moments(self, channels, dtype):
        x = self.arrays["x"][..., channels].astype(dtype, copy=False)
        mean = x.mean((0, 1, 2), dtype=np.float64)
        variance = np.square(x - mean.astype(dtype)).mean((0, 1, 2), dtype=np.float64)
        return x, mean.astype(dtype), (1 / np.sqrt(variance + EPS)).astype(dtype)

    def _normalised(self, channels, dtype) -> np.ndarray:
        """bn(x) + residual"""
        a = self.arrays
        x, mean, inverse = self._moments(channels, dtype)
        z = (x - mean) * (inverse * a["weight"][channels]) + a["bias"][channels]
        return z + a["residual"][..., channels] if self.adds else z

    @functools.cached_property
    def truth(self):
        channels = some(self.problem.c, _CHANNELS)
        at = (slice(None),) * 3 + (channels,)
        z = self._normalised(channels, np.float64)
        top = {"relu": np.inf, "relu6": 6.0}.get(self.activation)
        if self.direction == "forward":
            value = z if top is None else np.clip(z, 0, top)
            return (Part(at, value, np.abs(z) + np.abs(self.arrays["bias"][channels]) + 1),)
        g = self.arrays["dy"][at].astype(np.float64)
        if top is not None:
            g = g * ((z > 0) & (z < top))
        x, mean, inverse = self._moments(channels, np.float64)
        unit = (x - mean) * inverse
        product, total = g * unit, np.abs(g).sum((0, 1, 2))
        weight = self.arrays["weight"][channels].astype(np.float64)
        dweight, dbias = product.sum((0, 1, 2)), g.sum((0, 1, 2))
        count = unit[..., 0].size
        dx = (g - (dbias + unit * dweight) / count) * (inverse * weight)
        # Each of the sums is known to eps of its absolute terms, and reaches dx through its mean.
        scale = (np.abs(g) + (total + np.abs(unit) * np.abs(product).sum((0, 1, 2))) / count) * inverse * np.abs(weight)
        return (
            Part(at, dx, scale),
            Part(channels, dweight, np.abs(product).sum((0, 1, 2)) + total),
            Part(channels, dbias, total),
        )
