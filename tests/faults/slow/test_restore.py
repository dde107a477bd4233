"""The guide's ways to dump and restore, by an owner who is no superuser, as one has on managed servers."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from commands import COMMAND, surroundings
from conftest import reading_frame
from forecast_cases import forecast_frame
from guides import blocks
from psycopg import sql

from pvsite_sql import Repository, check, embedded, migrate
from pvsite_sql.engine.session import QueryConnection

from ..pairs import KINDS, rows, server

WHOLE, DATA = [block.text for block in blocks("", "migrations/README.md") if block.text.startswith("pg_dump -Fc ")]
OWNER = "solar_owner"


@dataclass(frozen=True)
class Databases:
    """A database to dump and an empty one, of an owner who may create none of his own."""

    server: embedded.Server
    source: str
    target: str

    def run(self, block: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a block of the guide with the programs of the server."""
        program = f'set -eo pipefail\npvsite-sql() {{ {shlex.join(COMMAND)} "$@"; }}\n{block}'
        path = os.pathsep.join([str(self.server.bin_dir), os.environ["PATH"]])
        environment = surroundings({"SOURCE": self.source, "TARGET": self.target, "PATH": path})
        command = ["bash", "-c", program]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module", params=KINDS)
def running(request: pytest.FixtureRequest) -> Iterator[embedded.Server]:
    with server(request.param) as own:
        with psycopg.connect(own.dsn(), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(OWNER)))
        yield own


@pytest.fixture
def databases(running: embedded.Server) -> Iterator[Databases]:
    with psycopg.connect(running.dsn(), autocommit=True) as connection:
        for name in ("source", "target"):
            connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
        found = {name: running.dsn(name).replace("postgres@", f"{OWNER}@", 1) for name in ("source", "target")}
        migrate.apply(found["source"])
        with Repository(found["source"], min_size=1, actor="registry") as repo:
            _fill(repo)
        yield Databases(running, **found)
        for name in found:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _fill(repo: Repository) -> None:
    """Rows in all tables, of several months and of a site that is deleted."""
    client = repo.clients.get_or_create("Sun")
    kept, deleted = (repo.sites.create(client_uuid=client.client_uuid, capacity_kw=kw) for kw in (4.0, 5.0))
    repo.users.get_or_create("alice@example.com")
    repo.site_groups.add_site("site_group_for_alice@example.com", site_uuid=kept.site_uuid)
    repo.inverters.create(site_uuid=kept.site_uuid)
    repo.status.create("ok", message="it's fine")
    repo.api_requests.create("/sites", email="alice@example.com")
    for site in (kept, deleted):
        for month in ("2023-12-31T23:30", "2024-06-01"):
            repo.generation.insert(reading_frame(site.site_uuid, start=month))
    repo.forecasts.insert(forecast_frame(kept.site_uuid, [1.1, None, 2.5], p10=0.5), model_name="blend")
    repo.sites.update(kept.site_uuid, capacity_kw=4.5)
    repo.sites.delete(deleted.site_uuid)


def problems(dsn: str) -> list[check.Finding]:
    """What `pvsite-sql check` finds amiss, but for the coming months."""
    migrate.ensure_months_ahead(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        findings = check.findings(QueryConnection(connection))
    return [finding for finding in findings if finding.severity != "information"]


@pytest.mark.parametrize("block", [WHOLE, DATA], ids=["whole", "data"])
def test_the_same_rows_come_back_and_everything_works_as_before(databases, block, tmp_path):
    done = databases.run(block, tmp_path)
    said = [line for line in done.stderr.splitlines() if "analyze" not in line]  # tables of the system
    assert (done.returncode, said) == (0, [])
    expected = rows(databases.source)
    assert rows(databases.target) == expected
    assert all(count for count, _ in expected.values()), "a table is empty: the comparison compares nothing"
    assert problems(databases.target) == []
    with Repository(databases.source, min_size=1) as old, Repository(databases.target, min_size=1) as new:
        (kept,) = new.sites.list()
        assert new.sites.history(kept.site_uuid) == old.sites.history(kept.site_uuid)
        assert [change.operation for change in new.sites.history(kept.site_uuid)] == ["insert", "update"]
        assert new.sites.create().ml_id == old.sites.create().ml_id == 3  # the sequences go on
        new.sites.update(kept.site_uuid, capacity_kw=9)
        assert len(new.sites.history(kept.site_uuid)) == 3
        assert new.generation.insert(reading_frame(kept.site_uuid)).skipped == 12


def test_a_restore_that_fails_restores_nothing_and_leaves_the_triggers_as_they_were(databases, tmp_path):
    migrate.apply(databases.target)
    with Repository(databases.target, min_size=1) as repo:
        repo.clients.get_or_create("Sun")  # the dump has it too
    before = rows(databases.target)
    done = databases.run(DATA, tmp_path)
    assert done.returncode != 0
    assert "duplicate key value violates unique constraint" in done.stderr
    assert rows(databases.target) == before
    assert problems(databases.target) == []


def test_pg_dump_does_not_need_a_superuser_either(databases):
    with psycopg.connect(databases.source) as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)


def make_large(dsn: str) -> None:
    """Insert more than a megabyte of readings, into a month that autovacuum does not analyze."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT ensure_month_partitions('generation', '{2024-03-01}')")
        connection.execute("ALTER TABLE generation_p2024_03 SET (autovacuum_enabled = off)")
        connection.execute(
            "INSERT INTO generation SELECT s.site_uuid, t, t + interval '1 minute', 1 FROM sites AS s,"
            " generate_series('2024-03-01Z'::timestamptz, '2024-03-15Z', interval '1 minute') AS t"
        )


def test_before_the_first_analyze_check_asks_for_it_and_for_nothing_else(databases, tmp_path):
    make_large(databases.source)
    without_analyze = "\n".join(line for line in WHOLE.splitlines() if "ANALYZE" not in line)
    done = databases.run(without_analyze, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    (finding,) = problems(databases.target)
    assert (finding.severity, finding.object, finding.sql) == ("warning", "schema public", "ANALYZE;")
    with psycopg.connect(databases.target, autocommit=True) as connection:
        connection.execute(finding.sql.encode())
    assert problems(databases.target) == []
