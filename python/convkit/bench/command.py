"""The command ``convkit bench``: reads the arguments, runs the rows and writes the report."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from .. import _core
from ..arguments import Parser, count, device, number, status
from ..config import get_num_threads, set_num_threads
from . import compare, machine, overhead, peers, report, run, shapes
from .progress import Progress
from .timing import copy_bandwidth

_NETWORKS = ("lenet", "alexnet", "vgg16", "resnet18", "resnet50", "mobilenetv2", "unet", "tails", "gemm")
PRESETS = {"quick": ("quick",), **{name: (name,) for name in _NETWORKS}, "all": _NETWORKS}

_DESCRIPTION = f"""\
Measure the kernels on this machine: one row per problem and direction, checked before it is timed.

presets: {", ".join(PRESETS)} (default quick: some rows of every class, in less than a minute on two cores).
Networks hold every different layer at batch 8 (lenet 128), the forward of each at batch 1 and the whole model.
"""
_EXAMPLES = """\
examples:
  convkit bench
  convkit bench resnet18 --against torch --threads 1,2
  convkit bench --shape n8c64h56o64k3p1 --algo all
  convkit bench --shape maxpool:n8c64h112k3s2p1 --shape gemm:m128n128k9216nt --isa avx2
  convkit bench all --against torch --format json --out new.json --plot new.png
  convkit bench compare old.json new.json --fail-above 1.10

