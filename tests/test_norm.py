"""batch_norm, softmax and log_softmax beyond the generated cases: running statistics, stability, extremes."""

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from support import assert_bitwise_stable, check, make_case


def batch_norm_case(shape=(4, 5, 6, 17), seed=0, **arguments):
    rng, c = np.random.default_rng(seed), shape[-1]
    return make_case(
        "batch_norm", arguments={"training": True} | arguments, x=distinct(rng, shape),
        running_mean=distinct(rng, (c,)), running_var=distinct(rng, (c,), 0.5, 2), weight=distinct(rng, (c,)),
        bias=distinct(rng, (c,)), residual=distinct(rng, shape),
    )  # fmt: skip


@pytest.mark.parametrize("activation", [None, "relu", "relu6", "leaky_relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("training", [True, False])
def test_fused_residual_and_activation(training, activation, each_isa):
    check(batch_norm_case(training=training, activation=activation))


@pytest.mark.parametrize("channels", [1, 3, 15, 16, 17, 31, 32, 33, 64, 65, 131])
def test_channel_counts(channels, each_isa):
    check(batch_norm_case((3, 7, 5, channels)))


@pytest.mark.parametrize("channels", [8, 16])  # of 8 the last vector of AVX-512 is half full
def test_results_larger_than_the_caches(channels, each_isa):
    check(batch_norm_case((1, 513, 4104 // channels + 2, channels), activation="relu"))


def test_running_statistics_are_updated_in_place_with_the_unbiased_variance():
    x = np.array([[1.0], [2.0], [6.0]], np.float32)  # mean 3, biased variance 14/3, unbiased 7
    mean, var = ck.zeros((1,)), ck.ones((1,))
    ck.batch_norm(x, mean, var, training=True, momentum=0.1)
    np.testing.assert_allclose([mean.item(), var.item()], [0.3, 0.9 + 0.7], rtol=1e-6)
    ck.batch_norm(x, mean, var, training=False)
    np.testing.assert_allclose([mean.item(), var.item()], [0.3, 0.9 + 0.7], rtol=1e-6)


def test_a_large_mean_costs_no_more_than_its_rounding():
    rng = np.random.default_rng(0)
    case = batch_norm_case((8, 8, 8, 5))
    case.arrays["x"] = (1e4 + rng.standard_normal(case.arrays["x"].shape)).astype(np.float32)
    check(case)


def test_a_constant_channel_gives_its_bias():
    x = ck.tensor(np.full((2, 3, 3, 4), 7.25, np.float32), requires_grad=True)
    bias = np.arange(4, dtype=np.float32)
    y = ck.batch_norm(x, ck.zeros((4,)), ck.ones((4,)), ck.ones((4,)), bias, training=True)
    np.testing.assert_array_equal(y.numpy(), np.broadcast_to(bias, y.shape))
    y.backward(ck.ones(y.shape))
    assert np.isfinite(x.grad.numpy()).all()


def test_nan_stays_in_its_channel():
    x = np.ones((4, 4), np.float32)
    x[2, 1] = np.nan
    y = ck.batch_norm(x, ck.zeros((4,)), ck.ones((4,)), training=True).numpy()
    np.testing.assert_array_equal(np.isnan(y).all(0), [False, True, False, False])
    assert np.isfinite(np.delete(y, 1, 1)).all()


def test_evaluation_of_an_empty_batch():
    y = ck.batch_norm(ck.zeros((0, 3, 3, 4)), ck.zeros((4,)), ck.ones((4,)), training=False)
    assert y.shape == (0, 3, 3, 4)


@pytest.mark.parametrize("shape", [(3, 31, 33, 17), (64, 7, 7, 65), (257, 9)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_is_bitwise_stable(shape, training, threads):
    assert_bitwise_stable(batch_norm_case(shape, training=training, activation="relu"), threads)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_softmax_of_extremes(op, each_isa):
    inf = np.inf
    x = np.array([[1e4, 0, -1e4], [-1e4, -1e4, -1e4], [0, -inf, 0], [3e38, 3e38, -3e38]], np.float32)
    y = getattr(ck, op)(x).numpy()
    want = np.array([[1, 0, 0], [1 / 3] * 3, [0.5, 0, 0.5], [0.5, 0.5, 0]])
    if op == "log_softmax":
        want = np.array([[0, -1e4, -2e4], [-np.log(3)] * 3, [-np.log(2), -inf, -np.log(2)], [-np.log(2)] * 2 + [-inf]])
    np.testing.assert_allclose(y, want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax_axes(op, axis, each_isa):
    rng = np.random.default_rng(0)
    check(make_case(op, arguments={"axis": axis}, x=distinct(rng, (3, 17, 18), -9, 9)))


def test_softmax_of_nan_is_nan_in_its_row_only():
    x = np.zeros((3, 5), np.float32)
    x[1, 4] = np.nan
    np.testing.assert_array_equal(np.isnan(ck.softmax(x).numpy()), [[False] * 5, [True] * 5, [False] * 5])


@pytest.mark.parametrize("op", ["softmax", "log_softmax"])
def test_softmax_is_bitwise_stable(op, threads):
    x = distinct(np.random.default_rng(0), (301, 67), -9, 9)
    assert_bitwise_stable(make_case(op, arguments={"axis": -1}, x=x), threads)
