"""Parses times that are numbers: seconds or milliseconds since 1970, and Excel's serial dates."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from .reasons import Reasons, reason_of

__all__ = ["NUMBER_FORMATS", "parse_number_times"]

_NUMBER = re.compile(r"-?\d+(?:\.\d*)?", re.ASCII)  # an exponent, such as in 1.7172E+09, hides lost digits
_DAY_S = 86_400
_LAST_S = 4_102_444_800  # 2100-01-01
_EXCEL_1970, _EXCEL_LAST = 25_569, 73_051  # days since 1899-12-30
_EXCEL_DECIMALS = 5  # of a day: less than half a second

NUMBER_FORMATS = {
    "epoch": "seconds since 1970",
    "epoch-ms": "milliseconds since 1970",
    "excel": "an Excel date",
}
_RANGES = {  # which values are times until 2100, and those of one format are not those of another
    "epoch": (_EXCEL_LAST + 1, _LAST_S),
    "epoch-ms": (_LAST_S + 1, _LAST_S * 1000),
    "excel": (_EXCEL_1970, _EXCEL_LAST),
}


def parse_number_times(cells: Sequence[str] | Array, time_format: str) -> tuple[pd.DatetimeIndex, Reasons]:
    """Return the times, to the microsecond (Excel dates: to the second), and the reasons for invalid cells.

    Args:
        cells: numbers, or texts with decimal points. A text with several numbers is their sum.
        time_format: one of `NUMBER_FORMATS`.

    Returns:
        the times, as UTC (of Excel dates, the local time), and the reasons by position.
    """
    values = cells.astype("f8") if isinstance(cells, np.ndarray) else np.array([_number(text) for text in cells], "f8")
    low, high = _RANGES[time_format]
    with np.errstate(invalid="ignore"):
        valid = (values >= low) & (values <= high)
    reasons = {
        position: reason_of(f"not {NUMBER_FORMATS[time_format]}{_hint(values[position])}", str(cells[position]))
        for position in np.flatnonzero(~valid).tolist()
    }
    if time_format == "excel":
        seconds = (values - _EXCEL_1970) * _DAY_S
        if not isinstance(cells, np.ndarray):
            for position in np.flatnonzero(valid & (np.abs(seconds - np.rint(seconds)) > 1 / 1000)).tolist():
                if len(cells[position].partition(".")[2]) < _EXCEL_DECIMALS:
                    valid[position] = False
                    reasons[position] = reason_of("too few decimals for a time", cells[position])
        values, factor = np.rint(seconds), 1_000_000
    else:
        factor = 1_000_000 if time_format == "epoch" else 1000
    microseconds = np.rint(np.where(valid, values, 0) * factor).astype("i8")
    times = pd.DatetimeIndex(np.where(valid, microseconds, np.iinfo("i8").min).view("M8[us]"))
    return times.tz_localize("UTC"), reasons


def _number(text: str) -> float:
    parts = text.split()
    return sum(map(float, parts)) if parts and all(map(_NUMBER.fullmatch, parts)) else np.nan


def _hint(value: float) -> str:
    fitting = [name for name, (low, high) in _RANGES.items() if low <= value <= high]
    return f" (use --time-format {fitting[0]})" if fitting else ""
