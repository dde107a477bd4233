"""A pool full of connections that the server has ended, and servers that refuse new ones."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from commands import until
from conftest import reading_frame
from psycopg.conninfo import make_conninfo

from pvsite_sql import PvsiteSqlError, Repository

from ..programs import ends
from ..servers import OwnServer, own_server, posix

NAME = "dead"
SIZES = [1, 4, 6, 10, 20]
AT_ONCE_S = 5.0  # a busy machine; psycopg_pool's pauses between checks sum up to 7 s for four connections
FINAL_S = 10.0  # the pool's own timeout is 30 s
SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"


def in_a_transaction(repo: Repository, site: Any) -> bool:
    with repo.transaction() as tx:
        return bool(tx.sites.get(site).site_uuid == site)


CALLS: dict[str, Callable[[Repository, Any], Any]] = {
    "get": lambda repo, site: repo.sites.get(site).site_uuid == site,
    "create": lambda repo, site: repo.sites.create() is not None,
    "insert": lambda repo, site: repo.generation.insert(reading_frame(site)).inserted == 12,
    "insert_frames": lambda repo, site: repo.generation.insert(iter([reading_frame(site)])).inserted == 12,
    "read_frame": lambda repo, site: repo.generation.read_frame().empty,
    "read_frames": lambda repo, site: list(repo.generation.read_frames()) == [],
    "read_arrow": lambda repo, site: repo.generation.read_arrow().read_all().num_rows == 0,
    "check": lambda repo, site: repo.check() is None,
    "transaction": in_a_transaction,
}


def sessions(observer: psycopg.Connection) -> set[int]:
    return {pid for (pid,) in observer.execute(SESSIONS, [NAME]).fetchall()}


def repository(dsn: str, size: int, **options: Any) -> Repository:
    return Repository(dsn, min_size=size, max_size=size, kwargs={"application_name": NAME}, **options)


def is_full(repo: Repository, size: int) -> bool:
    pool = repo.stats().pool
    return (pool["pool_size"], pool["pool_available"], pool["requests_waiting"]) == (size, size, 0)


def ended(repo: Repository, observer: psycopg.Connection, size: int) -> set[int]:
    """The sessions of a full pool, all of them ended."""
    until(lambda: is_full(repo, size))
    pids = sessions(observer)
    assert len(pids) == size
    assert observer.execute("SELECT bool_and(pg_terminate_backend(pid, 5000)) FROM unnest(%s) AS p (pid)", [list(pids)])
    until(lambda: not sessions(observer))
    return pids


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """What it returns, in so many seconds."""
    begun = time.monotonic()
    result = call()
    assert time.monotonic() - begun < seconds
    return result


@pytest.mark.parametrize("size", SIZES)
@ends
def test_the_next_call_answers_at_once_and_every_dead_connection_is_thrown_away(dsn, observer, site, size):
    with repository(dsn, size) as repo:
        dead = ended(repo, observer, size)
        assert within(AT_ONCE_S, lambda: CALLS["get"](repo, site.site_uuid))
        for _ in range(2 * size):
            assert within(AT_ONCE_S, lambda: CALLS["get"](repo, site.site_uuid))
        with ThreadPoolExecutor(size) as threads:
            assert all(threads.map(lambda _: CALLS["get"](repo, site.site_uuid), range(4 * size)))
        until(lambda: is_full(repo, size))
        until(lambda: len(sessions(observer)) == size)
        assert not sessions(observer) & dead


@pytest.mark.parametrize("name", CALLS)
@ends
def test_whatever_the_next_call_is(dsn, observer, site, name):
    with repository(dsn, 10) as repo:
        ended(repo, observer, 10)
        assert within(AT_ONCE_S, lambda: CALLS[name](repo, site.site_uuid))


@ends
def test_when_all_threads_call_at_once(dsn, observer, site):
    with repository(dsn, 10) as repo, ThreadPoolExecutor(30) as threads:
        ended(repo, observer, 10)
        found = within(AT_ONCE_S, lambda: list(threads.map(lambda _: CALLS["get"](repo, site.site_uuid), range(60))))
        assert found == [True] * 60
        until(lambda: is_full(repo, 10))


@ends
def test_half_of_them_dead(dsn, observer, site):
    with repository(dsn, 10) as repo:
        until(lambda: is_full(repo, 10))
        for pid in sorted(sessions(observer))[::2]:
            observer.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        for _ in range(20):
            assert within(AT_ONCE_S, lambda: CALLS["get"](repo, site.site_uuid))


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    """A server whose roles need passwords, but for its superuser."""
    with own_server() as running:
        access = running._kept.data_dir / "pg_hba.conf"
        lines = ["local nobodys all reject", "local all postgres trust", "local all all scram-sha-256"]
        access.write_text("\n".join([*lines, ""]))
        with psycopg.connect(running._kept.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
            connection.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
            connection.execute("CREATE ROLE single LOGIN PASSWORD 'right' CONNECTION LIMIT 1")
        yield running


@pytest.fixture(scope="module")
def superuser(own: OwnServer) -> Iterator[psycopg.Connection]:
    """A session at that server, which is not restarted with it."""
    with psycopg.connect(own._kept.dsn(), autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def own_dsn(own: OwnServer) -> str:
    """A migrated database there."""
    return own.database("dead")


FINAL = {
    "wrong_password": ({"user": "app", "password": "wrong"}, 'password authentication failed for user "app"'),
    "no_password": ({"user": "app"}, "no password supplied"),
    "no_such_role": ({"user": "someone", "password": "right"}, 'authentication failed for user "someone"'),
    "no_such_database": ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
    "not_in_pg_hba": ({"dbname": "nobodys"}, "pg_hba.conf rejects connection"),
}


def refusal(call: Callable[[], Any], words: str) -> BaseException:
    """The error of a call to a server that refuses, which has the server's words."""
    with pytest.raises((psycopg.OperationalError, PvsiteSqlError)) as refused:
        within(FINAL_S, call)
    assert words in str(refused.value), refused.value
    cause = refused.value.__cause__
    assert isinstance(cause, psycopg.Error), cause
    assert words in str(cause)
    assert "right" not in str(refused.value)
    return refused.value


