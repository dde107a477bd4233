"""Turns the typed values of Excel and JSON files into cells."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

import numpy as np
import pandas as pd

from .batch import Cells

__all__ = ["as_cells", "as_text", "as_texts", "python_values"]

_EXACT = 2**53  # up to which floats are whole numbers without gaps


def as_cells(values: Sequence[Any], decimal: str = ".") -> Cells:
    """Return the values of a column: numbers or datetimes as a series, everything else as texts.

    Args:
        values: numbers, texts, datetimes, dates, times, timedeltas or truth values; None is a missing one.
        decimal: the decimal sign of numbers in a column that also has texts.
    """
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {str}:
        return ["" if value is None else value for value in values]
    if kinds and kinds <= {int, float}:
        return _numbers(values)
    if datetime in kinds and kinds <= {datetime, date} and not any(_is_aware(value) for value in values):
        moments = [datetime.combine(value, time()) if type(value) is date else value for value in values]
        return pd.Series(pd.to_datetime(np.array(moments, object)).as_unit("us"))
    return [as_text(value, decimal) for value in values]


def as_text(value: object, decimal: str = ".") -> str:
    """Return a value as a text file would have it. A whole number has no decimal places, None is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return _number_text(value).replace(".", decimal)
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return str(value)


def as_texts(cells: Cells) -> list[str]:
    """Return the texts of a column."""
    return [as_text(value) for value in python_values(cells)]


def python_values(cells: Cells) -> Iterable[Any]:
    """Return cells as values, None for missing ones."""
    if isinstance(cells, pd.Series):
        return [None if pd.isna(value) else value for value in cells.tolist()]
    return [cell or None for cell in cells]


def _number_text(value: float) -> str:
    return str(int(value)) if abs(value) < _EXACT and value == math.trunc(value) else repr(value)


def _numbers(values: Sequence[Any]) -> Cells:
    try:
        if None not in values and not any(type(value) is float for value in values):
            return pd.Series(np.array(values, "i8"))
        return pd.Series(np.array([math.nan if value is None else value for value in values], "f8"))
    except OverflowError:  # a whole number of hundreds of digits
        return [as_text(value) for value in values]


def _is_aware(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is not None
