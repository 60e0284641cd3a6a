"""Peak resident memory of a ResNet-50 training step, batch 8: convkit, convkit with checkpoint=True, torch.

    python bench/memory.py [--task train:resnet50:8] [--threads 2] [--json FILE]

Each figure comes from a process of its own that takes three steps; what it needed to get ready does not count unless it
still holds it. Linux only (/proc). Needs torch.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from tasks import draw, parse

VARIANTS = (
    "convkit",
    "convkit, checkpoint=True",
    "torch NCHW",
    "torch NHWC",
    "torch NCHW, fused optimizer",
    "torch NHWC, fused optimizer",
)


def status(field: str) -> float:
    """MiB of a line of /proc/self/status."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def prepare(variant: str, task, data: dict[str, np.ndarray], threads: int):
    """The training step of a variant."""
    library, _, option = variant.partition(" ")
    if library == "torch":
        from peers import torch_eager
        from peers.torch_networks import Twin

        torch_eager.set_threads(threads)
        twin = Twin(task, data, option.startswith("NHWC"))
        return torch_eager.training_step(task, twin, twin.net, option.endswith("fused optimizer"))
    from peers import convkit

    convkit.set_threads(threads)
    return convkit.training_step(task, data, **({"checkpoint": True} if option else {}))


def child(variant: str, task, path: str, threads: int) -> None:
    with np.load(path) as file:
        data = dict(file)
    step = prepare(variant, task, data, threads)
    del data
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = status("VmRSS")
    for _ in range(3):
        step()
    print(json.dumps({"variant": variant, "before_mib": before, "peak_mib": status("VmHWM")}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="train:resnet50:8")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--child", nargs=2, metavar=("VARIANT", "DATA"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    task = parse(args.task)
    if args.child:
        return child(args.child[0], task, args.child[1], args.threads)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        data = f"{folder}/data.npz"
        np.savez(data, **draw(task, 0))
        for variant in VARIANTS:
            command = [sys.executable, __file__, "--task", str(task), "--threads", str(args.threads)]
            output = subprocess.run([*command, "--child", variant, data], check=True, capture_output=True, text=True)
            found.append(json.loads(output.stdout))
            print(f"{task} {found[-1]['peak_mib']:6.0f} MiB  {variant}", flush=True)
    least = min(figures["peak_mib"] for figures in found if figures["variant"].startswith("torch"))
    for ours in found[:2]:
        print(f"{ours['variant']}: {ours['peak_mib'] / least:.2f} of the least of torch")
    if args.json:
        args.json.write_text(json.dumps({"command": sys.argv, "threads": args.threads, "results": found}, indent=1))


if __name__ == "__main__":
    main()
