"""Runs cases: checks the result, then times it beside the baseline, and writes down one row each."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields

from .. import _core, config
from . import cases, shapes
from .classes import classify
from .peers import Peer
from .timing import Peak, Times, measure, quartiles

# Of a peer, relative to the largest value: enough to know that it computes the same. How exactly it does is its own
# affair (PyTorch's NHWC batch normalisation adds 100,000 numbers in one chain, and is 1e-5 off).
_PEER_ERROR = 3e-2


@dataclass
class Row:
    """The figures of one problem and direction; a figure that does not exist is None."""

    name: str
    problem: str
    direction: str
    group: str  # its class
    threads: int
    isa: str
    dtype: str
    device: str
    forced: str  # the algorithm that --algo asked for, or "auto"
    algorithm: str  # the one that ran
    weights: str = ""  # packed in every call ("fresh") or once ("kept"); "" when the problem has none
    milliseconds: float | None = None
    quartiles: tuple[float, float] | None = None
    gflops: float | None = None
    peak_share: float | None = None
    gigabytes: float | None = None  # per second
    scratch_mb: float | None = None
    error: float | None = None
    right: bool = True
    checked: str = ""
    baseline: str | None = None  # peer and the best of its layouts
    ratio: float | None = None  # the baseline's time over ours
    ratio_quartiles: tuple[float, float] | None = None
    kept: int = 0  # quiet rounds
    rounds: int = 0
    quiet: bool = True
    chosen: bool | None = None  # with --algo all: whether this is the automatic choice
    choice_cost: float | None = None  # and its time over that of the best algorithm
    flops: int | None = None
    bytes: int | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def key(self) -> tuple:
        """What makes two rows of different runs comparable."""
        where = self.threads, self.isa, self.dtype, self.device
        return self.problem, self.direction, *where, self.forced, self.weights

    def to_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict) -> Row:
        known = {f.name for f in fields(cls)}
        row = cls(**{name: value for name, value in values.items() if name in known})
        for name in ("quartiles", "ratio_quartiles"):
            value = getattr(row, name)
            setattr(row, name, None if value is None else tuple(value))
        return row


@dataclass
class Settings:
    """What the command line asks for."""

    threads: list[int]
    device: str = "cpu"
    dtype: str = "float32"
    algo: str = "auto"
    weights: str = "auto"
    rounds: int = 11
    seconds: float = 0.5


def tasks(entries: Iterable[shapes.Entry], batch: int | None = None) -> list[tuple[str, shapes.Problem, str]]:
    """(name, problem, direction) of every row, each problem once however many presets hold it."""
    found: dict[tuple, str] = {}
    for entry in entries:
        problem = entry.problem if batch is None else shapes.with_batch(entry.problem, batch)
        for direction in entry.directions:
            found.setdefault((problem, direction), entry.name)
    return [(name, problem, direction) for (problem, direction), name in found.items()]


class Bench:
    """One process's measurements: the settings, the peaks of the machine, the baseline."""

    def __init__(self, settings: Settings, peer: Peer | None = None, earlier: dict[tuple, float] | None = None):
        self.settings, self.peer, self.earlier = settings, peer, earlier or {}
        self.peaks: dict[int, Peak] = {}
        for threads in settings.threads:
            config.set_num_threads(threads)
            self.peaks[threads] = Peak(threads)

    def rows(self, todo: list[tuple[str, shapes.Problem, str]]) -> Iterator[list[Row]]:
        """The rows of each task for each number of threads, as they are done."""
        for name, problem, direction in todo:
            case = cases.build(problem, direction, self.settings.dtype)
            for threads in self.settings.threads:
                config.set_num_threads(threads)
                if self.peer:
                    self.peer.set_threads(threads)
                yield self._measure(name, case, threads)

    def _measure(self, name: str, case: cases.Case, threads: int) -> list[Row]:
        algo = self.settings.algo
        wanted = case.algorithms() if algo == "all" else [algo]
        wanted = wanted if len(wanted) > 1 or algo != "all" else ["auto"]
        automatic = case.algorithm()
        rows, ours = [], {}
        for algorithm in wanted:
            row = self._checked(name, case, threads, algorithm)
            rows.append(row)
            if row.right:
                ours[f"convkit {row.forced}"] = _forcing(_packing(case, row.weights), algorithm)
        peer = self._contestants(case, rows) if ours else {}
        if ours:
            own_threads = self.peer is not None and self.peer.own_threads
            settings = self.settings
            times = measure(
                ours | peer, threads, self.peaks[threads], settings.rounds, settings.seconds, pause=own_threads
            )
            for row in rows:
                if row.right:
                    self._fill(row, times, list(peer))
        if algo == "all" and len(rows) > 1:
            _compare_algorithms(rows, automatic)
        return rows

    def _checked(self, name: str, case: cases.Case, threads: int, algorithm: str) -> Row:
        with _Forced(algorithm):
            row = Row(
                name=name,
                problem=shapes.text(case.problem),
                direction=case.direction,
                group=classify(case.problem, case.direction),
                threads=threads,
                isa=_core.active_isa(),
                dtype=str(case.dtype),
                device=self.settings.device,
                forced="auto" if self.settings.algo == "auto" else algorithm,
                algorithm=case.algorithm(),
                weights=self._weights(case),
                checked=case.checked,
                flops=case.flops,
                bytes=case.bytes,
            )
            row.error, row.right = case.error(case.results())
            if row.right:
                _core.reset_scratch_peak()
                before = _core.scratch_peak()
                case.run()
                row.scratch_mb = (_core.scratch_peak() - before) / 1e6
            return row

    def _weights(self, case: cases.Case) -> str:
        if case.weights_kept is None:
            return ""
        if self.settings.weights != "auto":
            return self.settings.weights
        return "kept" if case.weights_kept else "fresh"

    def _contestants(self, case: cases.Case, rows: list[Row]) -> dict:
        """The peer's ways to compute the case that give the right result."""
        if self.peer is None:
            return {}
        calls = {}
        for name, contestant in self.peer.contestants(case).items():
            error, _ = case.error(contestant.results())
            if error <= _PEER_ERROR:  # not when it is NaN
                calls[f"{self.peer.name} {name}"] = contestant.call
            else:
                for row in rows:
                    row.notes.append(f"{self.peer.name} {name} left out: its error is {error:.1e}")
        return calls

    def _fill(self, row: Row, times: Times, peers: list[str]) -> None:
        ours = f"convkit {row.forced}"
        seconds = times.median(ours)
        row.milliseconds = 1e3 * seconds
        row.quartiles = tuple(1e3 * value for value in times.quartiles(ours))
        row.kept, row.rounds, row.quiet = times.kept, times.rounds, times.quiet
        peak = self.peaks[row.threads].best
        if row.flops:
            row.gflops = row.flops / seconds / 1e9
            row.peak_share = row.flops / seconds / peak if peak else None
        if row.bytes:
            row.gigabytes = row.bytes / seconds / 1e9
        if peers:
            row.baseline = min(peers, key=times.median)
            ratios = times.ratios(ours, row.baseline)
            row.ratio_quartiles = quartiles(ratios)
            row.ratio = statistics.median(ratios)
        elif row.key in self.earlier:
            row.baseline, row.ratio = "file", self.earlier[row.key] / row.milliseconds


