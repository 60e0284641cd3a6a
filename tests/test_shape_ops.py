"""concatenate, pad, upsample, flatten, transpose and slicing beyond the generated cases."""

import itertools

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from support import assert_bitwise_stable, check, make_case


@pytest.mark.parametrize("axes", list(itertools.permutations(range(4))))
def test_every_transpose_of_an_image(axes):
    x = distinct(np.random.default_rng(0), (2, 3, 17, 5))
    check(make_case("transpose", arguments={"axes": axes}, x=x))


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
def test_concatenate_on_every_axis_with_an_empty_part(axis):
    shapes = [[2, 3, 4, 5] for _ in range(3)]
    shapes[1][axis], shapes[2][axis] = 0, 7
    rng = np.random.default_rng(0)
    check(
        make_case("concatenate", arguments={"axis": axis}, **{f"x{i}": distinct(rng, s) for i, s in enumerate(shapes)})
    )


def test_one_tensor_concatenated_with_itself_adds_its_gradients():
    x = ck.ones((2, 3), requires_grad=True)
    ck.concatenate([x, x, x], 1).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.full((2, 3), 3))


@pytest.mark.parametrize("value", [0.0, -np.inf, np.nan])
def test_pad_with_any_value(value):
    x = distinct(np.random.default_rng(0), (2, 3))
    y = ck.pad(x, ((1, 0), (2, 3)), value=value).numpy()
    np.testing.assert_array_equal(y, np.pad(x, ((1, 0), (2, 3)), constant_values=value))


def test_bilinear_has_half_pixel_centres():
    y = ck.upsample(np.array([[[[0.0], [1.0]]]], np.float32), (1, 2), mode="bilinear").numpy().ravel()
    np.testing.assert_allclose(y, [0, 0.25, 0.75, 1], atol=1e-7)


def test_nearest_repeats():
    x = distinct(np.random.default_rng(0), (1, 2, 3, 2))
    np.testing.assert_array_equal(ck.upsample(x, (2, 3)).numpy(), x.repeat(2, 1).repeat(3, 2))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("channels", [1, 3, 16, 17, 33])
def test_upsample_channels(mode, channels, each_isa):
    x = distinct(np.random.default_rng(0), (2, 5, 4, channels))
    check(make_case("upsample", arguments={"scale": (2, 3), "mode": mode}, x=x))


def test_flatten_keeps_the_first_axis():
    assert ck.flatten(ck.zeros((2, 3, 4, 5))).shape == (2, 60)
    assert ck.flatten(ck.zeros((0, 3, 4))).shape == (0, 12)
    assert ck.flatten(ck.zeros((2, 0, 4))).shape == (2, 0)


@pytest.mark.parametrize(
    "key", [0, -1, slice(None), slice(2, 2), (slice(None, None, 3), 1), (..., None), (1, ..., 0), slice(-9, 99)]
)
def test_slices_are_numpys(key):
    x = distinct(np.random.default_rng(0), (4, 3, 5))
    check(make_case("index", arguments={"key": key}, x=x))


def test_slicing_copies():
    x = ck.zeros((4,))
    part = x[1:3]
    x.copy_(ck.ones((4,)))
    assert not part.numpy().any()


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_bitwise_stable(mode, threads):
    x = distinct(np.random.default_rng(0), (3, 33, 31, 17))
    assert_bitwise_stable(make_case("upsample", arguments={"scale": 2, "mode": mode}, x=x), threads)
    assert_bitwise_stable(make_case("transpose", arguments={"axes": (0, 3, 1, 2)}, x=x), threads)
