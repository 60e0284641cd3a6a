"""load_keras on files in the layouts that Keras writes, and the preprocessing that published weights expect."""

import sys

import numpy as np
import pytest

import convkit as ck
from convkit import data, interop, models, nn

h5py = pytest.importorskip("h5py", reason="Keras' weight files are HDF5")

# Keras' name of a layer, the kind that Keras 3 counts by, and its weights in Keras' order and layout
Layer = tuple[str, str, dict[str, np.ndarray]]


def conv(name, r, s, c, o, rng) -> Layer:
    return name, "conv2d", {"kernel": rng.standard_normal((r, s, c, o)), "bias": rng.standard_normal(o)}


def dense(name, inputs, outputs, rng) -> Layer:
    return name, "dense", {"kernel": rng.standard_normal((inputs, outputs)), "bias": rng.standard_normal(outputs)}


def norm(name, channels, rng) -> Layer:
    draws = {key: rng.standard_normal(channels) for key in ("gamma", "beta", "moving_mean")}
    return name, "batch_normalization", draws | {"moving_variance": rng.random(channels) + 0.5}


def network():
    """Eleven convolutions, so that counting by text would put the eleventh second."""
    trunk = [nn.Conv2d(2 if i == 0 else 3, 3, 1) for i in range(11)]
    return nn.Sequential(
        *trunk,
        nn.MaxPool2d(2),
        nn.BatchNorm2d(3, eps=1e-3),
        nn.Flatten(),
        nn.Linear(3 * 2 * 4, 5),
        nn.ReLU(),
        nn.Linear(5, 4),
    )


def keras_layers(seed=0) -> list[Layer]:
    rng = np.random.default_rng(seed)
    layers = [conv(f"conv_{'abcdefghijk'[i]}", 1, 1, 2 if i == 0 else 3, 3, rng) for i in range(11)]
    layers += [("pool", "max_pooling2d", {}), norm("bn", 3, rng), ("flatten", "flatten", {})]
    layers += [dense("fc1", 24, 5, rng), dense("predictions", 5, 4, rng)]
    return [(name, kind, {k: v.astype(np.float32) for k, v in weights.items()}) for name, kind, weights in layers]


def write_legacy(path, layers, old_names=False, nested=False):
    """Attributes layer_names and weight_names; as keras-applications' files, TensorFlow-Keras' and whole models."""
    with h5py.File(path, "w") as file:
        top = file.create_group("model_weights") if nested else file
        top.attrs["layer_names"] = [name.encode() for name, _, _ in layers]
        for name, _, weights in layers:
            group, names = top.create_group(name), []
            for key, value in weights.items():
                short = {"kernel": "W", "bias": "b"}.get(key, key)
                names.append(f"{name}_{short}_1:0" if old_names else f"{name}/{key}:0")
                group.create_dataset(names[-1], data=value)
            group.attrs["weight_names"] = [n.encode() for n in names]
    return path


def write_keras3(path, layers, container="layers"):
    """Keras 3 counts the layers of each class: conv2d, conv2d_1, ...; those without weights have an empty group."""
    counts = {}
    with h5py.File(path, "w") as file:
        file.create_group("vars")
        for name, kind, weights in layers:
            number = counts[kind] = counts.get(kind, -1) + 1
            group = file.create_group(f"{container}/{kind}_{number}" if number else f"{container}/{kind}")
            group = group.create_group("vars")
            group.attrs["name"] = name
            for index, value in enumerate(weights.values()):
                group.create_dataset(str(index), data=value)
    return path


WRITERS = {
    "keras-applications": lambda path, layers: write_legacy(path, layers, old_names=True),
    "tensorflow": write_legacy,
    "whole model": lambda path, layers: write_legacy(path, layers, nested=True),
    "keras 3": write_keras3,
    "keras 2.13": lambda path, layers: write_keras3(path, layers, "_layer_checkpoint_dependencies"),
}


