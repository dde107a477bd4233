"""`pvsite-sql adopt`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from .common import Dsn, require_dsn

__all__ = ["adopt"]

_REFRESH_S = 0.5


class _ProgressLine:
    """Prints one line for each table; on a terminal, updates the line as rows arrive."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._table = ""
        self._started = 0.0
        self._refreshed = 0.0

    def __call__(self, table: str, rows: int, total: int) -> None:
        now = time.monotonic()
        if table != self._table:
            self._table, self._started, self._refreshed = table, now, 0.0
        if total and rows >= total:
            self._print(f"{table}: {rows:,} rows{self._rate(rows, now)}", done=True)
        elif self._is_terminal and now - self._refreshed >= _REFRESH_S:
            self._refreshed = now
            self._print(
                f"{table}: {rows:,} of {total:,} rows{self._rate(rows, now)}" if total else f"{table}: counting"
            )

    def _rate(self, rows: int, now: float) -> str:
        seconds = now - self._started
        return f", {rows / seconds:,.0f} rows/s" if rows and seconds >= 1 else ""

    def _print(self, text: str, *, done: bool = False) -> None:
        typer.echo(f"\r\033[K{text}" if self._is_terminal else text, err=True, nl=done or not self._is_terminal)


def adopt(
    *,
    source: Annotated[str, typer.Option("--from", metavar="DSN", help="Database to copy from. It is not changed.")],
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="Folder for CSV files with the rows that were rejected or changed, one file for each table.",
        ),
    ] = None,
    dsn: Dsn = None,
) -> None:
    """Copy a pvsite-datamodel database (1.0.6 to 1.2.15) into this one.

    Copies every table, with ids and created_utc. The values of a forecast become one row. Rows that are already stored
    are not changed. If the command is interrupted, run it again.

    At the end compares row counts and power sums of both databases and lists rejected rows by reason. Exits with 1 if
    the databases disagree.
    """
    if not _run(require_dsn(source, "adopt"), require_dsn(dsn, "adopt"), rejects):
        raise typer.Exit(1)


def _run(source: str, target: str, rejects: Path | None) -> bool:
    """Copy the database and print the report. Return whether both databases agree."""
    from .. import adopt as adoption

    report = adoption.adopt(source, target, rejects=rejects, progress=_ProgressLine())
    for line in report.lines():
        typer.echo(line)
    typer.echo()
    if report.folder is not None:
        typer.echo(f"Rejected and changed rows were written to {report.folder}.")
    if disagreements := report.disagreements():
        typer.echo("The databases disagree. " + " ".join(disagreements))
    else:
        typer.echo("Counts and sums agree: every source row is stored, or rejected for a listed reason.")
    return not disagreements
