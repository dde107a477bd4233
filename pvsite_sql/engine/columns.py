"""Convert columns of pandas frames to arrays of PostgreSQL's types, with checks, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InvalidInput
from .arrays import Array, uuid_objects
from .binary_copy import Type, decode, encode_rows
from .checks import (
    PER_SECOND,
    converted,
    plain_uuids,
    raise_for_count,
    raise_for_large_integers,
    raise_for_rows,
    raise_unless_finite,
    since_2000_us,
    sorted_uuids,
)
from .inputs import as_utc, as_uuid
from .timestamps import datetime64_of

__all__ = [
    "column_of",
    "convert_distinct",
    "distinct_uuids",
    "finite_floats",
    "frame_of",
    "python_values",
    "timestamps_us",
]

_Value = TypeVar("_Value")

_FEW_ROWS = 16_384
_OUT_OF_RANGE = (OverflowError, ValueError)  # raised for Arrow's dates, times and durations that datetime cannot hold
_UTC = "datetime64[us, UTC]"
_NUMBER = attrgetter("int")  # of a UUID


def column_of(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    """Return the column with this name.

    Raises:
        InvalidInput: no column has this name, or several have.
    """
    if frame.columns.nlevels > 1:
        raise InvalidInput("the frame must not have a MultiIndex as its columns", column=name)
    raise_for_count(sum(isinstance(label, str) and label == name for label in frame.columns), name)
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
    return codes, converted(codes, distinct, column, convert)


def distinct_uuids(series: pd.Series[Any], column: str) -> tuple[Array, Array]:
    """Return the distinct UUIDs in PostgreSQL's order, and for each row the position of its UUID among them."""
    if len(series) <= _FEW_ROWS and (series.dtype == object or isinstance(series.dtype, pd.StringDtype)):
        encoded = plain_uuids(series.tolist())
        if encoded is not None:
            return np.unique(encoded, return_inverse=True)
    if series.dtype == object and set(map(type, cells := series.tolist())) == {UUID}:
        places = _Places()
        # the numbers of UUIDs are hashed in half of the time of the UUIDs
        codes = np.fromiter(map(places.__getitem__, map(_NUMBER, cells)), np.intp, len(cells))
        return sorted_uuids(codes, np.array([number.to_bytes(16, "big") for number in places], "S16"))
    codes, values = convert_distinct(series, column, as_uuid)
    return sorted_uuids(codes, np.array([value.bytes for value in values], "S16"))


class _Places(dict[int, int]):
    """Places of numbers, in the order in which they are first asked for. Each number is hashed once."""

    def __missing__(self, number: int) -> int:
        place = self[number] = len(self)
        return place


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
        per_second = PER_SECOND[np.datetime_data(stamps.dtype)[0]]
        since_1970 = stamps.view("i8")
    elif series.dtype == object or not len(series):
        cells = pd.Series([_resolve_fold(cell) for cell in series], dtype=object)
        codes, times = convert_distinct(cells, column, _as_utc)
        stamps = np.array([time.replace(tzinfo=None) for time in times], "M8[us]")[codes]
        per_second, since_1970 = PER_SECOND["us"], stamps.view("i8")
    else:
        raise InvalidInput(f"must be datetimes, got dtype {series.dtype}", column=column)
    return since_2000_us(since_1970, per_second, column, last=last)


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
    raise_unless_finite(values, column)
    if kind == "integer":
        raise_for_large_integers(values, column)
    elif kind == "mixed-integer-float":
        raise_for_large_integers(
            values, column, lambda: np.array([isinstance(cell, (int, np.integer)) for cell in series])
        )
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
