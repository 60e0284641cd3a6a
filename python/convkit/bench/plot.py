"""A picture of a run: the roofline with every row in it, and the ratios to the baseline as bars."""

from __future__ import annotations

import os

from .classes import geometric_mean, summarise
from .report import Report
from .run import Row

_ROWS = 25  # bars up to here are rows, beyond they are classes
_WIDTH = 8.0  # inches at 100 dots: 800 pixels
_ROOF = 4.2  # inches of the upper picture
_BAR = 0.26  # inches of a bar and its gap: a line of text of 8 points fits
_BLUE, _RED, _GREY = "#2b6cb0", "#c05621", "#718096"
# The families of classes that share a colour, by the start of the class's name; the others are grey.
_FAMILIES = {
    "3x3 s1": "#2b6cb0",
    "5x5 s1": "#38b2ac",
    "first layers": "#c05621",
    "3x3 s2, 1x1": "#805ad5",
    "depthwise": "#2f855a",
    "grouped": "#97a628",
    "other conv": "#a0522d",
    "batch 1": "#d53f8c",
    "GEMM": "#d69e2e",
    "layers": "#1a202c",
}


def draw(report: Report, path: str | os.PathLike) -> None:
    """Write the picture of the rows with the most threads to ``path``; ImportError without matplotlib."""
    from matplotlib.figure import Figure

    threads = max((row.threads for row in report.rows), default=1)
    rows = [row for row in report.rows if row.threads == threads and row.milliseconds]
    bars = _bars(rows)
    height = _ROOF + 1.2 + _BAR * max(len(bars), 1)
    figure = Figure(figsize=(_WIDTH, height), dpi=100, layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=[_ROOF, height - _ROOF])  # margins of their own
    roof, ratios = upper.subplots(), lower.subplots()
    title = f"{report.facts['CPU']}, {report.facts['ISA']}, {threads} thread{'s' if threads > 1 else ''}"
    figure.suptitle(f"convkit {report.facts['version']} ({report.facts['git']}) on {title}", fontsize=10)
    _roofline(roof, rows, *report.limits.get(threads, (0.0, 0.0)))
    _ratios(ratios, bars, rows, report.facts.get("baseline"))
    figure.savefig(path)


def _roofline(axes, rows: list[Row], flops: float, bandwidth: float) -> None:
    """GFLOP/s over FLOP per byte, under what the cores and the memory give."""
    from matplotlib.ticker import LogLocator

    points = [row for row in rows if row.gflops and row.bytes]
    x = [row.flops / row.bytes for row in points]
    for family, colour in [*_FAMILIES.items(), ("", _GREY)]:
        members = [i for i, row in enumerate(points) if _family(row) == family]
        for marker, forward in (("o", True), ("^", False)):
            some = [i for i in members if _is_forward(points[i]) == forward]
            label = (
                (family or "other") if some and (forward or not any(_is_forward(points[i]) for i in members)) else ""
            )
            axes.scatter(
                [x[i] for i in some], [points[i].gflops for i in some], s=22, marker=marker, color=colour, alpha=0.8,
                linewidths=0, label=label or "_",
            )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlabel="FLOP per byte, each array read or written once", ylabel="GFLOP/s")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("")
    if flops and bandwidth and points:
        ridge = flops / bandwidth
        left, right = min([*x, ridge]) / 2, max([*x, ridge]) * 2
        axes.plot([left, ridge, right], [left * bandwidth / 1e9, flops / 1e9, flops / 1e9], color="black", linewidth=1)
        axes.set_xlim(left, right)
        axes.set_ylim(top=max(flops / 1e9, *(row.gflops for row in points)) * 1.6)  # Winograd's pass the roof
    limits = f": FMA peak {flops / 1e9:.0f} GFLOP/s, copy in memory {bandwidth / 1e9:.0f} GB/s" if flops else ""
    axes.set_title(f"Roofline{limits}; circles: forward and products, triangles: gradients", fontsize=9)
    axes.grid(True, which="major", linewidth=0.4, alpha=0.6)
    axes.tick_params(labelsize=8)
    if points:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _family(row: Row) -> str:
    return next((family for family in _FAMILIES if row.group.startswith(family)), "")


def _is_forward(row: Row) -> bool:
    return row.direction not in ("data", "weights", "backward", "training")


def _bars(rows: list[Row]) -> list[tuple[str, float]]:
    """(label, ratio): rows, or the geometric means of classes when the rows are too many to read."""
    compared = [row for row in rows if row.ratio is not None]
    if len(compared) <= _ROWS:
        return [(f"{row.name} {row.direction}", row.ratio) for row in compared]
    classes = [found for found in summarise(compared)[:-1] if found.ratio is not None]  # the last is all rows
    return [(f"{found.name} [{len(found.rows)}]", found.ratio) for found in classes]


def _ratios(axes, bars: list[tuple[str, float]], rows: list[Row], baseline: str | None) -> None:
    if not bars:
        axes.set_axis_off()
        axes.text(0.5, 0.5, "no baseline: --against draws ratios here", ha="center", fontsize=9, color=_GREY)
        return
    labels, values = zip(*bars)
    places, longest = range(len(bars)), max(1.0, *values)
    axes.barh(places, values, color=[_BLUE if value >= 1 else _RED for value in values], height=0.7)
    for place, value in zip(places, values):
        beside = max(value, 1.0) + 0.01 * longest  # of the bar and of the line at 1
        axes.text(beside, place, f"{value:.2f}", va="center", fontsize=8)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(places, labels, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, longest * 1.15)  # room for the longest bar's figure
    axes.set_xlabel(f"times as fast as {baseline} (time of the baseline / time of convkit)", fontsize=9)
    overall = geometric_mean([row.ratio for row in rows if row.ratio is not None])
    kind = "classes [rows]: geometric means" if len(bars) != sum(row.ratio is not None for row in rows) else "rows"
    axes.set_title(f"Ratios of {kind}; geometric mean of all rows {overall:.2f}", fontsize=9)
