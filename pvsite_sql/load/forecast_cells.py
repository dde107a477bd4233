"""Parses raw cells of files into frames of forecast values, with a reason for each invalid cell."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import numpy as np
import pandas as pd

from ..engine.forecast_frames import from_json
from ..errors import InvalidInput
from .batch import Cells
from .cells import CellParser
from .forecast_layout import OPTIONAL_COLUMNS, ForecastLayout
from .layout import Layout, is_time_key
from .powers import PowerParser
from .reasons import NO_VALUE, Reasons, factorize, reason_of
from .sites import SiteFinder, is_site_key, one_site
from .times import TimeParser

__all__ = ["ForecastCellParser"]

_TIMES = ("timestamp_utc", "created_utc")
_TEXTS = ("forecast_version", "model_name", "model_version", "horizon_minutes")
_OF_READINGS = ("site_uuid", "end_utc", "period", "power_kw")


class ForecastCellParser:
    """Parses the cells of one file, batch by batch."""

    def __init__(
        self,
        layout: ForecastLayout,
        interval: timedelta | None,
        find_sites: SiteFinder,
    ) -> None:
        """Set the layout of the file.

        Args:
            layout: the layout.
            interval: duration of a value, for files without an end column.
            find_sites: returns the sites that have given keys.
        """
        self._layout = layout
        self._interval = interval
        self._readings = CellParser(layout, find_sites, interval)
        self._powers = PowerParser(layout)
        self._times = {key: TimeParser(layout) for key in _TIMES}

    def frame(self, cells: Mapping[str, Cells], rows: int) -> tuple[pd.DataFrame, dict[int, tuple[str, str]]]:
        """Return a frame for `forecasts.insert`, and a column and a reason for each invalid row, by position.

        The frame does not have the rows that the layout skips because their power is empty. Its index has positions.

        Raises:
            InvalidInput: a whole column is invalid.
        """
        of_frame = {key: column for key, column in cells.items() if _is_of_readings(key)}
        readings, of_readings, skipped = self._readings.frame(of_frame, rows)
        frame: dict[str, Any] = {str(name): readings[name] for name in readings if name != "power_kw"}
        frame["forecast_power_kw"] = readings["power_kw"]
        if "site_uuid" in cells:
            frame["site_uuid"] = self._with_unknown_sites(readings["site_uuid"], cells["site_uuid"])
        if "end_utc" not in frame:
            frame["end_utc"] = _ends(readings["start_utc"], self._interval)
        reasons: dict[str, Reasons] = {}
        for key in _TIMES:
            if key in cells:
                frame[key], reasons[key] = self._time(key, cells[key], readings["site_uuid"].array)
        for key in _TEXTS:
            if key in cells:
                frame[key] = _texts(cells[key])
        if "probabilistic_values" in cells:
            frame["probabilistic_values"] = self._dicts(cells["probabilistic_values"])
        for key in cells:
            if not _is_of_readings(key) and key not in ("timestamp_utc", *OPTIONAL_COLUMNS):  # a level
                frame[key], reasons[key] = self._level(cells[key])
        first = {row: ("timestamp_utc", reason) for row, reason in reasons.get("timestamp_utc", {}).items()}
        first = of_readings | first  # what says which forecast it is first
        for key, column_reasons in reasons.items():
            for row, reason in column_reasons.items():
                first.setdefault(row, (key, reason))
        for row in skipped.tolist():
            first.pop(row, None)
        return pd.DataFrame(frame).drop(index=skipped.tolist()), first

    def finish(self) -> None:
        """Check the file as a whole, after its last batch.

        Raises:
            InvalidInput: a whole column is invalid.
        """
        self._readings.finish()

    def _with_unknown_sites(self, sites: pd.Series[Any], cells: Cells) -> pd.Series[Any]:
        """Return the sites, with a UUID for each key that no site has, so that its rows make up forecasts."""
        missing = np.flatnonzero(sites.isna())
        if not len(missing):
            return sites
        codes, keys = factorize(cells)
        uuids = np.array(sites, object)
        for code in np.unique(codes[missing]).tolist():
            key = keys[code].strip() if isinstance(keys[code], str) else keys[code]
            if code >= 0 and key != "" and is_site_key(key, self._layout.site_key):
                uuids[codes == code] = uuid5(NAMESPACE_OID, str(key))
        return pd.Series(pd.Categorical(uuids))

    def _time(self, key: str, cells: Cells, sites: pd.Categorical) -> tuple[pd.DatetimeIndex, Reasons]:
        try:
            times = self._times[key].parse(cells, sites)
        except InvalidInput as error:
            raise error.replace(column=key) from None
        reasons = dict.fromkeys(np.flatnonzero(times.utc.isna()).tolist(), NO_VALUE) | times.reasons
        if not self._layout.dates_are_midnight:
            for row in np.flatnonzero(times.dates).tolist():
                reasons[row] = f"{reason_of('a date without a time', str(cells[row]))}; use --dates-are-midnight"
        return times.utc, reasons

    def _level(self, cells: Cells) -> tuple[Any, Reasons]:
        """Return the values in kW, NaN for empty cells."""
        values, reasons = self._powers.values(cells)
        return cells if values is None else values, reasons

    def _dicts(self, cells: Cells) -> pd.Series[Any]:
        """Return dicts of numbers in kW, or their JSON texts if the unit is kW; None for empty cells."""
        texts = cells if isinstance(cells, pd.Series) else _texts(cells)
        if self._layout.unit == "kW":
            return texts
        dicts = [from_json(cell) if isinstance(cell, str) else cell for cell in texts.tolist()]
        numbers = [value for cell in dicts if isinstance(cell, dict) for value in cell.values() if _is_number(value)]
        values, _ = self._powers.values(pd.Series(numbers, dtype="f8"))
        scaled = iter([] if values is None else values.tolist())
        return pd.Series(
            [
                {level: next(scaled) if _is_number(value) else value for level, value in cell.items()}
                if isinstance(cell, dict)
                else cell
                for cell in dicts
            ],
            dtype=object,
        )


def _is_of_readings(key: str) -> bool:
    return key in _OF_READINGS or is_time_key(key)


def _texts(cells: Cells) -> pd.Series[Any]:
    """Return texts without surrounding blanks, and None for empty cells."""
    codes, uniques = factorize(cells)
    values = [cell.strip() or None if isinstance(cell, str) else cell for cell in uniques.tolist()]
    distinct = np.array([*values, None], object)  # code -1, of a missing cell, selects the last one
    return pd.Series(distinct[codes], dtype=object)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _ends(starts: pd.Series[Any], interval: timedelta | None) -> pd.Series[Any]:
    if interval is None:
        raise InvalidInput("no column has the ends of the values; add --interval (minutes), or --end-column")
    return starts + interval


def parse_time(text: str, timezone: str) -> datetime:
    """Return a time in ISO 8601 format. Without a UTC offset, it is in the time zone.

    Raises:
        InvalidInput: it is no time, occurs twice or does not exist there, or the time zone is unknown.
    """
    times = TimeParser(Layout(timezone=timezone)).parse([text], one_site(UUID(int=0), 1))
    if times.reasons:
        raise InvalidInput(f"{times.reasons[0]}; use a time such as 2024-06-01T06:00Z")
    parsed: datetime = times.utc[0].to_pydatetime()
    return parsed
