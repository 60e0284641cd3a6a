"""How a classifier did: its learning curves, its confusions and the images it got wrong."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

import numpy as np

from .canvas import (
    BLUE,
    GREEN,
    GREY,
    LARGE,
    NORMAL,
    ORANGE,
    SMALL,
    draw_tiles,
    finish,
    fit,
    grid_size,
    new_figure,
    tile_height,
)

_NUMBERED = 25  # classes up to which a cell of the confusion matrix holds its count
_NAMED = 40  # class names that fit beside it; of more, every n-th is written
_COLOURS = (BLUE, ORANGE, GREEN, "#805ad5", "#d69e2e", "#d53f8c", "#1a202c", GREY)


def learning_curves(history: Mapping, path: str | os.PathLike | None = None, *, title: str | None = None):
    """Loss and accuracy over the epochs, training solid and validation dashed.

    history: a ``train.History``, or its columns as ``to_json`` writes them; or several runs, {name: history}. An
    accuracy that is NaN throughout is left out; of a loss that is, an empty panel stays. Returns the
    matplotlib Figure.
    """
    runs = history if all(isinstance(value, Mapping) for value in history.values()) else {"": history}
    if not runs or not all(len(run.get("loss", ())) for run in runs.values()):
        raise ValueError("[viz.learning_curves] a history must hold at least one epoch. Received: none.")
    measured = [name for name in ("loss", "accuracy") if any(_finite(run, name) for run in runs.values())]
    measured = measured or ["loss"]
    figure = new_figure(3.6 + 0.25 * len(runs))
    panels = figure.subplots(1, len(measured), squeeze=False)[0]
    for axes, name in zip(panels, measured):
        for colour, (run_name, run) in zip(_cycle(len(runs)), runs.items()):
            for column, style, kind in ((name, "-", "training"), (f"val_{name}", "--", "validation")):
                values = [math.nan if value is None else value for value in run.get(column, ())]
                if values and not all(map(math.isnan, values)):
                    label = f"{run_name}, {kind}" if run_name else kind
                    epochs = range(1, len(values) + 1)
                    marker = "o" if len(values) <= 30 else None
                    axes.plot(epochs, values, style, color=colour, label=label, marker=marker, markersize=3)
        axes.set_xlabel("epoch", fontsize=NORMAL)
        axes.set_ylabel(
            "loss (nats for cross-entropy)" if name == "loss" else "accuracy (share of images)", fontsize=NORMAL
        )
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.tick_params(labelsize=SMALL)
        axes.grid(True, linewidth=0.4, alpha=0.6)
    handles, labels = panels[0].get_legend_handles_labels()
    if not handles:
        panels[0].text(0.5, 0.5, "no finite value", ha="center", fontsize=NORMAL, transform=panels[0].transAxes)
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=SMALL, frameon=False)
    figure.suptitle(title or "Learning curves", fontsize=LARGE)
    return finish(figure, path)


def _finite(run: Mapping, name: str) -> bool:
    values = [*run.get(name, ()), *run.get(f"val_{name}", ())]
    return any(value is not None and math.isfinite(value) for value in values)


def _cycle(count: int) -> list[str]:
    return [_COLOURS[number % len(_COLOURS)] for number in range(count)]


def confusion_matrix(
    labels, predicted, path: str | os.PathLike | None = None, *, classes: Sequence[str] | None = None, title=None
):
    """How often each class (rows) was taken for which (columns).

    labels: class numbers [N]. predicted: class numbers [N], or logits or probabilities [N,K] of which the greatest
    counts. classes: names in the order of their numbers. A cell's colour is its share of the row; its figure, the
    count, is drawn for up to 25 classes. Returns the matplotlib Figure.
    """
    labels, chosen, _ = _checked("confusion_matrix", labels, predicted)
    names = _names(classes, labels, chosen, predicted)
    count = len(names)
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (labels, chosen), 1)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure = new_figure(7.0 if count > 4 else 5.0)
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal" if count > 4 else "auto")
    numbered = count <= _NUMBERED
    shown = range(0, count, -(-count // _NAMED))
    short = [fit(names[number], 1.3) for number in shown]
    axes.set_xticks(shown, short, rotation=45 if numbered else 90, ha="right" if numbered else "center")
    axes.set_yticks(shown, short)
    axes.tick_params(labelsize=SMALL)
    for row, column in np.argwhere(matrix) if numbered else ():
        colour = "white" if shares[row, column] > 0.6 else "black"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=SMALL, color=colour)
    axes.set_xlabel("class that was predicted", fontsize=NORMAL)
    axes.set_ylabel("class it is", fontsize=NORMAL)
    bar = figure.colorbar(drawn, ax=axes, shrink=0.8)
    bar.set_label("share of the images of a class", fontsize=NORMAL)
    bar.ax.tick_params(labelsize=SMALL)
    right = int(np.trace(matrix))
    figure.suptitle(title or f"{right:,} of {len(labels):,} right: accuracy {right / len(labels):.1%}", fontsize=LARGE)
    return finish(figure, path)


def misclassified(
    images,
    labels,
    predicted,
    path: str | os.PathLike | None = None,
    *,
    classes: Sequence[str] | None = None,
    limit: int = 20,
    title: str | None = None,
):
    """The images that were taken for something else, with what they are and what they were taken for.

    images: [N,H,W,1 or 3], uint8 or float 0..1. predicted: class numbers [N], or logits or probabilities [N,K], with
    which the most decided mistakes come first; a row that sums to 1 is taken as probabilities and shown as percent.
    limit: images shown at most. Returns the matplotlib Figure.
    """
    labels, chosen, values = _checked("misclassified", labels, predicted)
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or len(images) != len(labels):
        raise ValueError(
            f"[viz.misclassified] there must be one image [H,W,1 or 3] per label. "
            f"Received: images {images.shape}, labels {labels.shape}."
        )
    names = _names(classes, labels, chosen, predicted)
    wrong = np.flatnonzero(labels != chosen)
    surety = None if values is None else _probabilities(values)[np.arange(len(labels)), chosen]
    if surety is not None:
        wrong = wrong[np.argsort(-surety[wrong], kind="stable")]
    shown = wrong[:limit]
    text = f"{len(wrong):,} of {len(labels):,} images misclassified"
    text += f", the {len(shown)} most decided ones" if surety is not None and len(shown) < len(wrong) else ""
    title = title or text
    if not len(shown):
        figure = new_figure(0.6)
        figure.suptitle(title, fontsize=LARGE)
        return finish(figure, path)
    captions = []
    for index in shown:
        sure = "" if surety is None else f", {surety[index]:.0%}"
        captions.append(f"{fit(names[labels[index]], 1.4)}\nnot {fit(names[chosen[index]], 0.8)}{sure}")
    tiles = images[shown] if images.dtype == np.uint8 else np.clip(images[shown], 0, 1)
    tiles = tiles[..., 0] if tiles.shape[-1] == 1 else tiles
    rows, columns = grid_size(len(tiles), 5)
    figure = new_figure(tile_height(tiles, rows, columns, 2) + 0.8)
    figure.suptitle(title, fontsize=LARGE)
    how_sure = "" if surety is None else ", with the probability that the model gave it"
    figure.supxlabel(f"above: the class it is; below: the class it was taken for{how_sure}", fontsize=NORMAL)
    white = 255 if tiles.dtype == np.uint8 else 1
    draw_tiles(figure.add_subplot(), tiles, captions, columns, lines=2, cmap="gray", vmin=0, vmax=white)
    return finish(figure, path)


def _checked(name: str, labels, predicted) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(labels, chosen classes, the values [N,K] they were chosen by, if given)"""
    labels, predicted = np.asarray(labels), np.asarray(predicted)
    values = predicted if predicted.ndim == 2 else None
    chosen = predicted if values is None else values.argmax(-1)
    if (
        labels.ndim != 1
        or chosen.shape != labels.shape
        or not labels.size
        or {labels.dtype.kind, chosen.dtype.kind} - {*"iu"}
    ):
        raise ValueError(
            f"[viz.{name}] labels must be class numbers [N], predicted class numbers [N] or values [N,K]. "
            f"Received: labels {labels.dtype} {labels.shape}, predicted {predicted.dtype} {predicted.shape}."
        )
    if min(labels.min(), chosen.min()) < 0:
        raise ValueError(f"[viz.{name}] class numbers are at least 0. Received: {min(labels.min(), chosen.min())}.")
    return labels.astype(np.int64), chosen.astype(np.int64), values


def _names(classes: Sequence[str] | None, labels: np.ndarray, chosen: np.ndarray, predicted) -> list[str]:
    predicted = np.asarray(predicted)
    needed = max(int(labels.max()), int(chosen.max())) + 1
    needed = max(needed, predicted.shape[1]) if predicted.ndim == 2 else needed
    names = [str(number) for number in range(needed)] if classes is None else list(classes)
    if len(names) < needed:
        raise ValueError(f"[viz] classes must name all {needed} classes. Received: {len(names)} names.")
    return names


def _probabilities(values: np.ndarray) -> np.ndarray:
    """``values`` [N,K] themselves where rows sum to 1, else their softmax."""
    values = values.astype(np.float64)
    if (values >= 0).all() and np.allclose(values.sum(-1), 1, atol=1e-3):
        return values
    powers = np.exp(values - values.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
