"""SQL of the caller's own: `tx.connection` and `repo.connection()`, and what a caller does there by mistake."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from threading import Event
from typing import Any

import psycopg
import pytest
from commands import until
from conftest import PGBOUNCER, reading_frame
from faults.programs import SECONDS, apart, ends, run, thread
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, NullConnectionPool

from pvsite_sql import CallLimits, Duplicate, InsertResult, Limits, PvsiteSqlError, Repository

WRITE = "INSERT INTO status (status, message) VALUES ('own', '')"
COUNT = "SELECT count(*) FROM status"
SLEEP = "SELECT pg_sleep(100)"
MANY = "SELECT generate_series(1, 200000)"
LIMITS = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"


@pytest.fixture
def one(dsn: str) -> Iterator[Repository]:
    """A repository with a single connection, which the next block gets as the last one has left it."""
    with Repository(dsn, min_size=1, max_size=1, timeout=10) as repository:
        yield repository


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a block waits for less than a second until a statement that was left open has ended."""
    monkeypatch.setattr("pvsite_sql.engine.borrowed._CANCEL_TIMEOUT_S", 0.1)


def stored(connection: psycopg.Connection) -> int:
    """How many rows of WRITE are committed."""
    (count,) = connection.execute(COUNT).fetchone() or (0,)
    connection.rollback()
    return int(count)


def backend(repo: Repository) -> int:
    with repo.connection() as connection:
        return connection.info.backend_pid


class TestTogether:
    """Own SQL and calls are one transaction."""

    def test_each_sees_what_the_other_has_written(self, repo, postgresql):
        with repo.transaction() as tx:
            site = tx.sites.create(client_site_name="roof")
            assert isinstance(tx.connection, psycopg.Connection)
            rows = tx.connection.execute("SELECT client_site_name FROM sites").fetchall()
            assert rows == [("roof",)]
            tx.connection.execute("UPDATE sites SET client_site_name = 'barn'")
            assert tx.sites.get(site.site_uuid).client_site_name == "barn"
            tx.connection.execute(WRITE)
            assert stored(postgresql) == 0
        assert stored(postgresql) == 1
        assert repo.sites.get(site.site_uuid).client_site_name == "barn"

    def test_an_exception_rolls_both_back(self, repo, postgresql):
        with pytest.raises(ValueError, match="enough"), repo.transaction() as tx:  # noqa: PT012
            tx.connection.execute(WRITE)
            tx.sites.create()
            raise ValueError("enough")
        assert (stored(postgresql), repo.sites.list()) == (0, [])

    def test_a_savepoint_takes_what_fails_and_the_rest_is_stored(self, repo, postgresql):
        with repo.transaction() as tx:
            tx.connection.execute(WRITE)
            with pytest.raises(psycopg.errors.DivisionByZero), tx.connection.transaction():  # noqa: PT012
                tx.sites.create()
                tx.connection.execute("SELECT 1 / 0")
            tx.sites.create(client_site_name="after")
        assert stored(postgresql) == 1
        assert [site.client_site_name for site in repo.sites.list()] == ["after"]

    def test_a_call_that_fails_leaves_own_sql_usable(self, repo, postgresql):
        with repo.transaction() as tx:
            tx.connection.execute(WRITE)
            tx.site_groups.create("north")
            with pytest.raises(Duplicate):
                tx.site_groups.create("north")
            tx.connection.execute(WRITE)
        assert stored(postgresql) == 2

    def test_in_the_iterable_of_an_insert(self, repo, site, postgresql):
        with repo.transaction() as tx:

            def frames():
                for start in ("2024-06-01", "2024-07-01"):
                    tx.connection.execute(WRITE)
                    yield reading_frame(site.site_uuid, start=start)

            assert tx.generation.insert(frames()) == InsertResult(inserted=24)
        assert (stored(postgresql), len(repo.generation.read())) == (2, 24)

    def test_copy_pipeline_and_server_cursor(self, repo, postgresql):
        with repo.connection() as connection:
            with connection.cursor() as cursor, cursor.copy("COPY status (status, message) FROM STDIN") as copy:
                copy.write_row(("own", "copied"))
            with connection.pipeline():
                for _ in range(3):
                    connection.execute(WRITE)
            with connection.cursor("many") as cursor:
                cursor.execute(MANY)
                assert cursor.fetchmany(2) == [(1,), (2,)]
        assert stored(postgresql) == 4


