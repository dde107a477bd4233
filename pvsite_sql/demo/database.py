"""The database of the demonstration: its own, and gone when it ends, however it ends."""

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
    """A database of the demo's own."""

    title: str
    dsn: str
    shown_dsn: str  # without the password of a server that is not the demo's
    psql: str  # the shell line that opens it


@contextmanager
def database(dsn: str | None) -> Iterator[Database]:
    """A database for the time of the context: of a server of its own, else a new one beside that of `dsn`.

    Raises:
        PvsiteSqlError: a database cannot be made there, or not be dropped again.
    """
    if dsn is None:
        with server() as running:
            title = f"PostgreSQL {running.version}, started for this demo"
            own = running.create_database(_NAME)
            yield Database(title, own, own, running.psql(_NAME))
        return
    name = f"{_NAME}_{secrets.token_hex(4)}"
    own = make_conninfo(dsn, dbname=name)
    public: dict[str, Any] = {key: value for key, value in conninfo_to_dict(own).items() if "password" not in key}
    shown = make_conninfo(**public)

    def drop() -> None:
        with _undisturbed():
            atexit.unregister(drop)
            _drop_database(dsn, name)

    with ExitStack() as stack:
        atexit.register(drop)  # for a second Ctrl-C that comes just before drop shuts its ears
        stack.callback(drop)
        try:
            version = _administer(dsn, "CREATE DATABASE {} TEMPLATE template0", name)
        except psycopg.Error as error:
            stack.pop_all()
            atexit.unregister(drop)
            raise PvsiteSqlError(
                "The demo writes into no database that there is (and without a DSN starts a server of its own), "
                f"and a new one cannot be made there: {_one_line(error)}"
            ) from error
        title = f"PostgreSQL {version}, in the new database {name}"
        yield Database(title, own, shown, shlex.join(["psql", shown]))


def _administer(dsn: str, statement: str, name: str) -> str:
    """Make or drop a database; returns the server's version. Its name can be no parameter, so no query file does it."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
        return connection.info.parameter_status("server_version") or "of an unknown version"


def _drop_database(dsn: str, name: str) -> None:
    try:
        _administer(dsn, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
    except psycopg.Error as error:
        raise PvsiteSqlError(f"The database {name} is left behind: {_one_line(error)}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Be deaf to Ctrl-C and its like; only the main thread can be, and only it hears them."""
    main = threading.current_thread() is threading.main_thread()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if main and hasattr(signal, name)]
    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
