"""Two-dimensional convolution and its adjoint."""

from __future__ import annotations

from .. import _core
from ..autograd import needs_grad, record
from ..mixed import lowered
from ..tensor import Tensor, as_tensor
from .geometry import pads, pair, whole, window_pads
from .norm import moving_statistics
from .pointwise import activation_name


def conv2d(x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None, residual=None) -> Tensor:
    """activation(x * w + bias + residual): a cross-correlation, as every framework's convolution.

    x [N,H,W,C], w [O,R,S,C/groups], bias [O], residual [N,P,Q,O] -> [N,P,Q,O] with
    P = floor((H + pad_top + pad_bottom - dilation*(R-1) - 1) / stride) + 1, and Q alike.
    ``stride`` and ``dilation`` are an int or (h, w); ``padding`` is an int, (h, w), ((top, bottom), (left, right)),
    "valid" or "same" (TensorFlow's rule); filter o sees the input channels of its group alone. ``activation`` is None,
    "relu", "relu6", "leaky_relu", "tanh" or "sigmoid". Padding adds nothing to a sum, as long as weights are finite: an
    infinite or NaN weight may make outputs NaN whose windows reach into it. 3x3 and 5x5 filters run on Winograd's
    tiles where that is faster: a NaN or infinity in x then reaches all outputs of its tiles, up to 6 pixels beyond its
    windows; docs/kernels.md has the rounding errors, ``set_precision("precise")`` the smallest ones.
    ValueError for shapes that do not fit or an empty output, TypeError for mixed dtypes.
    """
    x, w, bias, residual = inputs = _tensors(x, w, bias, residual)
    geometry = _geometry(x, w, stride, padding, dilation, groups)
    activation = activation_name("conv2d", activation)
    y = _core.conv2d(x._data, w._data, _core_of(bias), *geometry, activation, _core_of(residual))
    if not needs_grad(*inputs):
        return Tensor(y)  # nothing below is used
    gradients = _core.conv2d_data_gradient, _core.conv2d_weight_gradient
    return record(y, inputs, _backward(y, activation, inputs, geometry, *gradients), sums=True)


def conv2d_statistics(
    x, w, bias, running_mean, running_var, *, momentum, stride=1, padding=0, dilation=1, groups=1
) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
    """(y, statistics): ``conv2d`` and what ``batch_norm`` in training finds in its result, found on the way.

    ``batch_norm(y, ..., training=True, statistics=statistics)`` then has y to read once less. The running statistics
    [O] move here (not while a checkpoint computes again). statistics: mean and variance [O], None where y has a single
    value per channel. Arguments and errors as those of the two.
    """
    x, w, bias, _ = inputs = _tensors(x, w, bias)
    geometry = _geometry(x, w, stride, padding, dilation, groups)
    running = moving_statistics(running_mean, running_var)
    y, statistics = _core.conv2d_statistics(x._data, w._data, _core_of(bias), *geometry, momentum, *running)
    backward = _backward(y, "", inputs, geometry, _core.conv2d_data_gradient, _core.conv2d_weight_gradient)
    return record(y, inputs, backward, sums=True), statistics and tuple(map(Tensor, statistics))


def conv2d_max_pool2d(x, w, bias=None, *, stride=1, padding=0, dilation=1, groups=1, activation=None) -> Tensor:
    """``max_pool2d(conv2d(...), 2)`` in one op: what ``nn.Sequential`` makes of the two.

    x [N,H,W,C], w [O,R,S,C/groups] -> [N,P//2,Q//2,O]. The image [N,P,Q,O] between the two is not kept for backward,
    and where the convolution runs on Winograd's tiles neither it nor its gradient is ever written. Pixels that were no
    maximum have the gradient 0 even where the activation's own would be NaN. Arguments and errors as :func:`conv2d`.
    """
    x, w, bias, _ = inputs = _tensors(x, w, bias)
    geometry = _geometry(x, w, stride, padding, dilation, groups)
    activation = activation_name("conv2d", activation)
    wanted = needs_grad(*inputs)
    y, argmax = _core.conv2d_max_pool2d(x._data, w._data, _core_of(bias), *geometry, activation, wanted)
    gradients = _core.conv2d_max_pool2d_data_gradient, _core.conv2d_max_pool2d_weight_gradient
    return record(y, inputs, _backward(y, activation, inputs, geometry, *gradients, argmax))


