"""Upsampling of [N,H,W,C] tensors."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..tensor import Tensor, as_tensor
from .geometry import pair


def upsample(x, scale, mode: str = "nearest") -> Tensor:
    """x [N,H,W,C] -> [N,H*scale,W*scale,C]; ``scale`` is an int or (h, w).

    "nearest" repeats every pixel; "bilinear" interpolates between pixel centres (half-pixel centres, held inside the
    image: torch's align_corners=False). ValueError for a scale below 1 or another mode, TypeError for a dtype other
    than float32 and float64.
    """
    x = as_tensor(x)
    shape = x.shape
    y = _core.upsample(x._data, pair("upsample", "scale", scale), mode)
    return record(y, (x,), lambda dy: (_core.upsample_gradient(shape, dy, mode),))
