"""The table of a model: layers, output shapes, multiply-adds, parameters, memory, and what strided windows skip."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral

from ..autograd import no_grad
from ..creation import zeros
from ..dtypes import float32
from ..ops.geometry import pair, window_pads
from ..tensor import Tensor
from . import fusion, layers
from .module import Module


@dataclass
class Row:
    """One line of the table. ``layer`` reads "Conv2d + ReLU" where the activation belongs to the layer before it."""

    name: str
    layer: str
    output_shape: tuple[int, ...]  # without N
    params: int  # parameters and moving statistics; 0 where an earlier row counted them
    multiply_adds: int = 0  # of one image in convolutions and dense layers, those with padding included

    @property
    def title(self) -> str:
        return f"{self.name} ({self.layer})" if self.name else self.layer


@dataclass(repr=False)
class Summary:
    """What ``Module.summary`` returns; its str is the table.

    Sizes are in bytes; activations (the results of all rows) and multiply-adds are those of one image.
    """

    rows: list[Row] = field(default_factory=list)
    total_params: int = 0
    trainable_params: int = 0
    parameter_bytes: int = 0
    activation_bytes: int = 0
    multiply_adds: int = 0
    unread: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [("Layer (type)", "Output shape", "Multiply-adds", "Params")]
        for row in self.rows:
            shape = ", ".join(map(str, (None, *row.output_shape)))
            lines.append((row.title, f"({shape})", f"{row.multiply_adds:,}", f"{row.params:,}"))
        widths = [max(map(len, column)) for column in zip(*lines)]
        text = [
            f"{name:<{widths[0]}}   {shape:<{widths[1]}}   {work:>{widths[2]}}   {params:>{widths[3]}}"
            for name, shape, work, params in lines
        ]
        rule = "=" * len(text[0])
        totals = [
            f"Total params: {self.total_params:,}",
            f"Trainable params: {self.trainable_params:,}",
            f"Non-trainable params: {self.total_params - self.trainable_params:,}",
            f"Memory: parameters {_bytes(self.parameter_bytes)}, activations {_bytes(self.activation_bytes)} per image",
            f"Multiply-adds: {self.multiply_adds:,} per image",
        ]
        return "\n".join([text[0], rule, *text[1:], rule, *totals, *self.unread])

    __repr__ = __str__


def summarize(model: Module, input_shape: tuple[int, ...]) -> Summary:
    """Run ``model`` once, in evaluation mode, on zeros of [1, *input_shape], and write down what its layers return.

    Rows are the modules without children, and those that hold parameters of their own, in the order they finish.
    """
    if not input_shape or not all(isinstance(size, Integral) and size > 0 for size in input_shape):
        raise ValueError(f"[summary] input_shape is the shape of one input, without N. Received: {input_shape!r}.")
    recorder = _Recorder()
    first = next(model.parameters(), None)
    x = zeros((1, *input_shape), dtype=float32 if first is None else first.dtype)
    x = x if first is None else x.to(first.device)
    with no_grad(), _evaluating(model), _hooked(model, recorder):
        model(x)
    summary = recorder.summary
    for value, trainable in _counted(model):
        size = math.prod(value.shape)
        summary.total_params += size
        summary.trainable_params += size if trainable else 0
        summary.parameter_bytes += size * value.dtype.itemsize
    return summary


def _counted(module: Module) -> Iterator[tuple[Tensor, bool]]:
    """(tensor, trainable) of all that the table counts: parameters and moving statistics, not num_batches_tracked."""
    yield from ((value, value.requires_grad) for value in module.parameters())
    yield from ((value, False) for value in module.buffers() if value.dtype.kind == "f")


class _Recorder:
    """Turns the calls of the layers into rows."""

    def __init__(self):
        self.summary = Summary()
        self._seen: set[int] = set()  # tensors counted in a row
        self._last = None  # (module, output) of the newest row

    def __call__(self, name: str, module: Module, args: tuple, out) -> None:
        x, out = args[0] if args else None, out[0] if isinstance(out, tuple) else out
        if self._last is not None and x is self._last[1] and fusion.fusable(self._last[0], module):
            self.summary.rows[-1].layer += f" + {type(module).__name__}"
        else:
            work = _multiply_adds(module, x, out)
            row = Row(name, type(module).__name__, tuple(out.shape[1:]), self._new_params(module), work)
            self.summary.rows.append(row)
            self.summary.multiply_adds += work
            self.summary.activation_bytes += math.prod(row.output_shape) * out.dtype.itemsize
            if isinstance(module, layers.Conv2d | layers.MaxPool2d | layers.AvgPool2d) and x is not None:
                self.summary.unread += _unread(row.title, module, x.shape, out.shape)
        self._last = (module, out)

    def _new_params(self, module: Module) -> int:
        own = [value for value, _ in _counted(module) if id(value) not in self._seen]
        self._seen.update(map(id, own))
        return sum(math.prod(value.shape) for value in own)


def _multiply_adds(module: Module, x: Tensor, out: Tensor) -> int:
    """Of a convolution or dense layer: the weights that meet each pixel of the output, transposed: of the input."""
    if isinstance(module, layers.Conv2d | layers.Linear):
        return math.prod(out.shape[:-1]) * module.weight.size
    if isinstance(module, layers.ConvTranspose2d):
        return math.prod(x.shape[:-1]) * module.weight.size
    return 0


@contextmanager
def _evaluating(model: Module):
    """Evaluation mode, and back to each module's own mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def _hooked(model: Module, recorder: _Recorder):
    """Every module that makes a row reports its calls to ``recorder``."""

    def report(name):
        return lambda module, args, out: recorder(name, module, args, out)

    handles = [
        module.register_forward_hook(report(name))
        for name, module in model.named_modules()
        if not any(module.children()) or any(isinstance(value, Tensor) for value in vars(module).values())
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _unread(label: str, layer: Module, input_shape, output_shape) -> list[str]:
    """A sentence when no window of ``layer`` reads some rows or columns of its input [N,H,W,C]; else nothing."""
    kernel = pair("summary", "kernel_size", layer.kernel_size)
    stride = kernel if layer.stride is None else pair("summary", "stride", layer.stride)
    dilation = pair("summary", "dilation", getattr(layer, "dilation", 1))
    top, _, left, _ = window_pads("summary", layer.padding, input_shape, kernel, stride, dilation)
    parts = []
    for axis, word, start in ((0, "row", -top), (1, "column", -left)):
        size, places, taps = input_shape[axis + 1], range(output_shape[axis + 1]), range(kernel[axis])
        read = {start + place * stride[axis] + tap * dilation[axis] for place in places for tap in taps}
        missed = [line for line in range(size) if line not in read]
        if missed:
            parts.append(_lines(word, missed, size))
    if not parts:
        return []
    return [f"{label} leaves {' and '.join(parts)} of its {input_shape[1]}x{input_shape[2]} input unread."]


def _lines(word: str, lines: list[int], size: int) -> str:
    if len(lines) == 1:
        return f"{word} {lines[0]}"
    if lines[-1] - lines[0] == len(lines) - 1:
        return f"{word}s {lines[0]} to {lines[-1]}"
    return f"{len(lines)} of {size} {word}s"


def _bytes(size: int) -> str:
    return f"{size / 2**20:.2f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
