"""Which oracle function answers for which op, what it differentiates, and how large rounding errors may be.

`expected(case, upstream)` is an Expected(outputs, gradients, output_scales, gradient_scales): scale is the quantity
sum|a||b| of the derived tolerance c * eps * scale, for every element. For sums of products it is the op itself on
absolute values; the few others state theirs.
"""

from dataclasses import dataclass

import numpy as np

import oracle
import oracle_dense as dense

CONSTANTS = {  # floating-point inputs without a gradient
    "batch_norm": ("running_mean", "running_var"),
    "cross_entropy": ("weight",),
    "binary_cross_entropy_with_logits": ("weight",),
}
FUNCTIONS = {
    name: getattr(oracle, name)
    for name in ("conv2d", "conv_transpose2d", "max_unpool2d", "avg_pool2d", "adaptive_avg_pool2d", "upsample")
} | {
    name: getattr(dense, name)
    for name in (
        "matmul", "linear", "batch_norm", "relu", "relu6", "leaky_relu", "tanh", "softmax", "log_softmax", "binary",
        "unary", "power", "reduce", "cross_entropy", "mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits",
        "concatenate", "pad", "flatten", "reshape", "transpose", "index",
    )
}  # fmt: skip
FUNCTIONS["sigmoid"] = dense.sigmoid_op


def max_pool2d(x, *, return_indices, **arguments):
    (y, indices), backward = oracle.max_pool2d(x, **arguments)
    return (y, indices) if return_indices else y, backward


def dropout(x, mask, *, p, training):
    return dense.dropout(x, mask, p) if training and p > 0 else (x, lambda grad: {"x": grad})


FUNCTIONS |= {"max_pool2d": max_pool2d, "dropout": dropout}
# Ops that copy or select: no rounding at all, forward or backward.
MOVES = {"max_unpool2d", "concatenate", "pad", "flatten", "reshape", "transpose", "index", "relu", "relu6"}
# The library's defaults, which the hand-written cases spell out.
DEFAULTS = {
    "conv2d": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "activation": None},
    "conv_transpose2d": {
        "stride": 1, "padding": 0, "output_padding": 0, "dilation": 1, "groups": 1, "activation": None,
    },
    "max_pool2d": {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": True},
    "avg_pool2d": {"stride": None, "padding": 0, "ceil_mode": False, "count_include_pad": True},
    "linear": {"activation": None},
    "batch_norm": {"momentum": 0.1, "eps": 1e-5, "activation": None},
    "cross_entropy": {"label_smoothing": 0.0, "reduction": "mean"},
}  # fmt: skip


@dataclass
class Expected:
    outputs: list
    gradients: dict
    output_scales: list
    gradient_scales: dict


def evaluate(op, arrays, arguments):
    """The oracle with its arrays named positionally or by keyword -> (outputs, backward)."""
    if op == "concatenate":
        y, backward = dense.concatenate(*arrays.values(), **arguments)
    else:
        y, backward = FUNCTIONS[op](**arrays, **arguments)
    return list(y) if isinstance(y, tuple) else [y], backward


def differentiable(case):
    """The arrays that have a gradient."""
    constants = CONSTANTS.get(case.op, ())
    return [name for name, array in case.arrays.items() if array.dtype.kind == "f" and name not in constants]


def widened(arrays):
    return {k: a.astype(np.float64) if a.dtype == np.float32 else a for k, a in arrays.items()}


def absolute(arrays):
    return {k: np.abs(a) if a.dtype == np.float64 else a for k, a in arrays.items()}


def upstream_of(case, shape):
    """The incoming gradient of a case: seeded, and zero where the fused activation is within rounding of a kink, as
    there the gradient of either side is right."""
    grad = np.random.default_rng(case.seed).standard_normal(shape).astype(np.float32)
    kinks = {"relu": (0,), "leaky_relu": (0,), "relu6": (0, 6)}.get(case.arguments.get("activation"), ())
    if kinks:
        (z, *_), _ = evaluate(case.op, widened(case.arrays), case.arguments | {"activation": None})
        for kink in kinks:
            grad[np.abs(z - kink) < 1e-4 * (1 + np.abs(z).max(initial=0))] = 0
    return grad


