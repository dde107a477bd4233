"""What a DBA sees of the library in pg_stat_activity and pg_stat_statements."""

from __future__ import annotations

import psycopg
import pytest
from commands import started, until
from conftest import reading_frame
from psycopg.conninfo import make_conninfo

from pvsite_sql import Repository, embedded, migrate

OURS = "SELECT DISTINCT application_name FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"


def names(observer):
    """The names of the other sessions of the database."""
    return [name for (name,) in observer.execute(OURS, [observer.info.backend_pid]).fetchall()]


def waiting(observer):
    """The names of those that wait for a lock."""
    query = f"{OURS} AND wait_event_type = 'Lock'"
    return [name for (name,) in observer.execute(query, [observer.info.backend_pid]).fetchall()]


@pytest.fixture
def observer(dsn):
    """A connection without a transaction, in which pg_stat_activity would stay as it was first read."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def test_sessions_are_called_pvsite_sql(repo, observer):
    repo.users.list()
    assert "pvsite_sql" in names(observer)


@pytest.mark.parametrize("how", ["the conninfo", "an option", "PGAPPNAME"])
def test_the_caller_names_the_sessions(dsn, observer, monkeypatch, how):
    options = {}
    if how == "PGAPPNAME":
        monkeypatch.setenv("PGAPPNAME", "meter")
    elif how == "an option":
        options = {"kwargs": {"application_name": "meter"}}
    else:
        dsn = make_conninfo(dsn, application_name="meter")
    with Repository(dsn, **options) as repo:
        repo.users.list()
        assert "meter" in names(observer)
        assert "pvsite_sql" not in names(observer)


LOCK = "LOCK TABLE forecasts, generation, sites, users, _yoyo_migration, ml_models IN ACCESS EXCLUSIVE MODE"
COMMANDS = {
    "check": ["check"],
    "migrate": ["migrate", "--lock-timeout", "60"],
    "prune": ["prune", "--generation-before", "2020-01-01", "--lock-timeout", "60"],
    "queries explain": ["queries", "explain", "engine/all_sites"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_sessions_of_a_command_are_called_by_it(repo, dsn, observer, command):
    repo.generation.insert(reading_frame(repo.sites.create().site_uuid, start="2019-06-01"))  # prune looks at its month
    with psycopg.connect(dsn) as holder:
        holder.execute(LOCK)
        with started(*COMMANDS[command], "--dsn", dsn):
            until(lambda: f"pvsite-sql {command}" in waiting(observer))


def test_sessions_of_load_are_called_by_it(dsn, observer, tmp_path):
    file = tmp_path / "readings.csv"
    file.write_text("site_uuid,start_utc,power_kw\n")
    with psycopg.connect(dsn) as holder:
        holder.execute(LOCK)
        with started("load", file, "--dsn", dsn):
            until(lambda: "pvsite-sql load" in waiting(observer))


@pytest.fixture
def statements():
    """A database, and the names of its query files in pg_stat_statements."""
    settings = {"fsync": "off", "shared_preload_libraries": "pg_stat_statements"}
    with embedded.server(settings=settings) as own:
        dsn = own.create_database("monitored")
        migrate.apply(dsn)
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
            yield (
                dsn,
                lambda: dict(connection.execute("SELECT query, calls FROM pg_stat_statements").fetchall()),
            )


def test_pg_stat_statements_names_the_files(statements):
    dsn, collected = statements
    with Repository(dsn) as repo:
        uuids = [repo.sites.create().site_uuid for _ in range(3)]
        repo.generation.insert(reading_frame(uuids[0]))
        for site_uuid in uuids:
            repo.sites.get(site_uuid)
            repo.generation.latest([site_uuid])
        repo.generation.read_frame(site_uuids=uuids)
    seen = collected()
    for name, calls in {
        "sites/get": 3,
        "generation/latest": 3,
        "generation/insert_copy": 1,
        "generation/read": 1,
    }.items():
        assert [count for text, count in seen.items() if f"/* {name} */" in text] == [calls], name
