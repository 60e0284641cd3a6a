"""The book's Examples 10.6 to 10.9 in full: a frozen VGG19, a new head of 50,178 parameters, two folders of pictures.

    python bench/hot_dog.py --json bench/results/hot_dog.json
    python bench/hot_dog.py --weights vgg19-dcbb9e9d.pth --pictures hot-dog-not-hot-dog

Without --pictures it draws its own into a temporary folder (sausages in buns, and plates of other shapes), without
--weights the trunk is random; both show what the run costs and that the head learns, not how well VGG19 knows food.
The book trains for 16 epochs of 15 steps of 32 images, each with 15 steps of validation.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path

import numpy as np

import convkit as ck
from convkit import data, nn
from convkit.bench.machine import facts

CLASSES = ["hot_dog", "not_hot_dog"]
SEED, STEPS, BATCH = 42, 15, 32


def draw_pictures(root: Path, pictures: dict[str, int]) -> None:
    """``root/<split>/<class>/NNN.jpg``, 320 x 240, ``pictures[split]`` of each class."""
    from PIL import Image, ImageDraw

    rng = np.random.default_rng(SEED)
    for split, count in pictures.items():
        for name in CLASSES:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                picture = Image.new("RGB", (320, 240), tuple(rng.integers(60, 256, 3).tolist()))
                pen = ImageDraw.Draw(picture)
                x, y = rng.integers(20, 100), rng.integers(20, 100)
                if name == "hot_dog":
                    pen.rounded_rectangle((x, y, x + 180, y + 80), 40, fill=(222, 184, 120))
                    pen.rounded_rectangle((x - 10, y + 25, x + 190, y + 55), 15, fill=(170, 60, 40))
                else:
                    pen.ellipse((x, y, x + 120, y + 120), fill=tuple(rng.integers(0, 256, 3).tolist()))
                    pen.rectangle((x + 30, y + 30, x + 90, y + 90), fill=tuple(rng.integers(0, 256, 3).tolist()))
                picture.save(folder / f"{number:03}.jpg", quality=90)


def loaders(root: Path) -> tuple[data.DataLoader, data.DataLoader]:
    """Example 10.8."""
    augmented = data.Compose(
        [data.RandomRotation(30, fill="reflect"), data.RandomHorizontalFlip(), data.Rescale(1 / 255)]
    )
    options = {"batch_size": BATCH, "shuffle": True, "seed": SEED, "workers": 2}
    train = data.ImageFolder(root / "train", size=(224, 224), classes=CLASSES)
    test = data.ImageFolder(root / "test", size=(224, 224), classes=CLASSES)
    return (
        data.DataLoader(train, transform=augmented, **options),
        data.DataLoader(test, transform=data.Rescale(1 / 255), **options),
    )


def network(weights: Path | None) -> nn.Sequential:
    """Examples 10.6 and 10.7."""
    vgg19 = ck.models.vgg19(include_top=False)
    if weights is not None:
        ck.interop.load_torch(weights, vgg19, strict=False)  # the file's dense layers stay unused
    vgg19.requires_grad_(False)
    return nn.Sequential(vgg19, nn.Flatten(), nn.Dropout(0.5), nn.Linear(7 * 7 * 512, 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="folder with train/<class> and test/<class> (default: drawn)")
    parser.add_argument("--weights", type=Path, help="torchvision's file for VGG19 (default: random weights)")
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--json", type=Path, help="write settings, machine and figures to this file")
    arguments = parser.parse_args()

    ck.manual_seed(SEED)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.pictures is None:
            draw_pictures(Path(folder), {"train": 249, "test": 250})  # as many as the book's data set has
        train, test = loaders(arguments.pictures or Path(folder))
        model = network(arguments.weights)
        summary = model.summary((224, 224, 3))
        print(summary, flush=True)
        report = {
            "machine": facts(),
            "command": " ".join(sys.argv),
            "settings": {"seed": SEED, "batch_size": BATCH, "steps_per_epoch": STEPS, "validation_steps": STEPS},
            "trainable_parameters": summary.trainable_params,
            "epochs": [],
        }

        def note(epoch: int, figures: dict[str, float]) -> None:
            report["epochs"].append(figures)
            report["peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            if arguments.json:  # after every epoch: the run takes long enough to be stopped
                arguments.json.write_text(json.dumps(report, indent=1) + "\n")

        # Example 10.9
        history = ck.train.fit(
            model,
            train,
            optimizer=ck.optim.Adam(model.parameters()),
            epochs=arguments.epochs,
            steps_per_epoch=STEPS,
            validation_data=test,
            validation_steps=STEPS,
            checkpoint_dir=Path(folder) / "run",
            callbacks=[note],
        )
    best = int(np.argmax(history["val_accuracy"]))
    print(f"best epoch {best + 1}: {history['val_accuracy'][best]:.4f}; peak memory {report['peak_mib']} MiB")


if __name__ == "__main__":
    main()
