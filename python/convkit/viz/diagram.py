"""A model as boxes and arrows."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

from ..nn import Module
from .canvas import BLUE, GREEN, GREY, LARGE, ORANGE, SMALL, WIDTH, finish, fit, new_figure

_BOXES = 30  # where the depth is not given: as deep as keeps the boxes to so many
_BOX, _ARROW = 0.34, 0.36  # inches of height
_COLOURS = (("Conv", BLUE), ("Linear", GREEN), ("Pool", ORANGE), ("", GREY))


@dataclass
class _Box:
    name: str
    layer: str
    shape: tuple[int, ...]
    params: int


def diagram(
    model: Module,
    input_shape: tuple[int, int, int] | None = None,
    path: str | os.PathLike | None = None,
    *,
    depth: int | None = None,
    title: str | None = None,
):
    """The layers of ``model`` from input to output, with the shape on every arrow and the parameters in every box.

    input_shape: of one input, (H, W, C); None takes the model's own. depth: how many levels of names are shown; what
    lies deeper joins one box, so that depth 1 of a ResNet has one box per stage. None goes as deep as 30 boxes allow.
    Shortcuts around layers are inside the box of their block. Returns the matplotlib Figure.
    """
    shape = input_shape or model.input_shape
    if shape is None:
        raise ValueError("[viz.diagram] this model names no input shape: pass input_shape. Received: None.")
    rows = model.summary(shape).rows
    deepest = max(row.name.count(".") + 1 for row in rows)
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    if depth is None:
        fitting = [d for d in range(1, deepest + 1) if len(_boxes(rows, d, kinds)) <= _BOXES]
        depth = max(fitting, default=1)
    boxes = _boxes(rows, depth, kinds)
    height = 0.5 + len(boxes) * (_BOX + _ARROW) + _ARROW + 0.2
    figure = new_figure(height)
    name = title or (model._factory[0] if model._factory else type(model).__name__)
    figure.suptitle(f"{name}: {model.num_parameters():,} parameters", fontsize=LARGE)
    axes = figure.add_subplot()
    axes.set(xlim=(0, WIDTH), ylim=(len(boxes) * (_BOX + _ARROW) + _ARROW, 0))
    axes.set_axis_off()
    _arrow(axes, 0.0, shape)
    for number, box in enumerate(boxes):
        top = _ARROW + number * (_BOX + _ARROW)
        _draw(axes, top, box)
        _arrow(axes, top + _BOX, box.shape)
    return finish(figure, path)


def _boxes(rows, depth: int, kinds: dict[str, str]) -> list[_Box]:
    """Rows of a summary, those with the same first ``depth`` parts of the name joined."""
    boxes: list[_Box] = []
    for row in rows:
        name = ".".join(row.name.split(".")[:depth])
        if boxes and boxes[-1].name == name:
            boxes[-1].layer = kinds.get(name, boxes[-1].layer)
            boxes[-1].shape, boxes[-1].params = row.output_shape, boxes[-1].params + row.params
        else:
            whole = row.layer if name == row.name else kinds.get(name, row.layer)
            boxes.append(_Box(name, whole, row.output_shape, row.params))
    return boxes


def _draw(axes, top: float, box: _Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    colour = next(colour for part, colour in _COLOURS if part in box.layer)
    left, right = 1.0, WIDTH - 1.0
    axes.add_patch(
        FancyBboxPatch(
            (left, top), right - left, _BOX, boxstyle="round,pad=0,rounding_size=0.08", facecolor=colour + "22",
            edgecolor=colour, linewidth=1.2,
        )
    )  # fmt: skip
    middle = top + _BOX / 2
    text = f"{box.name}: {box.layer}" if box.name else box.layer
    axes.text(left + 0.15, middle, fit(text, 4.0), va="center", fontsize=SMALL)
    figures = f"{box.params:,} parameters" if box.params else "no parameters"
    axes.text(
        right - 0.15, middle, figures, va="center", ha="right", fontsize=SMALL, color="black" if box.params else GREY
    )


def _arrow(axes, top: float, shape: tuple[int, ...]) -> None:
    x = WIDTH / 2
    axes.annotate("", (x, top + _ARROW - 0.02), (x, top + 0.02), arrowprops={"arrowstyle": "->", "color": GREY})
    values = f"{math.prod(shape):,} values"
    label = f"{' x '.join(map(str, shape))}  ({values})" if len(shape) > 1 else values
    axes.text(x + 0.15, top + _ARROW / 2, label, va="center", fontsize=SMALL, color=GREY)
