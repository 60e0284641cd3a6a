"""The networks of the published papers: parameter counts, torchvision's names and shapes, values, gradients, fusion."""

import numpy as np
import pytest

import convkit as ck
from convkit import models, nn, ops
from convkit.models.cifar import PaddedShortcut
from convkit.models.resnet import BasicBlock, Bottleneck

COUNTS = {
    "alexnet": 61_100_840,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "mobilenet_v2": 3_504_872,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "plain20": 269_722,
    "plain32": 464_154,
    "plain44": 658_586,
    "plain56": 853_018,
    "plain110": 1_727_962,
}
# Entries of the published state_dicts
KEYS = {
    "alexnet": 16,
    "vgg16": 32,
    "vgg16_bn": 97,
    "resnet18": 122,
    "resnet34": 218,
    "resnet50": 320,
    "resnet101": 626,
    "resnet152": 932,
    "mobilenet_v2": 314,
}


@pytest.fixture(autouse=True)
def one_thread(threads):
    """The networks have many small ops, whose threads wait on a busy machine longer than they compute."""
    threads(1)


@pytest.fixture
def undrawn(monkeypatch):
    """Weights stay zero: drawing the 138 million of a VGG network takes seconds."""
    for name in ("uniform_", "normal_"):
        monkeypatch.setattr(nn.init, name, lambda t, *args, **kwargs: t)


def rand(*shape, seed=0):
    return ck.tensor(np.random.default_rng(seed).standard_normal(shape, np.float32))


# torchvision's layout, name -> shape with filters [O,C,R,S]


