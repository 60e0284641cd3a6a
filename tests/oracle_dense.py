"""The truth for the op tests, second part: matmul, normalisation, losses, pointwise, reductions and shape ops.

Same conventions as oracle.py: `op(arrays, arguments) -> (y, backward)`, gradients by argument name, float64.
"""

import numpy as np

from oracle import activate, sigmoid


def unbroadcast(grad, shape):
    """Sums grad over the axes that broadcasting from `shape` added or stretched."""
    grad = grad.sum(tuple(range(grad.ndim - len(shape))))
    return grad.sum(tuple(i for i, size in enumerate(shape) if size == 1), keepdims=True).reshape(shape)


# -- matmul ----------------------------------------------------------------------------------------------------------


def matmul(a, b):
    """numpy's rule: 1-D operands are a row (a) or a column (b), leading axes broadcast."""
    row, column = (a[None] if a.ndim == 1 else a), (b[:, None] if b.ndim == 1 else b)
    y = row @ column

    def backward(grad):
        g = grad.reshape(y.shape)
        da, db = g @ column.swapaxes(-1, -2), row.swapaxes(-1, -2) @ g
        return {"a": unbroadcast(da, row.shape).reshape(a.shape), "b": unbroadcast(db, column.shape).reshape(b.shape)}

    squeezed = y if b.ndim > 1 else y[..., 0]
    return (squeezed if a.ndim > 1 else squeezed[(..., 0, slice(None))[: 3 if b.ndim > 1 else 2]]), backward


def linear(x, w, bias=None, *, activation=None):
    """x [...,K], w [O,K] -> [...,O]."""
    z = x @ w.T
    y, activation_gradient = activate(z if bias is None else z + bias, activation)

    def backward(grad):
        grad = activation_gradient(grad)
        rows, g = x.reshape(-1, x.shape[-1]), grad.reshape(-1, w.shape[0])
        return {"x": grad @ w, "w": g.T @ rows, "bias": g.sum(0)}

    return y, backward


# -- normalisation ---------------------------------------------------------------------------------------------------


def batch_norm(
    x, running_mean, running_var, weight=None, bias=None, *, training, momentum=0.1, eps=1e-5, activation=None,
    residual=None,
):  # fmt: skip
    """x [...,C] -> ((y, new running mean, new running var), backward): y = activation(bn(x) + residual)."""
    c = x.shape[-1]
    rows = x.reshape(-1, c)
    count = len(rows)
    if training and count == 1:
        raise ValueError("one value per channel")
    mean, var = (rows.mean(0), rows.var(0)) if training else (running_mean, running_var)
    rstd = 1 / np.sqrt(var + eps)
    normal = (rows - mean) * rstd
    scale = np.ones(c) if weight is None else weight
    z = (normal * scale + (0 if bias is None else bias)).reshape(x.shape)
    y, activation_gradient = activate(z if residual is None else z + residual, activation)
    if training:
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * count / (count - 1)

    def backward(grad):
        grad = activation_gradient(grad)
        g = grad.reshape(-1, c)
        dx = g * scale * rstd
        if training:
            dx = dx - dx.mean(0) - normal * (dx * normal).mean(0)
        return {
            "x": dx.reshape(x.shape), "weight": (g * normal).sum(0), "bias": g.sum(0), "residual": grad,
        }  # fmt: skip

    return (y, running_mean, running_var), backward


# -- pointwise and softmax -------------------------------------------------------------------------------------------


def relu(x):
    y, gradient = activate(x, "relu")
    return y, lambda grad: {"x": gradient(grad)}


def relu6(x):
    y, gradient = activate(x, "relu6")
    return y, lambda grad: {"x": gradient(grad)}


def leaky_relu(x, negative_slope=0.01):
    y, gradient = activate(x, "leaky_relu", negative_slope)
    return y, lambda grad: {"x": gradient(grad)}


def tanh(x):
    y, gradient = activate(x, "tanh")
    return y, lambda grad: {"x": gradient(grad)}


def sigmoid_op(x):
    y, gradient = activate(x, "sigmoid")
    return y, lambda grad: {"x": gradient(grad)}


def dropout(x, mask, p):
    """mask: true where an element survives."""
    return np.where(mask, x / (1 - p), 0.0), lambda grad: {"x": np.where(mask, grad / (1 - p), 0.0)}


def log_softmax(x, axis=-1):
    if x.size == 0:
        return x, lambda grad: {"x": grad}
    shifted = x - x.max(axis, keepdims=True)
    y = shifted - np.log(np.exp(shifted).sum(axis, keepdims=True))
    return y, lambda grad: {"x": grad - np.exp(y) * grad.sum(axis, keepdims=True)}


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis, keepdims=True, initial=-np.inf))
    y = e / e.sum(axis, keepdims=True)
    return y, lambda grad: {"x": y * (grad - (y * grad).sum(axis, keepdims=True))}


BINARY = {
    "add": (lambda a, b: a + b, lambda g, a, b: (g, g)),
    "sub": (lambda a, b: a - b, lambda g, a, b: (g, -g)),
    "mul": (lambda a, b: a * b, lambda g, a, b: (g * b, g * a)),
    "div": (lambda a, b: a / b, lambda g, a, b: (g / b, -g * a / (b * b))),
}
UNARY = {
    "neg": (lambda x: -x, lambda x, y: -np.ones_like(x)),
    "exp": (np.exp, lambda x, y: y),
    "log": (np.log, lambda x, y: 1 / x),
    "sqrt": (np.sqrt, lambda x, y: 0.5 / y),
    "abs": (np.abs, lambda x, y: np.sign(x)),
}


