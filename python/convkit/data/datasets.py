"""The classic image data sets by name: found on this machine where possible, downloaded once where not.

Folders are searched in this order: the explicit ``directory`` (then nothing else), ``CONVKIT_DATA``, the user cache,
the system's packages; within each, the folder itself and its subfolders with the data set's names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .formats import parse_cifar10, read_cifar10_archive, read_idx

Arrays = tuple[np.ndarray, np.ndarray]  # images, labels


@dataclass(frozen=True)
class _DataSet:
    name: str
    aliases: tuple[str, ...]  # subfolders other tools use
    mirrors: tuple[str, ...]
    md5: dict[str, str]  # file name -> checksum of the published file
    classes: tuple[str, ...]
    system: tuple[str, ...] = ()


# Checksums: torchvision/datasets/mnist.py, equal to those on the data sets' own pages
# (https://github.com/zalandoresearch/fashion-mnist and https://www.cs.toronto.edu/~kriz/cifar.html).
_FASHION_MNIST = _DataSet(
    name="fashion-mnist",
    aliases=("fashion_mnist", "FashionMNIST/raw"),
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    md5={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    system=("/usr/share/datasets/fashion-mnist",),  # Debian's package dataset-fashion-mnist
)
_MNIST = _DataSet(
    name="mnist",
    aliases=("MNIST/raw",),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    md5={
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    classes=tuple("0123456789"),
)
_CIFAR10 = _DataSet(
    name="cifar10",
    aliases=("cifar-10", "cifar-10-batches-bin"),
    mirrors=("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/"),
    md5={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)
_ALL = (_FASHION_MNIST, _MNIST, _CIFAR10)

CLASSES = {dataset.name: dataset.classes for dataset in _ALL}


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "convkit"


def _candidates(dataset: _DataSet, directory) -> Iterator[Path]:
    """The folders to look into, best first."""
    if directory is not None:
        roots = [Path(directory)]
    else:
        environment = os.environ.get("CONVKIT_DATA")
        roots = ([Path(environment)] if environment else []) + [_cache(), *map(Path, dataset.system)]
    others = [folder for other in _ALL if other is not dataset for folder in (other.name, *other.aliases)]
    for root in roots:
        for subfolder in (dataset.name, *dataset.aliases):
            yield root / subfolder
        # MNIST and Fashion-MNIST share their file names: a folder named after the other one is not this one.
        if directory is not None or not any(root.as_posix().endswith("/" + name) for name in others):
            yield root


def _locate(dataset: _DataSet, directory, layouts) -> list[Path]:
    """Paths of the files of the first of ``layouts`` (tuples of file names, the published one last) found complete."""
    for folder in _candidates(dataset, directory):
        for names in layouts:
            if all((folder / name).exists() for name in names):
                return [folder / name for name in names]
    published = layouts[-1]
    wanted = " and ".join(published)
    if directory is not None:
        raise FileNotFoundError(
            f"[data.{dataset.name}] the folder must hold {wanted}. Received: directory={str(directory)!r}."
        )
    from .download import fetch  # urllib and ssl take longer to import than all of convkit

    folder = _cache() / dataset.name
    for name in published:
        if (folder / name).exists():
            continue
        print(f"Downloading {name} to {folder}", file=sys.stderr)
        try:
            fetch([mirror + name for mirror in dataset.mirrors], folder / name, dataset.md5[name])
        except OSError as error:
            raise FileNotFoundError(
                f"[data.{dataset.name}] the files are not on this machine and the download failed. Put {wanted} "
                f"into {folder} or into a folder named by CONVKIT_DATA, or pass directory=. Received: {error}."
            ) from error
    return [folder / name for name in published]


def _check_split(dataset: _DataSet, split: str) -> None:
    if split not in ("train", "test"):
        raise ValueError(f'[data.{dataset.name}] split must be "train" or "test". Received: split={split!r}.')


def _check_labels(dataset: _DataSet, images: np.ndarray, labels: np.ndarray) -> Arrays:
    classes = len(dataset.classes)
    if len(images) != len(labels) or (labels.size and labels.max() >= classes):
        raise ValueError(
            f"[data.{dataset.name}] there must be one label in 0..{classes - 1} per image. "
            f"Received: {len(images)} images, {len(labels)} labels up to {labels.max(initial=0)}."
        )
    return images, labels.astype(np.int64)


def _load_idx(dataset: _DataSet, split: str, directory) -> Arrays:
    _check_split(dataset, split)
    prefix = "train" if split == "train" else "t10k"
    stems = (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    dotted = tuple(stem.replace("-idx", ".idx") for stem in stems)  # what some unpackers make of the name
    layouts = (stems, dotted, *(tuple(name + ".gz" for name in names) for names in (dotted, stems)))
    images, labels = _locate(dataset, directory, layouts)
    return _check_labels(dataset, read_idx(images, 3)[..., None], read_idx(labels, 1))


def fashion_mnist(split: str = "train", directory: str | os.PathLike | None = None) -> Arrays:
    """Fashion-MNIST (Xiao et al. 2017): 60,000 training and 10,000 test images of 10 kinds of clothing.

    Returns (images uint8 [N,28,28,1], labels int64 [N]). Raises ValueError for damaged files and FileNotFoundError
    when the files are nowhere and cannot be downloaded.
    """
    return _load_idx(_FASHION_MNIST, split, directory)


def mnist(split: str = "train", directory: str | os.PathLike | None = None) -> Arrays:
    """MNIST (LeCun et al. 1998): 60,000 training and 10,000 test images of handwritten digits.

    Returns (images uint8 [N,28,28,1], labels int64 [N]); errors as ``fashion_mnist``.
    """
    return _load_idx(_MNIST, split, directory)


def cifar10(split: str = "train", directory: str | os.PathLike | None = None) -> Arrays:
    """CIFAR-10 (Krizhevsky 2009), binary version: 50,000 training and 10,000 test colour images in 10 classes.

    Returns (images uint8 [N,32,32,3], labels int64 [N]); errors as ``fashion_mnist``. Reads the unpacked folder
    ``cifar-10-batches-bin`` or the archive ``cifar-10-binary.tar.gz``.
    """
    _check_split(_CIFAR10, split)
    batches = tuple(f"data_batch_{i}.bin" for i in range(1, 6)) if split == "train" else ("test_batch.bin",)
    paths = _locate(_CIFAR10, directory, (batches, ("cifar-10-binary.tar.gz",)))
    archived = paths[0].suffix == ".gz"
    data = read_cifar10_archive(paths[0], batches) if archived else [path.read_bytes() for path in paths]
    return _check_labels(_CIFAR10, *parse_cifar10(data))
