"""The options of `pvsite-sql load --forecasts`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InvalidInput
from .common import exit_with, told_to_differ

if TYPE_CHECKING:
    from ..load import ForecastLoadResult

__all__ = [
    "Created",
    "CreatedColumn",
    "ForecastVersion",
    "Forecasts",
    "LevelColumn",
    "ModelName",
    "ModelVersion",
    "Timestamp",
    "TimestampColumn",
    "forecast_counts",
    "forecast_fields",
    "is_given",
    "option_of",
    "refuse_other_options",
]

_PANEL = "Forecasts"
_OF_FORECASTS = (
    "timestamp",
    "timestamp_column",
    "created",
    "created_column",
    "model_name",
    "model_version",
    "forecast_version",
    "level_column",
)
_OF_READINGS = ("counter", "period_column", "same_key", "wide", "preview")
_NO_LEVELS = "none"

Forecasts = Annotated[
    bool,
    typer.Option(
        "--forecasts", rich_help_panel=_PANEL, help="Load forecasts instead of readings: a row for each value."
    ),
]
Timestamp = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        rich_help_panel=_PANEL,
        help="Time that all forecasts were made for, for files without a timestamp column, such as 2024-06-01T06:00Z. "
        "Without a UTC offset, it is in --timezone.",
    ),
]
TimestampColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=_PANEL,
        help="Column with the times that the forecasts were made for. [default: timestamp_utc]",
    ),
]
Created = Annotated[
    str | None,
    typer.Option(
        metavar="TIME", rich_help_panel=_PANEL, help="Time when all forecasts were made, for backfills. [default: now]"
    ),
]
CreatedColumn = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=_PANEL,
        help="Column with the times when the forecasts were made. [default: created_utc, if the file has it]",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        rich_help_panel=_PANEL,
        help="Model of all forecasts, for files without a column model_name. It is created if it does not exist.",
    ),
]
ModelVersion = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION",
        rich_help_panel=_PANEL,
        help="Version of the model, for files without a column model_version.",
    ),
]
ForecastVersion = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION",
        rich_help_panel=_PANEL,
        help="Version of the forecasting software, for files without a column forecast_version.",
    ),
]
LevelColumn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LEVEL=NAME",
        rich_help_panel=_PANEL,
        help="Column with a probabilistic level, such as p10=low; once for each level, or 'none' to read no levels. "
        "[default: columns with names such as p10]",
    ),
]


def is_given(context: typer.Context, name: str) -> bool:
    """Whether an option was given: its value is not the default one."""
    source = context.get_parameter_source(name)  # None: there is no such option
    return source is not None and source.name != "DEFAULT"


def option_of(field: str | None) -> str:
    """Return the name of the option that sets an attribute of a layout."""
    names = {
        "site_uuid": "site",
        "client_name": "client",
        "timestamp_utc": "timestamp",
        "created_utc": "created",
        "level_columns": "level_column",
    }
    return f"--{names.get(field or '', field or '').replace('_', '-')}"


def refuse_other_options(context: typer.Context, on_conflict: str | None, *, forecasts: bool) -> None:
    """Exit with code 2 if an option was given that does not apply to what is loaded."""
    if forecasts and on_conflict == "update":
        exit_with(2, "--on-conflict: must be replace, ignore or error with --forecasts, got update")
    if not forecasts and on_conflict == "replace":
        exit_with(2, "--on-conflict: must be ignore, update or error without --forecasts, got replace")
    for name in _OF_READINGS if forecasts else _OF_FORECASTS:
        if is_given(context, name):
            exit_with(2, f"{option_of(name)}: {'not with' if forecasts else 'only with'} --forecasts")


def forecast_fields(
    *,
    timezone: str,
    timestamp: str | None,
    created: str | None,
    timestamp_column: str | None,
    created_column: str | None,
    level_column: Sequence[str] | None,
    **fields: Any,
) -> dict[str, Any]:
    """Return the attributes of a `ForecastLayout` that these options set. Exit with code 2 if one is invalid."""
    if timestamp is not None and timestamp_column is not None:
        exit_with(2, "Use either --timestamp or --timestamp-column, not both.")
    if created is not None and created_column is not None:
        exit_with(2, "Use either --created or --created-column, not both.")
    return {
        "timestamp_utc": _time(timestamp, "timestamp", timezone),
        "created_utc": _time(created, "created", timezone),
        "timestamp_column": timestamp_column,
        "created_column": created_column,
        "level_columns": _levels(level_column),
        **fields,
    }


def forecast_counts(result: ForecastLoadResult) -> str:
    """Return the counts of a load in a line."""
    forecasts = f"{result.inserted} forecast{'s' * (result.inserted != 1)} inserted"
    rows = f" ({result.rejected_rows} row{'s' * (result.rejected_rows != 1)})" if result.rejected else ""
    empty = f", {result.empty_rows} empty row{'s' * (result.empty_rows != 1)}" if result.empty_rows else ""
    skipped = f"{result.skipped} skipped{told_to_differ(result.differing, 'replace', None)}"
    return f"{forecasts}, {result.updated} updated, {skipped}, {result.rejected} rejected{rows}{empty}"


def _time(text: str | None, option: str, timezone: str) -> datetime | None:
    if text is None:
        return None
    from ..load.forecast_cells import parse_time

    try:
        return parse_time(text, timezone)
    except InvalidInput as error:
        if error.column == "timezone":
            exit_with(2, f"--timezone: {error.reason}")
        exit_with(2, f"--{option}: {error.reason}")


def _levels(texts: Sequence[str] | None) -> dict[str, str] | None:
    if not texts:
        return None
    if list(texts) == [_NO_LEVELS]:
        return {}
    levels: dict[str, str] = {}
    for text in texts:
        level, is_there, column = text.partition("=")
        if not is_there or not column or level in levels:
            exit_with(2, f"--level-column: must be LEVEL=NAME, once for each level, or 'none', got {text!r}")
        levels[level] = column
    return levels
