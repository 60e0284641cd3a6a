"""Named problems as short strings, and the files in shapes/ that list them.

A line holds a name and a problem: a kind and its sizes, letters as everywhere in convkit. `#` starts a comment.

    resnet.conv1   conv:n1c3h224o64k7s2p3        convolution, square: h is both sides
    wide           conv:n2c16h9x33o24k1x5p0,1,2,3   HxW, RxS, padding top,bottom,left,right
    mobilenet.dw   conv:n1c32h112o32k3p1g32      g: groups; defaults s1 p0 d1 g1
    up             convt:n1c64h16o32k3s2p1e1     transposed; e: output_padding
    pool           maxpool:n1c64h112k3s2p1       also avgpool; s defaults to k; ceil rounds the output size up
    fc             gemm:m128n128k9216nt          y[m,n] = a[m,k] b[k,n]; nn (default), nt (b stored [n,k]) or tn

Padding may be `psame` or a number, `pH,W` or `pTOP,BOTTOM,LEFT,RIGHT`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DIRECTORY = Path(__file__).parent / "shapes"
_FIELD = re.compile(r"([a-z])(same|\d+(?:[x,]\d+)*)|(ceil|nn|nt|tn)$")


@dataclass(frozen=True)
class Conv2d:
    """x [n,h,w,c], filters [o,*kernel,c/groups] (transposed: [c,*kernel,o/groups])."""

    n: int
    c: int
    hw: tuple[int, int]
    o: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: object = 0  # any form that ck.conv2d takes
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    output_padding: tuple[int, int] = (0, 0)
    transposed: bool = False


@dataclass(frozen=True)
class Pool2d:
    """x [n,h,w,c]; mode "max" or "avg"."""

    mode: str
    n: int
    c: int
    hw: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: object = 0
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False


@dataclass(frozen=True)
class Gemm:
    """y[m,n] = a[m,k] b[k,n]; layout nn, nt (b is stored [n,k]) or tn (a is stored [k,m])."""

    m: int
    n: int
    k: int
    layout: str = "nn"


_LETTERS = {"conv": "nchokspdg", "convt": "nchokspdge", "maxpool": "nchkspd", "avgpool": "nchksp", "gemm": "mnk"}
_REQUIRED = {"conv": "nchok", "convt": "nchok", "maxpool": "nchk", "avgpool": "nchk", "gemm": "mnk"}


def parse(text: str) -> Conv2d | Pool2d | Gemm:
    """The problem that a string like ``conv:n1c64h56o64k3p1`` describes; ValueError names what is wrong with it."""
    kind, _, body = text.partition(":")
    if kind not in _LETTERS:
        raise ValueError(f"[shapes] the kind must be one of {', '.join(_LETTERS)}. Received: {text!r}.")
    fields, word = _fields(text, kind, body)
    missing = [letter for letter in _REQUIRED[kind] if letter not in fields]
    if missing:
        raise ValueError(f"[shapes] {kind} needs {', '.join(missing)}. Received: {text!r}.")
    number = {letter: int(value) for letter, value in fields.items() if letter in "ncomg" or kind == "gemm"}
    if kind == "gemm":
        return Gemm(**number, layout=word or "nn")
    pairs = {letter: _pair(value) for letter, value in fields.items() if letter in "hksde"}
    padding = _padding(fields.get("p", "0"))
    common = {"n": number["n"], "c": number["c"], "hw": pairs["h"], "kernel": pairs["k"], "padding": padding}
    common["dilation"] = pairs.get("d", (1, 1))
    if kind in ("conv", "convt"):
        return Conv2d(
            **common,
            o=number["o"],
            stride=pairs.get("s", (1, 1)),
            groups=number.get("g", 1),
            output_padding=pairs.get("e", (0, 0)),
            transposed=kind == "convt",
        )
    return Pool2d(kind[:3], **common, stride=pairs.get("s", pairs["k"]), ceil_mode=word == "ceil")


def _fields(text: str, kind: str, body: str) -> tuple[dict[str, str], str | None]:
    fields, word, position = {}, None, 0
    words = {"gemm": ("nn", "nt", "tn"), "maxpool": ("ceil",), "avgpool": ("ceil",)}.get(kind, ())
    while position < len(body):
        match = _FIELD.match(body, position)
        letter, value = (match[1], match[2]) if match else (None, None)
        known = match and (match[3] in words if match[3] else letter in _LETTERS[kind] and letter not in fields)
        if not known:
            raise ValueError(f"[shapes] cannot read {body[position:]!r}. Received: {text!r}.")
        if match[3]:
            word = match[3]
        else:
            fields[letter] = value
        position = match.end()
    return fields, word


def _pair(value: str) -> tuple[int, int]:
    sizes = [int(size) for size in value.split("x")]
    return (sizes[0], sizes[-1])


def _padding(value: str):
    if value == "same":
        return value
    pads = [int(pad) for pad in value.split(",")]
    if len(pads) == 4:
        return (pads[0], pads[1]), (pads[2], pads[3])
    return tuple(pads) if len(pads) == 2 else pads[0]


def names() -> list[str]:
    """The shape files, without their suffix."""
    return sorted(path.stem for path in DIRECTORY.glob("*.txt"))


def read(name: str) -> dict[str, Conv2d | Pool2d | Gemm]:
    """The problems of shapes/<name>.txt by their names, in order."""
    problems = {}
    for number, line in enumerate((DIRECTORY / f"{name}.txt").read_text().splitlines(), 1):
        entry = line.partition("#")[0].split()
        if not entry:
            continue
        if len(entry) != 2 or entry[0] in problems:
            raise ValueError(f"[shapes] a line is a new name and a problem. Received: {name}.txt:{number}: {line!r}.")
        problems[entry[0]] = parse(entry[1])
    return problems
