"""Columns of pandas frames, checked and brought into arrays in PostgreSQL's terms, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InvalidInput, PvsiteSqlError
from .binary_copy import Type, decode, encode_rows
from .inputs import as_utc, as_uuid

__all__ = [
    "LAST_US",
    "SHOWN",
    "UNIX_TO_2000_US",
    "Array",
    "cells_of",
    "column_of",
    "datetime_of",
    "each_unique",
    "frame_of",
    "powers",
    "reading",
    "refuse",
    "times",
    "uuid_objects",
    "uuid_of",
    "uuids",
]

Array = npt.NDArray[Any]
_Value = TypeVar("_Value")

UNIX_TO_2000_US = 946_684_800_000_000
LAST_US = 4_102_444_800_000_000  # 2100-01-01, since 1970
SHOWN = 5  # rows named in an error
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EXACT_INTEGER = 2**53
_NO_VALUE_IN_PYTHON = (OverflowError, ValueError)  # of Arrow's dates, times and durations beyond those of datetime
_UTC = "datetime64[us, UTC]"


@contextmanager
def reading(column: str) -> Iterator[None]:
    """Refuse a column that cannot be read: pandas, Arrow, and cells themselves, raise whatever there is.

    Raises:
        InvalidInput: says what was raised.
    """
    try:
        yield
    except (PvsiteSqlError, MemoryError):
        raise
    except Exception as error:
        raise InvalidInput(f"cells that cannot be read ({type(error).__name__}: {error})", column=column) from error


def column_of(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """The one column of that name."""
    if frame.columns.nlevels > 1:
        raise InvalidInput("the frame's columns have more than one level", column=name)
    found = sum(isinstance(label, str) and label == name for label in frame.columns)
    if found != 1:
        raise InvalidInput("the column is missing" if not found else f"{found} columns have this name", column=name)
    series: pd.Series[Any] = frame[name]
    return pd.Series(np.asarray(series.array)) if isinstance(series.dtype, pd.SparseDtype) else series


def cells_of(series: pd.Series[Any], column: str) -> list[Any]:
    """The cells as Python's values."""
    try:
        return series.tolist()
    except _NO_VALUE_IN_PYTHON:
        refuse(np.array([not _has_value(series, row) for row in range(len(series))]), column, "out of Python's range")
        raise


def _has_value(series: pd.Series[Any], row: int) -> bool:
    try:
        series.array[row]
    except _NO_VALUE_IN_PYTHON:
        return False
    return True


def refuse(bad: Array, column: str, reason: str) -> None:
    """Refuse the rows for which `bad` is true, naming the first of them.

    Raises:
        InvalidInput: there is such a row.
    """
    if bad.any():
        rows = np.flatnonzero(bad)
        raise InvalidInput(reason, column=column, rows=rows[:SHOWN].tolist(), count=len(rows), all_rows=rows.tolist())


def each_unique(
    series: pd.Series[Any], column: str, convert: Callable[[Any, str], _Value]
) -> tuple[npt.NDArray[np.intp], list[_Value]]:
    """Convert each distinct value once: for each row the position of its value, and the values."""
    try:
        try:
            codes, uniques = pd.factorize(series)
            distinct = list(uniques)
        except (NotImplementedError, *_NO_VALUE_IN_PYTHON):  # the first: of Arrow types without a dictionary
            codes, uniques = pd.factorize(pd.Series(cells_of(series, column), dtype=object))
            distinct = list(uniques)
    except TypeError as error:
        raise InvalidInput(f"cells that are no single value: {error}", column=column) from None
    refuse(codes < 0, column, "no value")
    values: list[_Value] = []
    reasons: dict[int, str] = {}
    for position, unique in enumerate(distinct):
        try:
            values.append(convert(unique, column))
        except InvalidInput as error:
            reasons[position] = error.reason
    if reasons:
        bad = np.isin(codes, list(reasons))
        refuse(bad, column, reasons[int(codes[bad.argmax()])])
    return codes, values


def uuids(series: pd.Series[Any], column: str) -> tuple[Array, Array]:
    """The distinct uuids in PostgreSQL's order, and for each row the position of its own among them."""
    codes, values = each_unique(series, column, as_uuid)
    distinct, ranks = np.unique(np.array([value.bytes for value in values], "S16"), return_inverse=True)
    return distinct, ranks[codes]


