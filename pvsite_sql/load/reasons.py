"""Why a cell is invalid, and what the parsers of cells share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from .batch import Cells
from .plain_texts import PlainTexts

__all__ = ["NO_VALUE", "Reasons", "by_row", "factorize", "reason_of"]

Reasons = dict[int, str]  # by row position

NO_VALUE = "no value"
_MAX_TEXT_LENGTH = 60


def factorize(cells: Cells) -> tuple[Array, Any]:
    """Return a code for each cell (-1: missing in a typed column), and the distinct cells by code."""
    if isinstance(cells, PlainTexts):
        return cells.factorize()
    return pd.factorize(cells if isinstance(cells, pd.Series) else np.array(cells, object))


def by_row(codes: Array, reasons: Mapping[int, str]) -> Reasons:
    """Return the reasons of codes for each row that has one of these codes."""
    rows = np.flatnonzero(np.isin(codes, list(reasons)))
    return {row: reasons[code] for row, code in zip(rows.tolist(), codes[rows].tolist(), strict=True)}


def reason_of(reason: str, text: str) -> str:
    """Return a reason with the cell's text, shortened."""
    shortened = text if len(text) <= _MAX_TEXT_LENGTH else f"{text[:_MAX_TEXT_LENGTH]}..."
    return f"{reason}: {shortened!r}" if text else NO_VALUE
