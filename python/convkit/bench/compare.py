"""`convkit bench compare OLD NEW`: which rows of two runs became slower."""

from __future__ import annotations

from .classes import geometric_mean
from .report import Report, table


def compare(old: Report, new: Report, fail_above: float | None) -> tuple[str, int]:
    """(text, exit status): 1 when a row of ``new`` takes more than ``fail_above`` times its time in ``old``."""
    before = {row.key: row for row in old.rows if row.milliseconds}
    after = {row.key: row for row in new.rows if row.milliseconds}
    both = [key for key in after if key in before]
    if not both:
        raise ValueError("[bench compare] the two files have no row in common.")
    ratios = {key: after[key].milliseconds / before[key].milliseconds for key in both}
    slower = [key for key in both if fail_above is not None and ratios[key] > fail_above]
    cells = []
    for key in sorted(both, key=ratios.get, reverse=True):
        row = after[key]
        cells.append((
            row.name, row.problem, row.direction, str(row.threads), f"{before[key].milliseconds:.3f}",
            f"{row.milliseconds:.3f}", f"{ratios[key]:.3f}", "slower" if key in slower else "",
        ))  # fmt: skip
    lines = [table(("name", "problem", "direction", "threads", "old ms", "new ms", "new/old", ""), cells), ""]
    lines.append(f"{len(both)} rows, geometric mean of new/old {geometric_mean(list(ratios.values())):.3f}")
    for title, one, other in (("old", before, after), ("new", after, before)):
        only = [one[key].name for key in one if key not in other]
        if only:
            lines.append(f"{len(only)} rows only in {title}: {', '.join(only)}")
    for fact in ("CPU", "ISA", "compiler"):
        if old.facts.get(fact) != new.facts.get(fact):
            lines.append(f"the runs differ in {fact}: {old.facts.get(fact)} and {new.facts.get(fact)}")
    broken = new.wrong
    lines += [f"wrong result in new: {row.name} {row.problem} {row.direction}" for row in broken]
    if slower:
        lines.append(f"{len(slower)} rows take more than {fail_above:g} times their old time")
    return "\n".join(lines), int(bool(slower or broken))
