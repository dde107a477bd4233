"""Parses cells that are times."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from .batch import Cells
from .layout import Layout
from .reasons import Reasons, by_row, factorize, reason_of

__all__ = ["TimeParser"]

_TIME_WITH_OFFSET = re.compile(r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$")
_MIN_DATE_LENGTH = len("2024-06-01")  # a shorter text would be a year or a month
_RELATIVE_TIMES = ("now", "today")  # pandas accepts them as times
# times outside are rejected later, whatever the zone
_LOCALIZABLE = (
    pd.Timestamp("1900-01-01", tz="UTC"),
    pd.Timestamp("2200-01-01", tz="UTC"),
)


class TimeParser:
    """Parses one time column of one file, batch by batch."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._seen: set[object] = set()

    def parse(self, cells: Cells, sites: pd.Categorical) -> tuple[Any, Reasons]:
        """Return the times of rows of the given sites in UTC, and the reasons for invalid cells."""
        reasons: Reasons = {}
        if not isinstance(cells, pd.Series):
            codes, uniques = factorize(cells)
            times_utc, naive, reasons = self._parse([cell.strip() for cell in uniques.tolist()])
        elif pd.api.types.is_datetime64_any_dtype(cells.dtype):
            codes, uniques = factorize(cells)
            times_utc = pd.DatetimeIndex(uniques)
            naive = np.full(len(times_utc), times_utc.tz is None)
            times_utc = times_utc.tz_localize("UTC") if times_utc.tz is None else times_utc.tz_convert("UTC")
        else:
            return cells, {}  # the frame is rejected later
        zone = self._layout.timezone
        later, ambiguous = times_utc, np.zeros(len(times_utc), bool)
        if zone != "UTC" and naive.any():
            later = self._localize(times_utc, naive, first=False)
            times_utc = self._localize(times_utc, naive, first=True)
            ambiguous = np.asarray(times_utc.notna() & (times_utc != later))
            nonexistent = np.flatnonzero(times_utc.isna()).tolist()
            reasons = {
                code: reason_of(f"a nonexistent time in {zone}", str(uniques[code])) for code in nonexistent
            } | reasons
            if self._layout.ambiguous == "error":
                for code in np.flatnonzero(ambiguous).tolist():
                    reasons[code] = reason_of(f"an ambiguous time in {zone}", str(uniques[code]))
        times = _take(later if self._layout.ambiguous == "later" else times_utc, codes)
        if self._layout.ambiguous == "order" and ambiguous.any():
            repeated = np.zeros(len(times), bool)
            for row in np.flatnonzero(ambiguous[codes] & (codes >= 0)).tolist():
                key = (sites[row], times[row])
                repeated[row] = key in self._seen
                self._seen.add(key)
            times = times.where(~repeated, _take(later, codes))
        return times, by_row(codes, reasons)

    def _parse(self, texts: list[str]) -> tuple[pd.DatetimeIndex, Array, Reasons]:
        """Return the times, those without an offset as UTC; which have no offset; and reasons for invalid texts."""
        time_format = self._layout.time_format
        times_utc = pd.DatetimeIndex(
            pd.to_datetime(np.array(texts, object), format=time_format or "ISO8601", utc=True, errors="coerce")
        )
        min_length = 1 if time_format else _MIN_DATE_LENGTH
        invalid = np.array([len(text) < min_length or text in _RELATIVE_TIMES for text in texts], bool)
        invalid |= np.asarray(times_utc.isna())
        reasons = {code: reason_of("not a time", texts[code]) for code in np.flatnonzero(invalid).tolist()}
        if time_format:
            naive = np.full(len(texts), "%z" not in time_format.lower())
        elif self._layout.timezone == "UTC":
            naive = np.zeros(len(texts), bool)
        else:
            naive = np.array([_TIME_WITH_OFFSET.search(text) is None for text in texts], bool)
        return times_utc, naive, reasons

    def _localize(self, times_utc: pd.DatetimeIndex, naive: Array, *, first: bool) -> pd.DatetimeIndex:
        """Convert the naive times from the layout's zone; an ambiguous one to the first or the second time."""
        local = naive & np.asarray((times_utc > _LOCALIZABLE[0]) & (times_utc < _LOCALIZABLE[1]))
        wall = times_utc[local].tz_localize(None)
        aware = wall.tz_localize(self._layout.timezone, ambiguous=np.full(len(wall), first), nonexistent="NaT")
        localized = pd.Series(times_utc)
        localized[local] = aware.tz_convert("UTC")
        return pd.DatetimeIndex(localized)


def _take(times_utc: pd.DatetimeIndex, codes: Array) -> pd.DatetimeIndex:
    missing = pd.DatetimeIndex([pd.NaT], dtype=times_utc.dtype)
    return pd.DatetimeIndex(times_utc.append(missing)[codes])  # code -1 selects the last one, NaT
