"""The generator: one (seed, offset) pair per process; each draw takes a range of the Philox counter space."""

from __future__ import annotations

import operator
import threading

from . import _core, ops
from .dtypes import as_dtype, float32
from .tensor import Tensor

_lock = threading.Lock()
_state = (0, 0)


def manual_seed(seed: int) -> None:
    """Restarts the generator. The same seed gives the same draws on every device and for any thread count."""
    set_rng_state((operator.index(seed) % 2**64, 0))


def get_rng_state() -> tuple[int, int]:
    """(seed, offset), to be handed to :func:`set_rng_state`."""
    return _state


def set_rng_state(state: tuple[int, int]) -> None:
    """Continues from a state of :func:`get_rng_state`."""
    global _state
    try:
        seed, offset = map(operator.index, state)
    except (TypeError, ValueError):
        seed = offset = -1
    if not (0 <= seed < 2**64 and 0 <= offset < 2**64):
        raise ValueError(f"[set_rng_state] the state must be one of get_rng_state(). Received: {state!r}.")
    with _lock:
        _state = (seed, offset)


def next_key(count: int) -> tuple[int, int]:
    """(seed, offset) for a draw of ``count`` elements; the next draw starts behind it."""
    global _state
    with _lock:
        seed, offset = _state
        _state = (seed, offset + (count + 3) // 4 * 4)  # whole counters of four words
    return seed, offset


def _draw(function, shape, dtype, device, requires_grad):
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    device = ops.device_name("rand", device)
    dtype = as_dtype("rand", dtype, device)
    count = 1
    for size in shape:
        count *= max(size, 0)
    return Tensor(function(shape, *next_key(count), 0.0, 1.0, dtype, device), requires_grad)


def rand(*shape, dtype=float32, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """Uniform in [0, 1): multiples of 2**-24, of 2**-8 in bfloat16. The same bits on every device."""
    return _draw(_core.random_uniform, shape, dtype, device, requires_grad)


def randn(*shape, dtype=float32, device: str = "cpu", requires_grad: bool = False) -> Tensor:
    """Standard normal, by Box-Muller in double precision from the numbers of :func:`rand`.

    float32 draws of the CPU and of a GPU are equal but for their last bit, in the rare case that the last bits of the
    double logarithm, sine or cosine decide how they are rounded.
    """
    return _draw(_core.random_normal, shape, dtype, device, requires_grad)
