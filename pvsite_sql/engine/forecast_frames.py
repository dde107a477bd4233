"""Pandas frames of forecasts, checked and cut into forecasts for COPY."""

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
from .binary_copy import Type
from .columns import (
    LAST_US,
    Array,
    cells_of,
    column_of,
    datetime_of,
    each_unique,
    powers,
    reading,
    refuse,
    times,
    uuid_of,
)
from .inputs import as_name, as_text, as_utc, as_uuid

__all__ = ["LATEST", "NewForecast", "forecasts"]

_Value = TypeVar("_Value")

LATEST: dict[str, Type] = {
    "site_uuid": "uuid",
    "start_utc": "timestamptz",
    "end_utc": "timestamptz",
    "forecast_power_kw": "real",
    "horizon_minutes": "integer",
    "timestamp_utc": "timestamptz",
    "created_utc": "timestamptz",
    "forecast_uuid": "uuid",
}

_MINUTE_US = 60_000_000
_LONGEST_SLOT_MINUTES = 1440
_MOST_SLOTS = 100_000
_LEVEL = re.compile(r"p(\d+(?:\.\d+)?)")
_KEY = ("site_uuid", "timestamp_utc", "model_name", "model_version", "forecast_version")


@dataclass(frozen=True)
class NewForecast:
    """A forecast as it will be stored; times in microseconds since 2000-01-01 UTC, NaN where a slot has no value."""

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
        """The site."""
        return uuid_of(self.site)

    @property
    def timestamp_utc(self) -> datetime:
        """What the forecast calls now."""
        return datetime_of(np.int64(self.timestamp_us))

    @property
    def month(self) -> date:
        """The first day of the month (UTC) that it is made in."""
        return self.timestamp_utc.date().replace(day=1)


def forecasts(frame: pd.DataFrame, given: Mapping[str, Any]) -> list[NewForecast]:
    """Check a frame of forecasts and cut it into forecasts, by site and timestamp; the frame itself is not changed.

    Args:
        frame: see `Forecasts.insert`.
        given: what is the same for all rows, by column; None where it was not said.

    Raises:
        InvalidInput: names column, rows, and the site and start of the first one.
    """
    if not isinstance(frame, pd.DataFrame):
        raise InvalidInput(f"a pandas DataFrame is wanted, not {type(frame).__name__}")
    if not len(frame):
        return []
    table = _Table(frame, given)
    return list(table.cut())


