"""Image transforms."""

import colorsys
import math
from importlib.util import find_spec

import numpy as np
import pytest

from convkit import data

needs_pillow = pytest.mark.skipif(find_spec("PIL") is None, reason="Pillow is not installed")
DTYPES = [np.uint8, np.float32]


def picture(height=6, width=5, channels=3, dtype=np.uint8, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return pixels if dtype == np.uint8 else (pixels / 255).astype(dtype)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_rescale_normalize_flip_compose():
    image = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert data.Rescale()(image).dtype == np.float32
    np.testing.assert_allclose(data.Rescale(2, 1)(image), image * 2.0 + 1)
    np.testing.assert_allclose(data.Normalize([0, 0.5, 1], 0.5)(image), (image / 255 - [0, 0.5, 1]) / 0.5, rtol=1e-6)
    np.testing.assert_array_equal(data.RandomHorizontalFlip(1.0)(image, rng()), image[:, ::-1])
    np.testing.assert_array_equal(data.RandomHorizontalFlip(0.0)(image, rng()), image)
    both = data.Compose([data.RandomHorizontalFlip(1.0), lambda a: a + 1, data.Rescale(1.0)])
    np.testing.assert_array_equal(both(image, rng()), image[:, ::-1] + 1.0)
    with pytest.raises(ValueError, match="std must be positive"):
        data.Normalize(0, 0)
    with pytest.raises(ValueError, match=r"p must lie in 0..1. Received: p=2"):
        data.RandomHorizontalFlip(2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3, 4])
@needs_pillow
def test_every_transform_keeps_dtype_and_channels(dtype, channels):
    image = picture(12, 10, channels, dtype)
    untouched = image.copy()
    transforms = [data.Resize(7), data.CenterCrop(5), data.RandomCrop(8, 2), data.RandomResizedCrop(6)]
    transforms += [data.RandomRotation(40, fill) for fill in ("reflect", "constant", "nearest")]
    transforms += [data.ColorJitter(0.5, 0.5, 0.5, 0.2)] if channels != 4 else []
    for transform in transforms:
        out = data.Compose([transform])(image, rng())
        assert out.dtype == dtype and out.ndim == 3 and out.shape[2] == channels, transform
        assert out.min() >= 0 and out.max() <= (255 if dtype == np.uint8 else 1)
    np.testing.assert_array_equal(image, untouched)


@needs_pillow
def test_resize():
    image = picture(40, 60)
    assert data.Resize(20)(image).shape == (20, 30, 3)
    assert data.Resize(20)(image.transpose(1, 0, 2)).shape == (30, 20, 3)
    assert data.Resize((5, 7))(image).shape == (5, 7, 3)
    assert data.Resize(3)(picture(4, 7)).shape == (3, 5, 3)  # 5.25, rounded down
    # antialiased: halving a chessboard gives its mean, not one of its colours
    board = np.indices((40, 40)).sum(0)[..., None].repeat(3, 2) % 2
    halved = data.Resize(20)((board * 255).astype(np.uint8))[3:-3, 3:-3]
    assert halved.min() > 100 and halved.max() < 155
    floats = data.Resize((13, 9))(image.astype(np.float32) / 255)
    np.testing.assert_allclose(floats * 255, data.Resize((13, 9))(image), atol=1)


def test_center_crop():
    image = picture(7, 8)
    np.testing.assert_array_equal(data.CenterCrop(4)(image), image[1:5, 2:6])
    np.testing.assert_array_equal(data.CenterCrop((7, 2))(image), image[:, 3:5])
    with pytest.raises(ValueError, match=r"at least as large as the crop. Received: image \(7, 8, 3\), size=\(8, 8\)"):
        data.CenterCrop(8)(image)


@pytest.mark.parametrize("fill, mode", [("reflect", "symmetric"), ("nearest", "edge"), ("constant", "constant")])
@pytest.mark.parametrize("padding", [0, 2, (1, 3), ((1, 2), (3, 0)), 9])
def test_random_crop_is_a_window_of_the_padded_image(fill, mode, padding):
    image = picture(6, 5)
    pads = ((padding,) * 2,) * 2 if isinstance(padding, int) else padding
    pads = tuple((p, p) if isinstance(p, int) else p for p in pads)
    value = {"constant_values": 7} if fill == "constant" else {}
    padded = np.pad(image, (*pads, (0, 0)), mode, **value)
    height, width = padded.shape[0] - 3, padded.shape[1] - 2
    windows = {padded[top : top + height, left : left + width].tobytes() for top in range(4) for left in range(3)}
    crop, generator = data.RandomCrop((height, width), padding, fill=fill, value=7), rng()
    assert {crop(image, generator).tobytes() for _ in range(300)} == windows  # each of them comes


