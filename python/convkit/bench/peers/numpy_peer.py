"""numpy: matrix products by its BLAS, and forward passes of windows as one would write them with it."""

from __future__ import annotations

import functools

import numpy as np

from ..cases import Case, ConvCase, GemmCase
from ..cases_window import PoolCase
from . import Contestant, Peer, need


def load() -> Peer:
    return NumpyPeer(need("threadpoolctl", "numpy"))


class NumpyPeer(Peer):
    name = "numpy"
    version = np.__version__
    own_threads = True

    def __init__(self, threadpoolctl):
        self._limits = threadpoolctl.threadpool_limits

    def set_threads(self, count):
        self._limits(count, user_api="blas")

    def contestants(self, case: Case):
        call = {GemmCase: _gemm, ConvCase: _conv, PoolCase: _pool}.get(type(case), lambda case: None)(case)
        return {"numpy": Contestant(call, lambda: (call(),))} if call else {}


def _gemm(case: GemmCase):
    a, b = case.arrays["a"], case.arrays["b"]
    a, b = a.T if case.trans_a else a, b.T if case.trans_b else b
    return lambda: a @ b


def _view(x: np.ndarray, window, stride, dilation) -> np.ndarray:
    """[N,P,Q,C,R,S] windows of x, without a copy."""
    size = tuple(d * (k - 1) + 1 for d, k in zip(dilation, window))
    view = np.lib.stride_tricks.sliding_window_view(x, size, axis=(1, 2))
    return view[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]


def _conv(case: ConvCase):
    problem, (top, bottom, left, right) = case.problem, case.geometry.padding
    if case.direction != "forward" or problem.transposed or problem.groups != 1:
        return None
    x, w, bias = (case.arrays[name] for name in ("x", "w", "bias"))
    columns = w.transpose(3, 1, 2, 0).reshape(-1, problem.o)  # [C*R*S,O]

    def call():
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
        windows = _view(padded, problem.kernel, problem.stride, problem.dilation)
        return (windows.reshape(-1, len(columns)) @ columns + bias).reshape(case.y_shape)

    return call


def _pool(case: PoolCase):
    problem = case.problem
    if case.direction != "forward" or any(case.padding) or problem.ceil_mode:
        return None
    reduce = np.maximum if problem.mode == "max" else np.add
    area = 1 if problem.mode == "max" else problem.kernel[0] * problem.kernel[1]

    def call():
        windows = _view(case.arrays["x"], problem.kernel, problem.stride, problem.dilation)
        taps = (windows[..., i, j] for i in range(problem.kernel[0]) for j in range(problem.kernel[1]))
        y = functools.reduce(reduce, taps)
        return y if area == 1 else y / area

    return call
