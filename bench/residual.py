"""What shortcuts do for depth: plain and residual networks of 20 and 56 layers on CIFAR-10.

    python bench/residual.py --data FOLDER [--images 50000] [--epochs 3] --output DIR

Trains the four with the same seed, batches and schedule. DIR gets residual.json (loss of every step, accuracy, the norm
of the gradient of every convolution before and after training) and residual.png. Finished networks are not trained
again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np

import convkit as ck
from recipes import Recipe, arrays, start

NETWORKS = ("plain20", "resnet20", "plain56", "resnet56")


def gradient_norms(model: ck.nn.Module, x: ck.Tensor, y: ck.Tensor) -> list[float]:
    """Euclidean norm of the loss gradient by the filters of each convolution, from the first layer to the last.

    Running statistics move by one batch, as in a training step; the weights stay.
    """
    model.train()
    ck.cross_entropy(model(x), y).backward()
    norms = [float(np.linalg.norm(p.grad.numpy())) for p in model.parameters() if p.ndim == 4]
    for parameter in model.parameters():
        parameter.grad = None
    return norms


def run(recipe: Recipe, train, test) -> dict:
    """Train one network and return its figures."""
    parts = start(recipe, train, test)
    x, y = next(iter(ck.data.DataLoader(train, 128, shuffle=True, transform=parts.testing.transform)))
    before, losses = gradient_norms(parts.model, x, y), []

    def loss(logits, labels):
        value = ck.cross_entropy(logits, labels)
        if parts.model.training:
            losses.append(value.item())
        return value

    history = ck.train.fit(
        parts.model,
        parts.training,
        epochs=recipe.epochs,
        optimizer=parts.optimizer,
        scheduler=parts.scheduler,
        validation_data=parts.testing,
        loss=loss,
    )
    return {
        "recipe": asdict(recipe),
        "losses": losses,
        "history": dict(history),
        "gradient_norms": {"before": before, "after": gradient_norms(parts.model, x, y)},
    }


def draw(found: dict[str, dict], images: int, path: Path) -> None:
    """Loss by step, and gradient norm by layer before and after training, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6.4), layout="constrained")
    loss, before, after = figure.subplot_mosaic([["loss", "loss"], ["before", "after"]]).values()
    for name, result in found.items():
        style = {"color": "C3" if name.startswith("plain") else "C0", "linestyle": "-" if name.endswith("56") else "--"}
        kernel = np.ones(25) / 25
        loss.plot(np.convolve(result["losses"], kernel, "valid"), label=name, **style)
        for axes, when in ((before, "before"), (after, "after")):
            norms = result["gradient_norms"][when]
            axes.plot(np.arange(1, len(norms) + 1) / len(norms), norms, label=name, **style)
    epochs = next(iter(found.values()))["recipe"]["epochs"]
    loss.set(title=f"Training loss, mean of 25 steps: CIFAR-10, {images:,} images, {epochs} epochs")
    loss.set(xlabel="step", ylabel="cross-entropy")
    for axes, title in ((before, "Gradient of the filters, before training"), (after, "after training")):
        axes.set(title=title, xlabel="place of the layer, first to last", ylabel="Euclidean norm", yscale="log")
    loss.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="FOLDER", type=Path, required=True, help="train/CLASS/FILE, test/CLASS/FILE")
    parser.add_argument("--images", type=int, default=50000, help="training images, and a fifth of it test images")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--output", metavar="DIR", type=Path, required=True)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    report = args.output / "residual.json"
    found = json.loads(report.read_text())["networks"] if report.exists() else {}
    train = arrays("cifar10", "train", args.data, args.images)
    test = arrays("cifar10", "test", args.data, args.images // 5)
    for name in NETWORKS:
        if name not in found:
            print(name, flush=True)
            found[name] = run(Recipe(name, "cifar10", args.epochs, 0.1, crop=4, flip=True), train, test)
            facts = {"command": sys.argv, "images": args.images, "config": ck.show_config().splitlines()}
            report.write_text(json.dumps({**facts, "networks": found}, indent=1) + "\n")
    draw(found, args.images, args.output / "residual.png")
    for name, result in found.items():
        loss, accuracy = (result["history"][column][-1] for column in ("loss", "val_accuracy"))
        before, after = (norms[0] / norms[-1] for norms in result["gradient_norms"].values())
        print(
            f"{name:9} loss {loss:.3f}  test accuracy {accuracy:.3f}  gradient of the first layer over the last's: "
            f"{before:.3g} before, {after:.3g} after"
        )


if __name__ == "__main__":
    main()