exit status: 0; 1 when a result is wrong or compare finds a slower row; 2 for bad arguments.
"""


def _threads(text: str) -> list[int]:
    return [count(part) for part in text.split(",")]


_seconds = number(float, 1e-3, 1e6, "a positive number of seconds")
_factor = number(float, 1e-3, 1e6, "a positive number")


def _problem(text: str) -> shapes.Entry:
    try:
        problem = shapes.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return shapes.Entry(text, problem, problem.directions)


def _preset(text: str) -> str:
    if text not in PRESETS:
        raise argparse.ArgumentTypeError(f"must be one of {', '.join(PRESETS)}, received {text!r}")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="convkit bench",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("presets", metavar="PRESET", nargs="*", type=_preset, help="what to measure; several are joined")
    add("--preset", metavar="PRESET", action="append", type=_preset, default=[], help="the same as a PRESET argument")
    add(
        "--shape", metavar="STRING", action="append", type=_problem, default=[],
        help="measure this problem, such as n1c64h56o64k3s1p1 or gemm:m128n128k9216nt; may be repeated",
    )  # fmt: skip
    add("--batch", metavar="N", type=count, help="replace the batch of every problem (matrix products have none)")
    add("--threads", metavar="N,N", type=_threads, help="measure with each number of threads (default: all cores)")
    add("--device", type=device, default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    add("--dtype", choices=("float32", "float64"), default="float32", help="default float32; float64 runs plain loops")
    add("--isa", choices=_core.available_isas(), default=_core.active_isa(), help="default: the best of this CPU")
    add(
        "--algo", metavar="NAME", default="auto",
        help="algorithm of the convolutions where it applies; all: each that applies, and whether the automatic "
        "choice was within 10 %% of the best (default auto)",
    )  # fmt: skip
    add(
        "--weights", choices=("auto", "fresh", "kept"), default="auto",
        help="pack the weights in every call, as training does, or keep them packed from call to call, as inference "
        "does (default auto: kept in the forward at batch 1)",
    )  # fmt: skip
    add(
        "--against", metavar="PEER",
        help=f"the baseline of the ratios: {', '.join(peers.NAMES)}, or a FILE.json of an earlier run",
    )  # fmt: skip
    add("--rounds", metavar="N", type=count, default=11, help="quiet rounds of a row (default 11)")
    add("--seconds", metavar="S", type=_seconds, default=0.5, help="most time for the rounds of a row (default 0.5)")
    add("--format", choices=report.FORMATS, default="text", help="default text")
    add("--out", metavar="FILE", type=Path, help="write the report to FILE instead of the terminal")
    add("--plot", metavar="FILE.png", type=Path, help="also draw roofline and ratios (needs matplotlib)")
    add("--overhead", action="store_true", help="instead, measure what ops and a LeNet step cost outside the kernels")
    return parser


def _compare_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="convkit bench compare", description="Compare two runs that were written with --format json.")
    parser.add_argument("old", metavar="OLD", type=Path)
    parser.add_argument("new", metavar="NEW", type=Path)
    parser.add_argument(
        "--fail-above", metavar="F", type=_factor, help="exit with 1 when a row takes more than F times its old time"
    )
    return parser


def main(arguments: list[str]) -> int:
    """Run ``convkit bench`` and return its exit status."""
    if arguments[:1] == ["compare"]:
        parsed = _compare_parser().parse_args(arguments[1:])
        return status("convkit bench compare", lambda: _compare(parsed))
    parser = _parser()
    parsed = parser.parse_args(arguments)
    return status("convkit bench", lambda: _bench(parsed))


def _compare(arguments) -> int:
    text, code = compare.compare(report.load(arguments.old), report.load(arguments.new), arguments.fail_above)
    print(text)
    return code


def _check_writable(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OSError(f"{path} cannot be written")


def _bench(arguments) -> int:
    threads = arguments.threads or [get_num_threads()]
    if arguments.plot and importlib.util.find_spec("matplotlib") is None:
        raise ImportError('--plot needs the package matplotlib: pip install "convkit[viz]"')
    for path in filter(None, (arguments.out, arguments.plot)):
        _check_writable(path)  # now, not after half an hour of measuring
    _core.set_isa(arguments.isa)
    if arguments.overhead:
        return _overhead(arguments, threads)
    names = arguments.presets + arguments.preset or ([] if arguments.shape else ["quick"])
    files = dict.fromkeys(file for name in names for file in PRESETS[name])
    entries = [entry for file in files for entry in shapes.entries(file)] + arguments.shape
    todo = run.tasks(entries, arguments.batch)
    peer, earlier = _baseline(arguments.against)
    given = {name: getattr(arguments, name) for name in ("device", "dtype", "algo", "weights", "rounds", "seconds")}
    settings = run.Settings(threads, **given)
    bench = run.Bench(settings, peer, earlier)
    rows, interrupted = _rows(bench, todo)
    limits = _limits(bench, threads)
    facts = machine.facts() | _limit_facts(limits)
    if arguments.against:
        facts["baseline"] = f"{peer.name} {peer.version}" if peer else arguments.against
    asked = {"presets": names, "shapes": [entry.name for entry in arguments.shape], "batch": arguments.batch}
    warning = run.waiting_policy()
    finished = report.Report(facts, asked | vars(settings), rows, [warning] if warning else [], limits)
    _write(finished, arguments)
    if interrupted:
        raise KeyboardInterrupt
    return int(bool(finished.wrong))


def _baseline(against: str | None) -> tuple[peers.Peer | None, dict]:
    """The peer, or the times of an earlier run by row."""
    if against is None:
        return None, {}
    if against in peers.NAMES:
        return peers.load(against), {}
    if not against.endswith(".json"):
        raise ValueError(f"--against must be one of {', '.join(peers.NAMES)} or a FILE.json. Received: {against!r}")
    return None, {row.key: row.milliseconds for row in report.load(against).rows if row.milliseconds}


def _limits(bench: run.Bench, threads: list[int]) -> dict[int, tuple[float, float]]:
    """The best FLOP/s seen while the rows ran, and the bytes per second of a copy, for each number of threads."""
    limits = {}
    for number_of in threads:
        set_num_threads(number_of)
        limits[number_of] = bench.peaks[number_of].best, copy_bandwidth()
    return limits


def _limit_facts(limits: dict[int, tuple[float, float]]) -> dict[str, str]:
    def of(index: int, form: str) -> str:
        return ", ".join(f"{form.format(limits[n][index] / 1e9)} ({n} thread{'s' * (n > 1)})" for n in limits)

    return {
        "threads": ",".join(map(str, limits)),
        "FMA peak": of(0, "{:.0f} GFLOP/s"),
        "copy bandwidth": of(1, "{:.1f} GB/s"),
    }


def _rows(bench: run.Bench, todo: list) -> tuple[list[run.Row], bool]:
    """All rows, and whether Ctrl-C ended the run before its end: what is measured is reported all the same."""
    rows = []
    with Progress(len(todo)) as progress:
        try:
            for task in todo:
                progress.next(f"{task[0]} {task[2]}")
                for found in bench.rows([task]):
                    rows += found
                progress.done()
        except KeyboardInterrupt:
            if not rows:
                raise
            return rows, True
    return rows, False


def _write(finished: report.Report, arguments) -> None:
    _print(report.render(finished, arguments.format), arguments.out, len(finished.rows))
    if arguments.plot:
        from . import plot

        plot.draw(finished, arguments.plot)
        print(f"plot: {arguments.plot}", file=sys.stderr)


def _overhead(arguments, threads: list[int]) -> int:
    rows = [{"threads": number_of} | row for number_of in threads for row in overhead.report(number_of)]
    _print(report.render_plain(machine.facts(), rows, arguments.format), arguments.out, len(rows))
    return 0


def _print(text: str, out: Path | None, rows: int) -> None:
    if out:
        out.write_text(text)
        print(f"{rows} rows: {out}")
    else:
        print(text, end="")
