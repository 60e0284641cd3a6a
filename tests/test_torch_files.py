"""Checkpoints of PyTorch read without it: both containers, every dtype; refusals; damage never crashes."""

import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import checkpoints
from checkpoints import WRITERS, archive, legacy, mapping, name, named, number, sequence, storage, tensor, text
from convkit import weights
from convkit.interop import torch_files

SIX = np.arange(6, dtype=np.float32)
ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "double": np.array([1.5, -2.5]),
    "half": np.array([[0.5], [np.inf]], np.float16),
    "steps": np.array(7, np.int64),
    "ints": np.array([-1, 2**31 - 1], np.int32),
    "bytes": np.arange(5, dtype=np.uint8),
    "mask": np.array([True, False, True]),
    "empty": np.zeros((0, 4), np.float32),
    "ü": SIX,
}


def read(path):
    return torch_files.read(path)


def refusal(path):
    """The text of the ValueError."""
    with pytest.raises(ValueError, match=r"^\[load_torch\] damaged or foreign file ") as caught:
        read(path)
    assert repr(str(path)) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("container", WRITERS)
def test_state_dicts(tmp_path, container, order):
    found = read(WRITERS[container](tmp_path / "w.pth", ARRAYS, order))
    assert list(found) == list(ARRAYS)
    for key, array in ARRAYS.items():
        assert found[key].dtype == array.dtype and found[key].shape == array.shape, key
        np.testing.assert_array_equal(found[key], array)


@pytest.mark.parametrize("container", WRITERS)
def test_bfloat16_becomes_float32(tmp_path, container):
    bits = np.array([0x3F80, 0xC000, 0x7F80], np.uint16)
    found = read(WRITERS[container](tmp_path / "w", {"x": bits}))["x"]
    assert found.dtype == np.float32 and found.tolist() == [1.0, -2.0, np.inf]


def test_views_of_one_storage(tmp_path):
    """A transposed tensor, one that starts later, one that repeats an element."""
    shared = storage("0")
    content = named({"t": tensor(shared, (3, 2), (1, 3)), "tail": tensor(shared, (2,), (1,), 4)})
    content = mapping(state_dict=content, same=tensor(shared, (2, 3), (0, 0), 5), epoch=number(3))
    found = read(archive(tmp_path / "w", content, {"0": SIX.tobytes()}))
    np.testing.assert_array_equal(found["state_dict"]["t"], SIX.reshape(2, 3).T)
    assert found["state_dict"]["tail"].tolist() == [4, 5] and found["epoch"] == 3
    np.testing.assert_array_equal(found["same"], np.full((2, 3), 5))


def test_views_of_pytorch_0_3(tmp_path):
    """A storage that is a part of another, and the function that rebuilt tensors then."""
    view = sequence(text("v"), number(2), number(4))
    rebuilt = sequence(storage("0", "Float", 6, view), number(1), sequence(number(3)), sequence(number(1)))
    content = named({"x": name("torch._utils._rebuild_tensor") + rebuilt + b"R"})
    found = read(legacy(tmp_path / "w", content, {"0": (6, SIX.tobytes())}))
    assert found["x"].tolist() == [3, 4, 5]


def test_parameters_and_sizes(tmp_path):
    parameter = name("torch._utils._rebuild_parameter") + sequence(tensor(storage("0")), b"\x88", b"N") + b"R"
    shape = name("torch.Size") + sequence(sequence(number(2), number(3))) + b"R"
    pairs = b"](" + b"](" + text("a") + number(1) + b"e" + b"e"
    old = name("collections.OrderedDict") + sequence(pairs) + b"R"  # as Python 2 wrote it
    content = mapping(weight=parameter, shape=shape, old=old)
    found = read(archive(tmp_path / "w", content, {"0": SIX.tobytes()}))
    np.testing.assert_array_equal(found["weight"], SIX.reshape(2, 3))
    assert found["shape"] == (2, 3) and found["old"] == {"a": 1}


