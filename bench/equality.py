"""Errors of convkit's networks against PyTorch in float64: the same weights, 224x224, both precisions, one thread.

    python bench/equality.py [TASK...] [--draws 8] [--json FILE]

Logits of one image in evaluation (infer:vgg16:1); the gradients of one training step of two images (train:resnet18:2).
Errors are norm(a-b)/norm(b), of a step the largest over all parameters. A ReLU within rounding of zero goes either way
and moves the gradients of all layers before it by up to percents, so single draws say little, and even the mean of 32
is a matter of luck; PyTorch's own float32 is beside ours. With --json, results join those of other tasks in the file.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean, median

import numpy as np
import torch

import convkit as ck
from peers.torch_networks import Twin
from tasks import parse

TASKS = [f"infer:{name}:1" for name in ("resnet18", "resnet50", "vgg16", "alexnet", "mobilenet_v2")]
TASKS += [f"train:{name}:2" for name in ("resnet18", "resnet50")]


def draw(name: str, batch: int, seed: int) -> dict[str, np.ndarray]:
    """The state of a new model whose normalisations are not the identity, "x" [N,224,224,3] and "labels" [N]."""
    ck.manual_seed(seed)
    model = ck.models.build(name)
    for layer in model.modules():
        if isinstance(layer, ck.nn.BatchNorm2d):
            ck.nn.init.uniform_(layer.weight, 0.5, 1.0)
            ck.nn.init.normal_(layer.bias, std=0.2)
            ck.nn.init.normal_(layer.running_mean, std=0.2)
            ck.nn.init.uniform_(layer.running_var, 0.5, 2.0)
    rng = np.random.default_rng(seed)
    data = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    x = rng.standard_normal((batch, 224, 224, 3), np.float32)
    return data | {"x": x, "labels": rng.integers(0, 1000, batch)}


def theirs(task, data, double: bool) -> dict[str, np.ndarray]:
    """Logits, or every gradient in our layout, of PyTorch."""
    twin = Twin(task, data, channels_last=False).without_dropout()
    if double:
        twin.net.double()
        twin.x = twin.x.double()
    if not task.training:
        with torch.no_grad():
            return {"logits": twin.net(twin.x).numpy()}
    torch.nn.functional.cross_entropy(twin.net(twin.x), twin.labels).backward()
    return twin.gradients()


def ours(task, data, precision: str) -> dict[str, np.ndarray]:
    ck.set_precision(precision)
    model = ck.models.build(task.network)
    model.load_state_dict({key: value for key, value in data.items() if key not in ("x", "labels")})
    if not task.training:
        with ck.no_grad():
            return {"logits": model.eval()(ck.tensor(data["x"])).numpy()}
    ck.cross_entropy(model(ck.tensor(data["x"])), data["labels"]).backward()
    return {key: parameter.grad.numpy() for key, parameter in model.named_parameters()}


def error(found: dict[str, np.ndarray], truth: dict[str, np.ndarray]) -> float:
    """The largest relative error of a tensor."""
    norms = [
        (np.linalg.norm(found[key].astype(np.float64) - want), np.linalg.norm(want)) for key, want in truth.items()
    ]
    return float(max(difference / norm for difference, norm in norms))


def errors(task, seed: int) -> dict[str, float]:
    data = draw(task.network, task.batch, seed)
    truth = theirs(task, data, double=True)
    found = {"torch": error(theirs(task, data, double=False), truth)}
    return found | {precision: error(ours(task, data, precision), truth) for precision in ("fast", "precise")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", metavar="TASK", nargs="*", help="default: all")
    parser.add_argument("--draws", type=int, default=8, help="of a training step (8)")
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ck.set_num_threads(1)
    known = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    machine = {"torch": torch.__version__, "config": ck.show_config().splitlines()}
    for task in map(parse, args.tasks or TASKS):
        found = [errors(task, seed) for seed in range(args.draws if task.training else 1)]
        lists = {who: [float(f"{e[who]:.3g}") for e in found] for who in found[0]}
        for who, values in lists.items():
            middle = f"mean {mean(values):.1e}, median {median(values):.1e}"
            print(f"{task!s:22} {who:8} {middle}, {min(values):.1e} to {max(values):.1e}", flush=True)
        known[str(task)] = {"machine": machine, "errors": lists}
        if args.json:
            args.json.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
