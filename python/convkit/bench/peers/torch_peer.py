"""PyTorch, eager, in both of its memory layouts. Gradients come from the aten functions that compute one alone."""

from __future__ import annotations

import numpy as np

from ...ops.geometry import pads, pair
from .. import lowering
from ..cases import EPS, Case, ConvCase, GemmCase
from ..cases_model import LEARNING_RATE, LayerCase, NetworkCase
from ..cases_window import NormCase, PoolCase
from . import Contestant, Peer, need

_FEW = 30_000_000  # parameters: below, both of Adam's forms are tried; above they would cost GBs of memory


def load() -> Peer:
    return TorchPeer(need("torch", "torch"))


class TorchPeer(Peer):
    name = "torch"

    def __init__(self, torch):
        self.torch, self.aten = torch, torch.ops.aten
        self.version = torch.__version__
        self.layouts = {"NCHW": torch.contiguous_format, "NHWC": torch.channels_last}

    def set_threads(self, count):
        self.torch.set_num_threads(count)

    def contestants(self, case: Case):
        make = {
            ConvCase: self._conv, GemmCase: self._gemm, PoolCase: self._pool, NormCase: self._norm,
            LayerCase: self._layer, NetworkCase: self._network,
        }[type(case)]  # fmt: skip
        return make(case)

    def _put(self, array: np.ndarray, layout):
        """A tensor in torch's order of axes; four axes are [N,H,W,C] or [O,R,S,C] here."""
        tensor = self.torch.from_numpy(array)
        return tensor.permute(0, 3, 1, 2).contiguous(memory_format=layout) if array.ndim == 4 else tensor.clone()

    def _in_layouts(self, case: Case, build):
        """build(tensors by name, layout) -> call; its result or results are brought back to our layout."""
        found = {}
        for name, layout in self.layouts.items():
            tensors = {key: self._put(array, layout) for key, array in case.arrays.items()}
            call = build(tensors, layout)
            found[name] = Contestant(call, lambda call=call: tuple(map(_ours, _tuple(call()))))
        return found

    def _conv(self, case: ConvCase):
        problem, geometry = case.problem, case.geometry
        top, bottom, left, right = geometry.padding
        if (top, left) != (bottom, right):
            return {}  # torch pads by a copy of its own
        transposed = problem.transposed
        options = (geometry.stride, (top, left), geometry.dilation, transposed, problem.output_padding, problem.groups)
        empty = self.torch.empty
        dtype = self.torch.from_numpy(np.empty(0, case.dtype)).dtype

        def build(t, layout):
            if case.direction == "forward":
                return lambda: self.aten.convolution(t["x"], t["w"], t["bias"], *options)
            data = case.direction == "data"
            order = (0, 3, 1, 2)
            x = t.get("x", empty([case.x_shape[i] for i in order], dtype=dtype).to(memory_format=layout))
            w = t.get("w", empty([case.w_shape[i] for i in order], dtype=dtype).to(memory_format=layout))
            mask = (data, not data, False)
            return lambda: self.aten.convolution_backward(t["dy"], x, w, None, *options, mask)[0 if data else 1]

        return self._in_layouts(case, build)

    def _gemm(self, case: GemmCase):
        a, b = (self.torch.from_numpy(case.arrays[name]) for name in "ab")
        a, b = a.t() if case.trans_a else a, b.t() if case.trans_b else b
        return {"mm": Contestant(lambda: self.torch.mm(a, b), lambda: (self.torch.mm(a, b).numpy(),))}

    def _pool(self, case: PoolCase):
        problem = case.problem
        top, bottom, left, right = case.padding
        if (top, left) != (bottom, right):
            return {}
        window = (problem.kernel, problem.stride, (top, left))
        maximum, ceil = problem.mode == "max", problem.ceil_mode

        def build(t, layout):
            x, dy = t["x"], t["dy"]
            if maximum:
                options = (*window, problem.dilation, ceil)
                if case.direction == "forward":
                    return lambda: self.aten.max_pool2d_with_indices(x, *options)[0]
                indices = self.aten.max_pool2d_with_indices(x, *options)[1]
                return lambda: self.aten.max_pool2d_with_indices_backward(dy, x, *options, indices)
            if case.direction == "forward":
                return lambda: self.aten.avg_pool2d(x, *window, ceil, True, None)
            return lambda: self.aten.avg_pool2d_backward(dy, x, *window, ceil, True, None)

        return self._in_layouts(case, build)

    def _norm(self, case: NormCase):
        aten, activation = self.aten, case.activation
        backward_of = {"relu": lambda dy, z: aten.threshold_backward(dy, z, 0)}
        backward_of["relu6"] = lambda dy, z: aten.hardtanh_backward(dy, z, 0, 6)

        def build(t, layout):
            mean, variance = self.torch.zeros_like(t["bias"]), self.torch.ones_like(t["bias"])
            affine = (t["weight"], t["bias"], mean, variance)

            def forward():
                y, *saved = aten.native_batch_norm(t["x"], *affine, True, 0.1, EPS)
                y = y.add_(t["residual"]) if case.adds else y
                return y, saved

            def activated():
                y = forward()[0]
                return _activate(self.torch, activation, y) if activation else y

            if case.direction == "forward":
                return activated
            z, saved = forward()

            def backward():
                g = backward_of[activation](t["dy"], z) if activation else t["dy"]
                return aten.native_batch_norm_backward(
                    g, t["x"], t["weight"], mean, variance, *saved, True, EPS, (True, True, True)
                )

            return backward

        return self._in_layouts(case, build)

    def _layer(self, case: LayerCase):
        found = {}
        for name, layout in self.layouts.items():
            backend = TorchBackend(self.torch, layout, training=True)

            def step(arrays, backend=backend, layout=layout):
                x, dy = (self._put(arrays[key], layout) for key in ("x", "dy"))
                x.requires_grad_()

                def call():
                    x.grad = None
                    backend.zero_grad()
                    y = lowering.lower(case.model, x, backend)
                    y.backward(dy)
                    return y, x.grad

                return call

            small = step(case.small)
            found[name] = Contestant(step(case.arrays), lambda small=small: tuple(map(_ours, small())))
        return found

    def _network(self, case: NetworkCase):
        found = {}
        forms = (False, True) if case.training and case.model.num_parameters() < _FEW else (True,)
        for name, layout in self.layouts.items():
            for fused in forms:
                backend = TorchBackend(self.torch, layout, case.training)
                label = f"{name}{' fused Adam' if fused and len(forms) > 1 else ''}"
                found[label] = self._step(case, backend, fused) if case.training else self._inference(case, backend)
        return found

    def _inference(self, case: NetworkCase, backend):
        def forward(arrays):
            x = self._put(arrays["x"], backend.layout)

            def call():
                with self.torch.inference_mode():
                    return lowering.lower(case.model, x, backend)

            return call

        return Contestant(forward(case.arrays), lambda: (forward(case.small)().numpy(),))

    def _step(self, case: NetworkCase, backend, fused: bool):
        torch, functional = self.torch, self.torch.nn.functional
        small = [torch.from_numpy(case.small["labels"]), self._put(case.small["x"], backend.layout)]
        labels, x = torch.from_numpy(case.arrays["labels"]), self._put(case.arrays["x"], backend.layout)

        def loss():
            backend.dropout_off = True
            value = functional.cross_entropy(lowering.lower(case.model, small[1], backend), small[0])
            backend.dropout_off = False
            return (value.detach().numpy(),)

        optimizer = []  # made when the first forward has made the parameters

        def step():
            if optimizer:
                optimizer[0].zero_grad()
            value = functional.cross_entropy(lowering.lower(case.model, x, backend), labels)
            value.backward()
            if not optimizer:
                optimizer.append(torch.optim.Adam(backend.parameters(), lr=LEARNING_RATE, fused=fused))
            optimizer[0].step()
            return value

        return Contestant(step, loss)


