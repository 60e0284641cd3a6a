"""Layers, initialisers and losses, and a small net that learns. The ops' own values are tested with the ops."""

import math

import numpy as np
import pytest

import convkit as ck
from convkit import nn


def rand(*shape, seed=0):
    return ck.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def assert_equal(found, expected):
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_layers_call_their_ops():
    x, flat = rand(2, 6, 6, 4), rand(2, 5)
    conv = nn.Conv2d(4, 6, (3, 2), stride=2, padding=(1, 0), dilation=1, groups=2)
    expected = ck.conv2d(x, conv.weight, conv.bias, stride=2, padding=(1, 0), groups=2)
    assert conv.weight.shape == (6, 3, 2, 2) and conv.bias.shape == (6,)
    assert_equal(conv(x), expected)
    deconv = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2, output_padding=1)
    expected = ck.conv_transpose2d(x, deconv.weight, deconv.bias, stride=2, padding=1, groups=2, output_padding=1)
    assert deconv.weight.shape == (4, 3, 3, 3) and deconv.bias.shape == (6,)
    assert_equal(deconv(x), expected)
    linear = nn.Linear(5, 7, bias=False)
    assert linear.bias is None and linear.weight.shape == (7, 5)
    assert_equal(linear(flat), ck.linear(flat, linear.weight))
    pairs = [
        (nn.MaxPool2d(3, 2, 1), ck.max_pool2d(x, 3, stride=2, padding=1)),
        (nn.MaxPool2d(2, ceil_mode=True, stride=3), ck.max_pool2d(x, 2, stride=3, ceil_mode=True)),
        (
            nn.AvgPool2d(3, 2, 1, count_include_pad=False),
            ck.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False),
        ),
        (nn.AdaptiveAvgPool2d((2, 3)), ck.adaptive_avg_pool2d(x, (2, 3))),
        (nn.Upsample(2), ck.upsample(x, 2)),
        (nn.Upsample(2, "bilinear"), ck.upsample(x, 2, mode="bilinear")),
        (nn.Flatten(), ck.flatten(x)),
        (nn.Identity(), x),
        (nn.ReLU(), ck.relu(x)),
        (nn.ReLU6(), ck.relu6(x)),
        (nn.LeakyReLU(0.2), ck.leaky_relu(x, 0.2)),
        (nn.Tanh(), ck.tanh(x)),
        (nn.Sigmoid(), ck.sigmoid(x)),
        (nn.Softmax(1), ck.softmax(x, axis=1)),
        (nn.LogSoftmax(), ck.log_softmax(x)),
    ]
    for layer, expected in pairs:
        assert_equal(layer(x), expected)
    y, indices = nn.MaxPool2d(2, return_indices=True)(x)
    assert y.shape == indices.shape == (2, 3, 3, 4)


def test_layer_arguments_are_checked():
    with pytest.raises(ValueError, match=r"\[Conv2d\] in_channels, out_channels, groups, .* must be positive integers"):
        nn.Conv2d(0, 3, 3)
    with pytest.raises(ValueError, match=r"\[Conv2d\] .* must be positive integers.*kernel_h=3, kernel_w=0"):
        nn.Conv2d(1, 3, (3, 0))
    with pytest.raises(ValueError, match=r"kernel_size=\(3, 3, 3\)"):
        nn.ConvTranspose2d(1, 3, (3, 3, 3))
    with pytest.raises(
        ValueError, match=r"\[Conv2d\] .*multiples of groups. Received: in_channels=4, out_channels=3, gr"
    ):
        nn.Conv2d(4, 3, 3, groups=2)
    with pytest.raises(ValueError, match=r"\[Linear\] .* Received: in_features=2.5, out_features=3"):
        nn.Linear(2.5, 3)
    with pytest.raises(ValueError, match=r"\[Dropout\] p is a probability. Received: p=1.5"):
        nn.Dropout(1.5)
    with pytest.raises(ValueError, match=r"\[BatchNorm2d\] num_features"):
        nn.BatchNorm2d(-1)


def test_batch_norm_statistics():
    layer, x = nn.BatchNorm2d(3, momentum=0.25), rand(4, 5, 6, 3)
    a = x.numpy().astype(np.float64).reshape(-1, 3)
    y = layer(x)
    expected = (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5)
    np.testing.assert_allclose(y.numpy().reshape(-1, 3), expected, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.25 * a.mean(0), atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.75 + 0.25 * a.var(0, ddof=1), atol=1e-6)
    layer(x)
    assert layer.num_batches_tracked.item() == 2
    layer.eval()
    mean, var = layer.running_mean.numpy().copy(), layer.running_var.numpy().copy()
    np.testing.assert_allclose(layer(x).numpy().reshape(-1, 3), (a - mean) / np.sqrt(var + 1e-5), atol=1e-5)
    assert_equal(layer.running_mean, mean)
    assert layer.num_batches_tracked.item() == 2
    assert list(nn.BatchNorm2d(3, affine=False).parameters()) == []


def test_batch_norm_residual():
    layer, x, r = nn.BatchNorm2d(3).eval(), rand(2, 4, 4, 3), rand(2, 4, 4, 3, seed=1)
    np.testing.assert_allclose(layer(x, "relu", r).numpy(), np.maximum(layer(x).numpy() + r.numpy(), 0), atol=1e-6)


def test_dropout_modes():
    x = ck.ones(50, 40)
    layer = nn.Dropout(0.25)
    ck.manual_seed(3)
    y = layer(x).numpy()
    assert set(np.unique(y)) == {0.0, np.float32(1 / 0.75)}
    assert 0.15 < (y == 0).mean() < 0.35  # 2,000 draws: ten standard deviations either side
    ck.manual_seed(3)
    assert_equal(layer(x), y)
    assert_equal(layer.eval()(x), x)


