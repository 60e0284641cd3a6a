"""What is measured: a training step or an inference of one of convkit's networks, and the numbers it starts from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Task:
    """``network`` as in convkit.models; a step is forward, loss, backward and optimizer, else a forward pass."""

    network: str
    training: bool
    batch: int

    def __str__(self) -> str:
        return f"{'train' if self.training else 'infer'}:{self.network}:{self.batch}"

    @property
    def optimizer(self) -> str:
        """What each network is usually trained with; learning rates are small, so that weights stay sane."""
        return "adam" if self.network == "illustrated.lenet" else "sgd"

    @property
    def tolerance(self) -> float:
        """Largest relative error of outputs, loss and gradients against another library's.

        Down to rounding, but in the gradients of deep networks: a ReLU at a tie moves those of all layers before it,
        in 50 layers by percents (of any two libraries; tests/test_zoo_torch.py compares them in float64).
        """
        if not self.training:
            return 1e-4
        return {"illustrated.lenet": 1e-5, "resnet18": 1e-2}.get(self.network, 0.2)


LEARNING_RATE, MOMENTUM = 1e-4, 0.9
STEPS = ("train:illustrated.lenet:128", "train:resnet18:8", "train:resnet50:8", "train:mobilenet_v2:8")
INFERENCE = tuple(f"infer:{name}:{batch}" for name in ("resnet50", "vgg16", "mobilenet_v2") for batch in (1, 8))


def parse(text: str) -> Task:
    """The task that ``train:NETWORK:BATCH`` or ``infer:NETWORK:BATCH`` names."""
    match = re.fullmatch(r"(train|infer):([\w.]+):(\d+)", text)
    if not match:
        raise ValueError(f"a task is train:NETWORK:BATCH or infer:NETWORK:BATCH, not {text!r}")
    return Task(match[2], match[1] == "train", int(match[3]))


def draw(task: Task, seed: int) -> dict[str, np.ndarray]:
    """The network's state by name, in convkit's layouts, and "x" [N,H,W,C] and "labels" [N]."""
    import convkit as ck

    ck.manual_seed(seed)
    model = ck.models.build(task.network)
    rng = np.random.default_rng(seed)
    data: dict[str, Any] = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    data["x"] = rng.random((task.batch, *model.input_shape), dtype=np.float32)
    data["labels"] = rng.integers(0, 10, task.batch)
    return data
