"""The command line: `pvsite-sql load`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from .. import load as loads
from ..engine.inputs import as_uuid
from ..errors import InvalidInput
from ..generation import GenerationOnConflict
from ..limits import CallLimits, Limits
from ..load.layout import Ambiguous, Layout, Unit
from ..repository import Repository
from .dsn import Dsn, checked, fail

__all__ = ["load"]

_LIMITS = Limits(bulk=CallLimits(statement_s=0, lock_s=60, idle_s=0))  # what makes standard input may take its time


def load(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            show_default=False,
            help="CSV, also gzipped, or Parquet; a folder of them; - is standard input.",
        ),
    ],
    *,
    site: Annotated[str | None, typer.Option(metavar="UUID", help="The site of all rows.")] = None,
    site_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="The column of the sites' uuids. [default: site_uuid]")
    ] = None,
    time_column: Annotated[
        str, typer.Option(metavar="NAME", help="The column of the times that readings start at.")
    ] = "start_utc",
    end_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="That of the times they end at. [default: end_utc where a file has it]"),
    ] = None,
    power_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="That of the power. [default: power_kw or generation_power_kw]")
    ] = None,
    unit: Annotated[Unit, typer.Option(help="Of the power.")] = "kW",
    interval: Annotated[
        float, typer.Option(metavar="MINUTES", help="How long a reading lasts where no column says its end.")
    ] = 5,
    timezone: Annotated[
        str, typer.Option(metavar="ZONE", help="Of times without a UTC offset, such as Europe/London.")
    ] = "UTC",
    ambiguous: Annotated[
        Ambiguous,
        typer.Option(
            help="The hour that the zone's clocks show twice: an error, the earlier or the later one, or by the order "
            "of a site's rows in a file: what comes again is the later one."
        ),
    ] = "error",
    time_format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help="Of times, such as '%d.%m.%Y %H:%M'. [default: ISO 8601]"),
    ] = None,
    separator: Annotated[str, typer.Option(metavar="CHARACTER", help="Of CSV fields; 'tab' for tabs.")] = ",",
    decimal: Annotated[str, typer.Option(metavar="CHARACTER", help="The decimal sign in CSV, . or ,")] = ".",
    encoding: Annotated[str, typer.Option(metavar="NAME", help="Of CSV.")] = "utf-8",
    on_conflict: Annotated[
        GenerationOnConflict,
        typer.Option(help="Of readings of one site and start: the first one stays, the last one counts, or an error."),
    ] = "ignore",
    each: Annotated[bool, typer.Option("--each", help="Commit after each file; else all files are one whole.")] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Put rows that cannot be stored there, with file, line and reason, and store the rest."
        ),
    ] = None,
    dsn: Dsn = None,
) -> None:
    """Store the readings of CSV and Parquet files, all of them or none.

    A CSV file begins with a line of column names. Blank lines are passed over. Any other row that cannot be stored (no
    time or power, a time that clocks never showed, a site that does not exist ...) ends the load, which names its line,
    and nothing is stored; with --each, nothing of its file and those after it. --rejects puts such rows aside instead:
    put right, they can be loaded with the same options.

    Months that lack a partition get one. A load that was stopped or killed is run again as it was: with ignore and
    update it ends at the same readings. Prints how many rows were inserted, updated, skipped (stored or given already)
    and rejected.

    \b
    pvsite-sql load 2023.csv.gz 2024.csv.gz
    pvsite-sql load roof.csv --site 7f3c1f0e-6d1f-4a52-8c3c-0d2b5f8e9a11 \\
        --time-column time --power-column power --unit W --timezone Europe/London
    """  # noqa: D301  click reads the backspace
    conninfo = checked(dsn)
    if site is not None and site_column is not None:
        fail("--site is for files without a column of sites: give it or --site-column.", 2)
    try:
        layout = Layout(
            site_uuid=None if site is None else as_uuid(site, "site"),
            site_column=site_column or "site_uuid",
            time_column=time_column,
            end_column=end_column,
            power_column=power_column,
            timezone=timezone,
            ambiguous=ambiguous,
            time_format=time_format,
            unit=unit,
            separator="\t" if separator == "tab" else separator,
            decimal=decimal,
            encoding=encoding,
        )
    except InvalidInput as error:
        fail(f"--{(error.column or '').replace('_', '-')}: {error.reason}", 2)
    try:
        lasts = timedelta(minutes=interval)
    except (ValueError, OverflowError):  # nan, inf
        lasts = timedelta(0)
    if lasts <= timedelta(0):
        fail(f"--interval: minutes above zero are wanted, not {interval}", 2)
    psycopg.connect(conninfo).close()  # a pool would not say soon that there is none
    told: Callable[[str, loads.LoadResult], object] | None = None
    if each:
        told = lambda name, result: typer.echo(f"{name}: {_counts(result)}")  # noqa: E731
    # without prepared statements, which PgBouncer may lose and a bulk load gains nothing from
    pool: dict[str, Any] = {"min_size": 2, "max_size": 2, "kwargs": {"prepare_threshold": None}}
    with Repository(conninfo, limits=_LIMITS, slow_query_ms=None, **pool) as repo, _bar() as progress:
        repo.check()
        result = loads.load(
            repo,
            files,
            layout,
            on_conflict=on_conflict,
            interval=lasts,
            each=each,
            rejects=rejects,
            progress=progress,
            stored=told,
        )
    typer.echo(_counts(result))


def _counts(result: loads.LoadResult) -> str:
    return ", ".join(f"{value} {name}" for name, value in result)


@contextmanager
def _bar() -> Iterator[Callable[[loads.Progress], object] | None]:
    """What draws the progress, on a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f} rows/s,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None, rows=0, rate=0.0)

        def draw(at: loads.Progress) -> None:
            elapsed = bar.tasks[task].elapsed or 0.0
            rate = at.rows / elapsed if elapsed else 0.0
            bar.update(task, total=at.bytes_all, completed=at.bytes_read, rows=at.rows, rate=rate)

        yield draw
