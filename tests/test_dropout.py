"""dropout: its mask, scale, gradient and reproducibility."""

import numpy as np
import pytest

import convkit as ck


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_survivors_are_scaled_and_counted(p):
    ck.manual_seed(0)
    n = 100_000
    x = ck.ones((n,), requires_grad=True)
    y = ck.dropout(x, p, True)
    values = y.numpy()
    survived = values != 0
    np.testing.assert_allclose(values[survived], 1 / (1 - p), rtol=1e-6)
    assert abs(survived.mean() - (1 - p)) < 6 * np.sqrt(p * (1 - p) / n)  # six standard deviations
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)


def test_identity_in_evaluation_and_at_zero():
    x = np.linspace(-1, 1, 37, dtype=np.float32)
    np.testing.assert_array_equal(ck.dropout(x, 0.5, False).numpy(), x)
    np.testing.assert_array_equal(ck.dropout(x, 0.0, True).numpy(), x)


def test_neighbours_are_independent():
    ck.manual_seed(0)
    kept = ck.dropout(np.ones((1000, 101), np.float32), 0.5, True).numpy() != 0
    for shift in (1, 4, 16):  # lanes of a vector, words of a counter
        agreement = (kept[:, shift:] == kept[:, :-shift]).mean()
        assert abs(agreement - 0.5) < 0.012


def test_the_seed_decides_and_every_call_differs():
    x = np.ones(1000, np.float32)
    ck.manual_seed(3)
    first, second = ck.dropout(x, 0.5, True).numpy(), ck.dropout(x, 0.5, True).numpy()
    assert (first != second).any()
    ck.manual_seed(3)
    np.testing.assert_array_equal(ck.dropout(x, 0.5, True).numpy(), first)
    state = ck.get_rng_state()
    again = ck.dropout(x, 0.5, True).numpy()
    ck.set_rng_state(state)
    np.testing.assert_array_equal(ck.dropout(x, 0.5, True).numpy(), again)
    np.testing.assert_array_equal(again, second)


def test_the_same_mask_for_any_thread_count(threads):
    x = np.ones((130, 1031), np.float32)
    masks = []
    for count in (1, 2, 3, 5, 8):
        threads(count)
        ck.manual_seed(1)
        masks.append(ck.dropout(x, 0.3, True).numpy().tobytes())
    assert len(set(masks)) == 1


def test_empty():
    assert ck.dropout(ck.zeros((0, 3)), 0.5, True).shape == (0, 3)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("p", [-0.5, 1.5, float("nan")])
def test_p_is_a_probability(p, training):
    with pytest.raises(ValueError, match=r"^\[dropout\] p must be in \[0,1\]\. Received: p="):
        ck.dropout(ck.ones(3), p, training)
