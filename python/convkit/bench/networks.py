"""The shape files of the networks, written by running convkit.models and noting what their layers are given.

    python -m convkit.bench.networks      writes them again

A network's file holds every layer that differs from those before it at the training batch, in all directions, the
forward of each at batch 1, and the whole model: a training step and inference at both batches.
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import models, nn
from ..autograd import no_grad
from ..creation import zeros
from ..ops.geometry import pair, window_pads
from . import shapes
from .shapes import BatchNorm, Conv2d, Gemm, Network, Pool2d, Problem

_ACTIVATIONS = {nn.ReLU: "relu", nn.ReLU6: "relu6"}

# file -> (title, batch, models with the prefix of their layers' names)
FILES = {
    "lenet": (
        "LeNet-5 and the LeNet of Deep Learning Illustrated",
        128,
        {"lenet5": "lenet5.", "illustrated.lenet": ""},
    ),
    "alexnet": ("AlexNet (one tower)", 8, {"alexnet": ""}),
    "vgg16": ("VGG-16", 8, {"vgg16": ""}),
    "resnet18": ("ResNet-18", 8, {"resnet18": ""}),
    "resnet50": ("ResNet-50", 8, {"resnet50": ""}),
    "mobilenetv2": ("MobileNetV2", 8, {"mobilenet_v2": ""}),
}


def layers(model: nn.Module, n: int) -> list[tuple[str, Problem]]:
    """(name, problem) of every convolution, pooling, normalisation and dense layer, in the order they run."""
    found, outputs = [], []  # outputs[i] is what found[i] returned

    def note(name):
        def hook(module, args, out):
            x = args[0]
            if type(module) in _ACTIVATIONS and found and isinstance(found[-1][1], BatchNorm):
                last, norm = found[-1]
                # What an activation gets that its normalisation did not return is the sum with a residual.
                parts = (() if x is outputs[-1] else ("add",)) + (_ACTIVATIONS[type(module)],)
                found[-1] = (last, BatchNorm(norm.n, norm.c, norm.hw, parts))
            problem = _problem(module, x.shape, n)
            if problem is not None:
                found.append((name, problem))
                outputs.append(out)

        return hook

    handles = [module.register_forward_hook(note(name)) for name, module in model.named_modules()]
    try:
        with no_grad():
            model.eval()(zeros((1, *model.input_shape)))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _problem(module: nn.Module, x: tuple[int, ...], n: int) -> Problem | None:
    if isinstance(module, nn.Linear):
        return Gemm(n, module.out_features, module.in_features, "nt")
    if isinstance(module, nn.BatchNorm2d):
        return BatchNorm(n, x[3], x[1:3])
    if isinstance(module, nn.Conv2d):
        stride, dilation = pair("bench", "stride", module.stride), pair("bench", "dilation", module.dilation)
        return Conv2d(
            n, x[3], x[1:3], module.out_channels, module.kernel_size, stride, module.padding, dilation, module.groups
        )
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        kernel = pair("bench", "kernel_size", module.kernel_size)
        stride = kernel if module.stride is None else pair("bench", "stride", module.stride)
        mode = "max" if isinstance(module, nn.MaxPool2d) else "avg"
        return Pool2d(mode, n, x[3], x[1:3], kernel, stride, module.padding, ceil_mode=module.ceil_mode)
    return None


def macs(model: nn.Module) -> int:
    """Multiply-adds of the forward of one image in convolutions and dense layers, those with padding included."""
    return model.summary(model.input_shape).multiply_adds


def conv_output(problem: Conv2d) -> tuple[int, int]:
    """[P,Q] of a convolution, or of a transposed one."""
    (h, w), (r, s), (sh, sw), (dh, dw) = problem.hw, problem.kernel, problem.stride, problem.dilation
    top, bottom, left, right = window_pads(
        "bench", problem.padding, (problem.n, h, w, problem.c), problem.kernel, problem.stride, problem.dilation
    )
    if problem.transposed:
        eh, ew = problem.output_padding
        return (h - 1) * sh - top - bottom + dh * (r - 1) + eh + 1, (w - 1) * sw - left - right + dw * (s - 1) + ew + 1
    return (h + top + bottom - dh * (r - 1) - 1) // sh + 1, (w + left + right - dw * (s - 1) - 1) // sw + 1


def lines(file: str) -> Iterator[tuple[str, str, str]]:
    """(name, problem, directions or "") of every line of a network's file."""
    _, batch, names = FILES[file]
    seen = set()

    def new(name, problem, directions=""):
        line = (name, shapes.text(problem), directions)
        if line[1:] not in seen:
            seen.add(line[1:])
            yield line

    for model_name, prefix in names.items():
        model = models.build(model_name)
        for name, problem in layers(model, batch):
            name = prefix + name
            yield from new(name, problem)
            if isinstance(problem, Gemm):  # y = x w^T, dx = dy w, dw = dy^T x
                yield from new(f"{name}.data", Gemm(batch, problem.k, problem.n, "nn"))
                yield from new(f"{name}.weights", Gemm(problem.n, problem.k, batch, "tn"))
                yield from new(f"{name}@1", Gemm(1, problem.n, problem.k, "nt"))
            elif not isinstance(problem, BatchNorm):
                yield from new(f"{name}@1", shapes.with_batch(problem, 1), "forward")
        yield from new(f"{prefix}training", Network("training", batch, model_name))
        yield from new(f"{prefix}inference", Network("inference", batch, model_name))
        yield from new(f"{prefix}inference@1", Network("inference", 1, model_name))


def content(file: str) -> str:
    """The text of shapes/<file>.txt."""
    title, batch, _ = FILES[file]
    rows = list(lines(file))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    body = [f"{name:<{widths[0]}}  {problem:<{widths[1]}}  {directions}".rstrip() for name, problem, directions in rows]
    head = [
        f"# {title}: every different layer at batch {batch}, the forward of each at batch 1, and the whole model.",
        "# Written by convkit/bench/networks.py. name  problem  directions (all); the format is described in shapes.py",
        "",
    ]
    return "\n".join([*head, *body]) + "\n"


def main() -> None:
    for file in FILES:
        (shapes.DIRECTORY / f"{file}.txt").write_text(content(file))


if __name__ == "__main__":
    main()
