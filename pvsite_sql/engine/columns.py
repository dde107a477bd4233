"""Convert columns of pandas frames to arrays of PostgreSQL's types, with checks, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InvalidInput, PvsiteSqlError
from .arrays import Array, uuid_objects
from .binary_copy import Type, decode, encode_rows
from .inputs import as_utc, as_uuid
from .signals import raised_by_handler
from .timestamps import UNIX_TO_2000_US, datetime64_of

__all__ = [
    "LAST_US",
    "ROWS_SHOWN",
    "column_of",
    "convert_distinct",
    "distinct_uuids",
    "errors_as_invalid_input",
    "finite_floats",
    "frame_of",
    "python_values",
    "raise_for_rows",
    "timestamps_us",
]

_Value = TypeVar("_Value")

LAST_US = 4_102_444_800_000_000  # from 1970-01-01 to 2100-01-01
ROWS_SHOWN = 5  # in an error message
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EXACT_INTEGER = 2**53
_FEW_ROWS = 16_384
_UUID_LENGTH, _UUID_DIGITS, _UUID_HYPHENS = 36, 32, [8, 13, 18, 23]
_OUT_OF_RANGE = (OverflowError, ValueError)  # raised for Arrow's dates, times and durations that datetime cannot hold
_UTC = "datetime64[us, UTC]"


@contextmanager
def errors_as_invalid_input(column: str) -> Iterator[None]:
    """Raise any error inside the block as `InvalidInput`: pandas, Arrow and the cells themselves can raise anything.

    Raises:
        InvalidInput: names the column and the original error.
    """
    try:
        yield
    except (PvsiteSqlError, MemoryError):
        raise
    except Exception as error:
        if raised_by_handler(error):
            raise
        raise InvalidInput(f"cannot be read ({type(error).__name__}: {error})", column=column) from error


def column_of(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return the column with this name.

    Raises:
        InvalidInput: no column has this name, or several have.
    """
    if frame.columns.nlevels > 1:
        raise InvalidInput("the frame must not have a MultiIndex as its columns", column=name)
    count = sum(isinstance(label, str) and label == name for label in frame.columns)
    if count != 1:
        raise InvalidInput(f"{count} columns have this name" if count else "the column is missing", column=name)
    series: pd.Series[Any] = frame[name]
    return pd.Series(np.asarray(series.array)) if isinstance(series.dtype, pd.SparseDtype) else series


def python_values(series: pd.Series[Any], column: str) -> list[Any]:
    """Return the cells as Python objects.

    Raises:
        InvalidInput: names the rows whose value Python cannot represent.
    """
    try:
        return series.tolist()
    except _OUT_OF_RANGE:
        bad = np.array([not _is_readable(series, row) for row in range(len(series))])
        raise_for_rows(bad, column, "must fit Python's datetime types")
        raise


def _is_readable(series: pd.Series[Any], row: int) -> bool:
    try:
        series.array[row]
    except _OUT_OF_RANGE:
        return False
    return True


def raise_for_rows(bad: Array, column: str, reason: str) -> None:
    """Raise an error that names the rows for which `bad` is true; do nothing if there are none.

    Raises:
        InvalidInput: `bad` is true for at least one row.
    """
    if bad.any():
        rows = np.flatnonzero(bad)
        raise InvalidInput(
            reason, column=column, rows=rows[:ROWS_SHOWN].tolist(), count=len(rows), all_rows=rows.tolist()
        )


