"""Applies the packaged migrations, as `yoyo apply` does, and makes the months ahead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args
from urllib.parse import quote, urlencode

import psycopg
import yoyo
from psycopg.conninfo import conninfo_to_dict

from . import partitions
from .check import months_ahead, packaged_migrations
from .errors import PvsiteSqlError
from .queries import folder
from .session import Call

__all__ = ["apply", "ensure_months_ahead", "yoyo_uri"]


def yoyo_uri(conninfo: str) -> str:
    """The URI that yoyo wants, of whatever libpq takes."""
    options = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    # no slash before the question mark: yoyo would take it for a database without a name, and pass PGDATABASE over
    return f"postgresql+psycopg://?{urlencode(options, quote_via=quote)}"


def apply(conninfo: str) -> list[str]:
    """Apply the migrations that the database lacks.

    Returns:
        the ids of those that were applied, in their order.

    Raises:
        PvsiteSqlError: the package was installed without its migrations, or yoyo has no right to make its tables.
    """
    migrations = yoyo.read_migrations(str(folder("migrations")))
    if not packaged_migrations() or len(migrations) != len(packaged_migrations()):
        raise PvsiteSqlError(f"no migrations in {folder('migrations')}: the package is not installed whole")
    try:
        with _user_name(), yoyo.get_backend(yoyo_uri(conninfo)) as backend, backend.lock():
            lacking = backend.to_apply(migrations)
            backend.apply_migrations(lacking)
            return [migration.id for migration in lacking]
    except psycopg.errors.UndefinedTable as error:
        if "yoyo_lock" not in str(error):
            raise
        # yoyo passes over a refusal to make the table of its lock, and looks for it in vain
        raise PvsiteSqlError("the user may not create tables in the schema that search_path leads to") from error


def ensure_months_ahead(conninfo: str) -> list[str]:
    """Make the partitions of this month and the next three, so that live traffic rarely has to.

    Returns:
        the names of those that were missing.
    """
    with psycopg.connect(conninfo) as connection:
        call = Call(connection)
        return [
            made for parent in get_args(partitions.Parent) for made in partitions.ensure(call, parent, months_ahead())
        ]


@contextmanager
def _user_name() -> Iterator[None]:
    """Give yoyo a user name to log; without one (containers that run as a bare uid) it fails after the fact."""
    if any(os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME")):
        yield
        return
    os.environ["USER"] = "pvsite_sql"
    try:
        yield
    finally:
        del os.environ["USER"]
