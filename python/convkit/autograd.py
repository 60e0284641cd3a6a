"""Reverse-mode differentiation over the core's ops.

An op computes its result with ``_core`` and calls :func:`record` with a closure that turns the gradient of the result
into the gradients of its inputs (all of them core tensors). The closure holds exactly the tensors whose values backward
needs, so that a write to one of them in between can be refused (writes by others to memory that is lent or borrowed are
not seen); it is dropped as soon as it has run. The graph is walked with an explicit stack, so its depth is not limited.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Sequence
from types import FunctionType

from . import _core


class _Mode(threading.local):
    enabled = True
    recomputing = False


_mode = _Mode()


class no_grad:
    """Context manager and decorator: ops inside record no graph. Per thread."""

    def __enter__(self):
        self._before = _mode.enabled
        _mode.enabled = False
        return self

    def __exit__(self, *exc):
        _mode.enabled = self._before

    def __call__(self, function):
        def wrapper(*args, **kwargs):
            with no_grad():
                return function(*args, **kwargs)

        wrapper.__name__, wrapper.__doc__ = function.__name__, function.__doc__
        return wrapper


def grad_enabled() -> bool:
    """Whether ops of this thread are recorded."""
    return _mode.enabled


@contextlib.contextmanager
def recomputation():
    """Inside, ops are recorded, and those that change a state have already done so: they leave it alone."""
    before = _mode.enabled, _mode.recomputing
    _mode.enabled = _mode.recomputing = True
    try:
        yield
    finally:
        _mode.enabled, _mode.recomputing = before


def is_recomputing() -> bool:
    """Whether this thread is inside ``recomputation``."""
    return _mode.recomputing


_numbers = itertools.count()


class Node:
    """One recorded op. ``inputs`` holds a Node, a leaf Tensor or None (no gradient wanted) for each argument.

    ``number`` counts the nodes in the order they are made, ``saved`` pairs each core tensor that backward reads with
    its count of writes so far. ``sums`` is ``record``'s.
    """

    __slots__ = ("backward", "inputs", "number", "saved", "sums")

    def __init__(self, inputs, backward, saved=(), sums=False):
        self.inputs = inputs
        self.backward = backward
        self.sums = sums
        self.saved = [(data, data.writes) for data in saved]
        self.number = next(_numbers)

    def check(self) -> None:
        """RuntimeError where backward would read other values than the op did, or has run already."""
        if self.backward is None:
            raise RuntimeError(
                "[backward] the graph was freed by an earlier backward. Pass retain_graph=True to the first one."
            )
        for data, writes in self.saved:
            if data.writes != writes:
                raise RuntimeError(
                    f"[backward] a tensor of shape {data.shape} was written (by copy_ or an optimizer's step, say) "
                    "after an op that needs its values for the gradient. Write it later, or pass the op a copy."
                )


def needs_grad(*tensors) -> bool:
    """Whether an op on these tensors (None allowed) will be recorded."""
    if _mode.enabled:
        for t in tensors:  # every op asks, and any() with a generator takes twice as long
            if t is not None and t.requires_grad:
                return True
    return False


def edges(tensors) -> list:
    """Where the gradients of inputs go: to the node that made one, to the leaf itself, nowhere (None)."""
    return [None if t is None or not t.requires_grad else t._node or t for t in tensors]


def record(core, inputs: Sequence, backward: Callable, sums: bool = False):
    """Wraps the result of an op and, when any input requires a gradient, remembers how to differentiate it.

    ``backward(dy)`` takes the core tensor dL/dresult and returns one core tensor or None for each of ``inputs``
    (Tensors, or None for an absent optional argument). It is a plain function, and the tensors that it reads are
    variables of it or of plain functions that are: there ``held_by`` finds them. With ``sums`` it takes a second
    argument, what the gradient of its first input is so far or None, and adds that to the one it returns: one pass over
    memory less where branches meet, as they do at the start of every residual block.
    """
    result = Tensor(core)
    if needs_grad(*inputs):
        result.requires_grad = True
        result._node = Node(edges(inputs), backward, held_by(backward), sums)
    return result


def held_by(function: Callable) -> list[_core.Tensor]:
    """The core tensors that a closure holds, itself or in closures that it calls."""
    held = []
    for cell in function.__closure__ or ():
        value = cell.cell_contents
        if type(value) is _core.Tensor:
            held.append(value)
        elif type(value) is FunctionType:
            held += held_by(value)
    return held


def reaches_before(tensor, number: int) -> bool:
    """Whether the graph of ``tensor`` has nodes with smaller numbers than ``number``."""
    return tensor._node is not None and any(node.number < number for node in _topological(tensor._node))


def leaves(tensor) -> list:
    """The leaves that require a gradient in the graph of ``tensor``."""
    nodes = _topological(tensor._node) if tensor._node is not None else []
    return [leaf for node in nodes for leaf in node.inputs if leaf is not None and type(leaf) is not Node]


def _topological(root: Node) -> list[Node]:
    """Nodes reachable from root, every node after those it feeds on (post-order)."""
    order, seen, stack = [], {root}, [(root, iter(root.inputs))]
    while stack:
        node, inputs = stack[-1]
        for child in inputs:
            if type(child) is Node and child not in seen:
                seen.add(child)
                stack.append((child, iter(child.inputs)))
                break
        else:
            order.append(node)
            stack.pop()
    return order


def backward(tensor, grad=None, retain_graph: bool = False) -> None:
    """Adds d tensor / d leaf, times ``grad``, to ``leaf.grad`` for every leaf that requires a gradient."""
    if not tensor.requires_grad:
        raise RuntimeError("[backward] the tensor must depend on a tensor with requires_grad=True.")
    if grad is None:
        if tensor._data.size != 1:
            raise ValueError(
                f"[backward] a tensor that is not a scalar needs the argument grad. Received: shape {tensor.shape}."
            )
        grad = _core.full(tensor._data.shape, 1.0, tensor._data.dtype, tensor._data.device)
        taken = set()
    else:
        grad = as_tensor(grad)._data
        taken = {grad.address}  # it stays the caller's
        if (grad.shape, grad.dtype, grad.device) != (tensor._data.shape, tensor._data.dtype, tensor._data.device):
            raise ValueError(
                f"[backward] grad must match the tensor. Received: grad {grad.shape} {grad.dtype} on "
                f"{grad.device}, tensor {tensor.shape} {tensor.dtype} on {tensor.device}."
            )
    if tensor._node is None:
        _accumulate(tensor, grad, taken)
        return
    order = _topological(tensor._node)
    for node in order:  # before any gradient is added to
        node.check()
    pending = {tensor._node: grad}
    for node in reversed(order):
        dy = pending.pop(node, None)
        if dy is not None:
            so_far = (pending.pop(node.inputs[0], None),) if node.sums else ()
            for target, gradient in zip(node.inputs, node.backward(dy, *so_far)):
                if target is None or gradient is None:
                    continue
                if type(target) is not Node:
                    _accumulate(target, gradient, taken)
                elif target in pending:
                    pending[target] = _core.add(pending[target], gradient)
                else:
                    pending[target] = gradient
        if not retain_graph:
            node.backward = None
            node.inputs = node.saved = ()


def _accumulate(leaf, gradient, taken: set[int]) -> None:
    """Adds to ``leaf.grad``. Memory at the addresses ``taken`` has an owner: writing one gradient moves no other."""
    if leaf.grad is not None:
        leaf.grad = Tensor(_core.add(leaf.grad._data, gradient))
        return
    address = gradient.address
    if address in taken:
        shared, gradient = gradient, _core.full(gradient.shape, 0, gradient.dtype, gradient.device)
        _core.copy_into(gradient, shared)
        address = gradient.address
    taken.add(address)
    leaf.grad = Tensor(gradient)


from .tensor import Tensor, as_tensor  # noqa: E402  (Tensor's methods call this module)
