"""Sequential and ModuleList; Sequential runs neighbours as one op where it can (fusion.py)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import count

from ..tensor import Tensor
from . import fusion
from .module import Module


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
        if hasattr(type(self), name) or "." in name or "/" in name:
            raise ValueError(f"[{type(self).__name__}] this name cannot be a module's. Received: {name!r}.")
        setattr(self, name, module)


class Sequential(_Container):
    """Modules applied one after the other: ``Sequential(a, b)`` or, with names, ``Sequential({"conv": a, "relu": b})``.

    Conv2d, ConvTranspose2d, Linear or BatchNorm2d followed by ReLU, ReLU6, LeakyReLU, Tanh or Sigmoid run as one op; so
    does Conv2d followed by BatchNorm2d in evaluation or frozen, where no gradient is wanted, and Conv2d with all this
    and MaxPool2d(2) after it.
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
        return fusion.run([value for value in vars(self).values() if isinstance(value, Module)], x)


class ModuleList(_Container):
    """A list of modules that registers its members; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()):
        self.extend(modules)

    def extend(self, modules: Iterable[Module]) -> ModuleList:
        for module in modules:
            self.append(module)
        return self
