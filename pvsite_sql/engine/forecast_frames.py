"""Check pandas frames of forecast values and group them into forecasts for COPY."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import InvalidOperation
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pandas as pd

from ..errors import InvalidInput
from .arrays import Array, uuid_of
from .columns import (
    LAST_US,
    column_of,
    convert_distinct,
    errors_as_invalid_input,
    finite_floats,
    python_values,
    raise_for_rows,
    timestamps_us,
)
from .inputs import as_name, as_text, as_utc, as_uuid
from .timestamps import datetime_of

__all__ = ["NewForecast", "parse_forecasts"]

_Value = TypeVar("_Value")

_MINUTE_US = 60_000_000
_LONGEST_SLOT_MINUTES = 1440
_MOST_SLOTS = 100_000
_LEVEL = re.compile(r"p(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class NewForecast:
    """A forecast to be stored. Times are in microseconds since 2000-01-01 UTC; NaN marks a slot without a value."""

    site: bytes
    timestamp_us: int
    model: tuple[str, str] | None
    version: str
    created_us: int | None
    start_us: int
    resolution_minutes: int
    power_kw: npt.NDArray[np.float32]
    levels: list[str]
    level_kw: npt.NDArray[np.float32] | None

    @property
    def site_uuid(self) -> UUID:
        """The UUID of the site."""
        return uuid_of(self.site)

    @property
    def timestamp_utc(self) -> datetime:
        """The time that the forecast was made for."""
        return datetime_of(self.timestamp_us)

    @property
    def month(self) -> date:
        """The first day of the month (UTC) of `timestamp_utc`."""
        return self.timestamp_utc.date().replace(day=1)


def parse_forecasts(frame: pd.DataFrame, constants: Mapping[str, Any]) -> list[NewForecast]:
    """Check a frame of forecast values and group it into forecasts, by site and timestamp, without changing it.

    Args:
        frame: see `Forecasts.insert`.
        constants: columns that have the same value in all rows; None for columns that are not given.

    Raises:
        InvalidInput: names the column, the rows, and the site and start of the first row.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InvalidInput(f"must be a pandas DataFrame, got {type(frame).__name__}")
    if not len(frame):
        return []
    return list(_Table(frame, constants).forecasts())


