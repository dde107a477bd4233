"""Check pandas frames of readings and convert them to arrays for COPY."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import numpy as np
import pandas as pd

from ..errors import Duplicate, InvalidInput
from .arrays import Array, uuid_of
from .columns import (
    LAST_US,
    ROWS_SHOWN,
    column_of,
    distinct_uuids,
    errors_as_invalid_input,
    finite_floats,
    raise_for_rows,
    timestamps_us,
)
from .row_types import READINGS
from .timestamps import UNIX_TO_2000_US, datetime64_of, datetime_of

__all__ = ["Readings", "find_bad_rows", "parse_readings"]


@dataclass(frozen=True)
class Readings:
    """The readings of a frame, ordered by site and start, without repeated keys.

    Attributes:
        columns: the fields of READINGS as arrays of the same length.
        row_count: the number of rows in the frame, including repeated keys.
    """

    columns: dict[str, Array]
    row_count: int

    def __len__(self) -> int:
        return len(self.columns["site_uuid"])

    def months(self) -> list[date]:
        """Return the first days of the months (UTC) in which readings start, in ascending order."""
        months: list[date] = (
            np.unique(datetime64_of(self.columns["start_utc"]).astype("M8[M]")).astype("M8[D]").tolist()
        )
        return months

    def window(self) -> tuple[datetime, datetime]:
        """Return the first and the last start."""
        starts = self.columns["start_utc"]
        return datetime_of(starts.min()), datetime_of(starts.max())

    def spans(self, most: int) -> tuple[list[UUID], list[datetime], list[datetime]]:
        """Return sites with the first and last start of each: all sites, or `most` of them, evenly spaced."""
        sites, starts = self.columns["site_uuid"], self.columns["start_utc"]
        first = np.flatnonzero(np.r_[True, sites[1:] != sites[:-1]])
        last = np.r_[first[1:], len(sites)] - 1
        chosen = np.unique(np.linspace(0, len(first) - 1, min(most, len(first))).astype(int))
        first, last = first[chosen], last[chosen]
        return (
            [uuid_of(site) for site in sites[first].tolist()],
            [datetime_of(start) for start in starts[first]],
            [datetime_of(start) for start in starts[last]],
        )


def parse_readings(
    frame: pd.DataFrame, interval: timedelta, *, keep: str = "first", number: int | None = None
) -> Readings:
    """Check and convert a frame of readings without changing it.

    Args:
        frame: has the columns `site_uuid` (UUID or text), `start_utc`, `power_kw` or `generation_power_kw`, and
            optionally `end_utc`. Other columns are ignored.
        interval: the duration of a reading if the frame has no `end_utc`.
        keep: the row to use of a repeated key: `first` or `last`. `none` raises `Duplicate`.
        number: the position of the frame in an iterable of frames, for errors.

    Raises:
        InvalidInput: names the column and the rows that cannot be stored.
        Duplicate: `keep` is `none` and a key is repeated; names the rows.
    """
    try:
        if not isinstance(frame, pd.DataFrame):
            raise InvalidInput(f"must be a pandas DataFrame, got {type(frame).__name__}")
        return _readings(frame, interval, keep)
    except InvalidInput as error:
        raise error.replace(frame=number) from None


def find_bad_rows(frame: pd.DataFrame, interval: timedelta) -> Iterator[tuple[str, str, Array]]:
    """Find the rows of a frame that `parse_readings` does not accept.

    Yields:
        a column, what is wrong, and the positions of the rows. Each row is reported once.

    Raises:
        InvalidInput: a whole column is invalid.
    """
    left = np.arange(len(frame))
    while len(left):
        try:
            _columns(frame.iloc[left], interval)
        except InvalidInput as error:
            if not error.all_rows:
                raise
            yield error.column or "", error.reason, left[list(error.all_rows)]
            left = np.delete(left, error.all_rows)
        else:
            return


def _readings(frame: pd.DataFrame, interval: timedelta, keep: str) -> Readings:
    if not len(frame):
        empty = (np.empty(0, type_) for type_ in ("S16", "i8", "i8", "f8"))
        return Readings(dict(zip(READINGS, empty, strict=True)), 0)
    distinct, site, start, end, power = _columns(frame, interval)
    chosen = _chosen(site, start, keep)
    columns = (distinct[site[chosen]], start[chosen], end[chosen], power[chosen])
    return Readings(dict(zip(READINGS, columns, strict=True)), len(frame))


def _columns(frame: pd.DataFrame, interval: timedelta) -> tuple[Array, Array, Array, Array, Array]:
    """Return the distinct sites, and for each row the position of its site among them, its start, end and power."""
    power_names = [name for name in ("power_kw", "generation_power_kw") if name in frame.columns]
    if len(power_names) > 1:
        raise InvalidInput("the frame must not have both power_kw and generation_power_kw", column="power_kw")
    with errors_as_invalid_input("site_uuid"):
        distinct, site = distinct_uuids(column_of(frame, "site_uuid"), "site_uuid")
    with errors_as_invalid_input("start_utc"):
        start = timestamps_us(column_of(frame, "start_utc"), "start_utc", last=LAST_US - 1)
    power_name = (power_names or ["power_kw"])[0]
    with errors_as_invalid_input(power_name):
        power = finite_floats(column_of(frame, power_name), power_name)
    if "end_utc" in frame.columns:
        with errors_as_invalid_input("end_utc"):
            end = timestamps_us(column_of(frame, "end_utc"), "end_utc", last=LAST_US)
        raise_for_rows(end <= start, "end_utc", "must be after start_utc")
    else:
        end = start + min(interval // timedelta(microseconds=1), 2 * LAST_US)
        raise_for_rows(end > LAST_US - UNIX_TO_2000_US, "start_utc", "the reading ends after 2100-01-01 UTC")
    return distinct, site, start, end, power


def _chosen(site: Array, start: Array, keep: str) -> Array:
    """Return the positions of the rows to store, by site and start."""
    order: Array = np.lexsort((start, site))  # stable: rows with the same key stay in the order of the frame
    repeated = (np.diff(site[order]) == 0) & (np.diff(start[order]) == 0)
    if not repeated.any():
        return order
    if keep == "none":
        again = np.sort(order[1:][repeated])
        rows = InvalidInput(
            "the frame has another row with the same site and start", rows=again[:ROWS_SHOWN].tolist(), count=len(again)
        )
        raise Duplicate(str(rows), constraint_name="generation_pkey")
    edge = np.ones(1, bool)
    return order[np.r_[edge, ~repeated] if keep == "first" else np.r_[~repeated, edge]]
