"""Integers, random numbers and ranges of a device, against those of the CPU."""

import numpy as np
import pytest

import convkit as ck
from convkit import nn
from device import on_cpu

pytestmark = pytest.mark.cuda


# Integers: labels, masks, counts


def test_integers_and_bools():
    t = ck.tensor([3, 1, 2], device="cuda")
    assert (t + t).tolist() == [6, 2, 4] and int(t.argmax()) == 0 and int(t.sum()) == 6
    assert (t == 2).tolist() == [False, False, True] and (t == 2).device == "cuda:0"


@pytest.mark.parametrize("shape", [(1,), (7,), (4099,), (9000,), (3, 5, 7), (2, 33, 4), (130, 2)])
def test_integers_are_the_cpus(shape):
    """Odd sizes, rows beyond one block's piece and columns; beyond 2^53, where floats would be wrong."""
    generator = np.random.default_rng(len(shape) + shape[0])
    large = generator.integers(-(2**40), 2**40, shape)
    large.flat[-1] = 2**61
    near = large + generator.integers(-1, 2, shape)  # often equal
    bytes_ = generator.integers(0, 256, shape).astype(np.uint8)
    axes = [None, 0, -1] + ([1] if len(shape) > 2 else [])

    def results(device):
        a, b, c = (ck.tensor(array, device=device) for array in (large, near, bytes_))
        yield from (a + b, a - b, a * 3, 5 - a, a == b, a != b, a < b, a <= b, a > b, a >= b)
        yield from (a[..., ::2], a == c, c > 7, (c > 7) == (c > 200), c.astype("int64") + a[0])
        for axis in axes:
            yield from (a.sum(axis), a.max(axis), a.argmax(axis))
            yield from (c.sum(axis), c.max(axis), c.argmax(axis), (a == b).sum(axis), (c > 7).mean(axis))

    for number, (expected, got) in enumerate(zip(results("cpu"), results("cuda"))):
        assert got.device == "cuda:0" and got.dtype == expected.dtype, number
        assert np.array_equal(on_cpu(got), on_cpu(expected)), number


def test_sums_of_integers_wrap():
    assert int(ck.tensor([2**63 - 1, 1], device="cuda").sum()) == -(2**63)


def test_integers_divide_into_float32():
    t = ck.tensor([3, 1, 2], device="cuda")
    for quotient, expected in ((t / t, [1, 1, 1]), (t / 2, [1.5, 0.5, 1]), (6 / t, [2, 6, 3])):
        assert quotient.device == "cuda:0" and quotient.dtype == ck.float32
        assert quotient.tolist() == expected


# Random numbers and ranges


def drawn(make, device, **arguments):
    ck.manual_seed(7)
    ck.rand(3, device="cpu")  # a draw in the middle of the stream
    return on_cpu(make(5, 101, device=device, **arguments))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_draws_have_the_bits_of_the_cpu(dtype):
    expected = drawn(ck.rand, "cpu", dtype=dtype)
    assert expected.min() < 0.01 and expected.max() > 0.99
    assert (drawn(ck.rand, "cuda", dtype=dtype) == expected).all()


def test_normal_draws_are_the_cpus_to_the_last_bit():
    expected = drawn(ck.randn, "cpu")
    assert expected.min() < -2 and expected.max() > 2
    assert (abs(drawn(ck.randn, "cuda") - expected) <= np.spacing(abs(expected))).all()


def test_bfloat16_draws():
    ck.manual_seed(3)
    uniform = ck.rand(70001, dtype=ck.bfloat16, device="cuda")
    assert uniform.dtype is ck.bfloat16 and uniform.device == "cuda:0"
    u = on_cpu(uniform.astype(ck.float32))
    assert u.min() == 0 and u.max() == 1 - 2**-8 and len(np.unique(u)) == 256
    ck.manual_seed(3)
    normal = on_cpu(ck.randn(70001, dtype=ck.bfloat16, device="cuda").astype(ck.float32))
    ck.manual_seed(3)
    assert (abs(normal - on_cpu(ck.randn(70001, device="cpu"))) <= abs(normal) * 2**-8).all()


@pytest.mark.parametrize("arguments", [(5000,), (3, -4, -1), (0.1, 3.0, 0.07), (3, 3), (2**40, 2**40 + 5)])
@pytest.mark.parametrize("dtype", [None, "float32", "float64", "uint8"])
def test_ranges_are_the_cpus(arguments, dtype):
    if dtype == "uint8" and max(arguments) > 2**8:
        arguments = (200,)
    expected, got = (ck.arange(*arguments, dtype=dtype, device=device) for device in ("cpu", "cuda"))
    assert got.device == "cuda:0" and got.dtype == expected.dtype
    assert np.array_equal(on_cpu(got), on_cpu(expected))


def test_constants_and_ranges_of_bfloat16():
    for made in (ck.zeros(5, dtype=ck.bfloat16, device="cuda") + 2, ck.full((5,), 2, ck.bfloat16, "cuda")):
        assert made.dtype is ck.bfloat16 and made.tolist() == [2.0] * 5
    assert ck.arange(5, dtype=ck.bfloat16, device="cuda").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_layers_are_drawn_on_their_device():
    """The same weights on every device, and of any dtype it has."""
    twins = []
    for device in ("cpu", "cuda"):
        layer = nn.Conv2d(3, 5, 3).to(device)
        ck.manual_seed(11)
        nn.init.kaiming_uniform_(layer.weight)
        nn.init.uniform_(layer.bias, -0.3, 0.2)
        twins.append((on_cpu(layer.weight), on_cpu(layer.bias)))
    assert all((cpu == cuda).all() for cpu, cuda in zip(*twins))
    half = nn.Linear(40, 30).to("cuda").to(ck.bfloat16)
    nn.init.normal_(half.weight, 1.0, 0.5)
    assert half.weight.dtype is ck.bfloat16
    assert abs(float(half.weight.astype(ck.float32).mean()) - 1) < 0.1
