"""Pandas frames of readings, checked and brought into arrays for COPY."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import numpy as np
import pandas as pd

from ..errors import Duplicate, InvalidInput
from .binary_copy import Type
from .columns import (
    LAST_US,
    SHOWN,
    UNIX_TO_2000_US,
    Array,
    column_of,
    datetime_of,
    powers,
    reading,
    refuse,
    times,
    uuid_of,
    uuids,
)

__all__ = ["GENERATION", "READINGS", "Readings", "readings", "refused"]

READINGS: dict[str, Type] = {
    "site_uuid": "uuid",
    "start_utc": "timestamptz",
    "end_utc": "timestamptz",
    "generation_power_kw": "double precision",
}
GENERATION: dict[str, Type] = {**READINGS, "created_utc": "timestamptz"}


@dataclass(frozen=True)
class Readings:
    """The readings of a frame, by site and start, each key once.

    Attributes:
        columns: the fields of READINGS as arrays of one length.
        given: how many rows the frame has, repeated keys included.
    """

    columns: dict[str, Array]
    given: int

    def __len__(self) -> int:
        return len(self.columns["site_uuid"])

    def months(self) -> list[date]:
        """The first days of the months (UTC) that readings start in, ascending."""
        since_1970 = (self.columns["start_utc"] + UNIX_TO_2000_US).view("M8[us]")
        months: list[date] = np.unique(since_1970.astype("M8[M]")).astype("M8[D]").tolist()
        return months

    def window(self) -> tuple[datetime, datetime]:
        """The first and the last start."""
        starts = self.columns["start_utc"]
        return datetime_of(starts.min()), datetime_of(starts.max())

    def spans(self, most: int) -> tuple[list[UUID], list[datetime], list[datetime]]:
        """For each site, or for so many of them evenly spaced, its first and last start."""
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


def readings(frame: pd.DataFrame, interval: timedelta, *, keep: str = "first", number: int | None = None) -> Readings:
    """Check a frame of readings; the frame itself is not changed.

    Args:
        frame: `site_uuid` (UUID or text), `start_utc`, `power_kw` or `generation_power_kw`, and optionally `end_utc`;
            other columns are passed over.
        interval: how long a reading lasts where the frame has no `end_utc`.
        keep: which row of a repeated key counts, `first` or `last`; `none`: repeated keys are refused.
        number: the frame's position in an iterable of frames, for the error.

    Raises:
        InvalidInput: names the column and the rows that cannot be stored.
        Duplicate: with `none`, names the rows whose key stands earlier in the frame.
    """
    try:
        if not isinstance(frame, pd.DataFrame):
            raise InvalidInput(f"a pandas DataFrame is wanted, not {type(frame).__name__}")
        return _readings(frame, interval, keep)
    except InvalidInput as error:
        if number is None:
            raise
        raise InvalidInput(
            error.reason,
            column=error.column,
            rows=error.rows,
            count=error.count,
            frame=number,
            all_rows=error.all_rows,
        ) from None


def refused(frame: pd.DataFrame, interval: timedelta) -> Iterator[tuple[str, str, Array]]:
    """All rows of a frame that `readings` would refuse: column, reason, and the positions of the rows; each row once.

    Raises:
        InvalidInput: a column is refused as a whole.
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
        nothing = (np.empty(0, type_) for type_ in ("S16", "i8", "i8", "f8"))
        return Readings(dict(zip(READINGS, nothing, strict=True)), 0)
    distinct, site, start, end, power = _columns(frame, interval)
    chosen = _chosen(site, start, keep)
    columns = (distinct[site[chosen]], start[chosen], end[chosen], power[chosen])
    return Readings(dict(zip(READINGS, columns, strict=True)), len(frame))


def _columns(frame: pd.DataFrame, interval: timedelta) -> tuple[Array, Array, Array, Array, Array]:
    """The distinct sites, and for each row the position of its own among them, start, end and power."""
    power_names = [name for name in ("power_kw", "generation_power_kw") if name in frame.columns]
    if len(power_names) > 1:
        raise InvalidInput("both power_kw and generation_power_kw are given", column="power_kw")
    with reading("site_uuid"):
        distinct, site = uuids(column_of(frame, "site_uuid"), "site_uuid")
    with reading("start_utc"):
        start = times(column_of(frame, "start_utc"), "start_utc", last=LAST_US - 1)
    power_name = (power_names or ["power_kw"])[0]
    with reading(power_name):
        power = powers(column_of(frame, power_name), power_name)
    if "end_utc" in frame.columns:
        with reading("end_utc"):
            end = times(column_of(frame, "end_utc"), "end_utc", last=LAST_US)
        refuse(end <= start, "end_utc", "not after start_utc")
    else:
        end = start + min(interval // timedelta(microseconds=1), 2 * LAST_US)
        refuse(end > LAST_US - UNIX_TO_2000_US, "start_utc", "a reading that ends after 2100")
    return distinct, site, start, end, power


def _chosen(site: Array, start: Array, keep: str) -> Array:
    """The positions of the rows that count, by site and start."""
    order: Array = np.lexsort((start, site))  # stable: rows of one key stay in the frame's order
    repeated = (np.diff(site[order]) == 0) & (np.diff(start[order]) == 0)
    if not repeated.any():
        return order
    if keep == "none":
        again = np.sort(order[1:][repeated])
        rows = InvalidInput("a second row of the same site and start", rows=again[:SHOWN].tolist(), count=len(again))
        raise Duplicate(str(rows), constraint_name="generation_pkey")
    edge = np.ones(1, bool)
    return order[np.r_[edge, ~repeated] if keep == "first" else np.r_[~repeated, edge]]
