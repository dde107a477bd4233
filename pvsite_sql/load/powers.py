"""Parses cells that are numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from .batch import Cells
from .layout import Layout
from .reasons import NO_VALUE, Reasons, reason_of

__all__ = ["parse_powers"]

_KW = {"W": 1 / 1000, "kW": 1, "MW": 1000}
_DECIMAL_COMMA = str.maketrans({",": ".", ".": "?"})


def parse_powers(cells: Cells, layout: Layout) -> tuple[Any, Reasons]:
    """Return the powers in kW, and the reasons for invalid cells."""
    factor = _KW[layout.unit]
    if isinstance(cells, pd.Series):
        if factor == 1 or not pd.api.types.is_numeric_dtype(cells.dtype):
            return cells, {}
        return _scale(cells.to_numpy("f8", na_value=np.nan), factor), {}
    texts = [cell.translate(_DECIMAL_COMMA) for cell in cells] if layout.decimal == "," else cells
    reasons: Reasons = {}
    joined = "".join(texts)
    try:
        if "_" in joined or not joined.isascii():  # float() accepts both
            raise ValueError
        values = np.fromiter(map(float, texts), "f8", len(texts))
    except ValueError:
        values = np.zeros(len(texts))
        for row, text in enumerate(texts):
            try:
                if "_" in text or not text.isascii():
                    raise ValueError
                values[row] = float(text)
            except ValueError:
                reasons[row] = reason_of("not a number", cells[row]) if text.strip() else NO_VALUE
    return _scale(values, factor), reasons


def _scale(values: Array, factor: float) -> Array:
    with np.errstate(over="ignore"):  # infinite values are rejected later
        scaled: Array = values / 1000 if factor < 1 else values * factor  # exact to the last digit, unlike * 0.001
    return scaled
