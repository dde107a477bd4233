"""A PostgreSQL for the tests: a server for each worker, and on it a migrated database that each test finds empty."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pandas as pd
import psycopg
import pytest
from databases import Databases, SharedDatabase
from faults.pgbouncer import pgbouncer
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pytest_postgresql import factories
from pytest_postgresql.executors import NoopExecutor

from pvsite_sql import InvalidInput, Repository, Site, migrate
from pvsite_sql.embedded import server_or_dsn

SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "200"}
ROLES = ("pvsite_reader", "pvsite_ingestor", "pvsite_admin")  # each may what the one before it may, and more
PGBOUNCER = bool(os.environ.get("PVSITE_SQL_PGBOUNCER"))


gc.disable()  # until the tests are collected: what is made until then stays


def pytest_collection_finish() -> None:
    """Spare the collector a third of its work, which is to look at modules and tests again and again."""
    gc.freeze()
    gc.enable()


def pytest_xdist_auto_num_workers() -> int:
    """Two more workers than there are cores: many tests wait for a lock or a timeout."""
    return (os.cpu_count() or 1) + 2


@dataclass(frozen=True)
class _Server:
    """What pytest-postgresql asks of the fixture that it depends on."""

    host: str
    port: int
    user: str
    password: str
    options: str = ""
    maintenance_dbname: str = "postgres"
    template_dbname: None = None


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c() -> Iterator[None]:
    """A child of `pytest &` would not see Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def server() -> Iterator[_Server]:
    """The server: that of PVSITE_SQL_DSN, else an own one."""
    with server_or_dsn(settings=SETTINGS) as dsn:
        info = conninfo_to_dict(dsn)
        yield _Server(
            host=str(info.get("host", "")),
            port=int(info.get("port") or 5432),
            user=str(info.get("user", "")),
            password=str(info.get("password", "")),
            maintenance_dbname=str(info.get("dbname") or "postgres"),
        )


def _migrate(host: str, port: int, user: str, dbname: str, password: str, **_: object) -> None:
    migrate.apply(make_conninfo(host=host, port=port, user=user, dbname=dbname, password=password or None))


migrated = factories.postgresql_noproc(depends_on="server", dbname="pvsite_sql_test", load=[_migrate])
bare = factories.postgresql_noproc(depends_on="server", dbname="pvsite_sql_bare")
empty_database = factories.postgresql("bare")


@pytest.fixture(scope="session")
def databases(migrated: NoopExecutor) -> Databases:
    """Clones of the migrated template, for the tests of a module that share one."""
    return Databases(migrated)


@pytest.fixture(scope="session")
def shared(databases: Databases) -> Iterator[SharedDatabase]:
    """The database that the tests use in turn."""
    database = SharedDatabase(databases)
    yield database
    database.drop()


@pytest.fixture
def postgresql(shared: SharedDatabase) -> Iterator[psycopg.Connection]:
    """A connection to a migrated database that nobody else uses meanwhile. It may be changed in any way."""
    with shared.lent() as connection:
        yield connection


@pytest.fixture(scope="module")
def groups(databases: Databases) -> Iterator[None]:
    """The three roles are the server's: those that it does not have yet are dropped at the end."""
    with databases.server() as server:
        server.execute("SELECT pg_advisory_lock(hashtext('pvsite_sql_roles'))")  # workers may share the server
        lacking = [
            name for name in ROLES if server.execute("SELECT to_regrole(%s) IS NULL", [name]).fetchone() == (True,)
        ]
        yield
        for name in lacking:
            server.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


def conninfo(connection: psycopg.Connection) -> str:
    """How to connect as this connection did."""
    info = connection.info
    return make_conninfo(
        host=info.host, port=info.port, user=info.user, dbname=info.dbname, password=info.password or None
    )


@pytest.fixture(scope="session")
def pooled(server: _Server) -> Iterator[Callable[[str], str]]:
    """What a conninfo becomes: with PVSITE_SQL_PGBOUNCER it leads through a pgbouncer in transaction mode."""
    if not PGBOUNCER:
        yield str
        return
    with pgbouncer(server.host, server.port, server.user) as through:
        yield through


@pytest.fixture
def dsn(postgresql: psycopg.Connection, pooled: Callable[[str], str]) -> str:
    """A migrated database that no other test uses meanwhile."""
    return pooled(conninfo(postgresql))


@pytest.fixture
def empty_dsn(empty_database: psycopg.Connection) -> str:
    """An empty database of this test's own."""
    return conninfo(empty_database)


@pytest.fixture
def repo(dsn: str) -> Iterator[Repository]:
    """A repository on a migrated database that no other test uses meanwhile."""
    options = {"kwargs": {"prepare_threshold": None}} if PGBOUNCER else {}
    with Repository(dsn, min_size=1, max_size=30, **options) as repository:
        yield repository


@pytest.fixture
def site(repo: Repository) -> Site:
    """A site in London."""
    return repo.sites.create(latitude=51.5, longitude=-0.1, capacity_kw=4.0)


def pages(ask: Callable[..., list[Any]], whole: list[Any]) -> None:
    """What a method lists comes in parts of any size, in its order, with nothing twice and nothing left out."""
    assert len(whole) > 2
    for size in range(1, len(whole) + 2):
        parts = [ask(limit=size, offset=start) for start in range(0, len(whole) + size, size)]
        assert [row for part in parts for row in part] == whole
        assert all(len(part) == size for part in parts[: len(whole) // size])
    assert ask() == ask(limit=None, offset=0) == ask(limit=2**31 - 1) == whole
    assert ask(offset=1) == whole[1:]
    assert ask(limit=0) == ask(offset=len(whole)) == []
    for name, value in (("limit", -1), ("offset", -1), ("limit", "1"), ("offset", None), ("limit", True)):
        with pytest.raises(InvalidInput, match=f"^{name}: must be "):
            ask(**{name: value})


def reading_frame(
    site_uuid: UUID | str, *, start: str = "2024-06-01", rows: int = 12, power_kw: float = 1.0
) -> pd.DataFrame:
    """Readings of one site, five minutes each, whose power counts up from `power_kw` in steps of a tenth."""
    return pd.DataFrame(
        {
            "site_uuid": [site_uuid] * rows,
            "start_utc": pd.date_range(start, periods=rows, freq="5min", tz="UTC"),
            "power_kw": [power_kw + n / 10 for n in range(rows)],
        }
    )
