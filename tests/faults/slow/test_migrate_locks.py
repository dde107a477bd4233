"""`pvsite-sql migrate` where others hold locks, are at work in the same tables, migrate too, or kill it."""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from commands import run, started, until
from concurrency import concurrently
from conftest import reading_frame
from psycopg.conninfo import make_conninfo

from pvsite_sql import PvsiteSqlError, migrate
from pvsite_sql.engine import migrations as packaged
from pvsite_sql.engine.queries import folder
from pvsite_sql.migrate import runner

from ..servers import posix

PROGRAM = """
import sys
from pathlib import Path
from pvsite_sql import cli
from pvsite_sql.engine import migrations as packaged, queries
from pvsite_sql.migrate import runner

migrations = Path(sys.argv.pop(1))
packaged.folder = runner.folder = lambda name: migrations if name == "migrations" else queries.folder(name)
cli.main()
"""
NAME = "migrator"  # its application_name
HELD_UP = f"""
    SELECT count(*) FROM pg_stat_activity AS held_up
    WHERE EXISTS (
        SELECT FROM pg_stat_activity AS m
        WHERE m.application_name = '{NAME}' AND m.pid = ANY (pg_blocking_pids(held_up.pid))
    )
"""
WAITS = f"""
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = '{NAME}' AND cardinality(pg_blocking_pids(pid)) > 0
"""
GATE = "DO $$ BEGIN PERFORM pg_advisory_xact_lock(77); END $$;"  # where a test holds a migration up
ONCE = "INSERT INTO applied (migration) VALUES ('{}');"
ADD_COLUMN = "ALTER TABLE generation ADD COLUMN IF NOT EXISTS note text;"


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package's migrations, to which a test adds."""
    copied = tmp_path / "migrations"
    shutil.copytree(folder("migrations"), copied)
    for module in (packaged, runner):
        monkeypatch.setattr(module, "folder", lambda name: copied if name == "migrations" else folder(name))
    return copied


@pytest.fixture
def command(migrations: Path) -> list[str]:
    """`pvsite-sql` with these migrations."""
    return [sys.executable, "-c", PROGRAM, str(migrations)]


@pytest.fixture
def watched(observer: psycopg.Connection) -> psycopg.Connection:
    """The observer, in a database that counts what the tests' migrations do."""
    observer.execute("CREATE TABLE applied (migration text)")
    return observer


def add(migrations: Path, name: str, *statements: str, head: str = "") -> str:
    (migrations / f"{name}.sql").write_text(head + "\n".join([*statements, ONCE.format(name)]))
    (migrations / f"{name}.rollback.sql").write_text("SELECT 1;")
    return name


def number(connection: psycopg.Connection, query: str) -> int:
    (counted,) = connection.execute(query).fetchone()
    return counted


def applied(connection: psycopg.Connection, name: str) -> tuple[int, int, int]:
    """How often a migration of a test has taken effect, is marked, and is in yoyo's log."""
    return (
        number(connection, f"SELECT count(*) FROM applied WHERE migration = '{name}'"),
        number(connection, f"SELECT count(*) FROM _yoyo_migration WHERE migration_id = '{name}'"),
        number(connection, f"SELECT count(*) FROM _yoyo_log WHERE migration_id = '{name}' AND operation = 'apply'"),
    )


@contextmanager
def holding(dsn: str, statement: str, application: str = "nightly report") -> Iterator[psycopg.Connection]:
    """A transaction that stays open after the statement."""
    with psycopg.connect(dsn, application_name=application) as connection:
        connection.execute(statement)
        yield connection
        connection.rollback()


