"""Every model overfits one batch of 8 images at its native size: loss below 0.05 in a training step, dropout included.

    python bench/overfit.py [MODEL...] [--json FILE]

Without names: all of convkit.models. The images are 7x7 random colours scaled up, so that they differ in shapes and
not only in noise; labels are 0 to 7. With --json, results join those of other models in the file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

import convkit as ck

ENOUGH, MOST_STEPS, SEED = 0.05, 600, 0
# Adam's. Where not every layer is normalised a large step silences ReLUs; 56 layers without shortcuts take small steps
# and many of them.
LEARNING_RATES = {"plain56": 3e-4, "alexnet": 1e-4, "illustrated.alexnet": 1e-4, "illustrated.vggnet": 1e-4}
LEARNING_RATES |= {f"vgg{depth}{end}": 1e-4 for depth in (11, 13, 16, 19) for end in ("", "_bn")}
# 110 layers without shortcuts amplify gradients (56 do 2000 times, results/residual.json); orthogonal steps have one
# size in every layer. The learning rates that filters and other parameters start from; both go down to 0 along a line.
MUON_RATES = {"plain110": (5e-3, 1e-2)}


def batch(shape: tuple[int, int, int]) -> tuple[ck.Tensor, np.ndarray]:
    """(images [8,H,W,C] of values around 0, labels [8])."""
    height, width, channels = shape
    coarse = np.random.default_rng(SEED).standard_normal((8, 7, 7, channels)).astype(np.float32)
    rows, columns = np.arange(height) * 7 // height, np.arange(width) * 7 // width
    return ck.tensor(coarse[:, rows][:, :, columns]), np.arange(8)


def start(name: str, model: ck.nn.Module) -> tuple[ck.optim.Optimizer, ck.optim.Schedule | None]:
    """The optimizer of a model and, for Muon, its schedule."""
    if name not in MUON_RATES:
        return ck.optim.Adam(model.parameters(), lr=LEARNING_RATES.get(name, 1e-3)), None
    filters_lr, lr = MUON_RATES[name]
    optimizer = ck.optim.Muon(ck.optim.muon_groups(model, filters_lr), lr=lr, momentum=0.9)
    peaks = [group["lr"] for group in optimizer.param_groups]
    schedule = ck.optim.OneCycleLR(optimizer, peaks, MOST_STEPS, pct_start=0, anneal_strategy="linear")
    return optimizer, schedule


def overfit(name: str) -> dict:
    """The losses of the steps up to the first one below ENOUGH."""
    ck.manual_seed(SEED)
    model = ck.models.build(name)
    images, labels = batch(model.input_shape)
    optimizer, scheduler = start(name, model)
    rates = scheduler.base_lrs if scheduler else [optimizer.param_groups[0]["lr"]]
    losses, begin = [], time.process_time()
    while len(losses) < MOST_STEPS and not (losses and losses[-1] < ENOUGH):
        optimizer.zero_grad()
        loss = ck.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        if scheduler:
            scheduler.step()
        losses.append(loss.item())
    return {
        "size": list(model.input_shape),
        "optimizer": type(optimizer).__name__,
        "lr": rates,
        "seed": SEED,
        "steps": len(losses),
        "losses": [float(f"{value:.4g}") for value in losses],
        "fits": losses[-1] < ENOUGH,
        "cpu_seconds": round(time.process_time() - begin, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", metavar="MODEL", nargs="*", help="default: all")
    parser.add_argument("--json", type=Path, help="file that the results go to")
    args = parser.parse_args()
    failed = []
    for name in args.models or ck.models.names():
        result = overfit(name)
        print(
            f"{name:20} {'x'.join(map(str, result['size']))}, lr {result['lr']}: loss {result['losses'][0]:.3f} to "
            f"{result['losses'][-1]:.3f} in {result['steps']} steps, {result['cpu_seconds']} s",
            flush=True,
        )
        failed += [] if result["fits"] else [name]
        if args.json:
            known = json.loads(args.json.read_text()) if args.json.exists() else {}
            known[name] = result
            args.json.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
    if failed:
        sys.exit(f"not below {ENOUGH} after {MOST_STEPS} steps: {', '.join(failed)}")


if __name__ == "__main__":
    main()
