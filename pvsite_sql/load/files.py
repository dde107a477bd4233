"""Files of readings, CSV or Parquet, as batches of raw cells that know the lines they stand in."""

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

__all__ = ["Batch", "Cells", "batches", "found", "shown_name", "size_of"]

Cells = Union[Sequence[str], "pd.Series[Any]"]  # texts, "" where there is none; or a column that has a type

STANDARD_INPUT = "-"
_BATCH_ROWS = _BATCH_LINES = 100_000
_ENDINGS = (".csv", ".csv.gz", ".parquet")
_GZIP, _PARQUET = b"\x1f\x8b", b"PAR1"
_PARQUET_BUFFER = 1 << 20
_UUID_BYTES = 16
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Batch:
    """Some neighbouring rows of a file.

    Attributes:
        columns: the columns' names in the file, by `site_uuid`, `start_utc`, `end_utc` and `power_kw`.
        cells: what stands in them, by the same keys.
        numbers: the line of the file that each row begins in (CSV), or the number of the row; both from 1.
        numbered: which of the two.
        unreadable: lines that are no row, with the reason.
        bytes_read: how much of the file was read so far, as its size counts it.
    """

    columns: Mapping[str, str]
    cells: Mapping[str, Cells]
    numbers: Array
    numbered: Literal["line", "row"]
    bytes_read: int
    unreadable: Sequence[tuple[int, str]] = field(default=())


def found(files: Iterable[str | os.PathLike[str]]) -> list[str]:
    """The names of files, those in folders by name, without hidden ones.

    Raises:
        InvalidInput: there is no such file, or none in a folder.
    """
    names: list[str] = []
    for name in (os.fspath(file) for file in files):
        if name != STANDARD_INPUT and Path(name).is_dir():
            shown = (path for path in Path(name).iterdir() if not path.name.startswith("."))
            inside = sorted(str(path) for path in shown if path.name.lower().endswith(_ENDINGS))
            if not inside:
                raise InvalidInput(f"{name} has no files that end with {', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]}")
            names += inside
        elif name == STANDARD_INPUT or Path(name).exists():
            names.append(name)
        else:
            raise InvalidInput(f"there is no file {name}")
    return names


def size_of(file: str) -> int | None:
    """The size in bytes of a file; None: it has none, as a pipe."""
    status = os.fstat(0) if file == STANDARD_INPUT else Path(file).stat()
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def batches(file: str, layout: Layout) -> Iterator[Batch]:
    """The rows of a CSV file, perhaps compressed by gzip, or of a Parquet file; its first bytes tell which.

    Args:
        file: its path; `-` is standard input.
        layout: what its columns are.

    Raises:
        InvalidInput: it is none of these, or lacks a column; or a line cannot be told from the next one.
        PvsiteSqlError: it cannot be read.
    """
    shown = shown_name(file)
    with ExitStack() as stack:
        try:
            opened = open(0, "rb", closefd=False) if file == STANDARD_INPUT else open(file, "rb")  # noqa: PTH123, SIM115
            stream = stack.enter_context(opened)
            magic = stream.peek(4)[:4]
            if magic == _PARQUET:
                yield from _of_parquet(file, layout)
            elif magic.startswith(_GZIP):
                unzipped: Any = stack.enter_context(gzip.open(stream))
                yield from _of_csv(stack.enter_context(_text(unzipped, layout)), stream, shown, layout)
            else:
                yield from _of_csv(stack.enter_context(_text(stream, layout)), stream, shown, layout)
        except (OSError, EOFError, zlib.error) as error:
            raise PvsiteSqlError(f"{shown} cannot be read: {error}") from error
        except UnicodeError as error:
            raise InvalidInput(f"{shown} is not in the encoding {layout.encoding}: {error}") from None


def shown_name(file: str) -> str:
    """The name of a file in messages."""
    return "standard input" if file == STANDARD_INPUT else file


def _text(stream: IO[bytes], layout: Layout) -> IO[str]:
    """Its text, with the ends of lines as they are."""
    if codecs.lookup(layout.encoding).name != "utf-8":
        return io.TextIOWrapper(stream, layout.encoding, newline="")
    # bytes that are no UTF-8 only matter in a cell that is asked for, and are rejected as they are
    return io.TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")


