"""Every refusal of the ops: its exception and its text, `[op] rule. Received: every value.`"""

import numpy as np
import pytest

import convkit as ck

HUGE = 1 << 62


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype)


X, W = zeros(2, 5, 6, 4), zeros(8, 3, 3, 4)
V = zeros(4, 3, 3, 8)  # filters of a transposed convolution of X
ONE = zeros(4)
ONES = ck.ones(4)


def refused(error, function, rule, *received):
    """The call raises `error`, its text holds the rule and every received value."""
    with pytest.raises(error) as caught:
        function()
    text = str(caught.value)
    assert type(caught.value) is error
    assert rule in text and text.endswith(".") and text.startswith("["), text
    assert "Received: " in text, text
    after = text[text.index("Received: ") :]
    for value in received:
        assert value in after, f"{value!r} is missing: {text}"


def unpool(**options):
    return ck.max_unpool2d(zeros(1, 2, 2, 1), np.zeros((1, 2, 2, 1), int), 2, **options)


SHAPES = {
    "conv2d x": (lambda: ck.conv2d(zeros(5, 6, 4), W), "[conv2d] x must have shape [N,H,W,C].", "[5,6,4]"),
    "conv2d w": (lambda: ck.conv2d(X, zeros(8, 3, 4)), "[conv2d] w must have shape [O,R,S,C/groups].", "[8,3,4]"),
    "conv2d channels": (
        lambda: ck.conv2d(X, zeros(8, 3, 3, 5)), "[conv2d] w must have C/groups input channels.", "[2,5,6,4]", "C=4",
        "[8,3,3,5]", "groups=1",
    ),
    "conv2d groups": (
        lambda: ck.conv2d(X, zeros(8, 3, 3, 1), groups=3), "[conv2d] groups must divide C and O.", "C=4", "O=8",
        "groups=3",
    ),
    "conv2d groups 0": (lambda: ck.conv2d(X, W, groups=0), "[conv2d] groups must be at least 1.", "groups=0"),
    "conv2d no filters": (lambda: ck.conv2d(X, zeros(0, 3, 3, 4)), "[conv2d] w must have no empty axis.", "[0,3,3,4]"),
    "conv2d bias": (lambda: ck.conv2d(X, W, zeros(4)), "[conv2d] bias must have shape [8].", "[4]"),
    "conv2d residual": (
        lambda: ck.conv2d(X, W, residual=zeros(2, 1, 1, 8)),
        "[conv2d] residual must have shape",
        "[2,1,1,8]",
    ),
    "conv2d window": (
        lambda: ck.conv2d(X, zeros(8, 9, 3, 4), padding=1),
        "[conv2d] the output must have at least one row and column.",
        "P = floor((H=5 + pad 1+1 - dilation 1*(window 9-1) - 1) / stride 1) + 1 = 0",
    ),
    "conv2d dilated window": (
        lambda: ck.conv2d(X, W, dilation=(1, 3)), "[conv2d] the output must have at least one row and column.",
        "Q = floor((W=6 + pad 0+0 - dilation 3*(window 3-1) - 1) / stride 1) + 1 = 0",
    ),
    "conv2d huge plane": (
        lambda: ck.conv2d(zeros(0, 1 << 40, 1, 4), W, padding=1),
        "[conv2d] x and w must have at most 2^30 rows and columns.", "x [0,1099511627776,1,4]",
    ),
    "conv2d huge padding": (
        lambda: ck.conv2d(X, W, dilation=1 << 29, padding=1 << 29), "[conv2d] one padded image must have at most",
        "H=5", "W=6", "C=4", "O=8", "padding top=536870912",
    ),
    "conv2d stride": (lambda: ck.conv2d(X, W, stride=0), "[conv2d] stride must be at least 1", "stride=(0,0)"),
    "conv2d same stride": (
        lambda: ck.conv2d(X, W, stride=(1, 0), padding="same"), "[conv2d] stride must be at least 1", "stride=(1,0)",
    ),
    "conv2d dilation": (lambda: ck.conv2d(X, W, dilation=-1), "[conv2d] dilation must be at least 1", "(-1,-1)"),
    "conv2d padding": (
        lambda: ck.conv2d(X, W, padding=((0, 1), (-2, 0))), "[conv2d] padding must be at least 0", "top=0",
        "bottom=1", "left=-2", "right=0",
    ),
    "conv2d padding word": (
        lambda: ck.conv2d(X, W, padding="full"),
        "[conv2d] padding must be an int, (h, w), ((top, bottom), (left, right)), 'valid' or 'same'.", "padding='full'",
    ),
    "conv2d three strides": (
        lambda: ck.conv2d(X, W, stride=(1, 2, 3)), "[conv2d] stride must be an int or a pair (h, w).", "(1, 2, 3)",
    ),
    "conv2d activation": (lambda: ck.conv2d(X, W, activation="gelu"), "activation must be", "gelu"),
    "conv_transpose2d channels": (
        lambda: ck.conv_transpose2d(X, W), "[conv_transpose2d] w must have C_in filters.", "[2,5,6,4]", "[8,3,3,4]",
    ),
    "conv_transpose2d output_padding": (
        lambda: ck.conv_transpose2d(X, V, stride=2, output_padding=2),
        "[conv_transpose2d] output_padding must be at least 0 and below max(stride, dilation).", "output_padding=2",
        "stride=2", "dilation=1",
    ),
    "conv_transpose2d same": (
        lambda: ck.conv_transpose2d(X, V, padding="same"),
        "[conv_transpose2d] padding must be an int, (h, w) or ((top, bottom), (left, right)).", "'same'",
    ),
    "conv_transpose2d crop": (
        lambda: ck.conv_transpose2d(X, V, padding=9),
        "[conv_transpose2d] the output must have at least one row and column.", "P = (H=5 - 1)*stride 1 - pad 9-9",
    ),
    "max_pool2d x": (
        lambda: ck.max_pool2d(zeros(5, 6, 4), 2), "[max_pool2d] x must have shape [N,H,W,C].", "[5,6,4]",
    ),
    "max_pool2d window": (
        lambda: ck.max_pool2d(X, (2, 7)), "[max_pool2d] the window must fit into the padded input: "
        "Q = floor((W + pad_before + pad_after - dilation*(kernel_size-1) - 1) / stride) + 1 = "
        "floor((6 + 0 + 0 - 1*(7-1) - 1) / 7) + 1 must be at least 1.", "W=6",
    ),
    "max_pool2d padding": (
        lambda: ck.max_pool2d(X, 3, padding=2),
        "[max_pool2d] padding must be at most half the window, (dilation*(kernel_size-1)+1)/2, on each side.",
        "padding=(2,2)", "kernel_size=3", "dilation=1",
    ),
    "max_pool2d negative padding": (
        lambda: ck.max_pool2d(X, 3, padding=-1), "[max_pool2d] padding must be at least 0", "top=-1", "right=-1",
    ),
    "max_pool2d stride": (
        lambda: ck.max_pool2d(X, 3, stride=0), "[max_pool2d] kernel_size, stride and dilation must be at least 1",
        "kernel_size=(3,3)", "stride=(0,0)", "dilation=(1,1)",
    ),
    "max_pool2d kernel": (
        lambda: ck.max_pool2d(X, -2), "[max_pool2d] kernel_size, stride and dilation must be at least 1",
        "kernel_size=(-2,-2)",
    ),
    "max_pool2d hole": (
        lambda: ck.max_pool2d(zeros(1, 1, 9, 1), (2, 1), dilation=(3, 1), padding="same"),
        "[max_pool2d] every window must hold an input element.", "window 0", "H=1", "padding=(1,2)", "dilation=3",
    ),
    "max_pool2d no rows": (
        lambda: ck.max_pool2d(zeros(1, 0, 5, 2), 2), "[max_pool2d] the window must fit into the padded input", "H=0",
    ),
    "avg_pool2d window": (
        lambda: ck.avg_pool2d(X, 9), "[avg_pool2d] the window must fit into the padded input", "H=5",
    ),
    "adaptive_avg_pool2d": (
        lambda: ck.adaptive_avg_pool2d(X, 0), "[adaptive_avg_pool2d] output_size must be at least 1", "(0,0)",
    ),
    "max_unpool2d index": (
        lambda: ck.max_unpool2d(zeros(1, 2, 2, 1), np.full((1, 2, 2, 1), 16), 2),
        "[max_unpool2d] indices must be in [0,16), the places of one output plane.", "16 at element 0",
    ),
    "max_unpool2d negative index": (
        lambda: ck.max_unpool2d(zeros(1, 2, 2, 1), np.full((1, 2, 2, 1), -1), 2),
        "[max_unpool2d] indices must be in [0,16), the places of one output plane.", "-1 at element 0",
    ),
    "max_unpool2d indices": (
        lambda: ck.max_unpool2d(zeros(1, 2, 2, 1), np.zeros((1, 2, 3, 1), int), 2),
        "[max_unpool2d] indices must have shape [1,2,2,1].", "[1,2,3,1]",
    ),
    "max_unpool2d padding": (lambda: unpool(padding=2), "[max_unpool2d] padding must be at most half", "bottom=2"),
    "max_unpool2d form": (lambda: unpool(padding="x", output_size=4), "[max_unpool2d] padding must be an int", "'x'"),
    "max_unpool2d sign": (lambda: unpool(padding=-1, output_size=4), "[max_unpool2d] padding must be at least 0", "-1"),
    "max_unpool2d stride": (lambda: unpool(stride=0, output_size=4), "[max_unpool2d] kernel_size and stride", "(0, 0)"),
    "matmul": (
        lambda: ck.matmul(zeros(2, 3), zeros(4, 5)),
        "[matmul] the last axis of a must equal the last but one of b.", "a [2,3]", "b [4,5]",
    ),
    "linear": (
        lambda: ck.linear(zeros(2, 3), zeros(4, 5)), "[linear] x's last axis must equal in_features.", "x [2,3]",
        "w [4,5]",
    ),
    "concatenate nothing": (lambda: ck.concatenate([], 0), "[concatenate] needs at least one tensor.", "none"),
    "concatenate shapes": (
        lambda: ck.concatenate([zeros(2, 3), zeros(3, 3)], 1), "[concatenate] shapes must agree but for axis 1.",
        "[2,3]", "[3,3]",
    ),
    "concatenate axis": (
        lambda: ck.concatenate([zeros(2, 3)], 2), "[concatenate] axis must be in [-2,2).", "axis=2", "[2,3]",
    ),
    "pad negative": (
        lambda: ck.pad(zeros(2, 3), ((0, 0), (-1, 0))), "[pad] padding must be at least 0", "before=[0,-1]",
        "after=[0,0]",
    ),
    "pad axes": (
        lambda: ck.pad(zeros(2, 3), ((0, 0),)), "[pad] needs one (before, after) pair for each axis.", "1", "[2,3]",
    ),
    "upsample scale": (
        lambda: ck.upsample(X, 0), "[upsample] scale must be at least 1", "scale=(0,0)", "[2,5,6,4]",
    ),
    "upsample mode": (
        lambda: ck.upsample(X, 2, mode="cubic"), "[upsample] mode must be 'nearest' or 'bilinear'.", "'cubic'",
    ),
    "batch_norm one value": (
        lambda: ck.batch_norm(zeros(1, 1, 1, 4), ONES, ONES, training=True),
        "[batch_norm] training needs more than one value per channel.", "[1,1,1,4]",
    ),
    "batch_norm running": (
        lambda: ck.batch_norm(zeros(2, 3), ONES, ONES, training=True), "[batch_norm] running_mean must have shape [3].",
        "[4]",
    ),
    "batch_norm weight": (
        lambda: ck.batch_norm(X, ONES, ONES, zeros(5), training=False),
        "[batch_norm] weight must have shape [4].", "[5]",
    ),
    "batch_norm residual": (
        lambda: ck.batch_norm(X, ONES, ONES, training=False, residual=zeros(4)),
        "[batch_norm] the residual must have shape [2,5,6,4].", "[4]",
    ),
    "batch_norm eps": (
        lambda: ck.batch_norm(X, ONES, ONES, training=False, eps=-1),
        "[batch_norm] eps must not be negative.", "eps=-1",
    ),
    "batch_norm statistics": (
        lambda: ck.batch_norm(X, None, None, training=False),
        "[batch_norm] running_mean and running_var are needed when not training.", "None",
    ),
    "softmax axis": (lambda: ck.softmax(zeros(2, 3), 2), "[softmax] axis must be in [-2,2).", "axis=2", "[2,3]"),
    "dropout p": (lambda: ck.dropout(ONE, 1.5, True), "[dropout] p must be in [0,1].", "p=1.5"),
    "cross_entropy label": (
        lambda: ck.cross_entropy(zeros(2, 3), [0, 3]), "[cross_entropy] labels must be in [0,K).", "label 3",
        "position 1", "K=3",
    ),
    "cross_entropy negative label": (
        lambda: ck.cross_entropy(zeros(2, 3), [-1, 0]), "[cross_entropy] labels must be in [0,K).", "label -1",
        "position 0", "K=3",
    ),
    "cross_entropy labels": (
        lambda: ck.cross_entropy(zeros(2, 3), [0, 1, 2]),
        "[cross_entropy] labels must have the shape of the logits without the last axis.", "[3]", "[2,3]",
    ),
    "cross_entropy probabilities": (
        lambda: ck.cross_entropy(zeros(2, 3), zeros(2, 4)),
        "[cross_entropy] probabilities must have the shape of the logits", "[2,4]", "[2,3]",
    ),
    "cross_entropy weight": (
        lambda: ck.cross_entropy(zeros(2, 3), [0, 1], weight=zeros(2)), "[cross_entropy] weight must have shape [3].",
        "[2]",
    ),
    "cross_entropy smoothing": (
        lambda: ck.cross_entropy(zeros(2, 3), [0, 1], label_smoothing=1.5),
        "[cross_entropy] label_smoothing must be in [0,1].", "1.5",
    ),
    "cross_entropy reduction": (
        lambda: ck.cross_entropy(zeros(2, 3), [0, 1], reduction="avg"),
        "[cross_entropy] reduction must be 'none', 'mean' or 'sum'.", "'avg'",
    ),
    "cross_entropy no classes": (
        lambda: ck.cross_entropy(zeros(2, 0), [0, 0]),
        "[cross_entropy] logits must be [...,K] with at least one class.", "[2,0]",
    ),
    "mse_loss": (
        lambda: ck.mse_loss(zeros(2, 3), zeros(3, 2)), "[mse_loss] the target must have shape [2,3].", "[3,2]",
    ),
    "smooth_l1_loss beta": (
        lambda: ck.smooth_l1_loss(ONE, ONE, beta=-1), "[smooth_l1_loss] beta must not be negative.", "-1",
    ),
    "binary_cross_entropy": (
        lambda: ck.binary_cross_entropy_with_logits(ONE, zeros(3)),
        "[binary_cross_entropy_with_logits] the target must have shape [4].", "[3]",
    ),
    "argmax of nothing": (
        lambda: ck.zeros(0).argmax(), "[argmax] the maximum of no elements is not defined.", "[0]",
    ),
    "axes twice": (lambda: ck.zeros(2, 3).sum(axis=(0, 0)), "[sum] axes must be distinct.", "[0,0]"),
    "item": (lambda: ck.zeros(3).item(), "[item] needs a tensor of one element.", "[3]"),
    "backward step": (lambda: ck.zeros(3)[::-1], "[getitem] slices need a positive step.", "slice(None, None, -1)"),
    "flatten": (lambda: ck.flatten(zeros()), "[flatten] needs at least one axis.", "()"),
    "add": (lambda: ck.tensor(zeros(3)) + ck.tensor(zeros(4)), "[add] ", "[3]", "[4]"),
    "reshape": (lambda: ck.zeros(6).reshape(4, 2), "[reshape] ", "[6]", "[4,2]"),
    "reshape -1": (lambda: ck.zeros(6).reshape(4, -1), "[reshape] -1 must stand for a whole size.", "(6,)", "(4, -1)"),
    "transpose": (lambda: ck.zeros(2, 3).transpose(0, 0), "[transpose] ", "0,0"),
    "sum axis": (lambda: ck.zeros(2, 3).sum(axis=2), "[sum] axis must be in [-2,2).", "axis=2", "(2, 3)"),
    "negative size": (lambda: ck.zeros(-1, 3), "[full] ", "-1"),
    "backward": (
        lambda: (ck.ones(3, requires_grad=True) * 2).backward(),
        "[backward] a tensor that is not a scalar needs the argument grad.", "(3,)",
    ),
    "backward shape": (
        lambda: (ck.ones(3, requires_grad=True) * 2).backward(ck.ones(4)), "[backward] grad must match the tensor.",
        "(4,)", "(3,)",
    ),
}  # fmt: skip
OVERFLOWS = {
    "zeros": (lambda: ck.zeros(1 << 40, 1 << 40), "[full] ", "[1099511627776,1099511627776]"),
    "conv2d pad": (lambda: ck.conv2d(X, W, padding=HUGE), "[conv2d] padding must", f"top={HUGE}"),
    "conv2d big output": (lambda: ck.conv2d(X, W, padding=1 << 30), "[conv2d] ", "8"),
    "conv2d stride": (lambda: ck.conv2d(X, W, stride=HUGE), "[conv2d] stride must", f"{HUGE}"),
    "conv2d dilation": (lambda: ck.conv2d(X, W, dilation=HUGE), "[conv2d] dilation must", f"{HUGE}"),
    "conv2d same dilation": (lambda: ck.conv2d(X, W, dilation=HUGE, padding="same"), "[conv2d] ", f"{HUGE}"),
    "conv_transpose2d stride": (lambda: ck.conv_transpose2d(X, V, stride=1 << 30), "[conv_transpose2d] ", "8"),
    "max_pool2d kernel": (lambda: ck.max_pool2d(X, HUGE), "[max_pool2d] kernel_size", f"kernel_size=({HUGE},{HUGE})"),
    "max_pool2d stride": (lambda: ck.max_pool2d(X, 2, stride=HUGE), "[max_pool2d] kernel_size", f"stride=({HUGE}"),
    "max_pool2d dilation": (lambda: ck.max_pool2d(X, 2, dilation=HUGE), "[max_pool2d] kernel_size", f"{HUGE}"),
    "max_pool2d padding": (lambda: ck.max_pool2d(X, 2, padding=HUGE), "[max_pool2d] padding must", f"top={HUGE}"),
    "adaptive_avg_pool2d": (lambda: ck.adaptive_avg_pool2d(X, HUGE), "[adaptive_avg_pool2d] output_size", f"{HUGE}"),
    "pad": (lambda: ck.pad(zeros(2, 3), ((0, 0), (0, HUGE))), "[pad] padding must", f"after=[0,{HUGE}]"),
    "upsample": (lambda: ck.upsample(X, 1 << 40), "[upsample] scale must", f"{1 << 40}"),
    "matmul": (lambda: ck.matmul(zeros(1 << 31, 0), zeros(0, 1 << 31)), "[matmul] ", f"{1 << 31}"),
    "broadcast": (lambda: ck.zeros(1 << 20, 1) + ck.zeros(1, 1 << 40), "[full] ", "[1,1099511627776]"),
}
TYPES = {
    "conv2d mixed": (lambda: ck.conv2d(X, W.astype(np.float64)), "[conv2d] ", "float32", "float64"),
    "conv2d integers": (lambda: ck.conv2d(X.astype(np.int64), W.astype(np.int64)), "[conv2d] ", "int64"),
    "conv2d bytes": (lambda: ck.conv2d(X.astype(np.uint8), W), "[conv2d] ", "uint8", "float32"),
    "conv2d bias": (lambda: ck.conv2d(X, W, zeros(8, dtype=np.float64)), "[conv2d] ", "float32", "float64"),
    "conv2d stride": (lambda: ck.conv2d(X, W, stride=1.5), "[conv2d] stride must be an int or a pair (h, w).", "1.5"),
    "conv2d groups": (lambda: ck.conv2d(X, W, groups=1.0), "[conv2d] groups must be an int.", "groups=1.0"),
    "conv2d activation": (
        lambda: ck.conv2d(X, W, activation=3),
        "[conv2d] activation must be None or a name.",
        "activation=3",
    ),
    "linear activation": (
        lambda: ck.linear(zeros(2, 3), zeros(4, 3), activation=ck.relu),
        "[linear] activation must be None or a name.",
        "function relu",
    ),
    "max_pool2d": (lambda: ck.max_pool2d(X.astype(int), 2), "[max_pool2d] needs float32 or float64.", "int64"),
    "max_pool2d kernel": (
        lambda: ck.max_pool2d(X, 2.0),
        "[max_pool2d] kernel_size must be an int or a pair (h, w).",
        "kernel_size=2.0",
    ),
    "max_unpool2d": (
        lambda: ck.max_unpool2d(zeros(1, 2, 2, 1), zeros(1, 2, 2, 1), 2),
        "[max_unpool2d] indices must be int64.",
        "float32",
    ),
    "matmul": (lambda: ck.matmul(X, X.astype(np.float64)), "[matmul] ", "float32", "float64"),
    "concatenate": (
        lambda: ck.concatenate([ONE, ONE.astype(np.float64)], 0),
        "[concatenate] ",
        "float32",
        "float64",
    ),
    "upsample": (lambda: ck.upsample(X, 1.5), "[upsample] scale must be an int or a pair (h, w).", "scale=1.5"),
    "batch_norm running": (
        lambda: ck.batch_norm(X, zeros(4), zeros(4), training=True),
        "[batch_norm] running_mean and running_var must be Tensors when training",
        "ndarray",
    ),
    "batch_norm mixed": (
        lambda: ck.batch_norm(X, ck.zeros(4, dtype=ck.float64), ONES, training=True),
        "[batch_norm] ",
        "float32",
        "float64",
    ),
    "softmax axis": (lambda: ck.softmax(X, "last"), "[softmax] axis must be an int.", "axis='last'"),
    "argmax axes": (lambda: ck.tensor(X).argmax((0, 1)), "[argmax] axis must be an int.", "axis=(0, 1)"),
    "softmax": (lambda: ck.softmax(np.arange(3)), "[softmax] needs float32 or float64.", "int64"),
    "cross_entropy logits": (
        lambda: ck.cross_entropy(np.zeros((2, 3), int), [0, 1]),
        "[cross_entropy] needs float32 or float64.",
        "int64",
    ),
    "cross_entropy labels": (
        lambda: ck.cross_entropy(zeros(2, 3), np.array([True, False])),
        "[cross_entropy] labels must be integers or probabilities.",
        "bool",
    ),
    "cross_entropy mixed": (
        lambda: ck.cross_entropy(zeros(2, 3), zeros(2, 3, dtype=np.float64)),
        "[cross_entropy] ",
        "float32",
        "float64",
    ),
    "relu": (lambda: ck.relu(np.arange(3)), "[relu] ", "int64"),
    "mixed sum": (lambda: ck.zeros(2) + ck.zeros(2, dtype=ck.float64), "[add] ", "float32", "float64"),
    "complex": (lambda: ck.tensor(np.zeros(2, np.complex64)), "[from_numpy] dtype must be", "complex64"),
    "text": (lambda: ck.tensor("abc"), "[tensor] needs numbers.", "str"),
    "half": (lambda: ck.tensor(np.zeros(2, np.float16)), "[from_numpy] dtype must be", "float16"),
}


