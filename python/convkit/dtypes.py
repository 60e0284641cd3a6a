"""Element types. All but bfloat16 are numpy's own, so ``ck.float32 == np.float32``."""

import numpy as np

float32 = np.dtype(np.float32)
float64 = np.dtype(np.float64)
uint8 = np.dtype(np.uint8)
int64 = np.dtype(np.int64)
bool_ = np.dtype(np.bool_)


class _BFloat16:
    """Storage type of mixed precision on CUDA: float32 with 16 bits less of mantissa. numpy has no such type."""

    name = "bfloat16"
    itemsize = 2

    def __repr__(self):
        return "convkit.bfloat16"


bfloat16 = _BFloat16()


def as_dtype(op: str, dtype) -> np.dtype:
    """The numpy dtype of a tensor; TypeError for those that tensors do not have."""
    if dtype is bfloat16:
        raise TypeError(f"[{op}] bfloat16 tensors live on CUDA only. Received: dtype={dtype!r} on the CPU.")
    try:
        result = None if dtype is None else np.dtype(dtype)
    except TypeError:
        result = None
    if result not in (float32, float64, uint8, int64, bool_) or result is None:
        raise TypeError(f"[{op}] dtype must be float32, float64, uint8, int64 or bool. Received: {dtype!r}.")
    return result
