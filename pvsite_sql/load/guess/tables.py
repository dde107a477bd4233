"""Finds the table of readings in the first lines of a text file: its separator, its header and its rows."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from .formats import has_date, is_epoch
from .units import unit_of

__all__ = ["NUMBER", "NumberedRow", "Table", "find_table", "find_table_in_rows"]

_SEPARATORS = (";", "\t", ",", "|")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)
NUMBER = re.compile(
    r"[-+\u2212]?(?:\d[\d.,'\u2019\u00a0\u2009\u202f ]*|[.,]\d+)(?:[eE][-+]?\d+)?(?:\s*[kM]?Wh?)?",
)
_EXCEL_TIME = re.compile(r"[2-7]\d{4}(?:[.,]\d+)?")  # days since 1899-12-30
_MAX_PREAMBLE_ROWS = 100
_DATE_PATTERN = re.compile(r"\[?[dDmMyY]{1,4}[-/.][dDmMyY]{1,4}[-/.][dDmMyY]{2,4}[^\d]*\]?")

NumberedRow = tuple[int, list[str]]  # the lines before it, and its cells


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
    found = []
    for each in separators:
        if table := find_table_in_rows(_rows(lines, each), whole=whole):
            table.options["separator"] = each
            found.append(table)
    return max(found, key=lambda table: (len(table.rows), bool(table.names), table.width), default=None)


def _rows(lines: Sequence[str], separator: str) -> list[NumberedRow]:
    reader = csv.reader(lines, delimiter=separator)
    rows: list[NumberedRow] = []
    before = 0
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((before, [cell.strip() for cell in cells]))
            before = reader.line_num
    except csv.Error:
        return []
    return rows


def find_table_in_rows(rows: Sequence[NumberedRow], *, whole: bool) -> Table | None:
    """Return the table in rows of cells; None if no row has a time and a number.

    Args:
        rows: the first rows of the file that are not blank, each with the number of lines before it.
        whole: whether these are all its rows.
    """
    return _table(rows, whole, has_date) or _table(rows, whole, _EXCEL_TIME.fullmatch)


def _table(rows: Sequence[NumberedRow], whole: bool, is_date: Callable[[str], object]) -> Table | None:  # noqa: FBT001
    def is_time(cell: str) -> bool:
        return bool(is_date(cell)) or is_epoch(cell)

    def is_reading(cells: list[str]) -> bool:
        times = [cell for cell in cells if is_time(cell)]
        numbers = sum(NUMBER.fullmatch(cell) is not None for cell in cells)
        return bool(times) and numbers > sum(NUMBER.fullmatch(cell) is not None for cell in times[:1])

    full = [at for at, (_, cells) in enumerate(rows) if is_reading(cells)]
    if not full:
        return None
    width = Counter(len(rows[at][1]) for at in full).most_common(1)[0][0]
    first = next(at for at in full if len(rows[at][1]) == width)
    time = next(position for position, cell in enumerate(rows[first][1]) if is_time(cell))
    # rows may have no numbers, for example at night
    readings = [at for at, (_, cells) in enumerate(rows) if len(cells) == width and is_time(cells[time])]
    if header_between := _header_between(rows, readings, time):
        first = header_between + 1
    while first - 1 in readings:
        first -= 1
    readings = [at for at in readings if at >= first]
    header, units = _header([cells for _, cells in rows[:first]], width, time)
    options: dict[str, Any] = {}
    if header is None:
        options["header"] = False
    elif first - header > 1:
        options["skip_after_header"] = first - header - 1
    if whole and readings[-1] + 1 < len(rows):
        options["skip_footer"] = len(rows) - readings[-1] - 1
    names = () if header is None else tuple(rows[header][1])
    return Table(names, units, [rows[at][1] for at in readings], options, rows[first if header is None else header][0])


def _header_between(rows: Sequence[NumberedRow], readings: Sequence[int], time: int) -> int | None:
    """Return the row of names after a few rows that look like readings; None if the rows begin with the readings."""
    for at in range(readings[0] + 1, min(readings[0] + _MAX_PREAMBLE_ROWS, readings[-1])):
        if at not in readings and at + 1 in readings and _are_names(rows[at][1], len(rows[at + 1][1]), time):
            return at
    return None


def _header(rows: Sequence[list[str]], width: int, time: int) -> tuple[int | None, tuple[str, ...]]:
    """Return the position of the header at the end of the rows before the data, and a line of units below it."""
    if not rows or not _are_names(rows[-1], width, time):
        return None, ()
    last = len(rows) - 1
    if last and all(_is_unit(cell) for cell in rows[last]):
        above = rows[last - 1]
        if _are_names(above, width, time) and all(above) and len(set(above)) == width:
            return last - 1, tuple(rows[last])
    return last, ()


def _are_names(cells: Sequence[str], width: int, time: int) -> bool:
    """Return whether a row can be a header: names, or whole numbers that stand for sites, and none above the times."""
    count = max((number for number, cell in enumerate(cells, 1) if cell), default=0)  # separators may follow
    if not count or count > width or len(cells) <= time or (count == 1 and len(cells) != width):
        return False
    if NUMBER.fullmatch(cells[time]) or has_date(cells[time]):
        return False
    others = [cell for cell in cells if NUMBER.fullmatch(cell)]
    return all(cell.isdigit() for cell in others) and len(set(others)) == len(others)


def _is_unit(cell: str) -> bool:
    bare = cell.strip("[]()")
    return not bare or unit_of(bare) is not None or len(bare) <= 3 or _DATE_PATTERN.fullmatch(cell) is not None  # noqa: PLR2004
