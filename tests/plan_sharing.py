"""One database for the plans of all workers of pytest-xdist: to fill it takes ten seconds, to clone it takes one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from databases import Databases
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

NAME = "plans"
PATIENCE_S = 300.0


class SharedPlans:
    """The database of the worker that came first, and clones of it on that worker's server.

    The folder is common to the workers. In it stand the conninfo of the database, and the names of those that use it.
    """

    def __init__(self, folder: Path, worker: str, databases: Databases, fill: Callable[[str], None]) -> None:
        self._conninfo, self._made, self._users = folder / "conninfo", folder / "made", folder / "users"
        self._user = self._users / worker
        self._users.mkdir(parents=True, exist_ok=True)
        self._databases = databases
        self._fill = fill
        self._is_owner = False

    @contextmanager
    def clone(self) -> Iterator[str]:
        """The conninfo of a clone of this worker's own, which is dropped at the end."""
        template = self._template()
        clone = make_conninfo(template, dbname=f"{conninfo_to_dict(template)['dbname']}_{self._user.name}")
        try:
            self._execute(template, "CREATE DATABASE {clone} TEMPLATE {template} STRATEGY FILE_COPY", clone)
            yield clone
        finally:
            self._execute(template, "DROP DATABASE IF EXISTS {clone} WITH (FORCE)", clone)
            self._user.unlink()

    def close(self) -> None:
        """Drop the database if it is this worker's, when the others have done with it."""
        if self._is_owner:
            self._conninfo.unlink()
            _wait_until(lambda: not any(self._users.iterdir()))
            self._databases.drop(NAME)
            self._made.rmdir()

    def _template(self) -> str:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            self._user.touch()  # before it looks: the owner looks at the users after it has removed the conninfo
            if self._conninfo.exists():
                return self._conninfo.read_text(encoding="utf-8")
            self._user.unlink()
            try:
                self._made.mkdir()
            except FileExistsError:
                assert time.monotonic() < deadline, "the worker that fills the database for the plans does not end"
                time.sleep(0.1)
            else:
                self._make()

    def _make(self) -> None:
        try:
            self._databases.create(NAME)
            self._fill(self._databases.conninfo(NAME))
        except BaseException:
            self._made.rmdir()
            raise
        self._is_owner = True
        written = self._conninfo.with_suffix(".new")
        written.write_text(self._databases.conninfo(NAME), encoding="utf-8")
        written.rename(self._conninfo)

    def _execute(self, template: str, statement: str, clone: str) -> None:
        names = {
            "clone": sql.Identifier(str(conninfo_to_dict(clone)["dbname"])),
            "template": sql.Identifier(str(conninfo_to_dict(template)["dbname"])),
        }
        with psycopg.connect(template, dbname=self._databases.maintenance, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(**names))


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "another worker does not return its clone of the database for the plans"
        time.sleep(0.1)
