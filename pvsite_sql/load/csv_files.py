"""Reads CSV files in batches of raw cells with their line numbers."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice, repeat
from typing import IO, Any

import numpy as np

from ..engine.arrays import Array
from ..engine.rows import collector_paused
from ..errors import InvalidInput
from .batch import Batch
from .layout import Layout

__all__ = ["csv_batches"]

_BATCH_LINES = 100_000
_LINE_END = re.compile(r"\r\n|\r|\n")


def csv_batches(unzipped: IO[bytes], raw: io.BufferedReader, file: str, layout: Layout) -> Iterator[Batch]:
    """Yield the rows of a CSV file; its bytes are read from `raw`, and from `unzipped` without compression."""
    with _text(unzipped, layout) as text:
        yield from _batches(text, raw, file, layout)


def _text(stream: IO[bytes], layout: Layout) -> IO[str]:
    """Return a text stream that does not translate line ends."""
    if codecs.lookup(layout.encoding).name != "utf-8":
        return io.TextIOWrapper(stream, layout.encoding, newline="")
    # invalid UTF-8 matters only in the columns to read; rejected rows keep the original bytes
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def _batches(text: IO[str], raw: io.BufferedReader, file: str, layout: Layout) -> Iterator[Batch]:
    reader = csv.reader(text, delimiter=layout.separator, strict=True)
    header: list[str] = []
    try:
        while not any(header):
            header = [name.strip() for name in next(reader)]
    except StopIteration:
        raise InvalidInput(f"{file} is empty: a header line is required") from None
    except csv.Error as error:
        raise InvalidInput(f"{file} has an invalid header: {error}") from None
    if any("\0" in name for name in header):
        raise InvalidInput(f"{file} is not a CSV, gzipped CSV or Parquet file")
    positions = layout.select_columns(header, file)
    columns = {key: header[position] for key, position in positions.items()}
    lines_before = reader.line_num
    batch_lines = max(1, _BATCH_LINES // len(positions)) if layout.wide else _BATCH_LINES
    while lines := list(islice(text, batch_lines)):
        numbers: Array = np.arange(lines_before + 1, lines_before + 1 + len(lines))
        unreadable: list[tuple[int, str]] = []
        if (fields := _plain_fields(lines, layout.separator, len(header))) is not None:
            cells = {key: fields[position :: len(header)] for key, position in positions.items()}
            lines_before += len(lines)
        else:
            batch_reader = csv.reader(chain(lines, text), delimiter=layout.separator, strict=True)
            with collector_paused():
                rows = _read_rows(batch_reader, len(lines), lines_before, file)
                numbers = _line_numbers(rows, lines_before)
                unreadable, valid = _split_rows(rows, numbers, len(header), layout.separator)
                cells = {key: [rows[n][position] for n in valid] for key, position in positions.items()}
            numbers = numbers[valid]
            lines_before += batch_reader.line_num
        yield Batch(columns, cells, numbers, "line", _position(raw), unreadable)


def _plain_fields(lines: list[str], separator: str, width: int) -> list[str] | None:
    """Return the fields of all lines in one list, many times faster than a CSV reader.

    Return None if the lines need a CSV reader: one contains quotes, has a different number of fields than the header,
    or is blank.
    """
    if set(map(str.count, lines, repeat(separator))) != {width - 1}:
        return None
    text = "".join(lines)
    if '"' in text:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.removesuffix("\n").replace("\n", separator)  # each pass over the text counts
    blank = separator * (width - 1)
    if text.startswith(blank) or text.endswith(blank) or separator * width in text:
        return None
    return text.split(separator)


def _read_rows(reader: Any, line_count: int, lines_before: int, file: str) -> list[list[str]]:
    """Read rows from at least `line_count` lines; the last row may continue in further lines."""
    rows: list[list[str]] = []
    try:
        while reader.line_num < line_count:
            count_before = len(rows)
            rows.extend(islice(reader, line_count - reader.line_num))
            if len(rows) == count_before:
                break
    except csv.Error as error:
        line = lines_before + 1 + sum(map(_line_count, rows))
        raise InvalidInput(f"{file}, line {line}: invalid quotes: {error}") from None
    return rows


def _line_count(row: list[str]) -> int:
    return 1 + sum(len(_LINE_END.findall(text)) for text in row if "\n" in text or "\r" in text)


def _line_numbers(rows: list[list[str]], lines_before: int) -> Array:
    """Return the line in which each row starts."""
    counts = np.array([_line_count(row) for row in rows])
    numbers: Array = lines_before + 1 + np.cumsum(counts) - counts
    return numbers


def _split_rows(
    rows: list[list[str]], numbers: Array, width: int, separator: str
) -> tuple[list[tuple[int, str]], list[int]]:
    """Return the lines with a wrong number of fields, and the positions of the valid rows. Skips blank rows."""
    unreadable, valid = [], []
    for position, row in enumerate(rows):
        if not any(row) or (len(row) == 1 and not row[0].strip()):
            continue
        if len(row) == width:
            valid.append(position)
        else:
            fields = f"{len(row)} field{'s' * (len(row) > 1)}"
            reason = f"{fields}, but the header has {width}: {separator.join(row)!r}"
            unreadable.append((int(numbers[position]), reason))
    return unreadable, valid


def _position(raw: io.BufferedReader) -> int:
    try:
        return raw.raw.tell()
    except OSError:  # a pipe
        return 0