def test_random_crop_refusals():
    with pytest.raises(ValueError, match=r"at least as large as the crop. Received: image \(6, 5, 3\), padding="):
        data.RandomCrop(8, 1)(picture(), rng())
    for padding in (-1, 1.5, (1, 2, 3), "same"):
        with pytest.raises(ValueError, match=r"padding must be an integer >= 0, .* Received: padding="):
            data.RandomCrop(4, padding)
    with pytest.raises(ValueError, match=r"fill must be one of reflect, constant, nearest. Received: fill='edge'"):
        data.RandomCrop(4, fill="edge")


@needs_pillow
def test_random_resized_crop():
    columns = np.arange(64, dtype=np.uint8)[None, :, None].repeat(48, 0)
    rows = np.arange(48, dtype=np.uint8)[:, None, None].repeat(64, 1)
    image = np.concatenate([columns, rows, rows], 2)  # a crop shows where it comes from
    crop, generator, areas, ratios = data.RandomResizedCrop(16, scale=(0.2, 0.6), ratio=(0.5, 2)), rng(), [], []
    for _ in range(300):
        top, left, height, width = crop._part(48, 64, generator)
        assert top >= 0 and top + height <= 48 and left >= 0 and left + width <= 64
        areas.append(height * width / (48 * 64))
        ratios.append(width / height)
    assert 0.18 < min(areas) < 0.24 and 0.5 < max(areas) < 0.63  # of whole pixels
    assert 0.45 < min(ratios) < 0.6 and 1.7 < max(ratios) < 2.2
    out = crop(image, rng(1)).astype(int)
    top, left, height, width = crop._part(48, 64, rng(1))
    assert out.shape == (16, 16, 3)
    assert abs(out[0, 0, 0] - left) <= width / 16 and abs(out[-1, 0, 1] - (top + height)) <= height / 16 + 1
    np.testing.assert_array_equal(data.RandomResizedCrop((48, 64), (1, 1), (4 / 3, 4 / 3))(image, rng()), image)
    # no part of so large an area has the ratio: the widest that has it, in the middle
    assert data.RandomResizedCrop(8, (1, 1), (1, 1))._part(48, 64, rng()) == (0, 8, 48, 48)
    assert data.RandomResizedCrop(8, (1, 1), (3, 3))._part(48, 64, rng()) == (13, 0, 21, 64)
    for arguments in ({"scale": (0, 1)}, {"scale": (0.5, 0.2)}, {"scale": (0.5, 2)}, {"ratio": (2, 1)}):
        with pytest.raises(ValueError, match="must be ranges"):
            data.RandomResizedCrop(8, **arguments)


def rotated_slowly(image, degrees, fill, value):
    """Each pixel by itself: where it comes from, and the four pixels around that place."""
    height, width, _ = image.shape
    pads = 2 * max(height, width)
    mode = {"reflect": "symmetric", "nearest": "edge", "constant": "constant"}[fill]
    options = {"constant_values": value} if fill == "constant" else {}
    padded = np.pad(image.astype(float), ((pads, pads), (pads, pads), (0, 0)), mode, **options)
    out = np.empty(image.shape)
    turn = complex(math.cos(math.radians(degrees)), math.sin(math.radians(degrees)))
    for i in range(height):
        for j in range(width):
            # counter-clockwise on the screen, whose y axis points down; the source lies back the other way
            place = complex(j - (width - 1) / 2, (height - 1) / 2 - i) / turn
            y, x = (height - 1) / 2 - place.imag + pads, place.real + (width - 1) / 2 + pads
            top, left = math.floor(y), math.floor(x)
            v, u = y - top, x - left
            upper = (1 - u) * padded[top, left] + u * padded[top, left + 1]
            lower = (1 - u) * padded[top + 1, left] + u * padded[top + 1, left + 1]
            out[i, j] = (1 - v) * upper + v * lower
    return out


