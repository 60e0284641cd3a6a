"""Models: factories that return an untrained network, and ``load``, which rebuilds a trained one from its file."""

from . import illustrated
from .lenet import lenet5
from .registry import build, load, names

__all__ = ["build", "illustrated", "lenet5", "load", "names"]
