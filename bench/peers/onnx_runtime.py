"""onnxruntime's CPU provider: inference with all graph optimizations (it folds and fuses as it likes).

pip install onnxruntime onnx, beside torch, which writes the graph
"""

from __future__ import annotations

import io
import warnings

import onnx  # noqa: F401  (torch's exporter needs it: say so early)
import onnxruntime
import torch

from .torch_networks import Twin

_threads = 1


def version() -> str:
    return onnxruntime.__version__


def set_threads(n: int) -> None:
    global _threads
    _threads = n
    torch.set_num_threads(n)


def _session(task, data):
    if task.training:
        raise ValueError("inference only")
    twin, file = Twin(task, data, channels_last=False), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(twin.net, (twin.x,), file, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return session, {session.get_inputs()[0].name: twin.x.numpy()}


def steps(task, data):
    session, inputs = _session(task, data)
    return {"": lambda: session.run(None, inputs)}


def check(task, data):
    session, inputs = _session(task, data)
    return {"output": session.run(None, inputs)[0]}
