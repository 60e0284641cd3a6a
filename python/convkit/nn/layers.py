"""The layers: each holds its parameters and the arguments of one op in ``convkit.ops``, and calls that op.

Conv2d, ConvTranspose2d, Linear and BatchNorm2d take the name of an activation as second argument of ``forward``; with
it the op applies the activation while its tile is in registers. Containers and models use this (see fusion.py).
"""

from __future__ import annotations

from numbers import Integral

from .. import ops
from ..autograd import is_recomputing
from ..creation import ones, zeros
from ..ops.geometry import pair
from ..tensor import Tensor, tensor
from . import init
from .module import Module, Parameter

Size = int | tuple[int, int]  # one number for both axes, or (h, w)
Padding = int | str | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]]


def _check_sizes(layer: Module, **sizes: int) -> None:
    if not all(isinstance(size, Integral) and size > 0 for size in sizes.values()):
        received = ", ".join(f"{name}={size!r}" for name, size in sizes.items())
        raise ValueError(
            f"[{type(layer).__name__}] {', '.join(sizes)} must be positive integers. Received: {received}."
        )


class _Convolution(Module):
    """Arguments and parameters that Conv2d and ConvTranspose2d share; they differ in the order of the weight's axes."""

    def __init__(self, in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias):
        self.kernel_size = h, w = pair(type(self).__name__, "kernel_size", kernel_size)
        _check_sizes(self, in_channels=in_channels, out_channels=out_channels, groups=groups, kernel_h=h, kernel_w=w)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"[{type(self).__name__}] in_channels and out_channels must be multiples of groups. "
                f"Received: in_channels={in_channels}, out_channels={out_channels}, groups={groups}."
            )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        shape = self._weight_shape()
        self.weight = Parameter(init.default_uniform_(zeros(shape), init.fans(shape)[0]))
        self.bias = Parameter(init.default_uniform_(zeros(out_channels), init.fans(shape)[0])) if bias else None

    def extra_repr(self) -> str:
        shown = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"
        for name, default in (("stride", 1), ("padding", 0), ("output_padding", 0), ("dilation", 1), ("groups", 1)):
            if getattr(self, name, default) != default:
                shown += f", {name}={getattr(self, name)!r}"
        return shown if self.bias is not None else shown + ", bias=False"


class Conv2d(_Convolution):
    """2-D convolution: [N,H,W,in_channels] -> [N,P,Q,out_channels]; see ``convkit.conv2d`` for the arguments.

    weight is [out_channels, R, S, in_channels / groups]; weight and bias start uniform over +-1/sqrt(fan_in).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)

    def _weight_shape(self):
        return (self.out_channels, *self.kernel_size, self.in_channels // self.groups)

    def forward(
        self,
        x: Tensor,
        activation: str | None = None,
        parameters: tuple[Tensor, Tensor] | None = None,
        pooled: bool = False,
        residual: Tensor | None = None,
        norm: BatchNorm2d | None = None,
    ) -> Tensor | tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """``parameters``: weight and bias to use in place of its own, with a normalisation folded into them.

        ``pooled``: 2x2 max-pooling of the result. ``residual``, of the result's shape, is added before the activation
        (to a result that is not pooled). ``norm``, which learns, is called next: (result, its statistics for ``norm``).
        """
        weight, bias = parameters or (self.weight, self.bias)
        window = {"stride": self.stride, "padding": self.padding, "dilation": self.dilation, "groups": self.groups}
        if norm is not None:
            moved = norm.running_mean, norm.running_var
            return ops.conv2d_statistics(x, weight, bias, *moved, momentum=norm.momentum, **window)
        if pooled:
            return ops.conv2d_max_pool2d(x, weight, bias, **window, activation=activation)
        return ops.conv2d(x, weight, bias, **window, activation=activation, residual=residual)


class ConvTranspose2d(_Convolution):
    """Transposed 2-D convolution, the adjoint of Conv2d; see ``convkit.conv_transpose2d`` for the arguments.

    weight is [in_channels, R, S, out_channels / groups]; as in torch, its initial values take R*S*out_channels/groups
    for fan_in.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Padding = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        output_padding: Size = 0,
    ):
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias)
        self.output_padding = output_padding

    def _weight_shape(self):
        return (self.in_channels, *self.kernel_size, self.out_channels // self.groups)

    def forward(self, x: Tensor, activation: str | None = None) -> Tensor:
        return ops.conv_transpose2d(
            x,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            output_padding=self.output_padding,
            dilation=self.dilation,
            groups=self.groups,
            activation=activation,
        )


class Linear(Module):
    """Dense layer: [..., in_features] @ weight.T + bias -> [..., out_features]; weight [out_features, in_features]."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        _check_sizes(self, in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(init.default_uniform_(zeros((out_features, in_features)), in_features))
        self.bias = Parameter(init.default_uniform_(zeros(out_features), in_features)) if bias else None

    def forward(self, x: Tensor, activation: str | None = None) -> Tensor:
        return ops.linear(x, self.weight, self.bias, activation=activation)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}" + ("" if self.bias is not None else ", bias=False")


class BatchNorm2d(Module):
    """Batch normalisation over all axes but the last of x [..., num_features] (Ioffe and Szegedy 2015).

    ``momentum`` is the weight of the new value in the running statistics (Keras counts the old value's: 0.99 there is
    0.01 here). ``residual`` is added before the activation: activation(bn(x) + residual).

    A frozen layer, one whose weight and bias have ``requires_grad=False``, keeps its running statistics and normalises
    with them in training mode as well, as Keras has it: the layers after it see what they would see in evaluation.
    PyTorch lets the statistics of such a layer drift; there, put it into evaluation mode.
    With ``affine=False`` there is no weight and bias to freeze: ``eval()`` alone stops the statistics.
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True):
        _check_sizes(self, num_features=num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))
        self.register_buffer("num_batches_tracked", tensor(0, device="cpu"))

    @property
    def learns(self) -> bool:
        """Whether the next call takes the statistics of its input and moves the running ones."""
        frozen = self.weight is not None and not (self.weight.requires_grad or self.bias.requires_grad)
        return self.training and not frozen

    def forward(
        self,
        x: Tensor,
        activation: str | None = None,
        residual: Tensor | None = None,
        statistics: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """``statistics``: those of x, from the convolution that computed it (see ``convkit.ops.conv2d_statistics``)."""
        learns = self.learns
        out = ops.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=learns,
            momentum=self.momentum,
            eps=self.eps,
            activation=activation,
            residual=residual,
            statistics=statistics,
        )
        if learns and not is_recomputing():
            self.num_batches_tracked.copy_(tensor(self.num_batches_tracked.item() + 1, device="cpu"))
        return out

    def extra_repr(self) -> str:
        affine = "" if self.weight is not None else ", affine=False"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{affine}"


