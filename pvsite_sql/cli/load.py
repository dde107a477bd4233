"""`pvsite-sql load`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import psycopg
import typer

from . import forecast_options as of_forecasts
from .common import Dsn, exit_with, notes_of_ignored_files, require_dsn, told_to_differ
from .preview import from_profile, show_preview, use_profile

if TYPE_CHECKING:
    from ..load import ForecastLoadResult, LoadResult, Progress

__all__ = ["load"]

# copies of types in `pvsite_sql.load`, which imports pandas; a test compares them
_Unit = Literal["W", "kW", "MW", "Wh", "kWh", "MWh"]
_Empty = Literal["refuse", "zero", "skip"]
_Ambiguous = Literal["error", "earlier", "later", "order"]
_SameKey = Literal["first", "last", "mean", "sum"]
_SiteKey = Literal["site_uuid", "client_site_id", "client_site_name", "ml_id"]
_Label = Literal["start", "end"]
_UNKNOWN_SITE = UUID(int=0)  # until its key is looked up
_OnConflict = Literal["ignore", "update", "replace", "error"]
_COLUMNS, _TIMES, _POWER = "Columns", "Times", "Power"  # panels of --help
_CSV, _OTHERS, _DIFFER = "CSV files", "Excel and JSON files", "Rows that differ"


def load(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="CSV, JSON, NDJSON (also .gz), Parquet or Excel (.xlsx) file, a .zip of CSV or JSON files, a folder "
            "of all these, or - for standard input.",
        ),
    ],
    *,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview",
            help="Store nothing. Find out how the file can be read, show what would be stored, and print the command.",
        ),
    ] = False,
    profile: Annotated[  # noqa: ARG001  its callback uses it
        str | None,
        typer.Option(
            metavar="NAME",
            help="Take options from a profile: one that comes with the package, such as sma (an unknown name lists "
            "them), or a file such as roof.toml. Options of the command override it.",
            is_eager=True,
            callback=use_profile,
        ),
    ] = None,
    site: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            rich_help_panel=_COLUMNS,
            help="Site of all rows, for files without a site column: its uuid, or what --site-key says.",
        ),
    ] = None,
    site_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_COLUMNS,
            help="Column that names the sites. [default: the one called like --site-key]",
        ),
    ] = None,
    site_key: Annotated[
        _SiteKey,
        typer.Option(
            rich_help_panel=_COLUMNS,
            help="What --site and the site column have: uuids, or the values of another column of the table sites.",
        ),
    ] = "site_uuid",
    client: Annotated[
        str | None,
        typer.Option(metavar="NAME", rich_help_panel=_COLUMNS, help="Client whose sites these are. [default: any]"),
    ] = None,
    time_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_COLUMNS,
            help="Column with the start times. If the date and the time are in two columns, pass the option twice. "
            "[default: start_utc]",
        ),
    ] = None,
    end_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_COLUMNS,
            help="Column with the end times. Without a column of start times, a reading starts --interval before its "
            "end. [default: end_utc, if the file has it]",
        ),
    ] = None,
    period_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_COLUMNS,
            help="Column with the number of a settlement period, from 1; --time-column is the date. A period lasts "
            "--interval minutes.",
        ),
    ] = None,
    power_column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            rich_help_panel=_COLUMNS,
            help="Column with the power; with --wide also several, one option each. [default: power_kw or "
            "generation_power_kw; of forecasts, forecast_power_kw]",
        ),
    ] = None,
    wide: Annotated[
        bool,
        typer.Option(
            "--wide",
            rich_help_panel=_COLUMNS,
            help="The file has a column for each site, and the header names the sites by --site-key.",
        ),
    ] = False,
    unit: Annotated[
        _Unit,
        typer.Option(
            help="Unit of the power, or of the energy of each row, which is divided by its duration.",
            rich_help_panel=_POWER,
        ),
    ] = "kW",
    counter: Annotated[
        bool,
        typer.Option(
            "--counter",
            help="The power column is a meter that counts up, in Wh, kWh or MWh. The difference of two states makes a "
            "reading, if they are at most --interval apart.",
            rich_help_panel=_POWER,
        ),
    ] = False,
    empty: Annotated[
        _Empty,
        typer.Option(
            help="What to do with rows without a value in the power column: reject them, read 0, or leave them out.",
            rich_help_panel=_POWER,
        ),
    ] = "refuse",
    interval: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            show_default=False,
            rich_help_panel=_TIMES,
            help="Duration of each reading, for files without an end column. 1440 is a day in --timezone. [default: 5; "
            "required for energy and forecasts]",
        ),
    ] = None,
    label: Annotated[
        _Label, typer.Option(rich_help_panel=_TIMES, help="Whether a reading starts or ends at its time.")
    ] = "start",
    timezone: Annotated[
        str,
        typer.Option(
            metavar="ZONE",
            rich_help_panel=_TIMES,
            help="Time zone of times without a UTC offset, such as Europe/London, or an offset, such as +05:30.",
        ),
    ] = "UTC",
    ambiguous: Annotated[
        _Ambiguous,
        typer.Option(
            rich_help_panel=_TIMES,
            help="How to read a local time that occurs twice because clocks were set back: reject it, use the earlier "
            "or the later time, or use the order of the rows (if a site repeats a time in a file, the second one is "
            "the later one).",
        ),
    ] = "error",
    time_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            rich_help_panel=_TIMES,
            help="Format of the times, such as '%d.%m.%Y %H:%M'; or epoch or epoch-ms for seconds or milliseconds "
            "since 1970, or excel for Excel's numbers of dates. [default: ISO 8601]",
        ),
    ] = None,
    dates_are_midnight: Annotated[
        bool,
        typer.Option(
            "--dates-are-midnight",
            rich_help_panel=_TIMES,
            help="Read a date without a time as midnight. Otherwise it is an error, unless --interval is a day.",
        ),
    ] = False,
    separator: Annotated[
        str,
        typer.Option(
            metavar="CHARACTER", rich_help_panel=_CSV, help="Field separator of CSV files; use 'tab' for tabs."
        ),
    ] = ",",
    decimal: Annotated[
        str, typer.Option(metavar="CHARACTER", rich_help_panel=_POWER, help="Decimal sign in CSV files, . or ,")
    ] = ".",
    encoding: Annotated[
        str, typer.Option(metavar="NAME", help="Encoding of CSV files without a byte order mark.", rich_help_panel=_CSV)
    ] = "utf-8",
    skip_lines: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            help="Number of lines before the header. [default: the header is the first line that has the columns]",
            show_default=False,
            rich_help_panel=_CSV,
        ),
    ] = 0,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="There is no header: columns are numbers.", rich_help_panel=_CSV)
    ] = False,
    skip_after_header: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            help="Number of rows to ignore after the header, such as a line of units.",
            rich_help_panel=_CSV,
        ),
    ] = 0,
    skip_footer: Annotated[
        int,
        typer.Option(
            metavar="NUMBER",
            help="Number of rows to ignore at the end, such as a line of totals.",
            rich_help_panel=_CSV,
        ),
    ] = 0,
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Sheet of Excel files. [default: the first visible one]", rich_help_panel=_OTHERS
        ),
    ] = None,
    records: Annotated[
        str | None,
        typer.Option(
            metavar="KEYS",
            help="Where the array of records is in JSON files, such as data.values. [default: the only array]",
            rich_help_panel=_OTHERS,
        ),
    ] = None,
    on_conflict: Annotated[
        _OnConflict | None,
        typer.Option(
            help="What to do if a reading of the same site and start is already stored: keep it (ignore), store the "
            "new one (update), or fail (error). Without --same-key it also decides about rows of one load: keep the "
            "first, store the last, or fail. With --forecasts, what to do with a forecast that is stored already: "
            "replace it, keep it (ignore), or fail (error). [default: keep readings, and fail if two rows of one load "
            "differ; replace forecasts]",
            show_default=False,
            rich_help_panel=_DIFFER,
        ),
    ] = None,
    same_key: Annotated[
        _SameKey | None,
        typer.Option(
            help="What to store of several rows of one load with the same site and start: the first or the last one, "
            "or the mean or sum of their power.",
            rich_help_panel=_DIFFER,
        ),
    ] = None,
    each: Annotated[
        bool, typer.Option("--each", help="Commit after each file. Without it, all files are one transaction.")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write rows that cannot be stored to this CSV file, with file, line and reason, and load the others.",
        ),
    ] = None,
    forecasts: of_forecasts.Forecasts = False,
    timestamp: of_forecasts.Timestamp = None,
    timestamp_column: of_forecasts.TimestampColumn = None,
    created: of_forecasts.Created = None,
    created_column: of_forecasts.CreatedColumn = None,
    model_name: of_forecasts.ModelName = None,
    model_version: of_forecasts.ModelVersion = None,
    forecast_version: of_forecasts.ForecastVersion = None,
    level_column: of_forecasts.LevelColumn = None,
    dsn: Dsn = None,
) -> None:
    """Load readings or forecasts from files, all of them or none.

    A CSV file has a line of column names. Lines before it and blank lines are ignored. If a row cannot be stored, for
    example because its site does not exist, the load fails, names the line and stores nothing. With --each, earlier
    files remain stored. With --rejects, such rows are written to a file and the others are stored. Correct the file
    and load it with the same options.

    A column whose name says another unit, such as 'Energy (kWh)' with --unit kW, is refused. With --counter, the first
    state of each site, states after a gap and states below the one before make no reading. They are counted.

    If two rows have the same site and start, but not the same power and end, the load fails too, and names both lines.
    --same-key or --on-conflict says what to store instead. A reading that was stored before the load is kept.

    Missing month partitions are created. If a load is interrupted, run it again: unless --on-conflict is error, the
    result is the same as that of one complete run. Prints how many rows were inserted, updated, skipped (stored
    already, or repeated in the input) and rejected, and how many of the skipped ones differ from what is stored.

    With --forecasts, a file has a row for each value, and the counts are forecasts. A forecast with a row that cannot
    be stored is rejected as a whole. The rows of a forecast must be close together, as in a file sorted by timestamp.

    \b
    Examples:
    pvsite-sql load roof.csv --preview
    pvsite-sql load 2023.csv.gz 2024.csv.gz
    pvsite-sql load roof.csv --site 7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11 \\
        --time-column time --power-column power --unit W --timezone Europe/London
    pvsite-sql load --forecasts runs.parquet --model-name gbm --model-version 7
    """  # noqa: D301  click reads the backspace
    site_column = None if site is not None and from_profile(context, "site_column") else site_column
    if site is not None and site_column is not None:
        exit_with(2, "Use either --site or --site-column, not both.")
    of_forecasts.refuse_other_options(context, on_conflict, forecasts=forecasts)

    from ..engine.inputs import as_uuid
    from ..errors import InvalidInput
    from ..limits import CallLimits, Limits
    from ..load import ForecastLayout, Layout, find_site, load_forecasts
    from ..load import load as load_readings
    from ..load.same_keys import check_same_key
    from ..repository import Repository

    fields: dict[str, Any] = {}
    if forecasts:
        fields = of_forecasts.forecast_fields(
            timezone=timezone,
            timestamp=timestamp,
            created=created,
            timestamp_column=timestamp_column,
            created_column=created_column,
            level_column=level_column,
            model_name=model_name,
            model_version=model_version,
            forecast_version=forecast_version,
        )
    try:
        keywords: dict[str, Any] = {
            "site_uuid": None if site is None else as_uuid(site, "site") if site_key == "site_uuid" else _UNKNOWN_SITE,
            "site_column": site_column,
            "site_key": site_key,
            "client_name": client,
            "time_column": time_column or None,
            "end_column": end_column,
            "period_column": period_column,
            "power_column": power_column[0] if power_column and len(power_column) == 1 else power_column or None,
            "wide": wide,
            "label": label,
            "timezone": timezone,
            "ambiguous": ambiguous,
            "time_format": time_format,
            "dates_are_midnight": dates_are_midnight,
            "unit": unit,
            "counter": counter,
            "empty": empty,
            "separator": "\t" if separator == "tab" else separator,
            "decimal": decimal,
            "encoding": encoding,
            "skip_lines": skip_lines,
            "header": not no_header,
            "skip_after_header": skip_after_header,
            "skip_footer": skip_footer,
            "sheet": sheet,
            "records": records,
            **fields,
        }
        duration = None if interval is None else _duration(interval)
        if preview:
            others: dict[str, Any] = {"interval": duration, "each": each, "rejects": rejects}
            others |= {"on_conflict": on_conflict, "same_key": same_key}
            show_preview(context, files, {**keywords, **others}, site=site, dsn=dsn)
        layout = (ForecastLayout if forecasts else Layout)(**keywords)
        layout.check_interval(duration)
        check_same_key(same_key, layout)
    except InvalidInput as error:
        exit_with(2, f"{of_forecasts.option_of(error.column)}: {error.reason}")
    conninfo = require_dsn(dsn, "load")
    psycopg.connect(conninfo).close()  # a pool would report an unreachable server only after its timeout

    def report(name: str, result: LoadResult | ForecastLoadResult) -> None:
        if each:
            typer.echo(f"{name}: {_counts(result, on_conflict)}")

    # standard input may be slow, so statements and idle transactions have no timeout
    limits = Limits(bulk=CallLimits(statement_s=0, lock_s=60, idle_s=0))
    # no prepared statements: PgBouncer may lose them, and a bulk load gains nothing from them
    pool: dict[str, Any] = {"min_size": 2, "max_size": 2, "kwargs": {"prepare_threshold": None}}
    with Repository(conninfo, limits=limits, slow_query_ms=None, **pool) as repo, _progress_bar() as progress:
        repo.check()
        if site is not None and site_key != "site_uuid":
            layout = replace(layout, site_uuid=find_site(repo, layout, site))
        common: dict[str, Any] = {"each": each, "rejects": rejects, "progress": progress, "stored": report}
        common["on_conflict"] = on_conflict or ("replace" if forecasts else None)
        result: LoadResult | ForecastLoadResult
        notes: tuple[str, ...] = ()
        with notes_of_ignored_files():
            if isinstance(layout, ForecastLayout):
                result = load_forecasts(repo, files, layout, interval=duration, **common)
            else:
                result = load_readings(repo, files, layout, same_key=same_key, interval=duration, **common)
                notes = result.notes
    for note in notes:
        typer.echo(note, err=True)
    typer.echo(_counts(result, on_conflict))


def _duration(minutes: float) -> timedelta:
    try:
        duration = timedelta(minutes=minutes)
    except (ValueError, OverflowError):  # nan, inf
        duration = timedelta(0)
    if duration <= timedelta(0):
        exit_with(2, f"--interval: must be a number of minutes above zero, got {minutes}")
    return duration


def _counts(result: LoadResult | ForecastLoadResult, on_conflict: _OnConflict | None) -> str:
    """Return the counts as text; of those that few files have, only the ones that are not 0."""
    from ..load import ForecastLoadResult

    if isinstance(result, ForecastLoadResult):
        return of_forecasts.forecast_counts(result)
    usual = ("inserted", "updated", "skipped", "rejected")
    counts = {name: value for name, value in result if isinstance(value, int) and (value or name in usual)}
    differing = counts.pop("differing", 0)
    names = {name: name.removesuffix("s") if value == 1 else name for name, value in counts.items()}
    names |= {"skipped": f"skipped{told_to_differ(differing, 'update', on_conflict)}"}
    return ", ".join(f"{value} {names[name].replace('_', ' ')}" for name, value in counts.items())


@contextmanager
def _progress_bar() -> Iterator[Callable[[Progress], object] | None]:
    """Yield a callback that draws a progress bar; None if stderr is not a terminal."""
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s,"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("left"),
    )
    with progress.Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, rows=0, rate=0.0)

        def draw(state: Progress) -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            rate = state.rows / elapsed if elapsed else 0.0
            bar.update(task, total=state.bytes_all, completed=state.bytes_read, rows=state.rows, rate=rate)

        yield draw
