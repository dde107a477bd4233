"""The layout of files of readings: their columns and formats."""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

import pandas as pd

from ..engine.inputs import as_name
from ..errors import InvalidInput
from .batch import REJECT_COLUMNS, WIDE_KEY

__all__ = ["Ambiguous", "Layout", "MissingColumn", "SiteKey", "Unit", "column_name", "find_column"]

Unit = Literal["W", "kW", "MW"]
Ambiguous = Literal["error", "earlier", "later", "order"]
SiteKey = Literal["site_uuid", "client_site_id", "client_site_name", "ml_id"]


@dataclass(frozen=True)
class Layout:
    """The columns and formats of files of readings. A column is given by its name, or by its number, counted from 1.

    Attributes:
        site_uuid: the site of all rows; None: the files have a site column.
        site_column: the column that names the sites; None: the one that is called like `site_key`.
        site_key: what the site column has: site uuids, or another column of the table `sites`.
        client_name: the client whose sites these are; None: look among all sites.
        time_column: the column with the start times.
        end_column: the column with the end times; None: `end_utc`, if a file has it.
        power_column: the column with the power; None: `power_kw` or `generation_power_kw`. With `wide`, one or several.
        wide: each site has a column with its power, and the header names the sites by `site_key`. All columns other
            than those of times are sites', or those that `power_column` lists.
        timezone: time zone of times without a UTC offset.
        ambiguous: how to read a local time that occurs twice because clocks were set back. "error" rejects it;
            "earlier" and "later" choose one; "order" chooses the later one if the site has the time a second time in
            the same file, otherwise the earlier one.
        time_format: strptime format of times that are text; None: ISO 8601.
        unit: unit of the power.
        separator: field separator of CSV files.
        decimal: decimal sign in CSV files, "." or ",".
        encoding: encoding of CSV files without a byte order mark.
        skip_lines: how many lines come before the header of CSV files; 0: the header is the first line that has the
            columns.
        header: whether CSV files have a header. Without one, give columns by their numbers.
        skip_after_header: how many rows to ignore after the header, such as a line of units.
        skip_footer: how many rows to ignore at the end, such as a line of totals.

    Raises:
        InvalidInput: an attribute has an invalid value.
    """

    site_uuid: UUID | None = None
    site_column: str | int | None = None
    site_key: SiteKey = "site_uuid"
    client_name: str | None = None
    time_column: str | int = "start_utc"
    end_column: str | int | None = None
    power_column: str | int | Sequence[str | int] | None = None
    wide: bool = False
    timezone: str = "UTC"
    ambiguous: Ambiguous = "error"
    time_format: str | None = None
    unit: Unit = "kW"
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    skip_lines: int = 0
    header: bool = True
    skip_after_header: int = 0
    skip_footer: int = 0

    def __post_init__(self) -> None:
        choices = {
            "site_key": get_args(SiteKey),
            "unit": get_args(Unit),
            "ambiguous": get_args(Ambiguous),
            "decimal": (".", ","),
        }
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise InvalidInput(
                    f"must be {', '.join(values[:-1])} or {values[-1]}, got {getattr(self, name)!r}", column=name
                )
        if self.client_name is not None:
            as_name(self.client_name, "client_name")
        self._check_wide()
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
        for name in ("skip_lines", "skip_after_header", "skip_footer"):
            if getattr(self, name) < 0:
                raise InvalidInput(f"must not be negative, got {getattr(self, name)}", column=name)
        if not self.header:
            self._check_without_header()

    def _check_without_header(self) -> None:
        if self.wide:
            raise InvalidInput("not without a header, which names the sites", column="wide")
        if self.skip_after_header:
            raise InvalidInput("there is no header; use --skip-lines", column="skip_after_header")
        for name, columns in self._given_columns().items():
            if not columns or any(_number(column) is None for column in columns):
                raise InvalidInput("must be the number of a column, from 1, because there is no header", column=name)

    def _given_columns(self) -> dict[str, list[str | int]]:
        """Return the columns that each option gives; an empty list for one that is found by its name."""
        names = [field.name for field in fields(self) if field.name.endswith(("_column", "_columns"))]
        given = {name: getattr(self, name) for name in names}
        if self.site_uuid is not None or self.wide:
            del given["site_column"]
        return {
            name: _listed(columns)
            for name, columns in given.items()
            if columns is not None or name in ("site_column", "power_column")
        }

    @property
    def has_numbers(self) -> bool:
        """Whether a column is given by its number."""
        return any(_number(column) is not None for columns in self._given_columns().values() for column in columns)

    def _check_wide(self) -> None:
        if not self.wide and not (self.power_column is None or isinstance(self.power_column, (str, int))):
            raise InvalidInput("only --wide takes several", column="power_column")
        for name in ("site_uuid", "site_column"):
            if self.wide and getattr(self, name) is not None:
                raise InvalidInput("not with --wide, where the header names the sites", column=name)

    def select_columns(self, header: Sequence[str], file: str) -> dict[str, int]:
        """Return the positions of the columns to read, by `site_uuid`, `start_utc`, `end_utc` and `power_kw`.

        Raises:
            InvalidInput: a column is missing or duplicated.
        """
        site_column = self.site_key if self.site_column is None else self.site_column
        columns: dict[str, str | int | None] = {
            "site_uuid": None if self.site_uuid is not None or self.wide else site_column,
            "start_utc": self.time_column,
            "end_utc": self.end_column or ("end_utc" if "end_utc" in header else None),
            "power_kw": self.power_column if isinstance(self.power_column, (str, int)) and not self.wide else None,
        }
        if self.power_column is None and not self.wide:
            both = [name for name in ("power_kw", "generation_power_kw") if name in header]
            if len(both) > 1:
                raise InvalidInput(
                    f"{file} has the columns power_kw and generation_power_kw: choose one as the power column"
                )
            columns["power_kw"] = (both or ["power_kw"])[0]
        found = {key: find_column(column, header, file) for key, column in columns.items() if column is not None}
        return found | self._site_columns(header, set(found.values()), file) if self.wide else found

    def _site_columns(self, header: Sequence[str], others: set[int], file: str) -> dict[str, int]:
        """Return the positions of the columns of sites in a wide file."""
        if self.power_column is not None:
            listed = [self.power_column] if isinstance(self.power_column, (str, int)) else self.power_column
            positions = [find_column(column, header, file) for column in listed]
        else:
            width = max((number for number, name in enumerate(header, 1) if name), default=0)  # separators may follow
            skipped = len(REJECT_COLUMNS) if tuple(header[: len(REJECT_COLUMNS)]) == REJECT_COLUMNS else 0
            positions = [position for position in range(skipped, width) if position not in others]
        columns: dict[str, int] = {}
        for position in positions:
            name = header[position]
            if not name:
                raise InvalidInput(f"{file}: column {position + 1} has no name; choose columns with --power-column")
            if f"{WIDE_KEY}{name}" in columns:
                raise InvalidInput(f"{file} has 2 columns {name!r}; choose columns with --power-column")
            columns[f"{WIDE_KEY}{name}"] = position
        if not columns:
            raise MissingColumn(f"{file} has no columns of sites; its header is {', '.join(map(repr, header))}")
        return columns


