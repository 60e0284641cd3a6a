"""Train beside torch: the same weights, batches and schedule, step by step in one process.

    python bench/beside_torch.py --data FOLDER [--images 50000] [--epochs 2] [--json FILE]

Both take turns on every batch, with one thread and timed by CPU time. How far two runs drift apart by rounding alone is
measured by a third: convkit from weights that are off by one part in ten million. Needs torch and CIFAR-10 as a folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import convkit as ck
from peers.torch_networks import Twin
from recipes import Recipe, Start, arrays, start
from tasks import Task


class Ours:
    """One step of convkit per batch."""

    def __init__(self, parts: Start, noise: float = 0.0):
        self._parts, self.losses, self.seconds = parts, [], []
        rng = np.random.default_rng(0)
        for parameter in parts.model.parameters():
            values = parameter.numpy()
            parameter.copy_(values * (1 + noise * rng.standard_normal(values.shape)).astype(np.float32))

    def step(self, x: ck.Tensor, y: ck.Tensor) -> None:
        parts, began = self._parts, time.process_time()
        parts.optimizer.zero_grad()
        loss = ck.cross_entropy(parts.model(x), y)
        loss.backward()
        parts.optimizer.step()
        parts.scheduler.step()
        self.losses.append(loss.item())
        self.seconds.append(time.process_time() - began)


class Theirs:
    """The same in torch, from the weights that ``model`` has."""

    def __init__(self, recipe: Recipe, model: ck.nn.Module, steps: int, channels_last: bool):
        state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
        blank = {"x": np.zeros((1, 32, 32, 3), np.float32), "labels": np.zeros(1, np.int64)}
        task = Task(recipe.model, training=True, batch=recipe.batch_size)
        self._net = Twin(task, state | blank, channels_last).net
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        vectors = [p for p in self._net.parameters() if p.ndim < 2]
        others = [p for p in self._net.parameters() if p.ndim > 1]
        groups = [{"params": others, "weight_decay": recipe.weight_decay}, {"params": vectors}]
        self._optimizer = torch.optim.SGD(groups, lr=recipe.lr, momentum=0.9, nesterov=True)
        self._scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            recipe.lr,
            total_steps=steps,
            pct_start=recipe.pct_start,
            anneal_strategy=recipe.anneal_strategy,
            cycle_momentum=False,
        )
        self.losses, self.seconds = [], []

    def step(self, x: ck.Tensor, y: ck.Tensor) -> None:
        images = torch.from_numpy(x.numpy().copy()).permute(0, 3, 1, 2).contiguous(memory_format=self._layout)
        labels = torch.from_numpy(y.numpy().copy())
        began = time.process_time()
        self._optimizer.zero_grad()
        loss = F.cross_entropy(self._net(images), labels)
        loss.backward()
        self._optimizer.step()
        self._scheduler.step()
        self.losses.append(loss.item())
        self.seconds.append(time.process_time() - began)


def drift(a: list[float], b: list[float], window: int) -> float:
    """Largest difference of the losses, each the mean of ``window`` steps."""
    kernel = np.ones(window) / window
    return float(np.abs(np.convolve(np.subtract(a, b), kernel, "valid")).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path, required=True, help="train/CLASS/FILE, test/CLASS/FILE")
    parser.add_argument("--images", type=int, default=50000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write losses and times to this file")
    args = parser.parse_args()
    ck.set_num_threads(1)
    torch.set_num_threads(1)
    recipe = Recipe("resnet20", "cifar10", args.epochs, 0.1, crop=4, flip=True)
    train = arrays("cifar10", "train", args.data, args.images)
    parts, moved = start(recipe, train, train), start(recipe, train, train)
    steps = recipe.epochs * len(parts.training)
    contestants = {
        "torch NCHW": Theirs(recipe, parts.model, steps, channels_last=False),
        "torch NHWC": Theirs(recipe, parts.model, steps, channels_last=True),
        "convkit": Ours(parts),
        "convkit, weights moved by 1e-7": Ours(moved, 1e-7),
    }
    for epoch in range(recipe.epochs):
        for step, (x, y) in enumerate(parts.training):
            names = list(contestants)
            for i in range(len(names)):  # in rotating order
                contestants[names[(i + step) % len(names)]].step(x, y)
        mean = {name: statistics.fmean(c.losses[-len(parts.training) :]) for name, c in contestants.items()}
        print(
            f"epoch {epoch + 1}: mean loss", "  ".join(f"{name} {loss:.4f}" for name, loss in mean.items()), flush=True
        )
    ours = contestants["convkit"]
    for name, other in contestants.items():
        if other is not ours:
            ratio = statistics.median(b / a for a, b in zip(ours.seconds, other.seconds))
            print(
                f"{name}: first loss off by {abs(other.losses[0] - ours.losses[0]):.1e}, means of 20 steps by at most "
                f"{drift(ours.losses, other.losses, 20):.3f}; a step takes {ratio:.2f} times as long"
            )
    if args.json:
        figures = {name: {"losses": c.losses, "cpu_seconds": c.seconds} for name, c in contestants.items()}
        facts = {"command": sys.argv, "recipe": asdict(recipe), "images": args.images, "torch": torch.__version__}
        args.json.write_text(json.dumps(facts | {"config": ck.show_config().splitlines(), "runs": figures}) + "\n")


if __name__ == "__main__":
    main()
