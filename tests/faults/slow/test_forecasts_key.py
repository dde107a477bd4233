"""The migration that gives forecasts a primary key, on a database with months of them that others use."""

from __future__ import annotations

import shutil
import signal
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from commands import run, started, until
from conftest import conninfo
from forecast_cases import forecast_frame, together
from test_schema import _catalog, _yoyo

from pvsite_sql import CallLimits, Limits, Repository, Site, migrate
from pvsite_sql.engine import migrations as packaged
from pvsite_sql.engine.queries import folder
from pvsite_sql.engine.session import QueryConnection
from pvsite_sql.migrate import runner

from ..servers import posix
from .test_migrate_locks import NAME, PROGRAM, WAITS, at_work, holding, number

KEY = "0003.forecasts-primary-key"
MONTHS = [datetime(2024, month, 10, tzinfo=UTC) for month in (4, 5, 6)]
KEYS = """
    SELECT c.relname, pg_get_constraintdef(k.oid), i.indisvalid
    FROM pg_partition_tree('forecasts') AS t JOIN pg_class AS c ON c.oid = t.relid
    LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
    LEFT JOIN pg_index AS i ON i.indexrelid = k.conindid ORDER BY 1
"""
DEFINITION = "PRIMARY KEY (forecast_uuid, site_uuid, timestamp_utc)"
OLD = "SELECT count(*) FROM pg_class WHERE relname ~ '^forecasts.*_forecast_uuid_idx$'"
BUILT = """
    SELECT count(*) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE c.relname ~ '^forecasts_p.*_pkey$'
"""

OIDS = "SELECT array_agg(oid ORDER BY oid) FROM pg_class WHERE relname ~ '^forecasts_p.*_pkey$'"


@dataclass
class Before:
    """A database with forecasts in three months, which lacks this migration alone: today's queries run on it."""

    dsn: str
    watched: psycopg.Connection
    site: Site
    migrations: Path

    def take_back(self) -> None:
        """Undo the migration, as a rollback does."""
        self.watched.execute((self.migrations / f"{KEY}.rollback.sql").read_text())
        self.watched.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [KEY])

    @property
    def command(self) -> list[str]:
        """`pvsite-sql` that brings the migration."""
        return [sys.executable, "-c", PROGRAM, str(self.migrations)]

    def partitions(self) -> list[str]:
        """The names of the partitions, which include those of the coming months after `pvsite-sql migrate`."""
        return [name for name in self.primary_keys() if name != "forecasts"]

    def primary_keys(self) -> dict[str, tuple[str, bool] | None]:
        """The primary key of the table and each partition."""
        return {name: definition and (definition, valid) for name, definition, valid in self.watched.execute(KEYS)}

    def has_keys(self, *partitions: str) -> bool:
        """Whether the table and exactly these partitions have the key, and the index of before is gone."""
        expected = dict.fromkeys(["forecasts", *partitions], (DEFINITION, True))
        return self.primary_keys() == expected and number(self.watched, OLD) == 0


@pytest.fixture
def before(empty_database, tmp_path, monkeypatch, request) -> Before:
    schema = getattr(request, "param", "public")
    empty_database.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"; SET search_path = "{schema}"')
    empty_database.execute(f'ALTER DATABASE {empty_database.info.dbname} SET search_path = "{schema}"')
    empty_database.commit()
    empty_database.autocommit = True
    copied = tmp_path / "migrations"
    shutil.copytree(folder("migrations"), copied)
    for module in (packaged, runner):
        monkeypatch.setattr(module, "folder", lambda name: copied if name == "migrations" else folder(name))
    dsn = conninfo(empty_database)
    migrate.apply(dsn)
    with Repository(dsn, min_size=1) as repo:
        site = repo.sites.create(capacity_kw=4.0)
        frames = [forecast_frame(site.site_uuid, timestamp=t + timedelta(hours=n)) for t in MONTHS for n in range(24)]
        repo.forecasts.insert(together(*frames))
    before = Before(dsn, empty_database, site, copied)
    before.take_back()
    return before


PARTITIONS = [f"forecasts_p{t:%Y_%m}" for t in MONTHS]


def test_the_table_and_each_partition_get_it(before):
    assert set(before.primary_keys().values()) == {None}
    assert migrate.apply(before.dsn) == [KEY]
    assert before.has_keys(*PARTITIONS)
    before.watched.execute("SELECT ensure_month_partitions('forecasts', '{2024-07-01}')")
    assert before.has_keys(*PARTITIONS, "forecasts_p2024_07")
    with Repository(before.dsn, min_size=1) as repo:
        assert repo.forecasts.insert(forecast_frame(before.site.site_uuid, [9.0], timestamp=MONTHS[0])).updated == 1
        newest = repo.forecasts.latest_per_site()[before.site.site_uuid]
        assert repo.forecasts.get(newest.forecast_uuid) == newest


