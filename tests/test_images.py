"""Image files and folders of them."""

import io
import sys
import warnings

import numpy as np
import pytest

from convkit import data

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")


def picture(height=6, width=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


# --- one file --------------------------------------------------------------------------------------------------------


def test_own_size_and_resized(tmp_path):
    pixels = picture()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    whole = data.read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(whole, pixels)
    assert whole.flags.writeable and whole.flags.c_contiguous
    resized = np.asarray(Image.fromarray(pixels).resize((4, 3), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(data.read_image(tmp_path / "a.png", (3, 4)), resized)
    assert data.read_image(tmp_path / "a.png", 7, channels=1).shape == (7, 7, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path, orientation):
    """What TIFF 6.0 calls Orientation: where row 0 and column 0 of the stored pixels are seen."""
    seen = picture()
    stored = {
        1: seen,
        2: seen[:, ::-1],
        3: seen[::-1, ::-1],
        4: seen[::-1],
        5: seen.transpose(1, 0, 2),
        6: np.rot90(seen),
        7: seen[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(seen, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(data.read_image(tmp_path / "a.png"), seen)
    assert data.read_image(tmp_path / "a.png", (3, 4)).shape == (3, 4, 3)


def test_transparent_pixels(tmp_path):
    pixels = np.dstack([picture(), np.full((6, 5), 255, np.uint8)])
    pixels[0, 0, 3], pixels[0, 1, 3] = 0, 51
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(data.read_image(tmp_path / "a.png"), pixels[..., :3])
    on_red = data.read_image(tmp_path / "a.png", background=(200, 0, 0))
    assert on_red[0, 0].tolist() == [200, 0, 0]
    np.testing.assert_allclose(on_red[0, 1], 0.2 * pixels[0, 1, :3] + 0.8 * np.array([200, 0, 0]), atol=1)
    np.testing.assert_array_equal(on_red[1:], pixels[1:, :, :3])
    assert data.read_image(tmp_path / "a.png", channels=1, background=255)[0, 0, 0] == 255


def test_sixteen_bits(tmp_path):
    Image.fromarray(np.array([[0, 30000, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert data.read_image(tmp_path / "a.png", channels=1)[0, :, 0].tolist() == [0, 117, 255]


def test_large_jpeg_is_decoded_at_less_detail(tmp_path):
    smooth = np.asarray(Image.fromarray(picture()).resize((1000, 800), Image.Resampling.BICUBIC))
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    whole = Image.open(tmp_path / "a.jpg").resize((50, 40), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(data.read_image(tmp_path / "a.jpg", (40, 50)), np.asarray(whole), atol=2)


def test_a_photograph_is_turned_upright_after_it_was_decoded_at_less_detail(tmp_path):
    seen = np.asarray(Image.fromarray(picture()).resize((600, 900), Image.Resampling.BICUBIC))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(seen))).save(tmp_path / "a.jpg", quality=95, exif=exif)
    small = np.asarray(Image.fromarray(seen).resize((40, 60), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(data.read_image(tmp_path / "a.jpg", (60, 40)), small, atol=3)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP", "PPM"])
def test_damaged_files_are_value_errors(tmp_path, kind):
    rng, buffer, exif = np.random.default_rng(0), io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    options = {"exif": exif} if kind in ("PNG", "JPEG", "TIFF", "WEBP") else {}
    Image.fromarray(picture(20, 30)).save(buffer, kind, **options)
    refused = 0
    for trial in range(60):
        damaged = bytearray(buffer.getvalue())
        for _ in range(1 + trial % 5):
            damaged[rng.integers(min(len(damaged), 300))] = rng.integers(256)
        if trial % 3 == 0:
            del damaged[rng.integers(len(damaged)) :]
        (tmp_path / "a").write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own, about what it forgives
            try:
                data.read_image(tmp_path / "a", 8)
            except ValueError as error:
                assert "the file must be a whole image. Received:" in str(error)
                refused += 1
    assert refused > 10


def test_read_image_refusals(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError):
        data.read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match=r"channels must be 1 or 3. Received: channels=4"):
        data.read_image(tmp_path / "a.png", channels=4)
    for size in (0, (3,), "8", (8, 2.5), True):
        with pytest.raises(ValueError, match=r"size must be a positive integer or \(height, width\). Received: size="):
            data.read_image(tmp_path / "a.png", size)


# --- folders ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name, value, mode in (("cat/b.png", 10, "RGB"), ("cat/a.PNG", 20, "L"), ("dog/in/c.png", 30, "RGBA")):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        colour = value if mode == "L" else (value,) * 3 + (255,) * (mode == "RGBA")
        Image.new(mode, (6, 4), colour).save(tmp_path / name)
    (tmp_path / "cat/notes.txt").write_text("not an image")
    (tmp_path / "cat/._a.png").write_text("what macOS leaves on other systems' disks")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    return tmp_path


def test_image_folder(folder):
    images = data.ImageFolder(folder, 8)
    assert len(images) == 3 and images.classes == ["cat", "dog"] and images.skipped == []
    assert images.labels.tolist() == [0, 0, 1] and images.labels.dtype == np.int64
    image, label = images[0]
    assert image.shape == (8, 8, 3) and image.dtype == np.uint8 and (image == 20).all() and label == 0
    assert type(label) is int
    assert data.ImageFolder(folder, (4, 6), classes=["dog", "cat"])[0][1] == 0
    assert data.ImageFolder(folder, (4, 5))[2][0].shape == (4, 5, 3)
    deeper = data.ImageFolder(folder, 8, classes=["cat", "dog/in"])
    assert deeper.labels.tolist() == [0, 0, 1] and deeper.classes == ["cat", "dog/in"]
    assert data.ImageFolder(folder, None, channels=1)[2][0].shape == (4, 6, 1)


def test_image_folder_refusals(folder):
    with pytest.raises(FileNotFoundError, match=r"\[data.ImageFolder\] the folder must exist"):
        data.ImageFolder(folder / "none", 8)
    with pytest.raises(ValueError, match=r"without \['bird'\]"):
        data.ImageFolder(folder, 8, classes=["cat", "bird"])
    with pytest.raises(ValueError, match="must hold <class>/<image file>"):
        data.ImageFolder(folder / "cat", 8)
    with pytest.raises(ValueError, match=r'unreadable must be "refuse" or "skip". Received: unreadable=\'ignore\''):
        data.ImageFolder(folder, 8, unreadable="ignore")


def test_unreadable_files_are_refused_or_skipped(folder):
    whole = (folder / "cat/b.png").read_bytes()
    for damaged in (b"", b"text", whole[:40], whole[:-30]):
        (folder / "cat/b.png").write_bytes(damaged)
        refusing = data.ImageFolder(folder, 8)
        with pytest.raises(ValueError, match=r"\[data\] the file must be a whole image. Received: .*b.png"):
            list(data.DataLoader(refusing, 3, workers=2))
        with pytest.warns(UserWarning, match=r"skipped 1 unreadable image files: .*b.png \(.+\)\.$"):
            skipping = data.ImageFolder(folder, 8, unreadable="skip")
        assert [path.name for path, _ in skipping.skipped] == ["b.png"]
        assert [path.name for path, _ in skipping.files] == ["a.PNG", "c.png"] and skipping.labels.tolist() == [0, 1]
        ((x, y),) = data.DataLoader(skipping, 3)
        assert x.shape == (2, 8, 8, 3) and y.numpy().tolist() == [0, 1]


def test_many_unreadable_files_are_counted(folder):
    for number in range(12):
        (folder / f"dog/{number:02}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match=r"skipped 12 .*09.png .*; and 2 more\.$"):
        assert len(data.ImageFolder(folder, 8, unreadable="skip").skipped) == 12


def test_nothing_readable(tmp_path):
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/a.png").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="skipped 1"),
        pytest.raises(ValueError, match="must hold <class>/<image file>"),
    ):
        data.ImageFolder(tmp_path, 8, unreadable="skip")


def test_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for use in (lambda: data.ImageFolder(folder, 8)[0], lambda: data.Resize(3)(picture())):
        with pytest.raises(ImportError, match="pip install pillow"):
            use()


def test_example_10_8(tmp_path):
    """The book's generators: the same stream of batches for any number of workers."""
    for seed, name in enumerate(["hot_dog", "not_hot_dog"] * 5):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.fromarray(picture(30, 40, seed)).save(tmp_path / name / f"{seed}.jpg")
    augmented = data.Compose(
        [data.RandomRotation(30, fill="reflect"), data.RandomHorizontalFlip(), data.Rescale(1 / 255)]
    )

    def epochs(workers):
        folder = data.ImageFolder(tmp_path, size=(24, 24), classes=["hot_dog", "not_hot_dog"])
        loader = data.DataLoader(folder, batch_size=4, shuffle=True, seed=42, transform=augmented, workers=workers)
        return [[(x.numpy().copy(), y.numpy().copy()) for x, y in loader] for _ in range(2)]

    runs = [epochs(workers) for workers in (0, 1, 3)]
    assert [x.shape for x, _ in runs[0][0]] == [(4, 24, 24, 3), (4, 24, 24, 3), (2, 24, 24, 3)]
    for other in runs[1:]:
        for a, b in zip(runs[0][0] + runs[0][1], other[0] + other[1]):
            np.testing.assert_array_equal(a[0], b[0])
            np.testing.assert_array_equal(a[1], b[1])
    first, second = (np.concatenate([x for x, _ in epoch]) for epoch in runs[0])
    assert not any((image == other).all() for image in first for other in second)
    assert first.min() >= 0 and first.max() <= 1


# --- arguments that mean nothing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": (4, 4, 3)}, {"size": "4"}, {"size": 4, "channels": 4}])
def test_arguments_are_checked_before_the_first_image(tmp_path, arguments):
    (tmp_path / "a").mkdir()
    Image.fromarray(picture()).save(tmp_path / "a" / "a.png")
    with pytest.raises(ValueError, match=r"\[data.ImageFolder\] (size|channels) must be"):
        data.ImageFolder(tmp_path, **arguments)


@pytest.mark.parametrize(
    "classes,message",
    [
        (["a", "b", "a"], "every class has a folder of its own. Received: 'a', 'a'"),
        (["a", "b/../a"], "every class has a folder of its own. Received: 'a', 'b/../a'"),
        (["a/deep", "a"], "no class may lie in the folder of another. Received: 'a/deep' in 'a'"),
    ],
)
def test_no_image_has_two_classes(tmp_path, classes, message):
    for name in ("a/deep", "b"):
        (tmp_path / name).mkdir(parents=True)
        Image.fromarray(picture()).save(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match=message):
        data.ImageFolder(tmp_path, None, classes)


@pytest.mark.parametrize("mode,dtype", [("I", np.int32), ("F", np.float32)])
def test_pixels_whose_white_is_unknown_are_refused(tmp_path, mode, dtype):
    Image.fromarray(np.full((4, 5), 0.5 if mode == "F" else 2**30, dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=f"its pixels have Pillow's mode '{mode}'"):
        data.read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["tif", "png", "pgm"])
def test_sixteen_bits_still_read(tmp_path, suffix):
    deep = np.array([[0, 256, 65535]], np.uint16)
    if suffix == "pgm":
        (tmp_path / "a.pgm").write_bytes(b"P5 3 1 65535\n" + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(tmp_path / f"a.{suffix}")
    assert data.read_image(tmp_path / f"a.{suffix}", channels=1)[0, :, 0].tolist() == [0, 1, 255]
