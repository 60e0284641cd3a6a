"""Every op through PyTorch with convkit's NHWC layout and arguments, to validate the oracle and the library.

`run(case, dtype)` -> (outputs, gradients) as numpy arrays in convkit's layout.
"""

import numpy as np
import torch
import torch.nn.functional as F

from oracle import pair, resolve_padding

torch.set_num_threads(1)  # the problems are small, and one waiting thread pool in the process is enough


def channels_first(x):
    return x.permute(0, 3, 1, 2)


def channels_last(x):
    return x.permute(0, 2, 3, 1)


def activate(z, name):
    functions = {"relu": F.relu, "relu6": F.relu6, "leaky_relu": F.leaky_relu, "tanh": torch.tanh}
    return z if name is None else (functions | {"sigmoid": torch.sigmoid})[name](z)


def padded(x, kernel, stride, padding, dilation, value=0.0):
    """NHWC -> NCHW with the padding done, as torch knows no asymmetric or strided-same one."""
    extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    (top, bottom), (left, right) = resolve_padding(padding, x.shape[1:3], extents, stride)
    return F.pad(channels_first(x), (left, right, top, bottom), value=value)


def conv2d(x, w, bias=None, residual=None, *, stride, padding, dilation, groups, activation):
    x = padded(x, w.shape[1:3], pair(stride), padding, pair(dilation))
    y = channels_last(F.conv2d(x, w.permute(0, 3, 1, 2), bias, stride, 0, dilation, groups))
    return (activate(y if residual is None else y + residual, activation),)


def conv_transpose2d(x, w, bias=None, *, stride, padding, output_padding, dilation, groups, activation):
    (top, bottom), (left, right) = resolve_padding(padding, x.shape[1:3], (0, 0), (1, 1))
    y = F.conv_transpose2d(
        channels_first(x), w.permute(0, 3, 1, 2), bias, stride, 0, output_padding, groups, dilation
    )  # fmt: skip
    y = y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
    return (activate(channels_last(y), activation),)


