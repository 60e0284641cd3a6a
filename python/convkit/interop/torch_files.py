"""The containers of PyTorch's checkpoints: the zip archive of version 1.6 on, and the row of pickles before it.

Both hold a pickle that describes tensors (pickles.py) and the storages that the tensors lie in; format:
torch/serialization.py. A damaged file is a ValueError. Its claims about sizes are checked against its bytes before
anything is allocated.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import weights
from .pickles import Storage, StoredTensor, as_array, read_pickle

_LEGACY_MAGIC, _LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_CONTAINERS = (dict, list, tuple)


def read(path: str | os.PathLike) -> Any:
    """The object of a ``.pth``, ``.pt`` or ``.safetensors`` file, told apart by its first bytes.

    Made of dicts, lists, tuples, strings, numbers and numpy arrays, which share memory; bfloat16 is widened to float32.
    """
    with open(path, "rb") as file:
        start = file.read(9)
    archive, pickled = start[:4] == b"PK\3\4", start[:1] == b"\x80"
    if start[8:] == b"{" or not (archive or pickled):  # safetensors: 8 bytes of length, which may be any, and JSON
        tensors, metadata = weights.load(path)
        if "model arguments" in metadata:
            raise ValueError(
                f"[load_torch] {os.fspath(path)!r} was written by convkit, in its own order of axes: use "
                f"model.load(path) or convkit.models.load(path)."
            )
        return tensors
    with open(path, "rb") as file:
        data = file.read()
    try:
        content, numbers = _zip(data) if archive else _legacy(data)
        return _with_arrays(content, numbers)
    except ValueError as error:
        raise ValueError(f"[load_torch] damaged or foreign file {os.fspath(path)!r}: {error}.") from None


def _with_arrays(content: Any, numbers: Callable[[Storage], np.ndarray]) -> Any:
    """``content`` with arrays in place of the tensors in its dicts, down to the second level.

    State_dicts lie on the first or, in a checkpoint with more in it, on the second.
    """
    if type(content) is not dict:
        raise ValueError(f"it holds a {type(content).__name__}, not a state_dict")
    for key, value in content.items():
        if type(value) is StoredTensor:
            content[key] = as_array(value, numbers(value.storage))
        elif type(value) is dict:
            for name, inner in value.items():
                if type(inner) is StoredTensor:
                    value[name] = as_array(inner, numbers(inner.storage))
    return content


def _numbers(raw: memoryview, storage: Storage, order: str) -> np.ndarray:
    """The elements of a storage that fills ``raw``; ``order`` is ">" for files of big-endian machines, else "<"."""
    half = storage.dtype == "bfloat16"
    dtype = np.dtype(order + ("u2" if half else storage.dtype))
    if len(raw) != storage.size * dtype.itemsize:
        raise ValueError(f"storage {storage.key} of {storage.size} elements has {len(raw)} bytes")
    elements = np.frombuffer(raw, dtype)
    if not dtype.isnative:
        elements = elements.astype(dtype.newbyteorder("="))
    if storage.dtype == "b1" and (elements.view(np.uint8) > 1).any():
        raise ValueError(f"storage {storage.key} holds booleans that are neither 0 nor 1")
    return weights.widen_bfloat16(elements) if half else elements


# The zip archive: NAME/data.pkl, the storages NAME/data/KEY, NAME/byteorder


def _zip(data: bytes) -> tuple[Any, Callable[[Storage], np.ndarray]]:
    members = _members(data)
    root = next((name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")), None)
    if root is None:
        raise ValueError("the archive has no data.pkl")
    if f"{root}constants.pkl" in members:
        raise ValueError("it is a TorchScript archive, which holds a program; save the state_dict instead")
    order = ">" if bytes(_member(data, members, f"{root}byteorder", b"little")) == b"big" else "<"
    found: dict[str, np.ndarray] = {}
    kinds: dict[str, Storage] = {}

    def numbers(storage: Storage) -> np.ndarray:
        if kinds.setdefault(storage.key, storage) != storage:
            raise ValueError(f"storage {storage.key} is described in two ways")
        if storage.key not in found:
            found[storage.key] = _numbers(_member(data, members, f"{root}data/{storage.key}"), storage, order)
        return found[storage.key]

    return read_pickle(io.BytesIO(_member(data, members, f"{root}data.pkl"))), numbers


def _members(data: bytes) -> dict[str, zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, LookupError, OverflowError, struct.error) as e:
        raise ValueError(f"the archive's directory cannot be read: {e}") from None
    if sum(info.file_size for info in members) > len(data):
        raise ValueError("the archive's members are larger than the file")
    return {info.filename: info for info in members}


def _member(data: bytes, members: dict, name: str, default: bytes | None = None) -> memoryview:
    """The bytes of a member, which PyTorch never compresses: a view of the file's."""
    info = members.get(name)
    if info is None:
        if default is None:
            raise ValueError(f"the archive has no {name}")
        return memoryview(default)
    header = data[info.header_offset : info.header_offset + 30]
    if info.compress_type != zipfile.ZIP_STORED or len(header) != 30 or header[:4] != b"PK\3\4":
        raise ValueError(f"the archive's {name} is compressed or has no header")
    begin = info.header_offset + 30 + sum(struct.unpack("<HH", header[26:]))  # lengths of name and extra field
    raw = memoryview(data)[begin : begin + info.file_size]
    if len(raw) != info.file_size or zlib.crc32(raw) != info.CRC:
        raise ValueError(f"the archive's {name} does not have the bytes that it was written with")
    return raw


