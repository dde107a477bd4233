"""Finds the header of a CSV file, which may come behind other lines, or which a file may not have."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from ..errors import InvalidInput
from .batch import REJECT_COLUMNS
from .headers import column_names, is_number, numbered_names, refuse_reading
from .layout import Layout, MissingColumn
from .rejects import numbered_columns
from .sniff import SEPARATORS, find_encoding, option_value
from .units import check_units_below

__all__ = ["Header", "read_header"]

_MAX_LINES = 100
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)


@dataclass(frozen=True)
class Header:
    """The columns of a CSV file, and where its rows begin.

    Attributes:
        columns: the names of the columns to read, by their keys.
        fields: where they are in a row, from 0.
        positions: where they are in the loaded files; it differs from `fields` in a file of rejected rows.
        width: the number of fields of a row.
        min_width: the number of fields that a row needs; columns without a name at the end may be missing.
        width_of: what has this number of fields, for messages.
        lines: how many lines come before the first row.
        ahead: lines after these that were read.
        skip_footer: how many rows to ignore at the end.
    """

    columns: dict[str, str]
    fields: dict[str, int]
    positions: dict[str, int]
    width: int
    min_width: int
    width_of: str
    lines: int
    ahead: list[str]
    skip_footer: int


def read_header(text: io.TextIOWrapper, layout: Layout, file: str) -> Header:
    """Read a CSV file up to its first row of readings.

    Args:
        text: the file, at its start.
        layout: the columns of the file.
        file: the name of the file for messages.

    Raises:
        InvalidInput: no header with the columns was found. The message says which option may help.
    """
    lines = _Lines(text, file)
    first = lines.peek()
    if tuple(_fields(first, layout.separator)[: len(REJECT_COLUMNS)]) == REJECT_COLUMNS:
        return _of_rejects(lines, layout)
    if match := _SEPARATOR_LINE.fullmatch(first):
        if match[1] != layout.separator:
            raise InvalidInput(
                f"{file}, line 1: the separator is {match[1]!r}: use --separator {option_value(match[1])}"
            )
        lines.used = 1
    lines.skip(layout.skip_lines)
    return _found(lines, layout) if layout.header else _without_header(lines, layout)


class _Lines:
    """The first lines of a file, which can be read again.

    Attributes:
        file: the name of the file.
        read: the lines that were read.
        used: how many of them are not to be read again.
    """

    def __init__(self, text: io.TextIOWrapper, file: str) -> None:
        self._text = text
        self.file = file
        self.read: list[str] = []
        self.used = 0

    def peek(self) -> str:
        """Return the next line, "" at the end of the file."""
        return next(self._unused(), "")

    def skip(self, count: int) -> None:
        """Use the first lines of the file."""
        while self.used < count:
            if not self.peek():
                raise InvalidInput(f"{self.file} ends at line {self.used}: --skip-lines {count} skips all of it")
            self.used += 1

    def first(self, count: int) -> list[str]:
        """Return the first lines of the file; they are not used."""
        deque(islice(self._unused(), max(0, count - self.used)), 0)
        return self.read

    def rows(self, separator: str) -> Iterator[list[str]]:
        """Yield rows that are not blank, without blanks around the cells. The lines up to each row are used then."""
        before = self.used
        reader = csv.reader(self._unused(), delimiter=separator, strict=True)
        for row in reader:
            self.used = before + reader.line_num
            cells = [cell.strip() for cell in row]
            if any("\0" in cell for cell in cells):
                self._refuse_binary()
            if any(cells):
                yield cells

    def _unused(self) -> Iterator[str]:
        yield from islice(self.read, self.used, None)
        for line in self._text:
            self.read.append(line)
            yield line

    def _refuse_binary(self) -> None:
        written = "".join(self.read).encode(self._text.encoding.removesuffix("-sig"), "surrogateescape")
        encoding = find_encoding(written)
        if encoding.startswith("utf-16"):
            raise InvalidInput(f"{self.file} is encoded in UTF-16: use --encoding {encoding}")
        raise InvalidInput(f"{self.file} is not a CSV, JSON, NDJSON, Parquet, Excel (.xlsx) or zip file")


def _found(lines: _Lines, layout: Layout) -> Header:
    """Return the first header that has the columns."""
    widest: list[str] = []
    missing: MissingColumn | None = None
    first = lines.used
    rows = lines.rows(layout.separator)
    try:
        for header in rows:
            try:
                positions = layout.select_columns(header, lines.file)
            except MissingColumn as error:
                if len(header) > len(widest):
                    widest, missing = header, error
                    place = f" (line {lines.used})" if lines.used > first + 1 else ""
                if layout.skip_lines or lines.used >= _MAX_LINES:
                    break
            else:
                refuse_reading(header, positions, f"{lines.file}, line {lines.used}")
                for below in islice(rows, layout.skip_after_header):
                    check_units_below(header, below, positions, layout, lines.file)
                return _header(lines, layout, header, positions)
    except csv.Error as error:
        advice = _separator_advice(lines.first(_MAX_LINES)[first:], layout, lines.file)
        advice = advice or "if it is not the header, use --skip-lines"
        raise InvalidInput(f"{lines.file} has an invalid header: {error}; {advice}") from None
    if missing is None:
        raise InvalidInput(f"{lines.file} is empty: a header line is required")
    advice = _advice(lines.first(_MAX_LINES)[first:], widest, layout, lines.file)
    raise InvalidInput(f"{missing.reason}{place}{advice and '; '}{advice}")


def _without_header(lines: _Lines, layout: Layout) -> Header:
    before = lines.used
    try:
        row = next(lines.rows(layout.separator), None)
    except csv.Error as error:
        raise InvalidInput(f"{lines.file}, line {before + 1}: invalid quotes: {error}") from None
    if row is None:
        raise InvalidInput(f"{lines.file} is empty")
    names = numbered_names(row)
    try:
        positions = layout.select_columns(names, lines.file)
    except MissingColumn:
        fields = f"{len(row)} field{'s' * (len(row) > 1)}"
        advice = _advice(lines.first(_MAX_LINES)[before:], row, layout, lines.file)
        raise InvalidInput(f"{lines.file}, line {lines.used}: has only {fields}; {advice}") from None
    lines.used = before
    return replace(_header(lines, layout, names, positions), width_of="the first row")


def _of_rejects(lines: _Lines, layout: Layout) -> Header:
    """Return the header of a file that `Rejects` wrote: it has no other lines, and knows the columns' old numbers."""
    layout = replace(layout, skip_lines=0, header=True, skip_after_header=0, skip_footer=0)
    if not layout.has_numbers:
        return _found(lines, layout)
    header = next(lines.rows(layout.separator))
    names, fields = numbered_columns(header)
    positions = layout.select_columns(names, lines.file)
    if missing := [position + 1 for position in positions.values() if not names[position]]:
        raise InvalidInput(f"{lines.file} has no column {missing[0]}: it has the columns of an earlier load")
    found = _header(lines, layout, header, {key: fields[position] for key, position in positions.items()})
    return replace(found, columns=column_names(names, positions), positions=positions)