class TestOfTheRepository:
    """`repo.connection()`: one transaction."""

    def test_is_committed_at_the_end_and_rolled_back_by_an_exception(self, one, postgresql):
        with one.connection() as connection:
            connection.execute(WRITE)
            assert stored(postgresql) == 0
        with pytest.raises(psycopg.errors.UndefinedTable), one.connection() as connection:  # noqa: PT012
            connection.execute(WRITE)
            connection.execute("SELECT FROM nothing")
        assert stored(postgresql) == 1

    def test_has_the_actor_and_the_limits(self, dsn, site):
        limits = Limits(transaction=CallLimits(statement_s=7, lock_s=3))
        with Repository(dsn, actor="meter", limits=limits, min_size=1) as repo:
            with repo.connection() as connection:
                connection.execute("UPDATE sites SET tilt = 1")
                assert connection.execute(LIMITS).fetchone() == ("7s", "3s")
            with repo.connection(actor="alice", limits=CallLimits(statement_s=0.05)) as connection:
                connection.execute("UPDATE sites SET tilt = 2")
                with pytest.raises(psycopg.errors.QueryCanceled), connection.transaction():
                    connection.execute(SLEEP)
            assert [change.actor for change in repo.sites.history(site.site_uuid)] == [None, "meter", "alice"]

    def test_jit_is_off_whatever_the_session_says(self, dsn):
        with Repository(make_conninfo(dsn, options="-c jit=on"), min_size=1) as repo, repo.connection() as connection:
            assert connection.execute("SHOW jit").fetchone() == ("off",)

    def test_inside_a_transaction_it_is_another_one(self, repo, postgresql):
        with pytest.raises(ValueError, match="enough"), repo.transaction() as tx:  # noqa: PT012
            tx.sites.create()
            with repo.connection() as connection:
                assert connection is not tx.connection
                connection.execute(WRITE)
            raise ValueError("enough")
        assert (stored(postgresql), repo.sites.list()) == (1, [])

    def test_a_constraint_that_is_checked_at_commit_is_explained(self, repo, site, postgresql):
        postgresql.execute("ALTER TABLE inverters ADD CONSTRAINT one UNIQUE (site_uuid) DEFERRABLE INITIALLY DEFERRED")
        postgresql.commit()
        with pytest.raises(Duplicate) as refusal, repo.connection() as connection:  # noqa: PT012
            connection.execute(WRITE)
            for _ in range(2):
                connection.execute("INSERT INTO inverters (site_uuid) VALUES (%s)", [site.site_uuid])
        assert refusal.value.constraint_name == "one"
        assert stored(postgresql) == 0


def swallow(connection: psycopg.Connection) -> None:
    with suppress(psycopg.errors.DivisionByZero):
        connection.execute("SELECT 1 / 0")


def end_and_begin(connection: psycopg.Connection) -> None:
    connection.execute("COMMIT")
    connection.execute("BEGIN")
    connection.execute(WRITE)


MISTAKES: dict[str, tuple[Callable[[psycopg.Connection], object], type[Exception], str]] = {
    "commit": (lambda connection: connection.commit(), psycopg.ProgrammingError, "commit"),
    "rollback": (lambda connection: connection.rollback(), psycopg.ProgrammingError, "rollback"),
    "autocommit": (lambda connection: connection.set_autocommit(False), psycopg.ProgrammingError, "autocommit"),
    "close": (lambda connection: connection.close(), PvsiteSqlError, "closed inside the block"),
    "with": (lambda connection: connection.__exit__(None, None, None), psycopg.ProgrammingError, "commit"),
    "rollback_sql": (lambda connection: connection.execute("ROLLBACK"), PvsiteSqlError, "ended the transaction"),
    "chain": (lambda connection: connection.execute("ROLLBACK AND CHAIN"), PvsiteSqlError, "ended the transaction"),
    "failed": (swallow, PvsiteSqlError, "savepoint"),
}


@pytest.mark.parametrize("name", MISTAKES)
@ends
def test_a_mistake_is_an_error_and_nothing_is_stored(one, postgresql, name):
    mistake, kind, said = MISTAKES[name]
    with pytest.raises(kind, match=said), one.transaction() as tx:  # noqa: PT012
        tx.sites.create()
        tx.connection.execute(WRITE)
        mistake(tx.connection)
    assert (stored(postgresql), one.sites.list()) == (0, [])


