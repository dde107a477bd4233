"""The layout of files of readings: their columns and formats."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pandas as pd

from ..errors import InvalidInput

__all__ = ["Ambiguous", "Layout", "Unit", "find_column"]

Unit = Literal["W", "kW", "MW"]
Ambiguous = Literal["error", "earlier", "later", "order"]


@dataclass(frozen=True)
class Layout:
    """The columns and formats of files of readings. A column is given by its name, or by its number, counted from 1.

    Attributes:
        site_uuid: the site of all rows; None: the files have a site column.
        site_column: the column with the site uuids.
        time_column: the column with the start times.
        end_column: the column with the end times; None: `end_utc`, if a file has it.
        power_column: the column with the power; None: `power_kw` or `generation_power_kw`.
        timezone: time zone of times without a UTC offset.
        ambiguous: how to read a local time that occurs twice because clocks were set back. "error" rejects it;
            "earlier" and "later" choose one; "order" chooses the later one if the site has the time a second time in
            the same file, otherwise the earlier one.
        time_format: strptime format of times that are text; None: ISO 8601.
        unit: unit of the power.
        separator: field separator of CSV files.
        decimal: decimal sign in CSV files, "." or ",".
        encoding: encoding of CSV files. A byte order mark is ignored.

    Raises:
        InvalidInput: an attribute has an invalid value.
    """

    site_uuid: UUID | None = None
    site_column: str | int = "site_uuid"
    time_column: str | int = "start_utc"
    end_column: str | int | None = None
    power_column: str | int | None = None
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
                    f"must be {', '.join(values[:-1])} or {values[-1]}, got {getattr(self, name)!r}", column=name
                )
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError):  # OSError: the name of a folder of time zones
            raise InvalidInput(
                f"unknown time zone {self.timezone!r}; use a name such as Europe/London", column="timezone"
            ) from None
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise InvalidInput(f"unknown encoding {self.encoding!r}", column="encoding") from None
        if self.time_format is not None:
            _check_time_format(self.time_format)
        if len(self.separator) != 1 or self.separator in '"\r\n':
            raise InvalidInput(f"must be one character, got {self.separator!r}", column="separator")
        if self.separator == self.decimal:
            raise InvalidInput("must differ from the decimal sign", column="separator")

    def select_columns(self, header: Sequence[str], file: str) -> dict[str, int]:
        """Return the positions of the columns to read, by `site_uuid`, `start_utc`, `end_utc` and `power_kw`.

        Raises:
            InvalidInput: a column is missing or duplicated.
        """
        columns: dict[str, str | int | None] = {
            "site_uuid": None if self.site_uuid is not None else self.site_column,
            "start_utc": self.time_column,
            "end_utc": self.end_column or ("end_utc" if "end_utc" in header else None),
            "power_kw": self.power_column,
        }
        if self.power_column is None:
            both = [name for name in ("power_kw", "generation_power_kw") if name in header]
            if len(both) > 1:
                raise InvalidInput(
                    f"{file} has the columns power_kw and generation_power_kw: choose one as the power column"
                )
            columns["power_kw"] = (both or ["power_kw"])[0]
        return {key: find_column(column, header, file) for key, column in columns.items() if column is not None}


def find_column(column: str | int, header: Sequence[str], file: str) -> int:
    """Return the position of a column that is given by its name, or by its number, counted from 1.

    A name that consists of digits is a number, unless the header has it.

    Raises:
        InvalidInput: the header has no such column, or several of this name.
    """
    if isinstance(column, str) and column in header:
        if (count := header.count(column)) > 1:
            numbers = [number for number, name in enumerate(header, 1) if name == column]
            raise InvalidInput(
                f"{file} has {count} columns {column!r}: choose one by its number, "
                f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
            )
        return header.index(column)
    number = int(column) if isinstance(column, int) or (column.isascii() and column.isdigit()) else 0
    if 1 <= number <= len(header):
        return number - 1
    raise InvalidInput(f"{file} has no column {column!r}; its header is {', '.join(map(repr, header))}")


def _check_time_format(time_format: str) -> None:
    try:
        if "%" not in time_format:  # pandas accepts "mixed" as a format, and reads 1.2. as the 2nd of January
            raise ValueError
        pd.to_datetime(["-"], format=time_format, errors="coerce")
    except ValueError:
        raise InvalidInput(
            f"invalid format {time_format!r}; use a strptime format such as '%d.%m.%Y %H:%M'", column="time_format"
        ) from None
