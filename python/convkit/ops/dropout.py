"""Dropout."""

from __future__ import annotations

from .. import _core
from ..autograd import record
from ..random import next_key
from ..tensor import Tensor, as_tensor


def dropout(x, p: float, training: bool) -> Tensor:
    """Zeroes each element with probability ``p`` in [0, 1] and multiplies the others by 1 / (1 - p).

    The identity when not training. The mask follows from the generator's state and is the same for any thread count
    and ISA; backward makes it again instead of keeping it. Srivastava et al., "Dropout" (JMLR 2014).
    """
    x = as_tensor(x)
    if not 0 <= p <= 1:
        raise ValueError(f"[dropout] p must be in [0,1]. Received: p={p}.")
    if not training or p == 0:
        return x
    key = next_key(x.size)
    return record(_core.dropout(x._data, *key, p), (x,), lambda dy: (_core.dropout(dy, *key, p),))
