"""Models: parameter counts, shapes, weight files that rebuild them."""

import json

import numpy as np
import pytest

import convkit as ck
from convkit import models, nn, weights


def rand(*shape, seed=0):
    return ck.tensor(np.random.default_rng(seed).random(shape, np.float32))


COUNTS = {"lenet5": 61_706, "illustrated.lenet": 1_199_882}
FEATURES = {"lenet5": (5, 5, 16), "illustrated.lenet": (12, 12, 64)}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_shapes(name):
    model = models.build(name)
    assert model.num_parameters() == COUNTS[name]
    assert model(rand(2, 28, 28, 1)).shape == (2, 10)
    assert models.build(name, num_classes=3, in_channels=2).eval()(rand(1, 28, 28, 2)).shape == (1, 3)
    assert models.build(name, include_top=False)(rand(1, 28, 28, 1)).shape == (1, *FEATURES[name])


@pytest.mark.parametrize(
    "name,trainable,moving,features",
    [
        ("illustrated.alexnet", 21_881_681, 1_472, (1, 1, 384)),
        ("illustrated.vggnet", 33_669_841, 2_944, (1, 1, 512)),
    ],
)
def test_the_larger_nets_of_the_chapter(name, trainable, moving, features):
    model = models.build(name)
    assert model.num_parameters() == trainable
    summary = model.summary((224, 224, 3))
    assert (summary.trainable_params, summary.total_params) == (trainable, trainable + moving)
    assert summary.rows[-1].output_shape == (17,)
    assert next(row for row in summary.rows if row.name == "flatten").output_shape == (np.prod(features),)
    assert all((m.eps, m.momentum) == (1e-3, 0.01) for m in model.modules() if isinstance(m, nn.BatchNorm2d))
    without = models.build(name, include_top=False)
    assert not any(isinstance(m, nn.Linear) for m in without.modules())
    assert isinstance(without[-1], nn.BatchNorm2d)


def test_factories_by_attribute():
    assert models.lenet5().num_parameters() == 61_706
    assert models.illustrated.lenet().num_parameters() == 1_199_882
    assert {"lenet5", "illustrated.lenet"} <= set(models.names())


def test_illustrated_lenet_starts_as_keras_does():
    ck.manual_seed(0)
    model = models.illustrated.lenet()
    fans = {"conv1": (9, 288), "conv2": (288, 576), "dense1": (9216, 128), "dense2": (128, 10)}
    for name, (fan_in, fan_out) in fans.items():
        layer = getattr(model, name)
        limit = np.sqrt(6 / (fan_in + fan_out))
        assert 0.9 * limit < np.abs(layer.weight.numpy()).max() <= limit * (1 + 1e-6)
        assert not layer.bias.numpy().any()


def test_illustrated_lenet_is_example_10_3():
    model = models.illustrated.lenet()
    assert [type(layer).__name__ for layer in model] == [
        *("Conv2d", "ReLU", "Conv2d", "ReLU", "MaxPool2d", "Dropout", "Flatten"),
        *("Linear", "ReLU", "Dropout", "Linear"),
    ]
    assert (model.dropout1.p, model.dropout2.p) == (0.25, 0.5)
    x = rand(2, 28, 28, 1)
    model.eval()
    h = ck.relu(ck.conv2d(x, model.conv1.weight, model.conv1.bias))
    h = ck.max_pool2d(ck.relu(ck.conv2d(h, model.conv2.weight, model.conv2.bias)), 2)
    h = ck.relu(ck.linear(ck.flatten(h), model.dense1.weight, model.dense1.bias))
    expected = ck.linear(h, model.dense2.weight, model.dense2.bias)
    np.testing.assert_allclose(model(x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)


def test_unknown_names_and_arguments():
    with pytest.raises(ValueError, match=r"\[models\] .* Received: 'lenet6'; known: .*lenet5"):
        models.build("lenet6")
    with pytest.raises(TypeError):
        models.lenet5(colour=True)


def test_save_and_rebuild(tmp_path):
    ck.manual_seed(1)
    model = models.lenet5(3, in_channels=2)
    model.classes = ["cat", "dog", "owl"]
    model.normalisation = {"mean": [0.5, 0.25], "std": [1.0, 2.0]}
    model.save(tmp_path / "m.safetensors")
    metadata = weights.load(tmp_path / "m.safetensors")[1]
    assert metadata["model"] == "lenet5"
    assert json.loads(metadata["model arguments"]) == {"num_classes": 3, "in_channels": 2, "include_top": True}
    assert json.loads(metadata["classes"]) == ["cat", "dog", "owl"]
    assert json.loads(metadata["normalisation"]) == {"mean": [0.5, 0.25], "std": [1.0, 2.0]}

    again = models.load(tmp_path / "m.safetensors")
    assert again.classes == model.classes and again.normalisation == model.normalisation
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name].numpy(), value.numpy())
    x = rand(1, 28, 28, 2)
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "m.safetensors").read_bytes()


