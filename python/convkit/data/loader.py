"""Batches from arrays or a data set, prepared in background threads, the same stream for any number of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .transforms import takes_generator


class _Pair:
    """Two arrays as a data set."""

    def __init__(self, x, y):
        self.x, self.y = np.asarray(x), np.asarray(y)
        if self.x.ndim == 0 or self.y.ndim == 0 or len(self.x) != len(self.y):
            raise ValueError(
                f"[data.DataLoader] images and labels must pair up. "
                f"Received: images {self.x.shape}, labels {self.y.shape}."
            )

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def _is_pair(data) -> bool:
    """(x, y) or [x, y]; a list of two (image, label) items is a data set."""
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        return False
    return isinstance(data, tuple) or all(hasattr(part, "shape") for part in data)


def as_inputs(x: np.ndarray) -> np.ndarray:
    """Batch of images as C-contiguous float32; bytes are taken as fractions of 255."""
    if x.dtype == np.uint8:
        return np.divide(x, np.float32(255), dtype=np.float32, order="C")
    return np.ascontiguousarray(x, np.float32)


def as_labels(y: np.ndarray) -> np.ndarray:
    """Class numbers as int64; targets of another kind (probabilities, values) as float32."""
    return np.ascontiguousarray(y, np.float32 if y.dtype.kind == "f" else np.int64)


class DataLoader:
    """Yield ``(x float32 [N,H,W,C], y int64 [N])`` tensors, one pass over ``data`` per loop.

    data: a pair of arrays (x, y), or any object with ``__len__`` and ``__getitem__`` that returns (image, label).
    uint8 images become x/255 unless ``transform`` already returned floats; float labels stay float32.
    shuffle: every loop is a new epoch with its own permutation, a function of (seed, epoch) alone; ``epoch`` is the
    number the next loop will have and may be set.
    transform: maps one numpy image [H,W,C] to another; when it has a second argument it is handed a
    ``numpy.random.Generator`` seeded by (seed, epoch, index of the image).
    drop_last: leave out a last batch smaller than ``batch_size``.
    workers: background threads that prepare batches ahead; 0 prepares each in the loop itself. They end with the
    loop, also when it is left early.
    """

    def __init__(
        self,
        data,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        transform: Callable | None = None,
        drop_last: bool = False,
        workers: int = 1,
    ):
        for name, value, low in (("batch_size", batch_size, 1), ("seed", seed, 0), ("workers", workers, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
                raise ValueError(f"[data.DataLoader] {name} must be an integer >= {low}. Received: {name}={value!r}.")
        self.data = _Pair(*data) if _is_pair(data) else data
        if not (hasattr(self.data, "__len__") and hasattr(self.data, "__getitem__")) or hasattr(self.data, "shape"):
            raise TypeError(
                f"[data.DataLoader] data must be a pair of arrays or have __len__ and __getitem__. "
                f"Received: {type(data).__name__}."
            )
        self.batch_size, self.shuffle, self.seed = int(batch_size), shuffle, int(seed)
        self.transform, self.drop_last, self.workers = transform, drop_last, int(workers)
        self._with_generator = transform is not None and takes_generator(transform)
        self.epoch = 0

    def __len__(self) -> int:
        """Batches per epoch."""
        whole, rest = divmod(len(self.data), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator:
        epoch, self.epoch = self.epoch, self.epoch + 1
        order = np.arange(len(self.data))
        if self.shuffle:
            self._generator(epoch).shuffle(order)
        batches = [order[i * self.batch_size : (i + 1) * self.batch_size] for i in range(len(self))]
        return self._loop(epoch, batches)

    def _loop(self, epoch, batches):
        from .. import from_numpy  # not at the top: reading data sets needs no compiled part

        for x, y in self._prepared(epoch, batches):
            yield from_numpy(x, copy=False), from_numpy(y, copy=False)

    def _prepared(self, epoch, batches):
        """The batches as arrays, in order, with up to two per worker in the making or ready."""
        if self.workers == 0:
            yield from (self._batch(epoch, indices) for indices in batches)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="convkit-data")
        try:
            ahead = deque()
            for indices in batches:
                ahead.append(pool.submit(self._batch, epoch, indices))
                if len(ahead) > 2 * self.workers:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _generator(self, *key):
        # As spawn_key the numbers are never confused: (epoch,) and (epoch, 0) give unrelated streams.
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.seed, spawn_key=key)))

    def _batch(self, epoch, indices):
        if isinstance(self.data, _Pair) and self.transform is None:
            return as_inputs(self.data.x[indices]), as_labels(self.data.y[indices])
        images, labels = zip(*(self._item(epoch, int(index)) for index in indices))
        try:
            stacked = np.stack(images)
        except ValueError as error:
            shapes = sorted({np.shape(image) for image in images})
            raise ValueError(
                f"[data.DataLoader] the images of a batch must have one shape. Received: {shapes}."
            ) from error
        return as_inputs(stacked), as_labels(np.asarray(labels))

    def _item(self, epoch, index):
        image, label = self.data[index]
        if self._with_generator:
            image = self.transform(image, self._generator(epoch, index))
        elif self.transform is not None:
            image = self.transform(image)
        return image, label
