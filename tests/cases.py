"""Seeded generator of test cases: every op, every argument value at least 30 times, odd sizes.

`generate(op)` gives the cases of one op. Arguments are drawn balanced (every value of an argument equally often, in
shuffled order) and sizes are then grown until the problem is valid, so no draw is ever thrown away.
"""

from dataclasses import dataclass

import numpy as np

from oracle import pair, window_geometry

TILES = (4, 6, 7, 8, 14, 16, 32, 64)  # rows and vector multiples of the kernels' register tiles
ODD_SIZES = tuple(sorted({1, 2, 11, 19, 23, 37, 53} | {t + d for t in TILES for d in (-1, 0, 1)}))
ACTIVATIONS = (None, "relu", "relu6", "leaky_relu", "tanh", "sigmoid")
PADDINGS = (0, 1, 2, (1, 0), (0, 2), ((1, 2), (0, 3)), ((0, 1), (2, 0)), "valid", "same")
KERNELS = (1, 2, 3, 4, 5, 7, (1, 3), (3, 1), (2, 5))
STRIDES = (1, 2, 3, (1, 2), (2, 1))
DILATIONS = (1, 2, 3, (1, 2), (2, 1))
BATCHES = (1, 2, 3, 0)


@dataclass(frozen=True)
class Case:
    """One problem: `arrays` by the oracle's argument names (the first ones positional), `arguments` by keyword."""

    op: str
    arrays: dict
    arguments: dict
    drawn: dict  # everything drawn for it: argument name or size -> value
    seed: int

    def __str__(self):
        shapes = ", ".join(f"{name}{list(a.shape)}" for name, a in self.arrays.items())
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.op}({shapes}; {arguments}) seed {self.seed}"


def plan(rng, count, **options):
    """`count` dicts, each option of every argument equally often (within one)."""
    columns = {name: rng.permutation(np.arange(count) % len(values)) for name, values in options.items()}
    for i in range(count):
        yield {name: values[columns[name][i]] for name, values in options.items()}


def distinct(rng, shape, low=-2.0, high=2.0):
    """float32 values, all different: a shuffled grid, jittered by less than half its step."""
    count = int(np.prod(shape))
    grid = (rng.permutation(count) + rng.uniform(0.3, 0.7, count)) / max(count, 1)
    return (low + (high - low) * grid).astype(np.float32).reshape(shape)


def small(rng, high=6):
    return int(rng.integers(1, high))


def grown(kernel, stride, padding, dilation, hw, ceil_mode=False, pooled=True):
    """The smallest plane, from hw upwards, that the window fits; if `pooled` no window may lie in the padding alone."""
    hw = list(hw)
    for axis in (0, 1):
        while not fits(axis, hw[axis], pair(kernel), pair(stride), padding, pair(dilation), ceil_mode, pooled):
            hw[axis] += 1
    return hw


def fits(axis, size, kernel, stride, padding, dilation, ceil_mode, pooled):
    plane = [64, 64]
    plane[axis] = size
    try:
        out, pads = window_geometry(plane, kernel, stride, padding, dilation, ceil_mode)
    except ValueError:
        return False
    start = np.arange(out[axis])[:, None] * stride[axis] - pads[axis][0]
    position = start + np.arange(kernel[axis]) * dilation[axis]
    return not pooled or bool(((position >= 0) & (position < size)).any(1).all())


# -- one generator of (arrays, arguments, drawn) per op --------------------------------------------------------------


def convolution_sizes(rng, role, size):
    """-> (H, W, C, O): the dimensions named by the role take the odd size, the others stay small."""
    c, o, q = (size if letter in role else small(rng) for letter in "coq")
    return small(rng), q, c, o


