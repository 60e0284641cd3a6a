"""ONNX Runtime on models of one op, or of a whole network, that are built in memory. It has no gradients."""

from __future__ import annotations

import numpy as np

from ... import nn
from ...autograd import no_grad
from ...ops.geometry import pads, pair
from ...tensor import from_numpy
from .. import lowering
from ..cases import Case, ConvCase, GemmCase
from ..cases_model import NetworkCase
from ..cases_window import PoolCase
from . import Contestant, Peer, need

_OPSET = 17


def load() -> Peer:
    return OnnxPeer(need("onnxruntime", "onnxruntime"), need("onnx", "onnxruntime"))


class OnnxPeer(Peer):
    name = "onnxruntime"
    own_threads = True

    def __init__(self, runtime, onnx):
        self.runtime, self.onnx = runtime, onnx
        self.version = runtime.__version__
        self._threads = 1

    def set_threads(self, count):
        self._threads = count

    def contestants(self, case: Case):
        make = {ConvCase: self._conv, GemmCase: self._gemm, PoolCase: self._pool, NetworkCase: self._network}
        graphs = make[type(case)](case) if type(case) in make else []
        runs = [self._run(builder, x) for builder, x in graphs]
        if not runs:
            return {}

        def results():
            (y,) = runs[-1]()
            return (y.transpose(0, 2, 3, 1) if y.ndim == 4 else y,)

        return {"NCHW" if graphs[0][1].ndim == 4 else "Gemm": Contestant(runs[0], results)}

    def _run(self, builder: OnnxBuilder, x: np.ndarray):
        session, feed = self._session(builder, x.ndim), {"x": x}
        return lambda: session.run(None, feed)

    def _session(self, builder: OnnxBuilder, rank: int):
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.force_spinning_stop", "1")  # at the end of a run: others follow it
        model = builder.model(rank).SerializeToString()
        return self.runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def _conv(self, case: ConvCase):
        if case.direction != "forward":
            return []
        problem, a = case.problem, case.arrays
        builder = OnnxBuilder(self.onnx, case.dtype)
        top, bottom, left, right = case.geometry.padding
        options = {
            "strides": problem.stride, "pads": (top, left, bottom, right), "dilations": problem.dilation,
            "group": problem.groups,
        }  # fmt: skip
        if problem.transposed:
            options["output_padding"] = problem.output_padding
        values = [builder.constant(_first(a["w"])), builder.constant(a["bias"])]
        builder.end(builder.node("ConvTranspose" if problem.transposed else "Conv", ["x", *values], **options), 4)
        return [(builder, _first(a["x"]))]

    def _gemm(self, case: GemmCase):
        builder = OnnxBuilder(self.onnx, case.dtype)
        b = builder.constant(case.arrays["b"])
        builder.end(builder.node("Gemm", ["x", b], transA=int(case.trans_a), transB=int(case.trans_b)), 2)
        return [(builder, case.arrays["a"])]

    def _pool(self, case: PoolCase):
        if case.direction != "forward":
            return []
        problem = case.problem
        top, bottom, left, right = case.padding
        builder = OnnxBuilder(self.onnx, case.dtype)
        options = {
            "kernel_shape": problem.kernel, "strides": problem.stride, "pads": (top, left, bottom, right),
            "ceil_mode": int(problem.ceil_mode),
        }  # fmt: skip
        if problem.mode == "max":
            builder.end(builder.node("MaxPool", ["x"], dilations=problem.dilation, **options), 4)
        else:
            builder.end(builder.node("AveragePool", ["x"], count_include_pad=1, **options), 4)
        return [(builder, _first(case.arrays["x"]))]

    def _network(self, case: NetworkCase):
        """A graph for the images that are timed and one for those that are checked: bins depend on the size."""
        if case.training:
            return []
        graphs = []
        for x in (case.arrays["x"], case.small["x"]):
            builder = OnnxBuilder(self.onnx, case.dtype, _map_sizes(case.model, x[:1]))
            builder.end(lowering.lower(case.model, "x", builder), 2)
            graphs.append((builder, _first(x)))
        return graphs


def _map_sizes(model: nn.Module, x: np.ndarray) -> dict[int, tuple[int, int]]:
    """The [H,W] that every adaptive pooling of the model is given, by the layer's id."""
    sizes = {}
    handles = [
        layer.register_forward_hook(lambda layer, args, out: sizes.update({id(layer): args[0].shape[1:3]}))
        for layer in model.modules()
        if isinstance(layer, nn.AdaptiveAvgPool2d)
    ]
    with no_grad():
        model(from_numpy(x))
    for handle in handles:
        handle.remove()
    return sizes


