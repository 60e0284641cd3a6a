"""Pointwise functions at their extremes and kinks, on every ISA; broadcasting; bitwise stability."""

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from support import assert_bitwise_stable, check, make_case

INF, NAN = np.inf, np.nan
SPECIAL = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 6.0, 200.0, -200.0, 3.4e38, -3.4e38, 1e-38, 1e-42, -1e-42]
FUNCTIONS = {
    "relu": lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
    "relu6": lambda x: np.where(np.isnan(x), x, np.clip(x, 0, 6)),
    "leaky_relu": lambda x: np.where(x < 0, x * 0.01, x),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("length", [1, 15, 16, 17])
def test_special_values(name, length, each_isa):
    """At every position of a vector and in the tail; denormals may be flushed."""
    for value in SPECIAL:
        with np.errstate(all="ignore"):
            want = FUNCTIONS[name](np.float64(np.float32(value)))
            want = np.float64(np.float32(want))
        y = getattr(ck, name)(np.full(length, value, np.float32)).numpy()
        np.testing.assert_allclose(y, np.full(length, want), rtol=2e-6, atol=1e-37, err_msg=f"{name}({value})")


@pytest.mark.parametrize("name, low, high", [
    ("exp", -87, 88), ("log", 1e-30, 1e30), ("tanh", -10, 10), ("tanh", -1e-3, 1e-3),
    ("sigmoid", -80, 80), ("sqrt", 0, 1e30),
])  # fmt: skip
def test_relative_error_over_the_range(name, low, high, each_isa):
    """A few units in the last place, everywhere."""
    x = np.linspace(low, high, 4001).astype(np.float32)
    if name == "log":
        x = np.logspace(-30, 30, 4001).astype(np.float32)
    want = FUNCTIONS[name](x.astype(np.float64))
    error = np.abs(getattr(ck, name)(x).numpy() - want)
    allowed = 4 * np.finfo(np.float32).eps * np.abs(want)
    if name == "exp":
        allowed = allowed * (1 + np.abs(x) / 16)  # the argument's reduction
    assert (error <= allowed + 1e-37).all(), (
        f"{(error / (allowed + 1e-37)).max()} at {x[np.argmax(error / (allowed + 1e-37))]}"
    )


@pytest.mark.parametrize("name, at, slope", [
    ("relu", 0, 0), ("relu", -0.0, 0), ("relu6", 0, 0), ("relu6", 6, 0), ("leaky_relu", 0, 0.01), ("abs", 0, 0),
])  # fmt: skip
def test_gradient_at_a_kink(name, at, slope, each_isa):
    x = ck.tensor(np.full(19, at, np.float32), requires_grad=True)
    y = abs(x) if name == "abs" else getattr(ck, name)(x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full(19, slope, np.float32))


@pytest.mark.parametrize("op", ["relu", "relu6"])
def test_gradients_of_nan_and_infinities(op, each_isa):
    check(make_case(op, x=np.array([NAN, INF, -INF, 0.0, -0.0, 6.0, 1e-42] * 5, np.float32)))


def test_relu_passes_nan(each_isa):
    x = np.full(35, NAN, np.float32)
    for function in (ck.relu, ck.relu6, ck.leaky_relu, ck.tanh, ck.sigmoid):
        assert np.isnan(function(x).numpy()).all()


@pytest.mark.parametrize("operator", ["add", "sub", "mul", "div"])
@pytest.mark.parametrize(
    "a, b", [((5, 1, 7), (3, 1)), ((1,), (2, 3, 17)), ((), (4,)), ((2, 0, 3), (1, 3)), ((6, 33), (33,))]
)
def test_broadcasting(operator, a, b, each_isa):
    rng = np.random.default_rng(0)
    arrays = {"a": distinct(rng, a), "b": distinct(rng, b, 0.5, 3)}
    check(make_case("binary", arguments={"operator": operator}, **arrays))


def test_division_by_zero_is_ieee():
    y = ck.tensor([1.0, -1.0, 0.0]) / ck.tensor([0.0, 0.0, 0.0])
    np.testing.assert_array_equal(y.numpy(), [INF, -INF, NAN])


def test_power_of_special_values():
    y = ck.tensor([-2.0, 0.0, 4.0, -8.0]) ** 3
    np.testing.assert_allclose(y.numpy(), [-8, 0, 64, -512], rtol=1e-6)
    np.testing.assert_allclose((ck.tensor([4.0, 0.25]) ** -0.5).numpy(), [0.5, 2], rtol=1e-6)
    x = ck.tensor([0.0, -3.0], requires_grad=True)
    (x**2).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0, -6], rtol=1e-6)


