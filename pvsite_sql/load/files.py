"""Reads CSV and Parquet files in batches of raw cells with their line numbers."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import os
import re
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, islice, repeat
from pathlib import Path
from typing import IO, Any, Literal, Union
from uuid import UUID

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..engine.rows import collector_paused
from ..errors import InvalidInput, PvsiteSqlError
from .layout import Layout

__all__ = ["Batch", "Cells", "batches", "display_name", "expand", "file_size"]

Cells = Union[Sequence[str], "pd.Series[Any]"]  # texts, "" for a missing one; or a typed column

STANDARD_INPUT = "-"
_BATCH_ROWS = _BATCH_LINES = 100_000
_EXTENSIONS = (".csv", ".csv.gz", ".parquet")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_PARQUET_BUFFER = 1 << 20
_UUID_BYTES = 16
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file.

    Attributes:
        columns: the names of the columns in the file, by `site_uuid`, `start_utc`, `end_utc` and `power_kw`.
        cells: the cells of these columns, by the same keys.
        numbers: for each row, the line where it starts (CSV) or its row number (Parquet), from 1.
        number_kind: "line" or "row".
        bytes_read: how many bytes of the file were read so far; of a gzipped file, compressed bytes.
        unreadable: line numbers of invalid lines, with the reason.
    """

    columns: Mapping[str, str]
    cells: Mapping[str, Cells]
    numbers: Array
    number_kind: Literal["line", "row"]
    bytes_read: int
    unreadable: Sequence[tuple[int, str]] = field(default=())


def expand(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    """Return the file names, with each folder replaced by its files, sorted by name, except hidden ones.

    Raises:
        InvalidInput: a file does not exist, or a folder contains no files.
    """
    names: list[str] = []
    for name in (os.fspath(file) for file in files):
        if name != STANDARD_INPUT and Path(name).is_dir():
            visible = (path for path in Path(name).iterdir() if not path.name.startswith("."))
            inside = sorted(str(path) for path in visible if path.name.lower().endswith(_EXTENSIONS))
            if not inside:
                extensions = f"{', '.join(_EXTENSIONS[:-1])} or {_EXTENSIONS[-1]}"
                raise InvalidInput(f"{name} contains no files that end with {extensions}")
            names += inside
        elif name == STANDARD_INPUT or Path(name).exists():
            names.append(name)
        else:
            raise InvalidInput(f"no such file: {name}")
    return names


def file_size(file: str) -> int | None:
    """Return the size of a file in bytes; None if it has none, such as a pipe."""
    status = os.fstat(0) if file == STANDARD_INPUT else Path(file).stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def batches(file: str, layout: Layout) -> Iterator[Batch]:
    """Yield the rows of a CSV, gzipped CSV or Parquet file. Its first bytes determine the format.

    Args:
        file: the path; `-` is standard input.
        layout: the columns and formats of the file.

    Raises:
        InvalidInput: the format is invalid, or a column is missing.
        PvsiteSqlError: the file cannot be read.
    """
    name = display_name(file)
    with ExitStack() as stack:
        try:
            opened = open(0, "rb", closefd=False) if file == STANDARD_INPUT else open(file, "rb")  # noqa: PTH123, SIM115
            stream = stack.enter_context(opened)
            magic = stream.peek(4)[:4]
            if magic == _PARQUET:
                yield from _parquet_batches(file, layout)
            elif magic.startswith(_GZIP):
                unzipped: Any = stack.enter_context(gzip.open(stream))
                yield from _csv_batches(stack.enter_context(_text(unzipped, layout)), stream, name, layout)
            else:
                yield from _csv_batches(stack.enter_context(_text(stream, layout)), stream, name, layout)
        except (OSError, EOFError, zlib.error) as error:
            raise PvsiteSqlError(f"{name} cannot be read: {error}") from error
        except UnicodeError as error:
            raise InvalidInput(f"{name} is not encoded in {layout.encoding}: {error}") from None


def display_name(file: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if file == STANDARD_INPUT else file


def _text(stream: IO[bytes], layout: Layout) -> IO[str]:
    """Return a text stream that does not translate line ends."""
    if codecs.lookup(layout.encoding).name != "utf-8":
        return io.TextIOWrapper(stream, layout.encoding, newline="")
    # invalid UTF-8 matters only in the columns to read; rejected rows keep the original bytes
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def _csv_batches(text: IO[str], raw: io.BufferedReader, file: str, layout: Layout) -> Iterator[Batch]:
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
    columns = layout.select_columns(header, file)
    positions = {key: header.index(name) for key, name in columns.items()}
    lines_before = reader.line_num
    while lines := list(islice(text, _BATCH_LINES)):
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


def _parquet_batches(file: str, layout: Layout) -> Iterator[Batch]:
    if file == STANDARD_INPUT:
        raise InvalidInput("standard input must be CSV: a Parquet file cannot be read sequentially")
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ModuleNotFoundError:
        raise PvsiteSqlError(f'{file}: Parquet files require pyarrow: pip install "pvsite_sql[load]"') from None
    size = Path(file).stat().st_size
    try:
        with pq.ParquetFile(file, buffer_size=_PARQUET_BUFFER) as parquet:
            header = list(parquet.schema_arrow.names)
            columns = layout.select_columns(header, file)
            first, total = 1, max(1, parquet.metadata.num_rows)
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(columns.values()))):
                cells = {key: _cells(batch.column(name), name, file) for key, name in columns.items()}
                numbers = np.arange(first, first + len(batch))
                first += len(batch)
                yield Batch(columns, cells, numbers, "row", size * (first - 1) // total)
    except (pa.ArrowException, OSError) as error:
        raise PvsiteSqlError(f"{file} cannot be read: {error}") from error


def _cells(column: Any, name: str, file: str) -> Cells:
    """Return text and binary uuids as text, and other columns as pandas series."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        encoded = column.dictionary_encode()
        texts = np.array([*(str(UUID(bytes=value)) for value in encoded.dictionary.to_pylist()), ""], object)
        codes = encoded.indices.fill_null(len(texts) - 1).to_numpy()
        return list(texts[codes])
    if any(
        of(kind) for of in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    ):
        return ["" if text is None else text for text in column.to_pylist()]
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not any(of(kind) for of in (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp)):
        raise InvalidInput(f"{file}: column {name!r} has type {kind}, expected text, times or numbers")
    series: pd.Series[Any] = column.to_pandas()
    return series