def conv(name, outputs, inputs, kernel, bias=False):
    return {f"{name}.weight": (outputs, inputs, kernel, kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def norm(name, channels):
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{entry}": (channels,) for entry in vectors} | {f"{name}.num_batches_tracked": ()}


def dense(name, outputs, inputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def alexnet_layout():
    filters = [(0, 64, 3, 11), (3, 192, 64, 5), (6, 384, 192, 3), (8, 256, 384, 3), (10, 256, 256, 3)]
    layout = {}
    for index, outputs, inputs, kernel in filters:
        layout |= conv(f"features.{index}", outputs, inputs, kernel, bias=True)
    for index, outputs, inputs in [(1, 4096, 9216), (4, 4096, 4096), (6, 1000, 4096)]:
        layout |= dense(f"classifier.{index}", outputs, inputs)
    return layout


# The places of the convolutions within `features`, as torchvision's state_dicts list them
VGG_PLACES = {
    "vgg11": (0, 3, 6, 8, 11, 13, 16, 18),
    "vgg13": (0, 2, 5, 7, 10, 12, 15, 17, 20, 22),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
    "vgg11_bn": (0, 4, 8, 11, 15, 18, 22, 25),
    "vgg13_bn": (0, 3, 7, 10, 14, 17, 21, 24, 28, 31),
    "vgg16_bn": (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40),
    "vgg19_bn": (0, 3, 7, 10, 14, 17, 20, 23, 27, 30, 33, 36, 40, 43, 46, 49),
}
VGG_CHANNELS = {
    "11": (64, 128, 256, 256, 512, 512, 512, 512),
    "13": (64, 64, 128, 128, 256, 256, 512, 512, 512, 512),
    "16": (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512),
    "19": (64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512),
}


def vgg_layout(name):
    layout, inputs = {}, 3
    for index, outputs in zip(VGG_PLACES[name], VGG_CHANNELS[name[3:5]], strict=True):
        layout |= conv(f"features.{index}", outputs, inputs, 3, bias=True)
        layout |= norm(f"features.{index + 1}", outputs) if name.endswith("_bn") else {}
        inputs = outputs
    for index, outputs, inputs in [(0, 4096, 25088), (3, 4096, 4096), (6, 1000, 4096)]:
        layout |= dense(f"classifier.{index}", outputs, inputs)
    return layout


RESNET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def resnet_layout(depth):
    layout, inputs = conv("conv1", 64, 3, 7) | norm("bn1", 64), 64
    for stage, (blocks, width) in enumerate(zip(RESNET_BLOCKS[depth], (64, 128, 256, 512), strict=True), 1):
        outputs = width if depth < 50 else 4 * width
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            kernels = [(width, inputs, 3), (width, width, 3)]
            if depth >= 50:
                kernels = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            for i, (o, c, kernel) in enumerate(kernels, 1):
                layout |= conv(f"{at}.conv{i}", o, c, kernel) | norm(f"{at}.bn{i}", o)
            if block == 0 and inputs != outputs:
                layout |= conv(f"{at}.downsample.0", outputs, inputs, 1) | norm(f"{at}.downsample.1", outputs)
            inputs = outputs
    return layout | dense("fc", 1000, inputs)


# Input and output channels of the 17 blocks
INVERTED = [
    *((32, 16), (16, 24), (24, 24), (24, 32), (32, 32), (32, 32), (32, 64), (64, 64), (64, 64), (64, 64)),
    *((64, 96), (96, 96), (96, 96), (96, 160), (160, 160), (160, 160), (160, 320)),
]


def mobilenet_layout():
    layout = conv("features.0.0", 32, 3, 3) | norm("features.0.1", 32)
    for index, (inputs, outputs) in enumerate(INVERTED, 1):
        at, wide = f"features.{index}.conv", inputs * (1 if index == 1 else 6)
        if index > 1:
            layout |= conv(f"{at}.0.0", wide, inputs, 1) | norm(f"{at}.0.1", wide)
        place = 0 if index == 1 else 1
        layout |= conv(f"{at}.{place}.0", wide, 1, 3) | norm(f"{at}.{place}.1", wide)
        layout |= conv(f"{at}.{place + 1}", outputs, wide, 1) | norm(f"{at}.{place + 2}", outputs)
    layout |= conv("features.18.0", 1280, 320, 1) | norm("features.18.1", 1280)
    return layout | dense("classifier.1", 1000, 1280)


def cifar_layout(blocks):
    layout, inputs = conv("conv1", 16, 3, 3) | norm("bn1", 16), 16
    for stage, width in enumerate((16, 32, 64), 1):
        for block in range(blocks):
            for i, c in ((1, inputs), (2, width)):
                at = f"layer{stage}.{block}"
                layout |= conv(f"{at}.conv{i}", width, c, 3) | norm(f"{at}.bn{i}", width)
            inputs = width
    return layout | dense("fc", 10, 64)


def layout_of(name):
    if name.startswith("vgg"):
        return vgg_layout(name)
    if name.startswith("plain") or COUNTS[name] < 2_000_000:
        return cifar_layout({"20": 3, "32": 5, "44": 7, "56": 9, "110": 18}[name.lstrip("resntplai")])
    if name.startswith("resnet"):
        return resnet_layout(int(name.removeprefix("resnet")))
    return {"alexnet": alexnet_layout, "mobilenet_v2": mobilenet_layout}[name]()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_names_and_shapes(name, undrawn):
    model = models.build(name)
    assert getattr(models, name).__name__ == name and f"{COUNTS[name]:,}" in getattr(models, name).__doc__
    assert model.num_parameters() == COUNTS[name]
    layout = layout_of(name)
    ours = {key: (s[0], s[2], s[3], s[1]) if len(s) == 4 else s for key, s in layout.items()}
    state = model.state_dict()
    assert {key: value.shape for key, value in state.items()} == ours
    assert list(state) == list(layout)
    assert len(state) == KEYS.get(name, len(layout))
    for key, (c, h, w) in getattr(model, "torch_flatten", {}).items():
        assert state[f"{key}.weight"].shape[1] == c * h * w


FAMILIES = {  # name: size of the image, shape of its maps without the top
    "alexnet": (63, (1, 1, 256)),
    "vgg11": (32, (1, 1, 512)),
    "vgg11_bn": (32, (1, 1, 512)),
    "resnet18": (64, (2, 2, 512)),
    "resnet50": (33, (2, 2, 2048)),
    "mobilenet_v2": (33, (2, 2, 1280)),
    "resnet20": (32, (8, 8, 64)),
    "plain20": (30, (8, 8, 64)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_features_forward_and_backward(name):
    size, maps = FAMILIES[name]
    ck.manual_seed(0)
    model = models.build(name, in_channels=2, include_top=False)
    assert not any(isinstance(layer, nn.Linear) for layer in model.modules())
    out = model(rand(2, size, size, 2))
    assert out.shape == (2, *maps)
    (out * out).mean().backward()
    for key, parameter in model.named_parameters():
        gradient = parameter.grad.numpy()
        assert np.isfinite(gradient).all() and gradient.any(), key


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "resnet20", "plain20"])
def test_logits_and_their_gradient(name):
    ck.manual_seed(0)
    model = models.build(name, num_classes=5)
    logits = model(rand(2, 64, 64, 3))
    assert logits.shape == (2, 5)
    ck.cross_entropy(logits, np.array([0, 3])).backward()
    assert all(parameter.grad.numpy().any() for parameter in model.parameters())
    model.eval()
    assert model(rand(1, 40, 51, 3)).shape == (1, 5)


def test_the_tops_of_alexnet_and_vgg(monkeypatch, undrawn):
    for name, features in (("alexnet", 9216), ("vgg11", 25088)):
        seen, model = [], models.build(name, num_classes=3).eval()
        monkeypatch.setattr(model.classifier, "forward", lambda x, seen=seen: seen.append(x.shape) or x)
        model(rand(1, 64, 64, 3))
        assert seen == [(1, features)]
        kinds = [type(layer) for layer in model.classifier]
        assert kinds.count(nn.Dropout) == 2 and model.classifier[-1].out_features == 3


def test_strides(undrawn):
    """Version 1.5: the 3x3 convolution of a bottleneck subsamples."""
    block = models.resnet50(include_top=False).layer3[0]
    assert [block.conv1.stride, block.conv2.stride, block.conv3.stride, block.downsample[0].stride] == [1, 2, 1, 2]
    assert [b.conv1.stride for b in models.resnet20().layer2] == [2, 1, 1]
    depthwise = [b.conv[-3][0] for b in models.mobilenet_v2().features[1:18]]
    assert [i for i, layer in enumerate(depthwise, 1) if layer.stride == 2] == [2, 4, 7, 14]
    assert all(layer.groups == layer.in_channels for layer in depthwise)


def test_initial_values():
    ck.manual_seed(1)
    model = models.resnet18(zero_init_residual=True)
    for key, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):  # fan_out; at least 9,408 values, so the std is within 5%
            outputs, *window, _ = layer.weight.shape
            assert layer.weight.numpy().std() == pytest.approx(np.sqrt(2 / (outputs * np.prod(window))), rel=0.05), key
        elif isinstance(layer, nn.BatchNorm2d):
            assert (layer.weight.numpy() == (0 if key.endswith("bn2") else 1)).all() and not layer.bias.numpy().any()
    bound = 1 / np.sqrt(512)
    assert 0.99 * bound < np.abs(model.fc.weight.numpy()).max() <= bound * (1 + 1e-6)
    classifier = models.mobilenet_v2().classifier[1]
    assert classifier.weight.numpy().std() == pytest.approx(0.01, rel=0.01) and not classifier.bias.numpy().any()


def test_zero_init_of_the_last_scale(undrawn):
    for zero in (True, False):
        last = models.resnet20(zero_init_residual=zero).layer1[1].bn2.weight.numpy()
        assert (last == (0 if zero else 1)).all()
        bottleneck = models.build("resnet50", include_top=False, zero_init_residual=zero).layer1[0]
        assert (bottleneck.bn3.weight.numpy() == (0 if zero else 1)).all() and bottleneck.bn2.weight.numpy().all()


def test_zero_init_blocks_pass_their_input():
    model = models.resnet20(zero_init_residual=True)
    x = ck.relu(rand(2, 8, 8, 16))
    np.testing.assert_array_equal(model.layer1(x).numpy(), x.numpy())
    y = model.layer2[0](x).numpy()  # every second pixel, zeros in the new channels
    np.testing.assert_array_equal(y[..., :16], x.numpy()[:, ::2, ::2])
    assert not y[..., 16:].any()


@pytest.fixture
def fusions(monkeypatch):
    """(activation, has a residual) of every batch normalisation that runs."""
    calls, batch_norm = [], ops.batch_norm

    def noted(*args, **kwargs):
        calls.append((kwargs["activation"], kwargs["residual"] is not None))
        return batch_norm(*args, **kwargs)

    monkeypatch.setattr(ops, "batch_norm", noted)
    return calls


PLAIN, RELU, JOINED = (None, False), ("relu", False), ("relu", True)  # PLAIN: of the shortcut


def projection(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))


@pytest.mark.parametrize(
    "build,order",
    [
        (lambda: BasicBlock(16, 16), [RELU, JOINED]),
        (lambda: BasicBlock(16, 32, 2, PaddedShortcut()), [RELU, JOINED]),
        (lambda: BasicBlock(16, 24, 2, projection(16, 24)), [RELU, PLAIN, JOINED]),
        (lambda: Bottleneck(16, 8, 2, projection(16, 32)), [RELU, RELU, PLAIN, JOINED]),
    ],
)
def test_residual_blocks_are_fused_but_not_over_a_hook(build, order, fusions):
    ck.manual_seed(2)
    block = build().eval()
    x = rand(2, 6, 6, block.conv1.in_channels)
    expected = block(x).numpy()
    assert fusions == order
    for layer, times in ((block.relu, len(order) - (PLAIN in order)), (block.last_norm, 1)):
        seen = []
        handle = layer.register_forward_hook(lambda module, args, out, seen=seen: seen.append(out.numpy()))
        # A few roundings of sums of values of size about 1
        np.testing.assert_allclose(block(x).numpy(), expected, rtol=1e-5, atol=1e-5)
        handle.remove()
        assert len(seen) == times and (seen[-1].min() < 0) == (layer is block.last_norm)
    fusions.clear()
    block.bn1 = nn.Identity()  # folded into its convolution, say
    assert block(x).shape == expected.shape and fusions == order[1:]


@pytest.mark.parametrize("name", ["resnet18", "plain20", "mobilenet_v2"])
def test_activations_are_fused(name, fusions, undrawn):
    models.build(name)(rand(2, 32, 32, 3))
    loose = {"resnet18": 3, "plain20": 0, "mobilenet_v2": 17}[name]  # shortcuts; linear bottlenecks
    assert sum(activation is None for activation, _ in fusions) == loose


def test_save_and_rebuild(tmp_path):
    model = models.resnet20(4, in_channels=1, zero_init_residual=True)
    model.save(tmp_path / "m.safetensors")
    again = models.load(tmp_path / "m.safetensors")
    assert again._factory == model._factory and model._factory[1]["zero_init_residual"]
    assert again.input_shape == (32, 32, 1)
    x = rand(2, 32, 32, 1)
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())
