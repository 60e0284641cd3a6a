"""Data sets: where they are found, how their files are read and how they are downloaded."""

import gzip
import hashlib
import http.server
import importlib
import io
import os
import struct
import tarfile
import threading
from dataclasses import replace

import numpy as np
import pytest

from convkit import data

datasets = importlib.import_module("convkit.data.datasets")
download = importlib.import_module("convkit.data.download")

NO_MIRROR = ("http://127.0.0.1:9/",)  # the discard port: refused at once


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx_pair(folder, prefix="t10k", n=5, suffix=".gz"):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(n)
    images = rng.integers(0, 256, (n, 28, 28), np.uint8)
    labels = rng.integers(0, 10, n, np.uint8)
    for stem, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
        raw = idx(array)
        (folder / f"{prefix}-{stem}{suffix}").write_bytes(gzip.compress(raw) if suffix else raw)
    return images[..., None], labels.astype(np.int64)


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data folder, an empty cache, no system packages and no mirror."""
    monkeypatch.delenv("CONVKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("_MNIST", "_FASHION_MNIST", "_CIFAR10"):
        monkeypatch.setattr(datasets, name, replace(getattr(datasets, name), mirrors=NO_MIRROR, system=()))
    return tmp_path


def equal(got, expected):
    assert got[0].dtype == np.uint8 and got[1].dtype == np.int64
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])


# --- finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("name", ["-idx", ".idx"])
@pytest.mark.parametrize("split, prefix", [("train", "train"), ("test", "t10k")])
def test_idx_names(nowhere, suffix, name, split, prefix):
    images, labels = write_idx_pair(nowhere / "d", prefix, suffix=suffix)
    for path in (nowhere / "d").iterdir():
        path.rename(path.with_name(path.name.replace("-idx", name)))
    equal(data.mnist(split, directory=nowhere / "d"), (images, labels))


def test_search_order(nowhere, monkeypatch):
    cached = write_idx_pair(nowhere / "cache/convkit/mnist", n=1)
    equal(data.mnist("test"), cached)
    flat = write_idx_pair(nowhere / "env", n=2)
    monkeypatch.setenv("CONVKIT_DATA", str(nowhere / "env"))
    equal(data.mnist("test"), flat)
    own = write_idx_pair(nowhere / "env/mnist", n=3)
    equal(data.mnist("test"), own)
    explicit = write_idx_pair(nowhere / "explicit", n=4)
    equal(data.mnist("test", directory=nowhere / "explicit"), explicit)
    equal(data.mnist("test", directory=str(nowhere / "env")), own)


def test_system_folder(nowhere, monkeypatch):
    expected = write_idx_pair(nowhere / "usr")
    monkeypatch.setattr(datasets, "_FASHION_MNIST", replace(datasets._FASHION_MNIST, system=(str(nowhere / "usr"),)))
    equal(data.fashion_mnist("test"), expected)


def test_folder_of_another_data_set_is_not_taken(nowhere, monkeypatch):
    write_idx_pair(nowhere / "fashion-mnist")
    monkeypatch.setenv("CONVKIT_DATA", str(nowhere / "fashion-mnist"))
    with pytest.raises(FileNotFoundError):
        data.mnist("test")


def test_explicit_folder_without_the_files(nowhere):
    write_idx_pair(nowhere / "cache/convkit/mnist")
    with pytest.raises(FileNotFoundError, match=r"\[data.mnist\] the folder must hold t10k-images-idx3-ubyte.gz and"):
        data.mnist("test", directory=nowhere / "empty")


@pytest.mark.parametrize("load", [data.mnist, data.fashion_mnist, data.cifar10])
def test_unknown_split(load):
    with pytest.raises(ValueError, match=r'split must be "train" or "test". Received: split=\'validation\''):
        load("validation")


@pytest.mark.parametrize("load", [data.mnist, data.fashion_mnist, data.cifar10])
def test_offline_names_the_place_for_the_files(nowhere, load):
    with pytest.raises(FileNotFoundError, match=r"Put .*gz into .*cache.convkit.*CONVKIT_DATA") as error:
        load("test")
    assert str(nowhere) in str(error.value) and "127.0.0.1:9" in str(error.value)


def test_classes():
    assert data.CLASSES["fashion-mnist"][9] == "Ankle boot"
    assert {len(classes) for classes in data.CLASSES.values()} == {10}


@pytest.mark.skipif(
    not os.path.isdir("/usr/share/datasets/fashion-mnist"), reason="package dataset-fashion-mnist is not installed"
)
def test_real_fashion_mnist(monkeypatch, tmp_path):
    monkeypatch.delenv("CONVKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for split, n in (("train", 60000), ("test", 10000)):
        images, labels = data.fashion_mnist(split)
        assert images.shape == (n, 28, 28, 1) and images.dtype == np.uint8
        assert (np.bincount(labels) == n // 10).all()


@pytest.mark.skipif(not os.environ.get("CONVKIT_TEST_DATA"), reason="CONVKIT_TEST_DATA names no folder with mnist/")
def test_real_mnist():
    images, labels = data.mnist("test", directory=os.environ["CONVKIT_TEST_DATA"])
    assert images.shape == (10000, 28, 28, 1)
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


# --- damaged files ---------------------------------------------------------------------------------------------------

GOOD = idx(np.zeros((3, 2, 2), np.uint8))


@pytest.mark.parametrize(
    "raw, text",
    [
        (b"", "starts with nothing"),
        (GOOD[:10], "starts with 00 00 08 03"),
        (b"\x1f\x8b" + GOOD, "starts with 1f 8b 00 00"),
        (GOOD.replace(b"\x08\x03", b"\x0d\x03"), "starts with 00 00 0d 03"),
        (GOOD[:-1], "header says 12 bytes of data, file holds 11"),
        (GOOD + b"\0", "more than 12 bytes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "header says 79228162458924105385300197375 bytes of data, file holds 0"),
    ],
)
def test_damaged_idx(tmp_path, raw, text):
    for suffix in ("", ".gz"):
        path = tmp_path / f"t10k-images-idx3-ubyte{suffix}"
        path.write_bytes(gzip.compress(raw) if suffix else raw)
        (tmp_path / f"t10k-labels-idx1-ubyte{suffix}").write_bytes(b"")
        with pytest.raises(ValueError, match=text):
            data.mnist("test", directory=tmp_path)
        path.unlink()


def test_damaged_gzip(tmp_path):
    write_idx_pair(tmp_path)
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    flipped = whole[:100] + bytes([whole[100] ^ 0xFF]) + whole[101:]
    for damaged in (whole[:-20], b"plain text", whole[:40], flipped):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="Received"):
            data.mnist("test", directory=tmp_path)


@pytest.mark.parametrize("labels", [np.array([0, 10, 2], np.uint8), np.array([0, 1], np.uint8)])
def test_labels_must_fit(tmp_path, labels):
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(GOOD)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx(labels))
    with pytest.raises(ValueError, match=r"one label in 0..9 per image. Received: 3 images"):
        data.mnist("test", directory=tmp_path)


# --- CIFAR-10 --------------------------------------------------------------------------------------------------------


def cifar_batches(n=2):
    rng = np.random.default_rng(0)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    return {name: rng.integers(0, 10, (n, 3073), np.uint8) for name in names}


def cifar_archive(path, batches):
    with tarfile.open(path, "w:gz") as archive:
        for name, records in batches.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = records.size
            archive.addfile(info, io.BytesIO(records.tobytes()))


def test_cifar10_folder_and_archive(tmp_path):
    batches = cifar_batches()
    cifar_archive(tmp_path / "cifar-10-binary.tar.gz", batches)
    train = np.concatenate([batches[f"data_batch_{i}.bin"] for i in range(1, 6)])
    expected = train[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), train[:, 0]
    equal(data.cifar10("train", directory=tmp_path), expected)
    for folder in (tmp_path / "a", tmp_path / "b/cifar-10-batches-bin"):
        folder.mkdir(parents=True)
        for name, records in batches.items():
            (folder / name).write_bytes(records.tobytes())
    equal(data.cifar10("train", directory=tmp_path / "a"), expected)
    equal(data.cifar10("train", directory=tmp_path / "b"), expected)
    test = data.cifar10("test", directory=tmp_path)
    assert test[0].shape == (2, 32, 32, 3) and test[0].flags.c_contiguous
    assert test[0][1, 0, 3, 2] == batches["test_batch.bin"][1, 1 + 2 * 1024 + 3]


def test_damaged_cifar10(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    batches = cifar_batches()
    cifar_archive(path, batches)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"no archive", b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"whole .tar.gz archive|must hold every batch"):
            data.cifar10("train", directory=tmp_path)
    del batches["data_batch_3.bin"]
    cifar_archive(path, batches)
    with pytest.raises(ValueError, match=r"without \['data_batch_3.bin'\]"):
        data.cifar10("train", directory=tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(bytes(3074))
    with pytest.raises(ValueError, match=r"whole number of 3073-byte records. Received: 3074 bytes"):
        data.cifar10("test", directory=tmp_path)


# --- downloading -----------------------------------------------------------------------------------------------------


class Mirror(http.server.BaseHTTPRequestHandler):
    """Serves `files`; `plan` lists what to do with the next requests: "drop" half-way, an error code, else deliver."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        action = server.plan.pop(0) if server.plan else "deliver"
        start = int(self.headers.get("Range", "bytes=0-")[6:-1]) if server.ranges else 0
        server.log.append((self.path, start))
        whole = server.files.get(self.path)
        code = action if isinstance(action, int) else 404 if whole is None else 416 if start >= len(whole) else 206
        if code != 206:
            self.send_error(code)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        body = whole[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if action == "drop" else body)
        self.close_connection = True

    def log_message(self, *args):
        pass


