"""Training runs: learning, reproducibility, evaluation and prediction."""

import math

import numpy as np
import pytest

import convkit as ck
from convkit import nn
from training import network, problem, same_history, same_weights, train, weights


def test_it_learns():
    model, history = train(epochs=12, validation_data=problem(64, seed=1))
    assert history["loss"][-1] < 0.6 * history["loss"][0]
    assert history["val_accuracy"][-1] > 0.9
    assert {name: len(column) for name, column in history.items()} == dict.fromkeys(history, 12)
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"}
    assert ck.train.evaluate(model, problem(64, seed=1))["accuracy"] == history["val_accuracy"][-1]


def test_runs_repeat_bit_for_bit_on_any_number_of_threads(threads):
    runs = []
    for count in (1, 2, 1):
        threads(count)
        runs.append(train())
    for model, history in runs[1:]:
        same_weights(weights(model), weights(runs[0][0]))
        same_history(history, runs[0][1])
    assert train(seed=1)[1]["loss"] != runs[0][1]["loss"]


def test_loader_and_pair_give_the_same_run():
    loader = ck.data.DataLoader(problem(), 16, shuffle=True, seed=3)
    same_history(train(data=loader)[1], train(seed=3)[1])


def test_validation_is_the_evaluation_of_the_epoch():
    losses = []
    model = network()

    def record(epoch, figures):
        losses.append(ck.train.evaluate(model, problem(30, 1))["loss"])
        assert figures["val_loss"] == losses[-1]

    _, history = train(model, validation_data=problem(30, 1), batch_size=256, callbacks=[record])
    assert history["val_loss"] == losses
    _, history = train(validation_data=problem(30, 1), validation_steps=1, batch_size=16, epochs=1)
    first = ck.train.evaluate(_, tuple(a[:16] for a in problem(30, 1)))
    assert history["val_loss"] == [first["loss"]] and train()[1]["val_loss"] == []


REFINED = {"mixup": 0.4, "ema": 0.8, "class_weight": {1: 2.0}, "label_smoothing": 0.1}


@pytest.mark.cpu_only
@pytest.mark.parametrize("shares, options", [(False, {}), (False, REFINED), (True, {})])
def test_a_model_of_float64_trains_in_it(shares, options, tmp_path):
    """The run of float32 but for its rounding, which is checked loosely: Adam's first steps magnify it."""
    images, labels = problem()
    if shares:
        labels = np.eye(4, dtype=np.float32)[labels]
    narrow, single = train(data=(images, labels), **options)
    wide, double = train(network().to(np.float64), (images, labels), checkpoint_dir=tmp_path, **options)
    assert {parameter.dtype for parameter in wide.parameters()} == {ck.float64}
    np.testing.assert_allclose(double["loss"], single["loss"], rtol=1e-4)
    again, _ = train(network().to(np.float64), (images, labels), checkpoint_dir=tmp_path, resume=True, **options)
    same_weights(weights(again), weights(wide))
    figures = ck.train.evaluate(wide, (images, labels))
    np.testing.assert_allclose(figures["loss"], ck.train.evaluate(narrow, (images, labels))["loss"], rtol=1e-4)
    logits = ck.train.predict(wide, images)
    assert logits.dtype == np.float64 and ck.train.features(wide, (images, labels))[0].dtype == np.float64
    np.testing.assert_allclose(logits, ck.train.predict(narrow, images), rtol=1e-3, atol=1e-3)


# --- evaluation and prediction ---------------------------------------------------------------------------------------


def test_evaluate_and_predict():
    images, labels = problem(50)
    model = network(dropout=0.9)
    model[0].eval()  # a part with a mode of its own keeps it
    before = [module.training for module in model.modules()]
    logits = ck.train.predict(model, images, batch_size=16)
    assert logits.dtype == np.float32 and logits.shape == (50, 4) and logits.flags.writeable
    state = weights(model)
    hidden = np.maximum(images.reshape(50, 16) / 255 @ state["1.weight"].T + state["1.bias"], 0)
    expected = hidden @ state["4.weight"].T + state["4.bias"]
    # Sums of at most 17 products of factors below 1, twice.
    np.testing.assert_allclose(logits, expected, rtol=0, atol=17 * 2 * 17 * np.finfo(np.float32).eps)
    np.testing.assert_array_equal(ck.train.predict(model, images / np.float32(255), batch_size=16), logits)
    shares = ck.train.predict(model, images, probabilities=True)
    np.testing.assert_allclose(shares, np.exp(expected) / np.exp(expected).sum(1, keepdims=True), rtol=1e-4)
    figures = ck.train.evaluate(model, (images, labels), batch_size=16)
    picked = np.log(np.exp(expected).sum(1)) - expected[np.arange(50), labels]
    assert figures["accuracy"] == np.mean(expected.argmax(1) == labels)
    np.testing.assert_allclose(figures["loss"], picked.mean(), rtol=1e-5)
    assert [module.training for module in model.modules()] == before and not before[1]
    assert ck.train.predict(model, images[:0]).shape == (0, 4)


def test_mode_is_restored_after_an_error():
    model = network()
    with pytest.raises(ValueError):
        ck.train.evaluate(model, (np.zeros((4, 5, 5, 1), np.uint8), np.zeros(4, np.int64)))
    assert model.training
    model.eval()
    train(model)
    assert not model.training


def test_accuracy_of_other_labels():
    images, labels = problem(32)
    shares = np.eye(4, dtype=np.float32)[labels]
    model = network()
    numbers = ck.train.evaluate(model, (images, labels))
    probabilities = ck.train.evaluate(model, (images, shares))
    assert numbers["accuracy"] == probabilities["accuracy"]
    np.testing.assert_allclose(numbers["loss"], probabilities["loss"], rtol=1e-6)
    values = ck.train.evaluate(nn.Sequential(nn.Flatten(), nn.Linear(16, 1)), (images, shares[:, :1]), loss=ck.mse_loss)
    assert math.isnan(values["accuracy"]) and values["loss"] > 0
    assert all(math.isnan(value) for value in ck.train.evaluate(model, (images[:0], labels[:0])).values())
