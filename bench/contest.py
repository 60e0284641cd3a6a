"""Contestants, each in a process of its own, and interleaved rounds between them.

One contestant works at a time. Every round runs each once, in rotating order, so that a disturbance of the machine
meets all of them; ratios are taken within a round. One thread counts CPU time. More threads count wall time, and of the
rounds those are kept that were quiet: a slice of matrix products before and after the round reached 80 % of the best
one seen. That looks at the machine, never at the times themselves.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import convkit as ck

HERE = Path(__file__).parent
QUIET = 0.8
REST = 0.02  # seconds between contestants: OpenMP workers spin for some milliseconds before they sleep


class Contestant:
    """A worker process for one library; ``ask`` sends a command and returns the answer."""

    def __init__(self, peer: str, threads: int):
        self.peer, _, python = peer.partition("=")
        self._process = subprocess.Popen(
            [python or sys.executable, HERE / "worker.py", self.peer, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("BENCH_DEBUG") else subprocess.DEVNULL,
            text=True,
        )
        self.version = self._answer()["version"]

    def ask(self, **command) -> dict:
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.peer} ended without an answer (BENCH_DEBUG=1 shows what it printed)")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def run(self, variant: str, clock: str, times: int = 1) -> float:
        """Seconds of one step, by the clock "cpu" or "wall", the mean of ``times``."""
        return self.ask(do="run", variant=variant, times=times)[clock] / times

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def slice_speed(threads: int) -> float:
    """GFLOP/s of a few matrix products that fit into cache, by the wall clock."""
    ck.set_num_threads(threads)
    a = _SLICE
    ck.matmul(a, a)
    start = time.perf_counter()
    for _ in range(8):
        ck.matmul(a, a)
    return 8 * 2 * 384**3 / (time.perf_counter() - start) / 1e9


_SLICE = ck.randn(384, 384)


@dataclass
class Entry:
    """One contestant's chosen variant and its times, one a round."""

    contestant: Contestant
    variant: str
    times: list[float] = field(default_factory=list)


def choose(contestant: Contestant, variants: list[str], clock: str) -> Entry:
    """The fastest variant after one step to warm up, by the better of two."""
    if len(variants) == 1:
        contestant.run(variants[0], clock)
        return Entry(contestant, variants[0])
    speeds = {}
    for variant in variants:
        contestant.run(variant, clock)
    for variant in variants:
        speeds[variant] = min(contestant.run(variant, clock) for _ in range(2))
    return Entry(contestant, min(speeds, key=speeds.get))


def interleave(entries: dict[str, Entry], threads: int, seconds: float) -> int:
    """Fills the entries' times with rounds for about ``seconds``, at least five; returns how many were kept.

    A step of less than 20 ms runs as often as fills them.
    """
    clock = "cpu" if threads == 1 else "wall"
    times = {}
    for name, entry in entries.items():
        times[name] = max(1, int(0.02 / max(1e-6, entry.contestant.run(entry.variant, clock))))
    rounds, speeds, names = [], [slice_speed(threads)], list(entries)
    end = time.perf_counter() + seconds
    while len(rounds) < 5 or time.perf_counter() < end:
        turn = len(rounds) % len(names)
        found = {}
        for name in names[turn:] + names[:turn]:
            time.sleep(REST)
            found[name] = entries[name].contestant.run(entries[name].variant, clock, times[name])
        time.sleep(REST)
        speeds.append(slice_speed(threads))
        rounds.append(found)
    best = max(speeds)
    quiet = [i for i in range(len(rounds)) if min(speeds[i], speeds[i + 1]) >= QUIET * best]
    kept = range(len(rounds)) if threads == 1 or len(quiet) < 3 else quiet
    for name, entry in entries.items():
        entry.times = [rounds[i][name] for i in kept]
    return len(quiet)


def ratio(theirs: list[float], ours: list[float]) -> tuple[float, float, float]:
    """Median and quartiles of the paired ratios theirs / ours."""
    pairs = sorted(a / b for a, b in zip(theirs, ours, strict=True))
    return statistics.median(pairs), pairs[len(pairs) // 4], pairs[-1 - len(pairs) // 4]
