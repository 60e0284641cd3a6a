"""How times are taken on a machine that other programs share.

The contestants of a row take turns: a round times each once, for about 3 ms, and the order rotates, so that a
disturbance meets all of them. Before and after a round a short slice of multiply-adds in registers says what the cores
give at that moment; rounds count only when both slices reach 80 % of the best seen so far, so they are chosen by the
state of the machine alone. One thread is timed by its own CPU time, which waiting for the processor does not enter;
several by the wall clock. OpenMP's default waiting policy is kept: a passive one lets two threads run as slowly as one.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .. import _core

SLICE = 3e-3  # seconds: far above the clocks' resolution and a thread team's start
PROBE = 200.0  # microseconds of multiply-adds before and after a round
QUIET = 0.8  # of the best peak seen
FEWEST = 3  # rounds that make a median; with fewer quiet ones, all are taken
_PAUSE = 0.03  # seconds: after their work OpenBLAS's threads spin for 2^26 cycles, about 20 ms, OpenMP's for some 4 ms
_COPY = 256 << 20  # bytes: beyond every last-level cache


def clock(threads: int) -> Callable[[], float]:
    return time.thread_time if threads == 1 else time.perf_counter


class Peak:
    """The rate of multiply-adds that the cores give, and the best of it seen with these threads on this vector unit."""

    def __init__(self, threads: int):
        self._clock = clock(threads)
        self.best = 0.0
        for _ in range(20):
            self.sample()

    def sample(self) -> float:
        """FLOP/s now; 0 on the reference loops."""
        start = self._clock()
        flops = _core.fma_probe(PROBE)
        rate = flops / max(self._clock() - start, 1e-9)
        self.best = max(self.best, rate)
        return rate


def copy_bandwidth() -> float:
    """Bytes read and written per second by a copy in memory."""
    return _core.copy_bandwidth(_COPY)


@dataclass
class Times:
    """Seconds per call of each contestant, by round; index i of all lists is one round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    kept: int = 0
    rounds: int = 0

    @property
    def quiet(self) -> bool:
        """Whether only quiet rounds are in it."""
        return self.kept >= FEWEST

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def quartiles(self, name: str) -> tuple[float, float]:
        return quartiles(self.seconds[name])

    def ratios(self, name: str, to: str) -> list[float]:
        """The time of ``to`` over that of ``name`` in every round."""
        return [theirs / ours for ours, theirs in zip(self.seconds[name], self.seconds[to])]


def quartiles(values: list[float]) -> tuple[float, float]:
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def measure(
    contestants: dict[str, Callable[[], object]],
    threads: int,
    peak: Peak,
    rounds: int,
    seconds: float,
    pause: bool = False,
) -> Times:
    """Rounds until ``rounds`` of them were quiet or ``seconds`` have passed, but at least three.

    ``pause`` waits before every slice until the workers of the one before have stopped spinning: contestants with
    threads of their own would otherwise take cores from each other. Once this waits in any case: numpy's threads have
    just checked the results.
    """
    now = clock(threads)
    if threads > 1:
        time.sleep(_PAUSE)
    pause = _PAUSE if pause and threads > 1 else 0.0
    names = list(contestants)
    repeats = {name: _repeats(contestants[name], now) for name in names}
    all_rounds: list[dict[str, float]] = []
    slices: list[tuple[float, float]] = []
    end = time.monotonic() + seconds
    collecting = gc.isenabled()
    gc.disable()
    try:
        while len(slices) < FEWEST or (_count(slices, peak) < rounds and time.monotonic() < end):
            before = _settled(pause, peak.sample)
            all_rounds.append(
                {
                    name: _settled(pause, lambda name=name: _time(contestants[name], repeats[name], now))
                    for name in names
                }
            )
            slices.append((before, _settled(pause, peak.sample)))
            names = names[1:] + names[:1]
    finally:
        if collecting:
            gc.enable()
    times = Times(rounds=len(all_rounds))
    quiet = [both for both, pair in zip(all_rounds, slices) if min(pair) >= QUIET * peak.best]
    times.kept = len(quiet)
    for name in contestants:
        times.seconds[name] = [both[name] for both in (quiet if times.quiet else all_rounds)]
    return times


def _settled(pause: float, function: Callable[[], float]) -> float:
    """``function()`` after the pause."""
    if pause:
        time.sleep(pause)
    return function()


def _count(slices: list[tuple[float, float]], peak: Peak) -> int:
    return sum(min(pair) >= QUIET * peak.best for pair in slices)


def _repeats(call: Callable, now: Callable[[], float]) -> int:
    """How many calls fill a slice; also the warm-up, after which caches and pools of memory are full."""
    call()
    once = _time(call, 1, now)
    return max(1, min(10_000, int(SLICE / max(once, 1e-7))))


def _time(call: Callable, repeats: int, now: Callable[[], float]) -> float:
    start = now()
    for _ in range(repeats):
        call()
    return (now() - start) / repeats