# A look at the labels would wait for the device: there they give NaN (test_cuda.py).
ON_THE_CPU = {"cross_entropy label", "cross_entropy negative label"}


def entry(table):
    cases = [
        pytest.param(c, r, v, id=name, marks=pytest.mark.cpu_only if name in ON_THE_CPU else ())
        for name, (c, r, *v) in table.items()
    ]
    return pytest.mark.parametrize("call, rule, received", cases)


@entry(SHAPES)
def test_shapes_and_values(call, rule, received):
    refused(ValueError, call, rule, *received)


@pytest.mark.cpu_only
@entry(OVERFLOWS)
def test_sizes_that_overflow(call, rule, received):
    refused(ValueError, call, rule, *received)


@pytest.mark.cpu_only
@entry(TYPES)
def test_dtypes(call, rule, received):
    refused(TypeError, call, rule, *received)


def test_devices():
    with pytest.raises(ValueError, match=r"^\[to\] device must be .*Received: 'tpu'\.$"):
        ck.zeros(2).to("tpu")
    if not ck.cuda.is_available():
        with pytest.raises(RuntimeError) as caught:
            ck.zeros(2).to("cuda")
        assert ck.cuda.unavailable_reason() in str(caught.value)


@pytest.mark.cpu_only
def test_a_refusal_leaves_the_library_usable():
    for call, *_ in SHAPES.values():
        with pytest.raises(ValueError):
            call()
    np.testing.assert_array_equal(ck.conv2d(X + 1, W + 1).numpy(), np.full((2, 3, 4, 8), 36, np.float32))


def test_a_second_backward_names_retain_graph():
    y = ck.ones(3, requires_grad=True).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"^\[backward\] .*retain_graph=True"):
        y.backward()
