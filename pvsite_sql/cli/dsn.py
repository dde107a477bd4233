"""The command line: how a database is named, and what several options have in common."""

from __future__ import annotations

import math
import sys
from typing import Annotated, NoReturn

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict

__all__ = ["Dsn", "a_number", "checked", "fail", "sentence"]

Dsn = Annotated[
    str | None,
    typer.Option(
        metavar="DSN",
        envvar="PVSITE_SQL_DSN",
        help="The database, as libpq takes it: postgresql://user@host/name or 'host=... dbname=...'; "
        "'' takes PGHOST, PGSERVICE and the like.",
    ),
]


def checked(dsn: str | None) -> str:
    """The DSN of a command; without one, or with one that is none of libpq's, the program ends with code 2."""
    if dsn is None:
        fail("No database is named: give --dsn, or set PVSITE_SQL_DSN.", 2)
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # whose text may show the password
        fail("The DSN is not one of libpq's, such as postgresql://user@host/name or 'host=... dbname=...'.", 2)
    return dsn


def a_number(value: float) -> float:
    """The value of an option, but for nan, which some versions of typer find within all bounds."""
    if math.isnan(value):
        raise typer.BadParameter("a number is wanted, not nan")
    return value


def fail(sentence: str, code: int) -> NoReturn:
    """Say a sentence on stderr and end the program."""
    typer.echo(sentence, err=True)
    sys.exit(code)


def sentence(error: Exception) -> str:
    """An error in one line, with its notes."""
    said = str(error).strip()
    if isinstance(error, psycopg.Error):
        said = error.diag.message_primary or " ".join(said.split())
    return " ".join([said or type(error).__name__, *getattr(error, "__notes__", ())])
