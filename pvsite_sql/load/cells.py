"""Parses raw cells of files into frames of readings, with a reason for each invalid cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..engine.inputs import as_uuid
from ..errors import InvalidInput
from .files import Cells
from .layout import Layout

__all__ = ["CellParser"]

_Reasons = dict[int, str]  # by row position

_TIME_WITH_OFFSET = re.compile(r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$")
_MIN_DATE_LENGTH = len("2024-06-01")  # a shorter text would be a year or a month
_RELATIVE_TIMES = ("now", "today")  # pandas accepts them as times
# times outside are rejected later, whatever the zone
_LOCALIZABLE = (
    pd.Timestamp("1900-01-01", tz="UTC"),
    pd.Timestamp("2200-01-01", tz="UTC"),
)

_KW = {"W": 1 / 1000, "kW": 1, "MW": 1000}
_DECIMAL_COMMA = str.maketrans({",": ".", ".": "?"})
_NO_VALUE = "no value"
_MAX_TEXT_LENGTH = 60


class CellParser:
    """Parses the cells of one file, batch by batch."""

    def __init__(self, layout: Layout, existing_sites: Callable[[Iterable[UUID]], set[UUID]]) -> None:
        """Set the layout of the file, and a function that returns which of the given sites exist."""
        self._layout = layout
        self._existing_sites = existing_sites
        self._sites: dict[str, UUID] = {}
        self._seen_times: dict[str, set[object]] = {"start_utc": set(), "end_utc": set()}

    def frame(self, cells: Mapping[str, Cells], rows: int) -> tuple[pd.DataFrame, dict[int, tuple[str, str]]]:
        """Return a frame for `generation.insert`, and a column and a reason for each invalid row, by position."""
        reasons: dict[str, _Reasons] = {}
        frame: dict[str, Any] = {}
        if self._layout.site_uuid is None:
            frame["site_uuid"], reasons["site_uuid"] = self._site_column(cells["site_uuid"])
        else:
            frame["site_uuid"] = _categorical(np.zeros(rows, int), [self._layout.site_uuid])
        for key in ("start_utc", "end_utc"):
            if key in cells:
                frame[key], reasons[key] = self._times(cells[key], frame["site_uuid"], self._seen_times[key])
        frame["power_kw"], reasons["power_kw"] = self._powers(cells["power_kw"])
        first: dict[int, tuple[str, str]] = {}
        for key, column_reasons in reasons.items():
            for row, reason in column_reasons.items():
                first.setdefault(row, (key, reason))
        return pd.DataFrame(frame), first

    def _site_column(self, cells: Cells) -> tuple[pd.Categorical, _Reasons]:
        codes, uniques = _factorize(cells)
        sites, reasons = dict.fromkeys(range(len(uniques))), {-1: _NO_VALUE}
        for code, cell in enumerate(uniques.tolist()):
            text = cell.strip() if isinstance(cell, str) else cell
            if text in self._sites:
                sites[code] = self._sites[text]
            elif text == "":
                reasons[code] = _NO_VALUE
            else:
                try:
                    sites[code] = as_uuid(text, "")
                except InvalidInput as error:
                    reasons[code] = error.reason
        new = {site for site in sites.values() if site is not None} - set(self._sites.values())
        missing = new - self._existing_sites(new) if new else set()
        for code, site in sites.items():
            if site in missing:
                reasons[code] = "no site has this uuid"
            elif site is not None:
                self._sites[uniques[code].strip()] = site
        categories = list(dict.fromkeys(site for site in sites.values() if site is not None))
        category_codes = {site: code for code, site in enumerate(categories)}
        new_codes = np.array([*(category_codes.get(site, -1) for site in sites.values()), -1])
        return _categorical(new_codes[codes], categories), _by_row(codes, reasons)

    def _times(self, cells: Cells, sites: pd.Categorical, seen: set[object]) -> tuple[Any, _Reasons]:
        reasons: _Reasons = {}
        if not isinstance(cells, pd.Series):
            codes, uniques = _factorize(cells)
            times_utc, naive, reasons = self._parse([cell.strip() for cell in uniques.tolist()])
        elif pd.api.types.is_datetime64_any_dtype(cells.dtype):
            codes, uniques = _factorize(cells)
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
                code: _reason(f"a nonexistent time in {zone}", str(uniques[code])) for code in nonexistent
            } | reasons
            if self._layout.ambiguous == "error":
                for code in np.flatnonzero(ambiguous).tolist():
                    reasons[code] = _reason(f"an ambiguous time in {zone}", str(uniques[code]))
        times = _take(later if self._layout.ambiguous == "later" else times_utc, codes)
        if self._layout.ambiguous == "order" and ambiguous.any():
            repeated = np.zeros(len(times), bool)
            for row in np.flatnonzero(ambiguous[codes] & (codes >= 0)).tolist():
                key = (sites[row], times[row])
                repeated[row] = key in seen
                seen.add(key)
            times = times.where(~repeated, _take(later, codes))
        return times, _by_row(codes, reasons)

    def _parse(self, texts: list[str]) -> tuple[pd.DatetimeIndex, Array, _Reasons]:
        """Return the times, those without an offset as UTC; which have no offset; and reasons for invalid texts."""
        time_format = self._layout.time_format
        times_utc = pd.DatetimeIndex(
            pd.to_datetime(np.array(texts, object), format=time_format or "ISO8601", utc=True, errors="coerce")
        )
        min_length = 1 if time_format else _MIN_DATE_LENGTH
        invalid = np.array([len(text) < min_length or text in _RELATIVE_TIMES for text in texts], bool)
        invalid |= np.asarray(times_utc.isna())
        reasons = {code: _reason("not a time", texts[code]) for code in np.flatnonzero(invalid).tolist()}
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

    def _powers(self, cells: Cells) -> tuple[Any, _Reasons]:
        factor = _KW[self._layout.unit]
        if isinstance(cells, pd.Series):
            if factor == 1 or not pd.api.types.is_numeric_dtype(cells.dtype):
                return cells, {}
            return _scale(cells.to_numpy("f8", na_value=np.nan), factor), {}
        texts = [cell.translate(_DECIMAL_COMMA) for cell in cells] if self._layout.decimal == "," else cells
        reasons: _Reasons = {}
        joined = "".join(texts)
        try:
            if "_" in joined or not joined.isascii():  # float() accepts both
                raise ValueError
            values = np.fromiter(map(float, texts), "f8", len(texts))
        except ValueError:
            values = np.zeros(len(texts))
            for row, text in enumerate(texts):
                try:
                    if "_" in text or not text.isascii():
                        raise ValueError
                    values[row] = float(text)
                except ValueError:
                    reasons[row] = _reason("not a number", cells[row]) if text.strip() else _NO_VALUE
        return _scale(values, factor), reasons


def _scale(values: Array, factor: float) -> Array:
    with np.errstate(over="ignore"):  # infinite values are rejected later
        scaled: Array = values / 1000 if factor < 1 else values * factor  # exact to the last digit, unlike * 0.001
    return scaled


def _factorize(cells: Cells) -> tuple[Array, Any]:
    return pd.factorize(cells if isinstance(cells, pd.Series) else np.array(cells, object))


def _take(times_utc: pd.DatetimeIndex, codes: Array) -> pd.DatetimeIndex:
    missing = pd.DatetimeIndex([pd.NaT], dtype=times_utc.dtype)
    return pd.DatetimeIndex(times_utc.append(missing)[codes])  # code -1 selects the last one, NaT


def _categorical(codes: Array, sites: list[UUID]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, pd.Index(sites, dtype=object))


def _by_row(codes: Array, reasons: Mapping[int, str]) -> _Reasons:
    rows = np.flatnonzero(np.isin(codes, list(reasons)))
    return {row: reasons[code] for row, code in zip(rows.tolist(), codes[rows].tolist(), strict=True)}


def _reason(reason: str, text: str) -> str:
    shortened = text if len(text) <= _MAX_TEXT_LENGTH else f"{text[:_MAX_TEXT_LENGTH]}..."
    return f"{reason}: {shortened!r}" if text else _NO_VALUE
