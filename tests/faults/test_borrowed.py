"""What a repository is given to borrow connections from: pools of all kinds, and what is none."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from conftest import reading_frame
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from pvsite_sql import CallLimits, InvalidInput, Limits, PvsiteSqlError, Repository

from .programs import ends

PROBE = "SELECT 1"  # psycopg begins a transaction with it, unless the connection is in autocommit


def leave_open(connection: psycopg.Connection) -> None:
    connection.execute(PROBE)


def leave_failed(connection: psycopg.Connection) -> None:
    with suppress(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")


def write(connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO status (status, message) VALUES ('of the check', '')")


def pool_of(dsn: str, **options: Any) -> ConnectionPool[Any]:
    return ConnectionPool(dsn, **{"min_size": 1, "max_size": 2, "open": True, "timeout": 10, **options})


@pytest.mark.parametrize("check", [leave_open, leave_failed, write])
class TestACheckThatLeavesATransactionOpen:
    """What the call does is committed when it returns, with its actor and limits; or it is refused."""

    @ends
    def test_of_a_call(self, dsn, observer, check):
        with pool_of(dsn, check=check) as pool:
            repo = Repository(pool, actor="alice")
            try:
                site = repo.sites.create()
            except PvsiteSqlError:
                assert sites(observer) == 0
                return
            assert sites(observer) == 1
            assert [change.actor for change in repo.sites.history(site.site_uuid)] == ["alice"]

    @ends
    def test_of_a_transaction(self, dsn, observer, check):
        with pool_of(dsn, check=check) as pool:
            repo = Repository(pool, actor="alice")
            try:
                with repo.transaction() as tx:
                    site = tx.sites.create()
                    assert sites(observer) == 0
                    tx.generation.insert(reading_frame(site.site_uuid))
                assert sites(observer) == 1
                with pytest.raises(ValueError, match="no"), repo.transaction() as tx:  # noqa: PT012
                    tx.sites.create()
                    raise ValueError("no")
            except PvsiteSqlError:
                assert sites(observer) == 0
                return
            assert sites(observer) == 1
            assert [change.actor for change in repo.sites.history(site.site_uuid)] == ["alice"]

    @ends
    def test_of_the_limits(self, dsn, observer, check):
        limits = Limits(read=CallLimits(lock_s=0.1))
        with pool_of(dsn, check=check) as pool, observer.transaction():
            observer.execute("LOCK TABLE sites")
            with pytest.raises((psycopg.errors.LockNotAvailable, PvsiteSqlError)):
                Repository(pool, limits=limits).sites.list()


def sites(observer: psycopg.Connection) -> int:
    return observer.execute("SELECT count(*) FROM sites").fetchone()[0]


@ends
def test_a_pool_in_autocommit(dsn, observer):
    with pool_of(dsn, kwargs={"autocommit": True}) as pool:
        repo = Repository(pool, actor="alice")
        site = repo.sites.create()
        with pytest.raises(PvsiteSqlError):
            repo.generation.insert(iter([reading_frame(site.site_uuid), reading_frame(site.site_uuid, power_kw=2e400)]))
        assert repo.generation.read() == []
        with pytest.raises(ValueError, match="no"), repo.transaction() as tx:  # noqa: PT012
            tx.sites.create()
            tx.generation.insert(reading_frame(site.site_uuid))
            raise ValueError("no")
        assert (sites(observer), repo.generation.read()) == (1, [])
        assert [change.actor for change in repo.sites.history(site.site_uuid)] == ["alice"]


def a_connection(dsn: str) -> Any:
    return psycopg.connect(dsn)


def an_async_pool(dsn: str) -> Any:
    return AsyncConnectionPool(dsn, open=False)


WRONG: dict[str, Callable[[str], Any]] = {
    "a_connection": a_connection,
    "an_async_pool": an_async_pool,
    "none": lambda dsn: None,
    "a_number": lambda dsn: 5432,
    "bytes": str.encode,
    "the_class": lambda dsn: ConnectionPool,
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_pool_and_no_conninfo_is_refused_by_its_type(dsn, kind):
    given = WRONG[kind](dsn)
    try:
        with pytest.raises(TypeError) as refusal:
            Repository(given)
        assert "ConnectionPool" in str(refusal.value)
        assert "conninfo" in str(refusal.value)
        assert type(given).__name__ in str(refusal.value)
    finally:
        if kind == "a_connection":
            given.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg2://user:secret@host/solar",
        "postgresql+psycopg://user:secret@host/solar",
        "postgresql+asyncpg://user:secret@host/solar",
        "postgres+psycopg2://user:secret@host/solar",
        "mysql://user:secret@host/solar",
    ],
)
def test_a_url_of_another_library_is_refused_and_the_error_says_what_is_wanted(url):
    with pytest.raises(InvalidInput) as refusal:
        Repository(url)
    assert "postgresql://" in str(refusal.value)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("conninfo", ["host=a hots=b password=secret", "solar secret"])
def test_what_libpq_does_not_take_is_refused_without_the_password(conninfo):
    with pytest.raises(InvalidInput) as refusal:
        Repository(conninfo)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("max_size", [1, 2, 3, 10])
@ends
def test_max_size_alone(dsn, max_size):
    with Repository(dsn, max_size=max_size) as repo:
        assert repo.sites.list() == []
        pool = repo.stats().pool
        assert (pool["pool_max"], pool["pool_min"]) == (max_size, min(max_size, pool["pool_min"]))


@pytest.mark.parametrize(
    "options",
    [
        {"max_size": 0},
        {"max_size": -1},
        {"min_size": -1},
        {"min_size": 3, "max_size": 2},
        {"min_size": 0, "max_size": 0},
        {"min_size": "2"},
        {"max_size": 1.5},
    ],
    ids=str,
)
def test_sizes_that_no_pool_can_have_are_refused_by_name(dsn, options):
    with pytest.raises(InvalidInput) as refusal:
        Repository(dsn, **options)
    assert refusal.value.column in options
