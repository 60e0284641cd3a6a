"""Transfer learning: frozen trunks, their features, and a head on top (the book's Examples 10.6 to 10.9)."""

import importlib

import numpy as np
import pytest

import convkit as ck
from convkit import nn
from training import same_weights, weights

autograd = importlib.import_module("convkit.autograd")


def trunk():
    """Every kind of layer that can be frozen, and max-pooling, which could keep its argmax."""
    ck.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.ConvTranspose2d(8, 6, 2, stride=2), nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3), nn.LeakyReLU(0.2),
        nn.AvgPool2d(2), nn.Conv2d(6, 10, 1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(90, 12),
    )  # fmt: skip


def images(n=6):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 15, 15, 3)).astype(np.float32), rng.integers(0, 2, n)


@pytest.fixture
def recorded(monkeypatch):
    """The nodes recorded while the test runs."""
    nodes = []

    class Counted(autograd.Node):
        __slots__ = ()

        def __init__(self, *arguments):
            super().__init__(*arguments)
            nodes.append(self)

    monkeypatch.setattr(autograd, "Node", Counted)
    return nodes


@pytest.mark.parametrize(
    "build, size",
    [(trunk, 15), (lambda: ck.models.mobilenet_v2(include_top=False), 32), (lambda: ck.models.resnet20(), 8)],
)
def test_a_frozen_trunk_records_nothing(recorded, build, size):
    model = build().train()
    x = ck.tensor(np.ones((2, size, size, 3), np.float32))
    assert model(x).requires_grad
    assert recorded
    recorded.clear()
    assert not model.requires_grad_(False)(x).requires_grad
    assert recorded == []
    assert model.requires_grad_()(x).requires_grad  # and thaws


def test_only_the_head_has_a_backward_pass(recorded, monkeypatch):
    frozen, head = trunk().requires_grad_(False), nn.Linear(12, 2)
    model = nn.Sequential(frozen, head).train()
    x, y = images()
    wanted = []
    max_pool2d = ck._core.max_pool2d
    monkeypatch.setattr(ck._core, "max_pool2d", lambda *a: (wanted.append(a[2]), max_pool2d(*a))[1])
    loss = ck.cross_entropy(model(ck.tensor(x)), y)
    assert wanted == [False]  # no argmax is made, let alone kept; the second pooling is part of a convolution
    assert len(recorded) == 2  # the dense layer and the loss
    loss.backward()
    assert all(p.grad is None for p in frozen.parameters()) and head.weight.grad is not None


def test_frozen_batch_normalisation_keeps_its_statistics():
    x = ck.tensor(images()[0])
    norm = nn.BatchNorm2d(3)
    norm(x)
    before = weights(norm)
    norm.requires_grad_(False)
    frozen = norm.train()(x)
    same_weights(weights(norm), before)
    np.testing.assert_array_equal(frozen.numpy(), norm.eval()(x).numpy())
    norm.weight.requires_grad = True  # learns again, in part
    norm.train()(x)
    assert norm.num_batches_tracked.item() == 2
    plain = nn.BatchNorm2d(3, affine=False).requires_grad_(False)  # has nothing to freeze
    plain(x)
    assert plain.num_batches_tracked.item() == 1


def test_a_frozen_trunk_computes_the_same_in_training_and_evaluation():
    model = trunk()
    x = ck.tensor(images()[0])
    model(x)  # the running statistics are not those of the batch
    model.requires_grad_(False)
    before = weights(model)
    trained = model.train()(x).numpy()
    same_weights(weights(model), before)
    np.testing.assert_array_equal(trained, model.eval()(x).numpy())  # folded in both
    unfused = x
    for layer in model:
        unfused = layer(unfused)
    np.testing.assert_allclose(trained, unfused.numpy(), rtol=1e-4, atol=1e-5)


