"""Options and helpers that several commands share."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import Annotated, NoReturn

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict

__all__ = ["Dsn", "error_message", "exit_with", "reject_nan", "require_dsn", "utc_time"]

Dsn = Annotated[
    str | None,
    typer.Option(
        metavar="DSN",
        envvar="PVSITE_SQL_DSN",
        help="Database, as a URL (postgresql://user@host/name) or a libpq connection string. "
        "Use '' for PGHOST, PGSERVICE and the other variables of libpq.",
    ),
]


def require_dsn(dsn: str | None) -> str:
    """Return the DSN of a command. Without one, or with an invalid one, exit with code 2."""
    if dsn is None:
        exit_with(2, "No database given: use --dsn or set PVSITE_SQL_DSN.")
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # its message may contain the password
        exit_with(2, "Invalid DSN: use the form postgresql://user@host/name or 'host=... dbname=...'.")
    return dsn


def reject_nan(value: float) -> float:
    """Return the value of an option. Some versions of typer accept nan whatever the bounds are."""
    if math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


def utc_time(text: str, option: str) -> datetime:
    """Return the time that an option gives. Without an offset, it is in UTC."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is not a date such as 2024-06-01 or a time such as 2024-06-01T12:00", param_hint=option
        ) from None


def exit_with(code: int, message: str) -> NoReturn:
    """Print a message on stderr and exit."""
    typer.echo(message, err=True)
    sys.exit(code)


def error_message(error: Exception) -> str:
    """Return an error and its notes in one line."""
    message = str(error).strip()
    if isinstance(error, psycopg.Error):
        message = error.diag.message_primary or " ".join(message.split())
    return " ".join([message or type(error).__name__, *getattr(error, "__notes__", ())])
