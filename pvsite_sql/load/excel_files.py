"""Reads sheets of Excel workbooks (.xlsx) in batches of typed cells."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from itertools import chain, islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

import numpy as np

from ..engine.arrays import Array
from ..errors import InvalidInput, PvsiteSqlError
from .batch import Batch, Cells
from .headers import column_names, numbered_names, refuse_reading
from .layout import Layout, MissingColumn
from .units import check_units_below
from .values import as_cells, as_text

__all__ = ["excel_batches", "first_rows", "refuse_old_excel", "sheet_titles"]

_BATCH_ROWS = 50_000
_ROWS_AT_ONCE = 1000
_MAX_ROWS_BEFORE_HEADER = 100
_MIDNIGHT = time()
_DAY_AND_MONTH = re.compile(r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b")

_Row = tuple[int, list[Any]]  # its number, from 1, and its values
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_UNREADABLE = (BadZipFile, ParseError, KeyError, ValueError, TypeError, AttributeError, IndexError)  # of openpyxl


def refuse_old_excel(head: bytes, name: str) -> None:
    """Raise `InvalidInput` for the first bytes of an .xls file, or of a workbook that has a password."""
    if head.startswith(_OLD_EXCEL):
        raise InvalidInput(f"{name} is an .xls file, or has a password: save it in Excel as .xlsx, without a password")


def excel_batches(path: str, layout: Layout) -> Iterator[Batch]:
    """Yield the rows of a sheet.

    Raises:
        InvalidInput: there is no such sheet, or a column is missing.
        PvsiteSqlError: the file cannot be read, or openpyxl is not installed.
    """
    size = Path(path).stat().st_size
    with _opened(path, layout) as (sheet, others):
        total = max(1, sheet.max_row or 1)
        sheet.reset_dimensions()  # some programs write wrong ones
        rows, names, positions = _header(_rows(sheet, path), layout, path, others)
        columns = column_names(names, positions)
        times = [key for key in columns if key.startswith("start_utc")]
        while batch := list(islice(rows, _BATCH_ROWS)):
            numbers = np.array([number for number, _ in batch])
            cells: dict[str, Cells] = {}
            for key, at in positions.items():
                values = [row[at] if at < len(row) else None for _, row in batch]
                if key in times or key == "end_utc":
                    _refuse_swapped_dates(values, numbers, f"{path}, {columns[key]}")
                cells[key] = _cells(values, layout, is_date=key in times and len(times) > 1)
            read = size * min(total, batch[-1][0]) // total
            yield Batch(columns, cells, numbers, "row", read, positions=positions)


def sheet_titles(path: str) -> list[str]:
    """Return the titles of the sheets that are visible, or of all if none is."""
    with _workbook(path) as workbook:
        return [sheet.title for sheet in _visible(workbook)]


def first_rows(path: str, layout: Layout, count: int) -> list[tuple[int, list[str]]]:
    """Return the first rows of a sheet that are not blank, as texts, each with the number of rows before it."""
    with _opened(path, layout) as (sheet, _):
        sheet.reset_dimensions()
        rows = list(islice(_rows(sheet, path), count))
    width = max((len(values) for _, values in rows), default=0)
    return [
        (number - 1, [as_text(value).strip() for value in values] + [""] * (width - len(values)))
        for number, values in rows
    ]


@contextmanager
def _opened(path: str, layout: Layout) -> Iterator[tuple[Any, str]]:
    """Open the sheet to read, with a hint that names the other ones."""
    with _workbook(path) as workbook:
        visible, sheets = _visible(workbook), {sheet.title: sheet for sheet in workbook.worksheets}
        if not visible:
            raise InvalidInput(f"{path} has no sheets with cells")
        listed = ", ".join(map(repr, sheets))
        if layout.sheet is None:
            title = visible[0].title
            yield visible[0], f" (sheet {title!r} of {listed}; choose one with --sheet)" * (len(sheets) > 1)
        elif layout.sheet in sheets:
            yield sheets[layout.sheet], ""
        else:
            raise InvalidInput(f"{path} has no sheet {layout.sheet!r}; its sheets are {listed}")


def _visible(workbook: Any) -> list[Any]:
    sheets = workbook.worksheets
    return [sheet for sheet in sheets if sheet.sheet_state == "visible"] or list(sheets)


@contextmanager
def _workbook(path: str) -> Iterator[Any]:
    try:
        import openpyxl  # noqa: PLC0415  an extra; quicker libraries read #DIV/0! as an empty cell
    except ModuleNotFoundError:
        raise PvsiteSqlError(f'{path}: Excel files require openpyxl: pip install "pvsite_sql[excel]"') from None
    with Path(path).open("rb") as file:
        with _errors_of_openpyxl(path):
            workbook = openpyxl.load_workbook(file, read_only=True, data_only=True)
        try:
            yield workbook
        finally:
            workbook.close()


def _rows(sheet: Any, file: str) -> Iterator[_Row]:
    """Yield the rows that are not blank, each with its number, from 1."""
    rows, number = sheet.iter_rows(), 0
    while True:
        with _errors_of_openpyxl(file):
            part = list(islice(rows, _ROWS_AT_ONCE))
        if not part:
            return
        for cells in part:
            number += 1
            values = [_value(cell) for cell in cells]
            if any(value is not None and value != "" for value in values):
                yield number, values


def _value(cell: Any) -> Any:
    """Return the value of a cell: a date where it is a date, and its format shows no hours."""
    value = cell.value
    if type(value) is datetime and value.time() == _MIDNIGHT and "h" not in cell.number_format.lower():
        return value.date()
    return value


def _header(
    rows: Iterator[_Row], layout: Layout, file: str, hint: str
) -> tuple[Iterator[_Row], list[str], dict[str, int]]:
    """Return the rows of readings, the names of all columns, and the positions of those to read."""
    rows = (row for row in rows if row[0] > layout.skip_lines)
    if not layout.header:
        first = list(islice(rows, 1))
        names = numbered_names(first[0][1] if first else [])
        return chain(first, rows), names, layout.select_columns(names, file)
    missing: MissingColumn | None = None
    for count, (number, values) in enumerate(rows, 1):
        names = [as_text(value).strip() for value in values]
        try:
            positions = layout.select_columns(names, file)
        except MissingColumn as error:
            missing = missing or error
            if layout.skip_lines or count == _MAX_ROWS_BEFORE_HEADER:
                break
        else:
            refuse_reading(names, positions, f"{file}, row {number}")
            for _, below in islice(rows, layout.skip_after_header):
                check_units_below(names, [as_text(value) for value in below], positions, layout, file)
            return rows, names, positions
    if missing is None:
        raise InvalidInput(f"{file} is empty: a header row is required{hint}")
    raise InvalidInput(f"{missing.reason}{hint}")


def _refuse_swapped_dates(values: Sequence[Any], numbers: Array, place: str) -> None:
    """Raise `InvalidInput` where Excel took a part of the dates of a CSV file for dates, and left the others as texts.

    It reads 06/12/2024 as the 12th of June where its settings say so, and 13/12/2024 as a text.
    """
    texts = (n for n, value in enumerate(values) if isinstance(value, str) and _DAY_AND_MONTH.match(value))
    first = next(texts, None)
    if first is not None and any(isinstance(value, date) for value in values):
        raise InvalidInput(
            f"{place}: row {numbers[first]} has the text {values[first]!r}, and other rows have Excel dates: Excel may "
            "have swapped their day and month; load the file that the sheet was made from, or correct the dates"
        )


def _cells(values: Sequence[Any], layout: Layout, *, is_date: bool) -> Cells:
    """Return the cells of a column; `is_date` if another column has the time of day."""
    if is_date and all(value is None or (type(value) is datetime and value.time() == _MIDNIGHT) for value in values):
        values = [None if value is None else value.date() for value in values]
    return as_cells(values, layout.decimal)


@contextmanager
def _errors_of_openpyxl(file: str) -> Iterator[None]:
    """Raise its errors as the package's, and leave its warnings of unsupported features out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except _UNREADABLE as error:
            raise PvsiteSqlError(f"{file} cannot be read: {error}") from error
