"""One contestant in a process of its own: python worker.py PEER THREADS, then one JSON command a line on stdin.

Libraries bring thread pools, allocators and OpenMP runtimes of their own and may not be able to share a process; here
each has its own, and the command that runs the comparison makes one of them work at a time. The process is confined to
THREADS CPUs before the library is imported, as many libraries know no other way of using fewer.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time

import numpy as np

from tasks import parse


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not look like an answer
    name, threads = sys.argv[1], int(sys.argv[2])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ["OMP_NUM_THREADS"] = str(threads)

    def answer(**content) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    try:
        peer = importlib.import_module(f"peers.{name}")
        peer.set_threads(threads)
    except ImportError as error:
        return answer(error=f"{name} cannot be imported ({error}); bench/peers/{name}.py says what to install")
    answer(version=peer.version())
    steps = {}
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "run":
                wall, cpu = time.perf_counter(), time.process_time()
                for _ in range(command["times"]):
                    steps[command["variant"]]()
                answer(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)
            else:
                task = parse(command["task"])
                with np.load(command["data"]) as file:
                    data = dict(file)
                if command["do"] == "check":
                    np.savez(command["out"], **peer.check(task, data))
                    answer()
                else:
                    steps = peer.steps(task, data)
                    answer(variants=list(steps))
        except Exception as error:
            answer(error=f"{name}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
