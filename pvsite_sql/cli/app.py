"""The commands as one program."""

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
from .demo import demo
from .dsn import fail, sentence
from .load import load
from .migrate import migrate
from .prune import prune

__all__ = ["main"]

app = typer.Typer(
    help="Solar sites, their measured generation and their forecasts in PostgreSQL.",
    epilog="Exit codes: 0 all is well, 1 something is amiss (it is said in a sentence), 2 wrong use.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it so
    if wanted:
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


app.command(short_help="Apply the migrations, make the months ahead.")(migrate)
app.command(short_help="Hold a database against what this version expects.")(check)
app.command(short_help="Take over a database that pvsite-datamodel made.")(adopt)
app.command(short_help="Store the readings of CSV and Parquet files.")(load)

query_files = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The query files: list, text and plans.")
app.add_typer(query_files, name="queries")
query_files.command("list", short_help="List them: name, purpose, parameters.")(queries.list_)
query_files.command("show", short_help="Print one.")(queries.show)
query_files.command("explain", short_help="Print the plan that a server makes for one.")(queries.explain)

app.command(short_help="Remove what is older than a time, archived before if asked.")(prune)
app.command(short_help="Show it all with measured readings, in a database of its own.")(demo)


def main() -> None:
    """Run the command line; every end of it is a SystemExit."""
    signals: list[int] = []

    def interrupt(number: int, _frame: object) -> NoReturn:
        signals.append(number)
        raise KeyboardInterrupt  # on which psycopg cancels the query under way, so that clean-up can use the connection

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) is signal.SIG_DFL:
            signal.signal(getattr(signal, name), interrupt)
    logging.getLogger("psycopg").addHandler(logging.NullHandler())  # its warnings on a Ctrl-C; errors are raised anyway
    try:
        app(prog_name="pvsite-sql")
    except (PvsiteSqlError, psycopg.Error) as error:
        fail(sentence(error), 1)
    finally:
        if signals:
            sys.exit(128 + signals[0])