@pytest.mark.parametrize("name", ["close", "rollback_sql", "failed"])
@ends
def test_the_next_call_after_a_mistake_is_refused(one, postgresql, name):
    mistake, kind, said = MISTAKES[name]
    with pytest.raises(kind, match=said), one.transaction() as tx:  # noqa: PT012
        tx.connection.execute(WRITE)
        mistake(tx.connection)
        with pytest.raises(kind, match=said):
            tx.sites.create()
    assert (stored(postgresql), one.sites.list()) == (0, [])


@pytest.mark.parametrize("statement", ["COMMIT", "COMMIT AND CHAIN", "COMMIT; BEGIN"])
@ends
def test_what_comes_after_a_commit_of_the_callers_own_is_not_stored(one, postgresql, statement):
    with pytest.raises(PvsiteSqlError, match="ended the transaction"), one.connection() as connection:  # noqa: PT012
        connection.execute(WRITE)
        connection.execute(statement)
        if statement != "COMMIT":
            connection.execute(WRITE)
    assert stored(postgresql) == 1
    assert one.sites.list() == []


def copy_in(connection: psycopg.Connection, left: ExitStack) -> Any:
    return left.enter_context(connection.cursor().copy("COPY status (status, message) FROM STDIN")).write_row(("a", ""))


def copy_out(connection: psycopg.Connection, left: ExitStack) -> Any:
    rows = iter(left.enter_context(connection.cursor().copy(f"COPY ({MANY}) TO STDOUT")))
    left.callback(lambda: list(rows))  # psycopg leaves the rest on the connection
    return next(rows)


def stream(connection: psycopg.Connection, left: ExitStack) -> Any:
    rows = connection.cursor().stream(MANY)
    left.callback(rows.close)
    return next(rows)


def notifies(connection: psycopg.Connection, left: ExitStack) -> Any:
    connection._notifies_backlog.append(psycopg.Notify("news", "", 0))  # as if it had come with an answer
    found = connection.notifies()
    left.callback(found.close)
    return next(found)


def pipeline(connection: psycopg.Connection, left: ExitStack) -> Any:
    return left.enter_context(connection.pipeline())


def block(connection: psycopg.Connection, left: ExitStack) -> Any:
    return left.enter_context(connection.transaction())


BUSY = {"copy_in": copy_in, "copy_out": copy_out, "stream": stream, "notifies": notifies, "pipeline": pipeline}
LEFT = {**BUSY, "block": block}


@pytest.mark.parametrize("name", LEFT)
@pytest.mark.parametrize("raised", [False, True], ids=["at_the_end", "with_an_exception"])
@pytest.mark.usefixtures("impatient")
@ends
def test_what_is_left_open_is_no_hang_and_nothing_is_stored(one, postgresql, name, raised):
    left = ExitStack()
    kinds = ValueError if raised else (PvsiteSqlError, psycopg.Error)
    with pytest.raises(kinds), one.transaction() as tx:  # noqa: PT012
        tx.sites.create()
        tx.connection.execute(WRITE)
        LEFT[name](tx.connection, left)
        if raised:
            raise ValueError("enough")
    assert (stored(postgresql), one.sites.list()) == (0, [])
    with suppress(psycopg.Error):
        left.close()


@pytest.mark.parametrize("name", BUSY)
@ends
def test_a_call_meanwhile_is_refused_and_nothing_is_sent(one, name):
    with one.transaction() as tx:
        # psycopg cancels a stream that is not read to its end
        with tx.connection.transaction(force_rollback=True), ExitStack() as left:
            BUSY[name](tx.connection, left)
            assert tx.connection.info.backend_pid
            for call in (tx.sites.create, tx.generation.read_frame, lambda: next(tx.generation.read_frames())):
                with pytest.raises(PvsiteSqlError, match="connection of the transaction"):
                    call()
        tx.sites.create()
    assert len(one.sites.list()) == 1


@pytest.mark.usefixtures("impatient")
@ends
def test_a_stream_of_own_sql_is_not_inserted_into_its_own_transaction(one, site):
    with pytest.raises(PvsiteSqlError, match="stream"), one.transaction() as tx:  # noqa: PT012
        rows = tx.connection.cursor().stream(MANY)
        tx.generation.insert(reading_frame(site.site_uuid).assign(power_kw=float(row)) for (row,) in rows)
    assert one.generation.read() == []
    with suppress(psycopg.Error):
        rows.close()


