"""Rounding errors of the convolution algorithms against float64: the tables of docs/kernels.md.

    python bench/accuracy.py

Inputs are ReLU'd normal numbers, filters normal ones scaled by 1/sqrt(fan-in), as in a network. The error of a result
is its largest deviation divided by its largest magnitude, and in brackets the root of the mean square of both.
"""

from __future__ import annotations

import argparse

import numpy as np

import convkit as ck
from convkit import _core

CHANNELS = (6, 8, 12, 16, 32, 64, 128, 256, 512, 1024, 2048)
# by taps and stride
ALGORITHMS = {
    (3, 1): ("direct", "winograd2", "winograd4"),
    (3, 2): ("direct", "winograd4"),
    (5, 1): ("direct", "winograd2"),
}


def problem(rng, reduced: int, taps: int, side: int):
    """Arrays whose forward pass and data gradient add up `reduced` channels; the other side has 16."""
    x = np.maximum(rng.standard_normal((2, side, side, reduced), dtype=np.float32), 0)
    w = rng.standard_normal((16, taps, taps, reduced), dtype=np.float32) / np.float32(taps * np.sqrt(reduced))
    return x, w


def passes(x: np.ndarray, w: np.ndarray, stride: int, dtype) -> dict[str, np.ndarray]:
    """The three results. In the data gradient the roles of the channels are swapped, so that it adds up as many."""
    pad = w.shape[1] // 2
    image, filters = ck.tensor(x.astype(dtype)), ck.tensor(w.astype(dtype))
    geometry = ((stride,) * 2, (pad,) * 4, (1, 1), 1)
    swapped = ck.tensor(np.ascontiguousarray(w.transpose(3, 1, 2, 0)).astype(dtype))
    narrow = (x.shape[0], stride * x.shape[1], stride * x.shape[2], w.shape[0])
    dy = _core.conv2d(image._data, filters._data, None, *geometry, "")
    results = {
        "forward": dy,
        "data": _core.conv2d_data_gradient(narrow, swapped._data, image._data, *geometry),
        "weights": _core.conv2d_weight_gradient(image._data, w.shape, dy, *geometry),
    }
    return {name: ck.Tensor(result).numpy() for name, result in results.items()}


def error(got: np.ndarray, truth: np.ndarray) -> str:
    difference = got - truth
    largest = np.abs(difference).max() / np.abs(truth).max()
    return f"{largest:.1e} ({np.sqrt((difference**2).mean() / (truth**2).mean()):.1e})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=16, help="rows and columns of the images (default 16)")
    args = parser.parse_args()
    for (taps, stride), algorithms in ALGORITHMS.items():
        for direction in ("forward", "data", "weights"):
            print(f"\n{taps}x{taps} s{stride}, {direction}\n\n| channels | {' | '.join(algorithms)} |")
            print("|" + " --- |" * (len(algorithms) + 1))
            for channels in CHANNELS:
                x, w = problem(np.random.default_rng(0), channels, taps, args.side)
                truth, cells = passes(x, w, stride, np.float64)[direction], []
                for algorithm in algorithms:
                    _core.set_conv2d_algorithm(algorithm)
                    cells.append(error(passes(x, w, stride, np.float32)[direction], truth))
                print(f"| {channels} | {' | '.join(cells)} |", flush=True)
    _core.set_conv2d_algorithm("auto")


if __name__ == "__main__":
    main()
