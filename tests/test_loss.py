"""Losses beyond the generated cases: label types, extreme logits, weights, bitwise stability."""

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from support import assert_bitwise_stable, check, make_case


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.int32, np.int64, np.uint16])
def test_labels_of_any_integer_type(dtype):
    logits = distinct(np.random.default_rng(0), (5, 4))
    labels = np.array([0, 3, 1, 2, 3])
    want = ck.cross_entropy(logits, labels).item()
    assert ck.cross_entropy(logits, labels.astype(dtype)).item() == want
    assert ck.cross_entropy(logits, ck.tensor(labels)).item() == want
    assert ck.cross_entropy(logits, list(map(int, labels))).item() == want


def test_uniform_logits_cost_log_k():
    np.testing.assert_allclose(ck.cross_entropy(ck.zeros((7, 10)), np.arange(7)).item(), np.log(10), rtol=1e-6)


def test_one_hot_probabilities_equal_labels():
    logits, labels = distinct(np.random.default_rng(0), (6, 5)), np.array([4, 0, 2, 2, 1, 3])
    one_hot = np.eye(5, dtype=np.float32)[labels]
    for smoothing in (0.0, 0.1):
        hard = ck.cross_entropy(logits, labels, label_smoothing=smoothing).item()
        soft = ck.cross_entropy(logits, one_hot, label_smoothing=smoothing).item()
        np.testing.assert_allclose(soft, hard, rtol=1e-6)


def test_the_weighted_mean_divides_by_the_summed_weights():
    logits, labels = np.zeros((3, 2), np.float32), np.array([0, 0, 1])
    loss = ck.cross_entropy(logits, labels, weight=np.array([1, 5], np.float32))
    np.testing.assert_allclose(loss.item(), np.log(2), rtol=1e-6)


@pytest.mark.parametrize("size", [50.0, 1e4, 1e30])
def test_extreme_logits_neither_overflow_nor_lose_the_loss(size, each_isa):
    logits = ck.tensor([[size, 0.0], [0.0, size]], requires_grad=True)
    losses = ck.cross_entropy(logits, [0, 0], reduction="none")
    np.testing.assert_allclose(losses.numpy(), [0, size], rtol=1e-6, atol=1e-12)
    losses.sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), [[0, 0], [-1, 1]], atol=1e-12)


def test_a_masked_class_keeps_the_loss_finite():
    logits = ck.tensor([[0.0, 1.0, -np.inf]], requires_grad=True)
    loss = ck.cross_entropy(logits, [1])
    loss.backward()
    np.testing.assert_allclose(loss.item(), np.log1p(np.exp(-1)), rtol=1e-6)
    assert np.isfinite(logits.grad.numpy()).all() and logits.grad.numpy()[0, 2] == 0


@pytest.mark.parametrize("size", [50.0, 1e4, 1e30])
def test_binary_cross_entropy_of_extreme_logits(size, each_isa):
    logits = ck.tensor([size, size, -size, -size], requires_grad=True)
    losses = ck.binary_cross_entropy_with_logits(logits, np.array([1, 0, 1, 0], np.float32), reduction="none")
    np.testing.assert_allclose(losses.numpy(), [0, size, size, 0], rtol=1e-6, atol=1e-12)
    losses.sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), [0, 1, -1, 0], atol=1e-12)


def test_smooth_l1_joins_at_beta():
    x = np.array([0.0, 0.25, 0.5, 2.0], np.float32)
    losses = ck.smooth_l1_loss(x, np.zeros(4, np.float32), beta=0.5, reduction="none").numpy()
    np.testing.assert_allclose(losses, [0, 0.0625, 0.25, 1.75], rtol=1e-6)


def test_losses_of_nothing():
    """As torch: a sum of nothing is 0, a mean of nothing NaN."""
    logits, labels = ck.zeros((0, 3), requires_grad=True), np.zeros(0, np.int64)
    assert ck.cross_entropy(logits, labels, reduction="none").shape == (0,)
    assert np.isnan(ck.cross_entropy(logits, labels).item())
    loss = ck.cross_entropy(logits, labels, reduction="sum")
    assert loss.item() == 0
    loss.backward()
    assert logits.grad.shape == (0, 3)
    assert ck.mse_loss(np.zeros(0, np.float32), np.zeros(0, np.float32), reduction="sum").item() == 0


def test_nan_reaches_the_loss():
    assert np.isnan(ck.cross_entropy(np.array([[np.nan, 0]], np.float32), [1]).item())
    assert np.isnan(ck.mse_loss(np.array([np.nan], np.float32), np.zeros(1, np.float32)).item())


@pytest.mark.parametrize("classes", [1, 2, 3, 10, 16, 17, 33, 1000])
def test_class_counts(classes, each_isa):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, (9,))
    check(make_case("cross_entropy", logits=distinct(rng, (9, classes), -8, 8), labels=labels))


def test_bitwise_stable(threads):
    rng = np.random.default_rng(0)
    logits, labels = distinct(rng, (1031, 67), -8, 8), rng.integers(0, 67, 1031)
    assert_bitwise_stable(make_case("cross_entropy", logits=logits, labels=labels), threads)
    arrays = {"x": distinct(rng, (301, 257)), "target": distinct(rng, (301, 257))}
    assert_bitwise_stable(make_case("mse_loss", arguments={"reduction": "mean"}, **arrays), threads)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32, np.bool_])
def test_binary_labels_may_be_integers(dtype):
    logits, labels = np.array([0.5, -1.0, 2.0], np.float32), np.array([1, 0, 1])
    expected = ck.binary_cross_entropy_with_logits(logits, labels.astype(np.float32)).item()
    assert ck.binary_cross_entropy_with_logits(logits, labels.astype(dtype)).item() == expected
