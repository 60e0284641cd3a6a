"""sum, mean, max and argmax: axes, ties, NaN, empty reductions, long sums, bitwise stability."""

import itertools

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from support import assert_bitwise_stable, check, make_case

AXES = [None, *(axes for count in (1, 2, 3, 4) for axes in itertools.combinations(range(4), count)), -1, (-1, 0)]


@pytest.mark.parametrize("function", ["sum", "mean", "max"])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_every_combination_of_axes(function, axis, keepdims):
    x = distinct(np.random.default_rng(0), (2, 3, 17, 5))
    check(make_case("reduce", arguments={"function": function, "axis": axis, "keepdims": keepdims}, x=x))


def test_max_of_ties_and_nan_sends_the_gradient_to_the_first():
    x = ck.tensor([[1.0, 3.0, 3.0], [np.nan, 5.0, np.nan], [-np.inf] * 3], requires_grad=True)
    y = x.max(axis=1)
    np.testing.assert_array_equal(y.numpy(), [3, np.nan, -np.inf])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[0, 1, 0], [1, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_argmax_names_the_first(axis, each_isa):
    rng = np.random.default_rng(0)
    x = rng.choice(np.array([-np.inf, 0, -0.0, 1, 1, np.nan], np.float32), (7, 33), p=[0.3, 0.3, 0.1, 0.1, 0.1, 0.1])
    got = ck.tensor(x).argmax(axis)
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got.numpy(), x.argmax(axis))


def test_sums_of_nothing():
    x = ck.zeros((0, 3), requires_grad=True)
    np.testing.assert_array_equal(x.sum(axis=0).numpy(), [0, 0, 0])
    assert x.sum().item() == 0 and x.sum(axis=1).shape == (0,)
    x.sum().backward()
    assert x.grad.shape == (0, 3)
    assert np.isnan(ck.zeros((0, 3)).mean().item())


def test_max_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^\[max\] .*Received: .*0"):
        ck.zeros((0, 3)).max(axis=0)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("axis", [None, 0, np.int64(1), (0, 2), [1, -1]])
def test_integers_and_bools(dtype, axis):
    a = np.random.default_rng(0).integers(0, 200, (3, 4, 5)).astype(dtype)
    numpy_axis = tuple(axis) if isinstance(axis, list) else axis
    for function, result in (("sum", np.int64), ("mean", np.float32), ("max", dtype)):
        got = getattr(ck.tensor(a), function)(axis)
        assert got.dtype == result
        np.testing.assert_allclose(got.numpy(), getattr(a, function)(axis=numpy_axis), rtol=1e-6)
    large = ck.tensor([2**62, 1, 2**61])
    assert large.sum().item() == 2**62 + 2**61 + 1 and large.max().item() == 2**62


def test_an_axis_that_is_no_int_is_refused():
    with pytest.raises(TypeError, match=r"^\[sum\] axis must be None, an int .*Received: axis=1\.0\.$"):
        ck.zeros(2, 3).sum(1.0)


def test_long_sums_keep_their_precision(each_isa):
    """A running float32 sum of a million times 0.1 would be off by 1 %."""
    x = np.full(1_000_000, 0.1, np.float32)
    np.testing.assert_allclose(ck.tensor(x).sum().item(), x.astype(np.float64).sum(), rtol=3e-6)
    np.testing.assert_allclose(ck.tensor(x).mean().item(), 0.1, rtol=3e-6)


@pytest.mark.parametrize("shape, axis", [((1001, 67), None), ((1001, 67), 0), ((67, 1001), 1), ((3, 333, 65), (0, 1))])
@pytest.mark.parametrize("function", ["sum", "mean", "max"])
def test_bitwise_stable(function, shape, axis, threads):
    x = distinct(np.random.default_rng(0), shape)
    arguments = {"function": function, "axis": axis, "keepdims": False}
    assert_bitwise_stable(make_case("reduce", arguments=arguments, x=x), threads)


def test_argmax_tells_large_integers_apart():
    assert ck.tensor(np.array([2**53, 2**53 + 1, 5])).argmax(0).item() == 1