@pytest.mark.parametrize("op", ["relu", "tanh", "sigmoid"])
def test_bitwise_stable(op, threads):
    assert_bitwise_stable(make_case(op, x=distinct(np.random.default_rng(0), (257, 1031), -9, 9)), threads)


def test_binary_is_bitwise_stable(threads):
    rng = np.random.default_rng(0)
    arrays = {"a": distinct(rng, (130, 1031)), "b": distinct(rng, (1031,), 0.5, 3)}
    assert_bitwise_stable(make_case("binary", arguments={"operator": "div"}, **arrays), threads)


def test_large_integers_are_exact():
    large = 2**53 + 1  # no double
    assert (ck.tensor([0]) + large).tolist() == [large]
    assert (ck.tensor([large, large - 1]) == large).tolist() == [True, False]
    assert ck.full((2,), -(2**63)).tolist() == [-(2**63)] * 2
    assert ck.arange(large, large + 3).tolist() == [large, large + 1, large + 2]
    assert (ck.tensor([1, 2]) < 2**70).tolist() == [True, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda: ck.full((1,), 2**63),
        lambda: ck.tensor([0]) + 2**70,
        lambda: ck.arange(2) * 1e30,
        lambda: ck.full(2, np.nan, dtype="int64"),
        lambda: ck.full(2, 300, dtype="uint8"),
        lambda: ck.pad(ck.zeros(2, dtype="uint8"), ((1, 1),), 256),
    ],
)
def test_a_number_that_an_integer_cannot_hold(call):
    with pytest.raises(ValueError, match="cannot hold this number"):
        call()


@pytest.mark.parametrize("number", [1.5, np.float32(1.5), np.float16(0.5), 1j])
def test_an_integer_tensor_takes_integers(number):
    with pytest.raises(TypeError):
        ck.arange(2) + number


def test_gradient_of_the_power_zero():
    x = ck.tensor([0.0, 2.0], requires_grad=True)
    (x**0).sum().backward()
    assert x.grad.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_integers_divide_into_float32(dtype):
    a, b = np.array([[4, 1, 0], [7, 5, 1]]).astype(dtype), np.array([2, 3, 1]).astype(dtype)
    x, y = ck.tensor(a), ck.tensor(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        for got, want in ((x / y, a / b), (x / 2, a / 2), (x / 0.5, a / 0.5), (1.5 / y, 1.5 / b)):
            assert got.dtype == ck.float32
            np.testing.assert_array_equal(got.numpy(), want.astype(np.float32))


def test_division_of_numbers():
    assert ck.ops.divide(1, 2).item() == 0.5 and ck.ops.divide(1.0, 2).dtype == ck.float32


def test_integers_wrap_around():
    least, most = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    x = ck.tensor([least, most])
    assert (x + 1).tolist() == [least + 1, least]
    assert (x - 1).tolist() == [most, most - 1]
    assert (x * 3).tolist() == [least, most - 2]
    assert (-x).tolist() == [least, -most]


def test_negative_integers():
    assert (-ck.tensor([1, -2, 0])).tolist() == [-1, 2, 0]
    with pytest.raises(TypeError, match="uint8"):
        -ck.tensor(np.array([1], np.uint8))
