"""Parses cells that are times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..errors import InvalidInput
from .batch import Cells
from .layout import Layout
from .number_times import NUMBER_FORMATS, parse_number_times
from .reasons import Reasons, by_row, factorize, reason_of
from .time_formats import date_formats, has_time_of_day, hint, midnight_formats
from .values import as_texts
from .zones import localizable, parse_zone, start_of_day

__all__ = ["TimeParser", "Times"]

_TIME_WITH_OFFSET = re.compile(r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$")
_HOUR_24 = re.compile(r"(?<=[T ])24(?=(?::?00){0,2}(?:[.,]0+)?(?:Z|[+-][\d:]+)?$)", re.ASCII)
_DATE = re.compile(r"\d{4}([-./ ]?)\d\d\1\d\d", re.ASCII)
_DATE_LENGTH = len("2024-06-01")  # a shorter text would be a year or a month, or 20240601
_RELATIVE_TIMES = ("now", "today")  # pandas accepts them as times
_DAY = pd.Timedelta(days=1)
_LAST_SECOND = 59


@dataclass(frozen=True)
class Times:
    """The times of rows.

    Attributes:
        utc: the times; NaT where a cell is invalid.
        reasons: why cells are invalid.
        dates: the rows whose cell is a date without a time, which is read as its midnight.
        last_seconds: the rows whose time is in the last second of a minute, such as 23:59:59.
        only_midnights: no row has another time of day than midnight.
    """

    utc: pd.DatetimeIndex
    reasons: Reasons
    dates: Array
    last_seconds: Array
    only_midnights: bool


@dataclass(frozen=True)
class _Distinct:
    """The distinct cells of a batch.

    Attributes:
        codes: for each row, the position of its cell below; -1: none.
        texts: the cells for messages.
        times: their times; those without an offset as UTC.
        local: the times as they are written, without their offsets if they are known.
        naive: which have no offset.
        dates: which are dates without a time.
        day_starts: which are the beginning of a day, even if clocks do not show that time once: dates and 24:00.
        reasons: why cells are invalid.
    """

    codes: Array
    texts: Any
    times: pd.DatetimeIndex
    local: pd.DatetimeIndex
    naive: Array
    dates: Array
    day_starts: Array
    reasons: Reasons

    def rows(self, which: Array) -> Array:
        """Return the rows that have one of these cells."""
        if not which.any():
            return np.zeros(len(self.codes), bool)
        rows: Array = np.append(which, np.zeros(1, bool))[self.codes]  # code -1 selects the last one
        return rows


class TimeParser:
    """Parses one time column of one file, batch by batch."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._zone = parse_zone(layout.timezone)
        self._seen: set[object] = set()

    def parse(self, cells: Cells, sites: pd.Categorical, *, ends: bool = False) -> Times:
        """Return the times of rows.

        Args:
            cells: the cells of the column, or of several that are joined.
            sites: the sites of the rows.
            ends: whether these may be ends of readings, for which `last_seconds` matters.

        Raises:
            InvalidInput: the column has a type that is not a time.
        """
        cell = self._distinct(cells)
        times_utc = later = cell.times
        ambiguous = np.zeros(len(times_utc), bool)
        reasons = cell.reasons
        if self._zone != "UTC" and cell.naive.any():
            later = self._localize(cell, first=False)
            times_utc = self._localize(cell, first=True)
            ambiguous = np.asarray(times_utc.notna() & (times_utc != later))
            nonexistent = np.flatnonzero(times_utc.isna()).tolist()
            reasons = {
                code: reason_of(f"a nonexistent time in {self._layout.timezone}", str(cell.texts[code]))
                for code in nonexistent
            } | reasons
            if self._layout.ambiguous == "error":
                for code in np.flatnonzero(ambiguous).tolist():
                    reasons[code] = reason_of(
                        f"an ambiguous time in {self._layout.timezone}; choose one with --ambiguous",
                        str(cell.texts[code]),
                    )
        times = _take(later if self._layout.ambiguous == "later" else times_utc, cell.codes)
        if self._layout.ambiguous == "order" and ambiguous.any():
            repeated = np.zeros(len(times), bool)
            for row in np.flatnonzero(cell.rows(ambiguous)).tolist():
                key = (sites[row], times[row])
                repeated[row] = key in self._seen
                self._seen.add(key)
            times = times.where(~repeated, _take(later, cell.codes))
        return Times(
            times,
            by_row(cell.codes, reasons),
            cell.rows(cell.dates),
            cell.rows(np.asarray(cell.times.second == _LAST_SECOND)) if ends else np.zeros(len(times), bool),
            _are_midnights(cell.local),
        )

    def parse_dates(self, cells: Cells) -> tuple[pd.DatetimeIndex, Reasons]:
        """Return dates, naive, and the reasons for invalid cells, such as a time that is not midnight.

        Raises:
            InvalidInput: the column has a type that is not a time.
        """
        cell = self._distinct(cells)
        reasons = {
            code: reason_of("a time, but a period number needs a date", str(cell.texts[code]))
            for code in np.flatnonzero(cell.local.notna() & (cell.local.normalize() != cell.local)).tolist()
        }
        return _take(cell.local, cell.codes), by_row(cell.codes, reasons | cell.reasons)

    def _distinct(self, cells: Cells) -> _Distinct:
        codes, uniques = factorize(cells)
        none = np.zeros(len(uniques), bool)
        time_format = self._layout.time_format
        texts = uniques
        if not isinstance(cells, pd.Series):
            texts = [cell.strip() for cell in uniques.tolist()]
            if time_format not in NUMBER_FORMATS:
                return self._parse_texts(codes, texts)
            decimal_points = [text.replace(",", ".") for text in texts] if self._layout.decimal == "," else texts
            times, reasons = parse_number_times(decimal_points, time_format)
        elif pd.api.types.is_datetime64_any_dtype(cells.dtype):
            local = pd.DatetimeIndex(uniques)
            times = local.tz_localize("UTC") if local.tz is None else local.tz_convert("UTC")
            return _Distinct(codes, texts, times, local.tz_localize(None), none | (local.tz is None), none, none, {})
        elif time_format and pd.api.types.is_numeric_dtype(cells.dtype):
            if time_format not in NUMBER_FORMATS:
                return self._parse_texts(codes, as_texts(pd.Series(uniques)))
            times, reasons = parse_number_times(np.asarray(uniques), time_format)
        else:
            raise InvalidInput(
                f"must be datetimes, got dtype {cells.dtype}; if they are numbers, use --time-format "
                f"{', '.join(list(NUMBER_FORMATS)[:-1])} or {list(NUMBER_FORMATS)[-1]}"
            )
        return _Distinct(
            codes, texts, times, times.tz_localize(None), none | (time_format == "excel"), none, none, reasons
        )

    def _parse_texts(self, codes: Array, texts: list[str]) -> _Distinct:
        time_format = self._layout.time_format
        times = _to_utc(texts, time_format or "ISO8601")
        failed = np.asarray(times.isna())
        if time_format:
            failed |= np.array([text in _RELATIVE_TIMES for text in texts], bool)
            naive = np.full(len(texts), "%z" not in time_format.lower())
            dates = np.full(len(texts), not has_time_of_day(time_format))
        else:
            lengths = np.fromiter(map(len, texts), int, len(texts))
            dates = lengths <= _DATE_LENGTH
            for code in np.flatnonzero(dates).tolist():
                dates[code] = _DATE.fullmatch(texts[code]) is not None
            failed |= ~dates & (lengths < _DATE_LENGTH)
            if self._zone == "UTC":
                naive = np.zeros(len(texts), bool)
            else:
                naive = np.array([_TIME_WITH_OFFSET.search(text) is None for text in texts], bool)
        day_starts = dates.copy()
        if failed.any():
            positions = np.flatnonzero(failed)
            again, are_dates = self._parse_again([texts[position] for position in positions.tolist()])
            order = np.arange(len(texts))
            order[positions] = len(texts) + np.arange(len(positions))
            times = pd.DatetimeIndex(times.append(again)[order])
            dates[positions] = are_dates
            naive[positions] |= are_dates
            day_starts[positions] = True
        reasons = {code: self._reason(texts[code]) for code in np.flatnonzero(times.isna()).tolist()}
        return _Distinct(codes, texts, times, times.tz_localize(None), naive, dates, day_starts, reasons)

    def _parse_again(self, texts: list[str]) -> tuple[pd.DatetimeIndex, Array]:
        """Return the times of texts with the hour 24, or with a date alone though the format has a time.

        Returns:
            the times, NaT for other texts, and which are dates.
        """
        time_format = self._layout.time_format
        dates = np.zeros(len(texts), bool)
        if not time_format:
            replaced = [_HOUR_24.sub("00", text) for text in texts]
            changed = np.array([text != again for text, again in zip(texts, replaced, strict=True)])
            return _where(changed, _to_utc(replaced, "ISO8601") + _DAY), dates
        times = pd.DatetimeIndex([pd.NaT] * len(texts), dtype="datetime64[us, UTC]")
        for midnight in midnight_formats(time_format):
            found = _to_utc(texts, midnight)
            times = pd.DatetimeIndex(
                times.where(times.notna(), _where(np.asarray(found.microsecond == 0), found + _DAY))
            )
        for date_format in date_formats(time_format):
            found = _to_utc(texts, date_format)
            new = np.asarray(times.isna()) & np.asarray(found.notna())
            new &= np.array([text not in _RELATIVE_TIMES for text in texts])
            times, dates = pd.DatetimeIndex(found.where(new, times)), dates | new
        return times, dates

    def _reason(self, text: str) -> str:
        time_format = self._layout.time_format
        if not time_format:
            return reason_of(f"not a time{hint(text)}", text)
        return reason_of(f"not a time in the format {time_format!r}{hint(text) or ' (--time-format)'}", text)

    def _localize(self, cell: _Distinct, *, first: bool) -> pd.DatetimeIndex:
        """Convert the naive times from the layout's zone; an ambiguous one to the first or the second time."""
        local = cell.naive & localizable(cell.times)
        wall = cell.times[local].tz_localize(None)
        aware = wall.tz_localize(self._zone, ambiguous=np.full(len(wall), first), nonexistent="NaT").tz_convert("UTC")
        if cell.day_starts[local].any():
            aware = start_of_day(wall, self._zone).where(cell.day_starts[local], aware)
        localized = pd.Series(cell.times)
        localized[local] = aware
        return pd.DatetimeIndex(localized)


def _to_utc(texts: list[str], time_format: str) -> pd.DatetimeIndex:
    """Return the times of texts, those without an offset as UTC; NaT for invalid texts."""
    times = pd.to_datetime(np.array(texts, object), format=time_format, utc=True, errors="coerce")
    return pd.DatetimeIndex(times)


def _where(which: Array, times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times.where(which))


def _are_midnights(times: pd.DatetimeIndex) -> bool:
    """Return whether all times are midnight."""
    return all(bool((some.isna() | (some.normalize() == some)).all()) for some in (times[:9], times))


def _take(times: pd.DatetimeIndex, codes: Array) -> pd.DatetimeIndex:
    missing = pd.DatetimeIndex([pd.NaT], dtype=times.dtype)
    return pd.DatetimeIndex(times.append(missing)[codes])  # code -1 selects the last one, NaT