def test_a_model_of_ones_own(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    model(rand(2, 5, 5, 1))
    model.save(tmp_path / "m")
    twin = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert twin.load(tmp_path / "m") is twin
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name].numpy(), value.numpy())
    assert twin[1].num_batches_tracked.item() == 1 and twin[1].num_batches_tracked.dtype == np.int64
    with pytest.raises(
        ValueError, match=r"\[models.load\] .* holds no model of convkit.models; .* Received: model 'Sequential'; known"
    ):
        models.load(tmp_path / "m")
    with pytest.raises(
        ValueError, match=r"\[load_state_dict\] the state does not fit this Linear. missing: weight, bias"
    ):
        nn.Linear(2, 2).load(tmp_path / "m")


def test_the_state_of_a_training_run_is_not_the_models(tmp_path):
    model = nn.Linear(2, 2)
    tensors = {**model.state_dict(), "training/optimizer/0": np.zeros(3)}
    weights.save(tmp_path / "last", tensors, model._metadata())
    nn.Linear(2, 2).load(tmp_path / "last")


def test_half_precision_files_load(tmp_path):
    model = nn.Linear(2, 3)
    half = {name: value.numpy().astype(np.float16) for name, value in model.state_dict().items()}
    weights.save(tmp_path / "half", half)
    twin = nn.Linear(2, 3).load(tmp_path / "half")
    assert twin.weight.dtype == np.float32
    np.testing.assert_array_equal(twin.weight.numpy(), half["weight"].astype(np.float32))


@pytest.mark.parametrize(
    "key,text,message",
    [
        ("model", "resnet9", "holds no model of convkit.models; .* model 'resnet9'"),
        ("model arguments", "{", "'model arguments' is not JSON"),
        ("model arguments", "[]", r"is not a JSON dict. Received: \[\]"),
        ("model arguments", '{"layers": 3}', "wrong arguments for lenet5"),
        ("model arguments", '{"num_classes": 4}', "wrong shape: dense3.weight"),
        ("model arguments", '{"num_classes": -4}', r"\[Linear\]"),
        ("classes", '{"a": 1}', "is not a JSON list"),
        ("normalisation", "[" * 100_000, "is not JSON"),
    ],
)
def test_damaged_metadata(tmp_path, key, text, message):
    model = models.lenet5()
    weights.save(tmp_path / "m", model.state_dict(), {**model._metadata(), key: text})
    with pytest.raises(ValueError, match=message):
        models.load(tmp_path / "m")


TORCH = {"Tanh": "tanh", "ReLU": "relu", "AvgPool2d": "avg_pool2d", "MaxPool2d": "max_pool2d"}


@pytest.mark.cpu_only
@pytest.mark.parametrize("name", COUNTS)
def test_loss_and_gradients_as_torch(name):
    torch = pytest.importorskip("torch")
    ck.manual_seed(2)
    model = models.build(name).to(ck.float64).eval()
    images, labels = np.random.default_rng(3).random((3, 28, 28, 1)), np.array([1, 7, 7])
    loss = ck.cross_entropy(model(ck.tensor(images)), labels)
    loss.backward()

    theirs = {key: torch.tensor(p.numpy().copy(), requires_grad=True) for key, p in model.named_parameters()}
    x = torch.tensor(images).permute(0, 3, 1, 2)
    for key, layer in model.named_children():
        weight, bias = theirs.get(f"{key}.weight"), theirs.get(f"{key}.bias")
        if isinstance(layer, nn.Conv2d):
            x = torch.conv2d(x, weight.permute(0, 3, 1, 2), bias, padding=layer.padding)
        elif isinstance(layer, nn.Linear):
            x = torch.nn.functional.linear(x, weight, bias)
        elif isinstance(layer, nn.Flatten):
            x = x.permute(0, 2, 3, 1).flatten(1)
        elif isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
            x = getattr(torch.nn.functional, TORCH[type(layer).__name__])(x, 2)
        elif not isinstance(layer, nn.Dropout):
            x = getattr(torch, TORCH[type(layer).__name__])(x)
    expected = torch.nn.functional.cross_entropy(x, torch.tensor(labels))
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for key, p in model.named_parameters():
        # float64 sums of at most 9,216 products of values of size about 1
        np.testing.assert_allclose(p.grad.numpy(), theirs[key].grad.numpy(), rtol=1e-9, atol=1e-12)
