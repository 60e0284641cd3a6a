"""The filters of a layer, and the maps they make of an image."""

from __future__ import annotations

import os

import numpy as np

from ..autograd import no_grad
from ..data.loader import as_inputs
from ..nn import Module
from ..tensor import Tensor, from_numpy
from ..train.evaluation import mode, placing
from .canvas import LARGE, NORMAL, SMALL, draw_tiles, finish, grid_size, new_figure, tile_height

_COLUMNS = 8


def filters(layer, path: str | os.PathLike | None = None, *, limit: int = 64, title: str | None = None):
    """The filters of a convolution as a grid.

    layer: a Conv2d, or filters [O,R,S,C]. Filters of three channels are shown in colours, grey where all
    three are 0; those of one channel with a scale of weights; of any other number, the first 8 filters are rows and
    their first 8 channels columns. limit: filters shown at most, the first ones. Returns the matplotlib Figure.
    """
    if isinstance(layer, Module) and not isinstance(getattr(layer, "weight", None), Tensor):
        raise ValueError(f"[viz.filters] the layer must have a weight. Received: {layer!r}.")
    weights = np.asarray(layer.weight.to("cpu") if isinstance(layer, Module) else layer)
    if weights.ndim != 4 or not weights.size:
        raise ValueError(f"[viz.filters] filters must have shape [O,R,S,C]. Received: {weights.shape}.")
    count, height, width, channels = weights.shape
    if channels in (1, 3):
        shown = weights[:limit]
        rows, columns = grid_size(len(shown), _COLUMNS)
        tiles = shown if channels == 3 else shown[..., 0]
        captions = [str(number) for number in range(len(shown))]
        extent = f"{len(shown)} of {count} filters" if len(shown) < count else f"{count} filters"
    else:
        shown = weights[: min(limit, _COLUMNS), ..., :_COLUMNS]
        rows, columns = len(shown), shown.shape[3]
        tiles = shown.transpose(0, 3, 1, 2).reshape(-1, height, width)
        captions = [f"{o}, channel {c}" for o in range(rows) for c in range(columns)]
        extent = f"{rows} of {count} filters, {columns} of {channels} channels"
    largest = float(np.abs(tiles).max()) or 1.0
    figure, axes = _sheet(tiles, rows, columns, title or f"{extent}, {height}x{width}x{channels}")
    if channels == 3:
        draw_tiles(axes, np.clip(0.5 + tiles / (2 * largest), 0, 1), captions, columns)
        scale = f"red, green and blue: weights from -{largest:.3g} (none) through 0 (half) to {largest:.3g} (full)"
        figure.supxlabel(scale, fontsize=NORMAL)
    else:
        drawn = draw_tiles(axes, tiles, captions, columns, cmap="RdBu_r", vmin=-largest, vmax=largest)
        _scale(figure, axes, drawn, "weight")
    return finish(figure, path)


def activation_maps(model: Module, image, layer: str | Module) -> np.ndarray:
    """What ``layer`` returns when ``model`` looks at ``image``: a new array [P,Q,C].

    image: [H,W,C] as the model takes it; uint8 is taken as x/255. layer: the module, or its name in
    ``model.named_modules()``. Runs in evaluation mode and restores the mode. ValueError for a layer that the model has
    not or does not call, or whose result is no map.
    """
    named = dict(model.named_modules())
    found = named.get(layer) if isinstance(layer, str) else layer
    if not any(module is found for module in named.values()):
        raise ValueError(f"[viz] the model has no such layer. Received: {layer!r}; known: {', '.join(named)}.")
    image = np.asarray(image)
    if image.ndim != 3:
        raise ValueError(f"[viz] an image has shape [H,W,C]. Received: {image.shape}.")
    results = []
    handle = found.register_forward_hook(lambda module, inputs, output: results.append(output))
    try:
        with mode(model, training=False), no_grad():
            model(placing(model)(from_numpy(as_inputs(image[None]))))
    finally:
        handle.remove()
    if not results or not isinstance(results[-1], Tensor) or results[-1].ndim != 4:
        what = f"shape {results[-1].shape}" if results and isinstance(results[-1], Tensor) else "nothing"
        raise ValueError(f"[viz] the layer must return maps [N,P,Q,C]. Received: {layer!r}, which returned {what}.")
    return results[-1].to("cpu").numpy()[0].copy()


def activations(
    model: Module,
    image,
    layer: str | Module,
    path: str | os.PathLike | None = None,
    *,
    limit: int = 64,
    title: str | None = None,
):
    """The activation maps of ``layer`` for one image, one tile per filter, all on one scale.

    Arguments and errors as ``activation_maps``; limit: maps shown at most, the first ones. The image itself is shown
    beside them when it is uint8 or within 0..1. Returns the matplotlib Figure.
    """
    maps = activation_maps(model, image, layer)
    image = np.asarray(image)
    count = maps.shape[-1]
    tiles = np.moveaxis(maps[..., :limit], -1, 0)
    name = layer if isinstance(layer, str) else next(n for n, m in model.named_modules() if m is layer)
    extent = f"{len(tiles)} of {count} maps" if len(tiles) < count else f"{count} maps"
    rows, columns = grid_size(len(tiles), _COLUMNS)
    figure, axes = _sheet(tiles, rows, columns, title or f"{name}: {extent}, {maps.shape[0]}x{maps.shape[1]}", image)
    low, high = float(tiles.min()), float(tiles.max())
    captions = [str(number) for number in range(len(tiles))]
    drawn = draw_tiles(axes, tiles, captions, columns, cmap="viridis", vmin=low, vmax=high if high > low else low + 1)
    _scale(figure, axes, drawn, "activation")
    return finish(figure, path)


def _sheet(tiles: np.ndarray, rows: int, columns: int, title: str, image: np.ndarray | None = None):
    """(figure, axes for the tiles) with a title, and the image above the tiles if it can be shown."""
    height = tile_height(tiles, rows, columns, 1) + 0.8
    visible = image is not None and image.shape[-1] in (1, 3)
    visible = visible and (image.dtype == np.uint8 or (image.min() >= 0 and image.max() <= 1))
    figure = new_figure(height + 2.0 * visible)
    figure.suptitle(title, fontsize=LARGE)
    if not visible:
        return figure, figure.add_subplot()
    upper, axes = figure.subplots(2, 1, height_ratios=[2.0, height])
    upper.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", interpolation="nearest")
    upper.set_axis_off()
    upper.set_title(f"the image, {image.shape[0]}x{image.shape[1]}x{image.shape[2]}", fontsize=NORMAL)
    return figure, axes


def _scale(figure, axes, drawn, label: str) -> None:
    bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.5, aspect=40, pad=0.02)
    bar.set_label(label, fontsize=NORMAL)
    bar.ax.tick_params(labelsize=SMALL)