def conv2d(rng, count):
    groups = (1, 1, 1, 2, 3, 8, "depthwise", "multiplier")
    for d in plan(
        rng, count, n=BATCHES, role=("c", "o", "q", "co"), size=ODD_SIZES, kernel=KERNELS, stride=STRIDES,
        padding=PADDINGS, dilation=DILATIONS, groups=groups, bias=(True, False), activation=ACTIVATIONS,
        residual=(False, False, True),
    ):  # fmt: skip
        kernel = pair(d["kernel"])
        *hw, c, o = convolution_sizes(rng, d["role"], d["size"])
        g = d["groups"] if isinstance(d["groups"], int) else c
        c, o = (-(-size // g) * g for size in (c, o))
        if g == c and d["groups"] != 8:
            o = c * (2 if d["groups"] == "multiplier" else 1)
        height, width = grown(kernel, d["stride"], d["padding"], d["dilation"], hw, pooled=False)
        arrays = {"x": distinct(rng, (d["n"], height, width, c)), "w": distinct(rng, (o, *kernel, c // g))}
        if d["bias"]:
            arrays["bias"] = distinct(rng, (o,))
        if d["residual"]:
            (p, q), _ = window_geometry((height, width), kernel, pair(d["stride"]), d["padding"], pair(d["dilation"]))
            arrays["residual"] = distinct(rng, (d["n"], p, q, o))
        yield arrays, {k: d[k] for k in ("stride", "padding", "dilation", "activation")} | {"groups": g}, d


def conv_transpose2d(rng, count):
    paddings = tuple(p for p in PADDINGS if not isinstance(p, str))
    for d in plan(
        rng, count, n=BATCHES, role=("c", "o", "q", "co"), size=ODD_SIZES, kernel=KERNELS, stride=STRIDES,
        padding=paddings, output_padding=(0, 1, (1, 0)), dilation=DILATIONS, groups=(1, 1, 2, 3, "depthwise"),
        bias=(True, False), activation=ACTIVATIONS,
    ):  # fmt: skip
        kernel, stride, dilation = pair(d["kernel"]), pair(d["stride"]), pair(d["dilation"])
        *hw, c, o = convolution_sizes(rng, d["role"], d["size"])
        g = c if d["groups"] == "depthwise" else d["groups"]
        c, o = (-(-size // g) * g for size in (c, o))
        extra = tuple(min(e, max(s, t) - 1) for e, s, t in zip(pair(d["output_padding"]), stride, dilation))
        crop = [sum(pair(p)) for p in pair_or(d["padding"])]
        for axis in (0, 1):  # one more than the crop must remain
            extent = dilation[axis] * (kernel[axis] - 1) + 1 + extra[axis] - crop[axis]
            hw[axis] = max(hw[axis], -((extent - 1) // stride[axis]) + 1)
        arrays = {"x": distinct(rng, (d["n"], *hw, c)), "w": distinct(rng, (c, *kernel, o // g))}
        if d["bias"]:
            arrays["bias"] = distinct(rng, (o,))
        arguments = {k: d[k] for k in ("stride", "padding", "dilation", "activation")}
        yield arrays, arguments | {"groups": g, "output_padding": extra}, d | {"output_padding": max(extra) > 0}


def pair_or(padding):
    return padding if isinstance(padding, tuple) else (padding, padding)


def fitted(padding, kernel, dilation, shrink):
    """Padding is at most half the window: shrinks the padding or grows the kernel -> (padding, kernel)."""
    if isinstance(padding, str):
        return padding, kernel
    sides = [pair(p) for p in pair_or(padding)]
    if not shrink:
        kernel = tuple(max(k, -(-(2 * max(p) - 1) // d) + 1) for k, d, p in zip(kernel, dilation, sides))
        return padding, kernel
    limits = [(d * (k - 1) + 1) // 2 for k, d in zip(kernel, dilation)]
    sides = tuple(tuple(min(p, limit) for p in side) for side, limit in zip(sides, limits))
    if isinstance(padding, int) and len({p for side in sides for p in side}) == 1:
        return sides[0][0], kernel
    return (sides if isinstance(pair_or(padding)[0], tuple) else tuple(side[0] for side in sides)), kernel


def padding_form(padding):
    return ("pair" if isinstance(padding[0], int) else "sides") if isinstance(padding, tuple) else padding


def pooling(rng, count, dilations, **extra):
    for d in plan(
        rng, count, n=BATCHES, role=("c", "q", "h"), size=ODD_SIZES, kernel_size=(2, 3, 4, 5, (1, 3), (3, 2), 1),
        stride=(None, *STRIDES), padding=PADDINGS, dilation=dilations, ceil_mode=(False, True), shrink=(True, False),
        **extra,
    ):  # fmt: skip
        dilation, drawn = pair(d["dilation"]), pair(d["kernel_size"])
        padding, kernel = fitted(d["padding"], drawn, dilation, d["shrink"])
        kernel_size = d["kernel_size"] if kernel == drawn else kernel
        stride = kernel if d["stride"] is None else d["stride"]
        h, w, c = (d["size"] if d["role"] == letter else small(rng) for letter in "hqc")
        hw = grown(kernel, stride, padding, dilation, (h, w), d["ceil_mode"])
        arguments = {k: d[k] for k in ("stride", "ceil_mode", *extra)}
        arguments |= {"kernel_size": kernel_size, "padding": padding}
        drawn = d | {"padding": padding_form(padding)}
        if kernel_size != d["kernel_size"]:
            del drawn["kernel_size"]
        yield {"x": distinct(rng, (d["n"], *hw, c))}, arguments, drawn


def max_pool2d(rng, count):
    for arrays, arguments, d in pooling(rng, count, DILATIONS, return_indices=(True, False)):
        yield arrays, arguments | {"dilation": d["dilation"]}, d


def avg_pool2d(rng, count):
    yield from pooling(rng, count, (1,), count_include_pad=(True, False))


def max_unpool2d(rng, count):
    options = {"n": (1, 2, 3), "c": ODD_SIZES, "kernel_size": (2, 3, (1, 2)), "slack": (0, 1), "stride": (None, 3)}
    for d in plan(rng, count, **options):
        kernel = pair(d["kernel_size"])
        stride = kernel if d["stride"] is None else pair(d["stride"])
        p, q = small(rng, 5), small(rng, 5)
        hw = [(size - 1) * s + k for size, s, k in zip((p, q), stride, kernel)]
        arguments = {"kernel_size": d["kernel_size"], "stride": d["stride"]}
        if d["slack"]:
            hw = [size + (s > 1) for size, s in zip(hw, stride)]
            arguments["output_size"] = tuple(hw)
        order = rng.permuted(np.tile(np.arange(hw[0] * hw[1])[None, :, None], (d["n"], 1, d["c"])), axis=1)
        indices = order[:, : p * q].reshape(d["n"], p, q, d["c"])  # no index twice
        yield {"x": distinct(rng, indices.shape), "indices": indices}, arguments, d


def adaptive_avg_pool2d(rng, count):
    for d in plan(rng, count, n=BATCHES, size=ODD_SIZES, output_size=(1, 2, 3, 7, (2, 5))):
        shape = d["n"], small(rng, 12), d["size"], small(rng)
        yield {"x": distinct(rng, shape)}, {"output_size": d["output_size"]}, d


MATMUL_FORMS = {  # -> the shapes of a and b
    "matrices": lambda m, n, k: ((m, k), (k, n)),
    "row": lambda m, n, k: ((k,), (k, n)),
    "column": lambda m, n, k: ((m, k), (k,)),
    "inner": lambda m, n, k: ((k,), (k,)),
    "stacks": lambda m, n, k: ((3, m, k), (3, k, n)),
    "shared": lambda m, n, k: ((2, 3, m, k), (k, n)),
    "broadcast": lambda m, n, k: ((2, 1, m, k), (3, k, n)),
}


def matmul(rng, count):
    roles, forms = ("m", "n", "k", "mn", "mnk"), tuple(MATMUL_FORMS)
    for d in plan(rng, count, role=roles, form=("matrices", *forms), size=ODD_SIZES, other=ODD_SIZES):
        m, n, k = (d["size"] if letter in d["role"] else min(d["other"], 33) for letter in "mnk")
        a, b = MATMUL_FORMS[d["form"]](m, n, k)
        yield {"a": distinct(rng, a), "b": distinct(rng, b)}, {}, d


def linear(rng, count):
    options = {
        "lead": ((), (1,), (3,), (0,), (2, 3)),
        "role": ("i", "o", "r"),
        "size": ODD_SIZES,
        "bias": (True, False),
    }
    for d in plan(rng, count, **options, activation=ACTIVATIONS):
        k, o = (d["size"] if letter in d["role"] else small(rng, 20) for letter in "io")
        lead = (d["size"],) if d["role"] == "r" else d["lead"]
        arrays = {"x": distinct(rng, (*lead, k)), "w": distinct(rng, (o, k))}
        if d["bias"]:
            arrays["bias"] = distinct(rng, (o,))
        yield arrays, {"activation": d["activation"]}, d


def batch_norm(rng, count):
    for d in plan(
        rng, count, lead=((2,), (7,), (2, 3, 3), (1, 2, 5), (3, 1, 1)), c=ODD_SIZES, weight=(True, False),
        bias=(True, False), training=(True, False), momentum=(0.1, 0.01, 1.0), eps=(1e-5, 1e-3),
        activation=ACTIVATIONS, residual=(True, False),
    ):  # fmt: skip
        c, shape = d["c"], (*d["lead"], d["c"])
        arrays = {
            "x": distinct(rng, shape), "running_mean": distinct(rng, (c,)), "running_var": distinct(rng, (c,), 0.5, 2),
        }  # fmt: skip
        arrays |= {name: distinct(rng, (c,)) for name in ("weight", "bias") if d[name]}
        arrays |= {"residual": distinct(rng, shape)} if d["residual"] else {}
        yield arrays, {k: d[k] for k in ("training", "momentum", "eps", "activation")}, d


SHAPES = ((), (1,), (7,), (3, 5), (0, 4), (2, 3, 17), (1, 5, 1, 9), (2, 2, 3, 33))


def pointwise(rng, count, low=-2.0, high=2.0, shapes=SHAPES, **options):
    """Shapes of any rank; where scalars are among them, odd lengths half of the time."""
    for i, d in enumerate(plan(rng, count, shape=shapes, size=ODD_SIZES, **options)):
        shape = d["shape"] if i % 2 or shapes[0] != () else (d["size"],)
        yield {"x": distinct(rng, shape, low, high)}, {k: d[k] for k in options}, d


def relu6(rng, count):
    yield from pointwise(rng, count, -3, 9)


def wide(rng, count):
    yield from pointwise(rng, count, -12, 12)


def leaky_relu(rng, count):
    yield from pointwise(rng, count, negative_slope=(0.01, 0.2, 0.0))


def softmax(rng, count):
    yield from pointwise(rng, count, -30, 30, ((4,), (3, 5), (0, 4), (2, 3, 17), (2, 1, 65)), axis=(-1, 0))


def dropout(rng, count):
    yield from pointwise(rng, count, p=(0.0, 0.25, 0.5, 0.9), training=(True, False))


def binary(rng, count):
    pairs = (((5,), (5,)), ((3, 17), (17,)), ((3, 1), (1, 33)), ((2, 3, 4), ()), ((1,), (2, 3, 5)), ((0, 3), (3,)))
    for d in plan(rng, count, operator=("add", "sub", "mul", "div"), shapes=pairs, size=ODD_SIZES):
        a, b = d["shapes"] if d["shapes"][0] != (5,) else ((d["size"],), (d["size"],))
        yield {"a": distinct(rng, a), "b": distinct(rng, b, 0.5, 3)}, {"operator": d["operator"]}, d


def unary(rng, count):
    for d in plan(rng, count, function=("neg", "exp", "log", "sqrt", "abs"), shape=SHAPES, size=ODD_SIZES):
        low, high = (0.1, 4) if d["function"] in ("log", "sqrt") else (-4, 4)
        shape = d["shape"] if len(d["shape"]) != 1 else (d["size"],)
        yield {"x": distinct(rng, shape, low, high)}, {"function": d["function"]}, d


def power(rng, count):
    yield from pointwise(rng, count, 0.2, 3, exponent=(2, 3, 0.5, -1))


def reduce(rng, count):
    options = {"function": ("sum", "mean", "max"), "axis": (None, 0, -1, 1, (0, 1), (0, 2)), "keepdims": (False, True)}
    for d in plan(rng, count, **options, large=(0, 1, 2), size=ODD_SIZES):
        shape = [small(rng) for _ in range(3)]
        shape[d["large"]] = d["size"]
        yield {"x": distinct(rng, shape)}, {k: d[k] for k in options}, d


REDUCTIONS = ("mean", "sum", "none")


def cross_entropy(rng, count):
    for d in plan(
        rng, count, lead=((1,), (5,), (2, 3), (2, 2, 3)), classes=ODD_SIZES[1:], labels=("int", "probability"),
        weight=(True, False), label_smoothing=(0.0, 0.1, 0.5), reduction=REDUCTIONS,
    ):  # fmt: skip
        k, lead = d["classes"], d["lead"]
        probabilities = rng.dirichlet(np.ones(k), lead).astype(np.float32)
        labels = rng.integers(0, k, lead) if d["labels"] == "int" else probabilities
        arrays = {"logits": distinct(rng, (*lead, k), -8, 8), "labels": labels}
        arrays |= {"weight": distinct(rng, (k,), 0.2, 2)} if d["weight"] else {}
        yield arrays, {k: d[k] for k in ("label_smoothing", "reduction")}, d


def elementwise_loss(rng, count, **options):
    for arrays, arguments, d in pointwise(rng, count, shapes=SHAPES[1:4] + SHAPES[5:], reduction=REDUCTIONS, **options):
        yield arrays | {"target": distinct(rng, arrays["x"].shape)}, arguments, d


def smooth_l1_loss(rng, count):
    yield from elementwise_loss(rng, count, beta=(1.0, 0.5, 0.0))


def binary_cross_entropy_with_logits(rng, count):
    for arrays, arguments, d in pointwise(
        rng, count, -20, 20, SHAPES[1:4] + SHAPES[5:], weight=(None, "last axis", "full"), reduction=REDUCTIONS
    ):
        x = arrays["x"]
        arrays = {"logits": x, "target": distinct(rng, x.shape, 0, 1)}
        weight = arguments.pop("weight")
        arrays |= {"weight": distinct(rng, x.shape if weight == "full" else x.shape[-1:], 0.2, 2)} if weight else {}
        yield arrays, arguments, d


def concatenate(rng, count):
    for d in plan(rng, count, axis=(0, 1, -1, 2), tensors=(1, 2, 3), size=ODD_SIZES):
        shape = [small(rng) for _ in range(3)]
        arrays = {}
        for i in range(d["tensors"]):
            shape[d["axis"]] = d["size"] if i == 0 else small(rng)
            arrays[f"x{i}"] = distinct(rng, shape)
        yield arrays, {"axis": d["axis"]}, d


def pad(rng, count):
    pads = (((0, 0),) * 4, ((0, 0), (1, 2), (0, 3), (0, 0)), ((1, 0), (0, 0), (2, 2), (1, 5)))
    for d in plan(rng, count, pads=pads, value=(0.0, -1.5, 7.0), size=ODD_SIZES):
        shape = small(rng, 4), small(rng), small(rng), d["size"]
        yield {"x": distinct(rng, shape)}, {"pads": d["pads"], "value": d["value"]}, d


def upsample(rng, count):
    for d in plan(rng, count, n=BATCHES, scale=(1, 2, 3, (2, 1), (1, 4)), mode=("nearest", "bilinear"), c=ODD_SIZES):
        shape = d["n"], small(rng), small(rng), d["c"]
        yield {"x": distinct(rng, shape)}, {"scale": d["scale"], "mode": d["mode"]}, d


def flatten(rng, count):
    yield from pointwise(rng, count, shapes=SHAPES[3:])


def reshape(rng, count):
    for d in plan(rng, count, n=BATCHES, c=ODD_SIZES, to=("flat", "infer", "split")):
        x = distinct(rng, (d["n"], 2, d["c"]))
        shape = {"flat": (x.size,), "infer": (2, -1), "split": (d["n"], 1, 2, d["c"])}[d["to"]]
        yield {"x": x}, {"shape": shape if x.size or -1 not in shape else (2, 0)}, d


def transpose(rng, count):
    for d in plan(rng, count, axes=((0, 1, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0)), a=ODD_SIZES, b=ODD_SIZES):
        yield {"x": distinct(rng, (small(rng), d["a"], d["b"]))}, {"axes": d["axes"]}, d


def index(rng, count):
    keys = (
        0, -1, slice(1, None), slice(None, None, 2), (slice(None), 1), (..., -1), (None, 0), (..., slice(1, 9, 3)),
        (0, slice(-2, None), None, 1),
    )  # fmt: skip
    for d in plan(rng, count, key=keys, size=ODD_SIZES):
        yield {"x": distinct(rng, (3, 2 + small(rng), 1 + d["size"]))}, {"key": d["key"]}, d


COUNTS = {
    conv2d: 600, conv_transpose2d: 300, max_pool2d: 600, avg_pool2d: 600, max_unpool2d: 120, adaptive_avg_pool2d: 150,
    matmul: 240, linear: 180, batch_norm: 210, ("relu", pointwise): 40, relu6: 40, leaky_relu: 90, ("tanh", wide): 60,
    ("sigmoid", wide): 60, softmax: 60, ("log_softmax", softmax): 60, dropout: 120, binary: 180, unary: 180, power: 120,
    reduce: 180, cross_entropy: 180, ("mse_loss", elementwise_loss): 90, smooth_l1_loss: 90,
    binary_cross_entropy_with_logits: 90, concatenate: 120, pad: 90, upsample: 150, flatten: 40, reshape: 120,
    transpose: 120, index: 270,
}  # fmt: skip
GENERATORS = {
    (key[0] if isinstance(key, tuple) else key.__name__): (key[1] if isinstance(key, tuple) else key, count)
    for key, count in COUNTS.items()
}
OPS = tuple(GENERATORS)


def generate(op, seed=0):
    """The cases of one op, the same for the same seed."""
    generator, count = GENERATORS[op]
    rng = np.random.default_rng([seed, OPS.index(op)])
    for i, (arrays, arguments, drawn) in enumerate(generator(rng, count)):
        yield Case(op, arrays, arguments, drawn, i)
