"""The optional parts of a training step, one by one, and what fit refuses."""

import math

import numpy as np
import pytest

import convkit as ck
from convkit import nn
from training import network, problem, same_history, same_weights, train, weights


def test_early_stopping_counts_epochs_without_a_better_one():
    model = network()
    still = ck.optim.SGD(model.parameters(), lr=0.0)
    _, history = train(model, epochs=9, optimizer=still, early_stopping=3, validation_data=problem(20, 1))
    assert history.epochs == 4
    assert train(epochs=5, early_stopping=2)[1].epochs == 5  # the training loss falls


@pytest.mark.parametrize("steps", [2, 6, 15])
def test_steps_per_epoch(steps):
    class Count:
        steps = ()

        def on_batch_end(self, step, figures):
            self.steps += (step,)

    count = Count()
    train(steps_per_epoch=steps, callbacks=[count])
    assert count.steps == tuple(range(steps)) * 2


def test_scheduler_steps_per_batch():
    model = network()
    optimizer = ck.optim.SGD(model.parameters(), lr=1.0)
    scheduler = ck.optim.StepLR(optimizer, step_size=4, gamma=0.5)
    _, history = train(model, optimizer=optimizer, scheduler=scheduler)  # six batches per epoch
    assert history["lr"] == [0.5, 0.25] and optimizer.param_groups[0]["lr"] == 0.125


@pytest.mark.parametrize("limit", [1e-3, 1e6])
def test_clip_norm(limit):
    model = network(dropout=0.0)
    before = weights(model)
    data = problem(16)
    train(model, data, epochs=1, optimizer=ck.optim.SGD(model.parameters(), lr=1.0), clip_norm=limit)
    after = weights(model)
    moved = math.sqrt(sum(np.square(after[n] - before[n], dtype=np.float64).sum() for n in before))
    if limit < 1:
        # One rounding of each difference of numbers below 1, of 268 of them, in the worst case all one way.
        assert abs(moved - limit) < 268 * np.finfo(np.float32).eps
    else:
        model = network(dropout=0.0)
        train(model, data, epochs=1, optimizer=ck.optim.SGD(model.parameters(), lr=1.0))
        same_weights(weights(model), after)


