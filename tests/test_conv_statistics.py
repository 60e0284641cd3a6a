"""A convolution finds the statistics of the batch normalisation after it: what the two find one after the other."""

import numpy as np
import pytest

import convkit as ck
from convkit import nn, ops
from support import watched

EPS = float(np.finfo(np.float32).eps)


@pytest.fixture
def taken(monkeypatch):
    """One entry for each convolution that found statistics."""
    return watched(monkeypatch, ops, "conv2d_statistics")


def numbers(*shape, seed=1):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def model_of(conv, *after, **settings):
    norm = nn.BatchNorm2d(conv.out_channels, **settings)
    if norm.weight is not None:
        norm.weight.copy_(numbers(conv.out_channels, seed=2))
        norm.bias.copy_(numbers(conv.out_channels, seed=3))
    return nn.Sequential(conv, norm, *after)


def one_by_one(model):
    def call(x):
        for module in model:
            x = module(x)
        return x

    return call


def step(run, model, x):
    """Result, gradients and state after forward and backward from the state of the start."""
    norm = model[1]
    norm.running_mean.copy_(np.zeros(norm.num_features, np.float32))
    norm.running_var.copy_(np.ones(norm.num_features, np.float32))
    norm.num_batches_tracked.copy_(ck.tensor(0, device="cpu"))
    for parameter in model.parameters():
        parameter.grad = None
    x = ck.tensor(x, requires_grad=True)
    y = run(x)
    y.backward(ck.tensor(numbers(*y.shape, seed=5)))
    found = {"y": y, "x": x.grad, "running_mean": norm.running_mean, "running_var": norm.running_var}
    found |= {name: parameter.grad for name, parameter in model.named_parameters()}
    assert norm.num_batches_tracked.item() == 1
    return {name: t.numpy().copy() for name, t in found.items()}


def close(got, want):
    """Statistics in another order of their sums: each result is off by some roundings of its largest number."""
    assert got.keys() == want.keys()
    for name, value in want.items():
        scale = max(1.0, float(np.abs(value).max()))
        np.testing.assert_allclose(got[name], value, rtol=0, atol=512 * EPS * scale, err_msg=name)


CONVOLUTIONS = {
    "one part": (lambda: nn.Conv2d(3, 5, 3), (1, 5, 4, 3)),
    "parts and a rest": (lambda: nn.Conv2d(7, 5, 3, padding=1), (3, 9, 11, 7)),
    "pointwise": (lambda: nn.Conv2d(16, 70, 1, bias=False), (2, 13, 11, 16)),
    "stride": (lambda: nn.Conv2d(12, 65, 3, 2, padding=1, bias=False), (2, 15, 13, 12)),
    "long sums": (lambda: nn.Conv2d(262, 19, 3, padding=1), (1, 6, 5, 262)),
    "wide": (lambda: nn.Conv2d(20, 130, 1), (1, 40, 31, 20)),
    "depthwise": (lambda: nn.Conv2d(12, 12, 3, padding=1, groups=12), (2, 9, 8, 12)),
    "groups": (lambda: nn.Conv2d(6, 4, (1, 2), groups=2), (2, 9, 8, 6)),
}