def _header(lines: _Lines, layout: Layout, names: list[str], fields: dict[str, int]) -> Header:
    named = [number for number, name in enumerate(names, 1) if name]
    return Header(
        columns=column_names(names, fields),
        fields=fields,
        positions=fields,
        width=len(names),
        min_width=max([*named, *(field + 1 for field in fields.values())]),
        width_of="the header",
        lines=lines.used,
        ahead=lines.read[lines.used :],
        skip_footer=layout.skip_footer,
    )


def _advice(lines: Sequence[str], header: Sequence[str], layout: Layout, file: str) -> str:
    """Return which options may help to find the columns in these lines; the header is the one that was looked at."""
    if advice := _separator_advice(lines, layout, file):
        return advice
    text = "".join(header)
    if not text.isascii() and text != text.encode("utf-8", "replace").decode():
        encoding = find_encoding(text.encode("utf-8", "surrogateescape"))
        return f"it is not encoded in utf-8: use --encoding {encoding}"
    if not layout.header:
        return "if other lines come first, use --skip-lines"
    has_numbers = any(map(is_number, header))
    if has_numbers and not any(name[:1].isalpha() for name in header):
        return "if the file has no header, use --no-header and the numbers of the columns"
    if layout.wide:
        advice = "--time-column names the times, and the other columns are sites"
    else:
        advice = f"name its columns with {layout.column_options}"
        if has_numbers:
            advice += ", or use --wide if its numbers are sites"
    if layout.skip_lines or len(lines) >= _MAX_LINES:
        advice += f"{advice and ', or '}use --skip-lines, if it comes on another line"
    return advice


def _separator_advice(lines: Sequence[str], layout: Layout, file: str) -> str:
    for separator in SEPARATORS:
        if separator != layout.separator and _has_columns(lines, separator, layout, file):
            return f"use --separator {option_value(separator)}"
    return ""


def _has_columns(lines: Iterable[str], separator: str, layout: Layout, file: str) -> bool:
    for line in lines:
        fields = _fields(line, separator)
        names = fields if layout.header else numbered_names(fields)
        try:
            layout.select_columns(names, file)
        except MissingColumn:
            continue
        except InvalidInput:  # it has a column twice
            pass
        return True
    return False


def _fields(line: str, separator: str) -> list[str]:
    with suppress(csv.Error):
        return [field.strip() for field in next(csv.reader([line], delimiter=separator), [])]
    return []