def times(series: pd.Series[Any], column: str, *, last: int) -> Array:
    """Microseconds since 2000-01-01 UTC, for times from 1970 up to `last` (microseconds since 1970)."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if pd.api.types.is_datetime64_any_dtype(series.dtype) and not _is_date(series.dtype):
        if getattr(series.dt, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        stamps = series.to_numpy() if series.dtype.kind == "M" else series.to_numpy(dtype="M8[ns]")
        if stamps.dtype.kind != "M":
            stamps = stamps.astype("M8[us]")
        refuse(np.isnat(stamps), column, "no time")
        per_second = _PER_SECOND[np.datetime_data(stamps.dtype)[0]]
        since_1970 = stamps.view("i8")
    elif series.dtype == object or not len(series):
        codes, moments = each_unique(pd.Series([_resolve_fold(cell) for cell in series], dtype=object), column, _as_utc)
        stamps = np.array([time.replace(tzinfo=None) for time in moments], "M8[us]")[codes]
        per_second, since_1970 = _PER_SECOND["us"], stamps.view("i8")
    else:
        raise InvalidInput(f"times are wanted, not {series.dtype}", column=column)
    second = _PER_SECOND["us"]
    refuse((since_1970 < 0) | (since_1970 > last * per_second // second), column, "a time outside of 1970 to 2100")
    if per_second > second:
        refuse(since_1970 % (per_second // second) != 0, column, "a time with a fraction of a microsecond")
        return since_1970 // (per_second // second) - UNIX_TO_2000_US
    return since_1970 * (second // per_second) - UNIX_TO_2000_US


def _is_date(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and dtype.type is date  # for pandas these are times too


def _resolve_fold(cell: Any) -> Any:
    """Of an hour that a clock shows twice, the second: Python takes it for equal to the first one."""
    if not (isinstance(cell, datetime) and cell.fold):
        return cell
    try:
        return as_utc(cell, "")
    except InvalidInput:  # the place that reads it says so
        return cell


def _as_utc(value: Any, column: str) -> datetime:
    if isinstance(value, np.datetime64):
        try:
            value = pd.Timestamp(value)
        except (ValueError, OverflowError):
            raise InvalidInput(f"a time outside of the calendar: {value}", column=column) from None
    return as_utc(value, column)


def powers(series: pd.Series[Any], column: str) -> Array:
    """Finite numbers as float64, refused where that cannot hold them."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    kinds: Sequence[str] = ("integer", "floating", "mixed-integer-float", "decimal", "empty")
    if (kind := pd.api.types.infer_dtype(series, skipna=True)) not in kinds:
        raise InvalidInput(f"numbers are wanted, not {kind} ({series.dtype})", column=column)
    if series.dtype == object:
        beyond = np.array([not _is_double(cell) for cell in series])
        refuse(beyond, column, "a number that double precision cannot hold")
    with np.errstate(over="ignore"):  # of a long double, refused below
        values: Array = series.to_numpy(dtype="f8", na_value=np.nan)
    refuse(np.isnan(values), column, "no value (NaN or NULL)")
    refuse(np.isinf(values), column, "not a finite number")
    if kind in ("integer", "mixed-integer-float"):
        large = np.abs(values) >= _EXACT_INTEGER
        if kind != "integer" and large.any():  # a float so large is what it is
            large &= np.array([isinstance(cell, (int, np.integer)) for cell in series])
        refuse(large, column, "an integer too large for double precision")
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
    """The frame of a decoded binary COPY, in the stream's order, made block by block while the next ones arrive.

    uuids become an object column of UUIDs, times `datetime64[us, UTC]`, numbers what they are; NULLs are left out.
    """
    names = [name for name, type_ in types.items() if type_ != "null"]
    parts = [[_converted(types[name], block[name]) for name in names] for block in blocks]
    if not parts:
        none = decode(types, encode_rows([]))
        parts = [[_converted(types[name], none[name]) for name in names]]
    columns: dict[str, Any] = {}
    for name, arrays in zip(names, zip(*parts, strict=True), strict=True):
        column = np.concatenate(arrays)
        columns[name] = pd.DatetimeIndex(column, dtype=_UTC) if types[name] == "timestamptz" else column  # no copy
    return pd.DataFrame(columns, copy=False)


def _converted(type_: Type, values: Array) -> Array:
    if type_ == "uuid":
        return uuid_objects(values)
    if type_ == "timestamptz":
        return (values.astype("=i8") + UNIX_TO_2000_US).view("M8[us]")
    converted: Array = values.astype(values.dtype.newbyteorder("="))
    return converted


def uuid_of(value: bytes) -> UUID:
    """The UUID of 16 bytes as numpy gives them back."""
    return UUID(bytes=value.ljust(16, b"\0"))  # numpy drops trailing zeros of byte strings


def uuid_objects(values: Array) -> Array:
    """UUIDs, one object for neighbouring rows of one value."""
    if not len(values):
        return np.empty(0, object)
    first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    uniques, codes = np.unique(values[first], return_inverse=True)
    objects = np.array([uuid_of(value) for value in uniques.tolist()], object)
    return np.repeat(objects[codes], np.diff(np.r_[first, len(values)]))


def datetime_of(since_2000_us: np.int64) -> datetime:
    """The aware time, in UTC, of microseconds since 2000-01-01 UTC."""
    return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(since_2000_us))
