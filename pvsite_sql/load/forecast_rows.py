"""Puts the rows of each forecast together, which can be in several batches."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..errors import InvalidInput

__all__ = ["ForecastAssembler", "ForecastRows"]

_MOST_OPEN_ROWS = 1_000_000
_VARIANT = ("site_uuid", "model_name", "model_version", "forecast_version")
_SORT = "Sort the rows by timestamp and site, or by site and timestamp"


@dataclass(frozen=True)
class ForecastRows:
    """Rows of files.

    Attributes:
        frame: the rows for `forecasts.insert`.
        places: for each row the `source` (the number of its file, from 0), its `number` in the file, and what is
            written if the row is rejected.
    """

    frame: pd.DataFrame
    places: pd.DataFrame

    def __len__(self) -> int:
        return len(self.frame)

    def chosen(self, rows: Array) -> ForecastRows:
        """Return the rows for which a mask is true."""
        return ForecastRows(self.frame[rows], self.places[rows])

    def followed_by(self, rows: ForecastRows) -> ForecastRows:
        """Return these rows and others with the same columns."""
        return ForecastRows(_concat(self.frame, rows.frame), _concat(self.places, rows.places))

    def forecasts(self) -> Array:
        """Return for each row the number of its forecast, from 0, in the order in which the forecasts begin."""
        numbers = np.zeros(len(self), np.int64)
        for name in ("timestamp_utc", *_VARIANT):
            if name in self.frame:
                codes, distinct = pd.factorize(self.frame[name])
                numbers, _ = pd.factorize(numbers * (len(distinct) + 1) + codes + 1)
        return numbers


class ForecastAssembler:
    """Collects rows, and returns them when all rows of their forecast are there.

    A forecast is complete when a whole batch has no row of it.
    """

    def __init__(self, place: Callable[[int, int], str]) -> None:
        """Set a function that returns the text of a place: of the number of a file, and of a row in it."""
        self._place = place
        self._open: ForecastRows | None = None
        self._returned = _Returned()

    def add(self, rows: ForecastRows) -> Iterator[ForecastRows]:
        """Add a batch of rows. Yield the rows of forecasts that are complete.

        Raises:
            InvalidInput: the rows of a forecast are too far apart.
        """
        if self._open is not None and list(self._open.frame) != list(rows.frame):  # of a file with other columns
            yield from self.finish()
        before = 0 if self._open is None else len(self._open)
        together = rows if self._open is None else self._open.followed_by(rows)
        forecasts = together.forecasts()
        continues = np.zeros(len(together), bool)  # by forecast; there are no more forecasts than rows
        continues[forecasts[before:]] = True
        is_open = continues[forecasts]
        self._open = together.chosen(is_open)
        if len(self._open) > _MOST_OPEN_ROWS:
            raise InvalidInput(
                f"{self._first_place(self._open)}: its forecast and those that overlap with it have more than "
                f"{_MOST_OPEN_ROWS:,} rows. {_SORT}"
            )
        if not is_open.all():
            yield self._complete(together.chosen(~is_open))

    def finish(self) -> Iterator[ForecastRows]:
        """Yield the rows of the forecasts that are left: no more rows come."""
        if self._open is not None and len(self._open):
            yield self._complete(self._open)
        self._open = None

    def _complete(self, rows: ForecastRows) -> ForecastRows:
        """Return the rows.

        Raises:
            InvalidInput: other rows of their forecasts were returned earlier.
        """
        _, first = np.unique(rows.forecasts(), return_index=True)
        frame, places = rows.frame.iloc[first], rows.places.iloc[first]
        variants = zip(*(frame[name].tolist() for name in _VARIANT if name in frame), strict=True)
        times = _microseconds(frame["timestamp_utc"]) if "timestamp_utc" in frame else [0] * len(frame)
        for variant, time, source, number in zip(variants, times, places["source"], places["number"], strict=True):
            if (earlier := self._returned.add(variant, time, source, number)) is not None:
                raise InvalidInput(
                    f"{self._place(source, number)}: this row belongs to the same forecast as {self._place(*earlier)}, "
                    f"but is too far away from its other rows. {_SORT}"
                )
        return rows

    def _first_place(self, rows: ForecastRows) -> str:
        first = rows.places.iloc[0]
        return self._place(first["source"], first["number"])


class _Returned:
    """Remembers the forecasts that were returned, in about 20 bytes each."""

    def __init__(self) -> None:
        self._by_variant: dict[Hashable, tuple[array[int], array[int], array[int]]] = {}

    def add(self, variant: Hashable, time: int, source: int, number: int) -> tuple[int, int] | None:
        """Add a forecast with the place where it begins. Return the place of the same forecast if it is there."""
        times, sources, numbers = self._by_variant.setdefault(variant, (array("q"), array("l"), array("q")))
        at = bisect_left(times, time)
        if at < len(times) and times[at] == time:
            return sources[at], numbers[at]
        for column, value in ((times, time), (sources, source), (numbers, number)):
            column.insert(at, value)
        return None


def _microseconds(times: pd.Series[pd.Timestamp]) -> list[int]:
    return pd.DatetimeIndex(times).as_unit("us").asi8.tolist()  # NaT, too


def _concat(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    columns = {}
    for name in first:
        parts = [first[name], second[name]]
        if all(isinstance(part.dtype, pd.CategoricalDtype) for part in parts):
            columns[name] = pd.Series(pd.api.types.union_categoricals(parts))  # concat would make objects of them
        else:
            columns[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(columns)