class _Table:
    """The columns of a frame, checked one by one, then row against row."""

    def __init__(self, frame: pd.DataFrame, given: Mapping[str, Any]) -> None:
        self._frame = frame
        self._given = {name: value for name, value in given.items() if value is not None}
        for name in self._given:
            if name in frame.columns:
                raise InvalidInput("given as a column and as an argument", column=name)
        if "model_version" in self._names() and "model_name" not in self._names():
            raise InvalidInput("a model_version without a model_name", column="model_version")
        self.sites = self._coded("site_uuid", as_uuid)
        self.timestamp = self._moments("timestamp_utc")
        self.start = self._moments("start_utc")
        self.end = self._moments("end_utc", last=LAST_US)
        with reading("forecast_power_kw"):
            self.power = self._placed(_reals, column_of(frame, "forecast_power_kw"), "forecast_power_kw")
        self.model = self._texts("model_name", convert=as_name)
        self.model_version = self._texts("model_version", absent="")
        self.version = self._texts("forecast_version", absent="")
        self._check_models()
        self.created = self._moments("created_utc") if "created_utc" in self._names() else None
        with reading("probabilistic_values"):
            self.levels = self._levels()
        with reading("horizon_minutes"):
            self._check_horizons()

    def cut(self) -> Iterator[NewForecast]:
        key = (self.version[0], self.model_version[0], self.model[0], self.timestamp, self.sites[0])
        order = np.lexsort((self.start, *key))
        changes = np.zeros(len(order) - 1, bool)
        for part in key:
            changes |= np.diff(part[order]) != 0
        first = np.flatnonzero(np.r_[True, changes])
        slot, resolution = self._slots(order, first)
        for begin, past in zip(first.tolist(), [*first[1:].tolist(), len(order)], strict=True):
            yield self._one(order[begin:past], slot[begin:past], int(resolution[begin]))

    def _one(self, rows: Array, slot: Array, resolution_us: int) -> NewForecast:
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
        """For each row in order the slot that it fills, and how long its forecast's slots are."""
        rows = np.diff(np.r_[first, len(order)])
        start, lasts = self.start[order], (self.end - self.start)[order]
        resolution, since_first = np.repeat(lasts[first], rows), start - np.repeat(start[first], rows)
        self._refuse(order[lasts <= 0], "end_utc", "not after start_utc")
        self._refuse(
            order[lasts != resolution], "end_utc", "a value that lasts longer or shorter than others of its forecast"
        )
        self._refuse(
            order[(resolution % _MINUTE_US != 0) | (resolution > _LONGEST_SLOT_MINUTES * _MINUTE_US)],
            "end_utc",
            "a value that does not last whole minutes, from 1 to 1440",
        )
        self._refuse(order[since_first % resolution != 0], "start_utc", "off the grid of its forecast's other values")
        slot = since_first // resolution
        again = np.r_[False, (np.diff(start) == 0)]
        again[first] = False
        self._refuse(order[again], "start_utc", "a second value for one slot of a forecast")
        self._refuse(order[slot >= _MOST_SLOTS], "start_utc", f"a forecast of more than {_MOST_SLOTS} slots")
        if self.created is not None:
            created = self.created[order]
            self._refuse(
                order[created != np.repeat(created[first], rows)], "created_utc", "two times within one forecast"
            )
        return slot, resolution

    def _refuse(self, rows: Array, column: str, reason: str) -> None:
        if len(rows):
            bad = np.zeros(len(self._frame), bool)
            bad[rows] = True
            refuse(bad, column, f"{reason} ({self._place(int(bad.argmax()))})")

    def _placed(self, read: Callable[[pd.Series[Any], str], _Value], series: pd.Series[Any], name: str) -> _Value:
        """Read a column; an error names the site and the start too."""
        try:
            return read(series, name)
        except InvalidInput as error:
            if not error.rows:
                raise
            reason = f"{error.reason} ({self._place(error.rows[0])})"
            raise InvalidInput(reason, column=name, rows=error.rows, count=error.count) from None

    def _place(self, row: int) -> str:
        return f"site {self.sites[1][self.sites[0][row]]}, start {datetime_of(self.start[row]):%Y-%m-%dT%H:%M:%SZ}"

    def _check_horizons(self) -> None:
        if "horizon_minutes" in self._frame.columns:
            series = column_of(self._frame, "horizon_minutes")
            try:
                numbers = pd.to_numeric(series, errors="coerce")
                if pd.api.types.is_complex_dtype(numbers):
                    raise TypeError
                told = numbers.to_numpy(dtype="f8", na_value=np.nan)
            except (ArithmeticError, TypeError, ValueError):  # such as times that Python cannot hold
                raise InvalidInput("cells that are no numbers", column="horizon_minutes") from None
            self._refuse(
                np.flatnonzero(np.isnan(told) & _given_cells(series, "horizon_minutes")),
                "horizon_minutes",
                "not a number",
            )
            off = np.abs((self.start - self.timestamp) / _MINUTE_US - told) >= 1  # a NaN is not off
            self._refuse(np.flatnonzero(off), "horizon_minutes", "contradicts start_utc - timestamp_utc")

    def _check_models(self) -> None:
        unnamed = np.array([name is None for name in self.model[1]])[self.model[0]]
        versioned = np.array([version != "" for version in self.model_version[1]])[self.model_version[0]]
        self._refuse(np.flatnonzero(unnamed & versioned), "model_version", "a model_version without a model_name")

    def _names(self) -> set[str]:
        return {str(name) for name in self._frame.columns} | set(self._given)

    def _coded(self, name: str, convert: Callable[[Any, str], _Value]) -> tuple[Array, list[_Value]]:
        with reading(name):
            if name in self._given:
                return np.zeros(len(self._frame), np.intp), [convert(self._given[name], name)]
            return _merged(*each_unique(column_of(self._frame, name), name, convert))

    def _moments(self, name: str, *, last: int = LAST_US - 1) -> Array:
        with reading(name):
            if name in self._given:
                moment = pd.Series([as_utc(self._given[name], name)])
                return np.repeat(times(moment, name, last=last), len(self._frame))
            return times(column_of(self._frame, name), name, last=last)

    def _texts(
        self, name: str, *, absent: str | None = None, convert: Callable[[Any, str], str] = as_text
    ) -> tuple[Array, list[str | None]]:
        """For each row the position of its text, and the texts; `absent` where none is given."""
        if name not in self._names():
            return np.zeros(len(self._frame), np.intp), [absent]
        with reading(name):
            if name in self._given:
                return np.zeros(len(self._frame), np.intp), [convert(self._given[name], name)]
            series = column_of(self._frame, name)
            there = _given_cells(series, name)
            codes = np.zeros(len(self._frame), np.intp)
            found, texts = _read_given(lambda cells, column: each_unique(cells, column, convert), series, there, name)
            codes[there] = found + 1
        return _merged(codes, [absent, *texts])

    def _levels(self) -> dict[str, npt.NDArray[np.float32]]:
        """The probabilistic values by name, NaN where a row has none."""
        named = sorted((str(n) for n in self._frame.columns if _LEVEL.fullmatch(str(n))), key=_percentile)
        if "probabilistic_values" not in self._frame.columns:
            return {name: self._level(column_of(self._frame, name), name) for name in named}
        if named:
            raise InvalidInput(f"given as columns ({', '.join(named)}) too", column="probabilistic_values")
        cells = cells_of(column_of(self._frame, "probabilistic_values"), "probabilistic_values")
        kinds = ~_given_cells(pd.Series(cells, dtype=object), "probabilistic_values")
        kinds |= np.array([isinstance(cell, dict) for cell in cells])
        self._refuse(np.flatnonzero(~kinds), "probabilistic_values", "a dict of numbers is wanted")
        names = {as_text(name, "probabilistic_values") for cell in cells if isinstance(cell, dict) for name in cell}
        return {
            name: self._level(
                pd.Series([cell.get(name) if isinstance(cell, dict) else None for cell in cells], dtype=object),
                f"probabilistic_values[{name!r}]",
            )
            for name in sorted(names, key=_percentile)
        }

    def _level(self, series: pd.Series[Any], name: str) -> npt.NDArray[np.float32]:
        with reading(name):
            return self._placed(_optional_reals, series, name)


