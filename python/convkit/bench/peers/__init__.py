"""The libraries that benchmarks compare with: one module each, imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..cases import Case

NAMES = ("torch", "onnxruntime", "numpy", "reference")


@dataclass
class Contestant:
    """A peer's way to compute a case: what is timed, and its results as arrays in convkit's layout."""

    call: Callable[[], object]
    results: Callable[[], tuple[np.ndarray, ...]]


class Peer:
    """A library. ``contestants`` gives its ways (memory layouts, say) to compute a case; none when it cannot."""

    name: str
    version: str
    own_threads = False  # whether it computes on threads other than those of OpenMP, which convkit uses

    def set_threads(self, count: int) -> None:
        raise NotImplementedError

    def contestants(self, case: Case) -> dict[str, Contestant]:
        raise NotImplementedError


def load(name: str) -> Peer:
    """The peer of that name; ImportError says what to install."""
    module = importlib.import_module(f".{name}_peer", __name__)
    return module.load()


def need(package: str, why: str):
    """Import a package that only this peer needs."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f"--against {why} needs the package {package}: pip install {package}") from None
