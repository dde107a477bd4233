"""Check frames of forecast values and group them into forecasts for COPY."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain, islice
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt

from ..errors import InvalidInput
from ..models import ForecastValue
from .arrays import Array, uuid_of
from .checks import LAST_US, errors_as_invalid_input, raise_for_rows, since_2000_us
from .frames import AnyFrame, Column, Frame, as_frame, is_arrow, is_pandas, site_column_name
from .inputs import as_name, as_text, as_utc, as_uuid
from .timestamps import UNIX_TO_2000_US, datetime_of, microseconds_of

__all__ = ["NewForecast", "from_json", "level_columns", "parse_forecasts", "parts_of"]

_Value = TypeVar("_Value")

_MINUTE_US = 60_000_000
_LONGEST_SLOT_MINUTES = 1440
_MOST_SLOTS = 100_000
_MICROSECONDS = 1_000_000
_LEVEL = re.compile(r"p(\d+(?:\.\d+)?)")
# other spellings of a level: those that can only mean one are taken, those that may mean one are refused
_LEVEL_ALIAS = re.compile(r"(?:forecast_power_kw_)?(?:p|plevel)_?(\d+(?:\.\d+)?)", re.IGNORECASE)
_LIKE_A_LEVEL = re.compile(
    r"(?:.*[_ .-])?(?:p|plevel|q|quantile|percentile)[_ .-]?\d+(?:[._]\d+)?(?:[_ ]?(?:kw|mw|w|%))?", re.IGNORECASE
)
_EXPECTED = (
    "must be a frame (of pandas, or with __arrow_c_stream__), an iterable of frames, a list of ForecastValue models, "
    "or a dict of sites to such lists"
)


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


def parts_of(given: Any, constants: Mapping[str, Any]) -> tuple[Iterator[list[NewForecast]], bool]:
    """Check forecasts of any kind and group their values, part by part, as they are consumed.

    Args:
        given: see `Forecasts.insert`.
        constants: see `parse_forecasts`.

    Returns:
        the parts, and whether there is only one: an iterable of frames has a part for each frame.

    Raises:
        InvalidInput: as `parse_forecasts`; the parts raise it too.
    """
    if not (is_pandas(given) or is_arrow(given) or isinstance(given, (Mapping, str, bytes))) and (
        isinstance(given, Iterable)
    ):
        items = iter(given)
        first = list(islice(items, 1))
        if first and (is_pandas(first[0]) or is_arrow(first[0])):
            return _frame_parts(chain(first, items), constants), False
        given = [*first, *items]
    return iter([parse_forecasts(given, constants)]), True


def _frame_parts(frames: Iterable[Any], constants: Mapping[str, Any]) -> Iterator[list[NewForecast]]:
    for number, frame in enumerate(frames):
        if not (is_pandas(frame) or is_arrow(frame)):
            raise InvalidInput(f"must be a frame as the ones before, got {type(frame).__name__}", frame=number)
        try:
            yield parse_forecasts(frame, constants)
        except InvalidInput as error:
            raise error.replace(frame=number) from None


def parse_forecasts(given: Any, constants: Mapping[str, Any]) -> list[NewForecast]:
    """Check forecast values and group them into forecasts, by site and timestamp, without changing them.

    Args:
        given: see `Forecasts.insert`.
        constants: columns that have the same value in all rows; None for columns that are not given.

    Raises:
        InvalidInput: names the column, the rows, and the site and start of the first row.
    """
    frame = as_frame(given if is_pandas(given) or is_arrow(given) else _frame_of_values(given, constants))
    if not len(frame):
        return []
    return list(_Table(frame, constants).forecasts())


def _frame_of_values(given: Any, constants: Mapping[str, Any]) -> AnyFrame:
    """Return `ForecastValue` models, or a dict of sites to lists of them, as a frame without fields that are given."""
    from .pandas_frames import frame_of_models

    by_site = {site: _listed(values) for site, values in given.items()} if isinstance(given, Mapping) else None
    values = _listed(given) if by_site is None else list(chain.from_iterable(by_site.values()))
    for row, value in enumerate(values):
        if not isinstance(value, ForecastValue):
            raise InvalidInput(f"{_EXPECTED}, got {type(value).__name__}", rows=[row])
    frame = frame_of_models(values, [name for name in ForecastValue.model_fields if constants.get(name) is None])
    if by_site is None:
        return frame
    return frame.assign(site_uuid=[site for site, of_site in by_site.items() for _ in of_site])


def _listed(values: Any) -> list[Any]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidInput(f"{_EXPECTED}, got {type(values).__name__}")
    return list(values)


class _Table:
    """The columns of a frame as arrays. First each column is checked, then the rows of each forecast."""

    def __init__(self, frame: Frame, constants: Mapping[str, Any]) -> None:
        self._frame = frame
        self._site_name = site_column_name(frame.names)
        self._constants = {name: value for name, value in constants.items() if value is not None}
        for name in self._constants:
            if name in frame.names or (name == "site_uuid" and self._site_name in frame.names):
                raise InvalidInput("must not be both a column of the frame and an argument", column=name)
        if "model_version" in self._names() and "model_name" not in self._names():
            raise InvalidInput("requires a model_name", column="model_version")
        self.sites = self._sites()
        self.timestamp = self._times("timestamp_utc")
        self.start = self._times("start_utc")
        self.end = self._times("end_utc", last=LAST_US)
        with errors_as_invalid_input("forecast_power_kw"):
            self.power = self._located(lambda: _float32s(frame.column("forecast_power_kw")))
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

    def _located(self, read: Callable[[], _Value]) -> _Value:
        """Read a column. Add the site and start of the first row to an error."""
        try:
            return read()
        except InvalidInput as error:
            if not error.rows:
                raise
            raise error.replace(reason=f"{error.reason} ({self._describe(error.rows[0])})") from None

    def _describe(self, row: int) -> str:
        return f"site {self.sites[1][self.sites[0][row]]}, start {datetime_of(self.start[row]):%Y-%m-%dT%H:%M:%SZ}"

    def _check_horizons(self) -> None:
        if "horizon_minutes" in self._frame.names:
            column = self._frame.column("horizon_minutes")
            try:
                stated = column.numbers()
            except (ArithmeticError, TypeError, ValueError):  # such as Arrow times that Python cannot represent
                raise InvalidInput("must be numbers", column="horizon_minutes") from None
            self._raise_at(np.flatnonzero(np.isnan(stated) & column.not_null()), "horizon_minutes", "must be a number")
            off = np.abs((self.start - self.timestamp) / _MINUTE_US - stated) >= 1  # False for NaN
            self._raise_at(np.flatnonzero(off), "horizon_minutes", "must equal start_utc - timestamp_utc")

    def _check_models(self) -> None:
        unnamed = np.array([name is None for name in self.model[1]])[self.model[0]]
        versioned = np.array([version != "" for version in self.model_version[1]])[self.model_version[0]]
        self._raise_at(np.flatnonzero(unnamed & versioned), "model_version", "requires a model_name")

    def _names(self) -> set[str]:
        return {*self._frame.names, *self._constants}

    def _sites(self) -> tuple[Array, list[UUID]]:
        if "site_uuid" in self._constants:
            return np.zeros(len(self._frame), np.intp), [as_uuid(self._constants["site_uuid"], "site_uuid")]
        with errors_as_invalid_input(self._site_name):
            distinct, codes = self._frame.column(self._site_name).uuids()
        return codes, [uuid_of(site) for site in distinct.tolist()]

    def _times(self, name: str, *, last: int = LAST_US - 1) -> Array:
        if name in self._constants:
            time = microseconds_of(as_utc(self._constants[name], name)) + UNIX_TO_2000_US
            return np.repeat(since_2000_us(np.array([time]), _MICROSECONDS, name, last=last), len(self._frame))
        with errors_as_invalid_input(name):
            return self._frame.column(name).timestamps_us(last=last)

    def _strings(
        self, name: str, *, absent: str | None = None, convert: Callable[[Any, str], str] = as_text
    ) -> tuple[Array, list[str | None]]:
        """Return for each row the position of its string, and the strings: `absent` for NULL or a missing column."""
        if name not in self._names():
            return np.zeros(len(self._frame), np.intp), [absent]
        with errors_as_invalid_input(name):
            if name in self._constants:
                return np.zeros(len(self._frame), np.intp), [convert(self._constants[name], name)]
            column = self._frame.column(name)
            not_null = column.not_null()
            codes = np.zeros(len(self._frame), np.intp)
            positions, strings = _read_not_null(lambda cells: cells.distinct(convert), column, not_null)
            codes[not_null] = positions + 1
        return _merge_equal(codes, [absent, *strings])

    def _levels(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the probabilistic values by level, NaN for rows without one."""
        named = level_columns(self._frame.names)
        if "probabilistic_values" not in self._frame.names:
            return {level: self._level(self._frame.column(name)) for level, name in named.items()}
        if named:
            raise InvalidInput(
                f"must not be combined with the columns {', '.join(named.values())}", column="probabilistic_values"
            )
        column = self._frame.column("probabilistic_values")
        cells = [from_json(cell) if isinstance(cell, str) else cell for cell in column.objects()]
        is_dict = np.array([isinstance(cell, dict) for cell in cells])
        self._raise_at(
            np.flatnonzero(~is_dict & _column_of(cells, column.name).not_null()),
            "probabilistic_values",
            "must be a dict of numbers, or its JSON text",
        )
        names = {as_text(name, "probabilistic_values") for cell in cells if isinstance(cell, dict) for name in cell}
        return {
            name: self._level(
                _column_of(
                    [cell.get(name) if isinstance(cell, dict) else None for cell in cells],
                    f"probabilistic_values[{name!r}]",
                )
            )
            for name in sorted(names, key=_percentile)
        }

    def _level(self, column: Column) -> npt.NDArray[np.float32]:
        with errors_as_invalid_input(column.name):
            return self._located(lambda: _optional_float32s(column))


