"""A case: one problem in one direction, with its data, convkit's call, its cost and the truth."""

from __future__ import annotations

import functools

import numpy as np

from .. import _core
from ..ops.geometry import window_pads
from ..tensor import from_numpy
from . import truth
from .networks import conv_output
from .shapes import BatchNorm, Conv2d, Gemm, Layer, Network, Pool2d, Problem, text

EPS = 1e-5  # of batch normalisation


def core(array: np.ndarray) -> _core.Tensor:
    return from_numpy(array)._data


class Case:
    """One row of a benchmark. ``run()`` computes it and returns core tensors, as a tuple; peers read ``arrays``."""

    flops: int | None = None
    bytes: int | None = None  # each input read and each result written once
    checked = "sampled"  # how the error is found, for the report
    # Whether weights stay the same from call to call, as in inference, so that their packed form is kept; in training
    # every step writes them. None: the case writes them itself, or has none.
    weights_kept: bool | None = None

    def __init__(self, problem: Problem, direction: str, dtype):
        self.problem, self.direction, self.dtype = problem, direction, np.dtype(dtype)
        self.rng = np.random.default_rng(0)
        self.arrays: dict[str, np.ndarray] = {}

    def draw(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape, dtype=np.float32).astype(self.dtype, copy=False)

    def run(self) -> tuple[_core.Tensor, ...]:
        raise NotImplementedError

    def results(self) -> tuple[np.ndarray, ...]:
        """What ``run`` returns, as arrays."""
        return tuple(np.asarray(part) for part in self.run())

    @functools.cached_property
    def truth(self) -> tuple[truth.Part, ...]:
        raise NotImplementedError

    def error(self, results: tuple[np.ndarray, ...]) -> tuple[float, bool]:
        """(largest error relative to the largest value, whether the results are right)."""
        if any(not np.isfinite(array).all() for array in results):
            return float("nan"), False
        errors = [part.error(array) for part, array in zip(self.truth, results, strict=True)]
        return max(error for error, _ in errors), all(right for _, right in errors)

    def algorithm(self) -> str:
        """The name of the algorithm that ``run`` takes, or "" where there is one only."""
        return ""

    def algorithms(self) -> list[str]:
        """Those that apply."""
        return []

    def _count_bytes(self, *shapes: tuple[int, ...]) -> None:
        self.bytes = sum(int(np.prod(shape, dtype=np.int64)) for shape in shapes) * self.dtype.itemsize


