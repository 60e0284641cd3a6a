"""conv2d: the shared problems, padding rules, groups, special values, scratch memory, bitwise stability."""

import subprocess
import sys

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from convkit import _core, ops
from convkit.bench.shapes import Conv2d, parse
from support import assert_bitwise_stable, check, forward, make_case, problem_case, small_problems

PROBLEMS = small_problems(Conv2d, transposed=False)


@pytest.mark.parametrize("name", PROBLEMS)
def test_small_problems(name, each_isa):
    check(problem_case(PROBLEMS[name]))


@pytest.mark.parametrize(
    "text",
    [
        "n1c320h9o200k3p1",  # filters larger than a cache level
        "n1c1024h7o96k1",  # rows a multiple of 4 KiB apart
        "n1c3h40x700o33k3p1",  # a row longer than a task
        "n1c3h95o64k11s4p2",
        "n1c512h7o130k1s2",
        "n3c150h21o160k1",  # blocks of pixels, units of channels and panels of filters, all read in place
        "n3c150h21o168k1",
        "n7c140h9x11o96k1s2x3",  # blocks of several images
        "n1c257h5o3k3",
        "n1c2h9o300k5p2",
        "n1c256h12o256k3p1g256",
        "n1c96h13o96k3s2p1g4",
        "n13c8h7o16k3p1",  # more images than rows of a tile
        "n1c4h6o8k1x31p0,15",
        "n1c5h70x5o9k31x1s3p15,0",
        "n1c5h9o85k3p1g5",  # 17 filters a channel
        "n1c130h7o260k3s2p1g130",
        "n1c33h17o33k3d3p3g33",
        "n1c400h3o3k1",
        "n1c1h100o1k3",
        "n1c2h64o2k15p7",
        "n200c1h3o2k2",
        "n1c64h31o96k1p2",
        "n2c130h9x11o33k3d4p4",  # taps far apart, in place
        "n2c259h7x6o70k3s2d9p9",
        "n1c128h12x5o17k5x2d1x3p0,3",
        "n2c256h9o128k3p1g2",  # taps by themselves, of groups
        "n1c512h7o64k3s2p1",  # pixels 4 KiB apart
        "n1c64h3o32k3p5",  # more padding than the filter reaches over
        "n2c70h32x47o66k3s2p1",  # Winograd's tiles of stride 2
        "n9c64h64o34k3s2p1",
        "n1c96h7o97k3p1",  # four tiles that meet many filters
        "n1c130h47o130k3p1",  # Winograd's weight gradient: blocks of tiles that tasks share,
        "n65c12h46o13k3p1",  # and many parts of tiles, of a task each
        "n3c33h23o150k3p1",  # and several shares of filters
        "n2c35h110o35k3p1g35",  # depthwise, maps that are fetched ahead
        "n1c33h192o33k3s2p1g33",
    ],
)
def test_blocks_and_splits(text, each_isa):
    """Sizes beyond one cache block, one task or one panel."""
    check(problem_case(parse(f"conv:{text}")), dtypes=(np.float32,))


@pytest.mark.parametrize("activation", ["relu", "relu6", "leaky_relu", "tanh", "sigmoid"])
def test_fused_activation(activation, each_isa):
    check(problem_case(parse("conv:n1c5h9o17k3p1"), activation=activation))


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
@pytest.mark.parametrize(
    "text,algorithm",
    [
        ("conv:n2c40h9o70k1", "direct"),
        ("conv:n2c5h9o17k3s2p1", "direct"),
        ("conv:n2c300h3o130k1", "direct"),  # k in chunks, columns in panels
        ("conv:n1c40h9o3k1", "direct"),  # dot products
        ("conv:n2c32h17o40k3p1", "winograd"),
        ("conv:n1c24h9o24k3p1g24", "depthwise"),
        ("conv:n1c32h9o32k3p1g8", "grouped"),
        ("conv:n1c1h19o6k5p2", "pixels"),
    ],
)
def test_fused_residual(text, algorithm, activation, each_isa):
    case = problem_case(parse(text), activation=activation)
    _, outputs = forward(case, np.float32)
    case.arrays["residual"] = distinct(np.random.default_rng(3), outputs[0].shape)
    check(case)
    if each_isa == "avx512":  # whose choice the shapes were made for
        geometry = (case.arguments["stride"], (case.arguments["padding"],) * 4, (1, 1), case.arguments["groups"])
        shapes = case.arrays["x"].shape, case.arrays["w"].shape
        assert _core.conv2d_algorithm("forward", *shapes, *geometry).startswith(algorithm)


