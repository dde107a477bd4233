"""Reads CSV files in batches of raw cells with their line numbers.

Python's csv module reads them; lines without quotes are split at once, by pyarrow where it is installed. As readers of
whole files, pyarrow.csv, polars and DuckDB do not tell in which line a row begins. Where a quote is never closed,
pyarrow.csv takes the rest of the file for one cell. polars drops surplus fields and refuses a file for invalid UTF-8 in
columns that are not read.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from typing import Any

import numpy as np

from ..engine.arrays import Array
from ..engine.rows import collector_paused
from ..errors import InvalidInput
from .batch import Batch, without_footer
from .csv_header import Header, read_header
from .layout import Layout
from .plain_texts import split_lines
from .sniff import encoding_by_mark, find_encoding
from .source import Source

__all__ = ["csv_batches"]

_BATCH_LINES = 100_000
_LINE_END = re.compile(r"\r\n|\r|\n")


def csv_batches(source: Source, layout: Layout) -> Iterator[Batch]:
    """Yield the rows of a CSV file."""
    marked = encoding_by_mark(source.stream.peek(4)[:4])
    encoding = marked or layout.encoding
    try:
        with _text(source.stream, encoding) as text:
            header = read_header(text, layout, source.name)
            yield from without_footer(_batches(text, header, source, layout), header.skip_footer)
    except UnicodeDecodeError as error:
        found = find_encoding(error.object)
        advice = f"; use --encoding {found}" if not marked and codecs.lookup(found) != codecs.lookup(encoding) else ""
        raise InvalidInput(f"{source.name} is not encoded in {encoding}: {error}{advice}") from None
    except UnicodeError as error:  # UTF-16 without a byte order mark
        raise InvalidInput(f"{source.name} is not encoded in {encoding}: {error}") from None


def _text(stream: Any, encoding: str) -> io.TextIOWrapper:
    """Return a text stream that does not translate line ends."""
    if codecs.lookup(encoding).name not in ("utf-8", "utf-8-sig"):
        return io.TextIOWrapper(stream, encoding, newline="")
    # invalid UTF-8 matters only in the columns to read; rejected rows keep the original bytes
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def _batches(text: io.TextIOWrapper, header: Header, source: Source, layout: Layout) -> Iterator[Batch]:
    lines_before = header.lines
    text_left = chain(header.ahead, text) if header.ahead else text
    batch_lines = max(1, _BATCH_LINES // len(header.fields)) if layout.wide else _BATCH_LINES
    while lines := list(islice(text_left, batch_lines)):
        batch, count = _batch(lines, text_left, lines_before, header, source, layout)
        lines_before += count
        del lines
        yield batch
        del batch  # so that it is not in memory while the next one is read


def _batch(
    lines: list[str], text_left: Iterator[str], lines_before: int, header: Header, source: Source, layout: Layout
) -> tuple[Batch, int]:
    """Return the rows of lines, and how many lines these are; the last row may continue in further lines."""
    count = len(lines)
    numbers: Array = np.arange(lines_before + 1, lines_before + 1 + count)
    unreadable: list[tuple[int, str]] = []
    cells: Mapping[str, Sequence[str]] | None = _plain_cells(lines, layout, header)
    if cells is None:
        reader = csv.reader(chain(lines, text_left), delimiter=layout.separator, strict=True)
        with collector_paused():
            rows = _read_rows(reader, count, lines_before, source.name)
            numbers = _line_numbers(rows, lines_before)
            unreadable, valid = _split_rows(rows, numbers, header, layout.separator)
            cells = {key: [rows[n][field] for n in valid] for key, field in header.fields.items()}
        numbers, count = numbers[valid], reader.line_num
    batch = Batch(header.columns, cells, numbers, "line", source.position(), unreadable, positions=header.positions)
    return batch, count


def _plain_cells(lines: list[str], layout: Layout, header: Header) -> Mapping[str, Sequence[str]] | None:
    """Return the cells of the columns to read, many times faster than a CSV reader.

    Return None if the lines need a CSV reader: one contains quotes, is blank, or has another number of fields than the
    others or the header. Empty fields at the end of every line are accepted.
    """
    separator = layout.separator
    counts = set(map(str.count, lines, repeat(separator)))
    width = counts.pop() + 1
    if counts or width < header.min_width:
        return None
    text = "".join(lines)
    if '"' in text:
        return None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    blank = separator * (width - 1) + "\n"
    if text.startswith(blank) or "\n" + blank in text:
        return None
    if width <= header.width and not layout.wide:
        split = split_lines(text, separator, width, header.fields)
        if split is not None:
            return split
    fields = text[:-1].replace("\n", separator).split(separator)  # each pass over the text counts
    if any(any(fields[field::width]) for field in range(header.width, width)):
        return None
    return {key: fields[field::width] for key, field in header.fields.items()}


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
    rows: list[list[str]], numbers: Array, header: Header, separator: str
) -> tuple[list[tuple[int, str]], list[int]]:
    """Return the lines with a wrong number of fields, and the positions of the valid rows. Skips blank rows."""
    unreadable, valid = [], []
    for position, row in enumerate(rows):
        if not any(row) or (len(row) == 1 and not row[0].strip()):
            continue
        if len(row) >= header.min_width and not any(field.strip() for field in row[header.width :]):
            valid.append(position)
        else:
            fields = f"{len(row)} field{'s' * (len(row) > 1)}"
            reason = f"{fields}, but {header.width_of} has {header.width}: {separator.join(row)!r}"
            unreadable.append((int(numbers[position]), reason))
    return unreadable, valid
