"""Finds which columns of a table have the times, the sites and the power, and how they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .findings import Findings
from .powers import find_power
from .sites import find_sites, needs_site
from .tables import Table
from .times import find_interval, find_times

__all__ = ["Guess", "find_columns"]


@dataclass(frozen=True)
class Guess:
    """What was found in a table.

    Attributes:
        options: keywords of `Layout`, and `interval`.
        doubts: what is not certain, a sentence for each.
        needs_site: whether neither an option nor the file names the sites.
        missing: "time_column" and "power_column", if there is no such column.
    """

    options: dict[str, Any]
    doubts: list[str]
    needs_site: bool
    missing: list[str]


def find_columns(table: Table, given: Mapping[str, Any]) -> Guess:
    """Return the options of the columns of a table; `given` are known and not looked for."""
    findings = Findings(table, given)
    positions, times = find_times(findings)
    power = find_power(findings, positions)
    find_sites(findings, [*positions, power])
    find_interval(findings, times)
    _find_skipped_lines(findings)
    missing = ["time_column"] * (not positions) + ["power_column"] * (power is None and not given.get("wide"))
    return Guess(findings.options, findings.doubts, needs_site(findings), missing)


def _find_skipped_lines(findings: Findings) -> None:
    """Count the lines before the header, if its names do not tell which line it is."""
    columns = [value for keyword, value in findings.options.items() if keyword.endswith("_column")]
    numbers = [each for value in columns for each in (value if isinstance(value, tuple) else (value,))]
    table = findings.table
    if table.lines_before and (not table.names or any(isinstance(each, int) for each in numbers)):
        findings.options["skip_lines"] = table.lines_before
