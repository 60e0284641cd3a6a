"""Fetching one file from the first mirror that answers: checked, resumable, and never half a file under its name."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1 << 20
_TIMEOUT = 30  # seconds without a byte before the next mirror is tried


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)  # the checksum the publishers give; it guards against damage only
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _continue_from(url: str, part: Path) -> None:
    """Append to ``part`` what the server still holds beyond it, or write it anew where the server cannot continue."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if have and error.code == 416:  # nothing lies beyond what we have: whole or damaged, the checksum decides
            return
        raise
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        expected = int(response.headers.get("Content-Length", 0))
        with open(part, "ab" if resumed else "wb") as stream:
            while chunk := response.read(_CHUNK):
                stream.write(chunk)
                expected -= len(chunk)
    if expected > 0:  # read() ends quietly when the connection drops
        raise http.client.IncompleteRead(b"", expected)


def fetch(urls: Iterable[str], target: str | os.PathLike, md5: str) -> None:
    """Bring the file with the checksum ``md5`` from the first of ``urls`` that delivers it to the path ``target``.

    An interrupted download stays beside it as ``<target>.part`` and is continued by the next call (HTTP Range); only a
    file with the right checksum gets the name ``target``. Raises OSError, with each mirror's answer, when none does.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    failures = []
    for url in urls:
        continued = part.exists()
        for _ in range(1 + continued):  # afresh where the part to be continued turns out to be damaged
            try:
                _continue_from(url, part)
            except (OSError, http.client.HTTPException) as error:
                failures.append(f"{url}: {error}")
                break
            if (found := _md5(part)) == md5:
                os.replace(part, target)
                return
            part.unlink()
            failures.append(f"{url}: checksum {found}, expected {md5}")
    raise OSError("; ".join(failures))
