"""A convolution takes the normalisation after it into its filters, where nobody could tell the difference."""

import copy
import gc
import weakref

import numpy as np
import pytest

import convkit as ck
from convkit import nn, ops
from convkit.models.resnet import Bottleneck
from convkit.nn import fusion
from support import watched


@pytest.fixture
def norms(monkeypatch):
    """One entry for each batch normalisation that ran as an op of its own."""
    return watched(monkeypatch, ops, "batch_norm")


def trained(conv, norm, *after):
    """The modules in evaluation, with statistics and scales that are not those of the start."""
    rng = np.random.default_rng(0)
    channels = norm.num_features
    norm.running_mean.copy_(rng.normal(size=channels).astype(np.float32))
    norm.running_var.copy_(rng.uniform(0.5, 2, channels).astype(np.float32))
    if norm.weight is not None:
        norm.weight.copy_(rng.normal(size=channels).astype(np.float32))
        norm.bias.copy_(rng.normal(size=channels).astype(np.float32))
    return nn.Sequential(conv, norm, *after).eval()


def image(*shape):
    return ck.tensor(np.random.default_rng(1).normal(size=shape).astype(np.float32))


def assert_folded(model, x, norms):
    """The model computes without batch normalisation what its modules compute one by one."""
    expected = x
    with ck.no_grad():
        for module in model:
            expected = module(expected)
        norms.clear()
        got = model(x)
    assert norms == []
    # Sums of at most 3*3*7 products of size about 1, a few roundings each
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=0, atol=64 * np.finfo(np.float32).eps * 10)
    return got.numpy()


@pytest.mark.parametrize("after", [(), (nn.ReLU(),), (nn.ReLU6(),), (nn.MaxPool2d(2),), (nn.LeakyReLU(0.3),)])
@pytest.mark.parametrize(
    "conv",
    [
        lambda: nn.Conv2d(7, 5, 3, padding=1),
        lambda: nn.Conv2d(7, 5, 3, 2, bias=False),
        lambda: nn.Conv2d(6, 6, 3, padding="same", groups=6, bias=False),
        lambda: nn.Conv2d(6, 4, (1, 2), dilation=2, groups=2),
    ],
)
def test_folded(conv, after, norms):
    conv = conv()
    model = trained(conv, nn.BatchNorm2d(conv.out_channels), *after)
    assert_folded(model, image(2, 9, 8, conv.in_channels), norms)


def test_folded_without_scale(norms):
    assert_folded(trained(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, eps=0.1, affine=False)), image(1, 5, 5, 3), norms)


@pytest.mark.parametrize(
    "build",
    [
        ck.models.resnet20,
        ck.models.mobilenet_v2,
        lambda: nn.Sequential(Bottleneck(3, 4, 2, nn.Sequential(nn.Conv2d(3, 16, 1, 2), nn.BatchNorm2d(16)))),
    ],
)
def test_models_fold(build, norms):
    model, x = build().eval(), image(1, 33, 33, 3)
    with ck.no_grad():
        y = model(x).numpy()
    assert norms == []
    expected = model(x).numpy()  # with a graph
    assert len(norms) == sum(isinstance(layer, nn.BatchNorm2d) for layer in model.modules())
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def writes():
    def replace(conv, norm):
        conv.weight = nn.Parameter(conv.weight * 2)

    return {
        "weight": lambda conv, norm: conv.weight.copy_(conv.weight * 2),
        "bias": lambda conv, norm: conv.bias.copy_(conv.bias + 1),
        "scale": lambda conv, norm: norm.weight.copy_(norm.weight * 2),
        "shift": lambda conv, norm: norm.bias.copy_(norm.bias + 1),
        "mean": lambda conv, norm: norm.running_mean.copy_(norm.running_mean + 1),
        "variance": lambda conv, norm: norm.running_var.copy_(norm.running_var * 2),
        "eps": lambda conv, norm: setattr(norm, "eps", 0.5),
        "parameter": replace,
        "state": lambda conv, norm: norm.load_state_dict(nn.BatchNorm2d(5).state_dict()),
        "moved statistics": lambda conv, norm: (norm.train()(image(2, 3, 3, 5)), norm.eval()),
    }