@pytest.mark.parametrize("after", [(), (nn.ReLU(),), (nn.LeakyReLU(0.3),)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_same_as_one_by_one(name, after, taken, each_isa):
    build, shape = CONVOLUTIONS[name]
    model, x = model_of(build(), *after, momentum=0.25), numbers(*shape)
    want = step(one_by_one(model), model, x)
    assert taken == []
    close(step(model, model, x), want)
    assert [call["momentum"] for call in taken] == [0.25]


def test_without_scale(taken):
    model, x = model_of(nn.Conv2d(3, 5, 3), affine=False), numbers(2, 6, 5, 3)
    close(step(model, model, x), step(one_by_one(model), model, x))
    assert len(taken) == 1


@pytest.mark.parametrize("channels", [3, 64])
@pytest.mark.parametrize("rows", [31, 1000])
def test_a_large_mean_costs_no_more_than_its_rounding(rows, channels, each_isa):
    """Mean 1000, deviation 0.1: squares of float32 as they are would hold nothing of the variance."""
    conv, norm = nn.Conv2d(8, channels, 1), nn.BatchNorm2d(channels, momentum=1.0)
    conv.weight.copy_(numbers(channels, 1, 1, 8) * 0.035)
    conv.bias.copy_(np.full(channels, 1000, np.float32))
    y, (mean, variance) = conv(ck.tensor(numbers(1, rows, 1, 8)), norm=norm)
    exact = y.numpy().astype(np.float64).reshape(rows, channels)
    np.testing.assert_allclose(mean.numpy(), exact.mean(0), rtol=EPS)
    # The mean of a part is rounded to 3e-5 of the deviation's 1e-1
    np.testing.assert_allclose(variance.numpy(), exact.var(0), rtol=2e-4)
    np.testing.assert_allclose(norm.running_var.numpy(), exact.var(0, ddof=1), rtol=2e-4)
    np.testing.assert_allclose(norm.running_mean.numpy(), exact.mean(0), rtol=EPS)


@pytest.mark.cuda
def test_statistics_are_those_of_the_numbers_as_stored():
    """In bfloat16 the stored numbers are the ones that are normalised and that the gradient speaks of."""
    conv, norm = nn.Conv2d(8, 24, 3), nn.BatchNorm2d(24)
    with ck.autocast("cuda", ck.bfloat16):
        y, (mean, variance) = conv(ck.tensor(numbers(2, 12, 11, 8)), norm=norm)
    assert y.dtype == ck.bfloat16
    exact = y.astype(ck.float32).numpy().astype(np.float64).reshape(-1, 24)
    scale = np.abs(exact).max()
    np.testing.assert_allclose(mean.numpy(), exact.mean(0), rtol=0, atol=16 * EPS * scale)
    np.testing.assert_allclose(variance.numpy(), exact.var(0), rtol=64 * EPS)


@pytest.mark.parametrize("name", ["pointwise", "stride", "parts and a rest"])
def test_bitwise_stable(name, threads):
    build, shape = CONVOLUTIONS[name]
    model, x = model_of(build(), nn.ReLU()), numbers(*shape)
    threads(1)
    first = step(model, model, x)
    for count in (8, 5, 3, 2, 2, 2):
        threads(count)
        again = step(model, model, x)
        assert all(again[key].tobytes() == value.tobytes() for key, value in first.items()), count


@pytest.mark.parametrize("index", [0, 1])
def test_not_over_a_hook(index, taken):
    model, x, seen = model_of(nn.Conv2d(3, 5, 3), nn.ReLU()), numbers(2, 6, 6, 3), []
    want = step(model, model, x)
    assert len(taken) == 1
    model[index].register_forward_hook(lambda module, args, out: seen.append(out.shape))
    close(step(model, model, x), want)
    assert len(taken) == 1 and seen == [(2, 4, 4, 5)]


def test_not_where_nothing_is_learned(taken):
    model, x = model_of(nn.Conv2d(3, 5, 3)), ck.tensor(numbers(2, 6, 6, 3))
    model.eval()(x)
    model.train()
    model[1].requires_grad_(False)
    model(x)
    assert taken == []


def test_not_for_a_subclass_of_the_norm(taken):
    class Doubled(nn.BatchNorm2d):
        def forward(self, x, activation=None, residual=None):
            return super().forward(x, activation, residual) * 2

    nn.Sequential(nn.Conv2d(3, 5, 3), Doubled(5))(ck.tensor(numbers(2, 6, 6, 3)))
    assert taken == []


@pytest.mark.parametrize("build", [ck.models.resnet20, ck.models.mobilenet_v2])
def test_models(build, taken):
    model = build()
    model(ck.tensor(numbers(2, 33, 33, 3)))
    assert len(taken) == sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())


def test_one_value_a_channel_is_the_norms_to_refuse():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    with pytest.raises(ValueError, match=r"in layer '1' \(BatchNorm2d\): \[batch_norm\] training needs more than one"):
        model(ck.tensor(numbers(1, 3, 3, 3)))
    with pytest.raises(ValueError, match=r"in layer '0' \(Conv2d\): \[conv2d\]"):
        model(ck.tensor(numbers(1, 3, 3, 4)))


def test_an_empty_batch_learns_nothing():
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    assert model(ck.zeros(0, 6, 6, 3)).shape == (0, 4, 4, 5)
    np.testing.assert_array_equal(model[1].running_mean.numpy(), np.zeros(5))
    np.testing.assert_array_equal(model[1].running_var.numpy(), np.ones(5))


@pytest.mark.cpu_only
def test_float64():
    running = ck.zeros(5, dtype=ck.float64), ck.ones(5, dtype=ck.float64)
    x, w = ck.tensor(numbers(2, 6, 5, 3).astype(np.float64)), ck.tensor(numbers(5, 3, 3, 3, seed=2).astype(np.float64))
    y, (mean, variance) = ops.conv2d_statistics(x, w, None, *running, momentum=1.0)
    exact = y.numpy().reshape(-1, 5)
    np.testing.assert_allclose(mean.numpy(), exact.mean(0), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(variance.numpy(), exact.var(0), rtol=1e-13)
    np.testing.assert_allclose(running[1].numpy(), exact.var(0, ddof=1), rtol=1e-13)


def test_statistics_are_of_training_alone():
    x = ck.zeros(2, 3, 3, 4)
    with pytest.raises(ValueError, match="statistics are those of training"):
        ck.batch_norm(x, ck.zeros(4), ck.ones(4), training=False, statistics=(ck.zeros(4), ck.ones(4)))


def test_statistics_of_the_users_own():
    x, running = ck.tensor(numbers(2, 5, 3, 4)), (ck.zeros(4), ck.ones(4))
    wanted = ck.batch_norm(x, ck.zeros(4), ck.ones(4), training=True)
    flat = x.numpy().reshape(-1, 4)
    got = ck.batch_norm(x, *running, training=True, statistics=(ck.tensor(flat.mean(0)), ck.tensor(flat.var(0))))
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), atol=32 * EPS)
    assert [t.numpy().tolist() for t in running] == [[0] * 4, [1] * 4]
    with pytest.raises(ValueError, match="batch_norm"):
        ck.batch_norm(x, *running, training=True, statistics=(ck.zeros(3), ck.ones(3)))