@pytest.mark.parametrize("size", [1, 2, 5, 6, 7, 8, 11])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_padding_is_tensorflows(size, kernel, stride, dilation):
    rng = np.random.default_rng(0)
    x, w = distinct(rng, (1, size, size, 2)), distinct(rng, (3, kernel, kernel, 2))
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    pads = (total // 2, total - total // 2)
    same = ck.conv2d(x, w, stride=stride, dilation=dilation, padding="same")
    explicit = ck.conv2d(x, w, stride=stride, dilation=dilation, padding=(pads, pads))
    assert same.shape == (1, -(-size // stride), -(-size // stride), 3)
    np.testing.assert_array_equal(same.numpy(), explicit.numpy())


def test_asymmetric_padding_equals_an_explicit_pad():
    rng = np.random.default_rng(0)
    x, w = distinct(rng, (2, 5, 6, 3)), distinct(rng, (4, 3, 3, 3))
    got = ck.conv2d(x, w, padding=((1, 2), (0, 3)))
    padded = ck.conv2d(np.pad(x, ((0, 0), (1, 2), (0, 3), (0, 0))), w)
    assert got.shape == (2, 6, 7, 4)
    np.testing.assert_allclose(got.numpy(), padded.numpy(), rtol=0, atol=1e-5)


def test_one_filter_tap_is_a_shift():
    x = np.arange(25, dtype=np.float32).reshape(1, 5, 5, 1)
    w = np.zeros((1, 3, 3, 1), np.float32)
    w[0, 0, 2, 0] = 1  # the value above and to the right
    y = ck.conv2d(x, w, padding=1).numpy()[0, :, :, 0]
    want = np.zeros((5, 5), np.float32)
    want[1:, :4] = x[0, :4, 1:, 0]
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("groups, channels, filters", [(1, 16, 8), (2, 16, 8), (8, 16, 24), (16, 16, 16), (16, 16, 48)])
def test_groups_and_channel_multipliers(groups, channels, filters):
    check(problem_case(Conv2d(2, channels, (7, 6), filters, (3, 3), padding=1, groups=groups)))


@pytest.mark.parametrize("channels", [32, 48, 64, 80])
@pytest.mark.parametrize("precision", ["fast", "precise"])
def test_error_bound_at_channel_multiples(channels, precision):
    ck.set_precision(precision)
    try:
        check(problem_case(Conv2d(1, channels, (12, 12), 32, (3, 3), padding=1)))
    finally:
        ck.set_precision("fast")


def test_gradients_only_of_what_asks_for_them():
    rng = np.random.default_rng(0)
    x, w = distinct(rng, (1, 5, 5, 3)), distinct(rng, (4, 3, 3, 3))
    both = ck.tensor(x, requires_grad=True), ck.tensor(w, requires_grad=True)
    ck.conv2d(*both).sum().backward()
    for i in (0, 1):
        alone = [ck.tensor(x), ck.tensor(w)]
        alone[i].requires_grad = True
        ck.conv2d(*alone).sum().backward()
        np.testing.assert_array_equal(alone[i].grad.numpy(), both[i].grad.numpy())
        assert alone[1 - i].grad is None


@pytest.mark.cpu_only
def test_strided_readonly_and_float64_arrays():
    rng = np.random.default_rng(0)
    x, w = distinct(rng, (1, 6, 10, 4)), distinct(rng, (2, 3, 3, 2))
    view = x[:, :, ::2, 1:3]
    frozen = w.copy()
    frozen.flags.writeable = False
    want = ck.conv2d(view.copy(), w).numpy()
    np.testing.assert_array_equal(ck.conv2d(view, frozen).numpy(), want)
    double = ck.conv2d(view.astype(np.float64), w.astype(np.float64))
    assert double.dtype == np.float64
    np.testing.assert_allclose(double.numpy(), want, atol=1e-5)


def test_nan_and_infinity_reach_exactly_their_windows(each_isa):
    rng = np.random.default_rng(0)
    x, w = distinct(rng, (1, 9, 23, 3)), distinct(rng, (18, 3, 3, 3))
    x[0, 2, 3, 1], x[0, 5, 17, 0] = np.nan, np.inf
    check(make_case("conv2d", arguments={"padding": 1}, x=x, w=w))


def test_a_stride_beyond_the_image_costs_nothing(each_isa):
    """One window, and scratch for what it reads: not for the rows that the stride passes over."""
    rng = np.random.default_rng(0)
    x, w = distinct(rng, (8, 4, 5, 8)), distinct(rng, (8, 3, 3, 8))
    check(make_case("conv2d", arguments={"stride": 10**8, "padding": 1}, x=x, w=w))


@pytest.mark.cpu_only
def test_filters_overwritten_in_place_are_seen():
    """By copy_ and through shared memory: no packed copy may outlive its filters."""
    rng = np.random.default_rng(0)
    x, array = distinct(rng, (1, 7, 7, 5)), distinct(rng, (9, 3, 3, 5))
    w, shared = ck.tensor(array), ck.from_numpy(array, copy=False)
    before = ck.conv2d(x, w).numpy()
    np.testing.assert_array_equal(ck.conv2d(x, shared).numpy(), before)
    w.copy_(2 * array)
    array *= 4
    np.testing.assert_array_equal(ck.conv2d(x, w).numpy(), 2 * before)
    np.testing.assert_array_equal(ck.conv2d(x, shared).numpy(), 4 * before)


def test_a_retained_graph_adds_the_same_gradient_again():
    case = problem_case(parse("conv:n2c5h6o7k3p1"), activation="tanh")
    x, w = (ck.tensor(case.arrays[name], requires_grad=True) for name in ("x", "w"))
    loss = ck.conv2d(x, w, padding=1, activation="tanh").sum()
    loss.backward(retain_graph=True)
    once = x.grad.numpy().copy(), w.grad.numpy().copy()
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * once[0])
    np.testing.assert_array_equal(w.grad.numpy(), 2 * once[1])


@pytest.mark.parametrize("n,h,c,o,stride", [(25, 64, 63, 20, 1), (6, 65, 200, 190, 2)])
def test_weight_gradient_of_large_1x1_filters(n, h, c, o, stride, each_isa):
    """A matrix product, of pixels copied by stride or in several slices."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, h, h, c), dtype=np.float32)
    met = x[:, ::stride, ::stride].reshape(-1, c).astype(np.float64)
    dy = rng.standard_normal((len(met), o), dtype=np.float32)
    out = (h - 1) // stride + 1
    arrays = [ck.tensor(array, device="cpu")._data for array in (x, dy.reshape(n, out, out, o))]
    geometry = ((stride, stride), (0, 0, 0, 0), (1, 1), 1)
    got = np.asarray(_core.conv2d_weight_gradient(arrays[0], (o, 1, 1, c), arrays[1], *geometry)).reshape(o, c)
    bound = 4 * np.finfo(np.float32).eps * (np.abs(dy).T.astype(np.float64) @ np.abs(met))
    assert (np.abs(got - dy.T.astype(np.float64) @ met) <= bound).all()


def test_empty_batch_has_zero_weight_gradients():
    w = ck.ones((4, 3, 3, 2), requires_grad=True)
    y = ck.conv2d(ck.zeros((0, 5, 5, 2)), w, padding=1)
    assert y.shape == (0, 5, 5, 4)
    y.sum().backward()
    assert w.grad.shape == (4, 3, 3, 2) and not w.grad.numpy().any()


@pytest.mark.parametrize("o", [20, 300])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("pooled", [False, True])
def test_empty_batch_of_any_algorithm(o, kernel, pooled, each_isa):
    op = ops.conv2d_max_pool2d if pooled else ck.conv2d
    x, w = ck.zeros((0, 12, 12, 18), requires_grad=True), ck.ones((o, kernel, kernel, 18), requires_grad=True)
    for _ in range(3):  # from the second call on packed filters are kept
        y = op(x, w)
        y.sum().backward()
    assert y.shape[0] == 0 and x.grad.shape == x.shape
    assert w.grad.shape == w.shape and not w.grad.numpy().any()


@pytest.mark.parametrize("shape,problem", [((1, 512, 512, 1), {}), ((1, 9, 9, 256), {"padding": 30, "dilation": 30})])
def test_no_more_scratch_than_input(shape, problem):
    """Long rows of single pixels; and windows that reach far beyond the image."""
    size = 3 if problem else 1
    x, w = ck.zeros(shape, requires_grad=True), ck.zeros((16, size, size, shape[3]), requires_grad=True)
    y = ck.conv2d(x, w, **problem)
    _core.reset_scratch_peak()
    ck.conv2d(x, w, **problem)
    assert _core.scratch_peak() <= x.size * 4 + 2 * w.size * 4
    y.sum().backward()
    assert _core.scratch_peak() <= 4 * (x.size + w.size + y.size) * 4


@pytest.mark.parametrize(
    "text", ["n2c33h23o65k3p1", "n1c3h61o33k7s2p3", "n3c40h19o40k3p1g40", "n2c65h17o64k1", "n5c1h28o32k3"]
)
def test_bitwise_stable(text, threads):
    assert_bitwise_stable(problem_case(parse(f"conv:{text}")), threads)


def test_no_image_sized_scratch():
    """A 7x7 stride 4 convolution of 3x1500x1500: a patch matrix would take 83 MB, the output takes 4.5 MB."""
    code = """
import resource, convkit as ck
ck.set_workspace_limit(16 << 20)
x, w = ck.ones((1, 1500, 1500, 3)), ck.ones((8, 7, 7, 3))
ck.conv2d(ck.ones((1, 32, 32, 3)), w, stride=4)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y = ck.conv2d(x, w, stride=4)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    grown = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert grown < (5 + 16 + 12) * 1024, f"the resident set grew by {grown} KiB"
