"""The `pvsite-sql` program: its commands, signals and exit codes."""

from __future__ import annotations

import logging
import signal
import sys
from typing import Annotated, NoReturn

import psycopg
import typer

from .. import __version__
from ..errors import PvsiteSqlError
from . import queries
from .adopt import adopt
from .check import check
from .common import error_message, exit_with
from .demo import demo
from .grouped_help import GroupedCommand
from .load import load
from .migrate import migrate
from .prune import prune
from .tidy import tidy

__all__ = ["run"]

app = typer.Typer(
    help="Store solar sites, their measured generation and their forecasts in PostgreSQL.",
    epilog="Exit codes: 0 success; 1 an error, or differences found; 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(requested: bool) -> None:  # noqa: FBT001  typer passes it by position
    if requested:
        typer.echo(f"pvsite-sql {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command(short_help="Apply pending migrations and create partitions for the coming months.")(migrate)
app.command(short_help="Compare a database with the schema this version expects.")(check)
app.command(short_help="Copy a pvsite-datamodel database into this one.")(adopt)
app.command(cls=GroupedCommand, short_help="Load readings or forecasts from files.")(load)

query_files = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List, show and explain the query files.")
app.add_typer(query_files, name="queries")
query_files.command("list", short_help="List the query files with their purpose and parameters.")(queries.list_)
query_files.command("show", short_help="Print a query file.")(queries.show)
query_files.command("explain", short_help="Print the plan of a query file.")(queries.explain)

app.command(short_help="Delete old readings and forecasts, optionally archiving them first.")(prune)
app.command(short_help="Rebuild the indexes of finished months and vacuum them.")(tidy)
app.command(short_help="Run a demonstration in a temporary database.")(demo)


def run() -> NoReturn:
    """Run the command line and exit."""
    signals: list[int] = []

    def interrupt(number: int, _frame: object) -> NoReturn:
        signals.append(number)
        raise KeyboardInterrupt  # psycopg then cancels the running query, so clean-up can use the connection

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), interrupt)
    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # hide its warnings on Ctrl-C; errors are raised
    try:
        app(prog_name="pvsite-sql")
    except (PvsiteSqlError, psycopg.Error) as error:
        exit_with(1, error_message(error))
    finally:
        if signals:
            sys.exit(128 + signals[0])
    raise AssertionError  # typer always exits