class MaxPool2d(Module):
    """Maximum of each window: [N,H,W,C] -> [N,P,Q,C], or (y, indices); see ``convkit.max_pool2d`` for the arguments."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ):
        self.kernel_size, self.stride, self.padding, self.dilation = kernel_size, stride, padding, dilation
        self.ceil_mode, self.return_indices = ceil_mode, return_indices

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return ops.max_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return _pool_repr(self)


class AvgPool2d(Module):
    """Mean of each window: [N,H,W,C] -> [N,P,Q,C]; see ``convkit.avg_pool2d`` for the arguments."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Padding = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return ops.avg_pool2d(
            x,
            self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return _pool_repr(self)


def _pool_repr(layer: Module) -> str:
    stride = layer.kernel_size if layer.stride is None else layer.stride
    shown = f"kernel_size={layer.kernel_size}, stride={stride}"
    shown += f", padding={layer.padding!r}" if layer.padding != 0 else ""
    return shown + (", ceil_mode=True" if layer.ceil_mode else "")


class AdaptiveAvgPool2d(Module):
    """Mean over a grid of ``output_size`` bins: [N,H,W,C] -> [N,P,Q,C]."""

    def __init__(self, output_size: Size):
        self.output_size = output_size

    def forward(self, x: Tensor) -> Tensor:
        return ops.adaptive_avg_pool2d(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class Upsample(Module):
    """Enlarge H and W by ``scale``, an integer or a pair; mode "nearest" or "bilinear" (half-pixel centres)."""

    def __init__(self, scale: Size, mode: str = "nearest"):
        self.scale, self.mode = scale, mode

    def forward(self, x: Tensor) -> Tensor:
        return ops.upsample(x, self.scale, mode=self.mode)

    def extra_repr(self) -> str:
        return f"scale={self.scale}, mode={self.mode!r}"


class Flatten(Module):
    """All axes but the first become one: [N, ...] -> [N, size]."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.flatten(x)


class Dropout(Module):
    """In training, zero each value with probability ``p`` and scale the rest by 1/(1-p); the identity in evaluation."""

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ValueError(f"[Dropout] p is a probability. Received: p={p}.")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return ops.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Identity(Module):
    """Returns its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class ReLU(Module):
    """max(x, 0); NaN passes, the gradient at 0 is 0."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu(x)


class ReLU6(Module):
    """min(max(x, 0), 6)."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.relu6(x)


class LeakyReLU(Module):
    """x where positive, negative_slope * x elsewhere."""

    def __init__(self, negative_slope: float = 0.01):
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        return ops.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        return ops.sigmoid(x)


class Softmax(Module):
    """exp(x) / sum(exp(x)) along ``axis``."""

    def __init__(self, axis: int = -1):
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return ops.softmax(x, axis=self.axis)


class LogSoftmax(Module):
    """log(softmax(x)) along ``axis``, computed without overflow."""

    def __init__(self, axis: int = -1):
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return ops.log_softmax(x, axis=self.axis)
