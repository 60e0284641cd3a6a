"""Random image transforms: each draws what it needs from the generator that the loader made for the image.

Images are numpy arrays [H,W,C], uint8 (0..255) or float (0..1), and keep their dtype. ``fill`` says what lies beyond
the edges: "reflect" (dcba|abcd|dcba, which Keras calls so and numpy "symmetric"), "nearest" (aaaa|abcd|dddd) or
"constant" (``value``).
"""

from __future__ import annotations

import math

import numpy as np

from .imaging import Size, resized, sides

_FILLS = ("reflect", "constant", "nearest")
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: ITU-R 601


def _check_fill(owner: str, fill: str) -> None:
    if fill not in _FILLS:
        raise ValueError(f"[data.{owner}] fill must be one of {', '.join(_FILLS)}. Received: fill={fill!r}.")


def _places(index: np.ndarray, size: int, fill: str) -> np.ndarray:
    """Where within 0..size-1 the pixel for ``index`` is; for "constant" the caller looks at what was outside."""
    if fill == "reflect":
        index = index % (2 * size)
        return np.minimum(index, 2 * size - 1 - index)
    return np.clip(index, 0, size - 1)


def _is_range(given, most: float) -> bool:
    """Whether ``given`` is (low, high), finite numbers up to ``most``."""
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        return False
    return -math.inf < low <= high <= most and high < math.inf


class RandomHorizontalFlip:
    """Mirror left and right with probability ``p``."""

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"[data.RandomHorizontalFlip] p must lie in 0..1. Received: p={p!r}.")
        self.p = p

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return image[:, ::-1] if generator.random() < self.p else image


class RandomCrop:
    """A window of ``size`` (an int for a square, or (height, width)) at a random place of the padded image.

    padding: pixels added on each side, an int, (h, w) or ((top, bottom), (left, right)); ``fill`` and ``value`` are
    what they show. Raises ValueError for an image smaller than the window.
    """

    def __init__(self, size: Size, padding=0, *, fill: str = "constant", value: float = 0):
        _check_fill("RandomCrop", fill)
        self.size = sides("RandomCrop", size)
        try:
            pads = np.broadcast_to(np.asarray(padding).reshape(-1, 1) if np.ndim(padding) == 1 else padding, (2, 2))
            whole = np.issubdtype(pads.dtype, np.integer) and (pads >= 0).all()
        except ValueError:
            whole = False
        if not whole:
            raise ValueError(
                f"[data.RandomCrop] padding must be an integer >= 0, (h, w) or ((top, bottom), (left, right)). "
                f"Received: padding={padding!r}."
            )
        self.padding = tuple((int(before), int(after)) for before, after in pads)
        self.fill, self.value = fill, value

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        index = []
        for size, length, (before, after) in zip(self.size, image.shape, self.padding):
            room = length + before + after - size
            if room < 0:
                raise ValueError(
                    f"[data.RandomCrop] the padded image must be at least as large as the crop. "
                    f"Received: image {image.shape}, padding={self.padding}, size={self.size}."
                )
            index.append(int(generator.integers(room + 1)) - before + np.arange(size))
        rows, columns = (_places(i, length, self.fill) for i, length in zip(index, image.shape))
        crop = image[rows[:, None], columns]
        if self.fill == "constant":
            crop[rows != index[0]] = self.value
            crop[:, columns != index[1]] = self.value
        return crop


class RandomResizedCrop:
    """A random part of the image, resized to ``size``: "inception" cropping (Szegedy et al. 2015), as in torchvision.

    size: an int (a square) or (height, width). scale: range of the part's area over the image's. ratio: range of its
    width over its height. Where ten tries give no part that fits, the largest one of a permitted ratio in the middle.
    Images of other dtypes than uint8 become float32 where their size changes.
    """

    def __init__(
        self, size: Size, scale: tuple[float, float] = (0.08, 1.0), ratio: tuple[float, float] = (3 / 4, 4 / 3)
    ):
        self.size = sides("RandomResizedCrop", size)
        if not (_is_range(scale, 1) and _is_range(ratio, math.inf) and min(scale[0], ratio[0]) > 0):
            raise ValueError(
                f"[data.RandomResizedCrop] scale and ratio must be ranges (low, high), scale within 0..1. "
                f"Received: scale={scale!r}, ratio={ratio!r}."
            )
        self.scale, self.ratio = tuple(scale), tuple(ratio)

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        top, left, height, width = self._part(*image.shape[:2], generator)
        return resized(image[top : top + height, left : left + width], self.size)

    def _part(self, rows: int, columns: int, generator) -> tuple[int, int, int, int]:
        """(top, left, height, width)"""
        for _ in range(10):
            area = rows * columns * generator.uniform(*self.scale)
            ratio = math.exp(generator.uniform(*map(math.log, self.ratio)))
            width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < width <= columns and 0 < height <= rows:
                return (
                    int(generator.integers(rows - height + 1)),
                    int(generator.integers(columns - width + 1)),
                    height,
                    width,
                )
        ratio = min(max(columns / rows, self.ratio[0]), self.ratio[1])
        height, width = min(rows, max(1, round(columns / ratio))), min(columns, max(1, round(rows * ratio)))
        return (rows - height) // 2, (columns - width) // 2, height, width