@contextmanager
def at_work(*calls: Callable[[int], object]) -> Iterator[list[int]]:
    """The calls again and again, each in a thread of its own; how often each has returned. None of them may fail."""
    done = [0] * len(calls)
    failures = []
    ended = Event()

    def go_on(which: int) -> None:
        while not ended.is_set():
            try:
                calls[which](done[which])
            except Exception as error:  # noqa: BLE001  a thread has no other way to tell
                failures.append(error)
                return
            done[which] += 1

    threads = [Thread(target=go_on, args=[which]) for which in range(len(calls))]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_readers_and_writers_go_on_while_it_waits_for_a_long_transaction(repo, dsn, watched, migrations, command, site):
    repo.generation.insert(reading_frame(site.site_uuid))
    name = add(migrations, "0900.column", ADD_COLUMN)
    calls = (
        lambda _: repo.generation.read([site.site_uuid]),
        lambda _: repo.generation.sums(by="total"),
        lambda n: repo.generation.insert(reading_frame(site.site_uuid, start=f"2024-06-{2 + n % 25:02}", rows=2)),
        lambda n: repo.generation.insert(reading_frame(site.site_uuid, power_kw=n), on_conflict="update"),
    )
    options = ("--lock-timeout", "1", "--attempts", "3", "--dsn", dsn)
    with at_work(*calls) as done:
        with holding(dsn, "/* generation/sums */ SELECT count(*) FROM generation") as holder:
            pid = holder.info.backend_pid
            with started("migrate", *options, command=command, PGAPPNAME=NAME) as child:
                for _ in range(2):  # in two attempts
                    until(lambda: number(watched, HELD_UP) > 0)
                    until(lambda before=tuple(done): all(now > then for now, then in zip(done, before, strict=True)))
                out, err = child.communicate(timeout=60)
            assert holder.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        assert (child.returncode, out) == (1, "")
        *retries, last = err.splitlines()
        assert len(retries) == 2
        assert retries[0].startswith(f"{name} not applied: attempt 1 of 3 failed, retrying in 0.5 s: it waited for ")
        assert last.startswith(f"{name} not applied: gave up after 3 attempts with a lock timeout of 1 s: it waited ")
        assert "waited for AccessExclusiveLock on generation, blocked by " in last
        assert f"pid {pid} (user {watched.info.user}, application nightly report, since 20" in last
        assert "idle in transaction, query file generation/sums)" in last
        assert applied(watched, name) == (0, 0, 0)

        code, out, err = run("migrate", "--dsn", dsn, command=command)
        assert (code, out.splitlines()[0]) == (0, f"{name} applied"), err
    assert applied(watched, name) == (1, 1, 1)


def test_it_gets_through_when_the_blocker_ends(dsn, watched, migrations, command):
    name = add(migrations, "0900.column", ADD_COLUMN)
    options = ("--lock-timeout", "0.3", "--attempts", "50", "--dsn", dsn)
    with (
        holding(dsn, "LOCK TABLE generation IN ACCESS SHARE MODE") as holder,
        started("migrate", *options, command=command) as child,
    ):
        assert f"blocked by pid {holder.info.backend_pid} (" in child.stderr.readline()
        holder.rollback()
        assert child.communicate(timeout=60)[0].startswith(f"{name} applied\n")
    assert applied(watched, name) == (1, 1, 1)


def test_a_migration_whose_session_somebody_ends_is_not_tried_again(dsn, watched, migrations, command):
    name = add(migrations, "0900.column", ADD_COLUMN)
    with (
        holding(dsn, "LOCK TABLE generation IN ACCESS SHARE MODE"),
        started("migrate", "--lock-timeout", "300", "--dsn", dsn, command=command, PGAPPNAME=NAME) as child,
    ):
        until(lambda: number(watched, WAITS) == 1)
        watched.execute(WAITS.replace("count(*)", "pg_terminate_backend(pid)"))
        assert child.communicate(timeout=60)[0] == ""
    assert child.returncode == 1
    assert applied(watched, name) == (0, 0, 0)
    assert number(watched, "SELECT count(*) FROM yoyo_lock") == 0


def test_it_takes_its_work_back_when_that_takes_longer_than_others_may_wait(dsn, watched, migrations, command):
    name = add(
        migrations,
        "0900.rewrite",
        "ALTER TABLE sites ADD COLUMN IF NOT EXISTS note text;",
        "DO $$ BEGIN PERFORM pg_sleep(3600); END $$;",
    )
    options = ("--lock-timeout", "1", "--attempts", "1", "--dsn", dsn)
    with started("migrate", *options, command=command, PGAPPNAME=NAME) as child:
        until(lambda: number(watched, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1)
        assert child.poll() is None
        with psycopg.connect(dsn) as reader:
            pid = reader.info.backend_pid
            assert reader.execute("SELECT count(*) FROM sites").fetchone() == (0,)  # it waits, and is let through
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "")
    assert err.startswith(f"{name} not applied: gave up after 1 attempt with a lock timeout of 1 s: it blocked pid ")
    assert f"it blocked pid {pid} for " in err
    assert len(err.splitlines()) == 1
    assert applied(watched, name) == (0, 0, 0)


