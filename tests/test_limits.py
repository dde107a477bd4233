"""How long calls may take and wait, and whether they are compiled; nothing of it stays on a connection."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import psycopg
import pytest
from commands import until
from conftest import reading_frame
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

from pvsite_sql import CallLimits, InvalidInput, Limits, Repository
from pvsite_sql.engine.query_connection import QueryConnection
from pvsite_sql.limits import Kind

SETTINGS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "pvsite_sql.actor")


def in_transaction(repo):
    with repo.transaction() as tx:
        tx.users.list()


KINDS: dict[Kind, object] = {
    "read": lambda repo: repo.users.list(),
    "write": lambda repo: repo.status.create("ok", message=""),
    "bulk": lambda repo: repo.generation.insert(reading_frame(repo.sites.create().site_uuid)),
    "stream": lambda repo: list(repo.generation.read_frames()),
}
CALLS = {**KINDS, "transaction": in_transaction}


def spied(monkeypatch, asked=SETTINGS):
    """The settings that each transaction has once it has begun."""
    seen = []
    transaction = QueryConnection.transaction

    @contextmanager
    def spy(self):
        outermost = self._owner.connection.info.transaction_status == TransactionStatus.IDLE
        with transaction(self):
            if outermost:
                self._owner.send()
                row = self._owner.connection.execute(
                    "SELECT " + ", ".join(f"current_setting('{setting}', TRUE)" for setting in asked)
                ).fetchone()
                seen.append((self._kind, tuple(row)))
            yield

    monkeypatch.setattr(QueryConnection, "transaction", spy)
    return seen


@pytest.mark.parametrize("kind", CALLS)
def test_each_kind_of_call_has_its_own(dsn, monkeypatch, kind):
    seen = spied(monkeypatch)
    limits = Limits(**{kind: CallLimits(statement_s=77, lock_s=7.5, idle_s=0)})
    with Repository(dsn, limits=limits, actor="meter") as repo:
        CALLS[kind](repo)
    assert (kind, ("77s", "7500ms", "0", "meter")) in seen
    assert all(settings[0] != "77s" for other, settings in seen if other != kind)


def test_the_defaults_are_there(dsn, monkeypatch):
    seen = spied(monkeypatch)
    with Repository(dsn) as repo:
        for call in CALLS.values():
            call(repo)
    assert dict(seen) == {
        "read": ("1min", "10s", "1min", ""),
        "write": ("1min", "10s", "1min", ""),
        "bulk": ("15min", "1min", "15min", ""),
        "stream": ("0", "10s", "15min", ""),
        "transaction": ("15min", "1min", "5min", ""),
    }


def test_they_fill_in_only_what_nobody_else_has_set(dsn, monkeypatch):
    seen = spied(monkeypatch)
    options = "-c statement_timeout=3s -c idle_in_transaction_session_timeout=4h"
    with Repository(make_conninfo(dsn, options=options)) as repo:
        repo.users.list()
    assert seen == [("read", ("3s", "10s", "4h", ""))]


def test_given_ones_take_the_place_of_what_others_have_set(dsn, monkeypatch):
    seen = spied(monkeypatch)
    limits = Limits(read=CallLimits(statement_s=5))
    with Repository(make_conninfo(dsn, options="-c statement_timeout=3s -c lock_timeout=2s"), limits=limits) as repo:
        repo.users.list()
    assert seen == [("read", ("5s", "2s", "0", ""))]


def test_a_transaction_may_have_its_own(dsn, monkeypatch):
    seen = spied(monkeypatch)
    with Repository(dsn, actor="meter") as repo:
        with repo.transaction(actor="alice", limits=CallLimits(lock_s=1)) as tx:
            tx.users.list()
        in_transaction(repo)
    assert [settings for _, settings in seen] == [("0", "1s", "0", "alice"), ("15min", "1min", "5min", "meter")]


@pytest.mark.parametrize(("options", "jit"), [({}, "off"), ({"jit": False}, "off"), ({"jit": True}, "on")])
def test_jit_is_off_in_each_transaction_unless_it_is_asked_for(dsn, monkeypatch, options, jit):
    seen = spied(monkeypatch, ["jit"])
    with Repository(make_conninfo(dsn, options="-c jit=on"), **options) as repo:
        for call in CALLS.values():
            call(repo)
    assert {kind for kind, _ in seen} == set(CALLS)
    assert {settings for _, settings in seen} == {(jit,)}


def test_jit_that_the_server_has_switched_off_stays_off(dsn, monkeypatch):
    seen = spied(monkeypatch, ["jit"])
    with Repository(make_conninfo(dsn, options="-c jit=off"), jit=True) as repo:
        repo.users.list()
    assert seen == [("read", ("off",))]


@pytest.mark.parametrize("jit", [None, 1, "off"])
def test_jit_is_true_or_false(dsn, jit):
    with pytest.raises(InvalidInput, match="jit: must be True or False"):
        Repository(dsn, jit=jit)


STANDING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'standing'"
ENDED = psycopg.errors.IdleInTransactionSessionTimeout
ASK = "SELECT " + ", ".join(
    f"COALESCE(current_setting('{setting}', TRUE), '')" for setting in (*SETTINGS, "jit", "client_min_messages")
)
EVERY = CallLimits(statement_s=33, lock_s=3, idle_s=30)


def fail_in_transaction(repo):
    with pytest.raises(ZeroDivisionError), repo.transaction() as tx:  # noqa: PT012
        tx.users.list()
        raise ZeroDivisionError


@pytest.mark.parametrize("call", [*CALLS.values(), fail_in_transaction], ids=[*CALLS, "a failed one"])
def test_nothing_of_them_stays_on_the_connection(dsn, call):
    limits = Limits(**dict.fromkeys(CALLS, EVERY))
    with ConnectionPool(dsn, min_size=1, max_size=1, open=True) as pool:
        with pool.connection() as connection:
            before = connection.execute(ASK).fetchone()
        call(Repository(pool, limits=limits, actor="meter"))
        with pool.connection() as connection:
            assert connection.execute(ASK).fetchone() == before


def test_a_statement_that_takes_too_long_is_cancelled_and_nothing_of_it_stays(dsn, site, postgresql):
    postgresql.autocommit = True
    postgresql.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'"
    )
    postgresql.execute("CREATE TRIGGER dawdles AFTER INSERT ON generation EXECUTE FUNCTION dawdle()")
    with Repository(dsn, limits=Limits(bulk=CallLimits(statement_s=0.2))) as repo:
        with pytest.raises(psycopg.errors.QueryCanceled, match="statement timeout") as seen:
            repo.generation.insert(reading_frame(site.site_uuid))
        assert "insert_copy.sql" in seen.value.__notes__[0]
        assert repo.generation.read() == []
        postgresql.execute("DROP TRIGGER dawdles ON generation")
        assert repo.generation.insert(reading_frame(site.site_uuid)).inserted == 12


def test_a_call_does_not_wait_for_a_lock_for_ever(dsn, site, postgresql):
    postgresql.execute("LOCK TABLE sites IN ACCESS EXCLUSIVE MODE")
    limits = Limits(read=CallLimits(lock_s=0.1), write=CallLimits(lock_s=0.1))
    with Repository(dsn, limits=limits) as repo:
        for call in (repo.sites.list, lambda: repo.sites.update(site.site_uuid, tilt=1)):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                call()
        postgresql.rollback()
        assert repo.sites.get(site.site_uuid) == site


def test_a_transaction_that_stands_still_is_ended(dsn, site, postgresql):
    postgresql.autocommit = True
    with Repository(dsn, max_size=1, min_size=1, kwargs={"application_name": "standing"}) as repo:
        with pytest.raises(ENDED), repo.transaction(limits=CallLimits(idle_s=0.1)) as tx:  # noqa: PT012
            tx.sites.update(site.site_uuid, tilt=1)
            until(lambda: postgresql.execute(STANDING).fetchone() == (0,))
            tx.users.list()
        assert repo.sites.get(site.site_uuid) == site


def test_a_stream_runs_for_as_long_as_its_caller_takes(dsn, site, repo):
    repo.generation.insert(reading_frame(site.site_uuid, rows=400, start="2024-06-01"))
    with Repository(dsn, limits=Limits(read=CallLimits(statement_s=0.05))) as quick:
        frames = quick.generation.read_frames(chunk_rows=10)
        first = next(frames)
        Event().wait(0.2)
        assert len(first) + sum(map(len, frames)) == 400


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf"), "3", True, 3e6, timedelta(seconds=3)])
@pytest.mark.parametrize("name", ["statement_s", "lock_s", "idle_s"])
def test_a_limit_is_a_number_of_seconds(name, bad):
    with pytest.raises(InvalidInput, match=f"^{name}: must be a number of seconds"):
        CallLimits(**{name: bad})
    with pytest.raises(InvalidInput, match=r"^connect_s: must be a number of seconds"):
        Limits(connect_s=bad)


def test_limits_are_wrong_where_they_are_given(dsn, repo):
    for kind in ("read", "write", "bulk", "stream", "transaction"):
        with pytest.raises(InvalidInput, match=f"^{kind}: must be CallLimits or None, got 5"):
            Limits(**{kind: 5})
    with (
        pytest.raises(InvalidInput, match=r"^transaction: must be CallLimits or None, got"),
        repo.transaction(limits=Limits()),
    ):
        pass
    with pytest.raises(InvalidInput, match=r"^limits: must be a Limits object, got CallLimits"):
        Repository(dsn, limits=CallLimits(statement_s=1))


def test_a_fraction_of_a_millisecond_is_not_rounded_to_no_limit():
    assert CallLimits(lock_s=0.0001).parameters()["lock_timeout_ms"] == 1


@pytest.mark.parametrize(
    ("given", "kwargs", "environment", "seconds"),
    [
        ("", {}, None, "10"),
        ("connect_timeout=3", {}, None, "3"),
        ("", {"connect_timeout": 4}, None, "4"),
        ("", {}, "5", "5"),
    ],
)
def test_making_a_connection_has_a_limit(dsn, monkeypatch, given, kwargs, environment, seconds):
    if environment:
        monkeypatch.setenv("PGCONNECT_TIMEOUT", environment)
    with Repository(f"{dsn} {given}", kwargs=kwargs) as repo, repo._source._pool.connection() as connection:
        parameters = {o.keyword.decode(): o.val for o in connection.pgconn.info}
        assert parameters["connect_timeout"].decode() == seconds
        assert "keepalives_idle" in parameters
        assert conninfo_to_dict(connection.info.dsn)["keepalives_idle"] == "60"


def test_two_threads_do_not_see_each_others(dsn):
    with Repository(dsn, max_size=2, min_size=2) as repo:
        entered, leave, found = Event(), Event(), []

        def hold():
            with repo.transaction(actor="alice", limits=CallLimits(lock_s=1)):
                entered.set()
                leave.wait(20)

        thread = Thread(target=hold)
        thread.start()
        entered.wait(20)
        with repo._source._pool.connection() as connection:
            found.append(connection.execute("SELECT current_setting('pvsite_sql.actor', TRUE)").fetchone())
        leave.set()
        thread.join()
        assert found in ([(None,)], [("",)])
