"""PyTorch with torch.compile (the inductor back end, which needs a C++ compiler), both layouts, fused optimizer.

pip install torch
"""

from __future__ import annotations

import torch

from . import torch_eager
from .torch_networks import Twin

version, set_threads, check = torch_eager.version, torch_eager.set_threads, torch_eager.check


def steps(task, data):
    made = {}
    for layout in ("NCHW", "NHWC"):
        twin = Twin(task, data, layout == "NHWC")
        net = torch.compile(twin.net)
        if task.training:
            made[layout] = torch_eager.training_step(task, twin, net, fused=True)
        else:
            made[layout] = torch_eager.inference(net, twin.x)
    return made
