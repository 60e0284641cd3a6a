"""Whole networks: training steps, inference and a contended machine, convkit against other libraries.

    python bench/models.py steps                 training steps against torch
    python bench/models.py inference             forward passes against torch and onnxruntime
    python bench/models.py contended             how much two busy loops beside it slow a LeNet step
    python bench/models.py steps --tasks train:illustrated.lenet:128 --peers torch_eager,jax_jit=JAX_VENV/bin/python

A peer is a file in peers/, which says what to install; "=PYTHON" runs it with another interpreter. Outputs, or loss and
gradients, are compared before anything is timed. How the rounds work stands in contest.py.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import convkit as ck
from contest import Contestant, Entry, choose, interleave, ratio, slice_speed
from tasks import INFERENCE, STEPS, Task, draw, parse

DRAWS = 10  # of weights and inputs, before a disagreement counts


def relative_error(got: np.ndarray, want: np.ndarray) -> float:
    return float(np.linalg.norm(got.astype(np.float64) - want) / max(np.linalg.norm(want), 1e-30))


def disagreement(ours: dict, theirs: dict) -> tuple[float, str]:
    """The largest relative error and whose it is. Gradients count from 1e-6 of the largest on: a bias that the next
    normalisation takes out again has a gradient of rounding errors."""
    if missing := ours.keys() ^ theirs.keys():
        raise SystemExit(f"results differ in their names: {sorted(missing)}")
    floor = 1e-6 * max(float(np.abs(value).max()) for value in theirs.values())
    errors = {
        name: relative_error(ours[name], theirs[name])
        for name in theirs
        if name in ("loss", "output") or np.abs(theirs[name]).max() > floor
    }
    worst = max(errors, key=errors.get)
    return errors[worst], worst


def verify(task: Task, contestants: dict[str, Contestant], folder: Path) -> tuple[Path, dict[str, float]]:
    """Data on which all agree with convkit, and the relative error of each.

    Rounding may turn one of millions of ReLUs and pooling windows that stands at a tie; a mistake shows in every draw.
    """
    for seed in range(DRAWS):
        data = folder / f"{seed}.npz"
        np.savez(data, **draw(task, seed))
        found = {}
        for name, contestant in contestants.items():
            out = folder / f"{seed}_{name}.npz"
            contestant.ask(do="check", task=str(task), data=str(data), out=str(out))
            with np.load(out) as file:
                found[name] = dict(file)
            out.unlink()
        errors = {name: disagreement(found["convkit"], result) for name, result in found.items() if name != "convkit"}
        if all(error <= task.tolerance for error, _ in errors.values()):
            return data, {name: error for name, (error, _) in errors.items()}
        data.unlink()
    raise SystemExit(f"{task}: the libraries disagree: {errors}")


def compare(task: Task, threads: int, peers: list[str], seconds: float) -> dict:
    """One task with one number of threads: verify, choose variants, interleave."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        contestants, refused = {}, {}
        for peer in ("convkit", *peers):
            try:
                contestant = stack.enter_context(Contestant(peer, threads))
                contestants[contestant.peer] = contestant
            except RuntimeError as error:
                refused[peer.partition("=")[0]] = str(error)
        data, errors = verify(task, contestants, folder)
        clock = "cpu" if threads == 1 else "wall"
        entries: dict[str, Entry] = {}
        for name, contestant in contestants.items():
            variants = contestant.ask(do="prepare", task=str(task), data=str(data))["variants"]
            entries[name] = choose(contestant, variants, clock)
        quiet = interleave(entries, threads, seconds)
        ours = entries["convkit"].times
        result = {"task": str(task), "threads": threads, "clock": clock, "rounds": len(ours), "quiet": quiet}
        result |= {"convkit_ms": 1e3 * statistics.median(ours), "refused": refused, "peers": {}}
        for name, entry in entries.items():
            if name != "convkit":
                median, low, high = ratio(entry.times, ours)
                result["peers"][name] = {
                    "version": contestants[name].version,
                    "variant": entry.variant,
                    "ms": 1e3 * statistics.median(entry.times),
                    "ratio": median,
                    "quartiles": [low, high],
                    "error": errors[name],
                }
        return result


