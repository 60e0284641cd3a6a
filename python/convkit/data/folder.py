"""Images in folders: one subfolder per class, read through Pillow."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def read_image(path: str | os.PathLike, size: int | tuple[int, int], channels: int = 3) -> np.ndarray:
    """Read an image file as uint8 [H,W,channels], resized (bilinear) to ``size``, an int or (height, width).

    channels: 3 for RGB or 1 for luminance (ITU-R 601). Raises ImportError without Pillow, FileNotFoundError for a
    missing file and ValueError for one that is not an image.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ImportError("[data] reading image files needs Pillow: pip install pillow") from error
    height, width = (size, size) if isinstance(size, (int, np.integer)) else size
    try:
        with Image.open(path) as image:
            image = image.convert({1: "L", 3: "RGB"}[channels])
    except FileNotFoundError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"[data] the file must be a whole image. Received: {path} ({error}).") from error
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.array(image, np.uint8).reshape(height, width, channels)


class ImageFolder:
    """A data set of ``directory/<class>/<image file>``; item i is (image uint8 [H,W,channels], class number).

    size: int or (height, width) every image is resized to.
    classes: class names in the order of their numbers; by default the subfolders' names in sorted order.
    channels: 3 for RGB, 1 for luminance.
    Files are taken in sorted order, class by class. Raises FileNotFoundError for a missing folder, ValueError when a
    class or every image is missing, ImportError without Pillow.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        size: int | tuple[int, int],
        classes: Sequence[str] | None = None,
        *,
        channels: int = 3,
    ):
        directory = Path(directory)
        if not directory.is_dir():
            raise FileNotFoundError(f"[data.ImageFolder] the folder must exist. Received: {str(directory)!r}.")
        present = sorted(entry.name for entry in directory.iterdir() if entry.is_dir())
        self.classes = list(present if classes is None else classes)
        if missing := [name for name in self.classes if name not in present]:
            raise ValueError(
                f"[data.ImageFolder] every class needs its subfolder. Received: {str(directory)!r} without {missing}."
            )
        self.size, self.channels = size, channels
        self.files = [
            (path, number)
            for number, name in enumerate(self.classes)
            for path in sorted((directory / name).rglob("*"))
            if path.suffix.lower() in _SUFFIXES
        ]
        if not self.files:
            raise ValueError(
                f"[data.ImageFolder] the folder must hold <class>/<image file>. Received: {str(directory)!r}."
            )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path, number = self.files[index]
        return read_image(path, self.size, self.channels), number
