"""Parses texts that are numbers, as exports of portals and spreadsheets write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ..engine.arrays import Array
from ..errors import InvalidInput
from .layout import Unit
from .plain_texts import PlainTexts
from .reasons import Reasons, reason_of
from .units import as_unit

__all__ = ["NumberParser"]

_DECIMAL_COMMA = str.maketrans({",": ".", ".": "?"})
_EMPTY = {"", "nan", "null", "none", "na", "n/a", "#n/a", "<na>", "-", "--", "unavailable", "unknown"}
_MINUS = "\N{MINUS SIGN}"
_WITH_UNIT = re.compile(r"(.*[^a-z\s])\s*([km]?wh?)", re.IGNORECASE)
# digits in groups of three; a group of blanks may use no-break spaces
_GROUPS = r"([+-]?[1-9][0-9]{0,2}(?:([%s])[0-9]{3})(?:\2[0-9]{3})*)(%s[0-9]*)?(e[+-]?[0-9]+)?"
_BLANKS_AND_QUOTES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}\N{THIN SPACE}'\N{RIGHT SINGLE QUOTATION MARK}"
_ONE_GROUP = 3


class NumberParser:
    """Parses the texts of files of one layout, batch by batch."""

    def __init__(self, decimal: str, unit: Unit) -> None:
        """Set the decimal sign, and the unit that may follow a number."""
        self._decimal, self._other = decimal, "," if decimal == "." else "."
        self._unit = unit
        groups = _GROUPS % (_BLANKS_AND_QUOTES + self._other, re.escape(decimal))
        self._grouped = re.compile(groups, re.IGNORECASE)
        self._as_thousands: str | None = None  # a cell such as 1,234 that is 1234, but would be 1.234 with --decimal ,
        self._as_decimals: str | None = None  # a cell such as 0,123 that is a number with --decimal , only

    def parse(self, cells: Sequence[str]) -> tuple[Array, Reasons]:
        """Return the numbers, NaN for cells without a value, and the reasons for invalid cells.

        Raises:
            InvalidInput: the cells so far contradict the decimal sign.
        """
        if isinstance(cells, PlainTexts) and self._decimal == "." and (values := cells.floats()) is not None:
            return values, {}
        texts = cells if self._decimal == "." else [cell.translate(_DECIMAL_COMMA) for cell in cells]
        joined = "".join(texts)
        try:
            if "_" in joined or not joined.isascii():  # float() accepts both
                raise ValueError
            return np.fromiter(map(float, texts), "f8", len(texts)), {}
        except ValueError:
            return self._one_by_one(cells)

    def _one_by_one(self, cells: Sequence[str]) -> tuple[Array, Reasons]:
        values, reasons = np.zeros(len(cells)), {}
        known: dict[str, float | str] = {}
        for row, cell in enumerate(cells):
            if (found := known.get(cell)) is None:
                found = known[cell] = self._number(cell)
            if isinstance(found, str):
                reasons[row] = found
            else:
                values[row] = found
        if self._as_thousands is not None and self._as_decimals is not None:
            raise InvalidInput(
                f"{self._as_thousands!r} is read as thousands, but {self._as_decimals!r} is a number only with "
                f"--decimal {self._other!r}: add it",
                column="power_kw",
            )
        return values, reasons

    def _number(self, cell: str) -> float | str:
        """Return the number of a cell, NaN if it has no value, or the reason why it is invalid."""
        text = cell.strip().replace(_MINUS, "-")
        if (with_unit := _WITH_UNIT.fullmatch(text)) and (unit := as_unit(with_unit[2])):
            if unit != self._unit:
                return reason_of(f"in {unit}, but --unit is {self._unit}", cell)
            text = with_unit[1]
        if text.lower() in _EMPTY:
            return np.nan
        if (number := _float(text if self._decimal == "." else text.translate(_DECIMAL_COMMA))) is not None:
            return number
        if grouped := self._grouped.fullmatch(text):
            integer, separator, fraction, exponent = grouped.groups(default="")
            if separator == self._other and not fraction and integer.count(separator) == 1:
                self._as_thousands = self._as_thousands or cell
            digits = integer.replace(separator, "") + fraction.replace(self._decimal, ".")
            return float(digits + exponent)
        if self._decimal not in text and _float(text.replace(self._other, ".")) is not None:
            self._as_decimals = self._as_decimals or cell
            return reason_of(f"not a number with --decimal {self._decimal!r}, but with --decimal {self._other!r}", cell)
        return reason_of("not a number", cell)


def _float(text: str) -> float | None:
    if "_" in text or not text.isascii():
        return None
    try:
        return float(text)
    except ValueError:
        return None