@posix
@pytest.mark.parametrize("why", FINAL)
@ends
def test_a_final_refusal_is_told_at_once_in_the_servers_words(own, own_dsn, why):
    options, words = FINAL[why]
    with Repository(make_conninfo(own_dsn, **options)) as repo:
        for call in (repo.sites.list, lambda: in_a_transaction(repo, None), repo.check):
            refusal(call, words)


@posix
@ends
def test_when_the_database_is_there_the_same_repository_works(own, superuser):
    with Repository(make_conninfo(own._kept.dsn(), dbname="later")) as repo:
        refusal(repo.sites.list, 'database "later" does not exist')
        own.database("later")
        until(lambda: works(repo))
        assert repo.sites.list() == []


@posix
@ends
def test_a_database_that_is_dropped(own, superuser):
    dsn = own.database("dropped")
    with Repository(dsn, min_size=6, max_size=6) as repo:
        until(lambda: is_full(repo, 6))
        assert repo.sites.list() == []
        superuser.execute("DROP DATABASE dropped WITH (FORCE)")
        for _ in range(3):
            refusal(repo.sites.list, 'database "dropped" does not exist')


@posix
@ends
def test_a_full_server_is_told_in_its_words_and_works_once_there_is_room(own, own_dsn, superuser):
    dsn = make_conninfo(own_dsn, user="app", password="right")
    others: list[psycopg.Connection] = []
    with suppress(psycopg.OperationalError):
        others.extend(psycopg.connect(dsn) for _ in range(100))
    assert 10 < len(others) < 100
    with Repository(dsn, timeout=2) as repo:
        try:
            refusal(repo.sites.list, "connection")
            with pytest.raises(
                (psycopg.OperationalError, PvsiteSqlError), match=r"too many clients|slots are reserved"
            ):
                repo.sites.list()
        finally:
            for other in others:
                other.close()
        until(lambda: connects(repo))


@posix
@ends
def test_a_role_that_has_too_many_connections(own, own_dsn):
    dsn = make_conninfo(own_dsn, user="single", password="right")
    with psycopg.connect(dsn), Repository(dsn, timeout=2) as repo:
        refusal(repo.sites.list, 'too many connections for role "single"')


@posix
@ends
def test_a_port_where_nobody_listens(own_dsn):
    with Repository(make_conninfo(own_dsn, host="127.0.0.1", port=1), timeout=2) as repo:
        for _ in range(2):
            refusal(repo.sites.list, "refused")


@posix
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
@ends
def test_a_restart_under_ten_idle_connections(own_dsn, how):
    with own_server() as own:
        dsn = own.database("restarted")
        with repository(dsn, 10) as repo:
            site = repo.sites.create().site_uuid
            until(lambda: is_full(repo, 10))
            own.restart(signal.Signals[how])
            assert within(AT_ONCE_S, lambda: CALLS["get"](repo, site))
            until(lambda: is_full(repo, 10))


def connects(repo: Repository) -> bool:
    """Whether it gets at the server, which may refuse what it asks."""
    try:
        repo.sites.list()
    except psycopg.errors.InsufficientPrivilege:
        return True
    except psycopg.OperationalError:
        return False
    return True


def works(repo: Repository) -> bool:
    try:
        repo.check()
    except (psycopg.OperationalError, PvsiteSqlError):
        return False
    return True