def test_it_gives_way_to_a_writer_before_that_is_a_deadlock(dsn, watched, migrations, command):
    name = add(migrations, "0900.two", "ALTER TABLE sites ADD COLUMN IF NOT EXISTS note text;", GATE, ADD_COLUMN)
    watched.execute(f"ALTER DATABASE {watched.info.dbname} SET deadlock_timeout = '10min'")
    with (
        holding(dsn, GATE) as gate,
        holding(dsn, "LOCK TABLE generation IN ROW EXCLUSIVE MODE") as writer,
        started("migrate", "--lock-timeout", "300", "--dsn", dsn, command=command, PGAPPNAME=NAME) as child,
    ):
        until(lambda: number(watched, WAITS) == 1)
        gate.rollback()
        until(lambda: "generation" in waited_for(watched))
        assert writer.execute("SELECT count(*) FROM sites").fetchone() == (0,)
        retry = child.stderr.readline()
        assert f"it blocked pid {writer.info.backend_pid} for " in retry
        writer.rollback()
        assert child.communicate(timeout=60)[1] == ""
    assert child.returncode == 0
    assert applied(watched, name) == (1, 1, 1)


def waited_for(connection: psycopg.Connection) -> set[str]:
    """The tables that the migrator waits for."""
    rows = connection.execute(
        "SELECT l.relation::regclass::text FROM pg_locks AS l INNER JOIN pg_stat_activity AS a ON l.pid = a.pid "
        f"WHERE NOT l.granted AND l.relation IS NOT NULL AND a.application_name = '{NAME}'"
    )
    return {name for (name,) in rows}


def test_an_index_is_built_concurrently_without_a_lock_timeout_while_another_migrator_waits(
    dsn, watched, migrations, command
):
    name = add(
        migrations,
        "0900.index",
        "DROP INDEX CONCURRENTLY IF EXISTS sites_gsp_idx;",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS sites_gsp_idx ON sites (gsp);",
        head="-- transactional: false\n",
    )
    options = ("--lock-timeout", "0.3", "--attempts", "1", "--dsn", dsn)
    with ExitStack() as stack:
        old = stack.enter_context(holding(dsn, "INSERT INTO sites (gsp) VALUES ('west')"))
        both = [stack.enter_context(started("migrate", *options, command=command, PGAPPNAME=NAME)) for _ in range(2)]
        until(lambda: number(watched, WAITS) == 1)
        polls = (
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT /* migrate/try_lock */%' AND state = 'idle'"
        )
        until(lambda: number(watched, polls) == 1)
        with psycopg.connect(dsn, autocommit=True) as other:  # writers and readers go on
            other.execute("INSERT INTO sites (gsp) VALUES ('east')")
        old.rollback()
        outs = [child.communicate(timeout=60) for child in both]
    assert [(child.returncode, err) for child, (_, err) in zip(both, outs, strict=True)] == [(0, "")] * 2
    assert sum(f"{name} applied" in out for out, _ in outs) == 1
    assert applied(watched, name) == (1, 1, 1)
    assert (
        number(watched, "SELECT count(*) FROM pg_index WHERE indexrelid = 'sites_gsp_idx'::regclass AND indisvalid")
        == 1
    )


def test_a_blocker_of_another_role_is_named_as_far_as_the_role_may_see(dsn, watched):
    watched.execute("CREATE ROLE pvsite_sql_deployer; GRANT ALL ON SCHEMA public TO pvsite_sql_deployer")
    try:
        watched.execute("GRANT EXECUTE ON FUNCTION ensure_month_partitions TO pvsite_sql_deployer")
        limited = make_conninfo(dsn, options="-c role=pvsite_sql_deployer")
        with holding(dsn, "LOCK TABLE forecasts IN SHARE UPDATE EXCLUSIVE MODE") as holder:
            with pytest.raises(PvsiteSqlError, match="partitions of forecasts not created") as error:
                migrate.ensure_months_ahead(limited, migrate.RetryPolicy(attempts=1))
            assert f"pid {holder.info.backend_pid} (user {holder.info.user}, " in str(error.value)
            assert "statement visible only to members of pg_read_all_stats" in str(error.value)
    finally:
        watched.execute("DROP OWNED BY pvsite_sql_deployer; DROP ROLE pvsite_sql_deployer")


def stop_before_its_ddl(stack: ExitStack, dsn: str) -> Callable[[], object]:
    return stack.enter_context(holding(dsn, "LOCK TABLE generation IN ACCESS SHARE MODE")).rollback