def test_gradients_pass_through_a_frozen_layer():
    """To the layers below it, as when only the middle is frozen; against the same layers without the freeze."""
    x, y = images()

    def gradient(freeze):
        ck.manual_seed(1)
        below, middle, head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4).eval(), nn.Linear(4, 2)
        middle.running_var.copy_(np.array([1.0, 2, 3, 4], np.float32))
        if freeze:
            middle.requires_grad_(False).train()
        pooled = ck.adaptive_avg_pool2d(middle(below(ck.tensor(x))), 1)
        ck.cross_entropy(head(ck.flatten(pooled)), y).backward()
        assert (middle.weight.grad is None) == freeze
        return below.weight.grad.numpy()

    np.testing.assert_array_equal(gradient(True), gradient(False))


def test_features_are_what_the_model_returns():
    model, (x, y) = trunk().train(), images(7)
    before = weights(model)
    values, labels = ck.train.features(model, (x, y), batch_size=3)
    assert values.dtype == np.float32 and values.shape == (7, 12) and model.training
    np.testing.assert_array_equal(labels, y)
    same_weights(weights(model), before)
    np.testing.assert_array_equal(values, ck.train.predict(model, x, batch_size=3))
    loader = ck.data.DataLoader((x, y), 2, shuffle=True, seed=3)
    shuffled, order = ck.train.features(model, loader, steps=2)
    assert shuffled.shape == (4, 12) and order.shape == (4,)
    assert not model(ck.tensor(x[:1])).numpy().flags.writeable and values.flags.owndata
    with pytest.raises(ValueError, match=r"\[train.features\] the data must hold at least one batch"):
        ck.train.features(model, (x[:0], y[:0]))


def test_a_head_on_cached_features_learns_what_it_learns_on_the_trunk():
    data = images(12)

    def run(cached):
        ck.manual_seed(2)
        frozen, head = trunk().requires_grad_(False), nn.Linear(12, 2)
        model = head if cached else nn.Sequential(frozen, head)
        given = ck.train.features(frozen, data, batch_size=4) if cached else data
        optimizer = ck.optim.Adam(model.parameters(), lr=0.05)
        history = ck.train.fit(model, given, epochs=4, batch_size=4, optimizer=optimizer, progress=False)
        return history["loss"], weights(head)

    (cached_loss, cached), (loss, whole) = run(True), run(False)
    np.testing.assert_allclose(cached_loss, loss, rtol=1e-5)
    for name in whole:
        np.testing.assert_allclose(cached[name], whole[name], rtol=1e-4, atol=1e-5)


def test_fit_changes_the_head_alone_and_keeps_the_best_epoch(tmp_path):
    frozen = ck.models.mobilenet_v2(include_top=False).requires_grad_(False)
    model = nn.Sequential(frozen, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(1280, 2))
    model.classes = ["hot_dog", "not_hot_dog"]
    x, y = np.random.default_rng(0).random((8, 32, 32, 3), np.float32), np.arange(8) % 2
    before, start = weights(frozen), weights(model[4])
    optimizer = ck.optim.AdamW(model.parameters(), lr=1.0)  # so large that the best epoch is not the last
    options = {"validation_data": (x, y), "batch_size": 4, "checkpoint_dir": tmp_path, "progress": False}
    history = ck.train.fit(model, (x, y), epochs=5, optimizer=optimizer, **options)
    same_weights(weights(frozen), before)
    assert (weights(model[4])["weight"] != start["weight"]).any()
    best = history["val_accuracy"].index(max(history["val_accuracy"]))
    model.load(tmp_path / "best.safetensors")
    assert ck.train.evaluate(model, (x, y))["accuracy"] == history["val_accuracy"][best]
    assert ck.train.evaluate(model, (x, y))["loss"] == pytest.approx(history["val_loss"][best], rel=1e-5)


def test_the_books_head_has_50178_parameters():
    trunk = nn.Sequential(nn.MaxPool2d(32), nn.Conv2d(3, 512, 1))  # as vgg19(include_top=False) does: 224 -> 7x7x512
    model = nn.Sequential(trunk.requires_grad_(False), nn.Flatten(), nn.Dropout(0.5), nn.Linear(7 * 7 * 512, 2))
    summary = model.summary((224, 224, 3))
    assert summary.trainable_params == 50_178 and summary.total_params == 50_178 + 4 * 512