def computed(layers, x):
    """The network in numpy, in Keras' conventions."""
    for _, kind, weights in layers:
        w = {key: value.astype(np.float64) for key, value in weights.items()}
        if kind == "conv2d":
            x = x @ w["kernel"][0, 0] + w["bias"]
        elif kind == "max_pooling2d":
            n, h, k, c = x.shape
            x = x.reshape(n, h // 2, 2, k // 2, 2, c).max((2, 4))
        elif kind == "batch_normalization":
            x = (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w["gamma"] + w["beta"]
        elif kind == "flatten":
            x = x.reshape(len(x), -1)
        else:
            x = x @ w["kernel"] + w["bias"]
            x = np.maximum(x, 0) if x.shape[1] == 5 else x
    return x


@pytest.mark.parametrize("layout", WRITERS)
def test_layouts(tmp_path, layout):
    layers, model = keras_layers(), network()
    assert interop.load_keras(WRITERS[layout](tmp_path / "w.h5", layers), model) == ([], [])
    images = np.random.default_rng(1).standard_normal((3, 4, 8, 2))
    found = model.to(ck.float64).eval()(ck.tensor(images)).numpy()
    np.testing.assert_allclose(found, computed(layers, images), rtol=1e-9, atol=1e-9)


VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


@pytest.mark.parametrize("name", VGG)
@pytest.mark.parametrize("layout", ["keras-applications", "keras 3"])
def test_vgg_without_the_top(tmp_path, monkeypatch, name, layout):
    """The layers of Keras' VGG16 and VGG19, each weight one number that says which it is."""
    for fill in ("uniform_", "normal_"):
        monkeypatch.setattr(nn.init, fill, lambda t, *args, **kwargs: t)
    layers, channels = [("input_1", "input_layer", {})], 3
    for block, depth in enumerate(VGG[name], 1):
        filters = min(64 << (block - 1), 512)
        for place in range(1, depth + 1):
            number = np.float32(len(layers))
            kernel = np.broadcast_to(number, (3, 3, channels, filters))
            weights = {"kernel": kernel, "bias": np.full(filters, -number)}
            layers.append((f"block{block}_conv{place}", "conv2d", weights))
            channels = filters
        layers.append((f"block{block}_pool", "max_pooling2d", {}))
    model = models.build(name, include_top=False)
    path = WRITERS[layout](tmp_path / "w.h5", layers)
    assert interop.load_keras(path, model) == ([], [])
    expected = [number for number, (_, kind, _) in enumerate(layers) if kind == "conv2d"]
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for number, layer in zip(expected, convolutions, strict=True):
        assert (layer.weight.numpy() == number).all() and (layer.bias.numpy() == -number).all()


def test_what_is_missing_and_left_over(tmp_path):
    model, layers = network(), keras_layers()
    before = model[16].weight.numpy().copy()
    path = write_legacy(tmp_path / "w.h5", layers[:-1])
    with pytest.raises(ValueError, match=r"does not fit this Sequential. missing: 16.weight, 16.bias"):
        interop.load_keras(path, model)
    assert interop.load_keras(path, model, strict=False) == (["16.weight", "16.bias"], [])
    np.testing.assert_array_equal(model[14].weight.numpy(), layers[-2][2]["kernel"].T)
    np.testing.assert_array_equal(model[16].weight.numpy(), before)
    extra = dense("more", 4, 4, np.random.default_rng(0))
    path = write_keras3(tmp_path / "w.h5", [*layers, extra])
    with pytest.raises(ValueError, match=r"has layers that this Sequential has not: dense_2"):
        interop.load_keras(path, model)
    assert interop.load_keras(path, model, strict=False) == ([], ["dense_2"])


def test_layers_without_some_weights(tmp_path):
    rng = np.random.default_rng(0)
    name, kind, weights = conv("c", 3, 3, 1, 2, rng)
    path = write_keras3(tmp_path / "w.h5", [(name, kind, {"kernel": weights["kernel"]})])
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False))
    interop.load_keras(path, model)
    np.testing.assert_array_equal(model[0].weight.numpy(), weights["kernel"].transpose(3, 0, 1, 2).astype(np.float32))
    with pytest.raises(ValueError, match=r"missing: 0\.bias"):
        interop.load_keras(path, nn.Sequential(nn.Conv2d(1, 2, 3)))
    # a normalisation without its scale: which vector is which cannot be known
    name, kind, weights = norm("bn", 2, rng)
    del weights["gamma"]
    with pytest.raises(ValueError, match="has not: batch_normalization"):
        interop.load_keras(write_keras3(path, [(name, kind, weights)]), nn.BatchNorm2d(2))


def test_other_shapes_are_one_error(tmp_path):
    path = write_legacy(tmp_path / "w.h5", keras_layers())
    model = network()
    model[14], model[16] = nn.Linear(23, 5), nn.Linear(5, 3)
    with pytest.raises(
        ValueError, match=r"w.h5' has other shapes .*fc1.* \(24, 5\), 14.weight \(5, 23\);.*16.bias \(3,\)"
    ):
        interop.load_keras(path, model, strict=False)