def test_readers_and_writers_go_on(before):
    """Each call may wait for a lock for a fraction of the time that the migration may take."""
    uuid = before.site.site_uuid
    patience = CallLimits(lock_s=5)
    limits = Limits(read=patience, write=patience, bulk=patience)
    with Repository(before.dsn, min_size=6, limits=limits) as repo:
        newest = repo.forecasts.latest_per_site()[uuid]
        calls = (
            lambda _: repo.forecasts.latest_values([uuid], start_utc=MONTHS[0]),
            lambda _: repo.forecasts.get(newest.forecast_uuid),
            lambda n: repo.forecasts.insert(forecast_frame(uuid, [float(n)], timestamp=MONTHS[n % 3])),
            lambda n: repo.forecasts.insert(forecast_frame(uuid, timestamp=MONTHS[1] + timedelta(minutes=1 + n))),
        )
        with at_work(*calls) as done:
            with holding(before.dsn, "SELECT count(*) FROM forecasts") as holder:  # it has read all months
                options = ("--lock-timeout", "0.5", "--attempts", "100", "--dsn", before.dsn)
                with started("migrate", *options, command=before.command, PGAPPNAME=NAME) as child:
                    until(lambda: number(before.watched, BUILT) > 0)
                    until(lambda was=tuple(done): all(now > then + 3 for now, then in zip(done, was, strict=True)))
                    holder.rollback()
                    out, err = child.communicate(timeout=120)
                    assert child.returncode == 0, err
                    assert out.startswith(f"{KEY} applied\n")
            until(lambda was=tuple(done): all(now > then + 3 for now, then in zip(done, was, strict=True)))
    assert before.has_keys(*before.partitions())


def test_a_transaction_that_stays_open_is_named_and_nobody_waits_for_long(before):
    """The indexes are built meanwhile; the key itself needs a moment without others."""
    with holding(before.dsn, "SELECT count(*) FROM forecasts_p2024_05") as holder:
        holder.commit()
        migrate_options = ("--lock-timeout", "0.3", "--attempts", "2", "--dsn", before.dsn)
        prepared = _builds(before)
        for statement in prepared:
            before.watched.execute(statement)
        holder.execute("SELECT count(*) FROM forecasts_p2024_05")
        code, out, err = run("migrate", *migrate_options, command=before.command, PGAPPNAME=NAME)
        assert (code, out) == (1, "")
        assert f"{KEY} not applied: gave up after 2 attempts with a lock timeout of 0.3 s" in err
        assert f"AccessExclusiveLock on forecasts_p2024_05, blocked by pid {holder.info.backend_pid} " in err
        assert set(before.primary_keys().values()) == {None}
    assert run("migrate", "--dsn", before.dsn, command=before.command)[1].startswith(f"{KEY} applied\n")
    assert before.has_keys(*before.partitions())


def _builds(before: Before) -> list[str]:
    return QueryConnection(before.watched).values("migrate/forecasts_pkey_indexes")


def test_a_statement_timeout_of_the_database_does_not_end_it(before):
    before.watched.execute(f"ALTER DATABASE {before.watched.info.dbname} SET statement_timeout = '500ms'")
    running = f"{WAITS} AND query_start < clock_timestamp() - interval '700 ms'"
    with (
        holding(before.dsn, "DELETE FROM forecasts WHERE timestamp_utc < '2024-05-01'") as holder,
        started("migrate", "--dsn", before.dsn, command=before.command, PGAPPNAME=NAME) as child,
    ):
        until(lambda: number(before.watched, running) == 1)
        holder.rollback()
        out, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")
    assert out.startswith(f"{KEY} applied\n")


@posix
def test_killed_while_it_builds_an_index_it_is_continued(before):
    with holding(before.dsn, "DELETE FROM forecasts WHERE timestamp_utc < '2024-05-01'") as holder:
        with started("migrate", "--dsn", before.dsn, command=before.command, PGAPPNAME=NAME) as child:
            until(lambda: number(before.watched, WAITS) == 1)
            child.send_signal(signal.SIGKILL)
            child.wait()
        before.watched.execute(WAITS.replace("count(*)", "pg_terminate_backend(pid, 10000)"))
        assert number(before.watched, f"{BUILT} AND NOT i.indisvalid") == 1
        holder.rollback()
    first, *rest = _builds(before)
    assert (first.partition(" public.")[0], len(rest)) == ("DROP INDEX CONCURRENTLY IF EXISTS", 3)
    code, out, err = run("migrate", "--dsn", before.dsn, command=before.command)
    assert (code, err) == (0, "")
    assert out.startswith(f"{KEY} applied\n")
    assert before.has_keys(*before.partitions())
    code, out, err = run("check", "--dsn", before.dsn)
    assert code == 0, out + err


def test_indexes_that_are_built_are_kept(before):
    """Of a run that was cut off between the builds and the migration."""
    for statement in _builds(before):
        before.watched.execute(statement)
    assert _builds(before) == []
    oids = before.watched.execute(OIDS).fetchone()
    migrate.apply(before.dsn)
    assert before.has_keys(*PARTITIONS)
    assert before.watched.execute(OIDS).fetchone() == oids


