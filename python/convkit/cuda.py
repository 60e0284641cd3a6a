"""State of the CUDA backend. Nothing here runs before it is asked for: importing convkit does not wake the driver."""

from __future__ import annotations

from . import _core


def is_available() -> bool:
    """Whether tensors can be moved to a GPU."""
    return unavailable_reason() is None


def unavailable_reason() -> str | None:
    """Why CUDA cannot be used (the build, the driver or the device), in one sentence; None when it can."""
    return _core.cuda_unavailable_reason() or None


def memory_stats() -> dict[str, int]:
    """Bytes of device memory: ``allocated`` in tensors, ``cached`` for later, ``peak`` of allocated; and counts: the
    ``segments`` taken from the driver and the allocations that needed none (``hits``). All devices together."""
    return _core.cuda_memory_stats()


def empty_cache() -> None:
    """Gives cached device memory back to the driver."""
    _core.cuda_empty_cache()


def synchronize(device: str = "cuda") -> None:
    """Waits until everything queued on ``device`` has run: ops return before they are done."""
    _core.cuda_synchronize(index_of(device))


def index_of(device: str) -> int:
    """The number in ``"cuda:1"``; 0 for ``"cuda"``."""
    return int(device.partition(":")[2] or 0)