def convert_distinct(
    series: pd.Series[Any], column: str, convert: Callable[[Any, str], _Value]
) -> tuple[npt.NDArray[np.intp], list[_Value]]:
    """Convert each distinct value of a column once.

    Returns:
        for each row the position of its value in the list, and the list of converted values.

    Raises:
        InvalidInput: cells are empty, or `convert` raises it; names the rows.
    """
    try:
        try:
            codes, uniques = pd.factorize(series)
            distinct = list(uniques)
        except (NotImplementedError, *_OUT_OF_RANGE):  # NotImplementedError: some Arrow types
            codes, uniques = pd.factorize(pd.Series(python_values(series, column), dtype=object))
            distinct = list(uniques)
    except TypeError as error:
        raise InvalidInput(f"cells must be single values: {error}", column=column) from None
    raise_for_rows(codes < 0, column, "no value")
    values: list[_Value] = []
    reasons: dict[int, str] = {}
    for position, unique in enumerate(distinct):
        try:
            values.append(convert(unique, column))
        except InvalidInput as error:
            reasons[position] = error.reason
    if reasons:
        bad = np.isin(codes, list(reasons))
        raise_for_rows(bad, column, reasons[int(codes[bad.argmax()])])
    return codes, values


def distinct_uuids(series: pd.Series[Any], column: str) -> tuple[Array, Array]:
    """Return the distinct UUIDs in PostgreSQL's order, and for each row the position of its UUID among them."""
    if len(series) <= _FEW_ROWS and (series.dtype == object or isinstance(series.dtype, pd.StringDtype)):
        encoded = _plain_uuids(series.tolist())
        if encoded is not None:
            return np.unique(encoded, return_inverse=True)
    codes, values = convert_distinct(series, column, as_uuid)
    distinct, ranks = np.unique(np.array([value.bytes for value in values], "S16"), return_inverse=True)
    return distinct, ranks[codes]


def _plain_uuids(cells: list[Any]) -> Array | None:
    """Convert cells that are all UUIDs, or all their texts in the usual form, without a look at each; None if not.

    The reading of each site makes a frame whose UUIDs are all distinct; to look each up takes longer than to sort them.
    """
    kinds = set(map(type, cells))
    if kinds == {UUID}:
        return np.frombuffer(b"".join([cell.bytes for cell in cells]), "S16")
    if kinds != {str} or set(map(len, cells)) != {_UUID_LENGTH}:
        return None
    text = "".join(cells)
    digits = text.replace("-", "")
    if len(digits) != _UUID_DIGITS * len(cells) or not text.isascii():
        return None
    characters = np.frombuffer(text.encode(), "S1").reshape(len(cells), _UUID_LENGTH)
    if (characters[:, _UUID_HYPHENS] != b"-").any():
        return None
    try:
        encoded = bytes.fromhex(digits)
    except ValueError:
        return None
    return np.frombuffer(encoded, "S16") if len(encoded) * 2 == len(digits) else None  # fromhex() skips blanks


