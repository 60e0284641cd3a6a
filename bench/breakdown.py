"""Where the time of a task goes: CPU time inside each op of the core, by kind of problem, at one thread.

    python bench/breakdown.py train:resnet50:8
    python bench/breakdown.py infer:mobilenet_v2:1 --top 30 --steps 10

Wraps the functions of convkit._core; what remains of the step is Python and the wrapping itself. Page faults are those
of a step after the first two: there should be next to none.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import defaultdict

import convkit as ck
from convkit import _core
from peers import convkit as contestant
from tasks import draw, parse


def kind(name: str, args: tuple) -> str:
    """The op, and of a convolution the window that tells its algorithm."""
    shapes = [a.shape if isinstance(a, _core.Tensor) else a for a in args]
    if name.startswith(("conv2d", "conv_transpose2d")):
        x, w = (shapes[0], shapes[1])
        stride = next(a for a in args if isinstance(a, tuple) and len(a) == 2)
        groups = next(a for a in args if isinstance(a, int))
        window = f"{w[1]}x{w[2]} s{stride[0]}"
        if groups > 1:
            return f"{name} {window}, groups={groups if groups < x[3] else 'C'}"
        return f"{name} {window}" + (f", C={x[3]}" if x[3] < 8 else "")
    return name


def wrap(spent: dict, calls: dict) -> None:
    """Makes every function of the core add its time to ``spent``."""
    for name in dir(_core):
        function = getattr(_core, name)
        if not callable(function) or isinstance(function, type) or name.startswith("_"):
            continue

        def timed(*args, _name=name, _function=function, **kwargs):
            start = time.thread_time()
            result = _function(*args, **kwargs)
            taken = time.thread_time() - start
            key = kind(_name, args)
            spent[key] += taken
            calls[key] += 1
            return result

        setattr(_core, name, timed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=parse, help="train:NETWORK:BATCH or infer:NETWORK:BATCH")
    parser.add_argument("--steps", type=int, default=3, help="steps to average over (default 3)")
    parser.add_argument("--top", type=int, default=20, help="rows to print (default 20)")
    args = parser.parse_args()
    ck.set_num_threads(1)
    spent: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    wrap(spent, calls)
    (step,) = contestant.steps(args.task, draw(args.task, 0)).values()
    step()
    step()
    spent.clear()
    calls.clear()
    faults, start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.thread_time()
    for _ in range(args.steps):
        step()
    total = (time.thread_time() - start) / args.steps
    faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) // args.steps
    print(f"{args.task}: {1e3 * total:.2f} ms of CPU time a step, {faults} page faults")
    rows = sorted(spent.items(), key=lambda row: -row[1])[: args.top]
    for key, seconds in [*rows, ("outside the core", total * args.steps - sum(spent.values()))]:
        share = seconds / args.steps / total
        print(f"  {100 * share:5.1f} %  {1e3 * seconds / args.steps:9.2f} ms  {calls[key] // args.steps:5}x  {key}")


if __name__ == "__main__":
    main()
