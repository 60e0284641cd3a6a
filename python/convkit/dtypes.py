"""Element types. All but bfloat16 are numpy's own, so ``ck.float32 == np.float32``."""

import numpy as np

from . import _core

float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int64 = np.dtype(np.int64)
bool_ = np.dtype(np.bool_)


bfloat16 = _core.bfloat16  # of mixed precision on CUDA; numpy has no such type


def as_dtype(op: str, dtype, device: str = "cpu"):
    """The numpy dtype of a tensor on ``device``, or bfloat16; TypeError for those that tensors there do not have."""
    if dtype is bfloat16:
        if device == "cpu":
            raise TypeError(f"[{op}] bfloat16 tensors live on CUDA only. Received: dtype={dtype!r} on the CPU.")
        return dtype
    try:
        result = None if dtype is None else np.dtype(dtype)
    except TypeError:
        result = None
    if result not in (float32, float64, uint8, int64, bool_) or result is None:
        raise TypeError(f"[{op}] dtype must be float32, float64, bfloat16, uint8, int64 or bool. Received: {dtype!r}.")
    return result