def _first(array: np.ndarray) -> np.ndarray:
    """Channels first."""
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


class OnnxBuilder:
    """Collects the nodes of a graph; values are names. A backend of lowering.py."""

    def __init__(self, onnx, dtype, sizes: dict[int, tuple[int, int]] | None = None):
        self.onnx, self.dtype, self._sizes = onnx, dtype, sizes or {}
        self._type = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self._nodes, self._constants = [], []

    def constant(self, array: np.ndarray) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], **options) -> str:
        name = f"v{len(self._nodes)}"
        self._nodes.append(self.onnx.helper.make_node(kind, inputs, [name], **options))
        return name

    def end(self, result: str, rank: int) -> None:
        self._result, self._rank = result, rank

    def model(self, rank: int):
        value = self.onnx.helper.make_tensor_value_info
        graph = self.onnx.helper.make_graph(
            self._nodes,
            "bench",
            [value("x", self._type, [None] * rank)],
            [value(self._result, self._type, [None] * self._rank)],
            self._constants,
        )
        opset = self.onnx.helper.make_opsetid("", _OPSET)
        return self.onnx.helper.make_model(graph, opset_imports=[opset], ir_version=8)

    # lowering.Backend
    def conv(self, layer, x):
        top, bottom, left, right = pads("bench", layer.padding)
        values = [self.constant(_first(layer.weight.numpy()))]
        values += [self.constant(layer.bias.numpy())] if layer.bias is not None else []
        return self.node(
            "Conv", [x, *values], strides=pair("bench", "stride", layer.stride), pads=(top, left, bottom, right),
            dilations=pair("bench", "dilation", layer.dilation), group=layer.groups,
        )  # fmt: skip

    def norm(self, layer, x):
        values = [getattr(layer, name) for name in ("weight", "bias", "running_mean", "running_var")]
        return self.node("BatchNormalization", [x, *(self.constant(v.numpy()) for v in values)], epsilon=layer.eps)

    def linear(self, layer, x):
        values = [self.constant(layer.weight.numpy())]
        values += [self.constant(layer.bias.numpy())] if layer.bias is not None else []
        return self.node("Gemm", [x, *values], transB=1)

    def _window(self, layer) -> dict:
        kernel = pair("bench", "kernel_size", layer.kernel_size)
        stride = kernel if layer.stride is None else pair("bench", "stride", layer.stride)
        top, bottom, left, right = pads("bench", layer.padding)
        return {
            "kernel_shape": kernel, "strides": stride, "pads": (top, left, bottom, right),
            "ceil_mode": int(layer.ceil_mode),
        }  # fmt: skip

    def max_pool(self, layer, x):
        return self.node("MaxPool", [x], **self._window(layer))

    def avg_pool(self, layer, x):
        return self.node("AveragePool", [x], count_include_pad=1, **self._window(layer))

    def adaptive_pool(self, layer, x):
        """Y = A X B^T with the means of each bin as rows of A and B."""
        sizes = self._sizes[id(layer)], pair("bench", "output_size", layer.output_size)
        if sizes[0] == sizes[1]:
            return x
        if sizes[1] == (1, 1):
            return self.node("GlobalAveragePool", [x])
        rows, columns = (self.constant(_bins(size, count).astype(self.dtype)) for size, count in zip(*sizes))
        transposed = self.node("Transpose", [columns], perm=(1, 0))
        return self.node("MatMul", [self.node("MatMul", [rows, x]), transposed])

    def dropout(self, layer, x):
        return x

    def flatten(self, x):
        """In the order [H,W,C] of our dense weights."""
        return self.node("Flatten", [self.node("Transpose", [x], perm=(0, 2, 3, 1))])

    def activation(self, name, x):
        if name == "relu6":
            bounds = [self.constant(np.array(bound, self.dtype)) for bound in (0, 6)]
            return self.node("Clip", [x, *bounds])
        return self.node({"relu": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid"}[name], [x])

    def add(self, a, b):
        return self.node("Add", [a, b])


def _bins(size: int, count: int) -> np.ndarray:
    """[count,size]: row i averages the places floor(i*size/count) to ceil((i+1)*size/count)."""
    bins = np.zeros((count, size))
    for i in range(count):
        places = slice(i * size // count, -(-(i + 1) * size // count))
        bins[i, places] = 1 / (places.stop - places.start)
    return bins
