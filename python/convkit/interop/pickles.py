"""Reading the pickles inside of PyTorch's checkpoints as data: nothing in them is ever imported or called.

``pickletools`` of the standard library parses the opcodes; the machine below runs those that checkpoints are made of.
Of the classes and functions that a pickle may name, the few in ``_FUNCTIONS`` and ``_STORAGES`` are known here; any
other is refused with its name.
"""

from __future__ import annotations

import pickletools
import warnings
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np


@dataclass(frozen=True)
class Storage:
    """A block of numbers kept elsewhere in the file."""

    key: str
    dtype: str  # of numpy, without the byte order; "bfloat16"
    size: int  # elements
    start: int = 0  # first element that tensors count from, in files of PyTorch before 0.4


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as a checkpoint describes it: element [i, j, ...] is number ``offset + i*strides[0] + ...``."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in elements


class _Name(str):
    """A class or function that the pickle names."""


def read_pickle(file: BinaryIO) -> Any:
    """The object of the pickle that starts at the position of ``file``, which ends up behind it.

    The object consists of dicts, lists, tuples, strings, numbers and StoredTensors. ValueError for a pickle that is
    damaged or names anything that is not on the list.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pickletools, about escapes in a damaged name
        return _run(file)


def _run(file: BinaryIO) -> Any:
    machine = _Machine()
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name == "STOP":
            break
        if name in _IGNORED:
            continue
        step = _STEPS.get(name)
        if step is None:
            raise ValueError(f"the pickle has the instruction {name}, which checkpoints do not need")
        try:
            step(machine, argument)
        except (IndexError, KeyError):
            raise ValueError(f"the pickle has a misplaced {name}") from None
    if len(machine.stack) != 1 or machine.marks:
        raise ValueError("the pickle does not leave one object")
    return machine.stack[0]


class _Machine:
    """The stack of a pickle, and what it has put aside for later."""

    def __init__(self):
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def take(self, count: int) -> tuple:
        """The ``count`` values on top."""
        if count > len(self.stack) - (self.marks[-1] if self.marks else 0):
            raise IndexError
        taken = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return taken

    def to_mark(self) -> tuple:
        """All values above the last mark."""
        count = len(self.stack) - self.marks[-1]
        taken = self.take(count)
        self.marks.pop()
        return taken

    def remember(self, place: int | None) -> None:
        self.memo[len(self.memo) if place is None else place] = self.stack[-1]

    def extend(self, items: tuple) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("the pickle appends to what is not a list")
        target.extend(items)

    def set_items(self, items: tuple) -> None:
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("the pickle sets items of what is not a dict")
        _put(target, zip(items[::2], items[1::2]))

    def name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:  # nested containers: their text may have no end
            raise ValueError("the pickle names something that is not a string")
        full = f"{module}.{name}"
        if full not in _FUNCTIONS and full not in _STORAGES:
            raise ValueError(
                f"the pickle asks for {full[:200]}, which is not a part of plain checkpoints; save the state_dict "
                f"instead: torch.save(model.state_dict(), path)"
            )
        self.push(_Name(full))

    def call(self, function: Any, arguments: Any) -> None:
        if type(function) is not _Name or function not in _FUNCTIONS or type(arguments) is not tuple:
            raise ValueError("the pickle calls what is not a function")
        self.push(_FUNCTIONS[function](*arguments))

    def set_state(self, target: Any, state: Any) -> None:
        """Attributes that torch gives to a state_dict, its ``_metadata``: nothing reads them."""
        if type(target) is not dict or type(state) is not dict:
            raise ValueError("the pickle sets attributes of what is not a dict")
        self.push(target)


_IGNORED = {"PROTO", "FRAME"}
_LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = (
    *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINBYTES", "SHORT_BINBYTES"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINSTRING", "SHORT_BINSTRING"),
)
_STEPS = {
    **{name: lambda machine, _, value=value: machine.push(value) for name, value in _LITERALS.items()},
    **dict.fromkeys(_VALUES, _Machine.push),
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), _Machine.remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), lambda machine, place: machine.push(machine.memo[place])),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "TUPLE": lambda machine, _: machine.push(machine.to_mark()),
    "TUPLE1": lambda machine, _: machine.push(machine.take(1)),
    "TUPLE2": lambda machine, _: machine.push(machine.take(2)),
    "TUPLE3": lambda machine, _: machine.push(machine.take(3)),
    "APPEND": lambda machine, _: machine.extend(machine.take(1)),
    "APPENDS": lambda machine, _: machine.extend(machine.to_mark()),
    "SETITEM": lambda machine, _: machine.set_items(machine.take(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.to_mark()),
    "GLOBAL": lambda machine, text: machine.name(*text.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(*machine.take(2)),
    "REDUCE": lambda machine, _: machine.call(*machine.take(2)),
    "BUILD": lambda machine, _: machine.set_state(*machine.take(2)),
    "BINPERSID": lambda machine, _: machine.push(_storage(*machine.take(1))),
}


def _put(target: dict, items) -> None:
    for key, value in items:
        if type(key) not in (str, int, float, bool, type(None)):
            raise ValueError(f"the pickle has a {type(key).__name__} for a key")
        target[key] = value


# What a checkpoint may call. Arguments come from the file: they are checked, and surplus ones are of no interest.


def _ordered_dict(pairs: Any = (), *_) -> dict:
    if type(pairs) not in (list, tuple) or any(type(pair) not in (list, tuple) or len(pair) != 2 for pair in pairs):
        raise ValueError("the pickle makes a dict of what are not pairs")
    found: dict = {}
    _put(found, pairs)
    return found


def _tensor(storage: Any = None, offset: Any = None, shape: Any = None, strides: Any = None, *_) -> StoredTensor:
    sizes = (offset, *shape, *strides) if type(shape) is tuple and type(strides) is tuple else (None,)
    if type(storage) is not Storage or len(shape or ()) != len(strides or ()) or not _are_sizes(sizes):
        raise ValueError("a tensor is not described by storage, offset, shape and strides")
    return StoredTensor(storage, offset, shape, strides)


def _parameter(tensor: Any = None, *_) -> StoredTensor:
    if type(tensor) is not StoredTensor:
        raise ValueError("a parameter holds no tensor")
    return tensor


def _size(sizes: Any = (), *_) -> tuple:
    if type(sizes) is not tuple:
        raise ValueError("a torch.Size is not made of a tuple")
    return sizes


_FUNCTIONS = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": _size,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
}
_STORAGES = {
    "torch.BFloat16Storage": "bfloat16",
    "torch.BoolStorage": "b1",
    "torch.ByteStorage": "u1",
    "torch.CharStorage": "i1",
    "torch.DoubleStorage": "f8",
    "torch.FloatStorage": "f4",
    "torch.HalfStorage": "f2",
    "torch.IntStorage": "i4",
    "torch.LongStorage": "i8",
    "torch.ShortStorage": "i2",
}


def _storage(identity: Any) -> Storage:
    """("storage", type, key, device, size) and, before PyTorch 1.6, None or (key of the view, start, size)."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
        raise ValueError("the pickle refers to something that is not a storage")
    _, kind, key, _, size, view = (*identity, None)[:6]
    if type(kind) is not _Name or kind not in _STORAGES or type(key) is not str or not _are_sizes((size,)):
        raise ValueError("a storage is not described by type, key, device and size")
    start = 0
    if view is not None:
        if type(view) is not tuple or len(view) != 3 or not _are_sizes(view[1:]) or sum(view[1:]) > size:
            raise ValueError("a view of a storage lies outside of it")
        start = view[1]
    return Storage(key, _STORAGES[kind], size, start)


def _are_sizes(values: tuple) -> bool:
    return all(type(value) is int and 0 <= value < 2**63 for value in values)


def as_array(tensor: StoredTensor, numbers: np.ndarray) -> np.ndarray:
    """The tensor as a read-only view of ``numbers``, the elements of its storage."""
    first = tensor.storage.start + tensor.offset
    last = first + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides))
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    if last >= len(numbers):
        raise ValueError(f"a tensor reaches to element {last} of a storage of {len(numbers)}")
    # The stride of an axis of size 1 is never used, and may be any number.
    steps = [0 if size == 1 else stride * numbers.itemsize for size, stride in zip(tensor.shape, tensor.strides)]
    return np.lib.stride_tricks.as_strided(numbers[first:], tensor.shape, steps, writeable=False)
