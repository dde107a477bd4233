"""Pandas frames of readings, checked and brought into arrays for COPY, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pandas as pd

from .copy import Type
from .errors import Duplicate, InvalidInput
from .inputs import as_utc, as_uuid

__all__ = ["GENERATION", "READINGS", "Readings", "generation_frame", "readings"]

READINGS: dict[str, Type] = {
    "site_uuid": "uuid",
    "start_utc": "timestamptz",
    "end_utc": "timestamptz",
    "generation_power_kw": "double precision",
}
GENERATION: dict[str, Type] = {**READINGS, "created_utc": "timestamptz"}

Array = npt.NDArray[Any]
_Value = TypeVar("_Value")

_UNIX_TO_2000_US = 946_684_800_000_000
_LAST_US = 4_102_444_800_000_000  # 2100-01-01, since 1970
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_SHOWN = 5
_EXACT_INTEGER = 2**53


@dataclass(frozen=True)
class Readings:
    """The readings of a frame, by site and start, each key once.

    Attributes:
        columns: the fields of READINGS as arrays of one length.
        given: how many rows the frame has, repeated keys included.
    """

    columns: dict[str, Array]
    given: int

    def __len__(self) -> int:
        return len(self.columns["site_uuid"])

    def months(self) -> list[date]:
        """The first days of the months (UTC) that readings start in, ascending."""
        since_1970 = (self.columns["start_utc"] + _UNIX_TO_2000_US).view("M8[us]")
        months: list[date] = np.unique(since_1970.astype("M8[M]")).astype("M8[D]").tolist()
        return months

    def window(self) -> tuple[datetime, datetime]:
        """The first and the last start."""
        starts = self.columns["start_utc"]
        return _datetime(starts.min()), _datetime(starts.max())

    def spans(self) -> tuple[list[UUID], list[datetime], list[datetime]]:
        """For each site its first and last start."""
        sites, starts = self.columns["site_uuid"], self.columns["start_utc"]
        first = np.flatnonzero(np.r_[True, sites[1:] != sites[:-1]])
        last = np.r_[first[1:], len(sites)] - 1
        return (
            [_uuid(site) for site in sites[first].tolist()],
            [_datetime(start) for start in starts[first]],
            [_datetime(start) for start in starts[last]],
        )


def readings(frame: pd.DataFrame, interval: timedelta, *, keep: str = "first", number: int | None = None) -> Readings:
    """Check a frame of readings; the frame itself is not changed.

    Args:
        frame: `site_uuid` (UUID or text), `start_utc`, `power_kw` or `generation_power_kw`, and optionally `end_utc`;
            other columns are passed over.
        interval: how long a reading lasts where the frame has no `end_utc`.
        keep: which row of a repeated key counts, `first` or `last`; `none`: repeated keys are refused.
        number: the frame's position in an iterable of frames, for the error.

    Raises:
        InvalidInput: names the column and the rows that cannot be stored.
        Duplicate: with `none`, names the rows whose key stands earlier in the frame.
    """
    try:
        if not isinstance(frame, pd.DataFrame):
            raise InvalidInput(f"a pandas DataFrame is wanted, not {type(frame).__name__}")
        return _readings(frame, interval, keep)
    except InvalidInput as error:
        if number is None:
            raise
        raise InvalidInput(
            error.reason, column=error.column, rows=error.rows, count=error.count, frame=number
        ) from None


def generation_frame(block: Array) -> pd.DataFrame:
    """The frame of a decoded binary COPY of the columns of `generation`, in the stream's order.

    `site_uuid` is an object column of UUIDs, times are `datetime64[us, UTC]`, power is float64.
    """
    columns: dict[str, Any] = {}
    for name, type_ in GENERATION.items():
        if type_ == "uuid":
            columns[name] = _uuid_objects(block[name])
        elif type_ == "timestamptz":
            since_1970 = (block[name].astype("=i8") + _UNIX_TO_2000_US).view("M8[us]")
            columns[name] = pd.DatetimeIndex(since_1970).tz_localize("UTC")
        else:
            columns[name] = block[name].astype("=f8")
    return pd.DataFrame(columns, copy=False)


def _readings(frame: pd.DataFrame, interval: timedelta, keep: str) -> Readings:
    if not len(frame):
        nothing = (np.empty(0, type_) for type_ in ("S16", "i8", "i8", "f8"))
        return Readings(dict(zip(READINGS, nothing, strict=True)), 0)
    power_names = [name for name in ("power_kw", "generation_power_kw") if name in frame.columns]
    if len(power_names) > 1:
        raise InvalidInput("both power_kw and generation_power_kw are given", column="power_kw")
    distinct, site = _uuids(_column(frame, "site_uuid"), "site_uuid")
    start = _times(_column(frame, "start_utc"), "start_utc", last=_LAST_US - 1)
    power_name = (power_names or ["power_kw"])[0]
    power = _powers(_column(frame, power_name), power_name)
    if "end_utc" in frame.columns:
        end = _times(_column(frame, "end_utc"), "end_utc", last=_LAST_US)
        _refuse(end <= start, "end_utc", "not after start_utc")
    else:
        end = start + min(interval // timedelta(microseconds=1), 2 * _LAST_US)
        _refuse(end > _LAST_US - _UNIX_TO_2000_US, "start_utc", "a reading that ends after 2100")
    chosen = _chosen(site, start, keep)
    columns = (distinct[site[chosen]], start[chosen], end[chosen], power[chosen])
    return Readings(dict(zip(READINGS, columns, strict=True)), len(frame))


def _chosen(site: Array, start: Array, keep: str) -> Array:
    """The positions of the rows that count, by site and start."""
    order: Array = np.lexsort((start, site))  # stable: rows of one key stay in the frame's order
    repeated = (np.diff(site[order]) == 0) & (np.diff(start[order]) == 0)
    if not repeated.any():
        return order
    if keep == "none":
        again = np.sort(order[1:][repeated])
        rows = InvalidInput("a second row of the same site and start", rows=again[:_SHOWN].tolist(), count=len(again))
        raise Duplicate(str(rows), constraint_name="generation_pkey")
    edge = np.ones(1, bool)
    return order[np.r_[edge, ~repeated] if keep == "first" else np.r_[~repeated, edge]]


def _column(frame: pd.DataFrame, name: str) -> pd.Series[Any]:
    if frame.columns.nlevels > 1:
        raise InvalidInput("the frame's columns have more than one level", column=name)
    found = int((frame.columns == name).sum())
    if found != 1:
        raise InvalidInput("the column is missing" if not found else f"{found} columns have this name", column=name)
    series: pd.Series[Any] = frame[name]
    return series


def _refuse(bad: Array, column: str, reason: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad)
        raise InvalidInput(reason, column=column, rows=rows[:_SHOWN].tolist(), count=len(rows))


def _each_unique(
    series: pd.Series[Any], column: str, convert: Callable[[Any, str], _Value]
) -> tuple[npt.NDArray[np.intp], list[_Value]]:
    """Convert each distinct value once: for each row the position of its value, and the values."""
    try:
        try:
            codes, uniques = pd.factorize(series)
        except NotImplementedError:  # Arrow types that have no dictionary, such as its uuid
            codes, uniques = pd.factorize(pd.Series(list(series), dtype=object))
    except TypeError as error:
        raise InvalidInput(f"cells that are no single value: {error}", column=column) from None
    _refuse(codes < 0, column, "no value")
    values: list[_Value] = []
    reasons: dict[int, str] = {}
    for position, unique in enumerate(uniques):
        try:
            values.append(convert(unique, column))
        except InvalidInput as error:
            reasons[position] = error.reason
    if reasons:
        bad = np.isin(codes, list(reasons))
        _refuse(bad, column, reasons[int(codes[bad.argmax()])])
    return codes, values


def _uuids(series: pd.Series[Any], column: str) -> tuple[Array, Array]:
    """The distinct uuids in PostgreSQL's order, and for each row the position of its own among them."""
    codes, values = _each_unique(series, column, as_uuid)
    distinct, ranks = np.unique(np.array([value.bytes for value in values], "S16"), return_inverse=True)
    return distinct, ranks[codes]