def test_what_is_not_used_is_not_read(tmp_path):
    """The state of an optimizer lies below the second level: its storages may be absent."""
    optimizer = mapping(state=mapping(a=mapping(exp_avg=tensor(storage("1")))))
    content = mapping(state_dict=named({"w": tensor(storage("0"))}), optimizer=optimizer)
    found = read(archive(tmp_path / "w", content, {"0": SIX.tobytes()}))
    np.testing.assert_array_equal(found["state_dict"]["w"], SIX.reshape(2, 3))


def test_newer_pickles(tmp_path):
    """Protocol 4 has frames, short strings and names on the stack."""
    content = {"epoch": 3, "lr": 0.1, "tags": ["a", None, True, -(2**40)], "pair": (1, 2, 3, 4), "raw": b"\0"}
    for protocol in (2, 3, 4, 5):
        body = pickle.dumps(content, protocol)
        if protocol == 2:
            body = pickle.dumps({**content, "raw": 0}, 2)  # bytes need a function in protocol 2
        path = archive(tmp_path / "w", body[2:-1], {})
        assert read(path) == {**content, "raw": 0 if protocol == 2 else b"\0"}
    rebuilt = b"\x8c\x0ctorch._utils\x8c\x12_rebuild_tensor_v2\x93"
    body = mapping(x=tensor(storage("0")).replace(name("torch._utils._rebuild_tensor_v2"), rebuilt))
    np.testing.assert_array_equal(read(archive(tmp_path / "w", body, {"0": SIX.tobytes()}))["x"], SIX.reshape(2, 3))


def test_safetensors_whatever_its_first_bytes(tmp_path):
    """The length of the header comes first: 0x50 is the P of a zip archive, 0x80 starts a pickle."""
    seen = set()
    for pad in range(0, 400, 8):
        weights.save(tmp_path / "w", {"x": SIX}, {"pad": "p" * pad})
        seen.add((tmp_path / "w").read_bytes()[0])
        np.testing.assert_array_equal(read(tmp_path / "w")["x"], SIX)
    assert {0x50, 0x80} <= seen


def test_our_own_files_are_told_apart(tmp_path):
    weights.save(tmp_path / "w", {"x": SIX}, {"model": "lenet5", "model arguments": "{}"})
    with pytest.raises(ValueError, match=r"was written by convkit.*convkit.models.load"):
        read(tmp_path / "w")


# What is refused

REFUSED = {
    "os.system": name("posix.system") + sequence(text("touch pwned")) + b"R",
    "eval": name("__builtin__.eval") + sequence(text("1")) + b"R",
    "a model": name("torchvision.models.resnet.ResNet") + b")\x81",
    "numpy": name("numpy.core.multiarray.scalar") + b")R",
    "a quantised tensor": name("torch._utils._rebuild_qtensor") + b")R",
    "complex numbers": tensor(storage("0", "ComplexFloat")),
}
ASKED = {
    "os.system": "posix.system",
    "eval": "__builtin__.eval",
    "a model": "torchvision.models.resnet.ResNet",
    "numpy": "numpy.core.multiarray.scalar",
    "a quantised tensor": "torch._utils._rebuild_qtensor",
    "complex numbers": "torch.ComplexFloatStorage",
}


@pytest.mark.parametrize("container", WRITERS)
@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(tmp_path, monkeypatch, container, case):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w"
    if container == "zip":
        archive(path, mapping(x=REFUSED[case]), {})
    else:
        legacy(path, mapping(x=REFUSED[case]), {})
    assert f"asks for {ASKED[case]}, which is not a part of plain checkpoints" in refusal(path)
    assert not (tmp_path / "pwned").exists()


