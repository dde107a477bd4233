"""Formats of times that are text: their parts, and which of them fits a text."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime

import pandas as pd

from ..errors import InvalidInput
from .number_times import NUMBER_FORMATS

__all__ = ["check_time_format", "date_formats", "fitting_formats", "has_time_of_day", "hint", "midnight_formats"]

_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_OF_TIME = frozenset("HIMSpfzZX")
_OF_DATE = frozenset("dmyYbBaAjUWuVGx")
_BETWEEN = " \t,;T@"  # what separates a date from the time

_EPOCH_DIGITS = {10: "epoch", 13: "epoch-ms", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_EXCEL = re.compile(r"[2-7]\d{4}(?:\.\d+)?", re.ASCII)
_YEAR_DIGITS = 4
_TEXT = re.compile(
    r"(?P<first>\d{4}|\d\d?)(?P<between>[-./ ])(?P<second>\d\d?|[A-Za-z]{3,9})(?P=between)(?P<third>\d{4}|\d\d?)"
    r"(?:(?P<gap>,? |T)\d\d?(?P<colon>[:.])\d\d"
    r"(?P<seconds>(?P=colon)\d\d(?P<fraction>\.\d{1,6})?)?(?P<half> ?[AP]M)?)?",
    re.ASCII | re.IGNORECASE,
)


def check_time_format(time_format: str) -> None:
    """Check that a format is one of `NUMBER_FORMATS`, or a strptime format.

    Raises:
        InvalidInput: it is neither.
    """
    if time_format in NUMBER_FORMATS:
        return
    try:
        if "%" not in time_format:  # pandas accepts "mixed" as a format, and reads 1.2. as the 2nd of January
            raise ValueError
        pd.to_datetime(["-"], format=time_format, errors="coerce")
    except ValueError:
        raise InvalidInput(
            f"invalid format {time_format!r}; use a strptime format such as '%d.%m.%Y %H:%M', "
            f"or {', '.join(NUMBER_FORMATS)}",
            column="time_format",
        ) from None


def has_time_of_day(time_format: str) -> bool:
    """Return whether times in a strptime format have more than a date."""
    return any(match[1] in _OF_TIME or match[1] == "c" for match in _DIRECTIVE.finditer(time_format))


def date_formats(time_format: str) -> list[str]:
    """Return formats for the date alone of a strptime format; none if date and time are mixed in it."""
    directives = [match for match in _DIRECTIVE.finditer(time_format) if match[1] in _OF_TIME | _OF_DATE]
    date = [match for match in directives if match[1] in _OF_DATE]
    time = [match for match in directives if match[1] in _OF_TIME]
    if not date or not time:
        return []
    if date[-1].end() <= time[0].start():
        found = [time_format[: time[0].start()].rstrip(_BETWEEN), time_format[: date[-1].end()]]
    elif time[-1].end() <= date[0].start():
        found = [time_format[time[-1].end() :].lstrip(_BETWEEN), time_format[date[0].start() :]]
    else:
        return []
    return list(dict.fromkeys(found))


def midnight_formats(time_format: str) -> list[str]:
    """Return formats for the hour 24 in a strptime format; none if it has no hours from 0 to 23."""
    directives = [match[1] for match in _DIRECTIVE.finditer(time_format)]
    if "H" not in directives:
        return []
    time_format = _DIRECTIVE.sub(lambda match: "24" if match[1] == "H" else match[0], time_format)
    zeros = _DIRECTIVE.sub(lambda match: "0" if match[1] in {"M", "S"} else match[0], time_format)
    double_zeros = _DIRECTIVE.sub(lambda match: "00" if match[1] in {"M", "S"} else match[0], time_format)
    return list(dict.fromkeys([double_zeros, zeros]))


def hint(text: str) -> str:
    """Return what to add to the reason for a text that is no ISO 8601 time: which format to use, if one fits."""
    found = fitting_formats(text)
    if not found:
        return ""
    if len(found) == 1:
        return f" (use --time-format {found[0]!r})"
    return f" (the day or the month first? use --time-format {' or '.join(map(repr, found))})"


def fitting_formats(text: str) -> list[str]:
    """Return the formats that fit a text. Two fit if it is unclear whether the day or the month comes first."""
    if text.isascii() and text.isdigit() and len(text) in _EPOCH_DIGITS:
        formats = [_EPOCH_DIGITS[len(text)]]
    elif _EXCEL.fullmatch(text):
        formats = ["excel"]
    elif match := _TEXT.fullmatch(text):
        formats = [f"{date}{_time_format(match)}" for date in _date_formats(match)]
    else:
        formats = []
    return [each for each in formats if each in NUMBER_FORMATS or _fits(text, each)]


def _date_formats(match: re.Match[str]) -> list[str]:
    between, year = match["between"], "%Y" if len(match["third"]) == _YEAR_DIGITS else "%y"
    if len(match["first"]) == _YEAR_DIGITS:
        orders: list[tuple[str, ...]] = [("%Y", "%m", "%d")]
    elif match["second"].isalpha():
        orders = [("%d", "%b", year), ("%d", "%B", year)]
    elif between == ".":
        orders = [("%d", "%m", year)]
    else:
        orders = [("%d", "%m", year), ("%m", "%d", year)]
    return [between.join(order) for order in orders]


def _time_format(match: re.Match[str]) -> str:
    if match["gap"] is None:
        return ""
    colon = match["colon"]
    text = f"{match['gap']}{'%I' if match['half'] else '%H'}{colon}%M"
    text += f"{colon}%S" if match["seconds"] else ""
    text += ".%f" if match["fraction"] else ""
    return text + (f"{' ' if match['half'].startswith(' ') else ''}%p" if match["half"] else "")


def _fits(text: str, time_format: str) -> bool:
    with suppress(ValueError):
        datetime.strptime(text, time_format)  # noqa: DTZ007  only whether it fits
        return True
    return False
