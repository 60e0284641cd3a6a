"""Pooling: ties, NaN and infinities on every ISA (values, indices, gradients exact), ceil_mode, unpooling."""

import numpy as np
import pytest

import convkit as ck
import oracle
from cases import distinct
from convkit.bench.shapes import Pool2d, parse
from support import assert_bitwise_stable, check, make_case, problem_case, small_problems

PROBLEMS = small_problems(Pool2d)
INF, NAN = np.inf, np.nan


def image(rows):
    """A one-channel image."""
    return np.array(rows, np.float32)[None, :, :, None]


def pooled(x, kernel_size, **arguments):
    y, indices = ck.max_pool2d(x, kernel_size, return_indices=True, **arguments)
    return y.numpy()[0, :, :, 0], indices.numpy()[0, :, :, 0]


@pytest.mark.parametrize("name", PROBLEMS)
def test_small_problems(name, each_isa):
    check(problem_case(PROBLEMS[name]))


@pytest.mark.parametrize("pool", ["k2", "k3s2p1", "k2s1"])
def test_results_larger_than_the_caches(pool, each_isa):
    check(problem_case(parse(f"maxpool:n1c16h363{pool}")))


def test_first_maximum_wins(each_isa):
    y, indices = pooled(image([[1, 3, 3, 0], [3, 3, 0, 0], [2, 2, -0.0, 0.0], [2, 2, 0.0, -0.0]]), 2)
    np.testing.assert_array_equal(y, [[3, 3], [2, 0]])
    np.testing.assert_array_equal(indices, [[1, 2], [8, 10]])


def test_nan_wins_and_the_first_names_the_index(each_isa):
    y, indices = pooled(image([[1, NAN, INF, 9], [NAN, 5, 9, NAN], [NAN, NAN, 1, 2], [NAN, NAN, 3, INF]]), 2)
    np.testing.assert_array_equal(y, [[NAN, NAN], [NAN, INF]])
    np.testing.assert_array_equal(indices, [[1, 7], [8, 15]])


def test_windows_of_minus_infinity_keep_a_valid_index(each_isa):
    x = np.full((1, 5, 5, 33), -INF, np.float32)
    for padding in (0, 1, "same"):
        y, indices = ck.max_pool2d(x, 3, stride=2, padding=padding, return_indices=True)
        (want, places), _ = oracle.max_pool2d(x, 3, stride=2, padding=padding)
        np.testing.assert_array_equal(y.numpy(), want)
        np.testing.assert_array_equal(indices.numpy(), places)


def test_padding_never_wins(each_isa):
    x = ck.tensor(np.full((1, 3, 3, 1), -5.0, np.float32), requires_grad=True)
    y = ck.max_pool2d(x, 3, stride=1, padding=1)
    assert (y.numpy() == -5).all()
    y.sum().backward()
    assert x.grad.numpy().sum() == 9  # no gradient is lost in the border


@pytest.mark.parametrize("channels", [1, 3, 16, 17, 33])
@pytest.mark.parametrize(
    "kernel_size, arguments",
    [
        (2, {}), (3, {"stride": 2}), (3, {"stride": 1, "padding": 1}), ((2, 3), {"stride": (2, 1), "padding": (1, 0)}),
        (3, {"stride": 2, "padding": 1, "ceil_mode": True}), (2, {"dilation": 2, "stride": 1, "padding": 1}),
        (4, {"padding": "same"}), (5, {"stride": 3, "padding": ((2, 1), (0, 2))}), (1, {"stride": 2}),
    ],
)  # fmt: skip
def test_ties_nan_and_infinities_are_exactly_the_oracles(kernel_size, arguments, channels, each_isa):
    rng = np.random.default_rng(channels)
    values = np.array([-INF, -1, -0.0, 0, 1, 1, 1, INF, NAN], np.float32)
    array = values[rng.choice(len(values), (2, 8, 9, channels), p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.02, 0.05, 0.03])]
    (want, places), backward = oracle.max_pool2d(array, kernel_size, **arguments)
    x = ck.tensor(array, requires_grad=True)
    y, indices = ck.max_pool2d(x, kernel_size, return_indices=True, **arguments)
    np.testing.assert_array_equal(y.numpy(), want)
    np.testing.assert_array_equal(indices.numpy(), places)
    g = rng.integers(-4, 5, want.shape).astype(np.float32)  # small integers: sums are exact
    y.backward(g)
    np.testing.assert_array_equal(x.grad.numpy(), backward(g)["x"])


@pytest.mark.parametrize("kernel", [(16, 16), (1, 256), (17, 16), (20, 20), (1, 300)])
def test_window_areas_around_256(kernel):
    rng = np.random.default_rng(0)
    x = distinct(rng, (1, kernel[0] + 3, kernel[1] + 4, 5))
    check(make_case("max_pool2d", arguments={"kernel_size": kernel, "stride": 1}, x=x))


