"""Weight files: round trips, agreement with the safetensors package, refusal of every damaged file, atomic writing."""

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convkit import weights

TENSORS = {
    "conv.weight": np.arange(2 * 3 * 3 * 1, dtype=np.float32).reshape(2, 3, 3, 1),
    "double": np.array([1.5, -2.5]),
    "half": np.array([[0.5], [np.inf]], np.float16),
    "steps": np.array(7, np.int64),
    "mask": np.array([True, False, True]),
    "bytes": np.arange(5, dtype=np.uint8),
    "empty": np.zeros((0, 4), np.float32),
    'name with ü and " quote': np.array([np.nan, -0.0], np.float32),
}


def raw_file(path, header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def entry(shape=(1,), begin=0, end=4, dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_round_trip(tmp_path):
    path = tmp_path / "w.safetensors"
    weights.save(path, TENSORS, {"model": "lenet", "classes": "[]"})
    tensors, metadata = weights.load(path)
    assert_same(tensors, TENSORS)
    assert metadata == {"model": "lenet", "classes": "[]"}
    assert all(array.flags.aligned for array in tensors.values())


def test_no_tensors(tmp_path):
    weights.save(tmp_path / "w", {})
    assert weights.load(tmp_path / "w") == ({}, {})


def test_non_contiguous_and_big_endian_arrays(tmp_path):
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    weights.save(tmp_path / "w", {"t": array.T, "b": array.astype(">f4")})
    assert_same(weights.load(tmp_path / "w")[0], {"t": array.T.copy(), "b": array})


def test_the_safetensors_package_reads_ours_and_we_read_its(tmp_path):
    peer = pytest.importorskip("safetensors.numpy")
    weights.save(tmp_path / "ours", TENSORS, {"a": "b"})
    assert_same(peer.load_file(tmp_path / "ours"), TENSORS)
    peer.save_file(TENSORS, tmp_path / "theirs", {"a": "b"})
    tensors, metadata = weights.load(tmp_path / "theirs")
    assert_same(tensors, TENSORS)
    assert metadata == {"a": "b"}


def test_bfloat16_becomes_float32(tmp_path):
    body = np.array([0x3F80, 0xC000, 0x7F80], np.uint16).tobytes()
    path = raw_file(tmp_path / "w", {"x": entry((3,), 0, 6, "BF16")}, body)
    assert_same(weights.load(path)[0], {"x": np.array([1.0, -2.0, np.inf], np.float32)})


def test_unaligned_data_is_copied_into_place(tmp_path):
    path = raw_file(tmp_path / "w", json.dumps({"x": entry()}).encode() + b" ", np.float32(3).tobytes())
    x = weights.load(path)[0]["x"]
    assert x.flags.aligned and x[0] == 3


DEEP = b'{"a":' * 100_000
DAMAGED = {
    "empty file": (None, "0 bytes are too few"),
    "header longer than the file": ((2**40).to_bytes(8, "little") + b"{}", "claims 1099511627776 bytes"),
    "not utf-8": (b"{\xff\xfe}", "utf-8"),
    "not json": (b'{"a": ', "damaged"),
    "nested": (DEEP, "nested too deeply|Expecting"),
    "list": (b"[]", "not a JSON object"),
    "repeated key": (b'{"a": 1, "a": 2}', "repeats a key"),
    "metadata list": ({"__metadata__": []}, "not a map of strings"),
    "metadata number": ({"__metadata__": {"a": 1}}, "not a map of strings"),
    "entry": ({"x": 3}, "not described"),
    "entry keys": ({"x": {"dtype": "F32", "shape": [1]}}, "not described"),
    "dtype": ({"x": entry(dtype="F8_E4M3")}, "unknown dtype 'F8_E4M3'"),
    "dtype list": ({"x": entry(dtype=[])}, "unknown dtype"),
    "negative": ({"x": entry((-1,))}, "shape"),
    "bool size": ({"x": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, "shape"),
    "float size": ({"x": entry((1.0,))}, "shape"),
    "huge": ({"x": entry((2**62, 2**62))}, "does not fill"),
    "huge and empty": ({"x": entry((0, 2**62, 2**62), 0, 0)}, "damaged"),
    "100 axes": ({"x": entry((1,) * 100)}, "damaged"),
    "three offsets": ({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}}, "data_offsets"),
    "backwards": ({"x": entry((), 4, 0)}, "does not fill"),
    "outside": ({"x": entry((2,), 0, 8)}, "does not fill"),
    "wrong size": ({"x": entry((3,))}, "does not fill"),
    "gap": ({"x": entry((0,), 0, 0), "y": entry((0,), 4, 4)}, "gap or overlap at byte 0"),
    "overlap": ({"x": entry(), "y": entry()}, "gap or overlap at byte 0"),
    "surplus": ({}, "4 bytes follow"),
    "boolean": ({"x": entry((4,), dtype="BOOL")}, "neither 0 nor 1"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_files(tmp_path, case):
    header, message = DAMAGED[case]
    path = tmp_path / "w"
    if header is None:
        path.write_bytes(b"")
    elif case == "header longer than the file":
        path.write_bytes(header)
    else:
        raw_file(path, header, b"\x07\0\0\0")
    with pytest.raises(ValueError, match=message) as caught:
        weights.load(path)
    assert repr(str(path)) in str(caught.value)


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "w"
    weights.save(path, {"x": np.ones((2, 3), np.float32)}, {"model": "m"})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="damaged or foreign"):
            weights.load(path)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_never_crashes(tmp_path_factory, position, value):
    path = tmp_path_factory.getbasetemp() / "changed"
    weights.save(path, {"x": np.ones((2, 3), np.float32), "n": np.array(3)}, {"model": "m"})
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        tensors, metadata = weights.load(path)
    except ValueError as error:
        assert "damaged or foreign" in str(error)
    else:
        assert all(isinstance(array, np.ndarray) for array in tensors.values())
        assert all(isinstance(text, str) for text in metadata.values())


def test_refused_to_save(tmp_path):
    with pytest.raises(TypeError, match=r"dtype cannot be stored\. Received: 'x' of complex64"):
        weights.save(tmp_path / "w", {"x": np.zeros(2, np.complex64)})
    with pytest.raises(TypeError, match="maps strings to strings"):
        weights.save(tmp_path / "w", {}, {"epochs": 3})
    with pytest.raises(ValueError, match="__metadata__"):
        weights.save(tmp_path / "w", {"__metadata__": np.zeros(1)})
    assert os.listdir(tmp_path) == []


def test_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        weights.load(tmp_path / "nowhere")


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "w"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="disk"), weights.atomic_write(path) as file:
        file.write(b"half of the new")
        raise RuntimeError("disk")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["w"]


def test_atomic_write_follows_a_symlink(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with weights.atomic_write(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"
