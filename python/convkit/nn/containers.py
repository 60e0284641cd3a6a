"""Sequential and ModuleList; Sequential fuses a layer with the activation that follows it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from ..tensor import Tensor
from . import layers
from .module import Module

# Exact types only: a subclass may compute something else in its forward.
_TAKES_ACTIVATION = {layers.Conv2d, layers.ConvTranspose2d, layers.Linear, layers.BatchNorm2d}
_ACTIVATIONS = {
    layers.ReLU: "relu",
    layers.ReLU6: "relu6",
    layers.LeakyReLU: "leaky_relu",
    layers.Tanh: "tanh",
    layers.Sigmoid: "sigmoid",
}


def fusable(layer: Module, following: Module) -> str | None:
    """The ``activation=`` with which ``layer`` alone computes ``following(layer(x))``, or None."""
    if type(layer) not in _TAKES_ACTIVATION:
        return None
    name = _ACTIVATIONS.get(type(following))
    if name == "leaky_relu" and following.negative_slope != 0.01:
        return None  # the ops fuse the default slope only
    return name


def fusion(layer: Module, following: Module) -> str | None:
    """What ``fusable`` says, unless one of the two has a hook, which must see its own module called."""
    return None if layer._forward_hooks or following._forward_hooks else fusable(layer, following)


class _Container(Module):
    """Modules in order, under the names they were given or "0", "1", ..."""

    def __len__(self) -> int:
        return sum(1 for _ in self.children())

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def __getitem__(self, index: int) -> Module:
        return list(self.children())[index]

    def __setitem__(self, index: int, module: Module) -> None:
        self._adopt(list(self.named_children())[index][0], module)

    def append(self, module: Module):
        self._adopt(next(name for name in map(str, count(len(self))) if name not in vars(self)), module)
        return self

    def _adopt(self, name: str, module: Module) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"[{type(self).__name__}] holds modules only. Received: {module!r}.")
        if hasattr(type(self), name) or "." in name:
            raise ValueError(f"[{type(self).__name__}] this name cannot be a module's. Received: {name!r}.")
        setattr(self, name, module)


class Sequential(_Container):
    """Modules applied one after the other: ``Sequential(a, b)`` or, with names, ``Sequential({"conv": a, "relu": b})``.

    Conv2d, ConvTranspose2d, Linear or BatchNorm2d followed by ReLU, ReLU6, LeakyReLU, Tanh or Sigmoid run as one op.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]):
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named = modules[0].items()
        else:
            named = ((str(index), module) for index, module in enumerate(modules))
        for name, module in named:
            self._adopt(name, module)

    def __getitem__(self, index):
        """The module at an index, or a Sequential of the same modules and names for a slice."""
        if isinstance(index, slice):
            return Sequential(dict(list(self.named_children())[index]))
        return super().__getitem__(index)

    def forward(self, x: Tensor) -> Tensor:
        modules = list(self.children())
        index = 0
        while index < len(modules):
            module = modules[index]
            index += 1
            activation = fusion(module, modules[index]) if index < len(modules) else None
            if activation is None:
                x = module(x)
            else:
                x = module(x, activation)
                index += 1
        return x


class ModuleList(_Container):
    """A list of modules that registers its members; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()):
        self.extend(modules)

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        for module in modules:
            self.append(module)
        return self
