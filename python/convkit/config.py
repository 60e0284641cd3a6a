"""Process-wide settings and the report of what this build can do."""

from __future__ import annotations

import operator
import os
import platform

import numpy as np

from . import _core, cuda


def apply_environment() -> None:
    """CONVKIT_ISA forces a vector unit; called once at import."""
    isa = os.environ.get("CONVKIT_ISA")
    if isa:
        try:
            _core.set_isa(isa)
        except ValueError:
            raise ImportError(
                f"CONVKIT_ISA must be one of {', '.join(_core.available_isas())} on this CPU. Received: {isa!r}."
            ) from None


def set_num_threads(count: int) -> None:
    """Threads that ops may use, at least 1. The default honours OMP_NUM_THREADS and the container's CPU quota."""
    if operator.index(count) < 1:
        raise ValueError(f"[set_num_threads] the count must be at least 1. Received: {count}.")
    _core.set_num_threads(count)


def get_num_threads() -> int:
    """Threads that ops may use; 1 in a forked child."""
    return _core.get_num_threads()


def set_workspace_limit(bytes: int) -> None:
    """Most memory, in bytes, kept for later; what is above is given back at once.

    It bounds freed tensors and scratch together with packed weights: the copy, in the order in which kernels read it,
    that a weight used twice without a write in between keeps until it is written or freed. Packed weights take the
    room first; 0 keeps neither.
    """
    if bytes < 0:
        raise ValueError(f"[set_workspace_limit] the limit must not be negative. Received: {bytes}.")
    _core.set_cache_limit(bytes)


def set_precision(mode: str) -> None:
    """``"fast"`` (default) allows algorithms with a larger error bound, ``"precise"`` does not: docs/kernels.md."""
    if mode not in ("fast", "precise"):
        raise ValueError(f'[set_precision] the mode must be "fast" or "precise". Received: {mode!r}.')
    _core.set_precise(mode == "precise")


def get_precision() -> str:
    """The mode set by :func:`set_precision`."""
    return "precise" if _core.precise() else "fast"


def package_version() -> str:
    """The installed version, convkit's ``__version__``."""
    from importlib.metadata import PackageNotFoundError, version  # 20 ms, a quarter of convkit's whole import

    try:
        return version("convkit")
    except PackageNotFoundError:  # run from a source tree
        return "0+source"


def show_config() -> str:
    """Versions, ISAs, threads and the state of CUDA, one fact a line."""
    reason = cuda.unavailable_reason()
    facts = {
        "convkit": package_version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "compiler": _core.compiler,
        "ISA compiled": " ".join(_core.compiled_isas()),
        "ISA available": " ".join(_core.available_isas()),
        "ISA active": _core.active_isa(),
        "threads": f"{get_num_threads()} ({'OpenMP' if _core.openmp else 'built without OpenMP'})",
        "precision": get_precision(),
        "CUDA compiled": _core.cuda_architectures or "no",
        "CUDA": "available" if reason is None else f"not available: {reason}",
    }
    return "\n".join(f"{name + ':':15}{value}" for name, value in facts.items())
