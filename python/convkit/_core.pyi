"""
The compiled core of convkit: tensors without gradients, and the kernels. Use the convkit package.
"""

from __future__ import annotations

import collections.abc
import typing

import numpy
import typing_extensions

class Tensor:
    """
    Dense row-major array without gradients.
    """
    def item(self) -> typing.Any: ...
    def reshape(self, shape: collections.abc.Sequence[int]) -> Tensor: ...
    @property
    def address(self) -> int: ...
    @property
    def device(self) -> str: ...
    @property
    def dtype(self) -> numpy.dtype[typing.Any]: ...
    @property
    def ndim(self) -> int: ...
    @property
    def shape(self) -> tuple: ...
    @property
    def size(self) -> int: ...
    @property
    def writes(self) -> int: ...

class BFloat16:
    """
    The dtype of mixed precision on CUDA: float32 with 16 bits less of mantissa.
    """

    itemsize: typing.ClassVar[int] = 2
    kind: typing.ClassVar[str] = "f"
    name: typing.ClassVar[str] = "bfloat16"
    def __repr__(self) -> str: ...

class TensorBase:
    """
    Base class of convkit.Tensor.
    """

class CudaDevice:
    """
    What the driver says about one GPU.
    """
    @property
    def compute_capability(self) -> tuple[int, int]: ...
    @property
    def memory(self) -> int: ...
    @property
    def name(self) -> str: ...

class CudaGraph:
    """
    What was queued on a device between cuda_begin_capture and cuda_end_capture.
    """
    def replay(self, random_shift: typing.SupportsInt | typing.SupportsIndex) -> None: ...

