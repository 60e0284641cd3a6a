"""Readers of the data sets' file formats: IDX (MNIST's) and CIFAR-10's binary records.

A damaged file of either kind raises ValueError; nothing here executes what it reads (no pickle).
"""

from __future__ import annotations

import gzip
import math
import os
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

_CHUNK = 1 << 20
_CIFAR_RECORD = 1 + 3 * 32 * 32  # one label, then the red, green and blue planes, row-major


def _read_exactly(stream: BinaryIO, size: int, path: Path) -> bytes:
    """Read ``size`` bytes and the end of the file; in pieces, so a damaged header cannot ask for all memory at once."""
    pieces, missing = [], size
    while missing:
        piece = stream.read(min(missing, _CHUNK))
        if not piece:
            raise ValueError(
                f"[data] the header and the length of a file must agree. "
                f"Received: {path}, header says {size} bytes of data, file holds {size - missing}."
            )
        pieces.append(piece)
        missing -= len(piece)
    if stream.read(1):
        raise ValueError(f"[data] a file must end with its data. Received: {path}, more than {size} bytes of data.")
    return b"".join(pieces)


def read_idx(path: str | os.PathLike, ndim: int) -> np.ndarray:
    """Read an IDX file of unsigned bytes, gzip-compressed when its name ends in .gz.

    Format: two zero bytes, the type code 0x08, the number of axes, each axis as a big-endian 32-bit integer, the
    data in row-major order (http://yann.lecun.com/exdb/mnist/). Returns a uint8 array with ``ndim`` axes; raises
    ValueError when the file is anything else.
    """
    path = Path(path)
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            header = stream.read(4 + 4 * ndim)
            if header[:4] != bytes((0, 0, 8, ndim)) or len(header) != 4 + 4 * ndim:
                raise ValueError(
                    f"[data] an IDX file of bytes with {ndim} axes starts with 00 00 08 {ndim:02x} and its shape. "
                    f"Received: {path}, which starts with {header[:4].hex(' ') or 'nothing'}."
                )
            shape = tuple(int(n) for n in np.frombuffer(header, ">u4", offset=4))
            data = _read_exactly(stream, math.prod(shape), path)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"[data] the file must be whole gzip data. Received: {path} ({error}).") from error
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_cifar10_archive(path: str | os.PathLike, batches: Sequence[str]) -> list[bytes]:
    """Read ``batches`` (file names) of cifar-10-binary.tar.gz in place: nothing is unpacked. Returns their bytes."""
    found = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                name = Path(member.name).name
                if member.isfile() and name in batches:
                    found[name] = archive.extractfile(member).read()
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"[data] the file must be a whole .tar.gz archive. Received: {path} ({error}).") from error
    if missing := [name for name in batches if name not in found]:
        raise ValueError(f"[data] the archive must hold every batch. Received: {path} without {missing}.")
    return [found[name] for name in batches]


def parse_cifar10(batches: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Decode batches of the binary version, given as bytes: (images uint8 [N,32,32,3], labels uint8 [N])."""
    for data in batches:
        if len(data) == 0 or len(data) % _CIFAR_RECORD:
            raise ValueError(
                f"[data] a CIFAR-10 batch is a whole number of {_CIFAR_RECORD}-byte records. "
                f"Received: {len(data)} bytes."
            )
    records = np.frombuffer(b"".join(batches), np.uint8).reshape(-1, _CIFAR_RECORD)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), records[:, 0]