@pytest.mark.parametrize("before", [False, True], ids=["first", "again"])
@ends
def test_own_sql_while_a_stream_of_the_transaction_is_open_is_refused(repo, site, before):
    repo.generation.insert(reading_frame(site.site_uuid, rows=100))
    with repo.transaction() as tx:
        if before:
            tx.connection.execute(WRITE)
        frames = tx.generation.read_frames(chunk_rows=10)
        next(frames)
        with pytest.raises(PvsiteSqlError, match="stream"):
            tx.connection.execute(WRITE)
        frames.close()
        tx.connection.execute(WRITE)


@ends
def test_the_end_of_the_block_while_another_thread_runs_own_sql_is_no_silent_commit(one, postgresql):
    began = Event()

    def slow(connection: psycopg.Connection) -> None:
        began.set()
        connection.execute(SLEEP)

    with pytest.raises(PvsiteSqlError, match="has not ended"), one.transaction() as tx:  # noqa: PT012
        connection = tx.connection
        connection.execute(WRITE)
        running = thread(lambda: slow(connection))
        assert began.wait(SECONDS)
        until(connection.lock.locked)
    assert stored(postgresql) == 0
    assert isinstance(running.exception(SECONDS), psycopg.Error)


@pytest.mark.parametrize("name", ["transaction", "repository"])
def test_after_the_block_there_is_none(repo, name):
    with repo.transaction() as tx:
        if name == "transaction":
            tx.connection.execute(WRITE)
    with pytest.raises(PvsiteSqlError, match="the transaction has ended"):
        _ = tx.connection


class Shout(Loader):
    """Loads text in capitals."""

    def load(self, data: Any) -> str:
        return bytes(data).decode().upper()


def python_state(connection: psycopg.Connection) -> None:
    connection.row_factory = dict_row
    connection.cursor_factory = psycopg.ClientCursor
    connection.server_cursor_factory = type("Other", (psycopg.ServerCursor,), {})
    connection.prepare_threshold, connection.prepared_max = 0, 1
    connection.adapters.register_loader("text", Shout)
    connection.add_notice_handler(print)
    connection.add_notify_handler(print)


SESSION: dict[str, tuple[str, str, object]] = {  # what is left; what tells it; what it told before
    "setting": ("SET statement_timeout = 77", "SHOW statement_timeout", "15min"),
    "search_path": ("SET search_path = pg_catalog", "SHOW search_path", '"$user", public'),
    "local_setting": ("SET LOCAL work_mem = '64kB'", "SHOW work_mem", "4MB"),
    "custom_setting": ("SET app.tenant = 'alice'", "SELECT current_setting('app.tenant', TRUE)", (None, "")),
    "role": ("SET ROLE pg_monitor", "SELECT current_user = session_user", True),
    "table": ("CREATE TEMPORARY TABLE sites (n integer)", "SELECT to_regclass('pg_temp.sites')::text", None),
    "statement": ("PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements", 0),
    "listening": ("LISTEN news", "SELECT count(*) FROM pg_listening_channels()", 0),
    "lock": (
        "SELECT pg_advisory_lock(77)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        0,
    ),
    "cursor": ("DECLARE held CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors WHERE name = 'held'", 0),
}


@pytest.mark.skipif(PGBOUNCER, reason="sessions are PgBouncer's")
@pytest.mark.parametrize("name", SESSION)
@pytest.mark.parametrize("raised", [False, True], ids=["committed", "rolled_back"])
def test_nothing_is_left_in_the_session(one, name, raised):
    statement, asked, before = SESSION[name]
    pid = backend(one)
    with suppress(ZeroDivisionError), one.connection() as connection:
        connection.execute(statement)
        if raised:
            raise ZeroDivisionError
    with one.connection() as connection:
        assert connection.info.backend_pid == pid
        (told,) = connection.execute(asked, prepare=False).fetchone()
        assert told in before if isinstance(before, tuple) else told == before
    assert one.sites.list() == []


def test_nothing_is_left_on_the_connection(one):
    def told(connection: psycopg.Connection) -> list[object]:
        handlers = [list(connection._notice_handlers), list(connection._notify_handlers)]
        factories = [connection.row_factory, connection.cursor_factory, connection.server_cursor_factory]
        limits = [connection.prepare_threshold, connection.prepared_max]
        return [*handlers, *factories, *limits, connection.execute("SELECT 'quiet'").fetchall()]

    with one.connection() as connection:
        before = told(connection)
        assert before[-1] == [("quiet",)]
    with one.connection() as connection:
        python_state(connection)
        assert told(connection) != before
    with one.connection() as connection:
        assert told(connection) == before


