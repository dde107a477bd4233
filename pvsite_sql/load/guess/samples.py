"""Reads the first rows of a file of any format as texts."""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from typing import Any
from zipfile import BadZipFile

import pandas as pd

from ...errors import InvalidInput, PvsiteSqlError
from ..archives import is_zip
from ..batch import Batch
from ..excel_files import first_rows, refuse_old_excel, sheet_titles
from ..files import batches
from ..json_files import is_json
from ..layout import Layout
from ..sniff import encoding_by_mark, find_encoding
from ..source import sources
from .tables import Table, find_table, find_table_in_rows

__all__ = ["SAMPLE_ROWS", "Sample", "read_sample"]

SAMPLE_ROWS = 1000
_MAX_PREAMBLE = 100
_MAX_BYTES = 1 << 20
_PARQUET = b"PAR1"


@dataclass(frozen=True)
class Sample:
    """The first rows of a file.

    Attributes:
        table: the rows.
        options: keywords of `Layout` that describe how the rows are written, except the columns.
        whole: whether the file has no other rows.
        doubts: what is not certain.
    """

    table: Table
    options: dict[str, Any]
    whole: bool
    doubts: list[str] = field(default_factory=list)


def read_sample(file: str, known: Mapping[str, Any]) -> Sample:
    """Return the first rows of a file.

    Args:
        file: the path.
        known: keywords of `Layout` that are not to be found.

    Raises:
        InvalidInput: the file has no rows with a time and a number.
        PvsiteSqlError: the file cannot be read.
    """
    try:
        with closing(sources(file)) as opened:
            source = next(opened)
            head = source.stream.peek(4)[:4]
            refuse_old_excel(head, source.name)
            if is_zip(head):
                return _of_workbook(source.require_path("an Excel file"), known)
            if head != _PARQUET and not is_json(source):
                return _of_text(source.name, source.stream.read(_MAX_BYTES + 1), known)
    except (OSError, EOFError, zlib.error, BadZipFile) as error:
        raise PvsiteSqlError(f"{file} cannot be read: {error}") from error
    return _of_columns(file, known)


def _of_text(name: str, data: bytes, known: Mapping[str, Any]) -> Sample:
    options: dict[str, Any] = {}
    doubts = []
    encoding = encoding_by_mark(data[:4]) or known.get("encoding")
    if encoding is None:
        encoding = find_encoding(data)
        if encoding != "utf-8":
            options["encoding"] = encoding
            doubts.append(f"the text is not UTF-8: {encoding} is taken, say --encoding if names are not right")
    text = data.decode(encoding, "replace")
    if "\0" in text:
        raise InvalidInput(f"{name} is not a text file")
    lines = list(islice(io.StringIO(text, newline=""), SAMPLE_ROWS + _MAX_PREAMBLE))
    whole = len(data) <= _MAX_BYTES and sum(map(len, lines)) == len(text)
    if not whole:
        del lines[-1]  # it may not be complete
    if not "".join(lines).strip():
        raise InvalidInput(f"{name} is empty")
    skipped = known.get("skip_lines", 0)
    table = find_table(lines[skipped:], whole=whole, separator=known.get("separator"))
    if table is None:
        raise InvalidInput(
            f"{name}: none of the first {len(lines):,} lines has a time and a number; if it has readings, say "
            "--separator, --time-column and --time-format"
        )
    options |= table.options
    return Sample(table, options, whole, doubts)


def _of_workbook(path: str, known: Mapping[str, Any]) -> Sample:
    """Return the first rows of the first sheet that has readings."""
    titles = [known["sheet"]] if "sheet" in known else sheet_titles(path)
    for title in titles:
        rows = first_rows(path, Layout(sheet=title), SAMPLE_ROWS + _MAX_PREAMBLE)
        whole = len(rows) < SAMPLE_ROWS + _MAX_PREAMBLE
        table = find_table_in_rows([row for row in rows if row[0] >= known.get("skip_lines", 0)], whole=whole)
        if table is not None:
            return Sample(table, table.options | ({} if title == titles[0] else {"sheet": title}), whole)
    raise InvalidInput(f"{path}: no row at the beginning of {_listed(titles)} has a time and a number")


def _listed(titles: Sequence[str]) -> str:
    return f"the sheet{'s' * (len(titles) > 1)} {', '.join(map(repr, titles))}"


class _AllColumns(Layout):
    """A layout that reads all columns."""

    def select_columns(self, header: Sequence[str], file: str) -> dict[str, int]:  # noqa: ARG002
        return {str(position): position for position in range(len(header))}


def _of_columns(file: str, known: Mapping[str, Any]) -> Sample:
    given = {name: known[name] for name in ("records",) if name in known}
    batch = next(batches(file, _AllColumns(**given)), None)
    if batch is None or not len(batch.numbers):
        raise InvalidInput(f"{file} has no rows")
    rows = list(zip(*(_texts(batch, key) for key in batch.columns), strict=True))
    return Sample(Table(tuple(batch.columns.values()), (), rows), {}, len(batch.numbers) <= SAMPLE_ROWS)


def _texts(batch: Batch, key: str) -> list[str]:
    cells = batch.cells[key][:SAMPLE_ROWS]
    if not isinstance(cells, pd.Series):
        return [cell.strip() for cell in cells]
    return ["" if pd.isna(cell) else str(cell) for cell in cells]