def _times(series: pd.Series[Any], column: str, *, last: int) -> Array:
    """Microseconds since 2000-01-01 UTC, for times from 1970 up to `last` (microseconds since 1970)."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    if pd.api.types.is_datetime64_any_dtype(series.dtype) and not _is_date(series.dtype):
        if getattr(series.dt, "tz", None) is not None:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        stamps = series.to_numpy() if series.dtype.kind == "M" else series.to_numpy(dtype="M8[ns]")
        if stamps.dtype.kind != "M":
            stamps = stamps.astype("M8[us]")
        _refuse(np.isnat(stamps), column, "no time")
        per_second = _PER_SECOND[np.datetime_data(stamps.dtype)[0]]
        since_1970 = stamps.view("i8")
    elif series.dtype == object or not len(series):
        codes, times = _each_unique(pd.Series([_told_apart(cell) for cell in series], dtype=object), column, _as_utc)
        stamps = np.array([time.replace(tzinfo=None) for time in times], "M8[us]")[codes]
        per_second, since_1970 = _PER_SECOND["us"], stamps.view("i8")
    else:
        raise InvalidInput(f"times are wanted, not {series.dtype}", column=column)
    second = _PER_SECOND["us"]
    _refuse((since_1970 < 0) | (since_1970 > last * per_second // second), column, "a time outside of 1970 to 2100")
    if per_second > second:
        _refuse(since_1970 % (per_second // second) != 0, column, "a time with a fraction of a microsecond")
        return since_1970 // (per_second // second) - _UNIX_TO_2000_US
    return since_1970 * (second // per_second) - _UNIX_TO_2000_US


def _is_date(dtype: Any) -> bool:
    return isinstance(dtype, pd.ArrowDtype) and dtype.type is date  # for pandas these are times too


def _told_apart(cell: Any) -> Any:
    """Of an hour that a clock shows twice, the second: Python takes it for equal to the first one."""
    return cell.astimezone(UTC) if isinstance(cell, datetime) and cell.fold and cell.tzinfo is not None else cell


def _as_utc(value: Any, column: str) -> datetime:
    if isinstance(value, np.datetime64):
        try:
            value = pd.Timestamp(value)
        except (ValueError, OverflowError):
            raise InvalidInput(f"a time outside of the calendar: {value}", column=column) from None
    return as_utc(value, column)


def _powers(series: pd.Series[Any], column: str) -> Array:
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    kinds: Sequence[str] = ("integer", "floating", "mixed-integer-float", "decimal", "empty")
    if (kind := pd.api.types.infer_dtype(series, skipna=True)) not in kinds:
        raise InvalidInput(f"numbers are wanted, not {kind} ({series.dtype})", column=column)
    if series.dtype == object:
        beyond = np.array([not _is_double(cell) for cell in series])
        _refuse(beyond, column, "a number that double precision cannot hold")
    values: Array = series.to_numpy(dtype="f8", na_value=np.nan)
    _refuse(np.isnan(values), column, "no value (NaN or NULL)")
    _refuse(np.isinf(values), column, "not a finite number")
    if kind == "integer":
        _refuse(np.abs(values) >= _EXACT_INTEGER, column, "an integer too large for double precision")
    return values


def _is_double(cell: Any) -> bool:
    try:
        float(cell)
    except TypeError:  # None and the like
        return True
    except (ValueError, OverflowError):  # a signaling NaN, an integer of 400 digits
        return False
    return True


def _uuid(value: bytes) -> UUID:
    return UUID(bytes=value.ljust(16, b"\0"))  # numpy drops trailing zeros of byte strings


def _uuid_objects(values: Array) -> Array:
    """UUIDs, one object for neighbouring rows of one value."""
    if not len(values):
        return np.empty(0, object)
    first = np.flatnonzero(np.r_[True, values[1:] != values[:-1]])
    uniques, codes = np.unique(values[first], return_inverse=True)
    objects = np.array([_uuid(value) for value in uniques.tolist()], object)
    return np.repeat(objects[codes], np.diff(np.r_[first, len(values)]))


def _datetime(since_2000_us: np.int64) -> datetime:
    return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(since_2000_us))
