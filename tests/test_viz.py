"""Pictures: what they show, and that all of their text can be read."""

import sys

import numpy as np
import pytest

import convkit as ck
from convkit import nn, viz

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
IMAGES = np.random.default_rng(0).integers(0, 256, (30, 9, 11, 3), np.uint8)
LONG = ["a class with quite a long name", "of", "$1 or $2", "not_hot_dog", "W" * 30]


def texts(figure):
    """The texts that are drawn: ticks beyond the limits of their axis are not."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    FigureCanvasAgg(figure).draw()
    hidden = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            drawn = {id(tick) for tick in axis._update_ticks()} if axes.axison else set()
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            hidden |= {id(text) for tick in ticks if id(tick) not in drawn for text in tick.findobj(Text)}
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_visible() and artist.get_text())
    return [text for text in found if id(text) not in hidden]


def assert_legible(figure, path=None):
    """800 pixels wide, letters of 8 points and more, all text on the sheet and none upon another."""
    found = texts(figure)
    assert found
    sheet = figure.bbox
    assert sheet.width == 800
    boxes = []
    for text in found:
        assert text.get_fontsize() >= 8, text
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= sheet.width and box.y1 <= sheet.height, text
        boxes.append((text, box.padded(-1)))  # a pixel of the box's edge is empty
    for index, (one, box) in enumerate(boxes):
        for other, further in boxes[index + 1 :]:
            if one.get_rotation() == other.get_rotation() == 45:
                continue  # slanted neighbours: their boxes overlap, they do not; test_slanted_names looks at them
            assert not box.overlaps(further), f"{one} lies upon {other}"
    if path is not None:
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 2000


def words(figure):
    return [text.get_text() for text in texts(figure)]


# --- filters and maps ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, title, captions",
    [
        ((16, 3, 3, 1), "16 filters, 3x3x1", 16),
        ((96, 11, 11, 3), "64 of 96 filters, 11x11x3", 64),
        ((6, 5, 3, 4), "6 of 6 filters, 4 of 4 channels, 5x3x4", 24),
        ((32, 1, 1, 64), "8 of 32 filters, 8 of 64 channels, 1x1x64", 64),
        ((1, 7, 7, 3), "1 filters, 7x7x3", 1),
    ],
)
def test_filters(tmp_path, shape, title, captions):
    weights = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    figure = viz.filters(weights, tmp_path / "f.png")
    assert_legible(figure, tmp_path / "f.png")
    assert title in words(figure)
    assert len([w for w in words(figure) if w.partition(",")[0].isdigit()]) >= captions
    assert any("weight" in w for w in words(figure))


def test_filters_of_a_layer_and_their_scale():
    layer = nn.Conv2d(1, 4, 3)
    layer.weight.copy_(np.arange(36, dtype=np.float32).reshape(4, 3, 3, 1) - 10)
    figure = viz.filters(layer, limit=3, title="mine")
    tiles = figure.axes[0].images
    assert len(tiles) == 3 and "mine" in words(figure)
    np.testing.assert_array_equal(tiles[2].get_array(), np.arange(18, 27).reshape(3, 3) - 10)
    assert {tile.get_clim() for tile in tiles} == {(-16, 16)}
    with pytest.raises(ValueError, match=r"\[viz.filters\] filters must have shape \[O,R,S,C\]. Received: \(3, 3\)"):
        viz.filters(np.zeros((3, 3)))
    viz.filters(np.zeros((2, 3, 3, 1)))  # no weight to divide by


def network():
    ck.manual_seed(0)
    return nn.Sequential(
        {
            "conv1": nn.Conv2d(3, 16, 3, padding=1),
            "norm": nn.BatchNorm2d(16),
            "relu": nn.ReLU(),
            "more": nn.Sequential(nn.Conv2d(16, 70, 3), nn.ReLU()),
            "pool": nn.AdaptiveAvgPool2d(1),
            "flatten": nn.Flatten(),
            "dense": nn.Linear(70, 2),
        }
    )


def test_activation_maps_are_what_the_layer_returns():
    model = network().train()
    got = viz.activation_maps(model, IMAGES[0], "conv1")
    x = (IMAGES[:1] / np.float32(255)).astype(np.float32)
    np.testing.assert_array_equal(got, model.conv1(ck.tensor(x)).numpy()[0])
    assert got.shape == (9, 11, 16) and got.flags.writeable and model.training
    assert viz.activation_maps(model, x[0], model.relu).min() == 0
    assert viz.activation_maps(model, x[0], "more.0").shape == (7, 9, 70)
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.cpu_only
def test_activation_maps_of_a_model_of_float64():
    wide = viz.activation_maps(network().to(np.float64), IMAGES[0], "conv1")
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, viz.activation_maps(network(), IMAGES[0], "conv1"), rtol=1e-4, atol=1e-5)


def test_activation_map_refusals():
    model = network()
    for layer, text in (
        ("conv9", "no such layer. Received: 'conv9'; known: , conv1"),
        (nn.ReLU(), "no such layer"),
        ("dense", r"must return maps \[N,P,Q,C\]. Received: 'dense', which returned shape \(1, 2\)"),
    ):
        with pytest.raises(ValueError, match=text):
            viz.activation_maps(model, IMAGES[0], layer)
    with pytest.raises(ValueError, match=r"an image has shape \[H,W,C\]. Received: \(30, 9, 11, 3\)"):
        viz.activation_maps(model, IMAGES, "conv1")
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("layer, title", [("conv1", "conv1: 16 maps, 9x11"), ("more.0", "more.0: 64 of 70 maps, 7x9")])
def test_activations(tmp_path, layer, title):
    figure = viz.activations(network(), IMAGES[0], layer, tmp_path / "a.png")
    assert_legible(figure, tmp_path / "a.png")
    assert {title, "the image, 9x11x3", "activation"} <= set(words(figure))
    maps = viz.activation_maps(network(), IMAGES[0], layer)
    np.testing.assert_array_equal(figure.axes[1].images[3].get_array(), maps[..., 3])


def test_an_image_that_is_no_picture_is_left_out():
    figure = viz.activations(network(), (IMAGES[0] / 64 - 2).astype(np.float32), "conv1")
    assert_legible(figure)
    assert not any("the image" in word for word in words(figure))
    viz.activations(network(), np.zeros((9, 11, 3), np.float32), network().conv1 and "relu")  # one value throughout


# --- results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 5, 10, 25, 60])
def test_confusion_matrix(tmp_path, classes):
    rng = np.random.default_rng(0)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, 2000)])
    predicted = np.where(rng.random(len(labels)) < 0.7, labels, rng.integers(0, classes, len(labels)))
    names = (LONG * 12)[:classes]
    figure = viz.confusion_matrix(labels, predicted, tmp_path / "c.png", classes=names)
    assert_legible(figure, tmp_path / "c.png")
    shares = figure.axes[0].images[0].get_array()
    expected = np.array([[((labels == i) & (predicted == j)).mean() for j in range(classes)] for i in range(classes)])
    np.testing.assert_allclose(shares, expected / expected.sum(1, keepdims=True), rtol=1e-12)
    assert f"{(labels == predicted).sum():,} of {len(labels):,} right" in " ".join(words(figure))
    counts = sorted(int(text.get_text()) for text in figure.axes[0].texts)
    whole = np.rint(expected[expected > 0] * len(labels)).astype(int)
    assert counts == (sorted(whole.tolist()) if classes <= 25 else [])


def test_slanted_names_keep_their_distance():
    """At 45 degrees two names one cell apart are a cell / sqrt(2) apart, and a line of text must fit into that."""
    figure = viz.confusion_matrix(np.arange(25), np.arange(25), classes=(LONG * 5)[:25])
    labels = [t for t in texts(figure) if t.get_rotation() == 45]
    places = sorted(t.get_window_extent().x1 for t in labels)
    line = 8 / 72 * 100 * 1.2
    assert len(labels) == 25 and min(np.diff(places)) / np.sqrt(2) > line


def test_values_are_predictions_too():
    values = np.array([[0.1, 0.7, 0.2], [2.0, 1, 0]])
    figure = viz.confusion_matrix([1, 2], values)
    assert figure.axes[0].images[0].get_array().tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]
    assert "1 of 2 right: accuracy 50.0%" in words(figure)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_misclassified(tmp_path, channels, dtype):
    rng = np.random.default_rng(0)
    images = IMAGES[..., :channels] if dtype == np.uint8 else (IMAGES[..., :channels] / 255).astype(dtype)
    labels, logits = rng.integers(0, 5, 30), rng.standard_normal((30, 5))
    figure = viz.misclassified(images, labels, logits, tmp_path / "m.png", classes=LONG)
    assert_legible(figure, tmp_path / "m.png")
    wrong = np.flatnonzero(logits.argmax(1) != labels)
    powers = np.exp(logits)
    surety = (powers / powers.sum(1, keepdims=True)).max(1)
    first = wrong[np.argmax(surety[wrong])]
    assert f"{len(wrong)} of 30 images misclassified, the 20 most decided ones" in words(figure)
    tiles = figure.axes[0].images
    assert len(tiles) == 20
    np.testing.assert_array_equal(tiles[0].get_array(), images[first] if channels == 3 else images[first, ..., 0])
    caption = figure.axes[0].texts[0].get_text()
    assert caption.endswith(f"{surety[first]:.0%}") and caption[:4] == LONG[labels[first]].replace("$", r"\$")[:4]


def test_misclassified_by_class_numbers():
    figure = viz.misclassified(IMAGES[:3], [0, 1, 2], [0, 2, 1], limit=1)
    assert_legible(figure)
    assert "1\nnot 2" in words(figure)
    none = viz.misclassified(IMAGES[:3], [0, 1, 2], [0, 1, 2])
    assert_legible(none)
    assert words(none) == ["0 of 3 images misclassified"]


def test_result_refusals():
    for labels, predicted in (([0.5], [1]), ([0, 1], [1]), ([], []), ([[0]], [[1, 2]])):
        with pytest.raises(ValueError, match=r"\[viz.confusion_matrix\] labels must be class numbers"):
            viz.confusion_matrix(np.array(labels), np.array(predicted))
    with pytest.raises(ValueError, match=r"class numbers are at least 0. Received: -1"):
        viz.confusion_matrix([0, -1], [0, 1])
    with pytest.raises(ValueError, match=r"classes must name all 3 classes. Received: 2 names"):
        viz.confusion_matrix([0, 1], [0, 2], classes=["a", "b"])
    with pytest.raises(ValueError, match=r"one image \[H,W,1 or 3\] per label. Received: images \(30, 9, 11, 3\)"):
        viz.misclassified(IMAGES, [0, 1], [0, 1])


def history(epochs=12, validation=True):
    falling = np.exp(-np.arange(epochs) / 4)
    found = {"loss": list(falling), "accuracy": list(1 - falling / 2), "val_loss": [], "val_accuracy": []}
    if validation:
        found |= {"val_loss": list(falling * 1.2), "val_accuracy": list(0.9 - falling / 2)}
    return ck.train.History(found)


def test_learning_curves(tmp_path):
    figure = viz.learning_curves(history(), tmp_path / "l.png")
    assert_legible(figure, tmp_path / "l.png")
    assert {"training", "validation", "epoch", "accuracy (share of images)"} <= set(words(figure))
    drawn = figure.axes[0].lines[1]
    assert drawn.get_xdata().tolist() == list(range(1, 13)) and list(drawn.get_ydata()) == history()["val_loss"]
    several = viz.learning_curves(
        {"resnet20": history(90), "plain20": history(1), "a third": history(validation=False)}
    )
    assert_legible(several)
    assert {"resnet20, training", "plain20, validation", "a third, training"} <= set(words(several))
    assert len(several.axes[0].lines) == 5


def test_learning_curves_without_an_accuracy():
    loss_only = history() | {"accuracy": [float("nan")] * 12, "val_accuracy": [None] * 12}
    figure = viz.learning_curves(loss_only)
    assert_legible(figure)
    assert len(figure.axes) == 1
    for empty in ({}, ck.train.History(), {"a": history(), "b": ck.train.History()}):
        with pytest.raises(ValueError, match="at least one epoch"):
            viz.learning_curves(empty)


# --- the diagram -----------------------------------------------------------------------------------------------------


def test_diagram_of_the_books_lenet(tmp_path):
    figure = viz.diagram(ck.models.illustrated.lenet(), path=tmp_path / "d.png")
    assert_legible(figure, tmp_path / "d.png")
    found = words(figure)
    for text in (
        "illustrated.lenet: 1,199,882 parameters",
        "28 x 28 x 1  (784 values)",
        "conv1: Conv2d + ReLU",
        "320 parameters",
        "24 x 24 x 64  (36,864 values)",
        "9,216 values",
        "1,179,776 parameters",
    ):
        assert text in found
    assert found.count("no parameters") == 4


def test_diagram_joins_what_lies_deep():
    figure = viz.diagram(ck.models.resnet20(), depth=1)
    assert_legible(figure)
    names = [word for word in words(figure) if ": " in word and "parameters" not in word]
    assert names == [
        "conv1: Conv2d",
        "bn1: BatchNorm2d + ReLU",
        "layer1: Sequential",
        "layer2: Sequential",
        "layer3: Sequential",
        "avgpool: AdaptiveAvgPool2d",
        "flatten: Flatten",
        "fc: Linear",
    ]
    assert "269,722 parameters" in " ".join(words(figure))
    stages = [int(w.split()[0].replace(",", "")) for w in words(figure) if w.endswith("parameters") and w[0].isdigit()]
    assert sum(stages) == ck.models.resnet20().summary((32, 32, 3)).total_params
    whole = viz.diagram(network(), (9, 11, 3), depth=2)
    assert "more.0: Conv2d + ReLU" in words(whole)
    assert len([w for w in words(viz.diagram(ck.models.mobilenet_v2(), depth=2)) if w.startswith("features.")]) == 19
    assert_legible(viz.diagram(nn.Linear(3, 4), (3,)))
    with pytest.raises(ValueError, match="pass input_shape"):
        viz.diagram(network())


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install "convkit\[viz\]"'):
        viz.filters(np.ones((1, 3, 3, 3)))
    assert viz.activation_maps(network(), IMAGES[0], "conv1").shape == (9, 11, 16)


def test_a_loss_that_was_never_finite():
    run = {"loss": [float("nan")] * 2, "accuracy": [float("nan")] * 2}
    figure = viz.learning_curves(run)
    assert "no finite value" in words(figure)


def test_filters_of_a_layer_without_a_weight():
    for layer in (nn.ReLU(), nn.BatchNorm2d(3, affine=False)):
        with pytest.raises(ValueError, match=r"\[viz.filters\] the layer must have a weight. Received: "):
            viz.filters(layer)