class ConvCase(Case):
    """x, w, bias and dy; a transposed convolution is the adjoint of the convolution that maps y to x."""

    def __init__(self, problem: Conv2d, direction: str, dtype):
        super().__init__(problem, direction, dtype)
        n, c, o = problem.n, problem.c, problem.o
        padding = window_pads(
            "bench", problem.padding, (n, *problem.hw, c), problem.kernel, problem.stride, problem.dilation
        )
        self.geometry = truth.Geometry(problem.stride, padding, problem.dilation, problem.groups)
        self.core_geometry = (problem.stride, padding, problem.dilation, problem.groups)
        outer, inner = (c, o) if problem.transposed else (o, c)
        self.x_shape = (n, *problem.hw, c)
        self.w_shape = (outer, *problem.kernel, inner // problem.groups)
        self.y_shape = (n, *conv_output(problem), o)
        wanted = {"forward": ("x", "w", "bias"), "data": ("w", "dy"), "weights": ("x", "dy")}[direction]
        shape = {"x": self.x_shape, "w": self.w_shape, "bias": (o,), "dy": self.y_shape}
        self.arrays = {name: self.draw(*shape[name]) for name in wanted}
        pixels = self.x_shape if problem.transposed else self.y_shape  # each meets a whole filter once
        self.flops = 2 * int(np.prod(pixels[:3])) * int(np.prod(self.w_shape))
        self._count_bytes(self.x_shape, self.w_shape, self.y_shape)
        if direction != "weights":
            self.weights_kept = n == 1 and direction == "forward"

    @functools.cached_property
    def _call(self):
        t = {name: core(array) for name, array in self.arrays.items()}
        g, transposed = self.core_geometry, self.problem.transposed
        if self.direction == "forward" and transposed:
            return lambda: _core.conv_transpose2d(t["x"], t["w"], t["bias"], *g, self.problem.output_padding, "")
        if self.direction == "forward":
            return lambda: _core.conv2d(t["x"], t["w"], t["bias"], *g, "")
        prefix = "conv_transpose2d" if transposed else "conv2d"
        if self.direction == "data":
            function = getattr(_core, f"{prefix}_data_gradient")
            return lambda: function(self.x_shape, t["w"], t["dy"], *g)
        function = getattr(_core, f"{prefix}_weight_gradient")
        return lambda: function(t["x"], self.w_shape, t["dy"], *g)

    def run(self):
        return (self._call(),)

    @functools.cached_property
    def truth(self):
        a, g, rng = self.arrays, self.geometry, self.rng
        x, w, bias, dy = (a.get(name) for name in ("x", "w", "bias", "dy"))
        if self.direction == "weights":
            images, upstream = (dy, x) if self.problem.transposed else (x, dy)
            return (truth.conv_weights(images, upstream, self.w_shape, g, rng),)
        forward = self.direction == "forward"
        source, shape = (x, self.y_shape) if forward else (dy, self.x_shape)
        if forward != self.problem.transposed:
            return (truth.conv(source, w, bias, g, shape, rng),)
        return (truth.conv_data(w, source, bias, g, shape, rng),)

    @property
    def _question(self) -> tuple:
        """The arguments of _core.conv2d_algorithm; a transposed convolution runs the passes of its adjoint."""
        direction, x_shape = self.direction, self.x_shape
        if self.problem.transposed:
            direction, x_shape = {"forward": "data", "data": "forward"}.get(direction, direction), self.y_shape
        return direction, x_shape, self.w_shape, *self.core_geometry

    def algorithm(self):
        return _core.conv2d_algorithm(*self._question) if self.dtype == np.float32 else "reference"

    def algorithms(self):
        return _core.conv2d_algorithms(*self._question) if self.dtype == np.float32 else ["reference"]


class GemmCase(Case):
    """a [m,k] and b [k,n], stored transposed as the layout says."""

    def __init__(self, problem: Gemm, direction: str, dtype):
        super().__init__(problem, direction, dtype)
        m, n, k = problem.m, problem.n, problem.k
        self.trans_a, self.trans_b = direction == "tn", direction == "nt"
        self.arrays = {
            "a": self.draw(*((k, m) if self.trans_a else (m, k))),
            "b": self.draw(*((n, k) if self.trans_b else (k, n))),
        }
        self.flops = 2 * m * n * k
        self._count_bytes((m, k), (k, n), (m, n))
        self.weights_kept = m == 1

    @functools.cached_property
    def _operands(self):
        return core(self.arrays["a"]), core(self.arrays["b"])

    def run(self):
        return (_core.matmul(*self._operands, self.trans_a, self.trans_b),)

    @functools.cached_property
    def truth(self):
        a, b = self.arrays["a"], self.arrays["b"]
        return (truth.product(a.T if self.trans_a else a, b.T if self.trans_b else b, self.rng),)


def build(problem: Problem, direction: str, dtype=np.float32) -> Case:
    """The case of a problem; its data is the same every time."""
    from . import cases_model, cases_window  # they derive from Case

    kinds = {
        Conv2d: ConvCase,
        Gemm: GemmCase,
        Pool2d: cases_window.PoolCase,
        BatchNorm: cases_window.NormCase,
        Layer: cases_model.LayerCase,
        Network: cases_model.NetworkCase,
    }
    if direction not in problem.directions:
        raise ValueError(f"[bench] {text(problem)} has the directions {', '.join(problem.directions)}.")
    return kinds[type(problem)](problem, direction, dtype)
