"""The loader."""

import threading

import numpy as np
import pytest

from convkit import data


def pair(n=10, dtype=np.uint8):
    return np.arange(n * 4, dtype=dtype).reshape(n, 2, 2, 1), np.arange(n)


def epoch(loader):
    return [(x.numpy().copy(), y.numpy().copy()) for x, y in loader]


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_loader_batches(workers):
    x, y = pair()
    loader = data.DataLoader((x, y), 4, workers=workers)
    batches = epoch(loader)
    assert len(loader) == 3 and [len(b) for _, b in batches] == [4, 4, 2]
    assert batches[0][0].dtype == np.float32 and batches[0][1].dtype == np.int64
    np.testing.assert_array_equal(np.concatenate([b for b, _ in batches]), x / np.float32(255))
    np.testing.assert_array_equal(np.concatenate([b for _, b in batches]), y)
    assert (
        len(epoch(data.DataLoader((x, y), 4, drop_last=True))) == len(data.DataLoader((x, y), 4, drop_last=True)) == 2
    )
    assert epoch(data.DataLoader((x[:0], y[:0]), 4)) == []


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_loader_keeps_values_that_are_not_bytes(dtype):
    x, y = pair(dtype=dtype)
    ((got, labels),) = epoch(data.DataLoader((x, np.eye(10)[y]), 10))
    assert got.dtype == labels.dtype == np.float32
    np.testing.assert_array_equal(got, x)
    np.testing.assert_array_equal(labels, np.eye(10))


def test_loader_shuffles_by_seed_and_epoch():
    def orders(seed, epochs=3):
        loader = data.DataLoader(pair(50), 7, shuffle=True, seed=seed)
        return [np.concatenate([y for _, y in epoch(loader)]).tolist() for _ in range(epochs)]

    first = orders(0)
    assert first == orders(0) and first != orders(1)
    assert all(sorted(order) == list(range(50)) for order in first)
    assert len({tuple(order) for order in first}) == 3
    loader = data.DataLoader(pair(50), 7, shuffle=True)
    loader.epoch = 2
    assert np.concatenate([y for _, y in epoch(loader)]).tolist() == first[2] and loader.epoch == 3


class Items:
    """A data set that is no pair of arrays."""

    def __len__(self):
        return 9

    def __getitem__(self, index):
        return np.full((2, 2, 1), index, np.uint8), index


def test_loader_generators_do_not_depend_on_workers():
    def noise(image, generator):
        return image + generator.random(image.shape, np.float32)

    def run(workers):
        loader = data.DataLoader(Items(), 4, shuffle=True, transform=noise, workers=workers)
        return [epoch(loader) for _ in range(2)]

    runs = [run(workers) for workers in (0, 1, 2, 5)]
    for other in runs[1:]:
        for a, b in zip(runs[0], other):
            for (xa, ya), (xb, yb) in zip(a, b):
                np.testing.assert_array_equal(xa, xb)
                np.testing.assert_array_equal(ya, yb)
    drawn = [{float(v % 1) for x, _ in e for v in x[:, 0, 0, 0]} for e in runs[0]]
    assert len(drawn[0] | drawn[1]) == 18  # every image of every epoch has its own draw


def test_transform_with_one_argument():
    ((x, _),) = epoch(data.DataLoader(Items(), 9, transform=lambda image: image + 1))
    np.testing.assert_array_equal(x[:, 0, 0, 0], np.arange(1, 10, dtype=np.float32) / np.float32(255))
    ((x, _),) = epoch(data.DataLoader(Items(), 9, transform=data.Compose([data.Rescale(1.0)])))
    np.testing.assert_array_equal(x[:, 0, 0, 0], np.arange(9))


@pytest.mark.parametrize("workers", [1, 4])
def test_leaving_early_ends_the_threads(workers):
    before = threading.active_count()
    for _ in data.DataLoader(pair(1000), 1, workers=workers):
        assert threading.active_count() > before
        break
    assert threading.active_count() == before


def test_errors_in_workers_reach_the_loop():
    def broken(image):
        if image[0, 0, 0] == 5:
            raise KeyError("five")
        return image

    before = threading.active_count()
    with pytest.raises(KeyError, match="five"):
        epoch(data.DataLoader(Items(), 2, transform=broken))
    assert threading.active_count() == before


def test_loader_refusals():
    x, y = pair()
    with pytest.raises(
        ValueError, match=r"images and labels must pair up. Received: images \(10, 2, 2, 1\), labels \(9"
    ):
        data.DataLoader((x, y[:9]))
    with pytest.raises(
        TypeError, match=r"data must be a pair of arrays or have __len__ and __getitem__. Received: ndarray"
    ):
        data.DataLoader(x)
    for name, value in (("batch_size", 0), ("batch_size", 2.5), ("seed", -1), ("workers", -1), ("workers", True)):
        with pytest.raises(ValueError, match=rf"{name} must be an integer >= \d. Received: {name}={value}"):
            data.DataLoader((x, y), **{name: value})
    ragged = [(np.zeros((2, 2, 1)), 0), (np.zeros((3, 2, 1)), 1)]
    with pytest.raises(ValueError, match=r"one shape. Received: \[\(2, 2, 1\), \(3, 2, 1\)\]"):
        epoch(data.DataLoader(ragged))