class MissingColumn(InvalidInput):
    """A header does not have a column."""


def column_name(header: Sequence[str], position: int) -> str:
    """Return the name of a column for messages, which distinguishes it from other ones."""
    name = header[position]
    if not name:
        return f"column {position + 1}"
    return name if header.count(name) == 1 else f"{name} (column {position + 1})"


def _listed(columns: Any) -> list[str | int]:
    if columns is None:
        return []
    if isinstance(columns, (str, int)):
        return [columns]
    return list(columns.values() if isinstance(columns, Mapping) else columns)


def _number(column: str | int) -> int | None:
    if isinstance(column, int):
        return column
    return int(column) if column.isascii() and column.isdigit() else None


def find_column(column: str | int, header: Sequence[str], file: str) -> int:
    """Return the position of a column that is given by its name, or by its number, counted from 1.

    A name that consists of digits is a number, unless the header has it.

    Raises:
        MissingColumn: the header has no such column.
        InvalidInput: it has several of this name.
    """
    if isinstance(column, str) and column in header:
        if (count := header.count(column)) > 1:
            numbers = [number for number, name in enumerate(header, 1) if name == column]
            raise InvalidInput(
                f"{file} has {count} columns {column!r}: choose one by its number, "
                f"{', '.join(map(str, numbers[:-1]))} or {numbers[-1]}"
            )
        return header.index(column)
    number = _number(column)
    if number is not None and 1 <= number <= len(header):
        return number - 1
    raise MissingColumn(f"{file} has no column {column!r}; its header is {', '.join(map(repr, header))}")


def _check_time_format(time_format: str) -> None:
    try:
        if "%" not in time_format:  # pandas accepts "mixed" as a format, and reads 1.2. as the 2nd of January
            raise ValueError
        pd.to_datetime(["-"], format=time_format, errors="coerce")
    except ValueError:
        raise InvalidInput(
            f"invalid format {time_format!r}; use a strptime format such as '%d.%m.%Y %H:%M'", column="time_format"
        ) from None
