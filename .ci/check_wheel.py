"""Holds a wheel of CONVKIT_CUDA=OFF, installed in this Python, to its budgets: size, contents, import time."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

MAX_MEGABYTES = 12
MAX_IMPORT_SECONDS = 0.1  # beyond numpy's
ALLOWED = re.compile(
    r"convkit/([\w/]+\.py|py\.typed|_core\.pyi|_core\.[\w-]+\.so|bench/shapes/[\w-]+\.txt)"
    r"|convkit-[^/]+\.dist-info/(METADATA|WHEEL|RECORD|entry_points\.txt|licenses/LICENSE)"
)
IMPORT = """
import time, numpy
start = time.perf_counter()
import convkit
print(time.perf_counter() - start)
"""


def main() -> int:
    wheel = Path(sys.argv[1])
    megabytes = wheel.stat().st_size / 1e6
    print(f"{wheel.name}: {megabytes:.2f} MB (at most {MAX_MEGABYTES})")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    problems = [f"holds {name}" for name in names if not ALLOWED.fullmatch(name)]
    problems += [f"lacks convkit/{name}" for name in ("py.typed", "_core.pyi") if f"convkit/{name}" not in names]
    if sum(name.endswith(".so") for name in names) != 1:
        problems.append("must hold one extension")
    if megabytes > MAX_MEGABYTES:
        problems.append("is too large")

    runs = [
        subprocess.run([sys.executable, "-c", IMPORT], check=True, capture_output=True, text=True) for _ in range(9)
    ]
    seconds = min(float(run.stdout) for run in runs)
    print(f"import: {seconds * 1e3:.0f} ms beyond numpy's (at most {MAX_IMPORT_SECONDS * 1e3:.0f})")
    if seconds > MAX_IMPORT_SECONDS:
        problems.append("imports too slowly")
    for problem in problems:
        print(f"the wheel {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
