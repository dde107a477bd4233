"""`tidy`: finished months are rebuilt while others read and write, a killed run is gone on with, and order pays."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from commands import called, run, until
from conftest import conninfo, reading_frame
from psycopg import sql
from test_roles import grant, login

import pvsite_sql
from pvsite_sql import InvalidInput, PvsiteSqlError, Repository, check, migrate
from pvsite_sql.engine import partitions
from pvsite_sql.engine.queries import query
from pvsite_sql.engine.session import QueryConnection
from pvsite_sql.tidy import tidy

MAY, JUNE, JULY = (datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 7))
SITES, TICKS = 100, 576
ROWS = SITES * TICKS
READINGS = """
    INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
    SELECT s.site_uuid, t, t + interval '5 minutes', 1
    FROM sites AS s, generate_series(%(start)s, %(start)s + %(ticks)s * interval '5 minutes', interval '5 minutes') AS t
    ORDER BY {order}
"""
FORECASTS = """
    INSERT INTO forecasts (site_uuid, timestamp_utc, start_utc, resolution_minutes, power_kw)
    SELECT s.site_uuid, t, t, 30, array_fill(1::real, '{{96}}')
    FROM sites AS s, generate_series(%(start)s, %(start)s + %(ticks)s * interval '1 hour', interval '1 hour') AS t
    ORDER BY {order}
"""
BY_TICK, BY_SITE = "t, s.site_uuid", "s.site_uuid, t"
BY_DAY = "date_trunc('day', t), s.site_uuid, t"
INDEXES = """
    SELECT x.relname, i.indisvalid, pg_relation_size(x.oid)
    FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = %s::regclass ORDER BY x.relname
"""
FILES = """
    SELECT c.relname, pg_relation_filenode(c.oid), c.relfrozenxid::text, pg_relation_size(c.oid) FROM pg_class AS c
    WHERE c.relname ~ '^(generation|forecasts)_p' ORDER BY c.relname
"""
CONNECTED = """
    SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pvsite-sql tidy' AND datname = current_database()
"""
RUNNING = """
    SELECT pid FROM pg_stat_activity
    WHERE application_name = 'pvsite-sql tidy' AND datname = current_database() AND query LIKE %s
        AND wait_event_type = 'Lock'
"""
# A run that stops once at a statement: `before` or `after` it, to `wait` for a line on standard input or be killed.
CHILD = """
import os, signal, sys
from pvsite_sql.tidy import tidying

dsn, place, step, what = sys.argv[1:]
inner, stopped = tidying._Tidy._execute, []

def outer(self, statement):
    here = not stopped and statement.startswith(step)
    stopped.extend([here] if here else [])
    for now in ("before", "after"):
        if now == "after":
            inner(self, statement)
        if here and place == now:
            if what == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            print("there", flush=True)
            sys.stdin.readline()

