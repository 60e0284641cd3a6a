"""Pillow's part of the package: image files become arrays, and arrays change their size."""

from __future__ import annotations

import os
import struct
import zlib

import numpy as np

Size = int | tuple[int, int]  # one number for both axes, or (height, width)
_MODES = {1: "L", 3: "RGB"}
_DAMAGE = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)


def pillow():
    """The module PIL.Image; ImportError that says how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("[data] image files and sizes need Pillow: pip install pillow") from error
    return Image


def sides(owner: str, size: Size) -> tuple[int, int]:
    """(height, width) of ``size``; ValueError, in the name of ``owner``, for anything but positive integers."""
    pair = (size, size) if isinstance(size, (int, np.integer)) else tuple(size) if np.iterable(size) else ()
    if len(pair) != 2 or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n > 0 for n in pair):
        raise ValueError(f"[data.{owner}] size must be a positive integer or (height, width). Received: size={size!r}.")
    return int(pair[0]), int(pair[1])


def check_channels(owner: str, channels: int) -> None:
    if isinstance(channels, bool) or channels not in _MODES:
        raise ValueError(f"[data.{owner}] channels must be 1 or 3. Received: channels={channels!r}.")


def read_image(path: str | os.PathLike, size: Size | None = None, channels: int = 3, *, background=None) -> np.ndarray:
    """Read an image file as uint8 [H,W,channels], upright as its EXIF orientation says.

    size: an int (a square) or (height, width) to resize to, bilinear with antialiasing; None keeps the file's own.
    channels: 3 for RGB or 1 for luminance (ITU-R 601).
    background: what shows through transparent pixels, a grey level 0..255 or a colour (r, g, b); None forgets the
    transparency, as torchvision and Keras do, and shows whatever colour those pixels have.
    Raises ImportError without Pillow, FileNotFoundError for a missing file and ValueError for one that is not an image
    or has pixels without a known white: 32-bit integers and floating point.
    """
    image_module = pillow()
    check_channels("read_image", channels)
    wanted = None if size is None else sides("read_image", size)
    try:
        with image_module.open(path) as image:
            if wanted is not None:
                _shrink_early(image, max(wanted))
            pixels = _pixels(image, channels, background)
    except FileNotFoundError:
        raise
    except (*_DAMAGE, image_module.DecompressionBombError) as error:
        raise ValueError(f"[data] the file must be a whole image. Received: {path} ({error}).") from error
    return pixels if wanted is None else resized(pixels, wanted)


def _shrink_early(image, side: int) -> None:
    """Let a large JPEG leave out detail while it is decoded, down to twice the size it will be resized to.

    A photograph of a camera decodes three times as fast, and the filter of the resize hides the difference.
    """
    image.draft(None, (2 * side, 2 * side))


def _pixels(image, channels: int, background) -> np.ndarray:
    from PIL import ImageOps

    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    # Pillow's "I" is 32 bits wide, but holds the 16 of PNG (in older versions) and of PGM.
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        raise ValueError(f"its pixels have Pillow's mode {image.mode!r}, of which nobody knows what is white")
    if image.mode.startswith("I"):  # 16 bits: 65,535 is white, but convert would cut off at 255
        image = pillow().fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    if background is not None and image.has_transparency_data:
        image = image.convert("RGBA")
        colour = (background,) * 3 if np.isscalar(background) else tuple(background)
        image = pillow().alpha_composite(pillow().new("RGBA", image.size, (*colour, 255)), image)
    pixels = np.asarray(image.convert(_MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels).copy()


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """``image`` [H,W,C], uint8 or float32, at ``size`` = (height, width): bilinear, antialiased where it shrinks."""
    if image.shape[:2] == size:
        return image
    image_module = pillow()
    height, width = size

    def one(plane):
        return image_module.fromarray(plane).resize((width, height), image_module.Resampling.BILINEAR)

    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(one(np.ascontiguousarray(image)))
    planes = image if image.dtype == np.uint8 else image.astype(np.float32)
    return np.stack([one(np.ascontiguousarray(planes[..., c])) for c in range(image.shape[2])], axis=-1)