def test_accumulated_batches_equal_one_large_batch():
    def run(**options):
        model = network(dropout=0.0)
        steps = ck.optim.SGD(model.parameters(), lr=0.5)
        return weights(train(model, optimizer=steps, epochs=1, shuffle=False, **options)[0])

    parts, whole = run(batch_size=8, accumulate=12), run(batch_size=96)
    for name in whole:
        # The mean of 12 means against one mean of 96 numbers below 1: a sum of 96 rounds at most 96 times.
        np.testing.assert_allclose(parts[name], whole[name], rtol=0, atol=96 * np.finfo(np.float32).eps)
    # 5 = 3 + 2 batches: the second update is the mean of two.
    cut = tuple(a[:40] for a in problem())
    model = network(dropout=0.0)
    optimizer = ck.optim.SGD(model.parameters(), lr=0.5)
    for rows in (slice(0, 24), slice(24, 40)):
        ck.cross_entropy(model(ck.tensor(cut[0][rows] / np.float32(255))), cut[1][rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
    other = network(dropout=0.0)
    train(
        other,
        cut,
        optimizer=ck.optim.SGD(other.parameters(), lr=0.5),
        epochs=1,
        shuffle=False,
        batch_size=8,
        accumulate=3,
    )
    for name, value in weights(other).items():
        np.testing.assert_allclose(value, weights(model)[name], rtol=0, atol=96 * np.finfo(np.float32).eps)


def test_mixup_mixes_images_and_losses():
    images = 255 * np.eye(16, dtype=np.uint8).reshape(16, 4, 4, 1)  # the mixed pixels name their images
    labels = problem(16)[1]
    inputs, losses = [], []

    class Record(nn.Module):
        def __init__(self):
            self.inner = network(dropout=0.0)

        def forward(self, x):
            inputs.append(x.numpy().reshape(16, 16).copy())
            return self.inner(x)

    def loss(logits, y):
        value = ck.cross_entropy(logits, y)
        losses.append((value.item(), y.numpy().tolist()))
        return value

    _, history = train(Record(), (images, labels), mixup=0.5, epochs=1, shuffle=False, loss=loss)
    (mixed,), (own, partner) = inputs, losses
    partners = np.argmax(mixed * (1 - np.eye(16)), axis=1)
    moved = mixed[np.arange(16), partners] > 0
    partners[~moved] = np.flatnonzero(~moved)
    assert sorted(partners) == list(range(16)) and moved.sum() > 8
    share = float(mixed.diagonal()[moved][0])
    np.testing.assert_allclose(mixed, share * np.eye(16) + (1 - share) * np.eye(16)[partners], rtol=1e-6)
    assert own[1] == labels.tolist() and partner[1] == labels[partners].tolist()
    np.testing.assert_allclose(history["loss"], [share * own[0] + (1 - share) * partner[0]], rtol=1e-6)


def test_mixup_repeats():
    first = train(mixup=0.3)[1]
    same_history(train(mixup=0.3)[1], first)
    assert train()[1]["loss"] != first["loss"] and len(set(first["loss"])) == 2


def test_ema_is_validated_saved_and_left_in_the_model(tmp_path):
    states = []
    model = network()

    class Record:
        def on_batch_end(self, step, figures):
            states.append(weights(model))

    _, history = train(
        model, epochs=1, ema=0.7, callbacks=[Record()], validation_data=problem(40, 1), checkpoint_dir=tmp_path
    )
    average = {name: value.astype(np.float64) for name, value in states[0].items()}
    for state in states[1:]:
        average = {name: 0.7 * average[name] + 0.3 * state[name] for name in average}
    for name, value in weights(model).items():
        # Each of the 6 updates rounds three times, at most |w| < 1 large.
        np.testing.assert_allclose(value, average[name], rtol=0, atol=18 * np.finfo(np.float32).eps)
    same_weights(weights(network().load(tmp_path / "best.safetensors")), weights(model))
    same_weights(weights(network().load(tmp_path / "last.safetensors")), states[-1])
    assert ck.train.evaluate(model, problem(40, 1), batch_size=16)["loss"] == history["val_loss"][0]


def test_ema_takes_integers_as_they_are():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(16, 4))
    train(model, ema=0.5)
    assert model.state_dict()["0.num_batches_tracked"].item() == 12


def test_class_weight():
    images, labels = problem(16)
    weight = np.array([1, 2, 0, 0.5], np.float32)

    def loss_of(**options):
        model = network(dropout=0.0)
        still = ck.optim.SGD(model.parameters(), lr=0.0)
        return train(model, (images, labels), optimizer=still, epochs=1, **options)[1]["loss"][0]

    model = network(dropout=0.0)
    logits = model(ck.tensor(images / np.float32(255)))
    order = np.arange(16)
    expected = ck.cross_entropy(logits[0:16], labels[order], weight=ck.tensor(weight)).item()
    assert loss_of(class_weight=weight, shuffle=False) == expected
    assert loss_of(class_weight={1: 2, 2: 0, 3: 0.5}, shuffle=False) == expected
    assert loss_of(shuffle=False) != expected


def test_label_smoothing_is_of_training_alone():
    data = problem(16)

    def figures(**options):
        model = network(dropout=0.0)
        still = ck.optim.SGD(model.parameters(), lr=0.0)
        history = train(model, data, optimizer=still, epochs=1, shuffle=False, validation_data=data, **options)[1]
        return history["loss"][0], history["val_loss"][0]

    logits = network(dropout=0.0)(ck.tensor(data[0] / np.float32(255)))
    smoothed = ck.cross_entropy(logits, data[1], label_smoothing=0.2, weight=np.float32([1, 2, 1, 1])).item()
    assert figures(label_smoothing=0.2, class_weight={1: 2}) == (smoothed, figures()[0])


@pytest.mark.parametrize("weight", [[1, 2, 3], [1, 1, 1, -1], [1, 1, 1, math.nan], {4: 1}, {"a": 1}])
def test_class_weight_refusals(weight):
    with pytest.raises(ValueError, match=r"\[train.fit\] class_weight must"):
        train(class_weight=weight)


def test_callbacks_end_the_run():
    calls = []

    def stop(epoch, figures):
        calls.append((epoch, sorted(figures)))
        return epoch == 1

    assert train(epochs=5, callbacks=[stop])[1].epochs == 2
    assert calls == [(epoch, ["accuracy", "loss", "lr", "seconds"]) for epoch in (0, 1)]

    class Watch:
        def on_batch_end(self, step, figures):
            return step == 2

        def on_epoch_end(self, epoch, figures):
            calls.append(epoch)

    assert train(epochs=5, callbacks=(Watch(),))[1].epochs == 1 and calls[-1] == 0


@pytest.mark.parametrize(
    "options, error, text",
    [
        ({"epochs": 0}, ValueError, "epochs must be an integer >= 1. Received: epochs=0"),
        ({"epochs": 1.5}, ValueError, "epochs must be an integer >= 1. Received: epochs=1.5"),
        ({"batch_size": 0}, ValueError, "batch_size must be an integer >= 1. Received: batch_size=0"),
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be an integer >= 1"),
        ({"validation_steps": -1}, ValueError, "validation_steps must be an integer >= 1"),
        ({"early_stopping": True}, ValueError, "early_stopping must be an integer >= 1"),
        ({"accumulate": None}, ValueError, "accumulate must be an integer >= 1"),
        ({"clip_norm": 0}, ValueError, "clip_norm must be positive. Received: clip_norm=0"),
        ({"mixup": -0.1}, ValueError, "mixup must be >= 0. Received: mixup=-0.1"),
        ({"mixup": math.nan}, ValueError, "mixup must be >= 0. Received: mixup=nan"),
        ({"ema": 1.0}, ValueError, "ema must be between 0 and 1. Received: ema=1.0"),
        ({"label_smoothing": 1.0}, ValueError, "label_smoothing must be in"),
        ({"label_smoothing": 0.1, "loss": ck.mse_loss}, ValueError, "label_smoothing needs a loss with a `label_smo"),
        pytest.param(
            {"cuda_graph": True},
            ValueError,
            "cuda_graph needs a model on a CUDA device. Received: a model on cpu",
            marks=pytest.mark.cpu_only,
        ),
        ({"optimizer": "adam"}, TypeError, "optimizer must be an optimizer of ck.optim. Received: 'adam'"),
        ({"class_weight": [1] * 4, "loss": ck.mse_loss}, ValueError, "class_weight needs a loss with a `weight`"),
        ({"data": (np.zeros((0, 4, 4, 1)), [])}, ValueError, "must hold at least one batch. Received: none"),
        ({"data": (np.zeros((3, 4, 4, 1)), [0])}, ValueError, "images and labels must pair up"),
        ({"data": problem()[0]}, TypeError, "data must be a pair of arrays"),
    ],
)
def test_fit_refusals(options, error, text):
    with pytest.raises(error, match=text):
        train(**options)


@pytest.mark.parametrize("options", [{"class_weight": [1.0, 2.0, 1.0]}, {"label_smoothing": 0.1}])
def test_losses_that_are_modules_have_their_own_arguments(options):
    with pytest.raises(ValueError, match=r"a module has arguments of its own: nn.CrossEntropyLoss\((weight|label_sm)"):
        train(loss=nn.CrossEntropyLoss(), **options)


def test_callbacks_are_refused_before_the_first_epoch():
    with pytest.raises(TypeError, match=r"a callback is a function or has on_batch_end or on_epoch_end. Received: 5"):
        train(callbacks=(5,))


@pytest.mark.parametrize("weight", [math.nan, math.inf])
def test_class_weights_are_finite(weight):
    with pytest.raises(ValueError, match="one finite weight >= 0 for each"):
        train(class_weight={0: weight})