def test_plain_yoyo_builds_small_indexes_itself_and_refuses_large_ones(before):
    path = before.migrations / f"{KEY}.sql"
    text = path.read_text()
    size = "SELECT pg_relation_size('forecasts_p2024_05') + pg_relation_size('forecasts_p2024_06')"
    path.write_text(text.replace("128 * 1024 * 1024", str(number(before.watched, size))))
    with pytest.raises(AssertionError, match="without an index for its primary key") as refused:
        _yoyo("apply", before.dsn, str(before.migrations))
    assert "Run `pvsite-sql migrate`" in str(refused.value)
    assert set(before.primary_keys().values()) == {None}
    before.watched.execute(_builds(before)[0])  # what remains to be done is small enough
    _yoyo("apply", before.dsn, str(before.migrations))
    assert before.has_keys(*PARTITIONS)


def test_months_that_are_detached_get_it_when_they_are_attached_again(before):
    bounds = before.watched.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'forecasts_p2024_04'"
    ).fetchone()[0]
    before.watched.execute("ALTER TABLE forecasts DETACH PARTITION forecasts_p2024_04")
    migrate.apply(before.dsn)
    assert before.has_keys(*PARTITIONS[1:]) is False  # the detached one keeps its old index
    assert [name for name, key in before.primary_keys().items() if key] == ["forecasts", *PARTITIONS[1:]]
    before.watched.execute(f"ALTER TABLE forecasts ATTACH PARTITION forecasts_p2024_04 {bounds}")
    assert before.primary_keys() == dict.fromkeys(["forecasts", *PARTITIONS], (DEFINITION, True))


def test_a_half_detached_month_is_left_as_it_is(before):
    with holding(before.dsn, "SELECT count(*) FROM forecasts"):
        before.watched.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            before.watched.execute("ALTER TABLE forecasts DETACH PARTITION forecasts_p2024_04 CONCURRENTLY")
        before.watched.execute("RESET lock_timeout")
    assert number(before.watched, "SELECT count(*) FROM pg_inherits WHERE inhdetachpending") == 1
    migrate.apply(before.dsn)
    keys = before.primary_keys()
    assert [name for name, key in keys.items() if key] == ["forecasts", *PARTITIONS[1:]]
    before.watched.execute("ALTER TABLE forecasts DETACH PARTITION forecasts_p2024_04 FINALIZE")


def test_partitions_in_partitions_get_it_too(before):
    before.watched.execute(
        """
        CREATE TABLE forecasts_2023 (LIKE forecasts INCLUDING ALL) PARTITION BY RANGE (timestamp_utc);
        CREATE TABLE forecasts_2023_h1 (LIKE forecasts INCLUDING ALL);
        ALTER TABLE forecasts_2023 ATTACH PARTITION forecasts_2023_h1 FOR VALUES FROM ('2023-01-01') TO ('2023-07-01');
        ALTER TABLE forecasts ATTACH PARTITION forecasts_2023 FOR VALUES FROM ('2023-01-01Z') TO ('2024-01-01Z');
        """
    )
    migrate.apply(before.dsn)
    assert before.primary_keys() == dict.fromkeys(
        ["forecasts", "forecasts_2023", "forecasts_2023_h1", *PARTITIONS], (DEFINITION, True)
    )


def test_two_forecasts_of_one_uuid_are_named_and_the_key_comes_once_they_are_told_apart(before):
    before.watched.execute("ALTER TABLE forecasts DISABLE TRIGGER USER")
    before.watched.execute(
        """
        INSERT INTO forecasts (
            forecast_uuid, site_uuid, timestamp_utc, forecast_version, start_utc, resolution_minutes, power_kw
        )
        SELECT forecast_uuid, site_uuid, timestamp_utc, 'copy', start_utc, resolution_minutes, power_kw
        FROM forecasts ORDER BY timestamp_utc LIMIT 1
        """
    )
    code, out, err = run("migrate", "--dsn", before.dsn, command=before.command)
    assert (code, out) == (1, "")
    assert "forecasts_p2024_04_pkey" in err
    assert f"{before.site.site_uuid}, 2024-04-10 00:00:00+00) is duplicated" in err
    before.watched.execute("UPDATE forecasts SET forecast_uuid = gen_random_uuid() WHERE forecast_version = 'copy'")
    code, out, err = run("migrate", "--dsn", before.dsn, command=before.command)
    assert (code, err) == (0, "")
    assert before.has_keys(*before.partitions())


def test_a_rollback_brings_the_index_back(before):
    was = _catalog(before.watched)
    migrate.apply(before.dsn)
    assert _catalog(before.watched) != was
    before.take_back()
    assert _catalog(before.watched) == was
    migrate.apply(before.dsn)
    assert before.has_keys(*PARTITIONS)


@pytest.mark.parametrize("before", ["Solar"], indirect=True)
def test_it_works_in_a_schema_of_its_own(before):
    assert migrate.apply(before.dsn) == [KEY]
    assert before.has_keys(*PARTITIONS)