def test_ceil_mode_drops_windows_that_start_in_the_padding():
    assert ck.max_pool2d(ck.zeros((1, 32, 32, 1)), 1, stride=2, ceil_mode=True).shape == (1, 16, 16, 1)
    assert ck.avg_pool2d(ck.zeros((1, 9, 9, 1)), 4, stride=4, padding=2, ceil_mode=True).shape == (1, 3, 3, 1)
    assert ck.max_pool2d(ck.zeros((1, 6, 6, 1)), 3, stride=2, ceil_mode=True).shape == (1, 3, 3, 1)
    assert ck.max_pool2d(ck.zeros((1, 6, 6, 1)), 3, stride=2).shape == (1, 2, 2, 1)


def test_average_divisors():
    x = ck.ones((1, 3, 3, 1))
    border = ck.avg_pool2d(x, 3, stride=1, padding=1).numpy()[0, 0, 0, 0]
    np.testing.assert_allclose(border, 4 / 9, rtol=1e-6)
    assert (ck.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False).numpy() == 1).all()
    ceiled = ck.avg_pool2d(x, 2, ceil_mode=True).numpy()  # the overhanging part of a window never counts
    np.testing.assert_array_equal(ceiled, np.ones((1, 2, 2, 1)))


@pytest.mark.parametrize("size", [7, 8])
def test_unpool_returns_values_to_their_places(size):
    """Also after "same" pooling of an odd width."""
    array = distinct(np.random.default_rng(0), (2, size, size + 1, 5), 1, 2)
    y, indices = ck.max_pool2d(array, 2, padding="same", return_indices=True)
    up = ck.max_unpool2d(y, indices, 2, output_size=(size, size + 1))
    assert up.shape == array.shape
    kept = up.numpy() != 0
    np.testing.assert_array_equal(up.numpy()[kept], array[kept])
    assert kept.sum() == y.size
    same = ck.max_unpool2d(y, indices, 2, padding="same", output_size=(size, size + 1))  # the pooling's arguments
    np.testing.assert_array_equal(same.numpy(), up.numpy())


def test_unpool_takes_the_padding_of_a_dilated_pooling():
    array = distinct(np.random.default_rng(0), (1, 9, 8, 3), 1, 2)
    y, indices = ck.max_pool2d(array, 2, padding=2, dilation=3, return_indices=True)
    up = ck.max_unpool2d(y, indices, 2, padding=2, output_size=(9, 8)).numpy()
    np.testing.assert_array_equal(up[up != 0], array[up != 0])


def test_unpool_keeps_the_last_of_a_repeated_index():
    x, indices = image([[1, 2], [3, 4]]), image([[5, 0], [5, 5]]).astype(np.int64)
    y = ck.max_unpool2d(x, indices, 2).numpy()[0, :, :, 0]
    want = np.zeros((4, 4), np.float32)
    want[0, 0], want[1, 1] = 2, 4
    np.testing.assert_array_equal(y, want)


def test_overlapping_windows_share_a_gradient():
    x = ck.tensor(image([[0, 0, 0], [0, 9, 0], [0, 0, 0]]), requires_grad=True)
    ck.max_pool2d(x, 2, stride=1).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0, :, :, 0], [[0, 0, 0], [0, 4, 0], [0, 0, 0]])


def test_adaptive_bins_overlap():
    x = image([[1, 2, 3, 4, 5]])
    np.testing.assert_allclose(
        ck.adaptive_avg_pool2d(x, (1, 3)).numpy()[0, 0, :, 0], [1.5, 3, 4.5], rtol=1e-6
    )  # fmt: skip
    np.testing.assert_allclose(ck.adaptive_avg_pool2d(x, 1).item(), 3, rtol=1e-6)


def test_nan_spreads_through_averages_only_in_its_window():
    x = image([[NAN, 1, 2, 3], [1, 1, 2, 3]])
    np.testing.assert_array_equal(np.isnan(ck.avg_pool2d(x, 2).numpy()[0, :, :, 0]), [[True, False]])


@pytest.mark.parametrize("text", ["maxpool:n3c33h31k3s2p1", "maxpool:n2c64h24k2", "avgpool:n3c17h33k3s1p1"])
def test_bitwise_stable(text, threads):
    assert_bitwise_stable(problem_case(parse(text)), threads)


def test_no_images_cost_no_time(each_isa):
    """However large the planes would be."""
    assert ck.adaptive_avg_pool2d(np.zeros((0, 4, 4, 3), np.float32), 2**31 - 1).shape == (0, 2**31 - 1, 2**31 - 1, 3)
    assert ck.max_pool2d(np.zeros((0, 2**40, 2, 3), np.float32), 2).shape == (0, 2**39, 1, 3)


@pytest.mark.parametrize("op", [ck.max_pool2d, ck.avg_pool2d])
def test_ceil_mode_takes_a_window_that_reaches_beyond_the_image(op, each_isa):
    x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    assert op(ck.tensor(x), 4, ceil_mode=True).tolist() == [[[[8 if op is ck.max_pool2d else 4]]]]
    assert op(ck.tensor(x), (4, 2), ceil_mode=True).shape == (1, 1, 2, 1)
    with pytest.raises(ValueError, match=r"ceil\("):
        op(ck.tensor(x), 4, stride=1, ceil_mode=True)
    with pytest.raises(ValueError, match=r"floor\("):
        op(ck.tensor(x), 4)
