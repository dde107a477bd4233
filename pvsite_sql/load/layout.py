"""How files of readings say what a reading is."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pandas as pd

from ..errors import InvalidInput

__all__ = ["Ambiguous", "Layout", "Unit"]

Unit = Literal["W", "kW", "MW"]
Ambiguous = Literal["error", "earlier", "later", "order"]


@dataclass(frozen=True)
class Layout:
    """How files say what a reading is.

    Attributes:
        site_uuid: the site of all rows, whose files need no column for it.
        site_column: the column of the sites' uuids.
        time_column: the column of the times that readings start at.
        end_column: that of the times that they end at; None: `end_utc` where a file has it.
        power_column: None: `power_kw` or `generation_power_kw`.
        timezone: of the times that have no UTC offset of their own.
        ambiguous: what a time means that a clock of that zone shows twice. `error`: nothing; `earlier` or `later`: that
            one; `order`: the earlier one when it comes first for its site in a file, and then the later one.
        time_format: of times as text, in strptime's terms; None: ISO 8601.
        unit: of power.
        separator: between the fields of a CSV file.
        decimal: the decimal sign of numbers in a CSV file, `.` or `,`.
        encoding: of a CSV file; a byte order mark is passed over.

    Raises:
        InvalidInput: an unknown time zone, format, unit, rule, encoding or sign.
    """

    site_uuid: UUID | None = None
    site_column: str = "site_uuid"
    time_column: str = "start_utc"
    end_column: str | None = None
    power_column: str | None = None
    timezone: str = "UTC"
    ambiguous: Ambiguous = "error"
    time_format: str | None = None
    unit: Unit = "kW"
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        for name, values in (("unit", get_args(Unit)), ("ambiguous", get_args(Ambiguous)), ("decimal", (".", ","))):
            if getattr(self, name) not in values:
                raise InvalidInput(
                    f"{', '.join(values[:-1])} or {values[-1]}, not {getattr(self, name)!r}", column=name
                )
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):  # OSError: the name of a folder of zones
            raise InvalidInput(f"no time zone such as Europe/London: {self.timezone!r}", column="timezone") from None
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise InvalidInput(f"no known encoding: {self.encoding!r}", column="encoding") from None
        if self.time_format is not None:
            self._check_time_format(self.time_format)
        if len(self.separator) != 1 or self.separator in '"\r\n':
            raise InvalidInput(f"one character is wanted, not {self.separator!r}", column="separator")
        if self.separator == self.decimal:
            raise InvalidInput("the same as the decimal sign", column="separator")

    def _check_time_format(self, given: str) -> None:
        try:
            if "%" not in given:  # to pandas, "mixed" is one, and takes 1.2. for the 2nd of January
                raise ValueError
            pd.to_datetime(["-"], format=given, errors="coerce")
        except ValueError:
            raise InvalidInput(f"no format such as '%d.%m.%Y %H:%M': {given!r}", column="time_format") from None

    def chosen(self, header: Sequence[str], file: str) -> dict[str, str]:
        """The columns of a file that are read, by the field of a reading that they hold.

        Raises:
            InvalidInput: one is missing, or there twice.
        """
        names = {
            "site_uuid": None if self.site_uuid is not None else self.site_column,
            "start_utc": self.time_column,
            "end_utc": self.end_column or ("end_utc" if "end_utc" in header else None),
            "power_kw": self.power_column,
        }
        if self.power_column is None:
            both = [name for name in ("power_kw", "generation_power_kw") if name in header]
            if len(both) > 1:
                raise InvalidInput(f"{file} has the columns power_kw and generation_power_kw: name the one that counts")
            names["power_kw"] = (both or ["power_kw"])[0]
        found = {key: name for key, name in names.items() if name is not None}
        for name in found.values():
            if (count := header.count(name)) != 1:
                reason = f"{count} columns {name!r}" if count else f"no column {name!r}"
                raise InvalidInput(f"{file} has {reason}; its header is {', '.join(map(repr, header))}")
        return found
