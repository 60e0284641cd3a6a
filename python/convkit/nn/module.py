"""Module and Parameter: what a layer or a model is, and everything they all can do.

A module keeps its parameters, buffers and sub-modules as plain attributes; walking ``vars(module)`` finds them. So
assigning one registers it, deleting it forgets it, and a forward pass reads attributes at Python's own speed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core, dtypes, weights
from ..tensor import Tensor, as_tensor, tensor

if TYPE_CHECKING:
    from .summary import Summary


class Parameter(Tensor):
    """A tensor that a module learns: it requires a gradient unless told otherwise, and registers when assigned."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data if isinstance(data, _core.Tensor) else as_tensor(data)._data, requires_grad)


class LoadResult(NamedTuple):
    """What ``load_state_dict(..., strict=False)`` passed over."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class HookHandle:
    """Returned by ``register_forward_hook``; ``remove()`` takes the hook away again."""

    def __init__(self, module: Module, hook: Callable):
        self._module, self._hook = module, hook

    def remove(self) -> None:
        hooks = list(self._module._forward_hooks)
        if self._hook in hooks:
            hooks.remove(self._hook)  # once: it may have been registered several times
        self._module._forward_hooks, self._hook = tuple(hooks), None


class Module:
    """Base class of layers and models: assign parameters and modules to attributes, define ``forward``.

    ``classes`` (a list of names) and ``normalisation`` (a dict such as ``{"mean": [...], "std": [...]}``) describe what
    a trained model says and how its input was scaled; ``save`` writes them into the file and ``load`` brings them back.
    """

    training = True
    classes: list[str] | None = None
    normalisation: dict | None = None
    input_shape: tuple[int, int, int] | None = None  # (H, W, C) the model is made for, set by its factory
    _buffers: tuple[str, ...] = ()
    _forward_hooks: tuple[Callable, ...] = ()
    _factory: tuple[str, dict] | None = None  # (name in convkit.models, arguments), set by the factory that built it

    def __setattr__(self, name: str, value: Any) -> None:
        kept = value is None or isinstance(value, Parameter | Module)
        if not kept and isinstance(vars(self).get(name), Parameter):
            raise TypeError(
                f"[{type(self).__name__}] {name} is a Parameter, which this would unregister: write into it with "
                f"copy_, assign Parameter(...), or delete it first. Received: {type(value).__name__}."
            )
        super().__setattr__(name, value)

    def forward(self, *args, **kwargs):
        """What calling the module computes; every subclass that is called defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward(x).")

    def __call__(self, *args, **kwargs):
        try:
            out = self.forward(*args, **kwargs)
            for hook in self._forward_hooks:
                replaced = hook(self, args, out)
                if replaced is not None:
                    out = replaced
            return out
        except (ValueError, TypeError, RuntimeError) as error:
            _name_layer(error, self)
            raise

    # Walking the tree

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(attribute, module) of the modules assigned to this one, in order of assignment."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def children(self) -> Iterator[Module]:
        """The modules assigned to this one, in order of assignment."""
        return (value for value in vars(self).values() if isinstance(value, Module))

    def named_modules(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module (path "") and of all below it, parents first.

        A module assigned in several places comes once, or with ``remove_duplicate=False`` under every path.
        """
        seen: set[int] = set()
        for path, module in self._paths():
            if not remove_duplicate or id(module) not in seen:
                seen.add(id(module))
                yield path, module

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once, parents first."""
        return (module for _, module in self.named_modules())

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter), each parameter once however many modules share it."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) and id(value) not in seen:
                    seen.add(id(value))
                    yield _join(path, name), value

    def parameters(self) -> Iterator[Parameter]:
        """The parameters of this module and all below it, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """(path, buffer) of this module and all below it."""
        for path, module in self.named_modules():
            for name in module._buffers:
                yield _join(path, name), getattr(module, name)

    def buffers(self) -> Iterator[Tensor]:
        """The buffers of this module and all below it."""
        return (buffer for _, buffer in self.named_buffers())

    def _paths(self, path: str = "") -> Iterator[tuple[str, Module]]:
        """Every path to every module: a module assigned twice comes twice."""
        yield path, self
        for name, child in self.named_children():
            yield from child._paths(_join(path, name))

    # Registration

    def register_buffer(self, name: str, value: Tensor) -> None:
        """Keep ``value`` as attribute ``name``: saved, loaded and moved with the parameters, but not learned."""
        if not isinstance(value, Tensor):
            raise TypeError(f"[register_buffer] a buffer is a Tensor. Received: {name!r} of {type(value).__name__}.")
        setattr(self, name, value)
        if name not in self._buffers:
            self._buffers = (*self._buffers, name)

    def register_forward_hook(self, hook: Callable[[Module, tuple, Any], Any]) -> HookHandle:
        """Call ``hook(module, args, output)`` after each forward pass; a result other than None replaces the output."""
        self._forward_hooks = (*self._forward_hooks, hook)
        return HookHandle(self, hook)

    # State

    def train(self, mode: bool = True) -> Module:
        """Training mode (``mode=False``: evaluation) for this module and all below it; returns itself."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Evaluation mode for this module and all below it: no dropout, running statistics; returns itself."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Let every parameter learn, or with ``False`` freeze them; returns itself.

        Frozen layers whose input requires no gradient either record nothing, so training the layers after them skips
        their backward pass; a frozen BatchNorm2d keeps its running statistics.
        """
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, device: Any) -> Module:
        """Move parameters, gradients and buffers to a device ("cpu", "cuda:0"), or convert floating ones to a dtype.

        Parameters stay the same objects, so an optimizer that holds them keeps working. Counters (integer buffers) stay
        on the CPU: a step must not wait for the device to count. TypeError for a dtype that is not a floating one.
        """
        if not isinstance(device, str) and dtypes.as_dtype("to", device, "cuda").kind != "f":
            raise TypeError(f"[to] parameters are floating numbers. Received: {device!r}.")
        for value in (*self.parameters(), *(b for b in self.buffers() if b.dtype.kind == "f")):
            value._data = _convert(value, device)._data
            if value.grad is not None:
                value.grad = _convert(value.grad, device)
        return self

    def num_parameters(self) -> int:
        """Numbers in ``parameters()``, frozen ones included, buffers not."""
        return sum(parameter.size for parameter in self.parameters())

    def state_dict(self) -> dict[str, Tensor]:
        """Name -> detached tensor of every parameter and buffer. They share memory with the module."""
        return {name: value.detach() for name, value in self._state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadResult:
        """Copy ``state`` (name -> tensor or array) into the parameters and buffers of the same names.

        Nothing is copied unless everything fits: missing and unexpected names (unless ``strict=False``) and wrong
        shapes are one ValueError that lists all of them.
        """
        own = dict(self._state())
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        problems = [f"missing: {', '.join(missing)}"] if strict and missing else []
        problems += [f"unexpected: {', '.join(unexpected)}"] if strict and unexpected else []
        problems += [
            f"wrong shape: {name} has {np.shape(state[name])}, the model needs {value.shape}"
            for name, value in own.items()
            if name in state and np.shape(state[name]) != value.shape
        ]
        if problems:
            raise ValueError(
                f"[load_state_dict] the state does not fit this {type(self).__name__}. {'; '.join(problems)}."
            )
        # A value that cannot be converted must stop this before the first is copied.
        given = {n: tensor(state[n], dtype=v.dtype, device=v.device) for n, v in own.items() if n in state}
        for name, value in given.items():
            own[name].copy_(value)
        return LoadResult(missing, unexpected)

    def _state(self) -> Iterator[tuple[str, Tensor]]:
        for path, module in self._paths():
            for name, value in vars(module).items():
                if isinstance(value, Parameter) or name in module._buffers:
                    yield _join(path, name), value

    # Files

    def save(self, path: str | os.PathLike) -> None:
        """Write the weights as safetensors, atomically, with what ``convkit.models.load`` needs to rebuild the model.

        The metadata holds "model" (its name in ``convkit.models``, else its class), and as JSON "model arguments",
        "classes" and "normalisation".
        """
        weights.save(path, {name: value.to("cpu") for name, value in self.state_dict().items()}, self._metadata())

    def load(self, path: str | os.PathLike) -> Module:
        """Read a file written by ``save``: the weights, and ``classes`` and ``normalisation`` where it has them."""
        self._restore(*weights.load(path))
        return self

    def _metadata(self) -> dict[str, str]:
        name, arguments = self._factory or (type(self).__name__, {})
        return {
            "model": name,
            "model arguments": json.dumps(arguments),
            "classes": json.dumps(self.classes),
            "normalisation": json.dumps(self.normalisation),
        }

    def _restore(self, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
        """Take the content of a file. Names with a "/" hold the state of a training run, not the model's (train)."""
        self.load_state_dict({name: array for name, array in tensors.items() if "/" not in name})
        self.classes = weights.read_json(metadata, "classes", list) or self.classes
        self.normalisation = weights.read_json(metadata, "normalisation", dict) or self.normalisation

    def summary(self, input_shape: tuple[int, ...]) -> Summary:
        """The table of layers, output shapes and parameters for one input of ``input_shape`` (without N).

        Its str is the table; ``rows``, ``total_params``, ``trainable_params`` hold what it says.
        """
        from .summary import summarize  # it knows the layers, and they know this file

        return summarize(self, input_shape)

    # Printing

    def extra_repr(self) -> str:
        """The arguments to show between the parentheses of the representation."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        if not lines:
            return f"{type(self).__name__}({self.extra_repr()})"
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path and name else path or name


def _convert(value: Tensor, target: Any) -> Tensor:
    """``value`` on the device, or in the dtype, that ``target`` names."""
    if isinstance(target, str):
        return value.detach().to(target)
    return value.detach().astype(target)


def _name_layer(error: Exception, module: Module) -> None:
    """Put the path and class of the layer that raised ``error`` before its message, as seen from ``module``.

    Each module that the error passes through on its way up adds its own part, so the reader gets the whole path.
    """
    if len(error.args) != 1 or not isinstance(error.args[0], str):
        return  # an exception that formats itself
    name, below, path, message = getattr(error, "_layer", (type(module).__name__, module, "", error.args[0]))
    step = next((found for found, candidate in module.named_modules() if candidate is below), None)
    if step is None:
        return  # called a module that is not its own
    path = _join(step, path)
    error.args = (f"in layer '{path}' ({name}): {message}" if path else f"in {name}: {message}",)
    error._layer = (name, module, path, message)
