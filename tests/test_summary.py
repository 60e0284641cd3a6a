"""Module.summary: rows, totals, memory, unread rows and columns."""

import numpy as np
import pytest

import convkit as ck
from convkit import models, nn

FIGURE_10_8 = [
    ("conv1 (Conv2d + ReLU)", (26, 26, 32), 320),
    ("conv2 (Conv2d + ReLU)", (24, 24, 64), 18_496),
    ("pool (MaxPool2d)", (12, 12, 64), 0),
    ("dropout1 (Dropout)", (12, 12, 64), 0),
    ("flatten (Flatten)", (9216,), 0),
    ("dense1 (Linear + ReLU)", (128,), 1_179_776),
    ("dropout2 (Dropout)", (128,), 0),
    ("dense2 (Linear)", (10,), 1_290),
]
MULTIPLY_ADDS = [26 * 26 * 9 * 32, 24 * 24 * 9 * 32 * 64, 0, 0, 0, 9216 * 128, 0, 1280]


def test_figure_10_8():
    summary = models.illustrated.lenet().summary((28, 28, 1))
    assert [(row.title, row.output_shape, row.params) for row in summary.rows] == FIGURE_10_8
    assert summary.total_params == summary.trainable_params == 1_199_882
    assert summary.unread == []
    lines = str(summary).splitlines()
    assert repr(summary) == str(summary)
    assert [row.multiply_adds for row in summary.rows] == MULTIPLY_ADDS
    for line, (title, shape, params), work in zip(lines[2:10], FIGURE_10_8, MULTIPLY_ADDS):
        assert line.startswith(title) and line.endswith(f" {params:,}") and f" {work:,} " in line
        assert f"(None, {', '.join(map(str, shape))})" in line
    assert lines[11:14] == ["Total params: 1,199,882", "Trainable params: 1,199,882", "Non-trainable params: 0"]
    # 1,199,882 floats; 21,632 + 36,864 + 2 * 9,216 + 9,216 + 2 * 128 + 10 values per image
    assert summary.parameter_bytes == 4 * 1_199_882
    assert summary.activation_bytes == 4 * (21_632 + 36_864 + 3 * 9_216 + 2 * 128 + 10)
    assert lines[14] == "Memory: parameters 4.58 MiB, activations 337.5 KiB per image"
    assert lines[15] == f"Multiply-adds: {sum(MULTIPLY_ADDS):,} per image" and len(lines) == 16


@pytest.mark.parametrize(
    "layer,shape,expected",
    [
        (nn.Conv2d(6, 4, (3, 2), stride=2, padding=1, groups=2), (7, 8, 6), 4 * 5 * 4 * 3 * 2 * 3),
        (nn.ConvTranspose2d(6, 4, 3, stride=2, groups=2), (5, 4, 6), 5 * 4 * 6 * 3 * 3 * 2),
        (nn.Linear(3, 5), (7, 3), 7 * 3 * 5),
        (nn.BatchNorm2d(3), (7, 7, 3), 0),
    ],
)
def test_multiply_adds(layer, shape, expected):
    summary = nn.Sequential(layer, layer if shape == (7, 7, 3) else nn.ReLU()).summary(shape)
    assert summary.multiply_adds == summary.rows[0].multiply_adds == expected


def test_moving_statistics_are_not_trainable():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    summary = model.summary((8, 8, 3))
    assert [row.params for row in summary.rows] == [108, 16]
    assert summary.rows[1].layer == "BatchNorm2d + ReLU"
    assert (summary.total_params, summary.trainable_params) == (124, 116)
    assert model.num_parameters() == 116
    model[0].requires_grad_(False)
    assert model.summary((8, 8, 3)).trainable_params == 8


