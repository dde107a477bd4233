"""The temporary database of the demonstration. It is dropped however the demonstration ends."""

from __future__ import annotations

import atexit
import secrets
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..embedded import server
from ..errors import PvsiteSqlError

__all__ = ["Database", "database"]

_NAME = "pvsite_demo"


@dataclass(frozen=True)
class Database:
    """A temporary database."""

    title: str
    dsn: str
    shown_dsn: str  # without password
    psql: str  # the shell command that opens it


@contextmanager
def database(dsn: str | None) -> Iterator[Database]:
    """Create a database on the server of `dsn`, or on a temporary server, and drop it when the block ends.

    Raises:
        PvsiteSqlError: the database could not be created or dropped.
    """
    if dsn is None:
        with server() as temporary:
            title = f"PostgreSQL {temporary.version}, started for this demo"
            new_dsn = temporary.create_database(_NAME)
            yield Database(title, new_dsn, new_dsn, temporary.psql(_NAME))
        return
    name = f"{_NAME}_{secrets.token_hex(4)}"
    new_dsn = make_conninfo(dsn, dbname=name)
    public: dict[str, Any] = {key: value for key, value in conninfo_to_dict(new_dsn).items() if "password" not in key}
    shown_dsn = make_conninfo(**public)

    def drop() -> None:
        with _ignored_signals():
            atexit.unregister(drop)
            _drop_database(dsn, name)

    with ExitStack() as stack:
        atexit.register(drop)  # in case a second Ctrl-C arrives just before `drop` ignores it
        stack.callback(drop)
        try:
            version = _execute(dsn, "CREATE DATABASE {} TEMPLATE template0", name)
        except psycopg.Error as error:
            stack.pop_all()
            atexit.unregister(drop)
            raise PvsiteSqlError(
                f"The demo could not create a database on this server: {_one_line(error)}. "
                "Without a DSN it starts a temporary server."
            ) from error
        title = f"PostgreSQL {version}, in the new database {name}"
        yield Database(title, new_dsn, shown_dsn, shlex.join(["psql", shown_dsn]))


def _execute(dsn: str, statement: str, name: str) -> str:
    """Create or drop a database, and return the server version. A name cannot be a parameter of a query file."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        return connection.info.parameter_status("server_version") or "of an unknown version"


def _drop_database(dsn: str, name: str) -> None:
    try:
        _execute(dsn, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    except psycopg.Error as error:
        raise PvsiteSqlError(f"The demo could not drop the database {name}: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _ignored_signals() -> Iterator[None]:
    """Ignore SIGINT, SIGTERM and SIGHUP. Only the main thread receives them, and only it can ignore them."""
    main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if main and hasattr(signal, name)]
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
