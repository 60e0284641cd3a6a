"""tinygrad's CPU back end, which needs clang: the LeNet step as one captured (TinyJit) function.

pip install tinygrad numpy
"""

from __future__ import annotations

import os
from importlib.metadata import version as installed

os.environ.setdefault("DEV", "CPU")

import numpy as np
from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn import Conv2d, Linear, optim, state

from tasks import LEARNING_RATE


def version() -> str:
    return installed("tinygrad")


def set_threads(n: int) -> None:
    os.environ["CPU_COUNT"] = str(n)


class LeNet:
    """NCHW, as all of tinygrad."""

    def __init__(self, data, dropout: bool):
        self.conv1, self.conv2 = Conv2d(1, 32, 3), Conv2d(32, 64, 3)
        self.dense1, self.dense2 = Linear(9216, 128), Linear(128, 10)
        self.rates = (0.25, 0.5) if dropout else (0.0, 0.0)
        for name, parameter in state.get_state_dict(self).items():
            parameter.assign(Tensor(_to_nchw(name, data[name]))).realize()

    def __call__(self, x):
        x = self.conv2(self.conv1(x).relu()).relu().max_pool2d(2).dropout(self.rates[0])
        return self.dense2(self.dense1(x.flatten(1)).relu().dropout(self.rates[1]))


def _to_nchw(name, array):
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if name == "dense1.weight":
        return array.reshape(128, 12, 12, 64).transpose(0, 3, 1, 2).reshape(array.shape)
    return array


def _from_nchw(name, array):
    if array.ndim == 4:
        return array.transpose(0, 2, 3, 1)
    if name == "dense1.weight":
        return array.reshape(128, 64, 12, 12).transpose(0, 2, 3, 1).reshape(array.shape)
    return array


def _prepared(task, data, dropout: bool):
    if str(task) != f"train:illustrated.lenet:{task.batch}":
        raise ValueError("the LeNet step only")
    x = Tensor(np.ascontiguousarray(data["x"].transpose(0, 3, 1, 2))).realize()
    return LeNet(data, dropout), x, Tensor(data["labels"].astype(np.int32)).realize()


def steps(task, data):
    model, x, labels = _prepared(task, data, dropout=True)
    optimizer = optim.Adam(state.get_parameters(model), lr=LEARNING_RATE)

    @TinyJit
    def update():
        with Context(TRAINING=1):
            optimizer.zero_grad()
            loss = model(x).sparse_categorical_crossentropy(labels).backward()
            return loss.realize(*optimizer.schedule_step())

    return {"": lambda: update().item()}


def check(task, data):
    model, x, labels = _prepared(task, data, dropout=False)
    parameters = state.get_state_dict(model)
    loss = model(x).sparse_categorical_crossentropy(labels).backward()
    found = {"loss": np.asarray(loss.item())}
    return found | {name: _from_nchw(name, parameter.grad.numpy()) for name, parameter in parameters.items()}
