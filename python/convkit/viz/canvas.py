"""What all pictures share: the figure, its file, and tiles with captions."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

WIDTH = 8.0  # inches at 100 dots: 800 pixels
DOTS = 100
SMALL, NORMAL, LARGE = 8, 9, 11  # points; at 100 dots an inch, 8 points are 11 pixels
BLUE, ORANGE, GREEN, GREY = "#2b6cb0", "#c05621", "#2f855a", "#718096"


def new_figure(height: float):
    """An empty figure, 8 inches wide and ``height`` inches high; ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError('[viz] pictures need matplotlib: pip install "convkit[viz]"') from error
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.08)  # inches
    return figure


def finish(figure, path: str | os.PathLike | None):
    """Write the figure to ``path``, if there is one, and return it."""
    if path is not None:
        figure.savefig(path)
    return figure


def fit(text: str, inches: float) -> str:
    """``text`` for letters of size SMALL, cut with an ellipsis where it is wider; its dollars stay dollars."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font, cut = FontProperties(size=SMALL), text
    while len(cut) > 1 and text_to_path.get_text_width_height_descent(cut, font, False)[0] > 72 * inches:
        cut = cut.removesuffix("…")[:-1] + "…"
    return cut.replace("$", r"\$")  # a pair of them would be read as mathematics


def grid_size(count: int, most: int) -> tuple[int, int]:
    """(rows, columns) for ``count`` tiles: at most ``most`` columns, and at least 4, so that no tile is huge."""
    columns = min(most, max(count, 4))
    return -(-count // columns), columns


def tile_height(images: np.ndarray, rows: int, columns: int, lines: int) -> float:
    """Inches that ``rows`` of tiles take when ``columns`` of them fill the width, with ``lines`` of caption each."""
    width = (WIDTH - 0.8) / columns
    return rows * (width * images.shape[1] / images.shape[2] * 0.96 + lines * _line())


def _line() -> float:
    return 1.5 * SMALL / 72  # inches


def draw_tiles(axes, images: np.ndarray, captions: Sequence[str], columns: int, lines: int = 1, **options):
    """Images [N,h,w] or [N,h,w,3] side by side in one pair of axes, each with its caption above.

    Returns the last of matplotlib's images, which has the scale of all when ``options`` fix vmin and vmax.
    """
    ratio = images.shape[1] / images.shape[2]
    caption = lines * _line() / ((WIDTH - 0.8) / columns)  # in widths of a tile
    step = ratio * 0.96 + caption
    drawn = None
    for number, (image, text) in enumerate(zip(images, captions)):
        row, column = divmod(number, columns)
        top = row * step + caption
        drawn = axes.imshow(
            image, extent=(column + 0.02, column + 0.98, top + 0.96 * ratio, top), interpolation="nearest", **options
        )
        axes.text(column + 0.5, top - 0.1 * caption, text, ha="center", va="bottom", fontsize=SMALL, linespacing=1.1)
    rows = -(-len(images) // columns)
    axes.set(xlim=(0, columns), ylim=(rows * step, 0), aspect="equal")
    axes.set_axis_off()
    return drawn
