"""Parts of a model that keep no intermediate results: the backward pass computes them again."""

from __future__ import annotations

from collections.abc import Callable

from . import _core
from .autograd import Node, edge, grad_enabled, recomputation
from .mixed import precision, with_precision
from .random import get_rng_state, set_rng_state
from .tensor import Tensor


def checkpoint(function: Callable[..., Tensor], *inputs) -> Tensor:
    """``function(*inputs)``, of which only ``inputs`` are kept for the backward pass: it calls ``function`` again.

    Trades about one more forward pass of this part for the memory of what lies inside (Chen et al. 2016, "Training deep
    nets with sublinear memory cost"). ``function`` returns one Tensor and may use modules and parameters of its own.
    Result and gradients are the same bits as those of ``function(*inputs)``: dropout draws the same masks again, and
    batch normalisation moves its running statistics once. Hooks and other effects of ``function`` happen twice.
    Inside ``no_grad`` this is just the call.
    """
    if not grad_enabled():
        return function(*inputs)
    # As in every op, the closure holds core tensors: a Tensor would keep its own graph alive.
    kept = [(x._data, x.requires_grad) if isinstance(x, Tensor) else x for x in inputs]
    places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    drawn_from, computed_in = get_rng_state(), precision()

    def call() -> tuple[list, Tensor]:
        leaves = list(kept)
        for i in places:
            leaves[i] = Tensor(*kept[i])
        return leaves, function(*leaves)

    # Recorded, although the graph is dropped: without gradients some modules would run as other ops.
    result = call()[1]
    if not isinstance(result, Tensor):
        raise TypeError(f"[checkpoint] the function must return one Tensor. Received: {type(result).__name__}.")
    if not result.requires_grad:
        return result

    def backward(dy):
        # Used a second time now, packed weights would be kept from here until the optimizer writes them.
        _core.drop_packed_weights()
        now = get_rng_state()
        set_rng_state(drawn_from)
        try:
            with recomputation(), with_precision(computed_in):
                leaves, again = call()
        finally:
            set_rng_state(now)
        again.backward(Tensor(dy))
        return [None if leaves[i].grad is None else leaves[i].grad._data for i in places]

    output = Tensor(result._data, requires_grad=True)
    output._node = Node([edge(inputs[i]) for i in places], backward)
    return output
