"""How the networks of learning.py, residual.py and beside_torch.py are trained, and on what.

CIFAR-10 comes from a folder train/CLASS/FILE, test/CLASS/FILE of images, MNIST from a folder with its IDX files,
Fashion-MNIST from wherever convkit finds it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import convkit as ck

Arrays = tuple[np.ndarray, np.ndarray]  # images uint8 [N,H,W,C], labels [N]


@dataclass(frozen=True)
class Recipe:
    """SGD has Nesterov's momentum and one cycle of the learning rate, which peaks at ``lr``; Adam keeps ``lr``.

    "muon" is the same but for the filters, whose steps are orthogonal and move up to ``filters_lr`` of them.
    """

    model: str
    data: str
    epochs: int
    lr: float
    batch_size: int = 128
    optimizer: str = "sgd"
    filters_lr: float = 0.0
    weight_decay: float = 5e-4  # of filters and matrices; Muon's filters have a fixed norm instead
    pct_start: float = 0.3  # this and the next as OneCycleLR has them
    anneal_strategy: str = "cos"
    label_smoothing: float = 0.0
    crop: int = 0  # pixels of padding around the images before a random window
    fill: str = "constant"  # what they show
    flip: bool = False
    seed: int = 0


RECIPES = {
    "cifar10-resnet20": Recipe(
        "resnet20",
        "cifar10",
        20,
        0.1,
        batch_size=64,
        optimizer="muon",
        filters_lr=0.014,
        pct_start=0.2,
        anneal_strategy="linear",
        label_smoothing=0.1,
        crop=4,
        fill="reflect",
        flip=True,
    ),
    "fashion-mnist-resnet20": Recipe("resnet20", "fashion-mnist", 12, 0.2, crop=2, flip=True),
    "mnist-lenet": Recipe("illustrated.lenet", "mnist", 20, 1e-3, optimizer="adam", weight_decay=0.0, crop=2),
}


def arrays(name: str, split: str, folder: Path | None, limit: int | None = None) -> Arrays:
    """The images of "train" or "test", decoded once; ``limit`` of them, spread evenly."""
    if name == "cifar10":
        if folder is None:
            raise SystemExit("cifar10 needs --data FOLDER with train/CLASS/FILE and test/CLASS/FILE")
        items = ck.data.ImageFolder(folder / split, 32)
        with ThreadPoolExecutor() as pool:
            images, labels = zip(*pool.map(items.__getitem__, _chosen(len(items), limit)))
        return np.stack(images), np.array(labels)
    x, y = {"mnist": ck.data.mnist, "fashion-mnist": ck.data.fashion_mnist}[name](split, folder)
    chosen = _chosen(len(x), limit)
    return x[chosen], y[chosen]


def _chosen(count: int, limit: int | None) -> np.ndarray:
    return np.arange(count) if limit is None else np.arange(limit) * count // limit


@dataclass
class Start:
    """A model with everything that trains it."""

    model: ck.nn.Module
    training: ck.data.DataLoader
    testing: ck.data.DataLoader
    optimizer: ck.optim.Optimizer
    scheduler: ck.optim.Schedule | None


def start(recipe: Recipe, train: Arrays, test: Arrays) -> Start:
    """A fresh model, and its data in the order and form that follow from the seed."""
    ck.manual_seed(recipe.seed)
    model = ck.models.build(recipe.model, num_classes=10, in_channels=train[0].shape[3])
    steps = [ck.data.RandomCrop(train[0].shape[1], recipe.crop, fill=recipe.fill)] if recipe.crop else []
    steps += [ck.data.RandomHorizontalFlip()] * recipe.flip
    scheduler = scale = None
    training = ck.data.DataLoader(train, recipe.batch_size, shuffle=True, seed=recipe.seed)
    if recipe.optimizer == "adam":
        optimizer = ck.optim.Adam(ck.optim.decay_groups(model, recipe.weight_decay), lr=recipe.lr)
    else:
        shares = train[0] / 255.0
        model.normalisation = {
            name: [round(float(value), 4) for value in getattr(shares, name)((0, 1, 2))] for name in ("mean", "std")
        }
        scale = ck.data.Normalize(**model.normalisation)
        optimizer = _with_momentum(model, recipe)
        peaks = [group["lr"] for group in optimizer.param_groups]
        scheduler = ck.optim.OneCycleLR(
            optimizer, peaks, recipe.epochs * len(training), recipe.pct_start, recipe.anneal_strategy
        )
    if steps or scale:
        transform = ck.data.Compose([*steps, *([scale] if scale else [])])
        training = ck.data.DataLoader(train, recipe.batch_size, shuffle=True, seed=recipe.seed, transform=transform)
    return Start(model, training, ck.data.DataLoader(test, 256, transform=scale), optimizer, scheduler)


def _with_momentum(model: ck.nn.Module, recipe: Recipe) -> ck.optim.Optimizer:
    if recipe.optimizer == "sgd":
        groups = ck.optim.decay_groups(model, recipe.weight_decay)
        return ck.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
    assert recipe.optimizer == "muon" and recipe.filters_lr > 0
    groups = ck.optim.muon_groups(model, recipe.filters_lr, recipe.weight_decay)
    return ck.optim.Muon(groups, lr=recipe.lr, momentum=0.9)
