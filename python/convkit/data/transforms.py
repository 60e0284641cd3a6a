"""Image transforms: callables that take and return a numpy image [H,W,C].

A transform that draws random numbers takes a second argument, the ``numpy.random.Generator`` the loader made for this
image from (seed, epoch, index); so results depend neither on the number of workers nor on the order of the work.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

import numpy as np


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
        self.transforms = list(transforms)
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
    """Subtract ``mean`` and divide by ``std``, one value or one per channel; uint8 images are taken as 0..1 first."""

    def __init__(self, mean, std):
        self.mean, self.std = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        if not (self.std > 0).all():
            raise ValueError(f"[data.Normalize] std must be positive. Received: std={std!r}.")

    def __call__(self, image: np.ndarray) -> np.ndarray:
        pixels = image.astype(np.float32)
        if image.dtype == np.uint8:
            pixels /= np.float32(255)
        return (pixels - self.mean) / self.std


class RandomHorizontalFlip:
    """Mirror left and right with probability ``p``."""

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"[data.RandomHorizontalFlip] p must lie in 0..1. Received: p={p!r}.")
        self.p = p

    def __call__(self, image: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return image[:, ::-1] if generator.random() < self.p else image