def level_columns(names: Sequence[str]) -> dict[str, str]:
    """Return the columns that are probabilistic levels, by level such as "p10", in ascending order.

    Raises:
        InvalidInput: two columns are the same level, or a column has a name that may mean a level.
    """
    columns: dict[str, str] = {}
    for name in dict.fromkeys(names):
        if matched := _LEVEL_ALIAS.fullmatch(name):
            level = f"p{matched[1]}"
            if level in columns:
                raise InvalidInput(f"is the same level as the column {columns[level]}", column=name)
            columns[level] = name
        elif _LIKE_A_LEVEL.fullmatch(name):
            raise InvalidInput(
                "the name looks like a probabilistic level: call it p and the percentile, such as p10 or p2.5, or drop "
                "the column",
                column=name,
            )
    return dict(sorted(columns.items(), key=lambda item: _percentile(item[0])))


def _percentile(name: str) -> tuple[float, str]:
    matched = _LEVEL.fullmatch(name)
    return (float(matched[1]) if matched else float("inf"), name)


def from_json(cell: str) -> Any:
    """Return what a text says as JSON; the text itself if it is none."""
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        return cell


def _column_of(cells: list[Any], name: str) -> Column:
    import pandas as pd

    from .pandas_frames import PandasColumn

    return PandasColumn(pd.Series(cells, dtype=object), name)


