"""Mixed precision: inside :class:`autocast` matrix ops read and write bfloat16 and add up in float32."""

from __future__ import annotations

import contextlib
import threading

from . import cuda, dtypes


class _State(threading.local):
    dtype = None


_state = _State()


class autocast:
    """Context manager, ``autocast("cuda", ck.bfloat16)``: convolutions and matrix products on CUDA work in bfloat16.

    Their float32 operands are converted (parameters stay float32: the optimizer's master weights), sums are float32,
    results bfloat16; what lies between them (activations, pooling, batch norm with its float32 statistics) stays in the
    dtype it is given, softmax and losses go back to float32. Gradients of parameters are float32. Per thread; tensors
    on the CPU are left alone.

    ValueError for another device, TypeError for another dtype, RuntimeError, holding
    :func:`convkit.cuda.unavailable_reason`, when CUDA cannot be used.
    """

    def __init__(self, device: str, dtype=dtypes.bfloat16):
        if device != "cuda":
            raise ValueError(f'[autocast] the device must be "cuda". Received: {device!r}.')
        if dtype is not dtypes.bfloat16:
            raise TypeError(f"[autocast] the dtype must be convkit.bfloat16. Received: {dtype!r}.")
        if reason := cuda.unavailable_reason():
            raise RuntimeError(f"[autocast] CUDA is not available: {reason}.")
        self._dtype = dtype

    def __enter__(self):
        self._before, _state.dtype = _state.dtype, self._dtype
        return self

    def __exit__(self, *exception):
        _state.dtype = self._before


def precision():
    """What matrix ops of this thread convert to now: None outside of :class:`autocast`. For ``with_precision``."""
    return _state.dtype


@contextlib.contextmanager
def with_precision(dtype):
    """Inside, matrix ops convert as they did when ``precision()`` returned ``dtype``."""
    before, _state.dtype = _state.dtype, dtype
    try:
        yield
    finally:
        _state.dtype = before


def lowered(*tensors):
    """The operands of a matrix op (Tensors or None), float32 ones on CUDA converted inside :class:`autocast`."""
    if _state.dtype is None:
        return tensors
    return tuple(
        t.astype(_state.dtype) if t is not None and t.dtype == dtypes.float32 and t.device != "cpu" else t
        for t in tensors
    )


def raised(tensor):
    """A bfloat16 tensor as float32, any other as it is: what softmax and losses compute with."""
    return tensor.astype(dtypes.float32) if tensor.dtype is dtypes.bfloat16 else tensor