def upstream_and_expected(case):
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):  # NaN and infinities are legal inputs
        outputs, _ = evaluate(case.op, widened(case.arrays), case.arguments)
        upstream = upstream_of(case, np.shape(outputs[0]))
        return upstream, expected(case, upstream)


def expected(case, upstream):
    """The truth for a case and an incoming gradient."""
    arrays, grad = widened(case.arrays), upstream.astype(np.float64)
    outputs, backward = evaluate(case.op, arrays, case.arguments)
    names = differentiable(case)
    gradients = {name: g for name, g in backward(grad).items() if name in names}
    output_scales, gradient_scales = SCALES[case.op](case, arrays, outputs, gradients, grad)
    return Expected(outputs, gradients, output_scales, gradient_scales)


# -- scales of the derived tolerances --------------------------------------------------------------------------------


def absolute_scales(case, arrays, outputs, gradients, grad):
    """Sums of products: the op and its gradient on absolute values. A smooth activation passes on its argument's
    error, which is at most `scale` of the output, so it multiplies the incoming gradient by 1 + scale."""
    arguments = dict(case.arguments)
    activation = arguments.pop("activation", None)
    operator = {"sub": "add"}.get(arguments.get("operator"))
    if operator:
        arguments["operator"] = operator
    scales, backward = evaluate(case.op, absolute(arrays), arguments)
    g = np.abs(grad) * (1 + np.abs(scales[0]) if activation in ("tanh", "sigmoid") else 1)
    return [np.abs(s) + 1 if activation else np.abs(s) for s in scales], {k: np.abs(v) for k, v in backward(g).items()}


def own_scales(case, arrays, outputs, gradients, grad):
    """Functions of one element: the result and its sensitivity to a relative error of the argument, |x f'(x)|."""
    x = next(iter(arrays.values()))
    slope = np.abs(backward_of_ones(case, arrays, outputs[0]))
    g = np.abs(grad) * (1 + np.abs(x))
    return [np.abs(outputs[0]) + np.abs(x) * slope], {k: g + np.abs(v) for k, v in gradients.items()}


def backward_of_ones(case, arrays, y):
    return next(iter(evaluate(case.op, arrays, case.arguments)[1](np.ones_like(y)).values()))


def softmax_scales(case, arrays, outputs, gradients, grad):
    x, axis = arrays["x"], case.arguments["axis"]
    y = dense.softmax(x, axis)[0]
    spread = 1 + np.abs(x) + np.abs(x).max(axis, keepdims=True, initial=0)  # exp(x - max) turns |x| into a factor
    g = np.abs(grad)
    if case.op == "softmax":
        return [y * spread], {"x": y * spread * (g + (y * g).sum(axis, keepdims=True))}
    return [spread], {"x": g + y * spread * g.sum(axis, keepdims=True)}


def batch_norm_scales(case, arrays, outputs, gradients, grad):
    """x - mean loses eps * (|x| + mean|x|), the variance and with it 1/std the relative error `k`."""
    a, arguments = arrays, case.arguments
    c = a["x"].shape[-1]
    rows, g = a["x"].reshape(-1, c), np.abs(grad).reshape(-1, c)
    training = arguments["training"]
    mean, var = (rows.mean(0), rows.var(0)) if training else (a["running_mean"], a["running_var"])
    rstd, weight = 1 / np.sqrt(var + arguments["eps"]), np.abs(a.get("weight", np.ones(c)))
    size = np.abs(rows) + (np.abs(rows).mean(0) if training else np.abs(mean))
    k = 1 + ((size * np.abs(rows - mean)).mean(0) * rstd**2 if training else 0)
    normal = (size + np.abs(rows - mean) * k) * rstd
    y = (normal * weight + np.abs(a.get("bias", 0.0))).reshape(a["x"].shape) + np.abs(a.get("residual", 0.0))
    if arguments["activation"] in ("tanh", "sigmoid"):
        g = g * (1 + y.reshape(-1, c))
    dx = k * g * weight * rstd
    if training:
        dx = dx + dx.mean(0) + normal * (dx * normal).mean(0)
    gradients = {"x": dx.reshape(a["x"].shape), "weight": (g * normal).sum(0), "bias": g.sum(0), "residual": g}
    gradients["residual"] = g.reshape(a["x"].shape)
    variance = (size * np.abs(rows - mean)).mean(0) * 2 if training else 0
    return [y + 1, size.mean(0) + np.abs(a["running_mean"]), 2 * variance + a["running_var"]], gradients


