"""State of the CUDA backend."""

from __future__ import annotations


def is_available() -> bool:
    """Whether tensors can be moved to a GPU."""
    return unavailable_reason() is None


def unavailable_reason() -> str | None:
    """One sentence saying why CUDA cannot be used; None when it can."""
    return "this build of convkit has no CUDA kernels"


def memory_stats() -> dict[str, int]:
    """Bytes of device memory: allocated, cached, peak."""
    return {"allocated": 0, "cached": 0, "peak": 0}


def empty_cache() -> None:
    """Gives cached device memory back to the driver."""