tidying._Tidy._execute = outer
tidying.tidy(dsn, cluster=step == "CLUSTER", lock_timeout_s=0.2, wait_s=20, report=lambda said: None)
"""


@pytest.fixture
def direct(postgresql: psycopg.Connection) -> str:
    """The database, without a pooler in between."""
    return conninfo(postgresql)


@pytest.fixture
def admin(direct: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(direct, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")  # VACUUM marks no page as visible that may be lost in a crash
        yield connection


def fill(admin: psycopg.Connection, start: datetime, order: str = BY_TICK, rows: str = READINGS, ticks: int = TICKS):
    """Store a month of all sites in an order."""
    parent = rows.split()[2]
    admin.execute("SELECT ensure_month_partitions(%s, ARRAY[%s::date])", [parent, start])
    admin.execute(rows.format(order=order), {"start": start, "ticks": ticks - 1})


@pytest.fixture
def sites(admin: psycopg.Connection) -> list[Any]:
    rows = admin.execute(f"INSERT INTO sites SELECT FROM generate_series(1, {SITES}) RETURNING site_uuid")
    return [site for (site,) in rows]


@pytest.fixture
def readings(admin: psycopg.Connection, sites: list[Any]) -> None:
    """May came tick by tick, June site by site."""
    fill(admin, MAY, BY_TICK)
    fill(admin, JUNE, BY_SITE)


def go(direct: str, **options: Any) -> list[str]:
    """Tidy; what it said."""
    said: list[str] = []
    tidy(direct, **{"lock_timeout_s": 0.2, "report": said.append, **options})
    return said


def due(direct: str, **options: Any) -> list[str]:
    """The months that a dry run lists, each with what would be done."""
    lines = [line for line in go(direct, dry_run=True, **options) if ": to be " in line]
    return [f"{line.split()[0].removeprefix('public.')} {line.split(': to be ')[1]}" for line in lines]


def pages_read(admin: psycopg.Connection, site: Any, start: datetime, days: int = 2) -> int:
    """How many pages a read of one site takes, those of the index included."""
    parameters = {"site_uuids": [site], "start_utc": start, "end_utc": start + timedelta(days=days)}
    text = b"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + query("generation/read").text
    (answer,) = admin.execute(text, parameters).fetchone()
    plan = answer[0]["Plan"]
    assert plan["Actual Rows"] == days * 288
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def indexes(admin: psycopg.Connection, partition: str) -> dict[str, int]:
    """The sizes of the indexes of a partition, all of them valid."""
    found = admin.execute(INDEXES, [partition]).fetchall()
    assert all(valid for _, valid, _ in found), found
    return {name: size for name, _, size in found}


class TestMonths:
    def test_one_that_came_tick_by_tick_reads_in_order_after_cluster(self, direct, admin, sites, readings):
        in_order = pages_read(admin, sites[50], JUNE)
        assert pages_read(admin, sites[50], MAY) > 20 * in_order
        go(direct)
        assert pages_read(admin, sites[50], MAY) > 20 * in_order  # REINDEX and VACUUM leave rows where they are
        assert due(direct) == []
        assert due(direct, cluster=True) == ["generation_p2024_05 clustered and vacuumed"]
        go(direct, cluster=True)
        assert due(direct, cluster=True) == []
        assert pages_read(admin, sites[50], MAY) <= 2 * pages_read(admin, sites[50], JUNE) <= 2 * in_order

    def test_indexes_are_rebuilt_where_they_have_grown_and_rows_are_frozen(self, direct, admin, readings):
        before = [indexes(admin, f"generation_p2024_{month}") for month in ("05", "06")]
        files = {name: number for name, number, *_ in admin.execute(FILES)}
        assert due(direct) == ["generation_p2024_05 reindexed and vacuumed", "generation_p2024_06 vacuumed"]
        said = go(direct)
        assert said[-2].startswith("public.generation_p2024_05 reindexed and vacuumed: ")
        after = [indexes(admin, f"generation_p2024_{month}") for month in ("05", "06")]
        assert after[0]["generation_p2024_05_pkey"] < 0.8 * before[0]["generation_p2024_05_pkey"]
        assert after[1] == before[1]
        now = {name: number for name, number, *_ in admin.execute(FILES)}
        assert now["generation_p2024_06_pkey"] == files["generation_p2024_06_pkey"]  # it was as small as can be
        rows = admin.execute(
            "SELECT c.relname, c.relallvisible = c.relpages, count(*) FILTER (WHERE age(g.xmin) <= age(c.relfrozenxid))"
            " FROM generation AS g JOIN pg_class AS c ON c.oid = g.tableoid GROUP BY c.oid, c.relname"
        ).fetchall()
        assert sorted(rows) == [("generation_p2024_05", True, 0), ("generation_p2024_06", True, 0)]

    def test_a_month_that_is_written_again_is_tidied_again(self, direct, admin, sites, readings):
        go(direct)
        nothing = [line for table in ("forecasts", "generation") for line in (head(table), "  none")]
        assert go(direct) == nothing
        frames = [reading_frame(site, start="2024-05-01", rows=TICKS, power_kw=7.0) for site in sites[:5]]
        late = [reading_frame(site, start="2024-06-20", rows=100) for site in sites]
        with Repository(direct, min_size=1) as repo:  # at its end the server knows what it did
            assert repo.generation.insert(frames, on_conflict="update").updated == 5 * TICKS
            assert repo.generation.insert(late).inserted == 100 * SITES
        admin.execute("ANALYZE sites")
        until(lambda: self.dead_rows(admin, "generation_p2024_05"))
        assert due(direct) == ["generation_p2024_05 vacuumed", "generation_p2024_06 vacuumed"]
        go(direct)
        assert go(direct) == nothing
        with Repository(direct, min_size=1) as repo:
            repo.sites.delete(sites[7], delete_generation=True)
        until(lambda: self.dead_rows(admin, "generation_p2024_06"))
        assert due(direct) == ["generation_p2024_05 vacuumed", "generation_p2024_06 vacuumed"]
        go(direct)
        assert go(direct) == nothing

    @staticmethod
    def dead_rows(admin: psycopg.Connection, partition: str) -> int:
        (count,) = admin.execute("SELECT pg_stat_get_dead_tuples(%s::regclass)", [partition]).fetchone()
        return int(count)

    def test_rows_that_came_in_batches_of_a_day_are_as_good_as_in_order(self, direct, admin, sites):
        fill(admin, MAY, BY_DAY, ticks=2 * TICKS)
        go(direct)
        assert due(direct, cluster=True) == []

    @pytest.mark.parametrize("order", [BY_TICK, BY_SITE])
    def test_few_rows_of_each_of_many_sites_are_no_disorder(self, direct, admin, order):
        """A page holds many sites then, however the rows are ordered."""
        admin.execute("INSERT INTO sites SELECT FROM generate_series(1, 20000)")
        fill(admin, MAY, order, ticks=1)
        assert due(direct, cluster=True) == ["generation_p2024_05 vacuumed"]

    def test_forecasts_are_put_in_order_of_the_site(self, repo, direct, admin, sites):
        fill(admin, MAY, BY_TICK, FORECASTS, ticks=100)
        fill(admin, JUNE, BY_SITE, FORECASTS, ticks=100)
        before = indexes(admin, "forecasts_p2024_05")
        (tick, _) = due(direct, cluster=True)
        assert tick == "forecasts_p2024_05 clustered and vacuumed"
        go(direct, cluster=True)
        assert due(direct, cluster=True) == []
        pages = """
            SELECT count(DISTINCT (ctid::text::point)[0]) FROM forecasts WHERE site_uuid = %s AND timestamp_utc < %s
        """
        assert admin.execute(pages, [sites[5], JUNE]).fetchone()[0] < 25
        after = indexes(admin, "forecasts_p2024_05")
        assert after.keys() == before.keys()
        assert sum(after.values()) < sum(before.values())

    def test_months_that_are_not_over_or_not_asked_for_are_left_alone(self, repo, direct, admin, sites, readings):
        month = partitions.months_ahead()[0]
        fill(admin, datetime(month.year, month.month, 1, tzinfo=UTC))
        fill(admin, MAY, rows=FORECASTS, ticks=100)
        assert [line.split()[0] for line in due(direct)] == [
            *("forecasts_p2024_05", "generation_p2024_05", "generation_p2024_06")
        ]
        assert len(due(direct, parents=["generation"])) == 2
        assert [line.split()[0] for line in due(direct, since_utc=MAY + timedelta(days=1))] == ["generation_p2024_06"]
        assert len(due(direct, before_utc=JUNE, parents=["generation"])) == 1
        assert due(direct, before_utc=MAY) == []

    def test_a_dry_run_says_what_and_why_and_changes_nothing(self, direct, admin, readings):
        before = admin.execute(FILES).fetchall()
        said = go(direct, dry_run=True, cluster=True, parents=["generation"])
        assert said[0] == head("generation")
        assert re.match(r"  public.generation_p2024_05 \(about 5\d,\d{3} rows, \d+ kB, a site is on ", said[1])
        assert " times as many pages as in order, indexes 1." in said[1]
        assert said[1].endswith(" times as large as new ones, 100% not vacuumed): to be clustered and vacuumed")
        assert said[2].endswith("100% not vacuumed): to be vacuumed")
        assert said[3:] == ["dry run: nothing was changed"]
        assert admin.execute(FILES).fetchall() == before

    def test_works_in_a_schema_and_with_partitions_of_names_that_need_quotes(self, empty_dsn, empty_database):
        empty_database.execute('CREATE SCHEMA "So Lar"')
        empty_database.execute(f"ALTER DATABASE {empty_database.info.dbname} SET search_path = 'So Lar'")
        empty_database.commit()
        migrate.apply(empty_dsn)
        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            connection.execute(f"INSERT INTO sites SELECT FROM generate_series(1, {SITES})")
            connection.execute(
                "CREATE TABLE \"Years before\" PARTITION OF generation FOR VALUES FROM (MINVALUE) TO ('2024-05-01Z')"
            )
            fill(connection, MAY)
            fill(connection, datetime(2021, 5, 1, tzinfo=UTC))
        said = go(empty_dsn, cluster=True)
        assert [line.split(" clustered")[0] for line in said[-2:]] == [
            '"So Lar"."Years before"',
            '"So Lar".generation_p2024_05',
        ]
        assert go(empty_dsn, cluster=True)[-1] == "  none"


def head(table: str) -> str:
    return f"public.{table}, months before {partitions.months_ahead()[0]}:"


class TestRefusals:
    def test_a_time_in_this_month_is_refused(self, direct, admin, readings):
        before = admin.execute(FILES).fetchall()
        with pytest.raises(InvalidInput, match="only finished months are tidied"):
            go(direct, before_utc=datetime.now(UTC) + timedelta(days=1))
        with pytest.raises(InvalidInput, match="wait_s: must be above zero"):
            go(direct, wait_s=0)
        assert admin.execute(FILES).fetchall() == before

    def test_only_the_owner_may(self, direct, admin, readings):
        admin.execute("DROP ROLE IF EXISTS pvsite_sql_guest")
        admin.execute("CREATE ROLE pvsite_sql_guest LOGIN")
        try:
            with pytest.raises(
                PvsiteSqlError,
                match=r"only .*, the owner of public\.forecasts, can tidy it; the current user is pvsite_sql_guest",
            ):
                go(f"{direct} options='-c role=pvsite_sql_guest'")
        finally:
            admin.execute("DROP ROLE pvsite_sql_guest")

    def test_two_at_once_are_refused(self, direct, admin, readings):
        with child(direct, "before", "REINDEX", "wait") as process:
            assert process.stdout.readline() == "there\n"
            with pytest.raises(PvsiteSqlError, match=r"another tidy of public\.generation is running"):
                go(direct, parents=["generation"])
            process.stdin.write("on\n")
            process.stdin.flush()
            assert process.wait(60) == 0
        assert due(direct) == []

    def test_a_database_without_the_tables_is_said(self, empty_dsn):
        with pytest.raises(PvsiteSqlError, match="no table forecasts in search_path"):
            go(empty_dsn)

    def test_partitions_that_are_on_their_way_out_or_of_another_kind_are_skipped_with_the_reason(
        self, direct, admin, readings
    ):
        mark = "COMMENT ON TABLE {} IS 'pvsite-sql prune: public.generation FOR VALUES FROM (''{}'') TO (''{}'')'"
        admin.execute("SELECT ensure_month_partitions('generation', '{2024-02-01,2024-03-01,2024-04-01}')")
        admin.execute(
            "CREATE TABLE years PARTITION OF generation FOR VALUES FROM ('2000-01-01Z') TO ('2010-01-01Z')"
            " PARTITION BY RANGE (start_utc)"
        )
        admin.execute(mark.format("generation_p2024_03", "2024-03-01", "2024-04-01"))
        admin.execute(mark.format("generation_p2024_04", "2024-04-01", "2024-05-01"))
        admin.execute("ALTER TABLE generation DETACH PARTITION generation_p2024_04")
        with psycopg.connect(direct) as reader, psycopg.connect(direct, autocommit=True) as other:
            reader.execute("SELECT FROM generation").fetchall()
            other.execute("SET lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("ALTER TABLE generation DETACH PARTITION generation_p2024_05 CONCURRENTLY")
        said = go(direct, parents=["generation"])
        again = "run prune again: skipped"
        assert said[1:5] == [
            "  public.years is partitioned itself: skipped",
            "  public.generation_p2024_03 is about to be detached by a prune that runs or was interrupted: skipped",
            f"  public.generation_p2024_04 is detached from generation by an interrupted prune: {again}",
            f"  public.generation_p2024_05 is half detached from generation: {again}",
        ]
        assert said[-1].startswith("public.generation_p2024_06 vacuumed: ")

    def test_a_partition_of_another_owner_is_skipped_with_the_name(self, direct, admin, readings):
        admin.execute("DROP ROLE IF EXISTS pvsite_sql_owner")
        admin.execute("CREATE ROLE pvsite_sql_owner LOGIN")
        (superuser,) = admin.execute("SELECT current_user").fetchone()
        try:
            for table in ("generation", "generation_p2024_06", "forecasts"):
                admin.execute(sql.SQL("ALTER TABLE {} OWNER TO pvsite_sql_owner").format(sql.Identifier(table)))
            admin.execute("GRANT SELECT ON sites TO pvsite_sql_owner")
            said = go(f"{direct} options='-c role=pvsite_sql_owner'", parents=["generation"])
            assert said[1] == f"  public.generation_p2024_05 belongs to {superuser}, who can tidy it: skipped"
            assert said[-1].startswith("public.generation_p2024_06 vacuumed: ")
        finally:
            admin.execute(sql.SQL("REASSIGN OWNED BY pvsite_sql_owner TO {}").format(sql.Identifier(superuser)))
            admin.execute("DROP OWNED BY pvsite_sql_owner; DROP ROLE pvsite_sql_owner")


@contextmanager
def child(direct: str, place: str, step: str, what: str) -> Iterator[Any]:
    """A tidy in a process of its own that stops at a statement."""
    environment = {**os.environ, "PYTHONPATH": str(Path(pvsite_sql.__file__).parents[1])}
    command = [sys.executable, "-c", CHILD, direct, place, step, what]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class TestInterrupted:
    @pytest.mark.parametrize("place", ["before", "after"])
    @pytest.mark.parametrize("step", ["REINDEX", "CLUSTER", "VACUUM"])
    def test_killed_at_any_step_the_next_run_goes_on(self, repo, direct, admin, readings, place, step):
        before = repo.generation.read_frame()
        with child(direct, place, step, "kill") as process:
            assert process.wait(60) == -signal.SIGKILL
        until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
        assert due(direct)
        go(direct, cluster=step == "CLUSTER")
        assert due(direct, cluster=step == "CLUSTER") == []
        assert before.equals(repo.generation.read_frame())

    def test_the_other_months_wait_for_nothing_that_is_done(self, direct, admin, sites, readings):
        fill(admin, JULY)
        with child(direct, "after", "VACUUM", "kill") as process:
            process.wait(60)
        until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
        assert [line.split()[0] for line in due(direct)] == ["generation_p2024_06", "generation_p2024_07"]

    def test_an_index_that_a_terminated_reindex_has_left_is_dropped_by_the_next_run(self, direct, admin, readings):
        with psycopg.connect(direct) as writer, ThreadPoolExecutor(1) as threads:
            writer.execute("UPDATE generation SET generation_power_kw = 2 WHERE start_utc = %s", [MAY])
            tidied = threads.submit(go, direct)
            until(lambda: admin.execute(RUNNING, ["REINDEX%"]).fetchone())
            admin.execute("SELECT pg_terminate_backend(pid) FROM (" + RUNNING + ") AS r", ["REINDEX%"])
            with pytest.raises(psycopg.OperationalError):
                tidied.result(60)
        until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
        left = admin.execute(INDEXES, ["generation_p2024_05"]).fetchall()
        assert [(name, valid) for name, valid, _ in left] == [
            ("generation_p2024_05_pkey", True),
            ("generation_p2024_05_pkey_ccnew", False),
        ]
        assert "generation_p2024_05 reindexed and vacuumed" in due(direct)
        go(direct)
        assert list(indexes(admin, "generation_p2024_05")) == ["generation_p2024_05_pkey"]
        assert due(direct) == []

    def test_ctrl_c_leaves_no_invalid_index(self, direct, admin, readings):
        with psycopg.connect(direct) as reader:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT FROM sites LIMIT 1").fetchall()  # a snapshot, and no lock on the month
            with child(direct, "before", "nothing", "wait") as process:
                until(lambda: admin.execute(RUNNING, ["REINDEX%"]).fetchone())
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == -signal.SIGINT
            assert list(indexes(admin, "generation_p2024_05")) == ["generation_p2024_05_pkey"]
        go(direct)
        assert due(direct) == []


class TestOthers:
    """Sessions that use the same months."""

    def test_a_month_that_is_locked_is_skipped_and_the_rest_is_done(self, direct, admin, readings):
        said: list[str] = []
        with psycopg.connect(direct) as other:
            other.execute("LOCK TABLE generation_p2024_05 IN SHARE UPDATE EXCLUSIVE MODE")  # as VACUUM does
            with pytest.raises(PvsiteSqlError, match="not all months were tidied: generation_p2024_05; run tidy again"):
                go(direct, wait_s=0.3, report=said.append)
            (skipped,) = [line for line in said if line.endswith(": skipped")]
            assert f"no lock for 0.3 seconds, used by pid {other.info.backend_pid} (user " in skipped
        assert said[-1].startswith("public.generation_p2024_06 vacuumed: ")
        assert due(direct) == ["generation_p2024_05 reindexed and vacuumed"]
        go(direct)
        assert due(direct) == []

    def test_a_month_that_nobody_may_read_is_skipped(self, direct, admin, readings):
        with psycopg.connect(direct) as other:
            other.execute("LOCK TABLE generation_p2024_05")
            said: list[str] = []
            with pytest.raises(PvsiteSqlError, match="not all months were tidied: generation_p2024_05; run tidy again"):
                go(direct, report=said.append)
        assert "  public.generation_p2024_05 is locked by another session: skipped" in said
        assert said[-1].startswith("public.generation_p2024_06 vacuumed: ")
        assert due(direct) == ["generation_p2024_05 reindexed and vacuumed"]

    def test_a_long_transaction_is_waited_for_and_no_invalid_index_stays(self, direct, admin, readings):
        with psycopg.connect(direct) as reader, ThreadPoolExecutor(1) as threads:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT FROM sites LIMIT 1").fetchall()
            with pytest.raises(PvsiteSqlError, match="not all months were tidied: generation_p2024_05; run"):
                go(direct, wait_s=0.5)
            assert list(indexes(admin, "generation_p2024_05")) == ["generation_p2024_05_pkey"]
            tidied = threads.submit(go, direct)
            until(lambda: admin.execute(RUNNING, ["REINDEX%"]).fetchone())
            assert not tidied.done()
            reader.rollback()
            tidied.result(60)
        assert due(direct) == []

    def test_rows_that_an_older_transaction_may_need_are_said_not_to_be_frozen(self, direct, admin, sites):
        with psycopg.connect(direct) as reader, ThreadPoolExecutor(1) as threads:
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT FROM sites LIMIT 1").fetchall()
            fill(admin, JUNE, BY_SITE)
            said: list[str] = []
            with pytest.raises(PvsiteSqlError, match="not all months were tidied: generation_p2024_06"):
                go(direct, wait_s=0.3, report=said.append)
            assert said[-1].endswith("or an older transaction or a replica may need old ones: skipped")
            waits = Event()
            tidied = threads.submit(go, direct, report=lambda line: waits.set() if "waiting for pid" in line else None)
            assert waits.wait(20)
            reader.rollback()
            tidied.result(60)
        assert due(direct) == []

    def test_cluster_waits_in_short_attempts(self, direct, admin, sites, readings):
        """A session that comes after it is not held up for longer than its lock timeout."""
        with psycopg.connect(direct) as reader, ThreadPoolExecutor(1) as threads:
            reader.execute("SELECT FROM generation_p2024_05 LIMIT 1").fetchall()
            with pytest.raises(PvsiteSqlError, match="not all months were tidied: generation_p2024_05"):
                go(direct, cluster=True, wait_s=0.5)
            tidied = threads.submit(go, direct, cluster=True)
            until(lambda: admin.execute(RUNNING, ["CLUSTER%"]).fetchone())
            with psycopg.connect(f"{direct} options='-c lock_timeout=10s'") as another:
                another.execute("SELECT FROM generation_p2024_05 LIMIT 1").fetchall()
            assert not tidied.done()
            reader.rollback()
            tidied.result(60)
        assert due(direct, cluster=True) == []

    def test_readers_and_writers_go_on(self, repo, direct, admin, sites, readings):
        end = Event()

        def again(work: Callable[[int], object]) -> int:
            done = 0
            while not end.is_set():
                work(done)
                done += 1
            return done

        def correct(n: int) -> None:
            rows = 2 if n < 200 else 0  # fewer than the month would have to be tidied again for
            frame = reading_frame(sites[n % 10], start="2024-05-01", rows=rows, power_kw=float(10 + n))
            assert repo.generation.insert(frame, on_conflict="update").updated == rows

        def read(n: int) -> None:
            assert len(repo.generation.read_frame([sites[n % SITES]], start_utc=MAY, end_utc=JUNE)) == TICKS

        # none of them ever waits for a lock that tidy holds
        blocked = """
            SELECT count(*) FROM pg_stat_activity AS a, pg_stat_activity AS t
            WHERE t.application_name = 'pvsite-sql tidy' AND t.pid = ANY(pg_blocking_pids(a.pid)) AND a.pid <> t.pid
                AND a.backend_type = 'client backend'
        """

        def watch(n: int) -> None:
            assert admin.execute(blocked).fetchone() == (0,)

        with ThreadPoolExecutor(3) as threads:
            others = [threads.submit(again, work) for work in (correct, read, watch)]
            try:
                go(direct, wait_s=60)
            finally:
                end.set()
            assert min(other.result(60) for other in others) > 0


class TestCommand:
    def test_tidies_both_and_says_so(self, repo, direct, admin, sites, readings):
        fill(admin, MAY, rows=FORECASTS, ticks=100)
        code, out, err = run("tidy", "--dry-run", "--dsn", direct)
        assert (code, err) == (0, "")
        assert out.count(": to be ") == 3
        assert out.count("dry run: nothing was changed\n") == 2
        code, out, err = run("tidy", "--table", "forecasts", "--cluster", PVSITE_SQL_DSN=direct)
        assert (code, err) == (0, "")
        assert "\npublic.forecasts_p2024_05 clustered and vacuumed: " in out
        assert "generation" not in out
        code, out, err = run("tidy", "--since", "2024-05-15", "--before", "2024-07-01T02:00+02:00", "--dsn", direct)
        assert (code, err) == (0, "")
        assert out.startswith("public.forecasts, months before 2024-07-01:\n  none\npublic.generation, ")
        assert "\npublic.generation_p2024_06 vacuumed: " in out
        assert "p2024_05" not in out

    def test_a_skipped_month_is_exit_code_1(self, direct, admin, readings):
        with psycopg.connect(direct) as other:
            other.execute("LOCK TABLE generation_p2024_05 IN SHARE UPDATE EXCLUSIVE MODE")
            code, out, err = called("tidy", "--wait", "0.2", "--dsn", direct)
        assert (code, err) == (1, "not all months were tidied: generation_p2024_05; run tidy again\n")
        assert "\npublic.generation_p2024_06 vacuumed: " in out

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            (["--before", "June"], 2, "'June' is not a date such as 2024-06-01 or a time"),
            (["--since", "0001-01-01T00:00+14:00"], 2, "is not a date such as 2024-06-01"),
            (["--table", "sites"], 2, "'sites' is not one of 'forecasts', 'generation'"),
            (["--before", "2090-01-01"], 1, "before: 2090-01-01T00:00:00Z is after "),
        ],
    )
    def test_wrong_use_is_said_in_a_sentence(self, direct, arguments, code, said):
        ended, out, err = called("tidy", *arguments, "--dsn", direct)
        assert (ended, out) == (code, "")
        assert said in " ".join(err.replace("│", " ").split()) + "\n"
        assert "Traceback" not in err

    def test_help_says_whom_cluster_blocks(self):
        code, out, _ = called("tidy", "--help")
        assert code == 0
        assert "BLOCKS everybody who reads or writes the month" in " ".join(out.split())
        for option in ("--table", "--since", "--before", "--cluster", "--dry-run", "--lock-timeout", "--wait"):
            assert option in out
        assert max(map(len, out.splitlines())) <= 80


class TestCheck:
    """What `check` says of finished months."""

    @staticmethod
    def told(direct: str) -> list[str]:
        with psycopg.connect(direct, autocommit=True) as connection:
            connection.read_only = True
            found = check.findings(QueryConnection(connection))
        layout = [finding for finding in found if finding.kind == "layout"]
        assert {finding.severity for finding in layout} <= {"information"}
        return [f"{finding.object} {finding.message}" for finding in layout]

    def test_tells_which_months_would_gain_and_nothing_of_those_that_would_not(self, direct, admin, sites, readings):
        fill(admin, JULY, BY_DAY)
        due_, scattered = self.told(direct)
        assert due_ == (
            "table generation has 3 finished month(s) that `pvsite-sql tidy` would reindex or vacuum: "
            "generation_p2024_07, generation_p2024_06, generation_p2024_05"
        )
        assert scattered.startswith("table generation has 1 finished month(s) whose rows are out of order: reading one")
        assert scattered.endswith(": generation_p2024_05")
        go(direct)
        assert self.told(direct) == [scattered]
        go(direct, cluster=True)
        assert self.told(direct) == []
        assert called("check", "--dsn", direct)[0] == 1  # no month ahead, which has nothing to do with it

    def test_does_not_mention_what_is_small_or_not_over(self, direct, admin, sites):
        fill(admin, MAY, ticks=50)
        month = partitions.months_ahead()[0]
        fill(admin, datetime(month.year, month.month, 1, tzinfo=UTC))
        assert self.told(direct) == []

    def test_a_reader_is_told_the_same(self, direct, admin, readings, groups):
        grant(admin)
        expected = self.told(direct)
        assert len(expected) == 2
        with login(admin, "pvsite_reader") as dsn:
            assert self.told(dsn) == expected

    def test_stops_at_the_time_limit_and_says_so(self, direct, admin, readings):
        _, out, _ = called("check", "--timeout", "0", "--dsn", direct)
        said = "table generation was checked for months to tidy in the newest 0 of 2 finished months before the time"
        assert said in out
