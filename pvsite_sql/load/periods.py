"""Parses the cells that say when readings start and end."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..errors import InvalidInput
from .batch import Cells
from .layout import DEFAULT_INTERVAL, Layout, is_time_key
from .reasons import NO_VALUE, Reasons, by_row, factorize, reason_of
from .times import TimeParser, Times
from .values import as_texts
from .zones import localizable, parse_zone, start_of_day

__all__ = ["PeriodParser"]

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
_LONGEST = timedelta(days=140 * 365)  # longer than any valid reading
_PERIOD_NUMBER = re.compile(r"\d{1,4}(?:\.0*)?", re.ASCII)
_MIDNIGHT = re.compile(r"[T ]00:00(?::00(?:\.0+)?)?$")
_WAYS_OUT = "use --period-column, a second --time-column, --interval 1440 for days, or --dates-are-midnight"


class PeriodParser:
    """Parses the start and end of the readings of one file, batch by batch."""

    def __init__(self, layout: Layout, interval: timedelta | None) -> None:
        """Set the layout, and the duration of a reading.

        Args:
            layout: the layout of the file.
            interval: None: the default. The start of a reading must not depend on it.
        """
        self._layout = layout
        self._interval_given = interval is not None
        self._length = min(interval or DEFAULT_INTERVAL, _LONGEST)
        self._zone = parse_zone(layout.timezone)
        self._starts, self._ends = TimeParser(layout), TimeParser(layout)
        self._whole_days = not self._length % _DAY
        self._dates_allowed = layout.dates_are_midnight or self._whole_days
        self._midnights: set[object] | None = None if self._dates_allowed else set()
        self._key = ""

    def parse(self, cells: Mapping[str, Cells], sites: pd.Categorical) -> tuple[dict[str, Any], dict[str, Reasons]]:
        """Return the columns `start_utc` and perhaps `end_utc`, and the reasons for invalid cells by key.

        Raises:
            InvalidInput: a whole column is invalid.
        """
        time_cells = [column for key, column in cells.items() if is_time_key(key)]
        if "period" in cells:
            return self._numbered(self._joined(time_cells), cells["period"])
        if not time_cells:
            return self._alone("end_utc", cells["end_utc"], sites)
        if "end_utc" not in cells:
            return self._alone("start_utc", self._joined(time_cells), sites)
        starts_text, ends_text = self._joined(time_cells), cells["end_utc"]
        starts = _parse(self._starts, starts_text, sites, "start_utc")
        ends = _parse(self._ends, ends_text, sites, "end_utc", ends=True)
        reasons = {"start_utc": starts.reasons, "end_utc": ends.reasons}
        if not self._dates_allowed:  # a date to a date are whole days
            reasons["start_utc"] |= _without_time(starts_text, starts.dates & ~ends.dates)
            reasons["end_utc"] |= _without_time(ends_text, ends.dates & ~starts.dates)
        end_utc = ends.utc
        if ends.last_seconds.any():
            end_utc = _next_minute(end_utc, ends.last_seconds & (starts.utc.floor("min") == starts.utc))
        return {"start_utc": starts.utc, "end_utc": end_utc}, reasons

    def finish(self) -> None:
        """Check the times of the whole file.

        Raises:
            InvalidInput: they are dates, though their type is that of times.
        """
        if self._midnights is not None and len(self._midnights) > 1:
            raise InvalidInput(f"all times are midnight, on different days; {_WAYS_OUT}", column=self._key)

    def _alone(self, key: str, cells: Cells, sites: pd.Categorical) -> tuple[dict[str, Any], dict[str, Reasons]]:
        """Return the start (and end) of readings with only one time, which is the start or the end."""
        ends = key == "end_utc" or self._layout.label == "end"
        times = _parse(self._starts, cells, sites, key, ends=ends)
        reasons = times.reasons
        if not self._dates_allowed:
            reasons |= _without_time(cells, times.dates)
        self._note_midnights(times, cells, key)
        utc = times.utc
        if not ends:
            frame = {"start_utc": utc}
            if self._whole_days and self._zone != "UTC":
                frame["end_utc"] = self._moved(utc, self._length)
            return frame, {key: reasons}
        if not self._interval_given:
            raise InvalidInput("the times are ends of readings; add --interval, how many minutes one lasts", column=key)
        if times.last_seconds.any() and not self._length % _MINUTE:
            utc = _next_minute(utc, times.last_seconds)
        frame = {"start_utc": self._moved(utc, -self._length)}
        if self._whole_days and self._zone != "UTC":
            frame["end_utc"] = utc
        return frame, {key: reasons}

    def _numbered(self, date_cells: Cells, number_cells: Cells) -> tuple[dict[str, Any], dict[str, Reasons]]:
        """Return the start of readings that are given by a date and the number of a period of that day."""
        try:
            dates, date_reasons = self._starts.parse_dates(date_cells)
        except InvalidInput as error:
            raise error.replace(column="start_utc") from None
        numbers, reasons = _period_numbers(number_cells)
        start_utc = pd.Series(dates.tz_localize("UTC"))
        near = localizable(pd.DatetimeIndex(start_utc))
        midnights = start_of_day(dates[near], self._zone)
        counts = (start_of_day(dates[near] + _DAY, self._zone) - midnights) // self._length
        wrong = (numbers[near] < 1) | (numbers[near] > counts)
        for row, count in zip(np.flatnonzero(near)[wrong].tolist(), counts[wrong].tolist(), strict=True):
            said = f"{dates[row]:%Y-%m-%d} has the periods 1 to {count} in {self._layout.timezone}, not"
            reasons.setdefault(row, f"{said} {numbers[row]}")
        start_utc[near] = midnights + (numbers[near] - 1) * np.timedelta64(self._length)
        return {"start_utc": pd.DatetimeIndex(start_utc)}, {"start_utc": date_reasons, "period": reasons}

    def _moved(self, utc: pd.DatetimeIndex, by: timedelta) -> pd.DatetimeIndex:
        """Return times that are later or earlier by the length of a reading; whole days are those of the zone."""
        near = localizable(utc)
        moved = pd.Series(utc)
        if self._whole_days:
            moved[near] = start_of_day(utc[near].tz_convert(self._zone).tz_localize(None) + by, self._zone)
        else:
            moved[near] = utc[near] + by
        return pd.DatetimeIndex(moved)

    def _note_midnights(self, times: Times, cells: Cells, key: str) -> None:
        """Remember midnights of columns that have no dates, such as timestamps, until there is another time."""
        if self._midnights is not None and (isinstance(cells, pd.Series) or self._layout.time_format == "excel"):
            self._key = key
            self._midnights.update(times.utc[times.utc.notna()].unique())
            if not times.only_midnights:
                self._midnights = None

    def _joined(self, columns: Sequence[Cells]) -> Cells:
        """Return the cells of several columns as texts, joined by a blank."""
        if len(columns) == 1:
            return columns[0]
        texts = [as_texts(column) if isinstance(column, pd.Series) else column for column in columns]
        if self._layout.time_format is None:  # a column of dates may have been written as one of times
            dates = {text: _MIDNIGHT.sub("", text.strip()) for text in set(texts[0])}
            texts[0] = [dates[text] for text in texts[0]]
        return [" ".join(parts) for parts in zip(*texts, strict=True)]


def _parse(parser: TimeParser, cells: Cells, sites: pd.Categorical, key: str, *, ends: bool = False) -> Times:
    try:
        return parser.parse(cells, sites, ends=ends)
    except InvalidInput as error:
        raise error.replace(column=key) from None


def _without_time(cells: Cells, rows: Array) -> Reasons:
    """Return the reason for rows whose cell is a date, which may lack the time."""
    found = np.flatnonzero(rows).tolist()
    return {row: f"{reason_of('a date without a time', str(cells[row]).strip())}; {_WAYS_OUT}" for row in found}


def _next_minute(times: pd.DatetimeIndex, rows: Array) -> pd.DatetimeIndex:
    """Return the times with those of some rows rounded up to the next minute."""
    return times.where(~rows, times.ceil("min"))


def _period_numbers(cells: Cells) -> tuple[Array, Reasons]:
    """Return the numbers of periods, and the reasons for invalid cells."""
    codes, uniques = factorize(cells)
    texts = [str(cell).strip() for cell in uniques.tolist()]
    reasons = {
        code: reason_of("not the number of a period", text)
        for code, text in enumerate(texts)
        if not _PERIOD_NUMBER.fullmatch(text)
    }
    numbers = [0 if code in reasons else int(float(text)) for code, text in enumerate(texts)]
    return np.array([*numbers, 0])[codes], by_row(codes, reasons | {-1: NO_VALUE})