def _optional_float32s(column: Column) -> npt.NDArray[np.float32]:
    not_null = column.not_null()
    values = np.full(len(not_null), np.nan, np.float32)
    if not_null.any():
        values[not_null] = _read_not_null(_float32s, column, not_null)
    return values


def _read_not_null(read: Callable[[Column], _Value], column: Column, not_null: Array) -> _Value:
    """Read the cells that are not NULL. Errors name rows by their positions in the whole column."""
    try:
        return read(column.chosen(not_null))
    except InvalidInput as error:
        positions = np.flatnonzero(not_null)
        rows, all_rows = (positions[list(part)].tolist() for part in (error.rows, error.all_rows))
        raise error.replace(rows=rows, all_rows=all_rows) from None


def _merge_equal(codes: Array, values: list[_Value]) -> tuple[Array, list[_Value]]:
    """Merge values that became equal by conversion."""
    positions: dict[_Value, int] = {}
    merged = np.array([positions.setdefault(value, len(positions)) for value in values], np.intp)
    return merged[codes], list(positions)


def _float32s(column: Column) -> npt.NDArray[np.float32]:
    values = column.floats()
    with np.errstate(over="ignore"):
        reals: npt.NDArray[np.float32] = values.astype(np.float32)
    raise_for_rows(np.isinf(reals), column.name, "must fit real (about 3.4e38)")
    return reals
