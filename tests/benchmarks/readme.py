"""The table of the README's section "Speed"."""

from __future__ import annotations

import os
import statistics
from pathlib import Path

from bench import Bench
from report import by_mark, ratio_text

INSERT = "generation.insert, 1,000,000 rows, UUID objects"
ROWS = (  # the beginning of a work, of its measure, and what the README calls them
    ("generation.insert, 1,000,000 rows, UUID", "rows/s against psql", "insert 1,000,000 readings", "`psql \\copy`"),
    (
        "generation.insert, 1,000,000 rows, UUID",
        "rows/s against 1.0.6",
        "insert 1,000,000 readings",
        "pvsite-datamodel 1.0.6",
    ),
    ("forecasts.insert", "values/s against 1.0.6", "insert 1,000 forecasts of 192 values", "1.0.6"),
    ("generation.read, ", "", "read 100,000 readings as models", "1.0.6"),
    ("forecasts.latest_values, 200", "times faster", "latest forecast values of 200 sites", "1.0.6"),
    ("forecasts.latest_sums", "", "sums of the latest values of 100 sites by DNO", "1.0.6"),
    ("pvsite-sql load", "", "load 5,000,000 rows of CSV", "`psql \\copy`"),
)


def write(benches: list[Bench], file: Path) -> None:
    """Replace the table of the section "Speed" and the sentence above it."""
    text = file.read_text(encoding="utf-8")
    before, heading, section = text.partition("## Speed\n\n")
    first, rest = section.index("Medians of"), section.index("\n\n![")
    if not heading or first:
        raise RuntimeError(f"{file} has no section Speed that begins with the table of medians")
    file.write_text(f"{before}{heading}{_table(benches)}{section[rest:]}", encoding="utf-8")


def _table(benches: list[Bench]) -> str:
    names = [f"PostgreSQL {bench.name}" for bench in benches]
    rows = [
        ["work", "pvsite_sql", "compared with", *(f"ratio, {name}" for name in names)],
        ["---"] * (3 + len(benches)),
    ]
    for work, measure, title, peer in ROWS:
        (figures,) = [
            each for each in by_mark(benches) if each[0].work.startswith(work) and each[0].measure.startswith(measure)
        ]
        sides = figures[0].sides
        ours, theirs = (sides.form.format(statistics.median(values)) for values in (sides.ours, sides.theirs))
        ratios = [ratio_text(figure.values) for figure in figures]
        rows.append([title, f"{ours} {sides.unit}", f"{theirs} {sides.unit} of {peer}", *ratios])
    said = (
        f"Medians of one run on one machine ({os.cpu_count()} cores, `fsync` on), measured side by side. The figures "
        f"are of {names[0]}; ratios have their least and greatest values:"
    )
    return "\n".join([said, "", *("| " + " | ".join(row) + " |" for row in rows)])