def _of_csv(text: IO[str], raw: io.BufferedReader, file: str, layout: Layout) -> Iterator[Batch]:
    reader = csv.reader(text, delimiter=layout.separator, strict=True)
    header: list[str] = []
    try:
        while not any(header):
            header = [name.strip() for name in next(reader)]
    except StopIteration:
        raise InvalidInput(f"{file} is empty: a header is wanted") from None
    except csv.Error as error:
        raise InvalidInput(f"{file} has no header that can be read: {error}") from None
    if any("\0" in name for name in header):
        raise InvalidInput(f"{file} is neither CSV, be it compressed by gzip, nor Parquet")
    columns = layout.chosen(header, file)
    places = {key: header.index(name) for key, name in columns.items()}
    before = reader.line_num
    while lines := list(islice(text, _BATCH_LINES)):
        numbers: Array = np.arange(before + 1, before + 1 + len(lines))
        unreadable: list[tuple[int, str]] = []
        if (fields := _plain_fields(lines, layout.separator, len(header))) is not None:
            cells = {key: fields[place :: len(header)] for key, place in places.items()}
            before += len(lines)
        else:
            read = csv.reader(chain(lines, text), delimiter=layout.separator, strict=True)
            with collector_paused():
                rows = _rows(read, len(lines), before, file)
                numbers = _lines(rows, before)
                unreadable, whole = _resolve_fold(rows, numbers, len(header), layout.separator)
                cells = {key: [rows[position][place] for position in whole] for key, place in places.items()}
            numbers = numbers[whole]
            before += read.line_num
        yield Batch(columns, cells, numbers, "line", _position(raw), unreadable)


def _plain_fields(lines: list[str], separator: str, width: int) -> list[str] | None:
    """The fields of all lines in one list, many times faster than a CSV reader; None where it takes one.

    That is where something is quoted, a line has not as many fields as the header, or one has nothing in any field.
    """
    if set(map(str.count, lines, repeat(separator))) != {width - 1}:
        return None
    text = separator.join(lines)
    if '"' in text:
        return None
    text = text.replace("\n", "").replace("\r", "")  # they only stand where lines end
    if separator * width in f"{separator}{text}{separator}":
        return None
    return text.split(separator)


def _rows(reader: Any, least: int, before: int, file: str) -> list[list[str]]:
    """The rows of so many lines, and of those after them that the last row goes on in."""
    rows: list[list[str]] = []
    try:
        while reader.line_num < least:
            had = len(rows)
            rows.extend(islice(reader, least - reader.line_num))
            if len(rows) == had:
                break
    except csv.Error as error:
        line = before + 1 + sum(map(_height, rows))
        raise InvalidInput(f"{file}, line {line}: quotes that no row can be made of: {error}") from None
    return rows


def _height(row: list[str]) -> int:
    return 1 + sum(len(_LINE_END.findall(text)) for text in row if "\n" in text or "\r" in text)


def _lines(rows: list[list[str]], before: int) -> Array:
    """The lines that rows begin in."""
    heights = np.array([_height(row) for row in rows])
    lines: Array = before + 1 + np.cumsum(heights) - heights
    return lines


def _resolve_fold(
    rows: list[list[str]], numbers: Array, width: int, separator: str
) -> tuple[list[tuple[int, str]], list[int]]:
    """The lines with too few or too many fields, and the positions of the other rows; blank ones are neither."""
    unreadable, whole = [], []
    for position, row in enumerate(rows):
        if not any(row) or (len(row) == 1 and not row[0].strip()):
            continue
        if len(row) == width:
            whole.append(position)
        else:
            fields = f"{len(row)} field{'s' * (len(row) > 1)}"
            said = f"{fields} where the header has {width}: {separator.join(row)!r}"
            unreadable.append((int(numbers[position]), said))
    return unreadable, whole


def _position(raw: io.BufferedReader) -> int:
    try:
        return raw.raw.tell()
    except OSError:  # of a pipe
        return 0


def _of_parquet(file: str, layout: Layout) -> Iterator[Batch]:
    if file == STANDARD_INPUT:
        raise InvalidInput("standard input takes CSV only: a Parquet file cannot be read from its beginning to its end")
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra brings it
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ModuleNotFoundError:
        raise PvsiteSqlError(f'{file} is read with pyarrow: pip install "pvsite_sql[load]"') from None
    size = Path(file).stat().st_size
    try:
        with pq.ParquetFile(file, buffer_size=_PARQUET_BUFFER) as parquet:
            header = list(parquet.schema_arrow.names)
            columns = layout.chosen(header, file)
            first, total = 1, max(1, parquet.metadata.num_rows)
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(dict.fromkeys(columns.values()))):
                cells = {key: _cells(batch.column(name), name, file) for key, name in columns.items()}
                numbers = np.arange(first, first + len(batch))
                first += len(batch)
                yield Batch(columns, cells, numbers, "row", size * (first - 1) // total)
    except (pa.ArrowException, OSError) as error:
        raise PvsiteSqlError(f"{file} cannot be read: {error}") from error


def _cells(column: Any, name: str, file: str) -> Cells:
    """Text as text, binary uuids as text, everything else as pandas has it."""
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
        raise InvalidInput(f"{file}: the column {name!r} is of type {kind}, which is no text, time or number")
    series: pd.Series[Any] = column.to_pandas()
    return series