class TorchBackend:
    """The layers as torch's functions on tensors that start as copies of ours."""

    def __init__(self, torch, layout, training: bool):
        self.torch, self.functional, self.layout, self.training = torch, torch.nn.functional, layout, training
        self.dropout_off = False
        self._values: dict[tuple[int, str], object] = {}
        self._flattened = None  # [C,H,W] of what the next dense layer reads flattened

    def parameters(self):
        return [value for value in self._values.values() if value is not None and value.requires_grad]

    def zero_grad(self):
        for value in self.parameters():
            value.grad = None

    def _value(self, layer, name: str, order=None):
        key = (id(layer), name)
        if key not in self._values:
            ours = getattr(layer, name)
            if ours is None:
                self._values[key] = None
                return None
            array = np.array(ours.numpy())
            array = order(array) if order else array
            value = self.torch.from_numpy(np.ascontiguousarray(array))
            if value.ndim == 4:
                value = value.contiguous(memory_format=self.layout)
            self._values[key] = value.requires_grad_(self.training and ours.requires_grad)
        return self._values[key]

    def conv(self, layer, x):
        w = self._value(layer, "weight", lambda array: array.transpose(0, 3, 1, 2))
        top, bottom, left, right = pads("bench", layer.padding)
        if (top, left) != (bottom, right):
            raise NotImplementedError("[bench] torch has no uneven padding.")
        return self.functional.conv2d(
            x, w, self._value(layer, "bias"), layer.stride, (top, left), layer.dilation, layer.groups
        )

    def norm(self, layer, x):
        values = [self._value(layer, name) for name in ("running_mean", "running_var", "weight", "bias")]
        return self.functional.batch_norm(x, *values, self.training, layer.momentum, layer.eps)

    def linear(self, layer, x):
        shape, self._flattened = self._flattened, None

        def order(array):  # our flattened maps are in the order [H,W,C]
            if shape is None:
                return array
            c, h, w = shape
            return array.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(len(array), -1)

        return self.functional.linear(x, self._value(layer, "weight", order), self._value(layer, "bias"))

    def max_pool(self, layer, x):
        return self.functional.max_pool2d(x, layer.kernel_size, layer.stride, layer.padding, ceil_mode=layer.ceil_mode)

    def avg_pool(self, layer, x):
        return self.functional.avg_pool2d(x, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)

    def adaptive_pool(self, layer, x):
        return self.functional.adaptive_avg_pool2d(x, pair("bench", "output_size", layer.output_size))

    def dropout(self, layer, x):
        return self.functional.dropout(x, layer.p, self.training and not self.dropout_off)

    def flatten(self, x):
        self._flattened = x.shape[1:]
        return self.torch.flatten(x, 1)

    def activation(self, name, x):
        return _activate(self.torch, name, x)

    def add(self, a, b):
        return a + b


def _activate(torch, name: str, x):
    """In place where torch's own models do so."""
    functional = torch.nn.functional
    if name in ("relu", "relu6"):
        return getattr(functional, name)(x, inplace=True)
    return getattr(torch, name)(x)


def _tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _ours(tensor) -> np.ndarray:
    """An array in our order of axes."""
    return (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).detach().numpy()