class RandomRotation:
    """Turn the image about its middle by a random angle, bilinear; the size stays.

    degrees: the largest angle, to both sides, or (low, high); positive is counter-clockwise. The dtype stays. ``value``
    is in the image's own numbers: 0..255 for uint8, 0..1 for float.
    """

    def __init__(self, degrees: float | tuple[float, float], fill: str = "reflect", *, value: float = 0):
        _check_fill("RandomRotation", fill)
        given = degrees if np.iterable(degrees) else (-degrees, degrees)
        if not _is_range(given, math.inf):
            raise ValueError(
                f"[data.RandomRotation] degrees must be a number >= 0 or (low, high). Received: degrees={degrees!r}."
            )
        if not math.isfinite(value):
            raise ValueError(f"[data.RandomRotation] value must be a finite number. Received: value={value!r}.")
        self.degrees, self.fill, self.value = tuple(given), fill, value

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return _rotated(image, generator.uniform(*self.degrees), self.fill, self.value)


def _rotated(image: np.ndarray, degrees: float, fill: str, value: float) -> np.ndarray:
    height, width, channels = image.shape
    cos, sin = np.float32(math.cos(math.radians(degrees))), np.float32(math.sin(math.radians(degrees)))
    y = np.arange(height, dtype=np.float32)[:, None] - np.float32((height - 1) / 2)
    x = np.arange(width, dtype=np.float32) - np.float32((width - 1) / 2)
    y, x = cos * y + sin * x + np.float32((height - 1) / 2), cos * x - sin * y + np.float32((width - 1) / 2)
    top, left = np.floor(y), np.floor(x)
    down, right = y - top, x - left  # shares of the lower and of the right neighbour
    top, left = top.astype(np.int64), left.astype(np.int64)
    pixels = image.reshape(-1, channels)
    total = np.zeros((height, width, channels), np.float32)
    for row, row_share in ((top, 1 - down), (top + 1, down)):
        own_row = _places(row, height, fill)
        for column, column_share in ((left, 1 - right), (left + 1, right)):
            own_column = _places(column, width, fill)
            part = pixels.take(own_row * width + own_column, axis=0)
            if fill == "constant":
                part[(own_row != row) | (own_column != column)] = value
            total += part * (row_share * column_share)[..., None]
    return _in_kind(total, image.dtype)


def _in_kind(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float pixels in the dtype of the image they were made from."""
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8) if dtype == np.uint8 else pixels.astype(dtype)


class ColorJitter:
    """Change brightness, contrast, saturation and hue by random amounts, in random order, as in torchvision.

    brightness, contrast, saturation: a factor is drawn from [max(0, 1 - b), 1 + b], or from a given (low, high); 1
    changes nothing. hue: the shift around the circle of colours, drawn from [-h, h] with h <= 0.5, or from (low, high).
    Images have one channel, whose saturation and hue are left alone, or three.
    """

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        self.brightness = _factors("brightness", brightness)
        self.contrast = _factors("contrast", contrast)
        self.saturation = _factors("saturation", saturation)
        self.hue = tuple(hue) if np.iterable(hue) else (-hue, hue)
        if not -0.5 <= self.hue[0] <= self.hue[1] <= 0.5:
            raise ValueError(f"[data.ColorJitter] hue must lie in 0..0.5, or be a range within. Received: hue={hue!r}.")

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        if image.shape[-1] not in (1, 3):
            raise ValueError(f"[data.ColorJitter] an image has 1 or 3 channels. Received: {image.shape}.")
        colour = image.shape[-1] == 3
        white = np.float32(255 if image.dtype == np.uint8 else 1)
        steps = [(_brightened, self.brightness, 1), (_contrasted, self.contrast, 1)]
        steps += [(_saturated, self.saturation, 1), (_turned, self.hue, 0)] if colour else []
        pixels = image.astype(np.float32) / white
        for number in generator.permutation(len(steps)):
            change, limits, nothing = steps[number]
            if limits != (nothing, nothing):
                pixels = np.clip(change(pixels, np.float32(generator.uniform(*limits))), 0, 1)
        return _in_kind(pixels * white, image.dtype)


def _factors(name: str, given) -> tuple[float, float]:
    low, high = given if np.iterable(given) else (max(0, 1 - given), 1 + given)
    if not 0 <= low <= high:
        raise ValueError(f"[data.ColorJitter] {name} must be a number >= 0 or (low, high). Received: {name}={given!r}.")
    return low, high


def _grey(pixels: np.ndarray) -> np.ndarray:
    """Luminance [H,W,1]."""
    return pixels @ _LUMINANCE[:, None] if pixels.shape[-1] == 3 else pixels


def _brightened(pixels, factor):
    return pixels * factor


def _contrasted(pixels, factor):
    return pixels * factor + (1 - factor) * _grey(pixels).mean()


def _saturated(pixels, factor):
    return pixels * factor + (1 - factor) * _grey(pixels)


def _turned(pixels, shift):
    """The hue moved by ``shift`` of the whole circle, through HSV (Smith 1978)."""
    value, lowest = pixels.max(-1), pixels.min(-1)
    chroma = value - lowest
    r, g, b = np.moveaxis(pixels, -1, 0)
    divisor = np.where(chroma > 0, chroma, 1)
    sector = np.where(value == r, (g - b) / divisor, np.where(value == g, 2 + (b - r) / divisor, 4 + (r - g) / divisor))
    turned = []
    for offset in (5, 3, 1):  # red, green, blue
        place = (offset + sector + 6 * shift) % 6
        turned.append(value - chroma * np.clip(np.minimum(place, 4 - place), 0, 1))
    return np.stack(turned, -1)