PICKLES = {
    "instruction": (b"\x8f", "the instruction EMPTY_SET"),
    "inst": (b"(iposix\nsystem\n", "the instruction INST"),
    "unknown": (b"\xff", "opcode b'\\xff' unknown"),
    "underflow": (b"\x86", "misplaced TUPLE2"),
    "beyond a mark": (b"N(\x86", "misplaced TUPLE2"),
    "no mark": (b"Nt", "misplaced TUPLE"),
    "memo": (b"h\x05", "misplaced BINGET"),
    "nothing": (b"", "does not leave one object"),
    "two": (b"NN", "does not leave one object"),
    "a list": (b"]", "holds a list, not a state_dict"),
    "key": (b"}" + sequence(b"N") + b"Ns", "a tuple for a key"),
    "append": (b"}Na", "appends to what is not a list"),
    "item": (b"]NNs", "sets items of what is not a dict"),
    "odd": (b"}(Nu", "sets items of what is not a dict"),
    "state": (b"]}b", "sets attributes of what is not a dict"),
    "call": (b"N)R", "calls what is not a function"),
    "call a storage": (name("torch.FloatStorage") + b")R", "calls what is not a function"),
    "arguments": (name("collections.OrderedDict") + b"NR", "calls what is not a function"),
    "pairs": (name("collections.OrderedDict") + sequence(sequence(number(1))) + b"R", "what are not pairs"),
    "size": (name("torch.Size") + sequence(number(1)) + b"R", "not made of a tuple"),
    "parameter": (name("torch._utils._rebuild_parameter") + b")R", "holds no tensor"),
    "persistent": (sequence(text("module"), b"N", b"N", b"N", b"N") + b"Q", "is not a storage"),
    "storage": (sequence(text("storage"), text("f4"), text("0"), text("cpu"), number(6)) + b"Q", "type, key, device"),
    "negative storage": (storage("0", "Float", -6), "type, key, device"),
    "view": (storage("0", "Float", 6, sequence(text("v"), number(4), number(4))), "lies outside"),
    "tensor": (name("torch._utils._rebuild_tensor_v2") + b")R", "not described by storage"),
    "negative stride": (tensor(storage("0"), strides=(-3, 1)), "not described by storage"),
    "strides": (tensor(storage("0"), strides=(1,)), "not described by storage"),
    "bool in a shape": (tensor(storage("0")).replace(number(2), b"\x88"), "not described by storage"),
}


@pytest.mark.parametrize("case", PICKLES)
def test_pickles_that_make_no_sense(tmp_path, case):
    body, message = PICKLES[case]
    assert message in refusal(archive(tmp_path / "w", body, {}))


