"""Image transforms that draw no random numbers, and Compose, which joins any.

A transform maps one numpy image [H,W,C], uint8 (0..255) or float (0..1), to another, of the same dtype where its
description does not say another. One that draws
random numbers (augment.py) takes a second argument, the ``numpy.random.Generator`` the loader made for this image from
(seed, epoch, index); so results depend neither on the number of workers nor on the order of the work.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import numpy as np

from .imaging import Size, resized, sides


def takes_generator(transform: Callable) -> bool:
    """Whether ``transform`` has a second positional parameter, for the loader's generator."""
    try:
        parameters = inspect.signature(transform).parameters.values()
    except (TypeError, ValueError):  # some builtins have no signature
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
    return len(positional) > 1 or any(p.kind == p.VAR_POSITIONAL for p in positional)


class Compose:
    """Apply ``transforms`` one after the other; those with a second argument share the image's generator."""

    def __init__(self, transforms: Iterable[Callable]):
        self.transforms = tuple(transforms)  # a list could change, and leave the next line behind
        self._with_generator = [takes_generator(t) for t in self.transforms]

    def __call__(self, image: np.ndarray, generator: np.random.Generator | None = None) -> np.ndarray:
        for transform, with_generator in zip(self.transforms, self._with_generator):
            image = transform(image, generator) if with_generator and generator is not None else transform(image)
        return image


class Rescale:
    """``image * scale + offset``: uint8 or float [H,W,C] in, float32 out. The default maps 0..255 to 0..1."""

    def __init__(self, scale: float = 1 / 255, offset: float = 0.0):
        self.scale, self.offset = np.float32(scale), np.float32(offset)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        return image.astype(np.float32) * self.scale + self.offset


class Normalize:
    """Subtract ``mean`` and divide by ``std``, one value or one per channel: uint8 or float in, float32 out.

    uint8 images are taken as 0..1 first. ValueError for a std that is not positive, for mean and std that do not go
    together, and for an image with another number of channels.
    """

    def __init__(self, mean, std):
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        if not (self.std > 0).all():
            raise ValueError(f"[data.Normalize] std must be positive. Received: std={std!r}.")
        self._channels = {array.size for array in (self.mean, self.std)} - {1}
        if max(self.mean.ndim, self.std.ndim) > 1 or len(self._channels) > 1:
            raise ValueError(
                f"[data.Normalize] mean and std are one number or one per channel. "
                f"Received: mean={mean!r}, std={std!r}."
            )

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if self._channels and image.shape[-1] not in self._channels:
            raise ValueError(
                f"[data.Normalize] the image must have the channels that mean and std are for. "
                f"Received: image {image.shape}, mean={self.mean.tolist()}, std={self.std.tolist()}."
            )
        pixels = image.astype(np.float32)
        if image.dtype == np.uint8:
            pixels /= np.float32(255)
        return (pixels - self.mean) / self.std


class Resize:
    """Resize, bilinear with antialiasing (Pillow's): to ``(height, width)``, or an int for the shorter side.

    With an int the proportions stay and the longer side is rounded down, as in torchvision. Images of other dtypes than
    uint8 become float32 where their size changes.
    """

    def __init__(self, size: Size):
        self._pair = sides("Resize", size)
        self.shorter = isinstance(size, (int, np.integer))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        if not self.shorter:
            return resized(image, self._pair)
        height, width = image.shape[:2]
        wanted, shorter = self._pair[0], min(height, width)
        return resized(image, (wanted * height // shorter, wanted * width // shorter))


class CenterCrop:
    """The middle of the image: ``size`` is an int (a square) or (height, width), at most the image's."""

    def __init__(self, size: Size):
        self.size = sides("CenterCrop", size)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        height, width = self.size
        top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
        if top < 0 or left < 0:
            raise ValueError(
                f"[data.CenterCrop] the image must be at least as large as the crop. "
                f"Received: image {image.shape}, size={self.size}."
            )
        return image[top : top + height, left : left + width]
