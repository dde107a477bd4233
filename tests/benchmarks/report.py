"""What was found, as Markdown and as a picture."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import matplotlib as mpl
import psycopg
from bench import Bench, Figure, Table, ask
from peers import versions

SETTINGS = (
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "work_mem",
    "max_wal_size",
    "autovacuum",
)
MET, MISSED, LIMIT = "#2a7f62", "#c8553d", "#8d99ae"


def markdown(bench: Bench, parts: dict[str, float]) -> str:
    marks = Table(
        "The marks",
        "Ratios of one run on one server, side by side and alternating: the median, and in brackets the least and the "
        "greatest of the repetitions.",
        ["work", "measure", "mark", "measured", "", "of what"],
        [_mark(figure) for figure in bench.figures],
    )
    return "\n".join(
        [
            "# Measured speed",
            "",
            "Written by `tox -e bench`; do not edit.",
            "",
            "![The marks and what was measured](results.png)",
            "",
            *_machine(bench, parts),
            *[line for table in (marks, *bench.tables) for line in _table(table)],
        ]
    )


def _mark(figure: Figure) -> list[str]:
    values = figure.values
    measured = _number(figure.median)
    if len(values) > 1:
        measured += f" ({_number(min(values))} .. {_number(max(values))})"
    sign = "≤" if figure.at_most else "≥"
    return [
        figure.work,
        figure.measure,
        f"{sign} {figure.mark:g}",
        measured,
        "met" if figure.met else "**missed**",
        figure.detail,
    ]


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}"


def _table(table: Table) -> list[str]:
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return [f"## {table.title}", "", table.note, "", *lines, ""]


def _machine(bench: Bench, parts: dict[str, float]) -> list[str]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30 if hasattr(os, "sysconf") else 0
    settings = {name: ask(bench.server.dsn(), "SELECT current_setting(%s)", name)[0][0] for name in SETTINGS}
    ours = {name: _version(name) for name in ("pvsite_sql", "psycopg", "pandas", "numpy", "pydantic")}
    lasted = ", ".join(f"{name} {took:.0f} s" for name, took in parts.items())
    return [
        f"- **When**: {datetime.now(UTC):%Y-%m-%d}; the whole took {sum(parts.values()) / 60:.0f} min ({lasted})",
        f"- **Machine**: {os.cpu_count()} cores, {memory:.0f} GiB of memory, {_processor()}, {platform.system()}",
        f"- **Server**: PostgreSQL {bench.server.version}, {_pairs(settings)}",
        f"- **Client**: Python {platform.python_version()}, {_pairs(ours)}, libpq {psycopg.pq.version()}",
        f"- **Peers**: {_pairs(versions(bench.pythons))}",
        "",
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of a checkout"


def _pairs(of: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in of.items())


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def plot(bench: Bench, file: Path) -> None:
    """Left: how far each median is from its mark, which is the line; right: the insert rates of all peers."""
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  only once the backend is chosen

    figures, rates = bench.figures[::-1], dict(sorted(bench.rates.items(), key=lambda item: statistics.median(item[1])))
    height = 0.42 * (len(figures) + len(rates)) + 2
    drawing, (left, right) = plt.subplots(
        2, 1, figsize=(10, height), height_ratios=[len(figures) + 1, len(rates) + 1], layout="constrained"
    )
    _plot_marks(left, figures)
    _plot_rates(right, rates)
    drawing.savefig(file, dpi=110)


def _plot_marks(axes: mpl.axes.Axes, figures: list[Figure]) -> None:
    for place, figure in enumerate(figures):
        reached = sorted(figure.mark / value if figure.at_most else value / figure.mark for value in figure.values)
        middle = statistics.median(reached)
        axes.barh(place, middle - 1, left=1, height=0.55, color=MET if figure.met else MISSED)
        axes.plot([reached[0], reached[-1]], [place, place], color="black", linewidth=1, marker="|")
        sign = "at most" if figure.at_most else "at least"
        axes.annotate(
            f"{_number(figure.median)}  ({sign} {figure.mark:g})",
            (max(1, reached[-1]), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    ticks = [tenth / 10 for tenth in (1, 2, 5, 10, 20, 50, 100)]
    axes.set_xticks(ticks, [f"{tick:g}x" for tick in ticks])
    axes.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    axes.set_yticks(range(len(figures)), [f"{figure.work}\n{figure.measure}" for figure in figures], fontsize=7)
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.7), high * 2)
    axes.set_title("The marks: how many times over each is met (the line is the mark itself)", fontsize=10)
    _plain(axes)


def _plot_rates(axes: mpl.axes.Axes, rates: dict[str, list[float]]) -> None:
    for place, (name, values) in enumerate(rates.items()):
        middle = statistics.median(values)
        color = LIMIT if name.startswith("psql") else MET if name.startswith("generation.insert") else "#c9b79c"
        axes.barh(place, middle, height=0.55, color=color)
        axes.plot([min(values), max(values)], [place, place], color="black", linewidth=1, marker="|")
        axes.annotate(
            f"{middle:,.0f}", (max(values), place), xytext=(6, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(range(len(rates)), list(rates), fontsize=7)
    axes.set_xlim(0, max((max(values) for values in rates.values()), default=1) * 1.15)
    axes.set_title("Inserting generation: rows/s", fontsize=10)
    _plain(axes)


def _plain(axes: mpl.axes.Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
