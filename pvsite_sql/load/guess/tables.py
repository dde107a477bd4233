"""Finds the table of readings in the first lines of a text file: its separator, its header and its rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .formats import formats_of, has_date
from .units import unit_of

__all__ = ["NUMBER", "Table", "find_table"]

_SEPARATORS = (";", "\t", ",", "|")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
NUMBER = re.compile(
    r"[-+]?(?:\d[\d.,'\u2019\u00a0\u202f ]*|[.,]\d+)(?:[eE][-+]?\d+)?(?:\s*[kM]?Wh?)?",
)
_DATE_PATTERN = re.compile(r"\[?[dDmMyY]{1,4}[-/.][dDmMyY]{1,4}[-/.][dDmMyY]{2,4}[^\d]*\]?")


@dataclass(frozen=True)
class Table:
    """The first rows of a file.

    Attributes:
        names: the names of the columns; () if the file has no header.
        units: the cells of a line of units below the header, otherwise ().
        rows: the cells of the rows with data.
        options: the options of a `Layout` that describe what was found, except the columns.
        lines_before: how many lines stand before the header, or before the rows if there is none.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    options: dict[str, Any] = field(default_factory=dict)
    lines_before: int = 0

    @property
    def width(self) -> int:
        """How many columns the rows have."""
        return len(self.rows[0])

    def column(self, position: int) -> list[str]:
        """Return the cells of a column."""
        return [row[position] for row in self.rows]


def find_table(lines: Sequence[str], *, whole: bool, separator: str | None = None) -> Table | None:
    """Return the table with the most rows that have a time and a number; None if no row has both.

    Args:
        lines: the first lines of the file, with their ends.
        whole: whether these are all its lines.
        separator: the separator of fields, if it is known.
    """
    said = _SEPARATOR_LINE.fullmatch(lines[0]) if lines else None
    separators = [separator] if separator else [said[1]] if said else list(_SEPARATORS)
    found = [table for each in separators if (table := _table(lines, each, whole=whole)) is not None]
    return max(found, key=lambda table: (len(table.rows), bool(table.names), table.width), default=None)


def _table(lines: Sequence[str], separator: str, *, whole: bool) -> Table | None:
    reader = csv.reader(lines, delimiter=separator)
    numbered: list[tuple[int, list[str]]] = []
    try:
        before = 0
        for cells in reader:
            if any(cell.strip() for cell in cells):
                numbered.append((before, [cell.strip() for cell in cells]))
            before = reader.line_num
    except csv.Error:
        return None
    full = [position for position, (_, cells) in enumerate(numbered) if _is_reading(cells)]
    if not full:
        return None
    width = Counter(len(numbered[position][1]) for position in full).most_common(1)[0][0]
    first = next(position for position in full if len(numbered[position][1]) == width)
    time = next(at for at, cell in enumerate(numbered[first][1]) if _is_time(cell))
    # rows may have no numbers, for example at night
    readings = [at for at, (_, cells) in enumerate(numbered) if len(cells) == width and _is_time(cells[time])]
    while first - 1 in readings:
        first -= 1
    last = readings[-1]
    readings = [position for position in readings if position >= first]
    options: dict[str, Any] = {"separator": separator}
    header, units = _header(numbered[:first], width)
    names = tuple(numbered[header][1]) if header is not None else ()
    if header is None:
        options["header"] = False
    elif first - header > 1:
        options["skip_after_header"] = first - header - 1
    if whole and last + 1 < len(numbered):
        options["skip_footer"] = len(numbered) - last - 1
    start = first if header is None else header
    return Table(
        names,
        units,
        [numbered[position][1] for position in readings],
        options,
        numbered[start][0],
    )


def _is_time(cell: str) -> bool:
    return has_date(cell) or bool(formats_of(cell))


def _is_reading(cells: list[str]) -> bool:
    """Return whether a row has a time and another cell that is a number."""
    times = [cell for cell in cells if _is_time(cell)]
    numbers = [cell for cell in cells if NUMBER.fullmatch(cell)]
    return bool(times) and len(numbers) > sum(NUMBER.fullmatch(cell) is not None for cell in times[:1])


def _header(numbered: list[tuple[int, list[str]]], width: int) -> tuple[int | None, tuple[str, ...]]:
    """Return the position of the header before the data, and the cells of a line of units below it."""
    if not numbered or not _are_names(numbered[-1][1], width):
        return None, ()
    last = len(numbered) - 1
    below = numbered[last][1]
    if last and all(_is_unit(cell) for cell in below):
        above = numbered[last - 1][1]
        if _are_names(above, width) and all(above) and len(set(above)) == width:
            return last - 1, tuple(below)
    return last, ()


def _are_names(cells: list[str], width: int) -> bool:
    # a line of names may lack a trailing separator, or have one more
    fits = len(cells) == width or (abs(len(cells) - width) == 1 and sum(map(bool, cells)) > 1)
    return fits and any(cells) and not any(NUMBER.fullmatch(cell) for cell in cells if cell)


def _is_unit(cell: str) -> bool:
    bare = cell.strip("[]()")
    return not bare or unit_of(bare) is not None or len(bare) <= 3 or _DATE_PATTERN.fullmatch(cell) is not None  # noqa: PLR2004