def conv_transpose2d(
    x, w, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1, activation=None
) -> Tensor:
    """activation(adjoint of the convolution with filter w, at x, + bias): upsamples by ``stride``.

    x [N,H,W,C_in], w [C_in,R,S,C_out/groups], bias [C_out] -> [N,P,Q,C_out] with
    P = (H-1)*stride - pad_top - pad_bottom + dilation*(R-1) + output_padding + 1, and Q alike.
    ``padding`` crops the result: an int, (h, w) or ((top, bottom), (left, right)); ``output_padding``, an int or
    (h, w) with 0 <= output_padding < max(stride, dilation), adds rows and columns at the bottom and right. Errors as
    :func:`conv2d`.
    """
    op = "conv_transpose2d"
    x, w, bias, _ = inputs = _tensors(x, w, bias)
    stride, dilation = pair(op, "stride", stride), pair(op, "dilation", dilation)
    geometry = (stride, pads(op, padding), dilation, whole(op, "groups", groups))
    activation = activation_name(op, activation)
    output_padding = pair(op, "output_padding", output_padding)
    y = _core.conv_transpose2d(x._data, w._data, _core_of(bias), *geometry, output_padding, activation)
    gradients = _core.conv_transpose2d_data_gradient, _core.conv_transpose2d_weight_gradient
    return record(y, inputs, _backward(y, activation, inputs, geometry, *gradients))


def _geometry(x, w, stride, padding, dilation, groups):
    """(stride, padding, dilation, groups) of a conv2d, as the core takes them."""
    stride, dilation = pair("conv2d", "stride", stride), pair("conv2d", "dilation", dilation)
    if isinstance(padding, str):  # the others need no shapes, which take a while to ask for
        window = w.shape[1:3] if w.ndim == 4 else (1, 1)
        padding = window_pads("conv2d", padding, x.shape, window, stride, dilation)
    else:
        padding = pads("conv2d", padding)
    return stride, padding, dilation, whole("conv2d", "groups", groups)


def _tensors(x, w, bias, residual=None):
    bias = None if bias is None else as_tensor(bias)
    residual = None if residual is None else as_tensor(residual)
    return lowered(as_tensor(x), as_tensor(w), bias, residual)


def _core_of(tensor):
    return None if tensor is None else tensor._data


def _backward(y, activation, inputs, geometry, data_gradient, weight_gradient, argmax=None):
    """The closure for ``record``: through the activation, then only the gradients that are wanted.

    ``inputs``: x, w, bias, residual. ``data_gradient`` and ``weight_gradient`` are the core's; ``argmax`` is that of
    max-pooling in the same op.
    """
    x, w, bias, residual = inputs
    x_shape, w_shape = x.shape, w.shape
    bias_wanted = bias is not None and bias.requires_grad
    residual_wanted = residual is not None and residual.requires_grad
    # What is not wanted must not keep its tensors alive.
    filters, image = w._data if x.requires_grad else None, x._data if w.requires_grad else None
    saved = y if activation else None

    def backward(dy, *so_far):
        dz, db = _core.epilogue_gradient(activation, dy if saved is None else saved, dy, bias_wanted)
        window = geometry if argmax is None else (argmax, *geometry)
        dx = None if filters is None else data_gradient(x_shape, filters, dz, *window, *so_far)
        dw = None if image is None else weight_gradient(image, w_shape, dz, *window)
        return dx, dw, db if bias_wanted else None, dz if residual_wanted else None

    return backward
