"""The layout of files of forecasts: their columns and formats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from ..engine.forecast_frames import level_columns
from ..errors import InvalidInput
from .layout import Layout, find_column
from .units import is_energy

__all__ = ["OPTIONAL_COLUMNS", "ForecastLayout"]

OPTIONAL_COLUMNS = (
    "forecast_version",
    "model_name",
    "model_version",
    "created_utc",
    "horizon_minutes",
    "probabilistic_values",
)


@dataclass(frozen=True)
class ForecastLayout(Layout):
    """The columns and formats of files of forecasts, with a row for each value.

    The files can also have the columns `forecast_version`, `model_name`, `model_version`, `created_utc`,
    `horizon_minutes`, `probabilistic_values`, and levels such as `p10`, as `repo.forecasts.insert` takes them.

    Attributes:
        power_column: the column with the power; None: `forecast_power_kw`.
        timestamp_column: the column with the times that the forecasts were made for; None: `timestamp_utc`.
        created_column: the column with the times when the forecasts were made; None: `created_utc`, if a file has it.
        level_columns: the columns with probabilistic values, by level such as "p10"; None: those with the name of a
            level.
        timestamp_utc: the time that all forecasts were made for; None: the files have a column.
        created_utc: the time when all forecasts were made; None: the files have a column, or now.
        model_name: the model of all forecasts; None: the files have a column, or the model is unknown.
        model_version: the version of the model; None: the files have a column, or it is empty.
        forecast_version: the version of the forecasting software; None: the files have a column, or it is empty.

    The other attributes are those of `Layout`.

    Raises:
        InvalidInput: an attribute has an invalid value.
    """

    takes_energy: ClassVar[bool] = False

    timestamp_column: str | int | None = None
    created_column: str | int | None = None
    level_columns: Mapping[str, str | int] | None = None
    timestamp_utc: datetime | None = None
    created_utc: datetime | None = None
    model_name: str | None = None
    model_version: str | None = None
    forecast_version: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.wide:
            raise InvalidInput("not for forecasts", column="wide")
        if self.ambiguous == "order":
            raise InvalidInput(
                "'order' is for readings: use earlier or later, or write the times with a UTC offset",
                column="ambiguous",
            )
        if is_energy(self.unit):
            raise InvalidInput(f"forecasts must be in W, kW or MW, got {self.unit}", column="unit")
        if self.counter:
            raise InvalidInput("is for readings", column="counter")
        for column, value in (("timestamp_column", "timestamp_utc"), ("created_column", "created_utc")):
            if getattr(self, column) is not None and getattr(self, value) is not None:
                raise InvalidInput(f"must not be given together with {value}", column=column)
        for level in self.level_columns or ():
            if level_columns([level]) != {level: level}:
                raise InvalidInput(
                    f"must be p and the percentile, such as p10 or p2.5, got {level!r}", column="level_columns"
                )

    @property
    def column_options(self) -> str:
        """The options that name the columns, for messages."""
        return (
            "--site-column (or --site), --timestamp-column (or --timestamp), --time-column, "
            "--end-column (or --interval) and --power-column"
        )

    def _given_columns(self) -> dict[str, list[str | int]]:
        """Return the columns that each option gives; an empty list for one that is found by its name."""
        given = super()._given_columns()
        return given if self.timestamp_utc is not None else {"timestamp_column": [], **given}

    def constants(self) -> dict[str, Any]:
        """Return the arguments of `repo.forecasts.insert` that stand for a column."""
        names = ("timestamp_utc", "created_utc", "model_name", "model_version", "forecast_version")
        return {name: getattr(self, name) for name in names}

    def select_columns(self, header: Sequence[str], file: str) -> dict[str, int]:
        """Return the positions of the columns to read.

        They are those of `Layout.select_columns`, and `timestamp_utc`, the optional columns and the levels by name.

        Raises:
            InvalidInput: a column is missing or duplicated, is given as an argument too, or looks like a level.
        """
        of_readings = self if self.power_column is not None else replace(self, power_column="forecast_power_kw")
        positions = super(ForecastLayout, of_readings).select_columns(header, file)
        columns: dict[str, str | int] = {name: name for name in OPTIONAL_COLUMNS if name in header}
        if self.timestamp_utc is None or "timestamp_utc" in header:
            columns["timestamp_utc"] = self.timestamp_column or "timestamp_utc"
        if self.created_column is not None:
            columns["created_utc"] = self.created_column
        for name, value in self.constants().items():
            if value is not None and name in columns:
                raise InvalidInput(f"{file} has a column {name!r}: do not give {name} as well, or rename the column")
        positions |= {key: find_column(column, header, file) for key, column in columns.items()}
        return positions | self._levels(header, file, set(positions.values()))

    def _levels(self, header: Sequence[str], file: str, others: set[int]) -> dict[str, int]:
        if self.level_columns is not None:
            return {level: find_column(column, header, file) for level, column in self.level_columns.items()}
        names = [name for position, name in enumerate(header) if position not in others]
        try:
            return {level: find_column(name, header, file) for level, name in level_columns(names).items()}
        except InvalidInput as error:
            raise InvalidInput(
                f"{file}, column {error.column!r}: {error.reason}; or use --level-column to choose the columns"
            ) from None