def binary(a, b, *, operator):
    """a, b broadcast like numpy; `operator` is a key of BINARY."""
    function, gradients = BINARY[operator]

    def backward(grad):
        da, db = gradients(grad, a, b)
        shape = np.broadcast_shapes(a.shape, b.shape)
        return {
            "a": unbroadcast(np.broadcast_to(da, shape), a.shape),
            "b": unbroadcast(np.broadcast_to(db, shape), b.shape),
        }

    return function(a, b), backward


def unary(x, *, function):
    y = UNARY[function][0](x)
    return y, lambda grad: {"x": grad * UNARY[function][1](x, y)}


def power(x, *, exponent):
    return x**exponent, lambda grad: {"x": grad * exponent * x ** (exponent - 1)}


# -- reductions ------------------------------------------------------------------------------------------------------


def reduce(x, *, function, axis=None, keepdims=False):
    """sum, mean or max; the gradient of max goes to the first maximum (the first NaN wins) in row-major order."""
    axes = tuple(range(x.ndim)) if axis is None else tuple(a % x.ndim for a in np.atleast_1d(axis))
    kept = [1 if i in axes else size for i, size in enumerate(x.shape)]
    count = int(np.prod([x.shape[a] for a in axes]))
    order = [i for i in range(x.ndim) if i not in axes] + sorted(axes)
    moved = x.transpose(order).reshape(-1, count)
    y = {"sum": np.sum, "mean": np.mean, "max": np.max}[function](moved, 1).reshape(kept)

    def backward(grad):
        g = grad.reshape(kept)
        if function != "max":
            return {"x": np.broadcast_to(g / (count if function == "mean" else 1), x.shape)}
        dmoved = np.zeros_like(moved)
        dmoved[np.arange(len(moved)), moved.argmax(1)] = g.reshape(-1)
        return {"x": dmoved.reshape([x.shape[i] for i in order]).transpose(np.argsort(order))}

    return (y if keepdims else y.reshape([s for i, s in enumerate(x.shape) if i not in axes])), backward


# -- losses ----------------------------------------------------------------------------------------------------------


def reduced(values, reduction, divisor):
    """-> (loss, the factor of every value's gradient as a function of the incoming one)."""
    if reduction == "none":
        return values, lambda grad: grad
    divisor = divisor if reduction == "mean" else 1
    return values.sum() / divisor, lambda grad: np.broadcast_to(grad / divisor, values.shape)


def cross_entropy(logits, labels, *, weight=None, label_smoothing=0.0, reduction="mean"):
    """labels: ints [...] or probabilities [...,K]; logits [...,K]. The mean over ints divides by the summed weights."""
    classes = logits.shape[-1]
    weights = np.ones(classes) if weight is None else weight
    hard = labels.ndim == logits.ndim - 1
    target = np.eye(classes)[labels] if hard else labels
    divisor = weights[labels].sum() if hard else logits.size / classes
    target = weights * (target * (1 - label_smoothing) + label_smoothing / classes)
    logp, log_softmax_backward = log_softmax(logits)
    loss, spread = reduced(-(target * logp).sum(-1), reduction, divisor)

    def backward(grad):
        g = spread(grad)[..., None]
        dlabels = {} if hard else {"labels": (label_smoothing - 1) * weights * logp * g}
        return {"logits": log_softmax_backward(-target * g)["x"]} | dlabels

    return loss, backward


def mse_loss(x, target, *, reduction="mean"):
    difference = x - target
    loss, spread = reduced(difference**2, reduction, x.size)
    return loss, lambda grad: {"x": 2 * difference * spread(grad), "target": -2 * difference * spread(grad)}


def smooth_l1_loss(x, target, *, beta=1.0, reduction="mean"):
    difference = x - target
    size = np.abs(difference)
    quadratic = size < beta
    loss, spread = reduced(
        np.where(quadratic, 0.5 * size**2 / (beta or 1), size - 0.5 * beta), reduction, x.size
    )  # beta 0 is the absolute error

    def backward(grad):
        slope = np.where(quadratic, difference / (beta or 1), np.sign(difference)) * spread(grad)
        return {"x": slope, "target": -slope}

    return loss, backward


def binary_cross_entropy_with_logits(logits, target, *, weight=None, reduction="mean"):
    """weight scales every element's loss (broadcast); the mean divides by the number of elements."""
    weights = 1.0 if weight is None else weight
    values = weights * (np.maximum(logits, 0) - logits * target + np.log1p(np.exp(-np.abs(logits))))
    loss, spread = reduced(values, reduction, logits.size)

    def backward(grad):
        g = weights * spread(grad)
        return {"logits": (sigmoid(logits) - target) * g, "target": -logits * g}

    return loss, backward


# -- shape ops -------------------------------------------------------------------------------------------------------


def concatenate(*tensors, axis):
    """-> gradients "x0", "x1", ... in order."""
    bounds = np.cumsum([t.shape[axis] for t in tensors])[:-1]

    def backward(grad):
        return {f"x{i}": part for i, part in enumerate(np.split(grad, bounds, axis))}

    return np.concatenate(tensors, axis), backward


def pad(x, pads, value=0.0):
    inner = tuple(slice(before, before + size) for (before, _), size in zip(pads, x.shape))
    return np.pad(x, pads, constant_values=value), lambda grad: {"x": grad[inner]}


def flatten(x):
    return x.reshape(len(x), int(np.prod(x.shape[1:]))), lambda grad: {"x": grad.reshape(x.shape)}


def reshape(x, *, shape):
    return x.reshape(shape), lambda grad: {"x": grad.reshape(x.shape)}


def transpose(x, *, axes):
    return x.transpose(axes), lambda grad: {"x": grad.transpose(np.argsort(axes))}


def index(x, *, key):
    """Ints, slices, `...` and None."""

    def backward(grad):
        dx = np.zeros_like(x)
        dx[key] = grad
        return {"x": dx}

    return x[key], backward
