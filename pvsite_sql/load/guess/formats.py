"""Finds the formats that texts of times can have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

__all__ = ["formats_of", "has_date", "has_time", "has_time_only", "is_epoch", "parse_times"]

_DATE = (
    r"(?P<iso>\d{4}(?P<s1>[-/.])\d{1,2}(?P=s1)\d{1,2})"
    r"|(?P<last>\d{1,2}(?P<s2>[-/. ])\d{1,2}(?P=s2)(?P<y2>\d{4}|\d{2}))"
    r"|(?P<named>\d{1,2}(?P<s3>[- /.])[^\W\d_]{3,9}\.?(?P=s3)(?P<y3>\d{4}|\d{2}))"
    r"|(?P<compact>(?:19|20)\d\d[01]\d[0-3]\d)"
)
_TIME = r"\d{1,2}(?P<t>[:.])\d{2}(?P<second>(?P=t)\d{2}(?P<fraction>\.\d+)?)?(?P<half> ?[AaPp][Mm])?"
_OFFSET = r"(?P<blank> ?)(?P<offset>Z|[+-]\d{2}(?::?\d{2})?)"
_WHOLE = re.compile(rf"(?:{_DATE})(?:(?P<gap>, | +|T)(?P<time>{_TIME})(?:{_OFFSET})?)?")
_ONLY_TIME = re.compile(_TIME)
_HOUR_24 = re.compile(r"(?<=[T ])24(?=[:.]?00)")
_TIME_OF_FORMAT = re.compile(r",? ?T?%[HI].*$")
_EPOCHS = {"epoch": 1000, "epoch-ms": 1}  # milliseconds
_SECONDS, _MILLISECONDS = re.compile(r"1\d{9}(?:\.\d+)?"), re.compile(r"1\d{12}")


def has_date(text: str) -> bool:
    """Return whether a text is a date, with or without a time."""
    return _WHOLE.fullmatch(text) is not None


def has_time(text: str) -> bool:
    """Return whether a text is a date with a time of day."""
    found = _WHOLE.fullmatch(text)
    return found is not None and found["time"] is not None


def has_time_only(text: str) -> bool:
    """Return whether a text is a time of day."""
    return ":" in text and _ONLY_TIME.fullmatch(text) is not None


def is_epoch(text: str) -> bool:
    """Return whether a text is a Unix time, in seconds or milliseconds."""
    return bool(_SECONDS.fullmatch(text) or _MILLISECONDS.fullmatch(text))


def formats_of(text: str) -> list[str | None]:
    """Return the formats that a time can have, the likeliest first; None is ISO 8601."""
    if _SECONDS.fullmatch(text):
        return ["epoch"]
    if _MILLISECONDS.fullmatch(text):
        return ["epoch-ms"]
    found = _WHOLE.fullmatch(text)
    if found is None:
        return []
    dates: list[str]
    if found["iso"]:
        dates = [f"%Y{found['s1']}%m{found['s1']}%d"]
    elif found["last"]:
        year = "%Y" if len(found["y2"]) > 2 else "%y"  # noqa: PLR2004
        dates = [f"%d{found['s2']}%m{found['s2']}{year}"]
        if found["s2"] in "/-":
            dates.append(f"%m{found['s2']}%d{found['s2']}{year}")
        if year == "%y":
            dates.append(f"%y{found['s2']}%m{found['s2']}%d")
    elif found["named"]:
        year = "%Y" if len(found["y3"]) > 2 else "%y"  # noqa: PLR2004
        dates = [f"%d{found['s3']}{month}{found['s3']}{year}" for month in ("%b", "%B")]
    else:
        dates = ["%Y%m%d"]
    formats: list[str | None] = [date + _rest(found) for date in dates]
    half = found["half"]
    if half:
        formats.reverse()  # where the day has two halves, the month mostly comes first
    iso = found["iso"] and found["s1"] == "-" and (not found["time"] or (found["t"] == ":" and not half))
    return [None, *formats] if iso else formats


def _rest(found: re.Match[str]) -> str:
    if not found["time"]:
        return ""
    separator, half = found["t"], found["half"]
    text = found["gap"] + ("%I" if half else "%H") + f"{separator}%M"
    if found["second"]:
        text += f"{separator}%S" + (".%f" if found["fraction"] else "")
    if half:
        text += " %p" if half.startswith(" ") else "%p"
    return text + (f"{found['blank']}%z" if found["offset"] else "")


def parse_times(texts: Sequence[str], time_format: str | None) -> pd.Series[Any]:
    """Return the times of texts, those without an offset as UTC; NaT for texts in another format."""
    if time_format == "excel":
        days = pd.to_numeric(pd.Series(texts).str.replace(",", ".", regex=False), errors="coerce")
        return pd.Series(pd.to_datetime(days, unit="D", origin="1899-12-30", utc=True, errors="coerce")).dt.round("s")
    if time_format in _EPOCHS:
        milliseconds = pd.to_numeric(pd.Series(texts), errors="coerce") * _EPOCHS[time_format]
        return pd.Series(pd.to_datetime(milliseconds, unit="ms", utc=True, errors="coerce"))
    written = pd.Series(texts, dtype=object)
    midnight = written.str.contains(_HOUR_24)
    written = written.str.replace(_HOUR_24, "00", regex=True)
    times = pd.Series(pd.to_datetime(written, format=time_format or "ISO8601", utc=True, errors="coerce"))
    if times.isna().any() and time_format and (date_format := _TIME_OF_FORMAT.sub("", time_format)) != time_format:
        dates = pd.Series(pd.to_datetime(written, format=date_format, utc=True, errors="coerce"))
        times = times.fillna(dates)  # a midnight without its time
    return times.where(~midnight, times + pd.Timedelta(days=1))
