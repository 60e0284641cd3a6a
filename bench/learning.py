"""Train a network to the accuracy that is claimed for it: python bench/learning.py RUN [--data FOLDER] --output DIR

RUN is one of those in recipes.py. DIR gets the weights, the history and learning_RUN.json with recipe, machine and
final figures: the accuracy on the test images, and where training mirrors images also that of the mean of six views.
--resume continues a run that was stopped, and of a finished one writes the figures again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

import convkit as ck
from recipes import RECIPES, arrays, start


class Pulse:
    """A line every so many seconds: an epoch may take long."""

    def __init__(self, seconds: float):
        self._seconds, self._next = seconds, time.monotonic() + seconds

    def on_batch_end(self, step: int, figures: dict[str, float]) -> None:
        if time.monotonic() > self._next:
            self._next = time.monotonic() + self._seconds
            values = "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
            print(f"  step {step + 1}  {values}", flush=True)


def accuracy_of_views(model: ck.nn.Module, testing: ck.data.DataLoader) -> float:
    """Of the mean logits of each image, the image moved by a pixel up and left, down and right, and their mirrors."""
    right = 0
    model.eval()
    with ck.no_grad():
        for x, labels in testing:
            padded = np.pad(x.numpy(), ((0, 0), (1, 1), (1, 1), (0, 0)), "reflect")
            _, h, w, _ = x.shape
            moved = [padded[:, i : i + h, i : i + w] for i in range(3)]
            views = moved + [view[:, :, ::-1] for view in moved]
            logits = sum(model(ck.tensor(np.ascontiguousarray(view))).numpy() for view in views)
            right += int((logits.argmax(1) == labels.numpy()).sum())
    return right / len(testing.data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", choices=RECIPES)
    parser.add_argument("--data", metavar="FOLDER", type=Path, help="where the images are; see recipes.py")
    parser.add_argument("--output", metavar="DIR", type=Path, required=True)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    recipe = RECIPES[args.run]
    parts = start(recipe, *(arrays(recipe.data, split, args.data) for split in ("train", "test")))
    print(args.run, recipe, ck.show_config(), sep="\n", flush=True)
    history = ck.train.fit(
        parts.model,
        parts.training,
        epochs=recipe.epochs,
        optimizer=parts.optimizer,
        scheduler=parts.scheduler,
        validation_data=parts.testing,
        label_smoothing=recipe.label_smoothing,
        checkpoint_dir=args.output,
        resume=args.resume,
        callbacks=[Pulse(30)],
    )
    final = ck.train.evaluate(parts.model, parts.testing)
    history.to_csv(args.output / "history.csv")
    figures = {
        "command": sys.argv,
        "recipe": asdict(recipe),
        "parameters": parts.model.num_parameters(),
        "training_images": len(parts.training.data),
        "test_images": len(parts.testing.data),
        "config": ck.show_config().splitlines(),
        "test_accuracy": final["accuracy"],
        "test_loss": final["loss"],
        "test_accuracy_of_six_views": accuracy_of_views(parts.model, parts.testing) if recipe.flip else None,
        "seconds": sum(history["seconds"]),
        "history": dict(history),
    }
    (args.output / f"learning_{args.run}.json").write_text(json.dumps(figures, indent=1) + "\n")
    views = f", {figures['test_accuracy_of_six_views']:.4f} of six views" if recipe.flip else ""
    print(f"test accuracy {final['accuracy']:.4f}{views}, after {history.epochs} epochs")


if __name__ == "__main__":
    main()
