"""PostgreSQL's binary form of timestamptz: microseconds since 2000-01-01 00:00 UTC."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["UNIX_TO_2000_US", "datetime64_of", "datetime_of", "datetimes_of", "microseconds_of"]

UNIX_TO_2000_US = 946_684_800_000_000  # from 1970-01-01 to 2000-01-01

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def datetime_of(since_2000_us: int | np.integer) -> datetime:
    """Return the aware time in UTC."""
    return _EPOCH + timedelta(microseconds=int(since_2000_us))


def datetimes_of(since_2000_us: Iterable[int]) -> list[datetime]:
    """Return `datetime_of` of each number, in half of the time."""
    return list(map(_EPOCH.__add__, map(timedelta, repeat(0), repeat(0), since_2000_us)))


def microseconds_of(time_utc: datetime) -> int:
    """Return the microseconds since 2000-01-01 UTC of an aware time: the inverse of `datetime_of`."""
    return (time_utc - _EPOCH) // _MICROSECOND


def datetime64_of(since_2000_us: npt.NDArray[np.integer]) -> npt.NDArray[np.datetime64]:
    """Return `datetime_of` of each element, as numpy's naive `datetime64[us]` in UTC."""
    return (since_2000_us.astype("=i8") + UNIX_TO_2000_US).view("M8[us]")