def _percentile(name: str) -> tuple[float, str]:
    matched = _LEVEL.fullmatch(name)
    return (float(matched[1]) if matched else float("inf"), name)


def _given_cells(series: pd.Series[Any], column: str) -> npt.NDArray[np.bool_]:
    """Which cells are given."""
    try:
        there: npt.NDArray[np.bool_] = series.notna().to_numpy(bool)
    except InvalidOperation:  # a signaling NaN of decimals
        raise InvalidInput("cells that cannot be compared", column=column) from None
    return there


def _optional_reals(series: pd.Series[Any], column: str) -> npt.NDArray[np.float32]:
    there = _given_cells(series, column)
    values = np.full(len(series), np.nan, np.float32)
    if there.any():
        values[there] = _read_given(_reals, series, there, column)
    return values


def _read_given(
    read: Callable[[pd.Series[Any], str], _Value], series: pd.Series[Any], there: Array, column: str
) -> _Value:
    """Read the cells that are there; an error names the rows by their positions among all."""
    try:
        return read(series[there], column)
    except InvalidInput as error:
        rows = np.flatnonzero(there)[list(error.rows)].tolist()
        raise InvalidInput(error.reason, column=column, rows=rows, count=error.count) from None


def _merged(codes: Array, values: list[_Value]) -> tuple[Array, list[_Value]]:
    """Equal values, which were written in different ways, as one."""
    places: dict[_Value, int] = {}
    merged = np.array([places.setdefault(value, len(places)) for value in values], np.intp)
    return merged[codes], list(places)


def _reals(series: pd.Series[Any], column: str) -> npt.NDArray[np.float32]:
    values = powers(series, column)
    with np.errstate(over="ignore"):
        reals: npt.NDArray[np.float32] = values.astype(np.float32)
    refuse(np.isinf(reals), column, "a number too large for real")
    return reals
