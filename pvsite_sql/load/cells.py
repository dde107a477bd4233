"""Raw cells of files as columns of a frame of readings, with a reason for each cell that is none."""

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

__all__ = ["Reader"]

Reasons = dict[int, str]  # by the position of the row

_TIME_WITH_OFFSET = re.compile(r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$")
_SHORTEST_DATE = len("2024-06-01")  # shorter ones would be a year or a month
_ALWAYS_CHANGING = ("now", "today")  # which pandas takes for times
# what lies outside is refused later, in any zone
_IN_CALENDAR = (
    pd.Timestamp("1900-01-01", tz="UTC"),
    pd.Timestamp("2200-01-01", tz="UTC"),
)

_KW = {"W": 1 / 1000, "kW": 1, "MW": 1000}
_DECIMAL_COMMA = str.maketrans({",": ".", ".": "?"})
_NO_VALUE = "no value"
_SHOWN = 60


class Reader:
    """Makes the cells of one file, batch after batch, into readings."""

    def __init__(self, layout: Layout, known_sites: Callable[[Iterable[UUID]], set[UUID]]) -> None:
        """Take what the file's columns are, and what tells which of some sites exist."""
        self._layout = layout
        self._known_sites = known_sites
        self._sites: dict[str, UUID] = {}
        self._shown: dict[str, set[object]] = {"start_utc": set(), "end_utc": set()}

    def frame(self, cells: Mapping[str, Cells], rows: int) -> tuple[pd.DataFrame, dict[int, tuple[str, str]]]:
        """What `generation.insert` takes, and the positions of the rows that lack a column: which one, and why."""
        reasons: dict[str, Reasons] = {}
        frame: dict[str, Any] = {}
        if self._layout.site_uuid is None:
            frame["site_uuid"], reasons["site_uuid"] = self._site_column(cells["site_uuid"])
        else:
            frame["site_uuid"] = _categorical(np.zeros(rows, int), [self._layout.site_uuid])
        for key in ("start_utc", "end_utc"):
            if key in cells:
                frame[key], reasons[key] = self._times(cells[key], frame["site_uuid"], self._shown[key])
        frame["power_kw"], reasons["power_kw"] = self._powers(cells["power_kw"])
        first: dict[int, tuple[str, str]] = {}
        for key, of_column in reasons.items():
            for row, reason in of_column.items():
                first.setdefault(row, (key, reason))
        return pd.DataFrame(frame), first

    def _site_column(self, cells: Cells) -> tuple[pd.Categorical, Reasons]:
        codes, uniques = _factorized(cells)
        found, bad = dict.fromkeys(range(len(uniques))), {-1: _NO_VALUE}
        for code, cell in enumerate(uniques.tolist()):
            text = cell.strip() if isinstance(cell, str) else cell
            if text in self._sites:
                found[code] = self._sites[text]
            elif text == "":
                bad[code] = _NO_VALUE
            else:
                try:
                    found[code] = as_uuid(text, "")
                except InvalidInput as error:
                    bad[code] = error.reason
        new = {site for code, site in found.items() if site is not None} - set(self._sites.values())
        missing = new - self._known_sites(new) if new else set()
        for code, site in found.items():
            if site in missing:
                bad[code] = "no site has this uuid"
            elif site is not None:
                self._sites[uniques[code].strip()] = site
        distinct = {
            site: n for n, site in enumerate(dict.fromkeys(each for each in found.values() if each is not None))
        }
        places = np.array([*(distinct.get(site, -1) for site in found.values()), -1])
        return _categorical(places[codes], list(distinct)), _by_row(codes, bad)

    def _times(self, cells: Cells, sites: pd.Categorical, shown: set[object]) -> tuple[Any, Reasons]:
        bad: Reasons = {}
        if not isinstance(cells, pd.Series):
            codes, uniques = _factorized(cells)
            moments, naive, bad = self._parsed([cell.strip() for cell in uniques.tolist()])
        elif pd.api.types.is_datetime64_any_dtype(cells.dtype):
            codes, uniques = _factorized(cells)
            moments = pd.DatetimeIndex(uniques)
            naive = np.full(len(moments), moments.tz is None)
            moments = moments.tz_localize("UTC") if moments.tz is None else moments.tz_convert("UTC")
        else:
            return cells, {}  # refused as a whole, later
        zone = self._layout.timezone
        later, twice = moments, np.zeros(len(moments), bool)
        if zone != "UTC" and naive.any():
            later = self._localized(moments, naive, first=False)
            moments = self._localized(moments, naive, first=True)
            twice = np.asarray(moments.notna() & (moments != later))
            gone = np.flatnonzero(moments.isna()).tolist()
            bad = {code: _refused(f"a time that clocks in {zone} pass over", str(uniques[code])) for code in gone} | bad
            if self._layout.ambiguous == "error":
                for code in np.flatnonzero(twice).tolist():
                    bad[code] = _refused(f"a time that clocks in {zone} show twice", str(uniques[code]))
        times = _taken(later if self._layout.ambiguous == "later" else moments, codes)
        if self._layout.ambiguous == "order" and twice.any():
            second = np.zeros(len(times), bool)
            for row in np.flatnonzero(twice[codes] & (codes >= 0)).tolist():
                key = (sites[row], times[row])
                second[row] = key in shown
                shown.add(key)
            times = times.where(~second, _taken(later, codes))
        return times, _by_row(codes, bad)

    def _parsed(self, texts: list[str]) -> tuple[pd.DatetimeIndex, Array, Reasons]:
        """Each text as if it were in UTC where it has no offset; which these are; and those that are no times."""
        given = self._layout.time_format
        moments = pd.to_datetime(np.array(texts, object), format=given or "ISO8601", utc=True, errors="coerce")
        moments = pd.DatetimeIndex(moments)
        shortest = 1 if given else _SHORTEST_DATE
        odd = np.array([len(text) < shortest or text in _ALWAYS_CHANGING for text in texts], bool)
        odd |= np.asarray(moments.isna())
        bad = {code: _refused("not a time", texts[code]) for code in np.flatnonzero(odd).tolist()}
        if given:
            naive = np.full(len(texts), "%z" not in given.lower())
        elif self._layout.timezone == "UTC":
            naive = np.zeros(len(texts), bool)
        else:
            naive = np.array([_TIME_WITH_OFFSET.search(text) is None for text in texts], bool)
        return moments, naive, bad

    def _localized(self, moments: pd.DatetimeIndex, naive: Array, *, first: bool) -> pd.DatetimeIndex:
        """The naive ones in the layout's zone, at the first or the second of two times that look the same there."""
        local = naive & np.asarray((moments > _IN_CALENDAR[0]) & (moments < _IN_CALENDAR[1]))
        wall = moments[local].tz_localize(None)
        aware = wall.tz_localize(self._layout.timezone, ambiguous=np.full(len(wall), first), nonexistent="NaT")
        localized = pd.Series(moments)
        localized[local] = aware.tz_convert("UTC")
        return pd.DatetimeIndex(localized)

    def _powers(self, cells: Cells) -> tuple[Any, Reasons]:
        factor = _KW[self._layout.unit]
        if isinstance(cells, pd.Series):
            if factor == 1 or not pd.api.types.is_numeric_dtype(cells.dtype):
                return cells, {}
            return _scaled(cells.to_numpy("f8", na_value=np.nan), factor), {}
        texts = [cell.translate(_DECIMAL_COMMA) for cell in cells] if self._layout.decimal == "," else cells
        bad: Reasons = {}
        together = "".join(texts)
        try:
            if "_" in together or not together.isascii():  # which Python takes in numbers
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
                    bad[row] = _refused("not a number", cells[row]) if text.strip() else _NO_VALUE
        return _scaled(values, factor), bad


def _scaled(values: Array, factor: float) -> Array:
    with np.errstate(over="ignore"):  # refused later as infinite
        scaled: Array = values / 1000 if factor < 1 else values * factor  # watts / 1000 is exact to the last digit
    return scaled


def _factorized(cells: Cells) -> tuple[Array, Any]:
    return pd.factorize(cells if isinstance(cells, pd.Series) else np.array(cells, object))


def _taken(moments: pd.DatetimeIndex, codes: Array) -> pd.DatetimeIndex:
    missing = pd.DatetimeIndex([pd.NaT], dtype=moments.dtype)
    return pd.DatetimeIndex(moments.append(missing)[codes])  # -1 is the last one


def _categorical(codes: Array, sites: list[UUID]) -> pd.Categorical:
    return pd.Categorical.from_codes(codes, pd.Index(sites, dtype=object))


def _by_row(codes: Array, bad: Mapping[int, str]) -> Reasons:
    rows = np.flatnonzero(np.isin(codes, list(bad)))
    return {row: bad[code] for row, code in zip(rows.tolist(), codes[rows].tolist(), strict=True)}


def _refused(reason: str, text: str) -> str:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{reason}: {shown!r}" if text else _NO_VALUE