def stop_after_its_ddl(stack: ExitStack, dsn: str) -> Callable[[], object]:
    return stack.enter_context(holding(dsn, GATE)).rollback


def stop_at_its_mark(stack: ExitStack, dsn: str) -> Callable[[], object]:
    return stack.enter_context(holding(dsn, "LOCK TABLE _yoyo_migration IN SHARE MODE")).rollback


@posix
@pytest.mark.parametrize("stop", [stop_before_its_ddl, stop_after_its_ddl, stop_at_its_mark])
def test_killed_before_it_commits_it_has_done_nothing_and_the_next_one_does_it(dsn, watched, migrations, command, stop):
    name = add(migrations, "0900.column", ADD_COLUMN, GATE)
    with ExitStack() as stack:
        release = stop(stack, dsn)
        with started("migrate", "--lock-timeout", "300", "--dsn", dsn, command=command, PGAPPNAME=NAME) as child:
            until(lambda: number(watched, WAITS) == 1)
            child.send_signal(signal.SIGKILL)
            child.wait()
        until(lambda: number(watched, f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'") == 1)
        assert number(watched, "SELECT count(*) FROM yoyo_lock WHERE pid < 0") == 1
        code, out, err = run("migrate", "--wait", "0.1", "--dsn", dsn, command=command)
        assert (code, out) == (1, "")  # the server is still at work for the dead one
        assert err.startswith("another migration is still running after 0.1 s: pid ")
        assert len(err.splitlines()) == 1
        release()
    assert run("migrate", "--dsn", dsn, command=command)[1].startswith(f"{name} applied\n")
    assert applied(watched, name) == (1, 1, 1)
    assert number(watched, "SELECT count(*) FROM yoyo_lock") == 0


@posix
def test_killed_after_it_committed_it_has_done_it_once(dsn, watched, migrations, command):
    name = add(migrations, "0900.column", ADD_COLUMN, GATE)
    with ExitStack() as stack:
        gate = stack.enter_context(holding(dsn, GATE))
        with started("migrate", "--lock-timeout", "300", "--dsn", dsn, command=command, PGAPPNAME=NAME) as child:
            until(lambda: number(watched, WAITS) == 1)
            stack.enter_context(holding(dsn, "LOCK TABLE yoyo_lock IN SHARE MODE"))
            gate.rollback()
            until(lambda: waited_for(watched) == {"yoyo_lock"})
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert applied(watched, name) == (1, 1, 1)
    until(lambda: number(watched, f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{NAME}'") == 0)
    assert run("migrate", "--dsn", dsn, command=command)[1].startswith("No pending migrations.\n")
    assert applied(watched, name) == (1, 1, 1)
    assert number(watched, "SELECT count(*) FROM yoyo_lock") == 0


@posix
def test_frozen_it_loses_its_locks_and_thawed_it_goes_on(dsn, watched, migrations, command):
    name = add(migrations, "0900.column", "ALTER TABLE sites ADD COLUMN IF NOT EXISTS note text;", GATE)
    with (
        holding(dsn, GATE) as gate,
        started("migrate", "--lock-timeout", "5", "--dsn", dsn, command=command, PGAPPNAME=NAME) as child,
    ):
        until(lambda: number(watched, WAITS) == 1)
        child.send_signal(signal.SIGSTOP)
        try:
            gate.rollback()
            with psycopg.connect(dsn) as reader:
                assert reader.execute("SELECT count(*) FROM sites").fetchone() == (0,)
            assert applied(watched, name) == (0, 0, 0)
        finally:
            child.send_signal(signal.SIGCONT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert out.startswith(f"{name} applied\n")
    assert applied(watched, name) == (1, 1, 1)


def test_two_at_once_apply_each_migration_once(dsn, watched, migrations, command):
    def both_processes() -> list[list[str]]:
        with (
            started("migrate", "--dsn", dsn, command=command) as one,
            started("migrate", "--dsn", dsn, command=command) as two,
        ):
            outs = [child.communicate(timeout=60) for child in (one, two)]
            assert [(child.returncode, err) for child, (_, err) in zip((one, two), outs, strict=True)] == [(0, "")] * 2
        return [[line.removesuffix(" applied") for line in out.splitlines() if " applied" in line] for out, _ in outs]

    def both_threads() -> list[list[str]]:
        return concurrently(lambda: migrate.apply(dsn), lambda: migrate.apply(dsn))

    for which in range(20):
        name = add(
            migrations,
            f"{900 + which:04}.round",
            ADD_COLUMN,
            f"ALTER TABLE sites ADD COLUMN IF NOT EXISTS n{which} text;",
        )
        outcomes = both_threads() if which % 5 else both_processes()
        assert sorted(outcomes) == [[], [name]]
        assert applied(watched, name) == (1, 1, 1)
    assert number(watched, "SELECT count(*) FROM yoyo_lock") == 0


def test_two_at_once_begin_an_empty_database(empty_dsn):
    outcomes = concurrently(lambda: migrate.apply(empty_dsn), lambda: migrate.apply(empty_dsn))
    assert sorted(outcomes) == [[], packaged.packaged_migrations()]


YOYO = [sys.executable, "-m", "yoyo", "apply", "--batch", "--no-config-file", "-d"]


def test_a_yoyo_that_is_at_work_is_left_alone(dsn, watched, migrations, command):
    name = add(migrations, "0900.column", ADD_COLUMN, GATE)
    at_the_lock = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%/* migrate/yoyo_lock_take */%'"
    with (
        holding(dsn, GATE) as gate,
        started(str(migrations), command=[*YOYO, migrate.yoyo_uri(dsn)], PGAPPNAME=NAME) as yoyo,
    ):
        until(lambda: number(watched, WAITS) == 1)
        code, out, err = run("migrate", "--wait", "0.1", "--dsn", dsn, command=command)
        assert (code, out) == (1, "")
        assert err.startswith(f"Process {yoyo.pid} has locked this database with yoyo since 20")
        assert len(err.splitlines()) == 1
        with started("migrate", "--dsn", dsn, command=command) as waiting:
            until(lambda: number(watched, at_the_lock) == 1)
            gate.rollback()
            assert yoyo.wait(60) == 0
            assert waiting.communicate(timeout=60)[0].startswith("No pending migrations.\n")
    assert applied(watched, name) == (1, 1, 1)


def test_a_yoyo_waits_for_it(dsn, watched, migrations, command):
    name = add(migrations, "0900.column", ADD_COLUMN, GATE)
    with (
        holding(dsn, GATE) as gate,
        started("migrate", "--lock-timeout", "300", "--dsn", dsn, command=command, PGAPPNAME=NAME) as child,
    ):
        until(lambda: number(watched, WAITS) == 1)
        with started(str(migrations), command=[*YOYO, migrate.yoyo_uri(dsn)], PGAPPNAME="yoyo") as yoyo:
            refused = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'yoyo' AND query = 'ROLLBACK'"
            until(lambda: number(watched, refused) == 1)
            gate.rollback()
            assert child.communicate(timeout=60)[0].startswith(f"{name} applied\n")
            assert yoyo.wait(60) == 0
    assert applied(watched, name) == (1, 1, 1)


@posix
@pytest.mark.parametrize("somebody_else", [True, False])
def test_what_a_killed_yoyo_left_is_taken_over_only_where_nobody_else_is_connected(
    empty_dsn, empty_database, server, migrations, command, somebody_else
):
    migrate.apply(empty_dsn)
    name = add(migrations, "0900.column", ADD_COLUMN)
    maintenance = make_conninfo(empty_dsn, dbname=server.maintenance_dbname)
    here = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{empty_database.info.dbname}'"
    empty_database.execute("CREATE TABLE applied (migration text)")
    empty_database.commit()
    empty_database.execute("LOCK TABLE generation IN ACCESS SHARE MODE")
    with psycopg.connect(maintenance, autocommit=True) as elsewhere:
        with started(str(migrations), command=[*YOYO, migrate.yoyo_uri(empty_dsn)], PGAPPNAME=NAME) as yoyo:
            until(lambda: number(elsewhere, WAITS) == 1)
            yoyo.send_signal(signal.SIGKILL)
            yoyo.wait()
        empty_database.rollback()
        until(lambda: number(elsewhere, f"{here} AND application_name = '{NAME}'") == 0)
        if somebody_else:
            code, out, err = run("migrate", "--wait", "0.1", "--dsn", empty_dsn, command=command)
            assert (code, out) == (1, "")
            assert err.startswith(f"Process {yoyo.pid} has locked this database")
            assert number(empty_database, "SELECT pid FROM yoyo_lock") == yoyo.pid
            return
        empty_database.close()
        until(lambda: number(elsewhere, here) == 0)
        code, out, err = run("migrate", "--dsn", empty_dsn, command=command)
        assert (code, err) == (0, "")
        assert out.startswith(f"{name} applied\n")
