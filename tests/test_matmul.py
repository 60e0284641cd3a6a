"""matmul and linear: every ISA against numpy in float64, gradients, edge shapes, thread counts, refusals."""

import itertools

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from convkit import _core
from convkit.bench.shapes import Gemm
from support import assert_bitwise_stable, check, make_case, problem_case, small_problems

EPS = np.finfo(np.float32).eps
# Around the register tiles (6, 7, 8, 14 rows; 4 to 64 columns), thin operands, several blocks of k, a split of k.
SIZES = list(itertools.product((1, 2, 5, 7, 15), (1, 3, 17, 33, 65), (0, 1, 3, 19)))
SIZES += [(300, 70, 700), (128, 128, 2000), (170, 300, 330), (9, 600, 400), (1, 300, 3000), (200, 1, 1000), (3, 3, 999)]
SIZES += [(40, 9, 3000), (2, 3, 70000), (1, 17000, 40), (40, 600, 9), (345, 20, 50)]
SIZES += [(2099, 7, 1001), (40, 4, 60000), (70001, 3, 31)]  # few columns beside a large A, the last of short rows


def core(array):
    return _core.from_numpy(np.ascontiguousarray(array), False)


def random(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def assert_product(got, a, b, scale=None):
    """|error| <= 8 eps sum|a||b|."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    assert np.shape(got) == np.shape(a @ b)
    bound = 8 * EPS * (np.abs(a) @ np.abs(b)) + 1e-37
    assert (np.abs(np.asarray(got) - a @ b) <= bound).all()


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_products(each_isa, trans_a, trans_b):
    rng = np.random.default_rng(0)
    for m, n, k in SIZES:
        a, b = random(rng, m, k), random(rng, k, n)
        got = _core.matmul(core(a.T if trans_a else a), core(b.T if trans_b else b), trans_a, trans_b)
        assert_product(got, a, b)


@pytest.mark.parametrize("trans_b", [False, True])
@pytest.mark.parametrize("m,n,k", [(1, 1, 70000), (5, 1, 300), (3, 7, 40), (9, 4, 33), (2, 40, 3), (70, 5, 300)])
def test_stacks(each_isa, m, n, k, trans_b):
    """Products of one task, which are shared out whole: as exact as products of their own."""
    rng = np.random.default_rng(0)
    a, b = random(rng, 3, m, k), random(rng, 3, k, n)
    got = _core.matmul(core(a), core(b.swapaxes(1, 2) if trans_b else b), False, trans_b)
    for i in range(3):
        assert_product(np.array(got)[i], a[i], b[i])


PROBLEMS = small_problems(Gemm)


@pytest.mark.parametrize("name", PROBLEMS)
def test_small_problems(name, each_isa):
    check(problem_case(PROBLEMS[name]))


SHAPES = [
    ((3,), (3,)), ((3,), (3, 4)), ((2, 3), (3,)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)), ((5, 2, 3), (3,)),
    ((2, 3), (5, 3, 4)), ((3,), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4)), ((1, 2, 3), (7, 3, 4)),
    ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((5, 0, 3), (3, 4)), ((2, 3), (3, 0)), ((0, 2, 3), (0, 3, 4)),
]  # fmt: skip


@pytest.mark.parametrize("shape_a,shape_b", SHAPES)
def test_numpy_rules_and_gradients(shape_a, shape_b):
    rng = np.random.default_rng(1)
    check(make_case("matmul", a=distinct(rng, shape_a), b=distinct(rng, shape_b)))


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize(
    "lead,n,k", [((37,), 70, 33), ((2, 3), 1, 5), ((), 17, 65), ((40,), 30, 1500), ((0,), 4, 3), ((2099,), 5, 1001)]
)
def test_linear(each_isa, activation, lead, n, k):
    rng = np.random.default_rng(2)
    arrays = {"x": distinct(rng, (*lead, k)), "w": distinct(rng, (n, k)), "bias": distinct(rng, (n,))}
    check(make_case("linear", arguments={"activation": activation}, **arrays))


def test_a_sum_of_nothing_is_the_bias(each_isa):
    y = ck.linear(np.ones((2, 0), "f4"), np.ones((3, 0), "f4"), np.float32([-1, 0.5, 2]), activation="relu")
    np.testing.assert_array_equal(y, np.float32([[0, 0.5, 2]] * 2))


def test_nan_and_infinity_reach_only_their_row_and_column(each_isa):
    a, b = np.ones((9, 40), np.float32), np.ones((40, 67), np.float32)
    a[3, 5], b[7, 66] = np.nan, np.inf
    y = np.asarray(_core.matmul(core(a), core(b)))
    expected = np.full((9, 67), 40, np.float32)
    expected[:, 66] = np.inf
    expected[3] = np.nan
    np.testing.assert_array_equal(y, expected)


def test_same_bits_for_any_thread_count(each_isa, threads):
    rng = np.random.default_rng(4)
    for m, n, k in ((300, 300, 333), (64, 64, 5000), (700, 20, 100), (9, 999, 333), (1, 999, 777), (999, 1, 777)):
        a, b = core(random(rng, m, k)), core(random(rng, k, n))
        results = []
        for count in (1, 2, 3, 5):
            threads(count)
            results.append(np.asarray(_core.matmul(a, b)).tobytes())
        assert len(set(results)) == 1


@pytest.mark.parametrize("m, n, k", [(65, 129, 77), (14, 64, 1031), (1, 300, 257), (300, 3, 70)])
def test_gradients_are_bitwise_stable(m, n, k, threads):
    rng = np.random.default_rng(5)
    arrays = {"x": distinct(rng, (m, k)), "w": distinct(rng, (n, k)), "bias": distinct(rng, (n,))}
    assert_bitwise_stable(make_case("linear", arguments={"activation": "relu"}, **arrays), threads)


@pytest.mark.cpu_only
def test_weights_overwritten_in_place_are_seen():
    rng = np.random.default_rng(8)
    x, array = distinct(rng, (17, 33)), distinct(rng, (19, 33))
    w, shared = ck.tensor(array), ck.from_numpy(array, copy=False)
    before = ck.linear(x, w).numpy()
    np.testing.assert_array_equal(ck.linear(x, shared), before)
    w.copy_(2 * array)
    array *= 4
    np.testing.assert_array_equal(ck.linear(x, w), 2 * before)
    np.testing.assert_array_equal(ck.linear(x, shared), 4 * before)


@pytest.mark.cpu_only
def test_transposed_and_strided_operands():
    rng = np.random.default_rng(6)
    a, b = distinct(rng, (7, 12)), distinct(rng, (7, 9))
    assert_product(ck.tensor(a).T @ ck.tensor(b), a.T, b)
    assert_product(ck.matmul(a.T, b), a.T, b)
    assert_product(ck.matmul(a[:, ::2].T, b), a[:, ::2].T, b)


def test_integers_multiply_exactly(each_isa):
    rng = np.random.default_rng(7)
    a, b = (rng.integers(-8, 9, shape).astype(np.float32) for shape in ((37, 501), (501, 67)))
    np.testing.assert_array_equal(ck.matmul(a, b), a @ b)


@pytest.mark.parametrize(
    "call,error,text",
    [
        (lambda: ck.matmul(np.ones((3, 4), "f4"), np.ones((5, 6), "f4")), ValueError, "a [3,4], b [5,6]"),
        (lambda: ck.matmul(np.ones((2, 3, 4), "f4"), np.ones((3, 4, 5), "f4")), ValueError, "a [2,3,4], b [3,4,5]"),
        (lambda: ck.matmul(np.ones((), "f4"), np.ones((5, 6), "f4")), ValueError, "at least one axis"),
        (lambda: ck.matmul(np.ones((2, 2), "i8"), np.ones((2, 2), "i8")), TypeError, "float32 or float64"),
        pytest.param(
            lambda: ck.matmul(np.ones((2, 2), "f4"), np.ones((2, 2), "f8")),
            TypeError,
            "one dtype",
            marks=pytest.mark.cpu_only,  # on a device the two are on two devices
        ),
        (
            lambda: ck.linear(np.ones((2, 5), "f4"), np.ones((3, 6), "f4")),
            ValueError,
            "[linear] x's last axis must equal in_features. Received: x [2,5], w [3,6].",
        ),
        (lambda: ck.linear(np.ones((2, 6), "f4"), np.ones(6, "f4")), ValueError, "[out_features,in_features]"),
        (lambda: ck.linear(np.ones((2, 6), "f4"), np.ones((3, 6), "f4"), np.ones(2, "f4")), ValueError, "bias"),
        (
            lambda: ck.linear(np.ones((2, 6), "f4"), np.ones((3, 6), "f4"), activation="gelu"),
            ValueError,
            "Received: 'gelu'",
        ),
        (lambda: ck.matmul(np.ones((2**31, 0), "f4"), np.ones((0, 2**31), "f4")), ValueError, "2^60"),
    ],
)
def test_refusals(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
