"""Small training problems and runs shared by the tests of convkit.train."""

import numpy as np

import convkit as ck
from convkit import nn


def problem(n=96, seed=0):
    """Four classes of 4x4 images: a bright quadrant in noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    images = rng.integers(0, 120, (n, 4, 4, 1)).astype(np.uint8)
    for image, label in zip(images, labels):
        row, column = divmod(int(label), 2)
        image[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 80
    return images, labels


def network(seed=0, dropout=0.1):
    ck.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout(dropout), nn.Linear(12, 4))


def train(model=None, data=None, *, optimizer=None, **options):
    """(model, history) of a short silent run."""
    model = network() if model is None else model
    optimizer = ck.optim.Adam(model.parameters(), lr=0.01) if optimizer is None else optimizer
    options = {"epochs": 2, "batch_size": 16, "progress": False} | options
    return model, ck.train.fit(model, problem() if data is None else data, optimizer=optimizer, **options)


def weights(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def same_weights(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def same_history(a, b):
    for name in set(a) - {"seconds"}:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
