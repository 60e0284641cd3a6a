"""MLX's CPU build: the LeNet step as one compiled function.

pip install "mlx[cpu]"
"""

from __future__ import annotations

from functools import partial

import mlx.core as mx
import numpy as np
from mlx import nn, optimizers

from tasks import LEARNING_RATE


def version() -> str:
    return mx.__version__


def set_threads(n: int) -> None:
    mx.set_default_device(mx.cpu)  # its threads are as many as the CPUs that the process may use


class LeNet(nn.Module):
    """MLX has our layouts: NHWC, filters [O,R,S,C], dense [out,in]."""

    def __init__(self, data, dropout: bool):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 3), nn.Conv2d(32, 64, 3)
        self.dense1, self.dense2 = nn.Linear(9216, 128), nn.Linear(128, 10)
        self.dropout1, self.dropout2 = nn.Dropout(0.25 * dropout), nn.Dropout(0.5 * dropout)
        self.pool = nn.MaxPool2d(2, 2)
        self.load_weights([(name, mx.array(value)) for name, value in data.items() if name not in ("x", "labels")])

    def __call__(self, x):
        x = self.pool(nn.relu(self.conv2(nn.relu(self.conv1(x)))))
        x = nn.relu(self.dense1(self.dropout1(x).reshape(x.shape[0], -1)))
        return self.dense2(self.dropout2(x))


def _prepared(task, data, dropout: bool):
    if str(task) != f"train:illustrated.lenet:{task.batch}":
        raise ValueError("the LeNet step only")
    model = LeNet(data, dropout)
    loss = nn.value_and_grad(model, lambda m, x, y: nn.losses.cross_entropy(m(x), y, reduction="mean"))
    return model, loss, mx.array(data["x"]), mx.array(data["labels"])


def steps(task, data):
    model, loss, x, labels = _prepared(task, data, dropout=True)
    optimizer = optimizers.Adam(LEARNING_RATE, bias_correction=True)
    state = [model.state, optimizer.state, mx.random.state]

    @partial(mx.compile, inputs=state, outputs=state)
    def update(x, labels):
        value, gradients = loss(model, x, labels)
        optimizer.update(model, gradients)
        return value

    def step():
        mx.eval(update(x, labels), state)

    return {"": step}


def check(task, data):
    model, loss, x, labels = _prepared(task, data, dropout=False)
    value, gradients = loss(model, x, labels)
    found = {"loss": np.asarray(value.item())}
    for layer, parameters in gradients.items():
        found |= {f"{layer}.{name}": np.array(gradient) for name, gradient in parameters.items()}
    return found
