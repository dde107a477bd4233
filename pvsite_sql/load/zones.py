"""Time zones, by name or by a fixed UTC offset, and the days in them."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from ..errors import InvalidInput

__all__ = ["Zone", "localizable", "parse_zone", "start_of_day"]

Zone = str | timezone  # pandas is fastest with a name

_OFFSET = re.compile(r"(?:UTC|GMT)? ?([+-])(\d\d?)(?::?(\d\d))?", re.ASCII | re.IGNORECASE)
_MAX_OFFSET = timedelta(hours=14)
_MINUTES_PER_HOUR = 60
# times outside are rejected later, whatever the zone
_LOCALIZABLE = (pd.Timestamp("1969-01-01", tz="UTC"), pd.Timestamp("2101-01-01", tz="UTC"))


def parse_zone(text: str) -> Zone:
    """Return the zone of a name such as Europe/London, or of an offset such as -05:00, +0530, UTC+05:30 or GMT-3.

    The sign of an offset is that of ISO 8601: positive east of Greenwich. `Etc/GMT+5` is a name with the sign inverted.

    Raises:
        InvalidInput: there is no such zone.
    """
    if match := _OFFSET.fullmatch(text):
        sign, hours, minutes = match.groups(default="0")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        if int(minutes) < _MINUTES_PER_HOUR and offset <= _MAX_OFFSET:
            return timezone(-offset if sign == "-" else offset)
    else:
        try:
            ZoneInfo(text)
        except (KeyError, ValueError, OSError):  # OSError: the name of a folder of time zones
            pass
        else:
            return text
    raise InvalidInput(
        f"unknown time zone {text!r}; use a name such as Europe/London, or an offset such as +05:30", column="timezone"
    )


def localizable(times_utc: pd.DatetimeIndex) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which times are near enough to the present to be converted between zones."""
    return np.asarray((times_utc > _LOCALIZABLE[0]) & (times_utc < _LOCALIZABLE[1]))


def start_of_day(dates: pd.DatetimeIndex, zone: Zone) -> pd.DatetimeIndex:
    """Return the first instant, in UTC, that clocks in the zone show on each date or, if they skip it, after it.

    Args:
        dates: naive dates, or naive local times.
        zone: the zone.
    """
    first = np.ones(len(dates), bool)
    return dates.tz_localize(zone, ambiguous=first, nonexistent="shift_forward").tz_convert("UTC")
