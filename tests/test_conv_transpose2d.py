"""conv_transpose2d: the shared problems, an explicit scatter, the adjoint of conv2d, size round trips."""

import numpy as np
import pytest

import convkit as ck
from cases import distinct
from convkit.bench.shapes import Conv2d, parse
from support import assert_bitwise_stable, check, problem_case, small_problems

PROBLEMS = small_problems(Conv2d, transposed=True)


@pytest.mark.parametrize("name", PROBLEMS)
def test_small_problems(name, each_isa):
    check(problem_case(PROBLEMS[name]))


@pytest.mark.parametrize(
    "text",
    [
        "n1c64h9o33k2s2",
        "n1c128h5o64k4s2p1",
        "n1c32h9o32k3s2p1e1g32",
        "n1c16h9o48k3p1g16",
        "n2c3h17o65k5s3p2e2",
        "n1c8h1o8k7",
    ],
)
def test_blocks_and_splits(text, each_isa):
    """Sizes beyond one cache block, one task or one panel."""
    check(problem_case(parse(f"convt:{text}")), dtypes=(np.float32,))


def test_values_of_a_known_scatter():
    """k=3 s=2: every pixel stamps its filter, two apart; the stamps overlap in one row and column."""
    x = np.array([[1, 2], [3, 4]], np.float32).reshape(1, 2, 2, 1)
    y = ck.conv_transpose2d(x, np.ones((1, 3, 3, 1), np.float32), stride=2).numpy()[0, :, :, 0]
    want = [[1, 1, 3, 2, 2], [1, 1, 3, 2, 2], [4, 4, 10, 6, 6], [3, 3, 7, 4, 4], [3, 3, 7, 4, 4]]
    np.testing.assert_array_equal(y, want)


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("stride, kernel, padding", [(2, 3, 1), (3, 4, 1), (2, 5, 2), (1, 3, 1)])
def test_output_padding_restores_the_size(size, stride, kernel, padding):
    down = ck.conv2d(ck.ones((1, size, size, 1)), ck.ones((1, kernel, kernel, 1)), stride=stride, padding=padding)
    extra = (size + 2 * padding - kernel) % stride
    up = ck.conv_transpose2d(
        down, ck.ones((1, kernel, kernel, 1)), stride=stride, padding=padding, output_padding=extra
    )  # fmt: skip
    assert up.shape == (1, size, size, 1)


@pytest.mark.parametrize("text", ["n2c5h9o7k3s2p1", "n1c6h8o4k4s3p1g2", "n1c3h11o5k3s2d2p1"])
def test_is_the_data_gradient_of_conv2d_with_the_same_filters(text):
    problem = parse(f"conv:{text}")
    rng = np.random.default_rng(0)
    x = ck.tensor(distinct(rng, (problem.n, *problem.hw, problem.c)), requires_grad=True)
    w = distinct(rng, (problem.o, *problem.kernel, problem.c // problem.groups))
    arguments = {k: getattr(problem, k) for k in ("stride", "padding", "dilation", "groups")}
    y = ck.conv2d(x, w, **arguments)
    g = distinct(rng, y.shape)
    y.backward(g)
    pads = 2 * problem.padding
    extents = [d * (k - 1) + 1 for d, k in zip(problem.dilation, problem.kernel)]
    extra = tuple((h + pads - e) % s for h, e, s in zip(problem.hw, extents, problem.stride))
    back = ck.conv_transpose2d(g, w, output_padding=extra, **arguments)
    np.testing.assert_allclose(back.numpy(), x.grad.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("text", ["n2c33h12o17k3s2p1", "n3c16h13o16k4s2p1g4"])
def test_bitwise_stable(text, threads):
    assert_bitwise_stable(problem_case(parse(f"convt:{text}")), threads)
