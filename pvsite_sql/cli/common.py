"""Options and helpers that several commands share."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = [
    "Dsn",
    "error_message",
    "exit_with",
    "notes_of_ignored_files",
    "reject_nan",
    "require_dsn",
    "told_to_differ",
    "utc_time",
]

Dsn = Annotated[
    str | None,
    typer.Option(
        metavar="DSN",
        envvar="PVSITE_SQL_DSN",
        help="Database, as a URL (postgresql://user@host/name) or a libpq connection string. "
        "Use '' for PGHOST, PGSERVICE and the other variables of libpq.",
    ),
]


def require_dsn(dsn: str | None, command: str) -> str:
    """Return the conninfo of a command. Without a DSN, or with an invalid one, exit with code 2.

    The sessions get the name of the command, such as `pvsite-sql load`, unless the DSN or PGAPPNAME names them.
    """
    if dsn is None:
        exit_with(2, "No database given: use --dsn or set PVSITE_SQL_DSN.")
    try:
        given = conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:  # its message may contain the password
        exit_with(2, "Invalid DSN: use the form postgresql://user@host/name or 'host=... dbname=...'.")
    name = given.get("fallback_application_name") or f"pvsite-sql {command}"
    return make_conninfo(dsn, fallback_application_name=name)


def told_to_differ(count: int, taking: str, on_conflict: str | None) -> str:
    """Say how many skipped rows differ from what is stored; nothing if none does.

    Args:
        count: how many.
        taking: the value of `--on-conflict` that takes them.
        on_conflict: the value that was given.
    """
    if not count:
        return ""
    differ, them = ("differs", "it") if count == 1 else ("differ", "them")
    advice = "" if on_conflict == taking else f"; --on-conflict {taking} takes {them}"
    return f" ({count} of them {differ} from what is stored{advice})"


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


@contextmanager
def notes_of_ignored_files() -> Iterator[None]:
    """Print warnings of ignored files as lines on stderr."""
    from ..load import IgnoredFiles

    show = warnings.showwarning

    def print_note(message: Warning | str, category: type[Warning], *details: Any, **more: Any) -> None:
        if issubclass(category, IgnoredFiles):
            typer.echo(str(message), err=True)
        else:
            show(message, category, *details, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", IgnoredFiles)
        warnings.showwarning = print_note
        yield
