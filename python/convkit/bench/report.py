"""What a run prints: header, rows and the summary by class, as text, Markdown, CSV or JSON."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass, field, fields

from .classes import Class, summarise
from .run import Row, choice_summary

FORMATS = ("text", "md", "csv", "json")
FLOP_RULE = (
    "FLOP: a multiply-add counts 2; N*P*Q*O*R*S*C/groups of them in a convolution whatever the algorithm, those with "
    "padding included (Winograd may pass 100 % of the peak); a training step counts three forwards. GB/s: each input "
    "read and each result written once. The error is the largest one relative to the largest value."
)
_CSV_SKIPPED = ("notes",)


@dataclass
class Report:
    """A finished run."""

    facts: dict[str, str]
    settings: dict
    rows: list[Row]
    notes: list[str] = field(default_factory=list)
    limits: dict[int, tuple[float, float]] = field(default_factory=dict)  # threads -> FLOP/s, bytes/s of the machine

    @property
    def classes(self) -> dict[int, list[Class]]:
        """The summary for each number of threads."""
        return {
            threads: summarise([row for row in self.rows if row.threads == threads])
            for threads in sorted({row.threads for row in self.rows})
        }

    @property
    def wrong(self) -> list[Row]:
        return [row for row in self.rows if not row.right]

    def remarks(self) -> list[str]:
        """Sentences under the tables."""
        remarks = [FLOP_RULE]
        noisy = [row for row in self.rows if not row.quiet]
        kept, rounds = sum(row.kept for row in self.rows), sum(row.rounds for row in self.rows)
        remarks.append(f"{kept} of {rounds} rounds were quiet (both peak slices at 80 % of the best).")
        if noisy:
            remarks.append(
                f"! marks {len(noisy)} rows with fewer than 3 quiet rounds: all rounds are in their figures."
            )
        if any(row.checked != "sampled" for row in self.rows):
            remarks.append(
                "Layers and networks are checked on 2 small images against the plain loops in float64; gradients of "
                "networks with tanh for ReLU, as rounding turns ReLUs."
            )
        if choice := choice_summary(self.rows):
            remarks.append(choice[0].upper() + choice[1:] + ".")
        for row in self.wrong:
            remarks.append(f"WRONG RESULT: {row.name} {row.problem} {row.direction}, error {row.error:.1e}.")
        remarks += [f"{row.name} {row.direction}: {note}." for row in self.rows for note in row.notes]
        return remarks + self.notes


COLUMNS = (
    "name", "problem", "direction", "threads", "ms", "quartiles", "GFLOP/s", "peak", "GB/s", "scratch MB", "algorithm",
    "weights", "error", "ratio", "ratio quartiles", "to",
)  # fmt: skip
SUMMARY = ("class", "rows", "of peak", "ratio", "worst", "worst row")


def _cells(row: Row) -> tuple[str, ...]:
    algorithm = row.algorithm or "-"
    return (
        row.name,
        row.problem,
        row.direction,
        str(row.threads),
        _number(row.milliseconds) + ("" if row.quiet else "!"),
        _range(row.quartiles),
        _number(row.gflops),
        _percent(row.peak_share),
        _number(row.gigabytes),
        "-" if row.scratch_mb is None else f"{row.scratch_mb:.1f}",
        algorithm + (" *" if row.chosen else ""),
        row.weights or "-",
        ("" if row.right else "WRONG ") + ("-" if row.error is None else f"{row.error:.0e}"),
        "-" if row.ratio is None else f"{row.ratio:.2f}",
        _range(row.ratio_quartiles),
        row.baseline or "-",
    )


def _number(value: float | None) -> str:
    """Three significant digits."""
    if value is None:
        return "-"
    return (
        f"{value:.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
        if value >= 1
        else (f"{value:.3f}")
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _range(pair: tuple[float, float] | None) -> str:
    return "-" if pair is None else f"{_number(pair[0])}..{_number(pair[1])}"


def summary_cells(found: Class) -> tuple[str, ...]:
    return (
        found.name,
        str(len(found.rows)),
        _percent(found.share),
        "-" if found.ratio is None else f"{found.ratio:.2f}",
        "-" if found.worst is None else f"{found.worst:.2f}",
        found.worst_row or "-",
    )


def columns_with_figures(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> tuple:
    """Header and rows without the columns that hold nothing but "-"."""
    keep = [i for i in range(len(header)) if i == 0 or not rows or any(row[i] != "-" for row in rows)]
    return tuple(header[i] for i in keep), [tuple(row[i] for i in keep) for row in rows]


def table(header: tuple[str, ...], rows: list[tuple[str, ...]], markdown: bool = False) -> str:
    """Columns in line; figures to the right."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    right = [bool(rows) and all(row[i][:1].isdigit() or row[i][:1] in "-W" for row in rows) for i in range(len(header))]

    def form(line):
        return [f"{cell:>{w}}" if r else f"{cell:<{w}}" for cell, w, r in zip(line, widths, right)]

    if not markdown:
        return "\n".join("  ".join(form(line)).rstrip() for line in lines)
    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip((max(w, 3) for w in widths), right)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (form(header), rule, *map(form, rows)))