# Initial values


def test_default_bounds_are_torchs():
    ck.manual_seed(0)
    for layer, fan_in in (
        (nn.Conv2d(8, 32, 3, groups=2), 36),
        (nn.ConvTranspose2d(8, 32, 3, groups=2), 144),
        (nn.Linear(99, 64), 99),
    ):
        for p in layer.parameters():
            bound = 1 / math.sqrt(fan_in)
            assert np.abs(p.numpy()).max() <= bound
            assert np.abs(p.numpy()).max() > 0.7 * bound and abs(p.numpy().mean()) < 0.5 * bound


def test_manual_seed_repeats_the_weights():
    ck.manual_seed(7)
    first = nn.Conv2d(2, 3, 3)
    second = nn.Conv2d(2, 3, 3)
    ck.manual_seed(7)
    assert_equal(nn.Conv2d(2, 3, 3).weight, first.weight)
    assert not np.array_equal(first.weight, second.weight)


def test_fans():
    assert nn.init.fans((32, 3, 5, 8)) == (3 * 5 * 8, 3 * 5 * 32)
    assert nn.init.fans((10, 128)) == (128, 10)
    with pytest.raises(ValueError, match=r"\[init\] fans need a filter"):
        nn.init.fans((3,))


@pytest.mark.parametrize(
    "name,options,std",
    [
        ("uniform_", {"low": -2.0, "high": 4.0}, 6 / math.sqrt(12)),
        ("normal_", {"mean": 1.0, "std": 3.0}, 3.0),
        ("xavier_uniform_", {"gain": 2.0}, 2 * math.sqrt(2 / (9 * 40 + 9 * 60))),
        ("glorot_uniform_", {}, math.sqrt(2 / (9 * 40 + 9 * 60))),
        ("xavier_normal_", {}, math.sqrt(2 / (9 * 40 + 9 * 60))),
        ("glorot_normal_", {}, math.sqrt(2 / (9 * 40 + 9 * 60))),
        ("kaiming_uniform_", {"nonlinearity": "relu"}, math.sqrt(2 / (9 * 40))),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / (9 * 60))),
        ("kaiming_normal_", {"a": 0.5}, math.sqrt(2 / 1.25 / (9 * 40))),
        ("kaiming_uniform_", {"nonlinearity": "tanh"}, 5 / 3 / math.sqrt(9 * 40)),
    ],
)
def test_spread_of_initialisers(name, options, std):
    ck.manual_seed(1)
    t = nn.Parameter(np.zeros((60, 3, 3, 40), np.float32))
    assert getattr(nn.init, name)(t, **options) is t
    values = t.numpy().astype(np.float64)
    # 21,600 draws: the standard error of the spread is below 0.5 %, of the mean below 0.7 % of the spread.
    assert values.std() == pytest.approx(std, rel=0.025)
    assert values.mean() == pytest.approx({"uniform_": 1.0, "normal_": 1.0}.get(name, 0.0), abs=0.035 * std)
    if "uniform" in name:
        assert np.abs(values - values.mean()).max() <= std * math.sqrt(3) * 1.05


def test_init_refusals():
    t = ck.zeros(2, 2)
    with pytest.raises(ValueError, match=r"\[init\] mode is fan_in or fan_out. Received: 'fan_avg'"):
        nn.init.kaiming_uniform_(t, mode="fan_avg")
    with pytest.raises(ValueError, match=r"\[init\] nonlinearity is one of .* Received: 'gelu'"):
        nn.init.gain("gelu")


# Losses


def test_losses_call_their_ops():
    logits, labels, target = rand(6, 4), np.array([0, 1, 2, 3, 0, 1]), rand(6, 4, seed=1)
    weight = ck.tensor([1.0, 2.0, 3.0, 4.0])
    soft = ck.sigmoid(target)
    pairs = [
        (nn.CrossEntropyLoss()(logits, labels), ck.cross_entropy(logits, labels)),
        (
            nn.CrossEntropyLoss(weight, label_smoothing=0.1, reduction="sum")(logits, labels),
            ck.cross_entropy(logits, labels, weight=weight, label_smoothing=0.1, reduction="sum"),
        ),
        (nn.MSELoss("none")(logits, target), ck.mse_loss(logits, target, reduction="none")),
        (nn.SmoothL1Loss(beta=0.5)(logits, target), ck.smooth_l1_loss(logits, target, beta=0.5)),
        (nn.BCEWithLogitsLoss()(logits, soft), ck.binary_cross_entropy_with_logits(logits, soft)),
        (
            nn.BCEWithLogitsLoss([1.0, 2.0, 3.0, 4.0])(logits, soft),
            ck.binary_cross_entropy_with_logits(logits, soft, weight=weight),
        ),
    ]
    for found, expected in pairs:
        assert_equal(found, expected)
    assert list(nn.CrossEntropyLoss(weight).buffers()) == [weight]
    assert list(nn.MSELoss().buffers()) == []


# One step of everything together


def test_a_small_net_learns():
    ck.manual_seed(0)
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64)
    images = rng.standard_normal((64, 6, 6, 1)).astype(np.float32)
    images[labels == 1, :, :3] += 2.0  # class 1 is bright on the left
    images[labels == 0, :, 3:] += 2.0
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )
    optimizer = ck.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(25):
        loss = ck.cross_entropy(model(ck.tensor(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    model.eval()
    with ck.no_grad():
        assert (model(ck.tensor(images)).argmax(-1).numpy() == labels).mean() > 0.9