def abs(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def abs_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def active_isa() -> str: ...
def adam_step(
    params: collections.abc.Sequence[Tensor],
    grads: collections.abc.Sequence[Tensor],
    m: collections.abc.Sequence[Tensor],
    v: collections.abc.Sequence[Tensor],
    lr: typing.SupportsFloat | typing.SupportsIndex,
    beta1: typing.SupportsFloat | typing.SupportsIndex,
    beta2: typing.SupportsFloat | typing.SupportsIndex,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    decoupled: bool,
    step: typing.SupportsInt | typing.SupportsIndex,
) -> None: ...
def adaptive_avg_pool2d(x: Tensor, size: collections.abc.Sequence[int]) -> Tensor: ...
def adaptive_avg_pool2d_gradient(x_shape: collections.abc.Sequence[int], dy: Tensor) -> Tensor: ...
def add(a: Tensor, b: Tensor) -> Tensor: ...
def arange(
    start: typing.SupportsFloat | typing.SupportsIndex,
    stop: typing.SupportsFloat | typing.SupportsIndex,
    step: typing.SupportsFloat | typing.SupportsIndex,
    dtype: numpy.dtype[typing.Any],
    device: str = "cpu",
) -> Tensor: ...
def argmax(x: Tensor, axes: collections.abc.Sequence[int], keepdims: bool) -> Tensor: ...
def available_isas() -> list[str]: ...
def avg_pool2d(
    x: Tensor,
    geometry: tuple[
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        bool,
    ],
    count_include_pad: bool,
) -> Tensor: ...
def avg_pool2d_gradient(
    x_shape: collections.abc.Sequence[int],
    dy: Tensor,
    geometry: tuple[
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        bool,
    ],
    count_include_pad: bool,
) -> Tensor: ...
def batch_norm(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    activation: str,
) -> Tensor: ...
def batch_norm_gradient(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    y: Tensor | None,
    dy: Tensor,
    has_residual: bool,
    eps: typing.SupportsFloat | typing.SupportsIndex,
    activation: str,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]: ...
def batch_norm_statistics(
    x: Tensor, momentum: typing.SupportsFloat | typing.SupportsIndex, running_mean: Tensor, running_var: Tensor
) -> tuple[Tensor, Tensor]: ...
def binary_cross_entropy_with_logits(
    x: Tensor, target: Tensor, weight: Tensor | None, beta: typing.SupportsFloat | typing.SupportsIndex, reduction: str
) -> Tensor: ...
def binary_cross_entropy_with_logits_gradient(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    reduction: str,
    dy: Tensor,
) -> Tensor: ...
def broadcast_to(x: Tensor, shape: collections.abc.Sequence[int]) -> Tensor: ...
def cached_bytes() -> int: ...
def cast(x: Tensor, dtype: numpy.dtype[typing.Any]) -> Tensor: ...
def compiled_isas() -> list[str]: ...
def concatenate(
    tensors: collections.abc.Sequence[Tensor], axis: typing.SupportsInt | typing.SupportsIndex
) -> Tensor: ...
def conv2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    activation: str,
    residual: Tensor | None = None,
) -> Tensor: ...
def conv2d_algorithm(
    direction: str,
    x_shape: collections.abc.Sequence[int],
    w_shape: collections.abc.Sequence[int],
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
) -> str: ...
def conv2d_algorithms(
    direction: str,
    x_shape: collections.abc.Sequence[int],
    w_shape: collections.abc.Sequence[int],
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
) -> list[str]: ...
def conv2d_data_gradient(
    x_shape: collections.abc.Sequence[int],
    w: Tensor,
    dy: Tensor,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    residual: Tensor | None = None,
) -> Tensor: ...
def conv2d_max_pool2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    activation: str,
    argmax_wanted: bool,
) -> tuple[Tensor, Tensor]: ...
def conv2d_max_pool2d_data_gradient(
    x_shape: collections.abc.Sequence[int],
    w: Tensor,
    dy: Tensor,
    argmax: Tensor,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
) -> Tensor: ...
def conv2d_max_pool2d_weight_gradient(
    x: Tensor,
    w_shape: collections.abc.Sequence[int],
    dy: Tensor,
    argmax: Tensor,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
) -> Tensor: ...
def conv2d_statistics(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    momentum: typing.SupportsFloat | typing.SupportsIndex,
    running_mean: Tensor,
    running_var: Tensor,
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]: ...
def conv2d_weight_gradient(
    x: Tensor,
    w_shape: collections.abc.Sequence[int],
    dy: Tensor,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
) -> Tensor: ...
def conv_transpose2d(
    x: Tensor,
    w: Tensor,
    bias: Tensor | None,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
    output_padding: collections.abc.Sequence[int],
    activation: str,
) -> Tensor: ...
def conv_transpose2d_data_gradient(
    x_shape: collections.abc.Sequence[int],
    w: Tensor,
    dy: Tensor,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
) -> Tensor: ...
def conv_transpose2d_weight_gradient(
    x: Tensor,
    w_shape: collections.abc.Sequence[int],
    dy: Tensor,
    stride: collections.abc.Sequence[int],
    padding: collections.abc.Sequence[int],
    dilation: collections.abc.Sequence[int],
    groups: typing.SupportsInt | typing.SupportsIndex,
) -> Tensor: ...
def copy_bandwidth(bytes: typing.SupportsInt | typing.SupportsIndex) -> float: ...
def copy_into(dst: Tensor, src: Tensor) -> None: ...
def cross_entropy(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    label_smoothing: typing.SupportsFloat | typing.SupportsIndex,
    reduction: str,
) -> Tensor: ...
def cross_entropy_gradient(
    logits: Tensor,
    target: Tensor,
    weight: Tensor | None,
    label_smoothing: typing.SupportsFloat | typing.SupportsIndex,
    reduction: str,
    dy: Tensor,
) -> Tensor: ...
def cuda_abandon_capture() -> None: ...
def cuda_begin_capture(device: typing.SupportsInt | typing.SupportsIndex) -> None: ...
def cuda_devices() -> list[CudaDevice]: ...
def cuda_empty_cache() -> None: ...
def cuda_end_capture() -> CudaGraph: ...
def cuda_make_stream_wait(
    device: typing.SupportsInt | typing.SupportsIndex, stream: typing.SupportsInt | typing.SupportsIndex
) -> None: ...
def cuda_memory_stats() -> dict[str, int]: ...
def cuda_stream(device: typing.SupportsInt | typing.SupportsIndex) -> int: ...
def cuda_synchronize(device: typing.SupportsInt | typing.SupportsIndex) -> None: ...
def cuda_unavailable_reason() -> str: ...
def cuda_versions() -> tuple[int, int]: ...
def divide(a: Tensor, b: Tensor) -> Tensor: ...
def drop_packed_weights() -> None: ...
def dropout(
    x: Tensor,
    seed: typing.SupportsInt | typing.SupportsIndex,
    offset: typing.SupportsInt | typing.SupportsIndex,
    p: typing.SupportsFloat | typing.SupportsIndex,
) -> Tensor: ...
def epilogue_gradient(activation: str, y: Tensor, dy: Tensor, bias_wanted: bool) -> tuple[Tensor, Tensor]: ...
def equal(a: Tensor, b: Tensor) -> Tensor: ...
def exp(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def exp_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def fma_probe(microseconds: typing.SupportsFloat | typing.SupportsIndex) -> float: ...
def from_dlpack(capsule: typing_extensions.CapsuleType) -> Tensor: ...
def from_numpy(array: numpy.ndarray, share: bool) -> Tensor: ...
def full(
    shape: collections.abc.Sequence[int],
    value: typing.SupportsFloat | typing.SupportsIndex,
    dtype: numpy.dtype[typing.Any],
    device: str = "cpu",
) -> Tensor: ...
def get_num_threads() -> int: ...
def greater(a: Tensor, b: Tensor) -> Tensor: ...
def greater_equal(a: Tensor, b: Tensor) -> Tensor: ...
def leaky_relu(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def leaky_relu_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def less(a: Tensor, b: Tensor) -> Tensor: ...
def less_equal(a: Tensor, b: Tensor) -> Tensor: ...
def linear(x: Tensor, w: Tensor, bias: Tensor | None, activation: str) -> Tensor: ...
def log(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def log_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def log_softmax(x: Tensor, axis: typing.SupportsInt | typing.SupportsIndex) -> Tensor: ...
def log_softmax_gradient(y: Tensor, dy: Tensor, axis: typing.SupportsInt | typing.SupportsIndex) -> Tensor: ...
def matmul(a: Tensor, b: Tensor, trans_a: bool = False, trans_b: bool = False) -> Tensor: ...
def max(x: Tensor, axes: collections.abc.Sequence[int], keepdims: bool) -> Tensor: ...
def max_gradient(x: Tensor, dy: Tensor, axes: collections.abc.Sequence[int]) -> Tensor: ...
def max_pool2d(
    x: Tensor,
    geometry: tuple[
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        bool,
    ],
    argmax_wanted: bool,
) -> tuple[Tensor, Tensor]: ...
def max_pool2d_gradient(
    x_shape: collections.abc.Sequence[int],
    dy: Tensor,
    argmax: Tensor,
    geometry: tuple[
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        bool,
    ],
) -> Tensor: ...
def max_pool2d_indices(
    x_shape: collections.abc.Sequence[int],
    argmax: Tensor,
    geometry: tuple[
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        collections.abc.Sequence[int],
        bool,
    ],
) -> Tensor: ...
def max_unpool2d(x: Tensor, indices: Tensor, size: collections.abc.Sequence[int]) -> Tensor: ...
def max_unpool2d_gradient(dy: Tensor, indices: Tensor) -> Tensor: ...
def mse_loss(
    x: Tensor, target: Tensor, weight: Tensor | None, beta: typing.SupportsFloat | typing.SupportsIndex, reduction: str
) -> Tensor: ...
def mse_loss_gradient(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    reduction: str,
    dy: Tensor,
) -> Tensor: ...
def multiply(a: Tensor, b: Tensor) -> Tensor: ...
def negative(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def negative_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def not_equal(a: Tensor, b: Tensor) -> Tensor: ...
def pad(
    x: Tensor,
    before: collections.abc.Sequence[int],
    after: collections.abc.Sequence[int],
    value: typing.SupportsFloat | typing.SupportsIndex,
) -> Tensor: ...
def power(a: Tensor, b: Tensor) -> Tensor: ...
def precise() -> bool: ...
def random_normal(
    shape: collections.abc.Sequence[int],
    seed: typing.SupportsInt | typing.SupportsIndex,
    offset: typing.SupportsInt | typing.SupportsIndex,
    mean: typing.SupportsFloat | typing.SupportsIndex,
    stddev: typing.SupportsFloat | typing.SupportsIndex,
    dtype: numpy.dtype[typing.Any],
    device: str = "cpu",
) -> Tensor: ...
def random_uniform(
    shape: collections.abc.Sequence[int],
    seed: typing.SupportsInt | typing.SupportsIndex,
    offset: typing.SupportsInt | typing.SupportsIndex,
    low: typing.SupportsFloat | typing.SupportsIndex,
    high: typing.SupportsFloat | typing.SupportsIndex,
    dtype: numpy.dtype[typing.Any],
    device: str = "cpu",
) -> Tensor: ...
def relu(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def relu6(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def relu6_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def relu_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def reset_scratch_peak() -> None: ...
def retained_bytes() -> int: ...
def scratch_peak() -> int: ...
def set_cache_limit(bytes: typing.SupportsInt | typing.SupportsIndex) -> None: ...
def set_conv2d_algorithm(name: str) -> None: ...
def set_isa(name: str) -> None: ...
def set_num_threads(count: typing.SupportsInt | typing.SupportsIndex) -> None: ...
def set_precise(precise: bool) -> None: ...
def sgd_step(
    params: collections.abc.Sequence[Tensor],
    grads: collections.abc.Sequence[Tensor],
    velocities: collections.abc.Sequence[Tensor],
    lr: typing.SupportsFloat | typing.SupportsIndex,
    momentum: typing.SupportsFloat | typing.SupportsIndex,
    weight_decay: typing.SupportsFloat | typing.SupportsIndex,
    nesterov: bool,
) -> None: ...
def sigmoid(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def sigmoid_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def slice(
    x: Tensor,
    start: collections.abc.Sequence[int],
    step: collections.abc.Sequence[int],
    size: collections.abc.Sequence[int],
) -> Tensor: ...
def slice_gradient(
    dy: Tensor,
    shape: collections.abc.Sequence[int],
    start: collections.abc.Sequence[int],
    step: collections.abc.Sequence[int],
) -> Tensor: ...
def smooth_l1_loss(
    x: Tensor, target: Tensor, weight: Tensor | None, beta: typing.SupportsFloat | typing.SupportsIndex, reduction: str
) -> Tensor: ...
def smooth_l1_loss_gradient(
    x: Tensor,
    target: Tensor,
    weight: Tensor | None,
    beta: typing.SupportsFloat | typing.SupportsIndex,
    reduction: str,
    dy: Tensor,
) -> Tensor: ...
def softmax(x: Tensor, axis: typing.SupportsInt | typing.SupportsIndex) -> Tensor: ...
def softmax_gradient(y: Tensor, dy: Tensor, axis: typing.SupportsInt | typing.SupportsIndex) -> Tensor: ...
def sqrt(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def sqrt_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def subtract(a: Tensor, b: Tensor) -> Tensor: ...
def sum(x: Tensor, axes: collections.abc.Sequence[int], keepdims: bool) -> Tensor: ...
def sum_to_shape(x: Tensor, shape: collections.abc.Sequence[int]) -> Tensor: ...
def tanh(x: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01) -> Tensor: ...
def tanh_gradient(
    x: Tensor, y: Tensor, dy: Tensor, slope: typing.SupportsFloat | typing.SupportsIndex = 0.01
) -> Tensor: ...
def to_device(x: Tensor, device: str) -> Tensor: ...
def to_dlpack(
    tensor: Tensor, versioned: bool, stream: typing.SupportsInt | typing.SupportsIndex | None = None
) -> typing_extensions.CapsuleType: ...
def transpose(x: Tensor, axes: collections.abc.Sequence[int]) -> Tensor: ...
def upsample(x: Tensor, scale: collections.abc.Sequence[int], mode: str) -> Tensor: ...
def upsample_gradient(x_shape: collections.abc.Sequence[int], dy: Tensor, mode: str) -> Tensor: ...
def versions(tensors: list) -> list[int] | None: ...

bfloat16: BFloat16
compiler: str
cuda_architectures: str
git_hash: str
openmp: bool