TENSORS = {
    "outside": (tensor(storage("0"), offset=1), "element 6 of a storage of 6"),
    "large": (tensor(storage("0"), (2**40,), (1,)), "of a storage of 6"),
    "huge strides": (tensor(storage("0"), strides=(2**62, 1)), "of a storage of 6"),
    "empty and huge": (tensor(storage("0"), (0, 2**62, 2**62), (1, 1, 1)), "damaged"),
    "repeated and huge": (tensor(storage("0"), (2**62, 2**62), (0, 0)), "damaged"),
    "100 axes": (tensor(storage("0"), (1,) * 100, (1,) * 100), "damaged"),
    "size": (tensor(storage("0", size=7)), "storage 0 of 7 elements has 24 bytes"),
    "dtype": (tensor(storage("0", "Double")), "storage 0 of 6 elements has 24 bytes"),
    "claimed": (tensor(storage("0", size=2**62)), "storage 0 of 4611686018427387904 elements has 24 bytes"),
    "absent": (tensor(storage("1")), "has no archive/data/1"),
    "path": (tensor(storage("../version")), "has no archive/data/../version"),
    "boolean": (tensor(storage("0", "Bool", 24), (24,), (1,)), "neither 0 nor 1"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_tensors_that_do_not_fit_their_storage(tmp_path, case):
    body, message = TENSORS[case]
    assert message in refusal(archive(tmp_path / "w", mapping(x=body), {"0": SIX.tobytes()}))


def test_one_storage_described_in_two_ways(tmp_path):
    body = mapping(x=tensor(storage("0")), y=tensor(storage("0", "Int")))
    assert "described in two ways" in refusal(archive(tmp_path / "w", body, {"0": SIX.tobytes()}))
    old = mapping(x=tensor(storage("0", "Float", 6, b"N")), y=tensor(storage("0", "Int", 6, b"N")))
    assert "described in two ways" in refusal(legacy(tmp_path / "w", old, {"0": (6, SIX.tobytes())}))


def test_archives(tmp_path):
    good, path = {"x": SIX}, tmp_path / "w"
    body, blocks = checkpoints.state_pickle(good), {"0": SIX.tobytes()}
    assert "is compressed" in refusal(archive(path, body, blocks, zipfile.ZIP_DEFLATED))
    assert "TorchScript archive" in refusal(archive(path, body, blocks, **{"constants.pkl": b""}))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "no checkpoint")
    assert "has no data.pkl" in refusal(path)
    path.write_bytes(b"PK\3\4" + bytes(100))
    assert "directory cannot be read" in refusal(path)


def test_members_that_overlap(tmp_path):
    """A bomb: many members whose bytes are the same ones, each to be widened."""
    path = archive(tmp_path / "w", checkpoints.state_pickle({"x": SIX}), {"0": bytes(1000)})
    data = path.read_bytes()
    end = data.rindex(b"PK\5\6")
    entry = data.rindex(b"PK\1\2", 0, data.rindex(b"PK\1\2"))  # of archive/data/0
    one = data[entry : data.rindex(b"PK\1\2")]
    assert b"data/0" in one
    directory = data[data.index(b"PK\1\2") : end] + one * 50
    count, _, at = struct.unpack("<HII", data[end + 10 : end + 20])
    tail = struct.pack("<HHII", count + 50, count + 50, len(directory), at)
    path.write_bytes(data[:at] + directory + data[end : end + 8] + tail + data[end + 20 :])
    assert "larger than the file" in refusal(path)


def test_a_bit_that_flips_in_the_weights(tmp_path):
    path = WRITERS["zip"](tmp_path / "w", {"x": SIX})
    data = bytearray(path.read_bytes())
    data[data.index(SIX.tobytes()) + 5] ^= 1
    path.write_bytes(data)
    assert "does not have the bytes that it was written with" in refusal(path)


LEGACY = {
    "bytes behind": (lambda data: data + b"\0", "1 bytes follow the last storage"),
    "storage cut": (lambda data: data[:-1], "storage 0 of 6 elements has 23 bytes"),
    "no storages": (lambda data: data[:-32], "followed by 0"),
    "count": (lambda data: data[:-32] + bytes([7]) + data[-31:], "of 6 elements is followed by 7"),
    "magic": (lambda data: data.replace(b"\x6c\xfc", b"\x6d\xfc", 1), "not a checkpoint of PyTorch"),
    "another pickle": (lambda data: pickle.dumps({"x": 1}), "not a checkpoint of PyTorch"),
    "key": (lambda data: data.replace(b"](" + text("0"), b"](" + text("1")), "storage 1 belongs to no tensor"),
    "keys": (lambda data: data.replace(b"](" + text("0"), b"](" + number(1)), "not a list of strings"),
    "none": (lambda data: data.replace(b"](" + text("0") + b"e", b"]")[:-32], "storage 0 is not in the file"),
    "facts": (lambda data: data.replace(mapping(little_endian=b"\x88"), b"N"), "facts of the machine"),
}


@pytest.mark.parametrize("case", LEGACY)
def test_damaged_legacy_files(tmp_path, case):
    change, message = LEGACY[case]
    path = WRITERS["legacy"](tmp_path / "w", {"x": SIX})
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    assert path.read_bytes() != whole
    assert message in refusal(path)


def test_deep_nesting_and_large_numbers(tmp_path):
    """None of these takes memory or the C stack beyond their bytes."""
    deep = b"N" + b"\x85" * 200_000  # a tuple in a tuple in ...
    assert list(read(archive(tmp_path / "w", mapping(x=deep), {}))) == ["x"]
    assert "a tuple for a key" in refusal(archive(tmp_path / "w", b"}" + deep + b"Ns", {}))
    far = b"Nr\xff\xff\xff\xff0"  # LONG_BINPUT to place 2**32 - 1, POP
    assert "the instruction POP" in refusal(archive(tmp_path / "w", far, {}))
    long_text = b"\x8d" + (2**62).to_bytes(8, "little") + b"abc"
    assert "expected 4611686018427387904 bytes" in refusal(archive(tmp_path / "w", long_text, {}))
    wide = b"\x8b" + (2**31 - 1).to_bytes(4, "little") + b"abc"
    assert "long" in refusal(archive(tmp_path / "w", wide, {}))


@pytest.mark.parametrize("container", [b"q\x01h\x01\x86" * 60, b"\x85" * 100_000], ids=["doubling", "deep"])
def test_names_that_are_not_strings(tmp_path, container):
    """The text of such a container would be 2^60 letters long, or more nested than Python's stack is deep."""
    path = archive(tmp_path / "w", text("x") + container + text("y") + b"\x93", {})
    assert "names something that is not a string" in refusal(path)


def test_strides_of_axes_of_size_1_may_be_any(tmp_path):
    path = archive(tmp_path / "w", mapping(x=tensor(storage("0"), (1, 6), (2**62, 1))), {"0": SIX.tobytes()})
    np.testing.assert_array_equal(read(path)["x"], SIX[None])


def test_every_truncation_is_refused(tmp_path):
    for write in WRITERS.values():
        path = write(tmp_path / "w", {"x": SIX, "n": np.array(3)})
        whole = path.read_bytes()
        for length in range(len(whole)):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError, match="damaged or foreign"):
                read(path)


