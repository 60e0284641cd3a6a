"""State of the CUDA backend. Nothing here runs before it is asked for: importing convkit does not wake the driver."""

from __future__ import annotations

import contextlib

from . import _core, dtypes


def is_available() -> bool:
    """Whether tensors can be moved to a GPU."""
    return unavailable_reason() is None


def unavailable_reason() -> str | None:
    """Why CUDA cannot be used (the build, the driver or the device), in one sentence; None when it can."""
    return _core.cuda_unavailable_reason() or None


def memory_stats() -> dict[str, int]:
    """Bytes of device memory: allocated, cached, peak."""
    return {"allocated": 0, "cached": 0, "peak": 0}


def empty_cache() -> None:
    """Gives cached device memory back to the driver."""


def autocast(device: str, dtype=dtypes.bfloat16) -> contextlib.AbstractContextManager:
    """Inside the context, matrix ops on ``device`` read and write ``dtype`` and accumulate in float32.

    ``device`` must be "cuda" and ``dtype`` ``ck.bfloat16``. RuntimeError, holding :func:`unavailable_reason`, when CUDA
    cannot be used.
    """
    if device != "cuda":
        raise ValueError(f'[autocast] the device must be "cuda". Received: {device!r}.')
    if dtype is not dtypes.bfloat16:
        raise TypeError(f"[autocast] the dtype must be convkit.bfloat16. Received: {dtype!r}.")
    raise RuntimeError(f"[autocast] CUDA is not available: {unavailable_reason()}.")
