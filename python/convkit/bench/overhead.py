"""What is not kernel: the cost of each op on tiny tensors, and the share of a LeNet step spent outside kernels.

    python -m convkit.bench.overhead

On a tensor of a few elements a kernel takes well under a microsecond, so that the time of an op is the time of
everything around it: Python, the conversion of arguments, checks, allocation and the recording of the graph. Forward is
a call with inputs that require gradients; backward is one node of a graph, gradients handed to its leaves included.
The step is measured the same way: a network of the same layers and one pixel per channel, against the real one.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable

import numpy as np

from .. import _core, config, models, nn, ops, optim
from ..autograd import backward, record
from ..creation import ones, zeros
from ..random import rand
from ..tensor import Tensor, tensor

REPEATS = 25  # the median of as many: a preempted one does not count
OPS = 40  # per repeat: long against the clock's resolution (50 ns)

Case = tuple[Callable[..., Tensor], tuple]  # an op, and the shapes of the leaves it is called with


def _norm(training: bool) -> Callable[..., Tensor]:
    mean, variance = zeros(2), ones(2)
    return lambda x, w, b: ops.batch_norm(x, mean, variance, w, b, training=training, activation="relu")


def cases() -> dict[str, Case]:
    """At least one op of every family."""
    image, labels = (1, 3, 3, 2), tensor(np.array([0, 1]))
    places = ops.max_pool2d(rand(1, 4, 4, 2), 2, return_indices=True)[1]
    layers = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU())
    return {
        "add": (ops.add, ((2, 2), (2, 2))),
        "add a number": (lambda x: x + 1.0, ((2, 2),)),
        "multiply": (ops.multiply, ((2, 2), (2, 2))),
        "relu": (ops.relu, ((2, 2),)),
        "exp": (ops.exp, ((2, 2),)),
        "sum": (ops.sum, ((2, 2),)),
        "mean": (ops.mean, ((2, 2),)),
        "max": (ops.max, ((2, 2),)),
        "reshape": (lambda x: x.reshape(4), ((2, 2),)),
        "transpose": (ops.transpose, ((2, 2),)),
        "getitem": (lambda x: x[1:], ((2, 2),)),
        "concatenate": (lambda x, y: ops.concatenate((x, y), 0), ((2, 2), (2, 2))),
        "pad": (lambda x: ops.pad(x, ((1, 1), (0, 0))), ((2, 2),)),
        "matmul": (ops.matmul, ((2, 2), (2, 2))),
        "linear + relu": (lambda x, w, b: ops.linear(x, w, b, activation="relu"), ((2, 2), (2, 2), (2,))),
        "conv2d + relu": (
            lambda x, w, b: ops.conv2d(x, w, b, padding=1, activation="relu"),
            (image, (2, 3, 3, 2), (2,)),
        ),
        "nn.Sequential(Conv2d, ReLU)": (layers, (image,)),
        "conv2d depthwise": (lambda x, w: ops.conv2d(x, w, padding=1, groups=2), (image, (2, 3, 3, 1))),
        "conv_transpose2d": (lambda x, w, b: ops.conv_transpose2d(x, w, b), (image, (2, 3, 3, 2), (2,))),
        "batch_norm + relu, training": (_norm(True), (image, (2,), (2,))),
        "batch_norm + relu, evaluation": (_norm(False), (image, (2,), (2,))),
        "max_pool2d": (lambda x: ops.max_pool2d(x, 2), (image,)),
        "max_unpool2d": (lambda x: ops.max_unpool2d(x, places, 2), ((1, 2, 2, 2),)),
        "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2), (image,)),
        "adaptive_avg_pool2d": (lambda x: ops.adaptive_avg_pool2d(x, 1), (image,)),
        "upsample": (lambda x: ops.upsample(x, 2), (image,)),
        "dropout": (lambda x: ops.dropout(x, 0.5, True), ((2, 2),)),
        "softmax": (ops.softmax, ((2, 2),)),
        "cross_entropy": (lambda x: ops.cross_entropy(x, labels), ((2, 2),)),
        "mse_loss": (lambda x: ops.mse_loss(x, 0.0), ((2, 2),)),
    }


def op_cost(case: Case) -> tuple[float, float]:
    """Median CPU seconds of one call, forward and backward."""
    op, shapes = case
    leaves = [[rand(shape) for shape in shapes] for _ in range(OPS)]
    for row in leaves:
        for leaf in row:
            leaf.requires_grad = True
    forward, gradient = [], []
    for _ in range(REPEATS):
        for row in leaves:
            for leaf in row:
                leaf.grad = None
        start = time.thread_time()
        results = [op(*row) for row in leaves]
        forward.append((time.thread_time() - start) / OPS)
        # One node above all results hands each its gradient: a pass walks OPS independent nodes of the op.
        dys = [_core.full(y.shape, 1.0, y.dtype) for y in results]
        root = record(_core.full((), 0.0, results[0].dtype), results, lambda _, dys=dys: dys)
        start = time.thread_time()
        backward(root)
        gradient.append((time.thread_time() - start) / OPS)
    return statistics.median(forward), statistics.median(gradient)


def _lenet_step(model: nn.Module, shape: tuple[int, ...]) -> Callable[[], None]:
    """A training step: forward, loss, backward, Adam."""
    optimizer = optim.Adam(model.parameters())
    x, labels = rand(shape), np.arange(shape[0]) % 2

    def step():
        optimizer.zero_grad()
        ops.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def _pixel_lenet() -> nn.Sequential:
    """The layers of illustrated.lenet, all as narrow as they can be: for images [N,6,6,1]."""
    layers = dict(models.illustrated.lenet().named_children())
    layers |= {"conv1": nn.Conv2d(1, 1, 3), "conv2": nn.Conv2d(1, 1, 3)}
    layers |= {"dense1": nn.Linear(1, 1), "dense2": nn.Linear(1, 2)}
    return nn.Sequential(layers)


def step_cost(clock: Callable[[], float]) -> tuple[float, float]:
    """Median seconds of a training step of illustrated.lenet, batch 128, and of what it spends outside kernels."""
    medians = []
    for model, shape, rounds in ((models.illustrated.lenet(), (128, 28, 28, 1), 9), (_pixel_lenet(), (2, 6, 6, 1), 99)):
        step, times = _lenet_step(model, shape), []
        for _ in range(3):
            step()
        for _ in range(rounds):
            start = clock()
            step()
            times.append(clock() - start)
        medians.append(statistics.median(times))
    return medians[0], medians[1]


def report(threads: int = 1) -> list[dict]:
    """One row per op with ``name``, ``forward_us`` and ``backward_us``; the last row is the LeNet step, with
    ``step_us`` (wall time when ``threads`` is not 1), ``outside_us`` and ``outside_share``."""
    before = config.get_num_threads()
    config.set_num_threads(threads)
    collecting = gc.isenabled()
    gc.disable()  # as timeit does: what a collection costs depends on the rest of the program
    try:
        rows = []
        for name, case in cases().items():
            forward, gradient = op_cost(case)
            rows.append({"name": name, "forward_us": 1e6 * forward, "backward_us": 1e6 * gradient})
        step, outside = step_cost(time.thread_time if threads == 1 else time.perf_counter)
        rows.append(
            {
                "name": "illustrated.lenet step, batch 128",
                "step_us": 1e6 * step,
                "outside_us": 1e6 * outside,
                "outside_share": outside / step,
            }
        )
        return rows
    finally:
        config.set_num_threads(before)
        if collecting:
            gc.enable()


def text(rows: list[dict]) -> str:
    """The rows as a table."""
    lines = [f"{'op on tiny tensors':34} {'forward us':>10} {'backward us':>11}"]
    lines += [f"{row['name']:34} {row['forward_us']:10.1f} {row['backward_us']:11.1f}" for row in rows[:-1]]
    step = rows[-1]
    lines.append(
        f"{step['name']}: {step['step_us'] / 1e3:.2f} ms, of which outside kernels {step['outside_us'] / 1e3:.2f} ms "
        f"= {100 * step['outside_share']:.1f} %"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="threads of the LeNet step (default 1)")
    print(text(report(parser.parse_args().threads)))