@pytest.mark.parametrize("layout", ["tensorflow", "keras 3"])
def test_damaged_files(tmp_path, layout):
    path = WRITERS[layout](tmp_path / "w.h5", keras_layers())
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, len(whole) // 60):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"\[load_keras\] damaged or foreign file .*w\.h5'"):
            interop.load_keras(path, network())
    with h5py.File(path, "w") as file:
        file["x"] = 3
    with pytest.raises(ValueError, match="damaged or foreign"):
        interop.load_keras(path, network())


def test_sizes_are_checked_before_anything_is_read(tmp_path):
    """A file of some kilobytes whose kernel claims 16 TiB of zeros."""
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", shape=(2**21, 2**21), dtype="f4", chunks=(8, 8))
    with pytest.raises(ValueError, match="has other shapes than the model"):
        interop.load_keras(tmp_path / "w.h5", nn.Sequential(nn.Linear(3, 2)))


def test_numbers_of_other_files_are_refused(tmp_path):
    """External links and storage, virtual data sets and soft links: a file must not tell what lies in another."""
    model, secret = nn.Sequential(nn.Linear(2, 3, bias=False)), tmp_path / "secret"
    numbers = np.arange(6, dtype=np.float32).reshape(2, 3)
    secret.write_bytes(numbers.tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["w"] = numbers
        file["dense/vars/0"] = numbers

    def linked(file):
        file["layers/dense/vars/0"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "w")

    def linked_above(file):
        file["layers"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/")

    def softly_linked(file):
        file["w"] = numbers
        file["layers/dense/vars/0"] = h5py.SoftLink("/w")

    def stored_elsewhere(file):
        file.create_dataset("layers/dense/vars/0", (2, 3), "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])

    def virtual(file):
        layout = h5py.VirtualLayout((2, 3), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "w", (2, 3))
        file.create_virtual_dataset("layers/dense/vars/0", layout)

    for write in (linked, linked_above, softly_linked, stored_elsewhere, virtual):
        with h5py.File(tmp_path / "w.h5", "w") as file:
            write(file)
        with pytest.raises(ValueError, match="in the file itself"):
            interop.load_keras(tmp_path / "w.h5", model)


def test_networks_in_the_network_are_left_over(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3, bias=False))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones((2, 3), np.float32)
        file["layers/lstm/cell/vars/0"] = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="has layers that this Sequential has not: lstm"):
        interop.load_keras(tmp_path / "w.h5", model)
    assert interop.load_keras(tmp_path / "w.h5", model, strict=False) == ([], ["lstm"])


def test_weights_that_are_not_numbers(tmp_path):
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 2), "S4")
    with pytest.raises(ValueError, match="holds"):
        interop.load_keras(tmp_path / "w.h5", nn.Sequential(nn.Linear(3, 2, bias=False)))


def test_errors_that_are_not_the_files(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError):
        interop.load_keras(tmp_path / "nowhere.h5", network())
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match=r'pip install "convkit\[keras\]"'):
        interop.load_keras(tmp_path / "nowhere.h5", network())


# Preprocessing

IMAGE = np.array([[[255, 0, 128], [1, 2, 3]]], np.uint8)


def test_torch_preprocessing():
    expected = (IMAGE / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    found = interop.torch_preprocess(IMAGE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found, data.Normalize(interop.TORCH_MEAN, interop.TORCH_STD)(IMAGE))


def test_caffe_preprocessing():
    found = interop.caffe_preprocess(IMAGE[None])
    assert found.dtype == np.float32 and found.shape == (1, 1, 2, 3)
    np.testing.assert_allclose(found[0, 0, 0], [128 - 103.939, -116.779, 255 - 123.68], rtol=1e-6)
    np.testing.assert_allclose(found[0, 0, 1], [3 - 103.939, 2 - 116.779, 1 - 123.68], rtol=1e-6)


@pytest.mark.parametrize("preprocess", [interop.torch_preprocess, interop.caffe_preprocess])
def test_images_that_are_refused(preprocess):
    with pytest.raises(TypeError, match=r"\[interop\.\w+\] images are uint8, 0 to 255. Received: float32"):
        preprocess(IMAGE.astype(np.float32))
    with pytest.raises(ValueError, match=r"are RGB, \[...,3\]. Received: shape \(1, 2, 2\)"):
        preprocess(IMAGE[..., :2])
