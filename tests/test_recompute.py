"""checkpoint: the same bits as without it, for results, gradients, statistics and the generator; and less memory."""

import weakref

import numpy as np
import pytest

import convkit as ck
from convkit import mixed, nn
from training import weights


def block(seed=0, dropout=0.5):
    ck.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(5, 3, 1)
    )


def step(run, model, x, seed=7):
    """Result, gradients of the input and of the parameters, state, generator: after forward and backward."""
    ck.manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = None
    x = ck.tensor(x, requires_grad=True)
    y = run(model, x)
    drawn = ck.get_rng_state()
    (y * y).sum().backward()
    grads = {name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()}
    return {"y": y.numpy(), "x": x.grad.numpy(), **grads, **weights(model)}, drawn, ck.get_rng_state()


def same(a, b):
    assert a[0].keys() == b[0].keys()
    for name in a[0]:
        assert a[0][name].tobytes() == b[0][name].tobytes(), name
    assert a[1:] == b[1:]


def plainly(model, x):
    return model(model(x * 2.0) + x)


def checkpointed(model, x):
    return ck.checkpoint(model, ck.checkpoint(model, x * 2.0) + x)


def nested(model, x):
    return ck.checkpoint(lambda x: ck.checkpoint(model, ck.checkpoint(model, x * 2.0) + x), x)


@pytest.fixture
def images():
    return np.random.default_rng(0).standard_normal((4, 7, 6, 3)).astype(np.float32)


@pytest.mark.parametrize("run", [checkpointed, nested])
@pytest.mark.parametrize("training", [True, False])
def test_same_bits_as_without(run, training, images):
    # In evaluation the normalisation must not be folded into the convolution: its parameters want gradients.
    same(step(run, block().train(training), images), step(plainly, block().train(training), images))


def test_statistics_move_once(images):
    model = block()
    step(checkpointed, model, images)
    assert model[1].num_batches_tracked.item() == 2  # of two calls


@pytest.mark.parametrize("build", [ck.models.resnet20, ck.models.resnet18, ck.models.resnet50])
def test_residual_networks(build):
    def once(checkpoint):
        ck.manual_seed(0)
        model = build(10, checkpoint=checkpoint)
        x = np.random.default_rng(1).standard_normal((2, 40, 33, 3)).astype(np.float32)
        return step(lambda model, x: model(x), model, x)

    same(once(True), once(False))


def test_blocks_run_twice_only_with_gradients(images):
    calls = []

    def run(x):
        calls.append(x.requires_grad)
        return x * x

    x = ck.tensor(images, requires_grad=True)
    with ck.no_grad():
        assert not ck.checkpoint(run, x).requires_grad
    assert not ck.checkpoint(run, x.detach()).requires_grad
    total = ck.checkpoint(run, x).sum()
    assert calls == [True, False, True]
    with ck.no_grad():  # whoever calls backward
        total.backward()
    assert calls == [True, False, True, True]
    np.testing.assert_array_equal(x.grad.numpy(), 2 * images)


def test_inputs_of_every_kind(images):
    a, b = ck.tensor(images, requires_grad=True), ck.tensor(images * 3)
    weight = nn.Parameter(np.float32(2.0))

    def function(a, power, b, unused):
        return a**power * b * weight

    found = []
    for y in (function(a, 2, b, a), ck.checkpoint(function, a, 2, b, a)):
        a.grad = weight.grad = None
        y.sum().backward()
        found.append((y.tolist(), a.grad.tolist(), weight.grad.tolist()))
    assert found[0] == found[1] and b.grad is None
    # Only a parameter inside wants a gradient.
    weight.grad = None
    ck.checkpoint(lambda b: b * weight, b).sum().backward()
    assert weight.grad is not None
    # The function may return its input.
    a.grad = None
    ck.checkpoint(lambda a: a, a).sum().backward()
    np.testing.assert_array_equal(a.grad.numpy(), np.ones_like(images))


def test_twice_through_a_retained_graph(images):
    x = ck.tensor(images, requires_grad=True)
    y = ck.checkpoint(lambda x: x * x, x).sum()
    y.backward(retain_graph=True)
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), 4 * images)
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_an_error_in_backward_leaves_generator_and_modes(images):
    calls = []

    def fail_at_second(x):
        calls.append(0)
        if len(calls) > 1:
            raise ValueError("no more")
        return ck.dropout(x, 0.5, True)

    y = ck.checkpoint(fail_at_second, ck.tensor(images, requires_grad=True))
    ck.manual_seed(3)
    with pytest.raises(ValueError, match="no more"):
        y.sum().backward()
    assert ck.get_rng_state() == (3, 0)
    norm = nn.BatchNorm2d(3)
    norm(ck.tensor(images))
    assert norm.num_batches_tracked.item() == 1


def test_backward_outside_of_autocast_computes_as_inside(images):
    seen = []

    def function(x):
        seen.append(mixed.precision())
        return x * x

    x = ck.tensor(images, requires_grad=True)
    with mixed.with_precision(ck.bfloat16):  # autocast itself needs a GPU
        total = ck.checkpoint(function, x).sum()
    total.backward()
    assert seen == [ck.bfloat16, ck.bfloat16] and mixed.precision() is None


@pytest.mark.cpu_only  # watches memory that tensors share with numpy
def test_keeps_only_the_inputs(images):
    """Of ten products in a row the graph keeps all results, but with a checkpoint none before backward asks."""
    freed = []

    def ten(x):
        for _ in range(10):
            array = np.ones(images.shape, np.float32)
            weakref.finalize(array, freed.append, 0)
            x = x * ck.from_numpy(array, copy=False)
        return x

    x = ck.tensor(images, requires_grad=True)
    y = ten(x)
    assert not freed
    del y
    assert len(freed) == 10
    y = ck.checkpoint(ten, x)
    assert len(freed) == 20
    y.sum().backward()
    assert len(freed) == 30
    np.testing.assert_array_equal(x.grad.numpy(), np.ones_like(images))


def test_no_packed_weights_stay(images):
    """The weights are used twice without a write in between, as in inference, but for the last time."""
    model = nn.Conv2d(3, 64, 3)
    before = ck._core.retained_bytes()
    ck.checkpoint(model, ck.tensor(images)).sum().backward()
    assert ck._core.retained_bytes() <= before


@pytest.mark.parametrize("method", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_recomputes_in_the_mode_of_the_forward_pass(images, training, method):
    def gradients(run):
        model = block().train(training)
        x = ck.tensor(images, requires_grad=True)
        ck.manual_seed(3)
        y = run(model.forward if method else model, x)
        model.train(not training)
        y.sum().backward()
        assert all(module.training is not training for module in model.modules())
        return x.grad.numpy()

    np.testing.assert_array_equal(gradients(ck.checkpoint), gradients(lambda function, x: function(x)))


def test_tensors_with_a_graph_are_inputs(images):
    w = ck.tensor(images, requires_grad=True)
    z = w * 2.0
    with pytest.raises(ValueError, match=r"\[checkpoint\] a tensor with a graph must be passed as an input"):
        ck.checkpoint(lambda x: x * z, ck.tensor(images))
    (ck.checkpoint(lambda x, z: x * z * w, ck.tensor(images), z) + z).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 4 * images * images + 2, rtol=1e-5)


def test_refusals(images):
    with pytest.raises(TypeError, match=r"\[checkpoint\] the function must return one Tensor. Received: tuple"):
        ck.checkpoint(lambda x: (x, x), ck.tensor(images))
