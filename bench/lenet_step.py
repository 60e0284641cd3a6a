"""One training step of illustrated.lenet (batch 128: forward, backward, Adam) in convkit and in PyTorch, interleaved.

    python bench/lenet_step.py --threads 1,2 --rounds 30

Both networks start from the same weights; loss and gradients are compared before anything is timed. PyTorch runs in
both layouts, with and without its fused Adam; every round times each contestant once, in rotating order, so that a
disturbance of the machine meets all of them. Reported is the median over the rounds of (PyTorch's time / convkit's
time) against the best PyTorch variant. One thread: CPU time of the thread; more: wall clock.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time

import numpy as np
import torch
import torch.nn.functional as F

import convkit as ck

BATCH = 128


class TorchLeNet(torch.nn.Module):
    """The same layers as convkit.models.illustrated.lenet, NCHW in torch's memory formats."""

    def __init__(self, dropout: bool):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, 32, 3)
        self.conv2 = torch.nn.Conv2d(32, 64, 3)
        self.dense1 = torch.nn.Linear(9216, 128)
        self.dense2 = torch.nn.Linear(128, 10)
        self.dropout = dropout

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
        x = F.dropout(x, 0.25, self.dropout)
        x = F.relu(self.dense1(torch.flatten(x, 1)))
        return self.dense2(F.dropout(x, 0.5, self.dropout))


def to_torch(name: str, array: np.ndarray) -> torch.Tensor:
    """Our [O,R,S,C] filters and (h,w,c)-ordered dense weights in torch's order."""
    if array.ndim == 4:
        array = array.transpose(0, 3, 1, 2)
    elif array.shape == (128, 9216):
        array = array.reshape(128, 12, 12, 64).transpose(0, 3, 1, 2).reshape(128, 9216)
    return torch.tensor(np.ascontiguousarray(array))


def twin(model, dropout: bool, channels_last: bool) -> TorchLeNet:
    """A torch network with the weights of ours."""
    net = TorchLeNet(dropout)
    with torch.no_grad():
        for ours, theirs in zip(model.named_parameters(), net.parameters()):
            theirs.copy_(to_torch(ours[0], ours[1].numpy()))
    return net.to(memory_format=torch.channels_last) if channels_last else net


def gradient_error(x: np.ndarray, labels: np.ndarray) -> float:
    """Largest relative error of the loss or any parameter's gradient against torch's, with dropout off."""
    model = ck.models.illustrated.lenet().eval()
    net = twin(model, dropout=False, channels_last=False)
    loss = ck.cross_entropy(model(ck.from_numpy(x)), labels)
    loss.backward()
    reference = F.cross_entropy(net(torch.tensor(x).permute(0, 3, 1, 2)), torch.tensor(labels))
    reference.backward()
    errors = [abs(loss.item() - reference.item()) / abs(reference.item())]
    for (name, ours), theirs in zip(model.named_parameters(), net.parameters()):
        expected = theirs.grad
        errors.append(float((to_torch(name, ours.grad.numpy()) - expected).norm() / expected.norm()))
    return max(errors)


def verify(x: np.ndarray, labels: np.ndarray) -> float:
    """The smallest :func:`gradient_error` over a few draws of the weights; SystemExit when none is down to rounding.

    Rounding may turn one of 1.2 million ReLUs and pooling windows that stands at a tie, which moves the gradient by
    3e-4 of its norm; a mistake would show in every draw.
    """
    errors = []
    while not errors or errors[-1] > 1e-5:
        if len(errors) == 10:
            raise SystemExit(f"convkit and torch disagree: relative errors {errors}")
        errors.append(gradient_error(x, labels))
    return errors[-1]


def our_step(x: np.ndarray, labels: np.ndarray):
    model = ck.models.illustrated.lenet().train()
    optimizer = ck.optim.Adam(model.parameters(), lr=1e-3)
    images = ck.from_numpy(x)

    def step():
        optimizer.zero_grad()
        ck.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return step


def torch_step(x: np.ndarray, labels: np.ndarray, channels_last: bool, fused: bool):
    net = twin(ck.models.illustrated.lenet(), dropout=True, channels_last=channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    images = torch.tensor(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    targets = torch.tensor(labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=fused)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(net(images), targets).backward()
        optimizer.step()

    return step


def measure(contestants: dict, rounds: int, clock) -> dict[str, list[float]]:
    times = {name: [] for name in contestants}
    names = list(contestants)
    for _ in range(3):
        for step in contestants.values():
            step()
    for i in range(rounds):
        for name in names[i % len(names) :] + names[: i % len(names)]:
            start = clock()
            contestants[name]()
            times[name].append(clock() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2", help="thread counts, comma-separated (default 1,2)")
    parser.add_argument("--rounds", type=int, default=30, help="interleaved rounds (default 30)")
    parser.add_argument("--json", help="also write the result to this file")
    args = parser.parse_args()

    rng = np.random.default_rng(0)
    x = rng.random((BATCH, 28, 28, 1), dtype=np.float32)
    labels = rng.integers(0, 10, BATCH)
    print(ck.show_config(), f"torch:         {torch.__version__}", sep="\n")
    print(f"verified:      loss and gradients agree, relative error {verify(x, labels):.1e}\n")

    results = []
    for threads in map(int, args.threads.split(",")):
        ck.set_num_threads(threads)
        torch.set_num_threads(threads)
        contestants = {"convkit": our_step(x, labels)}
        for channels_last in (False, True):
            for fused in (False, True):
                name = f"torch {'NHWC' if channels_last else 'NCHW'}{' fused Adam' if fused else ''}"
                contestants[name] = torch_step(x, labels, channels_last, fused)
        times = measure(contestants, args.rounds, time.thread_time if threads == 1 else time.perf_counter)
        medians = {name: statistics.median(values) for name, values in times.items()}
        best = min((name for name in medians if name != "convkit"), key=medians.get)
        ratios = sorted(theirs / ours for theirs, ours in zip(times[best], times["convkit"]))
        ratio = statistics.median(ratios)
        quartiles = ratios[len(ratios) // 4], ratios[-len(ratios) // 4]
        print(f"{threads} thread{'s' if threads > 1 else ''}: {ratio:.2f}x {best} ", end="")
        print(f"(quartiles {quartiles[0]:.2f} to {quartiles[1]:.2f}, {args.rounds} rounds)")
        for name, value in medians.items():
            print(f"    {name:24} {1e3 * value:8.2f} ms median")
        results.append({"threads": threads, "ratio": ratio, "quartiles": quartiles, "best": best, "median_s": medians})
    if args.json:
        machine = {"config": ck.show_config(), "torch": torch.__version__, "processor": platform.processor()}
        with open(args.json, "w") as file:
            json.dump({"machine": machine, "results": results}, file, indent=1)


if __name__ == "__main__":
    main()