def print_result(result: dict) -> None:
    """A line for each peer."""
    head = f"{result['task']:28} {result['threads']}t {result['convkit_ms']:9.2f} ms"
    kept = f"{result['rounds']} rounds" + (f", {result['quiet']} quiet" if result["clock"] == "wall" else "")
    for name, peer in result["peers"].items():
        print(
            f"{head}  {peer['ratio']:5.2f}x {name} {peer['variant']} ({peer['ms']:.2f} ms; quartiles "
            f"{peer['quartiles'][0]:.2f} to {peer['quartiles'][1]:.2f}, {kept}; "
            f"error {peer['error']:.0e})",
            flush=True,
        )
    for name, reason in result["refused"].items():
        print(f"{head}  not measured: {name}: {reason}", flush=True)


def prepared(stack, peer: str, task: Task, threads: int) -> tuple[Contestant, list[str]]:
    """A contestant of its own for a task; closed with the stack."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    data = folder / "data.npz"
    np.savez(data, **draw(task, 0))
    contestant = stack.enter_context(Contestant(peer, threads))
    return contestant, contestant.ask(do="prepare", task=str(task), data=str(data))["variants"]


def contended(task: Task, threads: int, peers: list[str], seconds: float) -> dict:
    """Median wall time of a step alone, and beside one busy loop per thread; each library against itself."""
    result = {"task": str(task), "threads": threads, "libraries": {}}
    for peer in ("convkit", *peers):
        with contextlib.ExitStack() as stack:
            contestant, variants = prepared(stack, peer, task, threads)
            entry = choose(contestant, variants, "wall")

            def measure(contestant=contestant, entry=entry) -> float:
                times, end = [], time.perf_counter() + seconds / 2
                while time.perf_counter() < end or len(times) < 5:
                    times.append(contestant.run(entry.variant, "wall"))
                return statistics.median(times)

            quiet = measure()
            loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(threads)]
            try:
                busy = measure()
            finally:
                for loop in loops:
                    loop.kill()
                    loop.wait()
        result["libraries"][contestant.peer] = {"quiet_ms": 1e3 * quiet, "contended_ms": 1e3 * busy}
        print(
            f"{task} {threads}t {contestant.peer} {entry.variant}: {1e3 * quiet:.2f} ms alone, {1e3 * busy:.2f} ms "
            f"beside {threads} busy loops: {busy / quiet:.2f}x",
            flush=True,
        )
    return result


def machine() -> dict:
    """The facts that figures depend on."""
    with open("/proc/cpuinfo") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")
    return {
        "cpu": model,
        "cpus": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "matmul_gflops": {threads: round(max(slice_speed(threads) for _ in range(5)), 1) for threads in (1, 2)},
        "config": ck.show_config().splitlines(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("steps", "inference", "contended"))
    parser.add_argument("--tasks", help="comma-separated, instead of the usual ones of the command")
    parser.add_argument("--threads", help="thread counts, comma-separated (default 1,2; contended 2)")
    parser.add_argument("--peers", help="comma-separated (default torch_eager, and onnx_runtime for inference)")
    parser.add_argument("--seconds", type=float, default=15, help="of rounds for each task and thread count (15)")
    parser.add_argument("--json", help="also write the results, with the machine's facts, to this file")
    args = parser.parse_args()
    tasks = {"steps": STEPS, "inference": INFERENCE, "contended": STEPS[:1]}[args.what]
    tasks = [parse(text) for text in (args.tasks.split(",") if args.tasks else tasks)]
    peers = (args.peers or ("torch_eager,onnx_runtime" if args.what == "inference" else "torch_eager")).split(",")
    both = args.what != "contended"
    facts = machine()
    print(*facts["config"], f"machine:       {facts['cpu']}, matmul {facts['matmul_gflops']} GFLOP/s", sep="\n")
    results = []
    for task in tasks:
        for threads in map(int, (args.threads or ("1,2" if both else "2")).split(",")):
            if both:
                results.append(compare(task, threads, peers, args.seconds))
                print_result(results[-1])
            else:
                results.append(contended(task, threads, peers, args.seconds))
    if args.json:
        Path(args.json).write_text(json.dumps({"machine": facts, "command": sys.argv, "results": results}, indent=1))


if __name__ == "__main__":
    main()