@pytest.fixture
def mirror():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.daemon_threads = False  # joined by server_close
    server.plan, server.log, server.files, server.ranges = [], [], {}, True
    server.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


BODY = bytes(range(256)) * 1000
MD5 = hashlib.md5(BODY).hexdigest()


def test_fetch_resumes(mirror, tmp_path):
    mirror.files["/f"] = BODY
    mirror.plan = ["drop"]
    target = tmp_path / "new/f"
    with pytest.raises(OSError, match="/f: "):
        download.fetch([mirror.url + "f"], target, MD5)
    assert not target.exists() and (tmp_path / "new/f.part").read_bytes() == BODY[: len(BODY) // 2]
    download.fetch([mirror.url + "f"], target, MD5)
    assert target.read_bytes() == BODY and not (tmp_path / "new/f.part").exists()
    assert mirror.log == [("/f", 0), ("/f", len(BODY) // 2)]


def test_fetch_resumes_from_the_next_mirror(mirror, tmp_path):
    mirror.files["/f"] = mirror.files["/g"] = BODY
    mirror.plan = [503, "drop"]
    download.fetch([mirror.url + name for name in ("f", "f", "g")], tmp_path / "f", MD5)
    assert (tmp_path / "f").read_bytes() == BODY
    assert mirror.log == [("/f", 0), ("/f", 0), ("/g", len(BODY) // 2)]


def test_fetch_without_ranges_starts_anew(mirror, tmp_path):
    mirror.files["/f"], mirror.ranges = BODY, False
    (tmp_path / "f.part").write_bytes(BODY[:100])
    download.fetch([mirror.url + "f"], tmp_path / "f", MD5)
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("part", [b"damaged", BODY + b"longer", BODY])
def test_fetch_with_a_strange_part(mirror, tmp_path, part):
    mirror.files["/f"] = BODY
    (tmp_path / "f.part").write_bytes(part)
    download.fetch([mirror.url + "f"], tmp_path / "f", MD5)
    assert (tmp_path / "f").read_bytes() == BODY


def test_fetch_checksum(mirror, tmp_path):
    mirror.files["/f"] = b"something else"
    with pytest.raises(OSError, match=f"checksum {hashlib.md5(b'something else').hexdigest()}, expected {MD5}"):
        download.fetch([mirror.url + "f"], tmp_path / "f", MD5)
    assert list(tmp_path.iterdir()) == []


def test_data_set_is_downloaded_once(nowhere, mirror, monkeypatch, capsys):
    expected = write_idx_pair(nowhere / "served")
    files = {path.name: path.read_bytes() for path in (nowhere / "served").iterdir()}
    mirror.files = {f"/{name}": content for name, content in files.items()}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    monkeypatch.setattr(datasets, "_MNIST", replace(datasets._MNIST, mirrors=(*NO_MIRROR, mirror.url), md5=md5))
    equal(data.mnist("test"), expected)
    assert "Downloading t10k-images-idx3-ubyte.gz" in capsys.readouterr().err
    equal(data.mnist("test"), expected)
    assert len(mirror.log) == 2
    assert sorted(path.name for path in (nowhere / "cache/convkit/mnist").iterdir()) == sorted(files)