def cross_entropy_scales(case, arrays, outputs, gradients, grad):
    x = arrays["logits"]
    size = 1 + 2 * np.abs(x).max(-1, keepdims=True, initial=0)  # |log p| and its sensitivity to rounding of x
    uniform = arrays | {"logits": np.zeros_like(x)}
    (loss,), backward = evaluate(case.op, uniform, case.arguments)
    bounds = backward(np.abs(grad))
    total = np.abs(bounds["logits"]).sum(-1, keepdims=True) + np.abs(gradients["logits"])
    per_class = np.log(x.shape[-1]) or 1.0
    factor = size[..., 0] if case.arguments["reduction"] == "none" else size.max()
    scales = {"logits": total * size, "labels": np.abs(bounds.get("labels", 0.0)) / per_class * size}
    return [np.abs(loss) / per_class * factor + np.abs(outputs[0])], scales


def loss_scales(case, arrays, outputs, gradients, grad):
    """Elementwise losses: differences of |x| + |t|, then a sum of positive terms."""
    x, target = (np.abs(arrays[k]) for k in (("logits" if "logits" in arrays else "x"), "target"))
    weight = arrays.get("weight", 1.0)
    size = weight * (1 + x + target) ** 2
    divisor = x.size if case.arguments["reduction"] == "mean" else 1
    total = size if case.arguments["reduction"] == "none" else size.sum() / divisor
    beta = case.arguments.get("beta", 1.0) or 1.0
    g = np.abs(grad) / divisor * weight * (1 + x + target) * 2 / beta
    return [total], dict.fromkeys(gradients, g)


def pick_scales(case, arrays, outputs, gradients, grad):
    """max: a selection, so the values themselves (the scatter adds nothing)."""
    if case.arguments["function"] != "max":
        return absolute_scales(case, arrays, outputs, gradients, grad)
    return [np.abs(outputs[0])], {k: np.abs(v) for k, v in gradients.items()}


def no_scales(case, arrays, outputs, gradients, grad):
    return [np.zeros(np.shape(o)) for o in outputs], {k: np.zeros(g.shape) for k, g in gradients.items()}


def upsample_scales(case, arrays, outputs, gradients, grad):
    """The bilinear weights are fractions of a coordinate, which carries eps times the size of the plane."""
    scales, gradients = absolute_scales(case, arrays, outputs, gradients, grad)
    coordinate = 1 + max(arrays["x"].shape[1:3])
    return [s * coordinate for s in scales], {k: g * coordinate for k, g in gradients.items()}


def pool_scales(case, arrays, outputs, gradients, grad):
    _, backward = evaluate(case.op, arrays, case.arguments)
    return [np.zeros(o.shape) for o in outputs], {k: np.abs(v) for k, v in backward(np.abs(grad)).items()}


SCALES = dict.fromkeys(FUNCTIONS, absolute_scales) | {
    **dict.fromkeys(MOVES, no_scales),
    **dict.fromkeys(("tanh", "sigmoid", "unary", "power", "leaky_relu"), own_scales),
    **dict.fromkeys(("softmax", "log_softmax"), softmax_scales),
    **dict.fromkeys(("mse_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"), loss_scales),
    "batch_norm": batch_norm_scales, "cross_entropy": cross_entropy_scales, "reduce": pick_scales,
    "max_pool2d": pool_scales, "upsample": upsample_scales,
}  # fmt: skip