def test_leaves_the_model_as_it_was():
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Dropout(0.5))
    model[0].eval()
    ck.manual_seed(5)
    before = ck.get_rng_state()
    model.summary((4, 4, 2))
    assert ck.get_rng_state() == before
    assert model.training and not model[0].training and model[1].training
    assert all(not module._forward_hooks for module in model.modules())
    assert model[0].num_batches_tracked.item() == 0
    with pytest.raises(ValueError, match=r"^in layer '0' \(BatchNorm2d\)"):
        model.summary((4, 4, 3))
    assert not model[0]._forward_hooks and model[1].training


def test_nested_shared_and_own_parameters():
    class Residual(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(np.ones(4, np.float32))
            self.conv = nn.Conv2d(4, 4, 3, padding=1)

        def forward(self, x):
            return self.conv(x) * self.scale + x

    block, relu = Residual(), nn.ReLU()
    summary = nn.Sequential({"a": block, "r": relu, "b": nn.Sequential(block), "s": relu}).summary((5, 5, 4))
    assert [(row.title, row.params) for row in summary.rows] == [
        ("a.conv (Conv2d)", 148),
        ("a (Residual)", 4),
        ("r (ReLU)", 0),
        ("a.conv (Conv2d)", 0),
        ("a (Residual)", 0),
        ("r (ReLU)", 0),
    ]
    assert summary.total_params == 152


@pytest.mark.cpu_only
def test_single_layer_and_no_parameters():
    assert str(nn.Linear(3, 2).summary((3,))).splitlines()[2].split() == ["Linear", "(None,", "2)", "6", "8"]
    assert nn.ReLU().summary((3,)).total_params == 0
    assert nn.MaxPool2d(2, return_indices=True).summary((4, 4, 1)).rows[0].output_shape == (2, 2, 1)
    assert nn.Linear(3, 2).to(ck.float64).summary((3,)).parameter_bytes == 64


@pytest.mark.parametrize(
    "layer,shape,said",
    [
        (nn.Conv2d(1, 2, 5, stride=2), (28, 28, 1), "row 27 and column 27 of its 28x28"),  # equation 10.3: 12.5 floors
        (nn.Conv2d(1, 2, 5, stride=2), (28, 27, 1), "row 27 of its 28x27"),
        (nn.Conv2d(1, 2, 5, stride=2, padding=2), (28, 28, 1), None),
        (nn.Conv2d(1, 2, 5, padding=2), (28, 28, 1), None),
        (nn.Conv2d(1, 2, 3, stride=2, padding=((0, 1), (0, 0))), (28, 28, 1), "column 27 of its 28x28"),
        (nn.Conv2d(1, 2, 3, stride=2, padding="same"), (28, 28, 1), None),
        (nn.Conv2d(1, 2, 3, stride=3, padding="valid"), (28, 29, 1), "row 27 and columns 27 to 28 of its 28x29"),
        (nn.Conv2d(1, 2, 1, stride=2), (6, 6, 1), "3 of 6 rows and 3 of 6 columns of its 6x6"),
        (nn.Conv2d(1, 2, 3, stride=3, dilation=(1, 2)), (9, 11, 1), "2 of 11 columns of its 9x11"),
        (nn.MaxPool2d(2), (13, 12, 1), "row 12 of its 13x12"),
        (nn.MaxPool2d(2, ceil_mode=True), (13, 12, 1), None),
        (nn.AvgPool2d((3, 2)), (7, 8, 1), "row 6 of its 7x8"),
    ],
)
def test_unread(layer, shape, said):
    summary = nn.Sequential(layer).summary(shape)
    if said is None:
        assert summary.unread == []
    else:
        assert summary.unread == [f"0 ({type(layer).__name__}) leaves {said} input unread."]
        assert str(summary).endswith(summary.unread[0])


def test_bad_input_shape():
    for shape in ((), (28, 0, 1), (28, 28.0, 1), (None, 28, 28)):
        with pytest.raises(ValueError, match=r"\[summary\] input_shape is the shape of one input, without N"):
            nn.Linear(1, 1).summary(shape)