class _Table:
    """The columns of a frame as arrays. First each column is checked, then the rows of each forecast."""

    def __init__(self, frame: pd.DataFrame, constants: Mapping[str, Any]) -> None:
        self._frame = frame
        self._constants = {name: value for name, value in constants.items() if value is not None}
        for name in self._constants:
            if name in frame.columns:
                raise InvalidInput("must not be both a column of the frame and an argument", column=name)
        if "model_version" in self._names() and "model_name" not in self._names():
            raise InvalidInput("requires a model_name", column="model_version")
        self.sites = self._codes("site_uuid", as_uuid)
        self.timestamp = self._times("timestamp_utc")
        self.start = self._times("start_utc")
        self.end = self._times("end_utc", last=LAST_US)
        with errors_as_invalid_input("forecast_power_kw"):
            self.power = self._read_column(_float32s, column_of(frame, "forecast_power_kw"), "forecast_power_kw")
        self.model = self._strings("model_name", convert=as_name)
        self.model_version = self._strings("model_version", absent="")
        self.version = self._strings("forecast_version", absent="")
        self._check_models()
        self.created = self._times("created_utc") if "created_utc" in self._names() else None
        with errors_as_invalid_input("probabilistic_values"):
            self.levels = self._levels()
        with errors_as_invalid_input("horizon_minutes"):
            self._check_horizons()

    def forecasts(self) -> Iterator[NewForecast]:
        key = (self.version[0], self.model_version[0], self.model[0], self.timestamp, self.sites[0])
        order = np.lexsort((self.start, *key))
        changes = np.zeros(len(order) - 1, bool)
        for part in key:
            changes |= np.diff(part[order]) != 0
        first = np.flatnonzero(np.r_[True, changes])
        slot, resolution = self._slots(order, first)
        for begin, past in zip(first.tolist(), [*first[1:].tolist(), len(order)], strict=True):
            yield self._forecast(order[begin:past], slot[begin:past], int(resolution[begin]))

    def _forecast(self, rows: Array, slot: Array, resolution_us: int) -> NewForecast:
        lead = int(rows[0])
        slots = int(slot[-1]) + 1
        power = np.full(slots, np.nan, np.float32)
        power[slot] = self.power[rows]
        levels, level_kw = [], []
        for name, values in self.levels.items():
            chosen = values[rows]
            if not np.isnan(chosen).all():
                line = np.full(slots, np.nan, np.float32)
                line[slot] = chosen
                levels.append(name)
                level_kw.append(line)
        model = self.model[1][self.model[0][lead]]
        return NewForecast(
            site=self.sites[1][self.sites[0][lead]].bytes,
            timestamp_us=int(self.timestamp[lead]),
            model=None if model is None else (model, self.model_version[1][self.model_version[0][lead]] or ""),
            version=self.version[1][self.version[0][lead]] or "",
            created_us=None if self.created is None else int(self.created[lead]),
            start_us=int(self.start[lead]),
            resolution_minutes=resolution_us // _MINUTE_US,
            power_kw=power,
            levels=levels,
            level_kw=np.array(level_kw) if level_kw else None,
        )

    def _slots(self, order: Array, first: Array) -> tuple[Array, Array]:
        """Return, for each row in `order`, its slot and the resolution of its forecast in microseconds."""
        rows = np.diff(np.r_[first, len(order)])
        start, duration = self.start[order], (self.end - self.start)[order]
        resolution, since_first = np.repeat(duration[first], rows), start - np.repeat(start[first], rows)
        self._raise_at(order[duration <= 0], "end_utc", "must be after start_utc")
        self._raise_at(order[duration != resolution], "end_utc", "all values of a forecast must have the same duration")
        self._raise_at(
            order[(resolution % _MINUTE_US != 0) | (resolution > _LONGEST_SLOT_MINUTES * _MINUTE_US)],
            "end_utc",
            "values must last a whole number of minutes, from 1 to 1440",
        )
        self._raise_at(
            order[since_first % resolution != 0],
            "start_utc",
            "must be a whole number of durations after the forecast's first start_utc",
        )
        slot = since_first // resolution
        is_repeated = np.r_[False, (np.diff(start) == 0)]
        is_repeated[first] = False
        self._raise_at(order[is_repeated], "start_utc", "the forecast has another value with the same start_utc")
        self._raise_at(
            order[slot >= _MOST_SLOTS], "start_utc", f"a forecast must not have more than {_MOST_SLOTS} slots"
        )
        if self.created is not None:
            created = self.created[order]
            self._raise_at(
                order[created != np.repeat(created[first], rows)],
                "created_utc",
                "must be the same in all rows of a forecast",
            )
        return slot, resolution

    def _raise_at(self, rows: Array, column: str, reason: str) -> None:
        if len(rows):
            bad = np.zeros(len(self._frame), bool)
            bad[rows] = True
            raise_for_rows(bad, column, f"{reason} ({self._describe(int(bad.argmax()))})")

    def _read_column(self, read: Callable[[pd.Series[Any], str], _Value], series: pd.Series[Any], name: str) -> _Value:
        """Read a column. Add the site and start of the first row to an error."""
        try:
            return read(series, name)
        except InvalidInput as error:
            if not error.rows:
                raise
            raise error.replace(reason=f"{error.reason} ({self._describe(error.rows[0])})") from None

    def _describe(self, row: int) -> str:
        return f"site {self.sites[1][self.sites[0][row]]}, start {datetime_of(self.start[row]):%Y-%m-%dT%H:%M:%SZ}"

    def _check_horizons(self) -> None:
        if "horizon_minutes" in self._frame.columns:
            series = column_of(self._frame, "horizon_minutes")
            try:
                numbers = pd.to_numeric(series, errors="coerce")
                if pd.api.types.is_complex_dtype(numbers):
                    raise TypeError
                stated = numbers.to_numpy(dtype="f8", na_value=np.nan)
            except (ArithmeticError, TypeError, ValueError):  # such as Arrow times that Python cannot represent
                raise InvalidInput("must be numbers", column="horizon_minutes") from None
            self._raise_at(
                np.flatnonzero(np.isnan(stated) & _not_null(series, "horizon_minutes")),
                "horizon_minutes",
                "must be a number",
            )
            off = np.abs((self.start - self.timestamp) / _MINUTE_US - stated) >= 1  # False for NaN
            self._raise_at(np.flatnonzero(off), "horizon_minutes", "must equal start_utc - timestamp_utc")

    def _check_models(self) -> None:
        unnamed = np.array([name is None for name in self.model[1]])[self.model[0]]
        versioned = np.array([version != "" for version in self.model_version[1]])[self.model_version[0]]
        self._raise_at(np.flatnonzero(unnamed & versioned), "model_version", "requires a model_name")

    def _names(self) -> set[str]:
        return {str(name) for name in self._frame.columns} | set(self._constants)

    def _codes(self, name: str, convert: Callable[[Any, str], _Value]) -> tuple[Array, list[_Value]]:
        with errors_as_invalid_input(name):
            if name in self._constants:
                return np.zeros(len(self._frame), np.intp), [convert(self._constants[name], name)]
            return _merge_equal(*convert_distinct(column_of(self._frame, name), name, convert))

    def _times(self, name: str, *, last: int = LAST_US - 1) -> Array:
        with errors_as_invalid_input(name):
            if name in self._constants:
                time = pd.Series([as_utc(self._constants[name], name)])
                return np.repeat(timestamps_us(time, name, last=last), len(self._frame))
            return timestamps_us(column_of(self._frame, name), name, last=last)

    def _strings(
        self, name: str, *, absent: str | None = None, convert: Callable[[Any, str], str] = as_text
    ) -> tuple[Array, list[str | None]]:
        """Return for each row the position of its string, and the strings: `absent` for NULL or a missing column."""
        if name not in self._names():
            return np.zeros(len(self._frame), np.intp), [absent]
        with errors_as_invalid_input(name):
            if name in self._constants:
                return np.zeros(len(self._frame), np.intp), [convert(self._constants[name], name)]
            series = column_of(self._frame, name)
            not_null = _not_null(series, name)
            codes = np.zeros(len(self._frame), np.intp)
            positions, strings = _read_not_null(
                lambda cells, column: convert_distinct(cells, column, convert), series, not_null, name
            )
            codes[not_null] = positions + 1
        return _merge_equal(codes, [absent, *strings])

    def _levels(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the probabilistic values by level, NaN for rows without one."""
        named = sorted((str(n) for n in self._frame.columns if _LEVEL.fullmatch(str(n))), key=_percentile)
        if "probabilistic_values" not in self._frame.columns:
            return {name: self._level(column_of(self._frame, name), name) for name in named}
        if named:
            raise InvalidInput(
                f"must not be combined with the columns {', '.join(named)}", column="probabilistic_values"
            )
        cells = python_values(column_of(self._frame, "probabilistic_values"), "probabilistic_values")
        not_null = _not_null(pd.Series(cells, dtype=object), "probabilistic_values")
        is_dict = np.array([isinstance(cell, dict) for cell in cells])
        self._raise_at(np.flatnonzero(not_null & ~is_dict), "probabilistic_values", "must be a dict of numbers")
        names = {as_text(name, "probabilistic_values") for cell in cells if isinstance(cell, dict) for name in cell}
        return {
            name: self._level(
                pd.Series([cell.get(name) if isinstance(cell, dict) else None for cell in cells], dtype=object),
                f"probabilistic_values[{name!r}]",
            )
            for name in sorted(names, key=_percentile)
        }

    def _level(self, series: pd.Series[Any], name: str) -> npt.NDArray[np.float32]:
        with errors_as_invalid_input(name):
            return self._read_column(_optional_float32s, series, name)


def _percentile(name: str) -> tuple[float, str]:
    matched = _LEVEL.fullmatch(name)
    return (float(matched[1]) if matched else float("inf"), name)


def _not_null(series: pd.Series[Any], column: str) -> npt.NDArray[np.bool_]:
    """Return which cells are not NULL."""
    try:
        not_null: npt.NDArray[np.bool_] = series.notna().to_numpy(bool)
    except InvalidOperation:  # raised by a signaling NaN of Decimal
        raise InvalidInput("contains a signaling NaN", column=column) from None
    return not_null


def _optional_float32s(series: pd.Series[Any], column: str) -> npt.NDArray[np.float32]:
    not_null = _not_null(series, column)
    values = np.full(len(series), np.nan, np.float32)
    if not_null.any():
        values[not_null] = _read_not_null(_float32s, series, not_null, column)
    return values


def _read_not_null(
    read: Callable[[pd.Series[Any], str], _Value], series: pd.Series[Any], not_null: Array, column: str
) -> _Value:
    """Read the cells that are not NULL. Errors name rows by their positions in the whole column."""
    try:
        return read(series[not_null], column)
    except InvalidInput as error:
        positions = np.flatnonzero(not_null)
        rows, all_rows = (positions[list(part)].tolist() for part in (error.rows, error.all_rows))
        raise error.replace(rows=rows, all_rows=all_rows) from None


def _merge_equal(codes: Array, values: list[_Value]) -> tuple[Array, list[_Value]]:
    """Merge values that became equal by conversion."""
    positions: dict[_Value, int] = {}
    merged = np.array([positions.setdefault(value, len(positions)) for value in values], np.intp)
    return merged[codes], list(positions)


def _float32s(series: pd.Series[Any], column: str) -> npt.NDArray[np.float32]:
    values = finite_floats(series, column)
    with np.errstate(over="ignore"):
        reals: npt.NDArray[np.float32] = values.astype(np.float32)
    raise_for_rows(np.isinf(reals), column, "must fit real (about 3.4e38)")
    return reals
