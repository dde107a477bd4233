"""Parses cells that are powers or energies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from .batch import Cells
from .layout import Layout
from .numbers import NumberParser
from .reasons import NO_VALUE, Reasons

__all__ = ["PowerParser"]

_NO_POWER = f"{NO_VALUE}; add --empty zero or --empty skip to accept it"


class PowerParser:
    """Parses the power cells of files of one layout, batch by batch."""

    def __init__(self, layout: Layout) -> None:
        """Set the layout of the file."""
        self._layout = layout
        self._numbers = NumberParser(layout.decimal, layout.unit)

    def parse(self, cells: Cells) -> tuple[Any, Reasons, Array]:
        """Return the powers in kW, or energies in their own unit; reasons for invalid cells; and the rows to skip."""
        values, reasons = self.values(cells)
        skipped: Array = np.empty(0, int)
        if values is None:
            return cells, {}, skipped  # the frame is rejected later
        if (empty := np.isnan(values)).any():
            rows = np.flatnonzero(empty)
            values[rows] = 0
            if self._layout.empty == "refuse":
                reasons = reasons | dict.fromkeys(rows.tolist(), _NO_POWER)
            elif self._layout.empty == "skip":
                skipped = rows
        elif isinstance(cells, pd.Series) and self._layout.unit == "kW":
            return cells, {}, skipped  # integers that a float cannot represent are rejected later
        return values, reasons, skipped

    def values(self, cells: Cells) -> tuple[Array | None, Reasons]:
        """Return the powers in kW, or energies in their own unit; NaN for empty cells, None if they are not numbers.

        Also return the reasons for invalid cells.
        """
        if not isinstance(cells, pd.Series):
            values, reasons = self._numbers.parse(cells)
        elif pd.api.types.is_numeric_dtype(cells.dtype):
            values, reasons = cells.to_numpy("f8", na_value=np.nan, copy=True), {}
        else:
            return None, {}
        with np.errstate(over="ignore"):  # infinite values are rejected later
            if self._layout.unit == "W":
                values = values / 1000  # exact to the last digit, unlike * 0.001
            elif self._layout.unit == "MW":
                values = values * 1000
        return values, reasons