@pytest.mark.parametrize("fill", ["reflect", "nearest", "constant"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("degrees", [-200, -30, 12.5, 45])
def test_rotation(fill, dtype, degrees):
    image = picture(9, 14, dtype=dtype)
    value = 200 if dtype == np.uint8 else 0.8
    got = data.RandomRotation((degrees, degrees), fill, value=value)(image, rng())
    # uint8 rounds; float32 places of about 10 pixels are exact to 1e-6, times differences of up to 1 a pixel
    tolerance = 0.5 + 1e-2 if dtype == np.uint8 else 1e-5
    np.testing.assert_allclose(got, rotated_slowly(image, degrees, fill, value), rtol=0, atol=tolerance)


def test_rotation_by_right_angles():
    image = picture(8, 8)
    for quarters in (0, 1, 2, 3):
        got = data.RandomRotation((90 * quarters,) * 2, "constant")(image, rng())
        np.testing.assert_allclose(got[1:-1, 1:-1].astype(int), np.rot90(image, quarters)[1:-1, 1:-1], atol=1)


def test_rotation_draws_its_angle():
    bar = np.zeros((41, 41, 1), np.float32)
    bar[20, 20:] = 1
    generator, rotation, angles = rng(), data.RandomRotation(30), []
    for _ in range(200):
        y, x = np.nonzero(rotation(bar, generator)[..., 0] > 0.4)
        far = np.hypot(y - 20, x - 20) > 15
        angles.append(math.degrees(math.atan2(20 - y[far].mean(), x[far].mean() - 20)))
    assert -32 < min(angles) < -26 and 26 < max(angles) < 32 and abs(np.mean(angles)) < 4
    with pytest.raises(ValueError, match=r"degrees must be a number >= 0 or \(low, high\). Received: degrees=-5"):
        data.RandomRotation(-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_color_jitter_parts(dtype):
    image = picture(dtype=dtype)
    x, white, exact = image.astype(float), (255 if dtype == np.uint8 else 1), 0.51 if dtype == np.uint8 else 1e-5
    grey = x @ [0.299, 0.587, 0.114]

    def check(expected, **arguments):
        got = data.ColorJitter(**arguments)(image, rng())
        np.testing.assert_allclose(got, np.clip(expected, 0, white), rtol=0, atol=exact)

    check(x)
    check(1.5 * x, brightness=(1.5, 1.5))
    check(0.3 * x + 0.7 * grey.mean(), contrast=(0.3, 0.3))
    check(1.8 * x - 0.8 * grey[..., None], saturation=(1.8, 1.8))
    check(np.roll(x, 1, -1), hue=(1 / 3, 1 / 3))  # a third of the circle: red becomes green
    check(np.roll(x, -1, -1), hue=(-1 / 3, -1 / 3))


def test_color_jitter_hue_is_that_of_colorsys():
    image = picture(dtype=np.float32)
    image[0, 0] = 0.3  # grey has no hue
    got = data.ColorJitter(hue=(0.15, 0.15))(image, rng())
    for pixel, turned in zip(image.reshape(-1, 3), got.reshape(-1, 3)):
        h, s, v = colorsys.rgb_to_hsv(*map(float, pixel))
        np.testing.assert_allclose(turned, colorsys.hsv_to_rgb(h + 0.15, s, v), atol=1e-5)


def test_color_jitter_draws():
    image, generator = np.full((2, 2, 1), 0.5, np.float32), rng()
    values = [data.ColorJitter(brightness=0.4)(image, generator)[0, 0, 0] for _ in range(200)]
    assert 0.3 <= min(values) < 0.32 and 0.68 < max(values) <= 0.7
    both = data.ColorJitter((1.5, 1.5), (0.5, 0.5))
    contrasted = picture(dtype=np.float32)
    assert len({both(contrasted, generator).tobytes() for _ in range(20)}) == 2  # in either order
    for arguments in ({"brightness": -1}, {"contrast": (2, 1)}, {"saturation": (-1, 1)}):
        with pytest.raises(ValueError, match=r"must be a number >= 0 or \(low, high\)"):
            data.ColorJitter(**arguments)
    with pytest.raises(ValueError, match=r"hue must lie in 0..0.5"):
        data.ColorJitter(hue=0.6)
    with pytest.raises(ValueError, match=r"1 or 3 channels. Received: \(6, 5, 4\)"):
        data.ColorJitter(0.1)(picture(channels=4), rng())


def test_compose_of_plain_transforms_needs_no_generator():
    image = np.zeros((2, 3, 1), np.uint8)
    assert data.Compose([np.flipud, lambda pixels: pixels + 1])(image).max() == 1


@pytest.mark.parametrize("degrees", ["90", math.nan, math.inf, (1, 2, 3), (3, 1), -1])
def test_rotations_that_mean_nothing(degrees):
    with pytest.raises(ValueError, match=r"\[data.RandomRotation\] degrees must be"):
        data.RandomRotation(degrees)


def test_fills_that_are_no_numbers():
    with pytest.raises(ValueError, match=r"\[data.RandomRotation\] value must be a finite number"):
        data.RandomRotation(10, "constant", value=math.nan)


@pytest.mark.parametrize(
    "ranges", [{"scale": 0.5}, {"scale": (0.1, 0.5, 1)}, {"scale": (0, 1)}, {"ratio": (1, math.inf)}]
)
def test_resized_crops_that_mean_nothing(ranges):
    with pytest.raises(ValueError, match=r"\[data.RandomResizedCrop\] scale and ratio must be ranges"):
        data.RandomResizedCrop(4, **ranges)


def test_normalize_is_for_a_number_of_channels():
    with pytest.raises(ValueError, match=r"\[data.Normalize\] the image must have the channels"):
        data.Normalize([0.1, 0.2, 0.3], 1.0)(picture(channels=1))
    with pytest.raises(ValueError, match=r"\[data.Normalize\] mean and std are one number or one per channel"):
        data.Normalize([0.1, 0.2], [1.0, 1.0, 1.0])
    assert data.Normalize([0.5], 1.0)(picture()).shape == (6, 5, 3)


def test_compose_holds_its_transforms_for_good():
    """A list that grew would be cut off at the length it had."""
    steps = [data.Rescale(1.0)]
    both = data.Compose(steps)
    with pytest.raises(AttributeError):
        both.transforms.append(data.Rescale(2.0))
