"""PyTorch as it comes: both memory layouts, with and without its fused optimizers.

pip install torch
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from tasks import LEARNING_RATE, MOMENTUM

from .torch_networks import Twin


def version() -> str:
    return torch.__version__


def set_threads(n: int) -> None:
    torch.set_num_threads(n)


def _optimizer(task, net, fused: bool):
    if task.optimizer == "adam":
        return torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, fused=fused)
    return torch.optim.SGD(net.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, fused=fused)


def training_step(task, twin: Twin, net, fused: bool):
    """A step of ``net``, which may be compiled."""
    optimizer = _optimizer(task, twin.net, fused)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(net(twin.x), twin.labels).backward()
        optimizer.step()

    return step


def inference(net, x):
    """A forward pass."""

    @torch.inference_mode()
    def infer():
        net(x)

    return infer


def steps(task, data):
    made = {}
    for layout in ("NCHW", "NHWC"):
        if task.training:
            for fused in (False, True):
                twin = Twin(task, data, layout == "NHWC")
                made[f"{layout}{', fused optimizer' if fused else ''}"] = training_step(task, twin, twin.net, fused)
        else:
            twin = Twin(task, data, layout == "NHWC")
            made[layout] = inference(twin.net, twin.x)
    return made


def check(task, data):
    twin = Twin(task, data, channels_last=False).without_dropout()
    if not task.training:
        with torch.inference_mode():
            return {"output": twin.net(twin.x).numpy()}
    loss = F.cross_entropy(twin.net(twin.x), twin.labels)
    loss.backward()
    return {"loss": np.asarray(loss.item()), **twin.gradients()}
