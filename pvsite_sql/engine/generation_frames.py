"""Check frames of readings and convert them to arrays for COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from ..errors import Duplicate, InvalidInput
from ..models import Generation
from .arrays import Array, uuid_of
from .checks import LAST_US, ROWS_SHOWN, errors_as_invalid_input, raise_for_rows
from .frames import AnyFrame, ArrowStream, Frame, as_frame, is_arrow, is_pandas, site_column_name
from .row_types import READINGS
from .timestamps import UNIX_TO_2000_US, datetime64_of, datetime_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Readings", "Repeats", "find_bad_rows", "parse_readings", "parts_of"]

_PART_MODELS = 100_000
_MAX_RADIX = 65_535


@dataclass(frozen=True)
class Repeats:
    """The rows of a frame that were not chosen, because the one chosen has the same site and start.

    Attributes:
        columns: the fields of READINGS as arrays of the same length.
        rows: the position of each row in its part.
        chosen: for each row the position of the chosen one in `Readings.columns`.
    """

    columns: dict[str, Array]
    rows: Array
    chosen: Array


@dataclass(frozen=True)
class Readings:
    """The readings of a frame, or of a part of it, ordered by site and start, without repeated keys.

    Attributes:
        columns: the fields of READINGS as arrays of the same length.
        row_count: the number of rows in the part, including repeated keys.
        rows: the position of each reading in its part.
        repeats: the other rows; None if no key is repeated.
        frame: the position of the frame in an iterable of frames; None for a single frame.
        first_row: the position of the part's first row in its frame.
    """

    columns: dict[str, Array]
    row_count: int
    rows: Array
    repeats: Repeats | None = None
    frame: int | None = None
    first_row: int = 0

    def __len__(self) -> int:
        return len(self.columns["site_uuid"])

    def months(self) -> list[date]:
        """Return the first days of the months (UTC) in which readings start, in ascending order."""
        starts = self.columns["start_utc"]
        ends = np.array([starts.min(), starts.max()] if len(starts) else [], starts.dtype)
        if len(set(datetime64_of(ends).astype("M8[M]").tolist())) > 1:
            ends = starts
        months: list[date] = np.unique(datetime64_of(ends).astype("M8[M]")).astype("M8[D]").tolist()
        return months

    def window(self) -> tuple[datetime, datetime]:
        """Return the first and the last start."""
        starts = self.columns["start_utc"]
        return datetime_of(starts.min()), datetime_of(starts.max())

    def differing_repeats(self, *, ends_only: bool = False) -> Array:
        """Return the positions of the repeats whose power or end, or only whose end, is not that of the chosen row."""
        if self.repeats is None:
            return np.empty(0, np.intp)
        names = ("end_utc",) if ends_only else ("end_utc", "generation_power_kw")
        differs = [self.repeats.columns[name] != self.columns[name][self.repeats.chosen] for name in names]
        return np.flatnonzero(np.logical_or.reduce(differs))

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


def parts_of(given: Any, interval: timedelta, *, keep: str) -> tuple[Iterator[Readings], bool]:
    """Check and convert readings of any kind, part by part, as they are consumed.

    Args:
        given: a frame, an iterable of frames, or an iterable of `Generation` models.
        interval: see `parse_readings`.
        keep: see `parse_readings`.

    Returns:
        the parts, and whether they are of one frame, which was divided only because it is large. An iterable of frames
        has at least one part a frame.

    Raises:
        InvalidInput: `given` is none of these. The parts raise what `parse_readings` raises.
    """
    if is_pandas(given):
        return iter([parse_readings(given, interval, keep=keep)]), True
    if is_arrow(given):
        return _arrow_parts(given, interval, keep, None), True
    if not isinstance(given, Iterable):
        raise InvalidInput(
            "must be a frame (of pandas, or with __arrow_c_stream__), or an iterable of frames or of Generation "
            f"models, got {type(given).__name__}"
        )
    items = iter(given)
    first = list(islice(items, 1))
    if first and isinstance(first[0], Generation):
        return _model_parts(chain(first, items), interval, keep), True
    return _frame_parts(chain(first, items), interval, keep), False


def _frame_parts(frames: Iterable[Any], interval: timedelta, keep: str) -> Iterator[Readings]:
    for number, frame in enumerate(frames):
        if is_arrow(frame):
            yield from _arrow_parts(frame, interval, keep, number)
        else:
            yield parse_readings(frame, interval, keep=keep, number=number)


def _arrow_parts(stream: ArrowStream, interval: timedelta, keep: str, number: int | None) -> Iterator[Readings]:
    from .arrow_streams import read_parts

    first_row = 0
    try:
        for table in read_parts(stream):
            part = parse_readings(table, interval, keep=keep, number=number, first_row=first_row)
            first_row += part.row_count
            del table  # so that it is not in memory while the next one is read
            yield part
    except InvalidInput as error:
        raise error.replace(frame=number) from None


def _model_parts(models: Iterator[Any], interval: timedelta, keep: str) -> Iterator[Readings]:
    from .pandas_frames import frame_of_models

    first_row = 0
    while part := list(islice(models, _PART_MODELS)):
        for row, model in enumerate(part, start=first_row):
            if not isinstance(model, Generation):
                raise InvalidInput(f"must be a Generation as the ones before, got {type(model).__name__}", rows=[row])
        yield parse_readings(frame_of_models(part, READINGS), interval, keep=keep, first_row=first_row)
        first_row += len(part)


def parse_readings(
    frame: AnyFrame,
    interval: timedelta,
    *,
    keep: str = "first",
    number: int | None = None,
    first_row: int = 0,
) -> Readings:
    """Check and convert a frame of readings without changing it.

    Args:
        frame: has the columns `site_uuid` or `location_uuid` (UUID or text), `start_utc`, `power_kw` or
            `generation_power_kw`, and optionally `end_utc`. Other columns are ignored.
        interval: the duration of a reading if the frame has no `end_utc`.
        keep: the row to use of a repeated key: `first` or `last`. `none` raises `Duplicate`.
        number: the position of the frame in an iterable of frames, for errors.
        first_row: the number of its first row, for errors.

    Raises:
        InvalidInput: names the column and the rows that cannot be stored.
        Duplicate: `keep` is `none` and a key is repeated; names the rows.
    """
    try:
        return _readings(as_frame(frame), interval, keep, number, first_row)
    except InvalidInput as error:
        rows, all_rows = ([row + first_row for row in part] for part in (error.rows, error.all_rows))
        raise error.replace(frame=number, rows=rows, all_rows=all_rows) from None


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
            _columns(as_frame(frame.iloc[left]), interval)
        except InvalidInput as error:
            if not error.all_rows:
                raise
            yield error.column or "", error.reason, left[list(error.all_rows)]
            left = np.delete(left, error.all_rows)
        else:
            return


def _readings(frame: Frame, interval: timedelta, keep: str, number: int | None, first_row: int) -> Readings:
    if not len(frame):
        empty = (np.empty(0, type_) for type_ in ("S16", "i8", "i8", "f8"))
        return Readings(dict(zip(READINGS, empty, strict=True)), 0, np.empty(0, np.intp))
    distinct, site, start, end, power = _columns(frame, interval)

    def columns(rows: Array) -> dict[str, Array]:
        return dict(zip(READINGS, (distinct[site[rows]], start[rows], end[rows], power[rows]), strict=True))

    rows, repeated, chosen = _chosen(site, start, keep, first_row)
    repeats = Repeats(columns(repeated), repeated, chosen) if len(repeated) else None
    return Readings(columns(rows), len(frame), rows, repeats, number, first_row)


def _columns(frame: Frame, interval: timedelta) -> tuple[Array, Array, Array, Array, Array]:
    """Return the distinct sites, and for each row the position of its site among them, its start, end and power."""
    power_names = [name for name in ("power_kw", "generation_power_kw") if name in frame.names]
    if len(power_names) > 1:
        raise InvalidInput("the frame must not have both power_kw and generation_power_kw", column="power_kw")
    site_name = site_column_name(frame.names)
    with errors_as_invalid_input(site_name):
        distinct, site = frame.column(site_name).uuids()
    with errors_as_invalid_input("start_utc"):
        start = frame.column("start_utc").timestamps_us(last=LAST_US - 1)
    power_name = (power_names or ["power_kw"])[0]
    with errors_as_invalid_input(power_name):
        power = frame.column(power_name).floats()
    if "end_utc" in frame.names:
        with errors_as_invalid_input("end_utc"):
            end = frame.column("end_utc").timestamps_us(last=LAST_US)
        raise_for_rows(end <= start, "end_utc", "must be after start_utc")
    else:
        end = start + min(interval // timedelta(microseconds=1), 2 * LAST_US)
        raise_for_rows(end > LAST_US - UNIX_TO_2000_US, "start_utc", "the reading ends after 2100-01-01 UTC")
    return distinct, site, start, end, power


def _chosen(site: Array, start: Array, keep: str, first_row: int) -> tuple[Array, Array, Array]:
    """Choose the rows to store.

    Returns:
        the positions of the chosen rows, by site and start; those of the other rows; and for each of these the place of
        the chosen row with its key among the chosen ones.
    """
    order = _order(site, start)
    repeated = (np.diff(site[order]) == 0) & (np.diff(start[order]) == 0)
    if not repeated.any():
        nothing = np.empty(0, np.intp)
        return order, nothing, nothing
    if keep == "none":
        again = np.sort(order[1:][repeated]) + first_row
        rows = InvalidInput(
            "the frame has another row with the same site and start", rows=again[:ROWS_SHOWN].tolist(), count=len(again)
        )
        raise Duplicate(str(rows), constraint_name="generation_pkey")
    edge = np.ones(1, bool)
    chosen = np.r_[edge, ~repeated] if keep == "first" else np.r_[~repeated, edge]
    before = np.cumsum(chosen)[~chosen]  # how many chosen rows stand before each other row
    return order[chosen], order[~chosen], before - 1 if keep == "first" else before


def _order(site: Array, start: Array) -> Array:
    """Return the positions of the rows by site and start. Rows with the same key stay in the order of the frame."""
    if int(site.max()) > _MAX_RADIX:
        order: Array = np.lexsort((start, site))
        return order
    small = site.astype("u2")  # numpy sorts these by radix, ten times as fast
    if (start[1:] >= start[:-1]).all():
        return np.argsort(small, kind="stable")
    by_start = np.argsort(start, kind="stable")
    ordered: Array = by_start[np.argsort(small[by_start], kind="stable")]
    return ordered
