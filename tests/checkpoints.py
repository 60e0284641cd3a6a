"""Writes checkpoints as torch.save does, without PyTorch: the pickle's instructions one by one, and both containers."""

import io
import struct
import zipfile

import numpy as np

STORAGES = {"f4": "Float", "f8": "Double", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}
START, STOP = b"\x80\x02", b"."


def text(value):
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value):
    return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"\x8a\x0a" + value.to_bytes(10, "little")


def name(full):
    module, _, attribute = full.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def sequence(*items):
    return b"(" + b"".join(items) + b"t"


def mapping(**entries):
    return named(entries)


def named(entries):
    return b"}(" + b"".join(text(key) + value for key, value in entries.items()) + b"u"


def ordered(entries):
    """An OrderedDict with the attribute _metadata, which torch gives to a state_dict."""
    empty = name("collections.OrderedDict") + b")R"
    items = b"".join(text(key) + value for key, value in entries.items())
    return empty + b"(" + items + b"u" + mapping(_metadata=empty) + b"b"


def storage(key, kind="Float", size=6, *view):
    return sequence(text("storage"), name(f"torch.{kind}Storage"), text(key), text("cpu"), number(size), *view) + b"Q"


def tensor(stored, shape=(2, 3), strides=(3, 1), offset=0):
    shape, strides = (sequence(*map(number, value)) for value in (shape, strides))
    hooks = name("collections.OrderedDict") + b")R"
    return (
        name("torch._utils._rebuild_tensor_v2")
        + sequence(stored, number(offset), shape, strides, b"\x89", hooks)
        + b"R"
    )


def kind_of(array):
    return "BFloat16" if array.dtype == np.uint16 else STORAGES[array.dtype.str[1:]]  # uint16 stands for bfloat16


def state_pickle(arrays, legacy=False):
    """The pickle of a state_dict of whole, dense tensors; the storages' keys are "0", "1", ..."""
    view = (b"N",) if legacy else ()
    entries = {}
    for key, (entry, array) in enumerate(arrays.items()):
        strides = [int(np.prod(array.shape[axis + 1 :])) for axis in range(array.ndim)]
        entries[entry] = tensor(storage(str(key), kind_of(array), array.size, *view), array.shape, strides)
    return ordered(entries)


def archive(path, pickle, blocks, compression=zipfile.ZIP_STORED, root="archive", **members):
    """A zip archive of a pickle and storages (key -> bytes)."""
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr(f"{root}/data.pkl", START + pickle + STOP)
        for key, value in members.items():
            file.writestr(f"{root}/{key}", value)
        for key, block in blocks.items():
            file.writestr(f"{root}/data/{key}", block)
        file.writestr(f"{root}/version", "3\n")
    return path


def write_zip(path, arrays, order="<"):
    blocks = {str(key): a.astype(a.dtype.newbyteorder(order)).tobytes() for key, a in enumerate(arrays.values())}
    return archive(path, state_pickle(arrays), blocks, byteorder="little" if order == "<" else "big")


def legacy(path, pickle, blocks, little=True):
    """The row of pickles of PyTorch before 1.6; blocks: key -> (elements, bytes)."""
    parts = [number(0x1950A86A20F9469CFC6C), number(1001), mapping(little_endian=b"\x88" if little else b"\x89")]
    parts += [pickle, b"](" + b"".join(map(text, blocks)) + b"e"]
    out = io.BytesIO()
    for part in parts:
        out.write(START + part + STOP)
    for size, block in blocks.values():
        out.write(size.to_bytes(8, "little" if little else "big") + block)
    path.write_bytes(out.getvalue())
    return path


def write_legacy(path, arrays, order="<"):
    blocks = {
        str(key): (a.size, a.astype(a.dtype.newbyteorder(order)).tobytes()) for key, a in enumerate(arrays.values())
    }
    return legacy(path, state_pickle(arrays, legacy=True), blocks, little=order == "<")


WRITERS = {"zip": write_zip, "legacy": write_legacy}