def symmetric(padding, kernel):
    """The padding as torch's pooling takes it (one int per axis, at most half the kernel), or None."""
    if isinstance(padding, str):
        return 0 if padding == "valid" else None
    pads = pair(padding) if not isinstance(padding, tuple) or not isinstance(padding[0], tuple) else None
    return pads if pads and all(p <= k // 2 for p, k in zip(pads, kernel)) else None


def max_pool2d(x, kernel_size, *, stride, padding, dilation, ceil_mode, return_indices):
    kernel = pair(kernel_size)
    stride, dilation, own = pair(kernel if stride is None else stride), pair(dilation), symmetric(padding, kernel)
    if own is not None:
        y, i = F.max_pool2d(channels_first(x), kernel, stride, own, dilation, ceil_mode, return_indices=True)
    elif ceil_mode:
        raise NotImplementedError("torch has no asymmetric padding: its ceil_mode would see another plane")
    else:  # pad with -inf ourselves, then translate the indices of the padded plane
        plane = padded(x, kernel, stride, padding, dilation, -torch.inf)
        extents = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
        (top, _), (left, _) = resolve_padding(padding, x.shape[1:3], extents, stride)
        y, i = F.max_pool2d(plane, kernel, stride, 0, dilation, return_indices=True)
        i = (i // plane.shape[3] - top) * x.shape[2] + i % plane.shape[3] - left
    return (channels_last(y), channels_last(i))[: 1 + return_indices]


def avg_pool2d(x, kernel_size, *, stride, padding, ceil_mode, count_include_pad):
    kernel = pair(kernel_size)
    stride, own = pair(kernel if stride is None else stride), symmetric(padding, kernel)
    if own is not None:
        y = F.avg_pool2d(channels_first(x), kernel, stride, own, ceil_mode, count_include_pad)
    elif ceil_mode or not count_include_pad:
        raise NotImplementedError("torch has no asymmetric padding: its divisor would count another plane")
    else:
        y = F.avg_pool2d(padded(x, kernel, stride, padding, (1, 1)), kernel, stride)
    return (channels_last(y),)


def max_unpool2d(x, indices, kernel_size, *, stride, padding=0, output_size=None):
    y = F.max_unpool2d(
        channels_first(x).contiguous(), channels_first(indices).contiguous(), kernel_size, stride, padding, output_size
    )
    return (channels_last(y),)


def adaptive_avg_pool2d(x, output_size):
    return (channels_last(F.adaptive_avg_pool2d(channels_first(x), output_size)),)


def linear(x, w, bias=None, *, activation):
    return (activate(F.linear(x, w, bias), activation),)


def batch_norm(
    x, running_mean, running_var, weight=None, bias=None, residual=None, *, training, momentum, eps, activation
):  # fmt: skip
    rows, mean, var = x.reshape(-1, x.shape[-1]), running_mean.clone(), running_var.clone()
    y = F.batch_norm(rows, mean, var, weight, bias, training, momentum, eps).reshape(x.shape)
    return activate(y if residual is None else y + residual, activation), mean, var


def cross_entropy(logits, labels, weight=None, *, label_smoothing, reduction):
    classes = logits.shape[-1]
    flat = labels.reshape(-1) if labels.ndim < logits.ndim else labels.reshape(-1, classes)
    loss = F.cross_entropy(
        logits.reshape(-1, classes), flat, weight, label_smoothing=label_smoothing, reduction=reduction
    )  # fmt: skip
    return (loss.reshape(logits.shape[:-1]) if reduction == "none" else loss,)


def concatenate(*tensors, axis):
    return (torch.cat(tensors, axis),)


def pad(x, pads, value):
    return (F.pad(x, [p for before_after in reversed(pads) for p in before_after], value=value),)


def upsample(x, scale, mode):
    corners = {"align_corners": False} if mode == "bilinear" else {}
    return (channels_last(F.interpolate(channels_first(x), scale_factor=pair(scale), mode=mode, **corners)),)


def reduce(x, *, function, axis, keepdims):
    axes = tuple(range(x.ndim)) if axis is None else axis
    return (getattr(torch, "amax" if function == "max" else function)(x, axes, keepdims),)


BINARY = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}
FUNCTIONS = {
    "conv2d": conv2d, "conv_transpose2d": conv_transpose2d, "max_pool2d": max_pool2d, "avg_pool2d": avg_pool2d,
    "max_unpool2d": max_unpool2d, "adaptive_avg_pool2d": adaptive_avg_pool2d, "linear": linear,
    "batch_norm": batch_norm, "cross_entropy": cross_entropy, "concatenate": concatenate, "pad": pad,
    "upsample": upsample, "reduce": reduce,
    "matmul": lambda a, b: (a @ b,),
    "relu": lambda x: (F.relu(x),), "relu6": lambda x: (F.relu6(x),),
    "leaky_relu": lambda x, negative_slope: (F.leaky_relu(x, negative_slope),),
    "tanh": lambda x: (torch.tanh(x),), "sigmoid": lambda x: (torch.sigmoid(x),),
    "softmax": lambda x, axis: (F.softmax(x, axis),), "log_softmax": lambda x, axis: (F.log_softmax(x, axis),),
    "mse_loss": lambda x, target, reduction: (F.mse_loss(x, target, reduction=reduction),),
    "smooth_l1_loss": lambda x, target, reduction, beta: (
        F.smooth_l1_loss(x, target, reduction=reduction, beta=beta),
    ),
    "binary_cross_entropy_with_logits": lambda logits, target, weight=None, *, reduction: (
        F.binary_cross_entropy_with_logits(logits, target, weight, reduction=reduction),
    ),
    "binary": lambda a, b, operator: (BINARY[operator](a, b),),
    "unary": lambda x, function: (getattr(torch, function)(x),),
    "power": lambda x, exponent: (x**exponent,),
    "flatten": lambda x: (x.flatten(1),),
    "reshape": lambda x, shape: (x.reshape(shape),),
    "transpose": lambda x, axes: (x.permute(axes),),
    "index": lambda x, key: (x[key],),
}  # fmt: skip
KEYWORDS = {"weight", "bias", "residual"}  # the arrays torch's and our signatures name; the others are positional


def run(case, dtype, differentiable, upstream):
    """-> (outputs, gradients by name); `upstream(shape)` gives the incoming gradient of the first output."""
    tensors = {}
    for name, array in case.arrays.items():
        tensor = torch.from_numpy(np.array(array))
        tensors[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
        if name in differentiable:
            tensors[name].requires_grad_()
    positional = [t for name, t in tensors.items() if name not in KEYWORDS]
    outputs = FUNCTIONS[case.op](
        *positional, **{n: t for n, t in tensors.items() if n in KEYWORDS}, **case.arguments
    )  # fmt: skip
    outputs[0].backward(torch.from_numpy(upstream).to(dtype))
    gradients = {name: tensors[name].grad.numpy() for name in differentiable}
    return [o.detach().numpy() for o in outputs], gradients
