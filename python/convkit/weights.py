"""Weight files: reading and writing safetensors with numpy alone.

A file is eight bytes of header length (u64, little endian), a JSON header
``{name: {"dtype", "shape", "data_offsets"}}`` with an optional ``"__metadata__"`` of strings, then the tensors' bytes,
dense and without gaps
(https://github.com/huggingface/safetensors, "Format"). No code runs when a file is read, and every file that breaks
the format is a ValueError that says how.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",  # numpy has no bfloat16: read as bits, widened to float32 without loss
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_NAMES = {np.dtype(code).newbyteorder("="): name for name, code in _DTYPES.items() if name != "BF16"}
_MAX_HEADER = 100_000_000  # the limit of the safetensors package: a larger length is a damaged file, not a model


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Open ``path`` for binary writing such that a reader, or a crash, sees the old file or the whole new one."""
    target = os.path.realpath(path)  # a symlink stays one: its target is replaced
    temporary = f"{target}.{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def save(path: str | os.PathLike, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write ``tensors`` (name -> anything numpy.asarray takes) and ``metadata`` to a safetensors file, atomically."""
    arrays = {name: np.asarray(value) for name, value in tensors.items()}
    header: dict[str, Any] = {}
    if metadata:
        for key, value in metadata.items():
            if not (isinstance(key, str) and isinstance(value, str)):
                raise TypeError(f"[weights.save] metadata maps strings to strings. Received: {key!r}: {value!r}.")
        header["__metadata__"] = dict(metadata)
    offset = 0
    # Widest type first: without gaps, this keeps every tensor aligned to its own element.
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    for name in order:
        array = arrays[name]
        if name == "__metadata__":
            raise ValueError("[weights.save] a tensor may not be called '__metadata__'.")
        if array.dtype.newbyteorder("=") not in _NAMES:
            raise TypeError(f"[weights.save] dtype cannot be stored. Received: {name!r} of {array.dtype}.")
        header[name] = {
            "dtype": _NAMES[array.dtype.newbyteorder("=")],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            array = arrays[name]
            file.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)


def load(path: str | os.PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a safetensors file: (name -> array in the header's order, metadata). bfloat16 arrives as float32.

    Raises ValueError for a file that is not a whole, well-formed safetensors file, OSError when it cannot be read.
    """
    data = np.fromfile(path, np.uint8)
    try:
        header, body = _split(data)
        metadata = _metadata(header.pop("__metadata__", {}))
        tensors = {name: _tensor(name, entry, body) for name, entry in header.items()}
        _check_cover(header, len(body))
    except ValueError as error:
        raise ValueError(f"[weights.load] damaged or foreign file {os.fspath(path)!r}: {error}") from None
    return tensors, metadata


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """The float32 values of bfloat16 numbers given as uint16: their bits are the upper half."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def read_json(metadata: Mapping[str, str], key: str, kind: type) -> Any:
    """The JSON value of type ``kind`` under ``key`` of a file's metadata; None when it is absent or null."""
    try:
        value = json.loads(metadata.get(key, "null"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"[weights.load] metadata {key!r} is not JSON: {error}") from None
    if value is not None and not isinstance(value, kind):
        raise ValueError(f"[weights.load] metadata {key!r} is not a JSON {kind.__name__}. Received: {value!r}.")
    return value


def _split(data: np.ndarray) -> tuple[dict, np.ndarray]:
    """(parsed header, the bytes behind it)."""
    if len(data) < 8:
        raise ValueError(f"{len(data)} bytes are too few for a header")
    length = int.from_bytes(data[:8].tobytes(), "little")
    if length > min(len(data) - 8, _MAX_HEADER):
        raise ValueError(f"the header claims {length} bytes in a file of {len(data)}")
    try:
        header = json.loads(data[8 : 8 + length].tobytes().decode(), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("the header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("the header is not a JSON object")
    return header, data[8 + length :]


def _unique(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("the header repeats a key")
    return found


def _metadata(metadata: Any) -> dict[str, str]:
    if not (isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())):
        raise ValueError("'__metadata__' is not a map of strings")
    return metadata


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 2**63 for n in value)


def _tensor(name: str, entry: Any, body: np.ndarray) -> np.ndarray:
    """The array that ``entry`` describes: a view of ``body`` where its alignment allows."""
    if not (isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}):
        raise ValueError(f"tensor {name!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not (isinstance(dtype, str) and dtype in _DTYPES):
        raise ValueError(f"tensor {name!r} has the unknown dtype {dtype!r}")
    if not (_sizes(shape) and _sizes(offsets) and len(offsets) == 2):
        raise ValueError(f"tensor {name!r} has shape {shape!r} and data_offsets {offsets!r}")
    begin, end = offsets
    if not begin <= end <= len(body) or math.prod(shape) * np.dtype(_DTYPES[dtype]).itemsize != end - begin:
        raise ValueError(f"tensor {name!r}: {dtype} {shape} does not fill bytes {begin} to {end} of {len(body)}")
    raw = body[begin:end]
    if dtype == "BOOL" and (raw > 1).any():
        raise ValueError(f"tensor {name!r} holds booleans that are neither 0 nor 1")
    array = raw.view(_DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        return widen_bfloat16(array)
    return array if array.flags.aligned and array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _check_cover(header: dict, size: int) -> None:
    """The tensors tile the data: no gap, no overlap, nothing behind the last."""
    position = 0
    for begin, end in sorted(entry["data_offsets"] for entry in header.values()):
        if begin != position:
            raise ValueError(f"the tensors leave a gap or overlap at byte {min(begin, position)} of the data")
        position = end
    if position != size:
        raise ValueError(f"{size - position} bytes follow the last tensor")
