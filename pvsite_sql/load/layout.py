"""The layout of files of readings: their columns and formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any, ClassVar, Literal, get_args
from uuid import UUID

from ..engine.inputs import as_name
from ..errors import InvalidInput
from .batch import REJECT_COLUMNS, WIDE_KEY
from .time_formats import check_time_format
from .zones import parse_zone

__all__ = [
    "DEFAULT_INTERVAL",
    "Ambiguous",
    "Empty",
    "Label",
    "Layout",
    "MissingColumn",
    "SiteKey",
    "Unit",
    "find_column",
    "is_time_key",
]

DEFAULT_INTERVAL = timedelta(minutes=5)

Unit = Literal["W", "kW", "MW", "Wh", "kWh", "MWh"]
Empty = Literal["refuse", "zero", "skip"]
Ambiguous = Literal["error", "earlier", "later", "order"]
Label = Literal["start", "end"]
SiteKey = Literal["site_uuid", "client_site_id", "client_site_name", "ml_id"]


@dataclass(frozen=True)
class Layout:
    """The columns and formats of files of readings. A column is given by its name, or by its number, counted from 1.

    Attributes:
        site_uuid: the site of all rows; None: the files have a site column.
        site_column: the column that names the sites; None: the one that is called like `site_key`.
        site_key: what the site column has: site uuids, or another column of the table `sites`.
        client_name: the client whose sites these are; None: look among all sites.
        time_column: the column with the start times, or several whose cells are joined by a blank, such as date and
            time. None: `start_utc`, or `end_utc` if `label` is "end".
        end_column: the column with the end times; None: `end_utc`, if a file has it. Without a time column, a reading
            starts its interval before the end.
        period_column: the column with the number of a period, counted from 1 at midnight in `timezone`; the time column
            is the date. Periods last the interval of the load: with half hours, a day has 46, 48 or 50.
        power_column: the column with the power; None: `power_kw` or `generation_power_kw`. With `wide`, one or several.
        wide: each site has a column with its power, and the header names the sites by `site_key`. All columns other
            than those of times are sites', or those that `power_column` lists.
        label: whether the time column says when a reading starts, or when it ends.
        timezone: time zone of times without a UTC offset: a name, or an offset such as "-05:00" or "UTC+05:30".
        ambiguous: how to read a local time that occurs twice because clocks were set back. "error" rejects it;
            "earlier" and "later" choose one; "order" chooses the later one if the site has the time a second time in
            the same file, otherwise the earlier one.
        time_format: strptime format of times that are text; None: ISO 8601. Or what times are that are numbers: "epoch"
            or "epoch-ms" for seconds or milliseconds since 1970, "excel" for days since 1899-12-30 (to the second).
        dates_are_midnight: whether a date without a time is read as its midnight. Otherwise it is invalid, unless
            readings last whole days.
        unit: unit of the power; or of energy, which is divided by the duration of its row.
        counter: the power column is a meter that counts up. A reading is the difference of two states of a site, from
            the time of the first one to that of the second one.
        empty: what to do with a row without a value in the power column. "refuse" rejects it, "zero" reads 0, "skip"
            leaves the row out.
        separator: field separator of CSV files.
        decimal: decimal sign in CSV files, "." or ",".
        encoding: encoding of CSV files without a byte order mark.
        skip_lines: how many lines come before the header of CSV files; 0: the header is the first line that has the
            columns.
        header: whether CSV files have a header. Without one, give columns by their numbers.
        skip_after_header: how many rows to ignore after the header, such as a line of units.
        skip_footer: how many rows to ignore at the end, such as a line of totals.
        sheet: the sheet of Excel files; None: the first one that is visible.
        records: the keys of the array of records in JSON documents, such as `data.values`; None: the only array.

    Raises:
        InvalidInput: an attribute has an invalid value.
    """

    takes_energy: ClassVar[bool] = True

    site_uuid: UUID | None = None
    site_column: str | int | None = None
    site_key: SiteKey = "site_uuid"
    client_name: str | None = None
    time_column: str | int | Sequence[str | int] | None = None
    end_column: str | int | None = None
    period_column: str | int | None = None
    power_column: str | int | Sequence[str | int] | None = None
    wide: bool = False
    label: Label = "start"
    timezone: str = "UTC"
    ambiguous: Ambiguous = "error"
    time_format: str | None = None
    dates_are_midnight: bool = False
    unit: Unit = "kW"
    counter: bool = False
    empty: Empty = "refuse"
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    skip_lines: int = 0
    header: bool = True
    skip_after_header: int = 0
    skip_footer: int = 0
    sheet: str | None = None
    records: str | None = None

    def __post_init__(self) -> None:
        choices = {
            "site_key": get_args(SiteKey),
            "unit": get_args(Unit),
            "label": get_args(Label),
            "empty": get_args(Empty),
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
        if self.counter:
            self._check_counter()
        parse_zone(self.timezone)
        try:
            " ".encode(self.encoding)
        except (LookupError, ValueError):  # also codecs that are not of text
            raise InvalidInput(f"unknown encoding {self.encoding!r}", column="encoding") from None
        if self.time_format is not None:
            check_time_format(self.time_format)
        self._check_times()
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
        by_name = {"power_column"} | (set() if self.end_column else {"time_column"})
        if self.site_uuid is not None or self.wide:
            del given["site_column"]
        else:
            by_name.add("site_column")
        return {name: _listed(columns) for name, columns in given.items() if columns is not None or name in by_name}

    @property
    def column_options(self) -> str:
        """The options that name the columns, for messages."""
        return "--site-column (or --site), --time-column and --power-column"

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

    def _check_counter(self) -> None:
        if not self.unit.endswith("h"):
            raise InvalidInput(f"requires the unit Wh, kWh or MWh, got {self.unit}", column="counter")
        if self.empty == "zero":
            raise InvalidInput("a counter without a value is not at zero: use skip", column="empty")
        for name in ("end_column", "period_column"):
            if getattr(self, name) is not None:
                raise InvalidInput("a state of a counter has one time, in the time column", column=name)
        if self.label == "end":
            raise InvalidInput("a state of a counter is neither at the start nor at the end", column="label")

    def _check_times(self) -> None:
        """Check the options of times that do not go together."""
        if not isinstance(self.time_column, (str, int)) and self.time_column is not None:
            object.__setattr__(self, "time_column", tuple(self.time_column))
            if not self.time_column:
                raise InvalidInput("must name a column", column="time_column")
        several = len(self._time_columns()) > 1
        if self.label == "end" and self.end_column is not None:
            raise InvalidInput("cannot be used with --end-column, which has the ends", column="label")
        if several and (self.time_format or "").startswith("epoch"):
            raise InvalidInput(
                f"{self.time_format} is one column; there are several time columns", column="time_format"
            )
        if self.period_column is None:
            return
        if self.label == "end" or self.end_column is not None:
            name = "label" if self.label == "end" else "end_column"
            raise InvalidInput("cannot be used with --period-column, whose periods have their starts", column=name)
        if self.time_column is None:
            raise InvalidInput("requires --time-column, the column with the date", column="period_column")
        if self.dates_are_midnight:
            raise InvalidInput("cannot be used with --period-column", column="dates_are_midnight")
        if (self.time_format or "").startswith("epoch"):
            raise InvalidInput("a period number requires a date", column="time_format")

    def check_interval(self, interval: timedelta | None) -> None:
        """Check the duration of readings that a load is called with.

        Raises:
            InvalidInput: the starts of readings depend on it and it is None, or a day is not a multiple of it.
        """
        if interval is None and self.period_column is not None:
            raise InvalidInput("required with --period-column: how many minutes a period lasts", column="interval")
        if interval is None and self.counter:
            raise InvalidInput("required with --counter: the longest time between two states", column="interval")
        if interval is None and self.label == "end":
            raise InvalidInput("required with --label end: how many minutes a reading lasts", column="interval")
        if interval is not None and interval <= timedelta(0):
            raise InvalidInput(f"must be above zero, got {interval}", column="interval")
        if interval is not None and self.period_column is not None and timedelta(days=1) % interval:
            raise InvalidInput(f"a day is not a multiple of {interval}", column="interval")

    def _time_columns(self) -> tuple[str | int, ...]:
        if self.time_column is None:
            return ("end_utc" if self.label == "end" else "start_utc",)
        return (self.time_column,) if isinstance(self.time_column, (str, int)) else tuple(self.time_column)

    def select_columns(self, header: Sequence[str], file: str) -> dict[str, int]:
        """Return the positions of the columns to read.

        Their keys are `site_uuid`, `start_utc` (the time column, also if it has ends; further ones are `start_utc 2`
        and so on), `end_utc`, `period` and `power_kw`.

        Raises:
            InvalidInput: a column is missing or duplicated.
        """
        site_column = self.site_key if self.site_column is None else self.site_column
        columns: dict[str, str | int | None] = {
            "site_uuid": None if self.site_uuid is not None or self.wide else site_column,
            **{f"start_utc {n}" if n > 1 else "start_utc": name for n, name in enumerate(self._time_columns(), 1)},
            "end_utc": self.end_column,
            "period": self.period_column,
            "power_kw": self.power_column if isinstance(self.power_column, (str, int)) and not self.wide else None,
        }
        if self.end_column is not None and self.time_column is None and "start_utc" not in header:
            del columns["start_utc"]
        only_starts = self.end_column is None and self.period_column is None and self.label == "start"
        if only_starts and not self.counter and "end_utc" in header:
            columns["end_utc"] = "end_utc"
        if self.power_column is None and not self.wide:
            both = [name for name in ("power_kw", "generation_power_kw") if name in header]
            if len(both) > 1:
                raise InvalidInput(
                    f"{file} has the columns power_kw and generation_power_kw: choose one with --power-column"
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


def is_time_key(key: str) -> bool:
    """Return whether a key of `Layout.select_columns` is that of a time column."""
    return key == "start_utc" or key.startswith("start_utc ")
