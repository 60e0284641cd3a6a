"""Images in folders: one subfolder per class."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from .imaging import Size, check_channels, read_image, sides

_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_NAMED = 10  # unreadable files that a warning lists by name; ``skipped`` has all of them


class ImageFolder:
    """A data set of ``directory/<class>/<image file>``; item i is (image uint8 [H,W,channels], class number).

    size: an int (a square) or (height, width) that every image is resized to; None keeps each file's own, for a
    transform that crops or resizes.
    classes: class names in the order of their numbers, by default the subfolders' names in sorted order. A name may be
    a path to a folder further down, "animals/birds".
    channels, background: see ``read_image``.
    unreadable: "refuse" raises a ValueError with the file's name when its turn comes; "skip" decodes every file once,
    now and on all cores, leaves out those that cannot be read and warns with their names.

    Files are taken in sorted order, class by class, with all folders below; what begins with a dot is ignored. A
    DataLoader reads them in its worker threads. Attributes: ``classes``; ``files``, a list of (path, class number);
    ``labels``, the class numbers as int64 [N]; ``skipped``, a list of (path, reason). Raises FileNotFoundError for a
    missing folder, ValueError when a class or every image is missing, a class is named twice or lies in another one's
    folder, or size or channels mean nothing, ImportError without Pillow.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        size: Size | None,
        classes: Sequence[str] | None = None,
        *,
        channels: int = 3,
        background=None,
        unreadable: str = "refuse",
    ):
        directory = Path(directory)
        if not directory.is_dir():
            raise FileNotFoundError(f"[data.ImageFolder] the folder must exist. Received: {str(directory)!r}.")
        if unreadable not in ("refuse", "skip"):
            raise ValueError(
                f'[data.ImageFolder] unreadable must be "refuse" or "skip". Received: unreadable={unreadable!r}.'
            )
        if size is not None:
            sides("ImageFolder", size)
        check_channels("ImageFolder", channels)
        present = sorted(entry.name for entry in directory.iterdir() if entry.is_dir() and entry.name[0] != ".")
        self.classes = list(present if classes is None else classes)
        if missing := [name for name in self.classes if not (directory / name).is_dir()]:
            raise ValueError(
                f"[data.ImageFolder] every class needs its subfolder. Received: {str(directory)!r} without {missing}."
            )
        _check_apart(directory, self.classes)
        self.size, self.channels, self.background = size, channels, background
        self.files = [
            (path, number) for number, name in enumerate(self.classes) for path in _image_files(directory / name)
        ]
        self.skipped: list[tuple[Path, str]] = []
        if unreadable == "skip":
            self._skip_unreadable()
        if not self.files:
            raise ValueError(
                f"[data.ImageFolder] the folder must hold <class>/<image file>. Received: {str(directory)!r}."
            )

    @property
    def labels(self) -> np.ndarray:
        """Class number of every item, int64 [N], without reading an image."""
        return np.array([number for _, number in self.files], np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path, number = self.files[index]
        return self._read(path), number

    def _read(self, path: Path) -> np.ndarray:
        return read_image(path, self.size, self.channels, background=self.background)

    def _damage(self, path: Path) -> str | None:
        """Why the file cannot be read; None when it can."""
        try:
            self._read(path)
        except ValueError as error:
            return str(error.__cause__ or error)
        return None

    def _skip_unreadable(self) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            reasons = list(pool.map(self._damage, (path for path, _ in self.files)))
        self.skipped = [(path, reason) for (path, _), reason in zip(self.files, reasons) if reason is not None]
        self.files = [file for file, reason in zip(self.files, reasons) if reason is None]
        if self.skipped:
            names = "; ".join(f"{path} ({reason})" for path, reason in self.skipped[:_NAMED])
            rest = f"; and {len(self.skipped) - _NAMED} more" if len(self.skipped) > _NAMED else ""
            warnings.warn(
                f"[data.ImageFolder] skipped {len(self.skipped)} unreadable image files: {names}{rest}.", stacklevel=3
            )


def _check_apart(directory: Path, classes: list[str]) -> None:
    """No image may belong to two classes."""
    taken: dict[Path, str] = {}
    for name in classes:
        folder = (directory / name).resolve()
        if folder in taken:
            raise ValueError(
                f"[data.ImageFolder] every class has a folder of its own. Received: {taken[folder]!r}, {name!r}."
            )
        taken[folder] = name
    for folder, name in taken.items():
        if above := next((taken[parent] for parent in folder.parents if parent in taken), None):
            raise ValueError(
                f"[data.ImageFolder] no class may lie in the folder of another. Received: {name!r} in {above!r}."
            )


def _image_files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    return sorted(p for p in found if not any(part[0] == "." for part in p.relative_to(folder).parts))
