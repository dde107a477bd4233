"""What was found, as Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psycopg
from bench import Bench, Figure, Table
from peers import versions


def markdown(benches: list[Bench], environments: float, missing: str) -> str:
    """The report. `missing` is why the second server could not be measured."""
    marks = Table(
        "The marks",
        "Ratios of one run on one server, side by side and alternating: the median, and in brackets the least and the "
        f"greatest of the repetitions. {_verdict(benches, missing)}",
        ["work", "measure", "mark", *(f"PostgreSQL {bench.name}" for bench in benches), ""],
        [_mark(figures) for figures in by_mark(benches)],
    )
    details = [
        Table(
            f"What the ratios are of, PostgreSQL {bench.name}",
            "Medians, with the least and the greatest of the repetitions.",
            ["work", "measure", "ours against theirs"],
            [[figure.work, figure.measure, figure.detail] for figure in bench.figures if figure.detail],
        )
        for bench in benches
    ]
    tables = [
        Table(table.title if bench is benches[0] else f"{table.title}, PostgreSQL {bench.name}", *_rest(table))
        for bench in benches
        for table in bench.tables
    ]
    return "\n".join(
        [
            "# Measured speed",
            "",
            "Written by `tox -e bench`; do not edit.",
            "",
            "![The marks and what was measured](results.png)",
            "",
            *_machine(benches, environments, missing),
            *[line for table in (marks, *details, *tables) for line in _table(table)],
        ]
    )


def _rest(table: Table) -> tuple[str, list[str], list[list[str]]]:
    return table.note, table.header, table.rows


def by_mark(benches: list[Bench]) -> list[list[Figure]]:
    """The figures of each mark, one a server."""
    found: dict[tuple[str, str], list[Figure]] = {}
    for bench in benches:
        for figure in bench.figures:
            found.setdefault((figure.work, figure.measure), []).append(figure)
    return list(found.values())


def _verdict(benches: list[Bench], missing: str) -> str:
    marks = by_mark(benches)
    met = sum(all(figure.met for figure in figures) for figures in marks)
    on = "both servers" if len(benches) > 1 else f"PostgreSQL {benches[0].name}"
    said = f"A mark counts as met if it is met on {on}: {met} of {len(marks)} are."
    return f"{said} {missing}" if missing else said


def _mark(figures: list[Figure]) -> list[str]:
    first = figures[0]
    sign = "≤" if first.at_most else "≥"
    return [
        first.work,
        first.measure,
        f"{sign} {first.mark:g}",
        *(_measured(figure) for figure in figures),
        "met" if all(figure.met for figure in figures) else "**missed**",
    ]


def _measured(figure: Figure) -> str:
    values = figure.values
    if not values:
        return "**not available**"
    measured = ratio_text(values)
    return measured if figure.met else f"**{measured}**"


def ratio_text(values: list[float]) -> str:
    middle = number_text(statistics.median(values))
    return f"{middle} ({number_text(min(values))} .. {number_text(max(values))})" if len(values) > 1 else middle


def number_text(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}"


def _table(table: Table) -> list[str]:
    rows = [table.header, ["---"] * len(table.header), *table.rows]
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return [f"## {table.title}", "", table.note, "", *lines, ""]


def _machine(benches: list[Bench], environments: float, missing: str) -> list[str]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30 if hasattr(os, "sysconf") else 0
    ours = {name: _version(name) for name in ("pvsite_sql", "psycopg", "pandas", "numpy", "pydantic")}
    whole = environments + sum(sum(bench.took.values()) for bench in benches)
    lasted = [f"environments {environments:.0f} s"]
    lasted += [
        f"{bench.name}: {', '.join(f'{name} {took:.0f} s' for name, took in bench.took.items())}" for bench in benches
    ]
    return [
        f"- **When**: {datetime.now(UTC):%Y-%m-%d}; the whole took {whole / 60:.0f} min ({'; '.join(lasted)})",
        f"- **Machine**: {os.cpu_count()} cores, {memory:.0f} GiB of memory, {_processor()}, {platform.system()}",
        *(f"- **Server**: PostgreSQL {bench.name}, {_pairs(bench.settings)}" for bench in benches),
        *([f"- **No second server**: {missing}"] if missing else []),
        f"- **Client**: Python {platform.python_version()}, {_pairs(ours)}, libpq {psycopg.pq.version()}",
        f"- **Peers**: {_pairs(versions(benches[0].pythons))}",
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