@pytest.mark.parametrize("write", writes())
def test_a_write_is_seen(write, norms):
    conv, norm = nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)
    model, x = trained(conv, norm), image(1, 6, 6, 3)
    before = assert_folded(model, x, norms)
    with ck.no_grad():
        assert fusion.folded(conv, norm, x) is fusion.folded(conv, norm, x)  # kept
    writes()[write](conv, norm)
    assert not np.allclose(assert_folded(model, x, norms), before)


def test_an_optimizer_step_is_seen(norms):
    model, x = trained(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)), image(1, 6, 6, 3)
    before = assert_folded(model, x, norms)
    model(x).sum().backward()
    ck.optim.SGD(model.parameters(), lr=0.1).step()
    assert not np.allclose(assert_folded(model, x, norms), before)


@pytest.mark.cpu_only
def test_memory_that_others_write_is_not_folded(norms):
    array = np.ones((5, 3, 3, 3), np.float32)
    conv = nn.Conv2d(3, 5, 3, bias=False)
    conv.weight = nn.Parameter(ck.from_numpy(array, copy=False))
    model, x = trained(conv, nn.BatchNorm2d(5)), image(1, 6, 6, 3)
    with ck.no_grad():
        before = model(x).numpy()
        array *= 2
        assert len(norms) == 1 and not np.allclose(model(x).numpy(), before)


@pytest.mark.cpu_only
def test_memory_given_away_is_not_folded(norms):
    conv = nn.Conv2d(3, 5, 3)
    model, x = trained(conv, nn.BatchNorm2d(5)), image(1, 6, 6, 3)
    assert_folded(model, x, norms)
    capsule = conv.weight.__dlpack__(max_version=(1, 0))
    with ck.no_grad():
        model(x)
    assert len(norms) == 1
    del capsule


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_hook_sees_its_module(index, norms):
    model, x, seen = trained(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU()), image(1, 6, 6, 3), []
    expected = assert_folded(model, x, norms)
    model[index].register_forward_hook(lambda module, args, out: seen.append(out.numpy()))
    with ck.no_grad():
        np.testing.assert_allclose(model(x).numpy(), expected, rtol=0, atol=1e-4)
    assert len(seen) == 1
    assert len(norms) == (index < 2)  # a hook on the activation leaves the other two fused


def test_not_folded_with_a_gradient_or_in_training(norms):
    model, x = trained(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)), image(2, 6, 6, 3)
    model(x)
    assert len(norms) == 1
    model.requires_grad_(False)
    model(x)
    assert len(norms) == 1
    x.requires_grad = True
    model(x)
    assert len(norms) == 2
    with ck.no_grad():
        model.requires_grad_().train()(x)
    assert len(norms) == 3
    x.requires_grad = False
    model.requires_grad_(False)(x)  # frozen: its statistics are those of evaluation
    assert len(norms) == 3


def test_subclasses_compute_for_themselves(norms):
    class Doubled(nn.BatchNorm2d):
        def forward(self, x, activation=None, residual=None):
            return super().forward(x, activation, residual) * 2

    model = trained(nn.Conv2d(3, 5, 3), Doubled(5))
    with ck.no_grad():
        model(image(1, 6, 6, 3))
    assert len(norms) == 1


def test_errors_name_the_layer():
    model = trained(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    with pytest.raises(ValueError, match=r"in layer '0' \(Conv2d\): \[conv2d\]"), ck.no_grad():
        model(image(1, 6, 6, 4))
    model = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(6)).eval()
    with pytest.raises(ValueError, match=r"in layer '1' \(BatchNorm2d\): \[batch_norm\]"), ck.no_grad():
        model(image(1, 6, 6, 3))


def test_what_was_folded_goes_with_its_model_and_with_training(norms):
    conv = nn.Conv2d(3, 5, 3)
    model, x = trained(conv, nn.BatchNorm2d(5)), image(2, 6, 6, 3)
    assert_folded(model, x, norms)
    assert_folded(copy.deepcopy(model), x, norms)
    assert conv in fusion._folded
    model.train()(x)
    assert conv not in fusion._folded
    assert_folded(model.eval(), x, norms)
    gone, model, conv = weakref.ref(model), None, None
    gc.collect()
    assert gone() is None


POOLED = [nn.MaxPool2d(2), nn.MaxPool2d((2, 2), (2, 2)), nn.MaxPool2d(2, padding=0, dilation=1)]
NOT_POOLED = [
    nn.MaxPool2d(3),
    nn.MaxPool2d(2, 1),
    nn.MaxPool2d(2, padding=1),
    nn.MaxPool2d(2, dilation=2),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.AvgPool2d(2),
]


