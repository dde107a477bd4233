"""`pvsite-sql adopt`."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from .. import adopt as adoptions
from .dsn import Dsn, checked

__all__ = ["adopt"]

_EVERY_S = 0.5


class _Line:
    """How far it is: one line a table, which on a terminal counts up."""

    def __init__(self) -> None:
        self._on_terminal = sys.stderr.isatty()
        self._table = ""
        self._began = 0.0
        self._shown = 0.0

    def __call__(self, table: str, rows: int, of: int) -> None:
        now = time.monotonic()
        if table != self._table:
            self._table, self._began, self._shown = table, now, 0.0
        if of and rows >= of:
            self._print(f"{table}: {rows:,} rows{self._rate(rows, now)}", ends=True)
        elif self._on_terminal and now - self._shown >= _EVERY_S:
            self._shown = now
            self._print(f"{table}: {rows:,} of {of:,} rows{self._rate(rows, now)}" if of else f"{table}: counting")

    def _rate(self, rows: int, now: float) -> str:
        seconds = now - self._began
        return f", {rows / seconds:,.0f} a second" if rows and seconds >= 1 else ""

    def _print(self, text: str, *, ends: bool = False) -> None:
        typer.echo(f"\r\033[K{text}" if self._on_terminal else text, err=True, nl=ends or not self._on_terminal)


def adopt(
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="DSN", help="The database that is taken over. It is only read.")
    ],
    rejects: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            file_okay=False,
            help="A folder for CSV files with the rows that are not stored as they were, one file a table.",
        ),
    ] = None,
    dsn: Dsn = None,
) -> None:
    """Take over a database that pvsite-datamodel 1.0.6 to 1.2.15 made.

    Copies every table, with ids and created_utc; the values of a forecast become one row. What is stored already stays.
    Can be stopped and run again. Ends with counts and sums of power of both sides, and what was not taken over; exits
    with 1 if the two sides do not agree.
    """
    if not _run(checked(source), checked(dsn), rejects):
        raise typer.Exit(1)


def _run(source: str, target: str, rejects: Path | None) -> bool:
    """Take the database over and print what became of its rows; whether both sides agree."""
    report = adoptions.adopt(source, target, rejects=rejects, progress=_Line())
    for line in report.lines():
        typer.echo(line)
    typer.echo()
    if report.folder is not None:
        typer.echo(f"The rows that are not stored as they were are in {report.folder}.")
    if disagreements := report.disagreements():
        typer.echo("The two sides do not agree. " + " ".join(disagreements))
    else:
        typer.echo("Counts and sums agree: every row of the source is stored or rejected for a reason that is named.")
    return not disagreements