@pytest.mark.parametrize("prepare", [None, True])
def test_statements_are_prepared_again(one, site, prepare):
    """psycopg must not believe that the server still knows what the end of a block has forgotten."""
    for _ in range(3):
        for _ in range(7):
            assert one.sites.get(site.site_uuid) == site
        with one.connection() as connection:
            for number in range(7):
                assert connection.execute("SELECT %s", [number], prepare=prepare).fetchone() == (number,)
        with suppress(ZeroDivisionError), one.connection() as connection:
            connection.execute("SELECT %s", [1], prepare=prepare)
            raise ZeroDivisionError


@pytest.mark.parametrize("kind", [ConnectionPool, NullConnectionPool])
@pytest.mark.parametrize("autocommit", [False, True])
def test_of_a_pool_of_the_caller(dsn, postgresql, kind, autocommit):
    options = {"autocommit": autocommit, "row_factory": dict_row}
    with kind(dsn, kwargs=options, min_size=0, max_size=1, open=True) as pool, Repository(pool) as repo:
        with repo.connection() as connection:
            connection.execute(WRITE)
            assert connection.execute("SELECT 1 AS n").fetchone() == {"n": 1}
            assert stored(postgresql) == 0
        assert stored(postgresql) == 1
        with pool.connection() as connection:
            assert connection.autocommit == autocommit
            assert connection.row_factory is dict_row


@pytest.mark.parametrize("own", [False, True], ids=["of_the_caller", "of_the_repository"])
def test_a_session_that_the_pool_configures_is_replaced_and_configured(dsn, own):
    def configure(connection: psycopg.Connection) -> None:
        connection.execute("SET TimeZone = 'America/Denver'")
        connection.commit()

    options: dict[str, Any] = {"configure": configure, "min_size": 1, "max_size": 1, "timeout": 10}
    with ExitStack() as stack:
        source = dsn if own else stack.enter_context(ConnectionPool(dsn, open=True, **options))
        repo = stack.enter_context(Repository(source, **(options if own else {})))
        for _ in range(2):
            with repo.connection() as connection:
                assert connection.execute("SHOW TimeZone").fetchone() == ("America/Denver",)
                connection.execute("SET TimeZone = 'Asia/Tokyo'")


class SoftTimeLimit(Exception):
    """As a task queue raises it."""


def in_a_savepoint(connection: psycopg.Connection) -> None:
    with connection.transaction():
        connection.execute(SLEEP)


def in_a_copy(connection: psycopg.Connection) -> None:
    with connection.cursor().copy(f"COPY ({SLEEP}) TO STDOUT") as copy:
        list(copy)


SLOW: dict[str, Callable[[psycopg.Connection], object]] = {
    "execute": lambda connection: connection.execute(SLEEP),
    "savepoint": in_a_savepoint,
    "copy": in_a_copy,
    "stream": lambda connection: list(connection.cursor().stream(SLEEP)),
}


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SoftTimeLimit])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no setitimer")
def test_an_exception_of_a_signal_handler_comes_out(dsn, kind):
    assert run(interrupted, dsn, kind.__name__) == dict.fromkeys(SLOW, kind.__name__)


def interrupted(dsn: str, kind: str) -> Any:
    """What comes out of blocks whose own SQL is interrupted; the repository works afterwards, and nothing is stored."""

    def handle(*_: object) -> None:
        raise {"KeyboardInterrupt": KeyboardInterrupt, "SoftTimeLimit": SoftTimeLimit}[kind]

    signal.signal(signal.SIGALRM, handle)
    told = {}
    with Repository(dsn, min_size=1, max_size=1, timeout=10) as repo:
        for name, sleep in SLOW.items():
            try:
                with repo.connection() as connection:
                    connection.execute(WRITE)
                    signal.setitimer(signal.ITIMER_REAL, 0.1)
                    sleep(connection)
            except BaseException as error:  # noqa: BLE001  it is told
                told[name] = type(error).__name__
            assert repo.status.latest() is None
    return told


@ends
def test_handed_from_thread_to_thread(one, postgresql):
    block = one.connection()
    connection = apart(block.__enter__)
    for _ in range(3):
        apart(lambda: connection.execute(WRITE))
    apart(lambda: block.__exit__(None, None, None))
    assert stored(postgresql) == 3