# Before 1.6: pickles of a magic number, the version, facts of the machine, the object and the keys of the storages, and
# then each storage as its number of elements (8 bytes) and the elements


def _legacy(data: bytes) -> tuple[Any, Callable[[Storage], np.ndarray]]:
    file = io.BytesIO(data)
    if read_pickle(file) != _LEGACY_MAGIC or read_pickle(file) != _LEGACY_PROTOCOL:
        raise ValueError("it is a pickle, but not a checkpoint of PyTorch")
    facts = read_pickle(file)
    if type(facts) is not dict:
        raise ValueError("the facts of the machine are not a dict")
    order = "<" if facts.get("little_endian", True) else ">"
    content, keys = read_pickle(file), read_pickle(file)
    storages = _storages(content)
    if type(keys) is not list or any(type(key) is not str for key in keys):
        raise ValueError("the keys of the storages are not a list of strings")
    found: dict[str, np.ndarray] = {}
    position = file.tell()
    for key in keys:
        if key not in storages:
            raise ValueError(f"storage {key[:40]} belongs to no tensor")
        storage = storages[key]
        size = int.from_bytes(data[position : position + 8], "little" if order == "<" else "big")
        width = 2 if storage.dtype == "bfloat16" else np.dtype(storage.dtype).itemsize
        begin, position = position + 8, position + 8 + storage.size * width
        if size != storage.size:
            raise ValueError(f"storage {key[:40]} of {storage.size} elements is followed by {size}")
        found[key] = _numbers(memoryview(data)[begin:position], storage, order)
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes follow the last storage")
    if missing := storages.keys() - found.keys():
        raise ValueError(f"storage {min(missing)[:40]} is not in the file")
    return content, lambda storage: found[storage.key]


def _storages(content: Any) -> dict[str, Storage]:
    """Key -> storage of every tensor in ``content``."""
    found: dict[str, Storage] = {}
    waiting, seen = [content], set()
    while waiting:
        value = waiting.pop()
        if type(value) is StoredTensor:
            known = found.setdefault(value.storage.key, value.storage)
            if (known.dtype, known.size) != (value.storage.dtype, value.storage.size):
                raise ValueError(f"storage {known.key[:40]} is described in two ways")
        elif type(value) in _CONTAINERS and id(value) not in seen:
            seen.add(id(value))
            waiting.extend(value.values() if type(value) is dict else value)
    return found
