"""The table of bench/README.md: geometric means by class of the JSON reports of ``convkit bench``.

    python bench/class_table.py bench/results/kernels_torch_*.json

One column of ratios for each file and number of threads, and the worst row of each class in the first of them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def columns(files: list[str]) -> dict[str, dict[str, dict]]:
    """-> class by name, for each number of threads of each file."""
    found = {}
    for file in files:
        for threads, classes in json.loads(Path(file).read_text())["classes"].items():
            found[f"{threads} thread{'s' if threads != '1' else ''}"] = {entry["name"]: entry for entry in classes}
    return found


def main() -> None:
    tables = columns(sys.argv[1:])
    first = next(iter(tables.values()))
    print(f"| class | rows | {' | '.join(tables)} | worst row |")
    print("|" + " --- |" * (len(tables) + 3))
    for name, entry in first.items():
        ratios = [f"{table[name]['ratio']:.2f}" if name in table else "" for table in tables.values()]
        print(f"| {name} | {len(entry['rows'])} | {' | '.join(ratios)} | {entry['worst']:.2f} `{entry['worst_row']}` |")


if __name__ == "__main__":
    main()
