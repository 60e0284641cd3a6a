"""convkit itself, as a user writes it."""

from __future__ import annotations

import numpy as np

import convkit as ck
from tasks import LEARNING_RATE, MOMENTUM


def version() -> str:
    return ck.config.package_version()


def set_threads(n: int) -> None:
    ck.set_num_threads(n)


def _model(task, data, **options):
    model = ck.models.build(task.network, **options)
    model.load_state_dict({name: array for name, array in data.items() if name not in ("x", "labels")})
    return model.train(task.training), ck.from_numpy(data["x"]), data["labels"]


def training_step(task, data, **options):
    """A step of the network built with ``options``."""
    model, x, labels = _model(task, data, **options)
    if task.optimizer == "adam":
        optimizer = ck.optim.Adam(model.parameters(), lr=LEARNING_RATE)
    else:
        optimizer = ck.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)

    def step():
        optimizer.zero_grad()
        ck.cross_entropy(model(x), labels).backward()
        optimizer.step()

    return step


def steps(task, data):
    if task.training:
        return {"": training_step(task, data)}
    model, x, _ = _model(task, data)

    @ck.no_grad()
    def infer():
        model(x)

    return {"": infer}


def check(task, data):
    model, x, labels = _model(task, data)
    if not task.training:
        with ck.no_grad():
            return {"output": model(x).numpy()}
    for layer in model.modules():
        if isinstance(layer, ck.nn.Dropout):
            layer.p = 0.0
    loss = ck.cross_entropy(model(x), labels)
    loss.backward()
    gradients = {name: parameter.grad.numpy() for name, parameter in model.named_parameters()}
    return {"loss": np.asarray(loss.item()), **gradients}