def test_missing_files_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nowhere.pth")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


def assert_reads_or_refuses(path):
    try:
        content = read(path)
    except ValueError as error:
        assert "damaged or foreign" in str(error) or "written by convkit" in str(error)
    else:
        assert type(content) is dict
        for value in content.values():
            assert not isinstance(value, np.ndarray) or value.size >= 0


SMALL = {"w": SIX.reshape(2, 3), "h": np.array([1, 2], np.uint16), "n": np.array(3)}


@settings(max_examples=400, deadline=None)
@given(container=st.sampled_from(list(WRITERS)), place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_a_changed_byte_never_crashes(tmp_path_factory, container, place, value):
    path = WRITERS[container](tmp_path_factory.getbasetemp() / "changed", SMALL)
    data = bytearray(path.read_bytes())
    data[place % len(data)] = value
    path.write_bytes(data)
    assert_reads_or_refuses(path)


@settings(max_examples=300, deadline=None)
@given(
    container=st.sampled_from(list(WRITERS)), start=st.integers(0, 10_000), count=st.integers(1, 60), put=st.binary()
)
def test_changed_stretches_never_crash(tmp_path_factory, container, start, count, put):
    path = WRITERS[container](tmp_path_factory.getbasetemp() / "stretch", SMALL)
    data = path.read_bytes()
    start %= len(data)
    path.write_bytes(data[:start] + put + data[start + count :])
    assert_reads_or_refuses(path)


PARTS = [
    *(
        b"N",
        b"(",
        b"t",
        b"u",
        b"e",
        b"a",
        b"s",
        b"R",
        b"b",
        b"}",
        b"]",
        b")",
        b"\x85",
        b"\x86",
        b"q\x01",
        b"h\x01",
        b"Q",
    ),
    *(text("0"), number(2), storage("0"), tensor(storage("0")), name("collections.OrderedDict"), name("torch.Size")),
    *(name("torch._utils._rebuild_parameter"), name("torch.FloatStorage"), b"\x93", b"\x94", b"\x81", b"2", b"Q"),
]


@settings(max_examples=600, deadline=None)
@given(body=st.lists(st.sampled_from(PARTS), max_size=25).map(b"".join) | st.binary(max_size=60))
@example(body=b"}(" + text("a") + b"h\x01")
def test_no_row_of_instructions_crashes(tmp_path_factory, body):
    """With a right checksum, so that the pickle is what is read."""
    path = archive(tmp_path_factory.getbasetemp() / "row", b"}q\x01" + body, {"0": SIX.tobytes()})
    assert_reads_or_refuses(path)


def test_the_writer_of_these_tests_writes_what_torch_does(tmp_path):
    torch = pytest.importorskip("torch", reason="compares with torch's own reader")
    for write in WRITERS.values():
        path = write(tmp_path / "w.pth", {k: v for k, v in ARRAYS.items() if k != "empty"})
        for key, value in torch.load(path).items():
            np.testing.assert_array_equal(value.numpy(), ARRAYS[key])
