"""Named problems as short strings, and the files in shapes/ that list them.

A line holds a name, a problem (a kind and its sizes, letters as everywhere in convkit) and, unless all of them are
meant, the directions that a benchmark measures. `#` starts a comment.

    resnet.conv1   conv:n1c3h224o64k7s2p3        convolution, square: h is both sides
    wide           conv:n2c16h9x33o24k1x5p0,1,2,3   HxW, RxS, padding top,bottom,left,right
    mobilenet.dw   conv:n1c32h112o32k3p1g32      g: groups; defaults s1 p0 d1 g1
    up             convt:n1c64h16o32k3s2p1e1     transposed; e: output_padding
    layer          layer:n8c64h56o64k3p1bnrelu   a convolution and what follows it: bn, relu, pool (2x2 max)
    pool           maxpool:n1c64h112k3s2p1       also avgpool; s defaults to k; ceil rounds the output size up
    norm           bn:n8c64h112addrelu           batch normalisation, then: + a residual, ReLU (or relu6)
    fc             gemm:m128n128k9216nt          y[m,n] = a[m,k] b[k,n]; nn (default), nt (b stored [n,k]) or tn
    step           training:n128:illustrated.lenet   a step of a model of convkit.models; inference: its forward
    first          conv:n8c3h224o64k7s2p3 forward,weights

Padding may be `psame` or a number, `pH,W` or `pTOP,BOTTOM,LEFT,RIGHT`. A string without a kind is a convolution.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

DIRECTORY = Path(__file__).parent / "shapes"
_FIELD = re.compile(r"([a-z])(same|\d+(?:[x,]\d+)*)|(ceil|nn|nt|tn|bn|relu6|relu|pool|add)")


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

    directions: ClassVar = ("forward", "data", "weights")


@dataclass(frozen=True)
class Layer:
    """A convolution followed by what ``parts`` names, in the order bn, relu, pool."""

    conv: Conv2d
    parts: tuple[str, ...]

    directions: ClassVar = ("training",)

    @property
    def n(self) -> int:
        return self.conv.n


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

    directions: ClassVar = ("forward", "backward")


@dataclass(frozen=True)
class BatchNorm:
    """x [n,h,w,c], in training; the result is relu(bn(x) + residual) with what ``parts`` (add, relu or relu6) names."""

    n: int
    c: int
    hw: tuple[int, int]
    parts: tuple[str, ...] = ()

    directions: ClassVar = ("forward", "backward")


@dataclass(frozen=True)
class Gemm:
    """y[m,n] = a[m,k] b[k,n]; layout nn, nt (b is stored [n,k]) or tn (a is stored [k,m])."""

    m: int
    n: int
    k: int
    layout: str = "nn"

    @property
    def directions(self) -> tuple[str, ...]:
        return (self.layout,)


@dataclass(frozen=True)
class Network:
    """A model of convkit.models at batch n; mode "training" (a whole step) or "inference"."""

    mode: str
    n: int
    model: str

    @property
    def directions(self) -> tuple[str, ...]:
        return (self.mode,)


Problem = Conv2d | Layer | Pool2d | BatchNorm | Gemm | Network

_LETTERS = {
    "conv": "nchokspdg", "convt": "nchokspdge", "layer": "nchokspdg", "maxpool": "nchkspd", "avgpool": "nchksp",
    "bn": "nch", "gemm": "mnk",
}  # fmt: skip
_REQUIRED = {
    "conv": "nchok", "convt": "nchok", "layer": "nchok", "maxpool": "nchk", "avgpool": "nchk", "bn": "nch",
    "gemm": "mnk",
}  # fmt: skip
_WORDS = {
    "gemm": ("nn", "nt", "tn"),
    "maxpool": ("ceil",),
    "avgpool": ("ceil",),
    "layer": ("bn", "relu", "pool"),
    "bn": ("add", "relu", "relu6"),
}
_MODES = ("training", "inference")


def parse(text: str) -> Problem:
    """The problem that a string like ``conv:n1c64h56o64k3p1`` describes; ValueError names what is wrong with it."""
    kind, _, body = text.partition(":") if ":" in text else ("conv", ":", text)
    if kind in _MODES:
        return _network(kind, body, text)
    if kind not in _LETTERS:
        raise ValueError(f"[shapes] the kind must be one of {', '.join((*_LETTERS, *_MODES))}. Received: {text!r}.")
    values, words = _fields(text, kind, body)
    missing = [letter for letter in _REQUIRED[kind] if letter not in values]
    if missing:
        raise ValueError(f"[shapes] {kind} needs {', '.join(missing)}. Received: {text!r}.")
    if kind == "gemm":
        if len(words) > 1:
            raise ValueError(f"[shapes] gemm has one layout. Received: {text!r}.")
        return Gemm(**{letter: _number(value, text) for letter, value in values.items()}, layout=(*words, "nn")[0])
    number = {letter: _number(value, text) for letter, value in values.items() if letter in "ncog"}
    pairs = {letter: _pair(value) for letter, value in values.items() if letter in "hksde"}
    image = {"n": number["n"], "c": number["c"], "hw": pairs["h"]}
    if kind == "bn":
        return BatchNorm(**image, parts=words)
    image |= {"kernel": pairs["k"], "padding": _padding(values.get("p", "0")), "dilation": pairs.get("d", (1, 1))}
    if kind in ("maxpool", "avgpool"):
        return Pool2d(kind[:3], **image, stride=pairs.get("s", pairs["k"]), ceil_mode="ceil" in words)
    conv = Conv2d(
        **image,
        o=number["o"],
        stride=pairs.get("s", (1, 1)),
        groups=number.get("g", 1),
        output_padding=pairs.get("e", (0, 0)),
        transposed=kind == "convt",
    )
    return Layer(conv, words) if kind == "layer" else conv


def text(problem: Problem) -> str:
    """The shortest string that :func:`parse` turns into ``problem``."""
    if isinstance(problem, Network):
        return f"{problem.mode}:n{problem.n}:{problem.model}"
    if isinstance(problem, Gemm):
        return f"gemm:m{problem.m}n{problem.n}k{problem.k}{problem.layout}"
    if isinstance(problem, Layer):
        return "layer" + text(problem.conv).removeprefix("conv") + "".join(problem.parts)
    head = f"n{problem.n}c{problem.c}h{_by(problem.hw)}"
    if isinstance(problem, BatchNorm):
        return f"bn:{head}{''.join(problem.parts)}"
    if isinstance(problem, Pool2d):
        stride = "" if problem.stride == problem.kernel else f"s{_by(problem.stride)}"
        tail = f"{_padding_text(problem.padding)}{_given('d', problem.dilation, 1)}{'ceil' * problem.ceil_mode}"
        return f"{problem.mode}pool:{head}k{_by(problem.kernel)}{stride}{tail}"
    return (
        f"{'convt' if problem.transposed else 'conv'}:{head}o{problem.o}k{_by(problem.kernel)}"
        f"{_given('s', problem.stride, 1)}{_padding_text(problem.padding)}{_given('d', problem.dilation, 1)}"
        f"{'' if problem.groups == 1 else f'g{problem.groups}'}{_given('e', problem.output_padding, 0)}"
    )


def _network(mode: str, body: str, whole: str) -> Network:
    batch, _, model = body.partition(":")
    if not re.fullmatch(r"n\d+", batch) or not model:
        raise ValueError(f"[shapes] {mode} needs nBATCH:MODEL. Received: {whole!r}.")
    return Network(mode, int(batch[1:]), model)


def _fields(whole: str, kind: str, body: str) -> tuple[dict[str, str], tuple[str, ...]]:
    values, words, position = {}, (), 0
    while position < len(body):
        match = _FIELD.match(body, position)
        letter, value, word = match.groups() if match else (None, None, None)
        if word is None and (letter is None or letter not in _LETTERS[kind] or letter in values):
            raise ValueError(f"[shapes] cannot read {body[position:]!r}. Received: {whole!r}.")
        if word is None:
            values[letter] = value
        elif word in _WORDS.get(kind, ()) and word not in words:
            words += (word,)
        else:
            raise ValueError(f"[shapes] cannot read {body[position:]!r}. Received: {whole!r}.")
        position = match.end()
    return values, words


def _number(value: str, whole: str) -> int:
    if not value.isdecimal():
        raise ValueError(f"[shapes] {value!r} must be one number. Received: {whole!r}.")
    return int(value)


def _pair(value: str) -> tuple[int, int]:
    sizes = [int(size) for size in re.split("[x,]", value)]
    return (sizes[0], sizes[-1])


def _padding(value: str):
    if value == "same":
        return value
    pads = [int(pad) for pad in re.split("[x,]", value)]
    if len(pads) == 4:
        return (pads[0], pads[1]), (pads[2], pads[3])
    return tuple(pads) if len(pads) == 2 else pads[0]


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]}" if pair[0] == pair[1] else f"{pair[0]}x{pair[1]}"


def _given(letter: str, pair: tuple[int, int], default: int) -> str:
    return "" if pair == (default, default) else letter + _by(pair)


def _padding_text(padding) -> str:
    if padding == 0:
        return ""
    if isinstance(padding, tuple):
        flat = [pad for part in padding for pad in (part if isinstance(part, tuple) else (part,))]
        return "p" + ",".join(map(str, flat))
    return f"p{padding}"


@dataclass(frozen=True)
class Entry:
    """A line of a shape file: a problem and the directions to measure."""

    name: str
    problem: Problem
    directions: tuple[str, ...]


def names() -> list[str]:
    """The shape files, without their suffix."""
    return sorted(path.stem for path in DIRECTORY.glob("*.txt"))


def entries(name: str) -> list[Entry]:
    """The lines of shapes/<name>.txt in order."""
    found = {}
    for number, line in enumerate((DIRECTORY / f"{name}.txt").read_text().splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) not in (2, 3) or words[0] in found:
            raise ValueError(f"[shapes] a line is a new name and a problem. Received: {name}.txt:{number}: {line!r}.")
        problem = parse(words[1])
        directions = tuple(words[2].split(",")) if len(words) == 3 else problem.directions
        if not set(directions) <= set(problem.directions):
            raise ValueError(
                f"[shapes] directions must be of {', '.join(problem.directions)}. "
                f"Received: {name}.txt:{number}: {line!r}."
            )
        found[words[0]] = Entry(words[0], problem, directions)
    return list(found.values())


def read(name: str) -> dict[str, Problem]:
    """The problems of shapes/<name>.txt by their names, in order."""
    return {entry.name: entry.problem for entry in entries(name)}


def with_batch(problem: Problem, n: int) -> Problem:
    """``problem`` for another batch; a matrix product has none."""
    if isinstance(problem, Gemm):
        return problem
    values = {f.name: getattr(problem, f.name) for f in fields(problem)}
    if isinstance(problem, Layer):
        return Layer(with_batch(problem.conv, n), problem.parts)
    return type(problem)(**values | {"n": n})