def _compare_algorithms(rows: list[Row], automatic: str) -> None:
    timed = [row for row in rows if row.milliseconds is not None]
    best = min((row.milliseconds for row in timed), default=None)
    for row in timed:
        row.chosen = row.forced == automatic
        row.choice_cost = row.milliseconds / best if row.chosen else None


class _Forced:
    """Inside the context convolutions take ``algorithm`` where it applies."""

    def __init__(self, algorithm: str):
        self.algorithm = algorithm

    def __enter__(self):
        if self.algorithm != "auto":
            _core.set_conv2d_algorithm(self.algorithm)

    def __exit__(self, *error):
        if self.algorithm != "auto":
            _core.set_conv2d_algorithm("auto")


def _forcing(run: Callable, algorithm: str) -> Callable:
    if algorithm == "auto":
        return run

    def call():
        with _Forced(algorithm):
            return run()

    return call


def _packing(case: cases.Case, weights: str) -> Callable:
    """``case.run``, after the packed weights of the call before were dropped if they are to be fresh."""
    if weights != "fresh":
        return case.run

    def call():
        _core.drop_packed_weights()
        return case.run()

    return call


def choice_summary(rows: list[Row]) -> str | None:
    """How often the automatic choice is within 10 % of the best algorithm; None unless several were tried."""
    costs = [row.choice_cost for row in rows if row.choice_cost is not None]
    if not costs:
        return None
    good = sum(cost <= 1.1 for cost in costs)
    return (
        f"automatic choice within 10 % of the best algorithm on {good} of {len(costs)} rows with a choice "
        f"({good / len(costs):.0%}); at worst {max(costs):.2f} times its time"
    )


def waiting_policy() -> str | None:
    """A warning when OpenMP's waiting policy is not its default."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        if name in os.environ:
            return f"{name} is set: figures of several threads differ from those of the default policy"
    return None
