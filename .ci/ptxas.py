"""Registers and spills of every CUDA kernel, from a build log with -Xptxas -v: fails on spills that spills.txt does not
allow. `python .ci/ptxas.py LOG [--table]`; --table prints what spills.txt should hold.
"""

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ALLOWED = Path(__file__).with_name("spills.txt")
ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
SPILL = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")


def kernels(log):
    """{(architecture, kernel): (registers, bytes of spill stores and loads)}"""
    found, entry, spilled = {}, None, 0
    for line in log.splitlines():
        if match := ENTRY.search(line):
            entry = match.group(2), match.group(1)
        elif entry and (match := SPILL.search(line)):
            spilled = int(match.group(1)) + int(match.group(2))
        elif entry and (match := REGISTERS.search(line)):
            found[entry] = int(match.group(1)), spilled
            entry = None
    names = sorted({name for _, name in found})
    readable = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    short = dict(zip(names, map(shortened, readable.stdout.splitlines())))
    return {(architecture, short[name]): facts for (architecture, name), facts in found.items()}


def shortened(name):
    """Template and arguments without namespaces and the parameter list."""
    name = re.sub(r"ck::(?:cuda::)?|\(anonymous namespace\)::|\(ck::cuda::\w+\)|^void ", "", name)
    depth = 0
    for i, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and depth == 0:
            return name[:i]
    return name


def main(log, *options):
    found = kernels(Path(log).read_text())
    spilling = {key: bytes for key, (_, bytes) in found.items() if bytes}
    if "--table" in options:
        for (architecture, name), bytes in sorted(spilling.items()):
            print(architecture, bytes, name)
        return 0
    allowed = {}
    for line in ALLOWED.read_text().splitlines():
        if line and not line.startswith("#"):
            architecture, bytes, name = line.split(" ", 2)
            allowed[architecture, name] = int(bytes)
    counts = defaultdict(list)
    for (architecture, _), (registers, _) in found.items():
        counts[architecture].append(registers)
    for architecture, registers in sorted(counts.items()):
        print(f"{architecture}: {len(registers)} kernels, at most {max(registers)} registers")
    worse = {key: bytes for key, bytes in spilling.items() if bytes > allowed.get(key, 0)}
    for (architecture, name), bytes in sorted(worse.items()):
        print(f"SPILLS {bytes} bytes on {architecture}: {name}")
    if not found:
        print("the log has no kernels")
    return 1 if worse or not found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
