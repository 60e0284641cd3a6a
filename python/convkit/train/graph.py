"""A training step as a CUDA graph: recorded once, replayed with one call for every batch of the same shape."""

from __future__ import annotations

from .. import _core, cuda
from ..random import get_rng_state, set_rng_state
from ..tensor import tensor


class StepGraph:
    """``loss(model(x), y)`` and its gradients for batches shaped like ``x`` and ``y``, on the model's device.

    Calling it with a batch leaves the gradients in the parameters' ``grad``, ready for the optimizer, moves batch
    norm's running statistics, draws dropout's masks from where the generator stands, and returns (loss, logits):
    tensors that the next call overwrites. Everything has the bits it has without a graph.

    Before it is recorded the step runs once, to make what later steps find made; what that run changed is put back. The
    step must neither move data to the device nor wait for it, and its shapes must not depend on values.
    """

    def __init__(self, model, loss, x, y, device: str):
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._index = cuda.index_of(device)
        self._x, self._y = x.to(device), y.to(device)
        if self._x is x or self._y is y:
            raise ValueError("[train.fit] a CUDA graph takes batches from the CPU. Received: batches on the device.")
        kept = [(buffer, tensor(buffer.to("cpu"), device="cpu")) for buffer in model.buffers()]
        generator = get_rng_state()
        try:
            self._step(model, loss)
            for buffer, value in kept:
                buffer.copy_(value)
            set_rng_state(generator)
            self._graph = self._record(model, loss)
        except BaseException:
            for buffer, value in kept:
                buffer.copy_(value)
            for parameter in self._parameters:
                parameter.grad = None  # maybe of memory that nothing filled
            set_rng_state(generator)
            raise
        self._drawn = get_rng_state()[1] - generator[1]
        self._recorded_at = generator
        self._gradients = [p.grad for p in self._parameters]
        self._memory = [t._data for t in (*self._parameters, *model.buffers())]  # what the graph reads and writes
        set_rng_state(generator)
        # Counters are the host's: the recording moved them, a replay does not.
        counters = [(buffer, value.item()) for buffer, value in kept if buffer.dtype.kind != "f"]
        self._counters = [(buffer, buffer.item() - before) for buffer, before in counters]
        self._count(-1)

    def fits(self, x, y) -> bool:
        """Whether the batch has the recorded shapes and dtypes."""
        return (x.shape, x.dtype, y.shape, y.dtype) == (self._x.shape, self._x.dtype, self._y.shape, self._y.dtype)

    def __call__(self, x, y):
        self._x.copy_(x)
        self._y.copy_(y)
        seed, offset = get_rng_state()
        if seed != self._recorded_at[0]:
            raise RuntimeError("[train.fit] the generator was seeded anew after the CUDA graph was recorded.")
        self._graph.replay((offset - self._recorded_at[1]) % 2**64)
        set_rng_state((seed, offset + self._drawn))
        self._count(1)
        for parameter, gradient in zip(self._parameters, self._gradients):
            parameter.grad = gradient
        return self._loss, self._logits

    def _record(self, model, loss):
        _core.cuda_begin_capture(self._index)
        try:
            self._loss, self._logits = self._step(model, loss)
            return _core.cuda_end_capture()
        except BaseException:
            _core.cuda_abandon_capture()
            raise

    def _count(self, steps: int) -> None:
        for buffer, each in self._counters:
            buffer.copy_(tensor(buffer.item() + steps * each, device="cpu"))

    def _step(self, model, loss):
        for parameter in self._parameters:
            parameter.grad = None
        logits = model(self._x)
        value = loss(logits, self._y)
        value.backward()
        return value.detach(), logits.detach()