@pytest.mark.parametrize("algorithm", ["direct", "winograd4", "winograd2"])
@pytest.mark.parametrize("activation", [(), (nn.ReLU(),), (nn.Tanh(),)])
@pytest.mark.parametrize("pool", POOLED + NOT_POOLED)
def test_pooling_after_a_convolution(pool, activation, algorithm, monkeypatch, each_isa):
    """Sequential computes what its modules compute one by one, bit for bit but for the bias' gradient."""
    ops_run = []
    fused = ops.conv2d_max_pool2d
    monkeypatch.setattr(ops, "conv2d_max_pool2d", lambda *args, **kwargs: ops_run.append(1) or fused(*args, **kwargs))
    conv = nn.Conv2d(17, 20, 3, padding=1)
    model = nn.Sequential(conv, *activation, pool)
    x = image(2, 9, 14, 17)
    results = []
    ck._core.set_conv2d_algorithm(algorithm)
    try:
        for run in (model, lambda y: pool(activation[0](conv(y)) if activation else conv(y))):
            x.grad = conv.weight.grad = conv.bias.grad = None
            x.requires_grad = True
            y = run(x)
            y.backward(image(*y.shape))
            results.append([t.numpy() for t in (y, x.grad, conv.weight.grad, conv.bias.grad)])
    finally:
        ck._core.set_conv2d_algorithm("auto")
    assert bool(ops_run) == (pool in POOLED)
    for one, other in zip(results[0][:3], results[1][:3]):
        np.testing.assert_array_equal(one, other)
    # The bias: one sum over 2*9*14 places in another order
    np.testing.assert_allclose(results[0][3], results[1][3], rtol=0, atol=252 * 4 * np.finfo(np.float32).eps)


def test_pooling_after_many_filters(each_isa):
    """More filters than one task of the weight gradient has: each finds its own maxima."""
    conv, pool, x = nn.Conv2d(33, 150, 3, padding=1), nn.MaxPool2d(2), image(3, 23, 22, 33)
    results = []
    for run in (nn.Sequential(conv, pool), lambda y: pool(conv(y))):
        conv.weight.grad = None
        y = run(x)
        y.backward(image(*y.shape))
        results.append(conv.weight.grad.numpy())
    np.testing.assert_array_equal(*results)


def test_pooling_is_not_taken_over_from_a_module_with_a_hook():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(2))
    seen = []
    for module in model:
        handle = module.register_forward_hook(lambda module, args, result: seen.append(type(module)))
        model(image(1, 8, 8, 3))
        assert seen == [type(module)]
        handle.remove()
        seen.clear()


def test_an_image_too_small_to_pool():
    with pytest.raises(ValueError, match=r"\[max_pool2d\] the window must fit"):
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(2))(image(1, 3, 8, 3))


def test_a_replaced_branch_of_mobilenet_is_called():
    class Branch(nn.Module):
        def __init__(self):
            self.first, self.second = nn.Conv2d(24, 24, 1), nn.BatchNorm2d(24)

        def forward(self, x):
            return x * 3.0

    block = list(ck.models.mobilenet_v2().features.children())[3]
    assert block.residual
    x = image(1, 4, 4, 24)
    for branch, factor in ((Branch(), 4), (nn.Identity(), 2), (nn.Sequential(nn.Identity()), 2)):
        block.conv = branch
        with ck.no_grad():
            np.testing.assert_array_equal(block(x).numpy(), factor * x.numpy())


def test_training_drops_what_was_folded_behind_a_residual():
    block, x = Bottleneck(16, 4).eval(), image(1, 5, 5, 16)
    with ck.no_grad():
        block(x)
    assert block.conv3 in fusion._folded
    block.train()
    block(x)
    assert block.conv3 not in fusion._folded


def test_an_error_of_the_pooling_names_the_pooling():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2))
    with pytest.raises(ValueError, match=r"in layer '2' \(MaxPool2d\): \[max_pool2d\]"):
        model(ck.zeros(1, 3, 3, 1))
    with pytest.raises(ValueError, match=r"in layer '0' \(Conv2d\): \[conv2d\]"):
        model(ck.zeros(1, 9, 9, 2))