def render(report: Report, form: str) -> str:
    """The report in one of FORMATS."""
    if form == "json":
        return json.dumps(to_dict(report), indent=1) + "\n"
    if form == "csv":
        return _csv(report)
    markdown = form == "md"
    rows = columns_with_figures(COLUMNS, [_cells(row) for row in report.rows])
    parts = [_head(report.facts, markdown), table(*rows, markdown)]
    for threads, classes in report.classes.items():
        title = f"{threads} thread{'s' if threads > 1 else ''}, geometric mean of each class"
        cells = columns_with_figures(SUMMARY, [summary_cells(found) for found in classes])
        parts.append((f"**{title}**\n\n" if markdown else f"{title}\n") + table(*cells, markdown))
    parts.append("\n".join(("- " if markdown else "") + remark for remark in report.remarks()))
    return "\n\n".join(parts) + "\n"


def _csv(report: Report) -> str:
    out = io.StringIO()
    names = [f.name for f in fields(Row) if f.name not in _CSV_SKIPPED]
    writer = csv.writer(out, lineterminator="\n")
    for fact in report.facts.items():
        out.write("# " + ": ".join(fact) + "\n")
    writer.writerow(names)
    for row in report.rows:
        values = (getattr(row, name) for name in names)
        writer.writerow("..".join(map(str, value)) if isinstance(value, tuple) else value for value in values)
    return out.getvalue()


def render_plain(facts: dict[str, str], rows: list[dict], form: str) -> str:
    """Rows of any columns under the facts of the machine."""
    if form == "json":
        return json.dumps({"machine": facts, "rows": rows}, indent=1) + "\n"
    header = tuple(dict.fromkeys(name for row in rows for name in row))
    cells = [tuple(_plain(row.get(name)) for name in header) for row in rows]
    if form == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *cells])
        return out.getvalue()
    return _head(facts, form == "md") + "\n\n" + table(header, cells, form == "md") + "\n"


def _plain(value) -> str:
    return "-" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _head(facts: dict[str, str], markdown: bool) -> str:
    width = max(map(len, facts))
    lines = (f"- {name}: {v}" if markdown else f"{name + ':':<{width + 2}}{v}" for name, v in facts.items())
    return "\n".join(lines)


def to_dict(report: Report) -> dict:
    return {
        "machine": report.facts,
        "settings": report.settings,
        "limits": {str(threads): {"flops": f, "bytes": b} for threads, (f, b) in report.limits.items()},
        "rows": [row.to_dict() for row in report.rows],
        "classes": {str(threads): [asdict(found) for found in classes] for threads, classes in report.classes.items()},
        "remarks": report.remarks(),
    }


def load(path) -> Report:
    """A report written as JSON; ValueError when the file is none."""
    try:
        with open(path) as file:
            content = json.load(file)
        rows = [Row.from_dict(row) for row in content["rows"]]
        limits = {int(key): (both["flops"], both["bytes"]) for key, both in content["limits"].items()}
        return Report(content["machine"], content["settings"], rows, limits=limits)
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"[bench] {path} is no result of convkit bench --format json.") from None