def timestamps_us(series: pd.Series[Any], column: str, *, last: int) -> Array:
    """Convert a column of times to microseconds since 2000-01-01 UTC. Naive times are taken as UTC.

    Args:
        series: the column.
        column: its name, for errors.
        last: the latest time allowed, in microseconds since 1970-01-01 UTC. The earliest is 1970-01-01.

    Raises:
        InvalidInput: a cell is empty, is not a time, is out of range or has a fraction of a microsecond.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if pd.api.types.is_datetime64_any_dtype(series.dtype) and not _is_date(series.dtype):
        if getattr(series.dt, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        stamps = series.to_numpy() if series.dtype.kind == "M" else series.to_numpy(dtype="M8[ns]")
        if stamps.dtype.kind != "M":
            stamps = stamps.astype("M8[us]")
        raise_for_rows(np.isnat(stamps), column, "no value")
        per_second = _PER_SECOND[np.datetime_data(stamps.dtype)[0]]
        since_1970 = stamps.view("i8")
    elif series.dtype == object or not len(series):
        cells = pd.Series([_resolve_fold(cell) for cell in series], dtype=object)
        codes, times = convert_distinct(cells, column, _as_utc)
        stamps = np.array([time.replace(tzinfo=None) for time in times], "M8[us]")[codes]
        per_second, since_1970 = _PER_SECOND["us"], stamps.view("i8")
    else:
        raise InvalidInput(f"must be datetimes, got dtype {series.dtype}", column=column)
    second = _PER_SECOND["us"]
    raise_for_rows(
        (since_1970 < 0) | (since_1970 > last * per_second // second),
        column,
        "must be between 1970-01-01 and 2100-01-01 UTC",
    )
    if per_second > second:
        raise_for_rows(since_1970 % (per_second // second) != 0, column, "must not have a fraction of a microsecond")
        return since_1970 // (per_second // second) - UNIX_TO_2000_US
    return since_1970 * (second // per_second) - UNIX_TO_2000_US


def _is_date(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and dtype.type is date  # pandas treats dates as times


def _resolve_fold(cell: Any) -> Any:
    """Convert times with fold=1 to UTC: Python compares them equal to the same time with fold=0."""
    if not (isinstance(cell, datetime) and cell.fold):
        return cell
    try:
        return as_utc(cell, "")
    except InvalidInput:  # raised again for the whole column, with the rows
        return cell


def _as_utc(value: Any, column: str) -> datetime:
    if isinstance(value, np.datetime64):
        try:
            value = pd.Timestamp(value)
        except (ValueError, OverflowError):
            raise InvalidInput(f"must be within the years 1 to 9999 (UTC), got {value}", column=column) from None
    return as_utc(value, column)


def finite_floats(series: pd.Series[Any], column: str) -> Array:
    """Convert a column of numbers to float64.

    Raises:
        InvalidInput: a cell is empty, is not a number, is not finite or cannot be stored exactly enough.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    kinds: Sequence[str] = ("integer", "floating", "mixed-integer-float", "decimal", "empty")
    if (kind := pd.api.types.infer_dtype(series, skipna=True)) not in kinds:
        raise InvalidInput(f"must be numbers, got {kind} (dtype {series.dtype})", column=column)
    if series.dtype == object:
        bad = np.array([not _is_double(cell) for cell in series])
        raise_for_rows(bad, column, "must be a number that fits double precision")
    with np.errstate(over="ignore"):  # a long double becomes inf
        values: Array = series.to_numpy(dtype="f8", na_value=np.nan)
    raise_for_rows(np.isnan(values), column, "no value (NaN or NULL)")
    raise_for_rows(np.isinf(values), column, "must be finite")
    if kind in ("integer", "mixed-integer-float"):
        large = np.abs(values) >= _EXACT_INTEGER
        if kind != "integer" and large.any():  # floats this large are exact
            large &= np.array([isinstance(cell, (int, np.integer)) for cell in series])
        raise_for_rows(large, column, "integers must be smaller than 2**53 to be stored exactly")
    return values


def _is_double(cell: Any) -> bool:
    try:
        float(cell)
    except TypeError:  # None and the like
        return True
    except (ValueError, OverflowError):  # a signaling NaN, an integer of 400 digits
        return False
    return True


def frame_of(types: Mapping[str, Type], blocks: Iterable[Array]) -> pd.DataFrame:
    """Make a frame of the blocks of a decoded binary COPY, in the order of the stream.

    Blocks are converted as they arrive. UUIDs become an object column of `UUID`, times `datetime64[us, UTC]`; numbers
    keep their type. Columns of type `null` are left out.
    """
    names = [name for name, type_ in types.items() if type_ != "null"]
    parts = [[_converted(types[name], block[name]) for name in names] for block in blocks]
    if not parts:
        empty = decode(types, encode_rows([]))
        parts = [[_converted(types[name], empty[name]) for name in names]]
    columns: dict[str, Any] = {}
    for name, arrays in zip(names, zip(*parts, strict=True), strict=True):
        column = np.concatenate(arrays)
        columns[name] = pd.DatetimeIndex(column, dtype=_UTC) if types[name] == "timestamptz" else column  # no copy
    return pd.DataFrame(columns, copy=False)


def _converted(type_: Type, values: Array) -> Array:
    if type_ == "uuid":
        return uuid_objects(values)
    if type_ == "timestamptz":
        return datetime64_of(values)
    converted: Array = values.astype(values.dtype.newbyteorder("="))
    return converted
