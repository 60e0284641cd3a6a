"""Parts of a model that keep no intermediate results: the backward pass computes them again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from . import _core
from .autograd import Node, edges, grad_enabled, leaves, reaches_before, recomputation
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

    Where ``function`` is a module or a method of one, the second call happens in the training mode of the first; of
    modules that any other function uses, leave the mode alone until the backward pass is over. A tensor that other ops
    have made and that requires a gradient must be one of ``inputs``: what ``function`` takes from elsewhere would be
    differentiated twice, and is a ValueError.
    """
    if not grad_enabled():
        return function(*inputs)
    # As in every op, the closure holds core tensors: a Tensor would keep its own graph alive.
    kept = [(x._data, x.requires_grad) if isinstance(x, Tensor) else x for x in inputs]
    places = [i for i, x in enumerate(inputs) if isinstance(x, Tensor)]
    drawn_from, computed_in = get_rng_state(), precision()
    modes = _training_modes(function)

    def call() -> tuple[list, Tensor]:
        leaves = list(kept)
        for i in places:
            leaves[i] = Tensor(*kept[i])
        return leaves, function(*leaves)

    # Recorded, although the graph is dropped: without gradients some modules would run as other ops.
    start = Node((), None).number
    result = call()[1]
    if not isinstance(result, Tensor):
        raise TypeError(f"[checkpoint] the function must return one Tensor. Received: {type(result).__name__}.")
    if not result.requires_grad:
        return result
    if reaches_before(result, start):
        raise ValueError(
            "[checkpoint] a tensor with a graph must be passed as an input: checkpoint(function, x, z). Received: a "
            "function whose result depends on a tensor that other ops made, such as a variable of the code around it."
        )

    def backward(dy):
        # Used a second time now, packed weights would be kept from here until the optimizer writes them.
        _core.drop_packed_weights()
        now = get_rng_state()
        set_rng_state(drawn_from)
        try:
            with recomputation(), with_precision(computed_in), _in_modes(modes):
                leaves, again = call()
        finally:
            set_rng_state(now)
        again.backward(Tensor(dy))
        return [None if leaves[i].grad is None else leaves[i].grad._data for i in places]

    output = Tensor(result._data, requires_grad=True)
    read = [kept[i][0] for i in places] + [leaf._data for leaf in leaves(result)]
    output._node = Node(edges(inputs[i] for i in places), backward, read)
    return output


def _training_modes(function: Callable) -> list[tuple]:
    """(module, whether it trains) of a module, or of the one that a method belongs to, and of all below."""
    owner = getattr(function, "__self__", function)
    return [(module, module.training) for module in owner.modules()] if hasattr(owner, "training") else []


@contextlib.contextmanager
def _in_modes(modes: list[tuple]):
    now = [(module, module.training) for module, _ in modes]
    try:
        for module, training in modes:
            module.training = training
        yield
    finally:
        for module, training in now:
            module.training = training
