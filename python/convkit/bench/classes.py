"""The classes of rows whose geometric means are the figures to compare and to quote."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .shapes import BatchNorm, Conv2d, Gemm, Layer, Network, Pool2d, Problem

# In the order of the summary.
ORDER = (
    "3x3 s1, maps of 28 and more: forward, data",
    "3x3 s1, maps of 14 to 27: forward, data",
    "3x3 s1, maps of 7 to 13: forward, data",
    "3x3 s1: weight gradient",
    "5x5 s1",
    "first layers, 1 channel: forward",
    "first layers, 3 channels: forward",
    "first layers: data gradient",
    "first layers: weight gradient",
    "3x3 s2, 1x1, 1x1 s2: forward",
    "3x3 s2, 1x1, 1x1 s2: gradients",
    "depthwise: forward",
    "depthwise: gradients",
    "grouped: forward",
    "grouped: gradients",
    "other convolutions: forward",
    "other convolutions: gradients",
    "batch 1: convolution forward",
    "batch 1: pooling forward",
    "batch 1: matrix products",
    "GEMM, square",
    "GEMM, skinny and dense layers",
    "max-pool: forward",
    "max-pool: backward 2x2",
    "max-pool: backward 3x3 s2",
    "other pooling",
    "BN + ReLU, training: forward",
    "BN + ReLU, training: backward",
    "BN alone, training",
    "layers, training",
    "networks, training step",
    "networks, inference",
    "networks, inference at batch 1",
)
_WIDE = 64  # channels from which 3x3 layers form the classes by size of their maps; narrower ones are "other"


def classify(problem: Problem, direction: str) -> str:
    """The class of a row."""
    forward = direction == "forward"
    if isinstance(problem, Gemm):
        if min(problem.m, problem.n) == 1:
            return "batch 1: matrix products"
        square = problem.m == problem.n == problem.k
        return "GEMM, square" if square else "GEMM, skinny and dense layers"
    if isinstance(problem, Network):
        if problem.mode == "training":
            return "networks, training step"
        return "networks, inference at batch 1" if problem.n == 1 else "networks, inference"
    if isinstance(problem, Layer):
        return "layers, training"
    if isinstance(problem, BatchNorm):
        if any(part.startswith("relu") for part in problem.parts):
            return f"BN + ReLU, training: {direction}"
        return "BN alone, training"
    if isinstance(problem, Pool2d):
        return _pool(problem, forward)
    return _conv(problem, direction)


def _pool(problem: Pool2d, forward: bool) -> str:
    if problem.n == 1:
        return "batch 1: pooling forward"
    if problem.mode == "max" and forward:
        return "max-pool: forward"
    window = problem.kernel, problem.stride
    if problem.mode == "max" and window == ((2, 2), (2, 2)):
        return "max-pool: backward 2x2"
    return "max-pool: backward 3x3 s2" if problem.mode == "max" and window == ((3, 3), (2, 2)) else "other pooling"


def _conv(problem: Conv2d, direction: str) -> str:
    forward = direction == "forward"
    kind = "forward" if forward else "gradients"
    if problem.n == 1:
        return "batch 1: convolution forward" if forward else "other convolutions: gradients"
    plain = problem.dilation == (1, 1) and not problem.transposed
    if plain and problem.groups > 1:
        return f"{'depthwise' if problem.groups == problem.c else 'grouped'}: {kind}"
    if plain and problem.c <= 4:
        if forward:
            return "first layers, 1 channel: forward" if problem.c == 1 else "first layers, 3 channels: forward"
        return f"first layers: {'data' if direction == 'data' else 'weight'} gradient"
    window = problem.kernel, problem.stride
    if plain and window == ((3, 3), (1, 1)) and min(problem.c, problem.o) >= _WIDE and min(problem.hw) >= 7:
        if direction == "weights":
            return "3x3 s1: weight gradient"
        size = min(problem.hw)
        return (
            f"3x3 s1, maps of {'28 and more' if size >= 28 else '14 to 27' if size >= 14 else '7 to 13'}: forward, data"
        )
    if plain and window == ((5, 5), (1, 1)):
        return "5x5 s1"
    if plain and window in (((3, 3), (2, 2)), ((1, 1), (1, 1)), ((1, 1), (2, 2))):
        return f"3x3 s2, 1x1, 1x1 s2: {kind}"
    return f"other convolutions: {kind}"


@dataclass
class Class:
    """A line of the summary; ratios are None without a baseline."""

    name: str
    rows: list[str]  # their names
    ratio: float | None
    worst: float | None
    worst_row: str | None
    share: float | None  # of the peak


def geometric_mean(values: list[float]) -> float | None:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def summarise(rows: list) -> list[Class]:
    """The classes that ``rows`` (of run.py) fall into, and all of them together.

    Of a problem that ran by several algorithms the automatic choice counts.
    """
    rows = [row for row in rows if row.chosen is not False]
    names = [name for name in ORDER if any(row.group == name for row in rows)]
    found = [_class(name, [row for row in rows if row.group == name]) for name in names]
    return [*found, _class("all rows", rows)] if rows else []


def _class(name: str, rows: list) -> Class:
    compared = [row for row in rows if row.ratio is not None]
    worst = min(compared, key=lambda row: row.ratio, default=None)
    return Class(
        name,
        [row.name for row in rows],
        geometric_mean([row.ratio for row in compared]),
        worst.ratio if worst else None,
        worst.name if worst else None,
        geometric_mean([row.peak_share for row in rows if row.peak_share]),
    )
