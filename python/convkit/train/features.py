"""The features of a frozen trunk, computed once for many epochs of training a head."""

from __future__ import annotations

from itertools import islice

import numpy as np

from ..autograd import no_grad
from .evaluation import as_loader, mode, placing


def features(model, data, *, batch_size: int = 64, steps: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What ``model`` makes of one pass over ``data``: (float32 [N, ...], labels [N]), a pair that ``fit`` takes.

    A trunk that does not learn gives the same features in every epoch, unless the images change: with random
    transforms, each image has the one form that this pass drew. Where the head sees only the features, training it on
    them costs little beside running the trunk in every epoch. ``numpy.savez`` keeps them for the next run.

    data: a DataLoader or a pair of arrays, read in batches of ``batch_size``; labels are in its order. steps bounds
    the batches. Runs in evaluation mode without recording gradients and restores the mode. ValueError for no data.
    """
    place, values, labels = placing(model), [], []
    with mode(model, training=False), no_grad():
        for x, y in islice(as_loader(data, batch_size), steps):
            values.append(model(place(x)).to("cpu").numpy())
            labels.append(y.numpy())
    if not values:
        raise ValueError("[train.features] the data must hold at least one batch. Received: none.")
    return np.concatenate(values), np.concatenate(labels)
