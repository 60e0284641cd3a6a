"""convkit on a GPU against PyTorch and cuDNN, channels last, in one process: ops and training steps.

    python bench/gpu.py [--batch 256] [--rounds 7] [--seconds 240] [--json FILE] [--markdown FILE] [--without-torch]

Each row is checked against torch before it is timed, and one that disagrees is not; without torch nothing is checked
and there is no ratio. The contestants take turns; a round times each once, by CUDA synchronisation around enough
repetitions to last 5 ms, and the figure is the median of the rounds' ratios. "roof" is the time that the bytes or the
multiplications of the row need at least on an H200 (4.3 TB/s, 400 and 788 TFLOP/s: the best that public kernels reach),
divided by ours. No row begins after --seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import convkit as ck
from convkit.train.graph import StepGraph
from tasks import Task, draw

BANDWIDTH = 4.3e12  # bytes/s
RATES = {"float32": 400e12, "bfloat16": 788e12}  # FLOP/s
ROUND = 5e-3  # seconds
# Largest relative error against torch that is timed. Both round factors to TF32's 10 bits, or to bfloat16's 8; over the
# layers of a network the loss stays within some of these.
TOLERANCE = {"float32": 4e-3, "bfloat16": 4e-2}


@dataclass
class Row:
    name: str
    kind: str
    dtype: str
    flop: float
    bytes: float
    ours: object  # call
    theirs: object | None  # call
    error: float  # relative, against theirs


def wait():
    ck.cuda.synchronize()


def measure(call, synchronise) -> float:
    """Seconds a call."""
    call()
    synchronise()
    repeats, spent = 1, 0.0
    while True:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        synchronise()
        spent = time.perf_counter() - start
        if spent >= ROUND:
            return spent / repeats
        repeats = max(repeats + 1, int(repeats * min(10.0, 1.2 * ROUND / max(spent, 1e-6))))


def relative(ours, theirs) -> float:
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    return float(np.linalg.norm(ours - theirs) / max(np.linalg.norm(theirs), 1e-30))


def on_host(t):
    return t.detach().to("cpu").astype(ck.float32).numpy() if t.dtype is ck.bfloat16 else t.detach().to("cpu").numpy()


class Ops:
    """Rows for single ops; torch is None when it is not there."""

    def __init__(self, torch, batch: int):
        self.torch, self.batch, self.rng = torch, batch, np.random.default_rng(1)

    def both(self, array, dtype, image=False):
        """The array as a convkit tensor and as torch's, images [N,H,W,C] as channels_last."""
        ours = ck.tensor(array, device="cuda").astype(getattr(ck, dtype))
        if self.torch is None:
            return ours, None
        theirs = self.torch.from_numpy(array).cuda().to(getattr(self.torch, dtype))
        return ours, theirs.permute(0, 3, 1, 2) if image else theirs

    def uniform(self, *shape):
        return self.rng.random(shape, np.float32) - 0.5

    def convolution(self, name, c, h, o, k, s, dtype):
        n, p = self.batch, (h + 2 * (k // 2) - k) // s + 1
        x, tx = self.both(self.uniform(n, h, h, c), dtype, image=True)
        w, tw = self.both(self.uniform(o, k, k, c), dtype, image=True)
        dy, tdy = self.both(self.uniform(n, p, p, o), dtype, image=True)
        size = 2 if dtype == "bfloat16" else 4
        flop = 2.0 * n * p * p * o * k * k * c
        moved = size * float(n * h * h * c + n * p * p * o + o * k * k * c)
        geometry = ((s, s), (k // 2,) * 4, (1, 1), 1)
        core, torch = ck._core, self.torch
        calls = {
            "forward": lambda: core.conv2d(x._data, w._data, None, *geometry, ""),
            "data": lambda: core.conv2d_data_gradient(x.shape, w._data, dy._data, *geometry),
            "weights": lambda: core.conv2d_weight_gradient(x._data, w.shape, dy._data, *geometry),
        }
        for direction, ours in calls.items():
            if direction == "data" and c < 4:
                continue  # the image needs no gradient
            theirs, error = None, float("nan")
            if torch is not None:
                mask = [direction == "data", direction == "weights", False]
                if direction == "forward":
                    theirs = lambda: torch.nn.functional.conv2d(tx, tw, None, s, k // 2)  # noqa: E731
                else:
                    theirs = lambda mask=mask: torch.ops.aten.convolution_backward(  # noqa: E731
                        tdy, tx, tw, None, [s, s], [k // 2] * 2, [1, 1], False, [0, 0], 1, mask
                    )
                result = theirs()
                result = result if direction == "forward" else result[0 if direction == "data" else 1]
                error = relative(on_host(ck.Tensor(ours())), result.permute(0, 2, 3, 1).float().cpu().numpy())
            yield Row(f"{name} {direction}", "convolution", dtype, flop, moved, ours, theirs, error)

    def max_pool(self, name, c, h, k, s, pad, dtype):
        x, tx = self.both(self.uniform(self.batch, h, h, c), dtype, image=True)
        torch, n = self.torch, self.batch
        p = (h + 2 * pad - k) // s + 1
        size = 2 if dtype == "bfloat16" else 4
        geometry = ((k, k), (s, s), (pad,) * 4, (1, 1), False)
        ours = lambda: ck._core.max_pool2d(x._data, geometry, True)  # noqa: E731
        moved = float(n * c) * (h * h * size + p * p * (size + 1))
        theirs, error = None, float("nan")
        if torch is not None:
            theirs = lambda: torch.nn.functional.max_pool2d(tx, k, s, pad, return_indices=True)  # noqa: E731
            error = relative(on_host(ck.Tensor(ours()[0])), theirs()[0].permute(0, 2, 3, 1).float().cpu().numpy())
        yield Row(f"{name} forward", "max-pool", dtype, 0, moved, ours, theirs, error)
        dy, tdy = self.both(self.uniform(n, p, p, c), dtype, image=True)
        argmax = ours()[1]
        back = lambda: ck._core.max_pool2d_gradient(x.shape, dy._data, argmax, geometry)  # noqa: E731
        if torch is not None:
            indices = theirs()[1]
            theirs = lambda: torch.ops.aten.max_pool2d_with_indices_backward(  # noqa: E731
                tdy, tx, [k, k], [s, s], [pad, pad], [1, 1], False, indices
            )
            error = relative(on_host(ck.Tensor(back())), theirs().permute(0, 2, 3, 1).float().cpu().numpy())
        yield Row(f"{name} gradient", "max-pool", dtype, 0, moved, back, theirs, error)

    def product(self, m, n, k, dtype):
        a, ta = self.both(self.uniform(m, k), dtype)
        b, tb = self.both(self.uniform(k, n), dtype)
        size = 2 if dtype == "bfloat16" else 4
        ours = lambda: ck._core.matmul(a._data, b._data)  # noqa: E731
        theirs = None if self.torch is None else (lambda: ta @ tb)
        error = float("nan") if theirs is None else relative(on_host(ck.Tensor(ours())), theirs().float().cpu().numpy())
        moved = float(size * (m * k + k * n + m * n))
        yield Row(f"matmul {m}x{n}x{k}", "matmul", dtype, 2.0 * m * n * k, moved, ours, theirs, error)

    def rows(self, wanted):
        for dtype in ("float32", "bfloat16"):
            for problem in (
                ("conv1", 3, 224, 64, 7, 2),
                ("layer1 1x1 in", 256, 56, 64, 1, 1),
                ("layer1 3x3", 64, 56, 64, 3, 1),
                ("layer1 1x1 out", 64, 56, 256, 1, 1),
                ("layer2 3x3 s2", 128, 56, 128, 3, 2),
                ("layer2 3x3", 128, 28, 128, 3, 1),
                ("layer3 3x3", 256, 14, 256, 3, 1),
                ("layer3 1x1 out", 256, 14, 1024, 1, 1),
                ("layer4 3x3", 512, 7, 512, 3, 1),
            ):
                if wanted(problem[0]):
                    yield from self.convolution(*problem, dtype)
            for problem in (("pool 3x3 s2", 64, 112, 3, 2, 1), ("pool 2x2", 64, 56, 2, 2, 0)):
                if wanted(problem[0]):
                    yield from self.max_pool(*problem, dtype)
            if wanted("matmul"):
                yield from self.product(4096, 4096, 4096, dtype)


class Steps:
    """Training steps: forward, loss, backward, SGD with momentum; the error is the loss' before the first update."""

    def __init__(self, torch):
        self.torch = torch

    def rows(self, wanted):
        for name, n in (("illustrated.lenet", 128), ("resnet18", 128), ("resnet50", 256)):
            if not wanted(f"{name} step"):
                continue
            task = Task(name, training=True, batch=n)
            data = draw(task, seed=2)
            for mixed, graph in ((False, False), (True, False), (False, True)):
                label, dtype = f"{name} step {n}{' graph' if graph else ''}", "bfloat16" if mixed else "float32"
                error, theirs = float("nan"), None
                if self.torch is not None:
                    error = self._error(task, data, mixed)
                    theirs = torch_step(self.torch, task, data, mixed, graph)
                yield Row(label, "step", dtype, 0, 0, our_step(task, data, mixed, graph), theirs, error)
                theirs = None
                ck.cuda.empty_cache()

    def _error(self, task: Task, data: dict, mixed: bool) -> float:
        """Of the loss without dropout, whose draws are each library's own."""
        ours, theirs = our_model(task, data), torch_model(self.torch, task, data)
        for module in ours.modules():
            if isinstance(module, ck.nn.Dropout):
                module.p = 0.0
        with ck.autocast("cuda", ck.bfloat16) if mixed else contextlib.nullcontext():
            loss = ck.cross_entropy(ours(ck.tensor(data["x"]).to("cuda")), ck.tensor(data["labels"]).to("cuda"))
        with self.torch.autocast("cuda", self.torch.bfloat16, enabled=mixed):
            twin = theirs.without_dropout()
            expected = self.torch.nn.functional.cross_entropy(twin.net(twin.x), twin.labels)
        return abs(loss.item() - expected.item()) / abs(expected.item())


def our_model(task: Task, data: dict):
    model = ck.models.build(task.network)
    model.load_state_dict({name: value for name, value in data.items() if name not in ("x", "labels")})
    return model.to("cuda").train()


def our_step(task: Task, data: dict, mixed: bool, graph: bool):
    model = our_model(task, data)
    optimizer = ck.optim.SGD(model.parameters(), 1e-3, momentum=0.9)
    x, y = ck.tensor(data["x"]), ck.tensor(data["labels"])
    if graph:
        recorded = StepGraph(model, ck.cross_entropy, x, y, "cuda:0")
    x, y = x.to("cuda"), y.to("cuda")

    def call():
        if graph:
            recorded(x, y)
        else:
            with ck.autocast("cuda", ck.bfloat16) if mixed else contextlib.nullcontext():
                loss = ck.cross_entropy(model(x), y)
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return call


def torch_model(torch, task: Task, data: dict):
    """The twin on the GPU, channels last."""
    from peers.torch_networks import Twin  # which needs torch

    twin = Twin(task, data, channels_last=True)
    twin.net, twin.x, twin.labels = twin.net.cuda(), twin.x.cuda(), twin.labels.cuda()
    return twin


def torch_step(torch, task: Task, data: dict, mixed: bool, graph: bool):
    """The same step in torch, TF32 allowed; with ``graph`` through torch.cuda.CUDAGraph."""
    twin = torch_model(torch, task, data)
    optimizer = torch.optim.SGD(twin.net.parameters(), 1e-3, momentum=0.9)

    def forward_and_backward():
        with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            loss = torch.nn.functional.cross_entropy(twin.net(twin.x), twin.labels)
        loss.backward()

    if not graph:

        def call():
            optimizer.zero_grad(set_to_none=True)
            forward_and_backward()
            optimizer.step()

        return call
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            optimizer.zero_grad(set_to_none=True)
            forward_and_backward()
    torch.cuda.current_stream().wait_stream(side)
    optimizer.zero_grad(set_to_none=True)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        forward_and_backward()

    def call():
        recorded.replay()
        optimizer.step()

    return call


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256, help="images of the convolutions and poolings")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=240.0, help="no further row after so long")
    parser.add_argument("--only", default="", help="rows of problems whose name holds this")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--without-torch", action="store_true")
    arguments = parser.parse_args()
    torch = None
    if not arguments.without_torch:
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    facts = {
        "convkit": ck.show_config(),
        "GPU": ", ".join(device.name for device in ck._core.cuda_devices()),
        "torch": "none" if torch is None else f"{torch.__version__}, cuDNN {torch.backends.cudnn.version()}",
    }
    print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n")
    results, wrong, started = [], [], time.perf_counter()
    lines = ["| row | dtype | ms | roof | torch / ours | error |", "| --- | --- | --- | --- | --- | --- |"]
    print(*lines, sep="\n")
    for source in (Steps(torch), Ops(torch, arguments.batch)):
        for row in source.rows(lambda name: arguments.only in name):
            if time.perf_counter() - started > arguments.seconds:
                print(f"stopped before {row.name}: {arguments.seconds:.0f} s are over")
                break
            if row.theirs is not None and not row.error <= TOLERANCE[row.dtype]:
                wrong.append(row.name)
                print(f"WRONG, not timed: {row.name} {row.dtype}, error {row.error:.1e}", flush=True)
                continue
            ours, ratios = [], []
            for _ in range(arguments.rounds):
                ours.append(measure(row.ours, wait))
                if row.theirs is not None:
                    ratios.append(measure(row.theirs, torch.cuda.synchronize) / ours[-1])
            seconds = statistics.median(ours)
            roof = max(row.bytes / BANDWIDTH, row.flop / RATES[row.dtype]) / seconds
            ratio = statistics.median(ratios) if ratios else float("nan")
            results.append({"row": row.name, "kind": row.kind, "dtype": row.dtype, "seconds": seconds, "roof": roof,
                            "torch/ours": ratio, "ratios": ratios, "error": row.error})  # fmt: skip
            cells = (row.name, row.dtype, f"{seconds * 1e3:.3f}", f"{roof:.2f}", f"{ratio:.2f}", f"{row.error:.1e}")
            lines.append(f"| {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    if arguments.json:
        text = json.dumps({"machine": facts, "rows": results}, indent=1).replace("NaN", "null")
        arguments.json.write_text(text + "\n")
    if arguments.markdown:
        arguments.markdown.write_text("\n".join(lines) + "\n")
    if wrong:
        raise SystemExit(f"{len(wrong)} rows disagree with torch: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
