"""A process that is killed in the middle of an insert of 1,000 forecasts leaves none of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import psycopg
import pytest
from forecast_cases import HOUR, NOON, Stored, forecast_frame, stored

import pvsite_sql
from pvsite_sql import InsertResult, Repository

FORECASTS = 1_000
SLOTS = 48
SECONDS = 30.0
WRITER = """
import itertools, os, sys
from uuid import UUID
import pandas as pd
from test_forecasts_kill import thousand
from pvsite_sql import Repository

with Repository(os.environ["DSN"], kwargs={"application_name": "writer"}, min_size=1, max_size=1) as repo:
    for day in range(365) if sys.argv[2] == "on and on" else [0]:
        repo.forecasts.insert(thousand(UUID(sys.argv[1]), day=day), model_name="new")
"""
WAITS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = 'writer' AND datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'writer' AND datname = current_database()"
COPIED = "SELECT max(tuples_processed) FROM pg_stat_progress_copy WHERE datname = current_database()"
ANOTHER = """
    INSERT INTO forecasts (site_uuid, timestamp_utc, ml_model_uuid, start_utc, resolution_minutes, power_kw)
    SELECT %s, %s, (SELECT m.ml_model_uuid FROM ml_models AS m WHERE m.name = 'new'), %s, 5, '{1}'
"""


def thousand(site_uuid: UUID, *, day: int = 0, power_kw: float = 1.0) -> pd.DataFrame:
    """1,000 forecasts of one site, a second of the day each."""
    frame = forecast_frame(site_uuid, [power_kw] * SLOTS, timestamp=NOON + day * 24 * HOUR)
    second = pd.to_timedelta([n for n in range(FORECASTS) for _ in range(SLOTS)], unit="s")
    repeated = pd.concat([frame] * FORECASTS, ignore_index=True)
    return repeated.assign(timestamp_utc=repeated["timestamp_utc"] + second)


def asked(connection: psycopg.Connection, query: str) -> Any:
    connection.execute("SELECT pg_stat_clear_snapshot()")
    return connection.execute(query).fetchone()[0]


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@contextmanager
def writer(dsn: str, site_uuid: UUID, how: str = "once") -> Iterator[subprocess.Popen[bytes]]:
    """A process that inserts, killed at the end of the block."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2]), str(Path(pvsite_sql.__file__).parents[1])]
    environment = os.environ | {"DSN": dsn, "PYTHONPATH": os.pathsep.join(paths)}
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(site_uuid), how], env=environment)
    try:
        yield process
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL


def in_the_trigger(holder: psycopg.Connection, repo: Repository, site_uuid: UUID) -> None:
    """All rows are in the table; the check of the sites waits."""
    holder.execute("SELECT FROM sites WHERE site_uuid = %s FOR UPDATE", [site_uuid])


def in_the_copy(holder: psycopg.Connection, repo: Repository, site_uuid: UUID) -> None:
    """Half of the rows are in the table; that of one key waits for another that stores it."""
    repo.ml_models.get_or_create("new")
    holder.execute("SELECT ensure_month_partitions('forecasts', ARRAY[%s::date])", [NOON])
    holder.commit()
    timestamp = NOON + (FORECASTS // 2) * HOUR / 3600
    holder.execute(ANOTHER, [site_uuid, timestamp, timestamp])


def at_the_model(holder: psycopg.Connection, repo: Repository, site_uuid: UUID) -> None:
    """The rows are not sent yet; the model waits for another that makes it."""
    holder.execute("INSERT INTO ml_models (name) VALUES ('new')")


def in_the_replacement(holder: psycopg.Connection, repo: Repository, site_uuid: UUID) -> None:
    """Half of the rows are new and in the table; one of the others, which differ, waits for another that has it."""
    older = thousand(site_uuid, power_kw=2.0)
    older = older[older["timestamp_utc"] < NOON + (FORECASTS // 2) * HOUR / 3600]
    repo.forecasts.insert(older, model_name="new")
    holder.execute("SELECT FROM forecasts WHERE timestamp_utc = %s FOR UPDATE", [NOON + HOUR / 60])


MOMENTS = {
    in_the_trigger: InsertResult(inserted=FORECASTS),
    in_the_copy: InsertResult(inserted=FORECASTS),
    at_the_model: InsertResult(inserted=FORECASTS),
    in_the_replacement: InsertResult(inserted=FORECASTS // 2, updated=FORECASTS // 2),
}


@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_killed_while_it_waits(repo, site, dsn, postgresql, moment):
    uuid = site.site_uuid
    with psycopg.connect(dsn) as holder:
        moment(holder, repo, uuid)
        before, models = stored(dsn), repo.ml_models.list()
        postgresql.autocommit = True
        with writer(dsn, uuid):
            until(lambda: asked(postgresql, WAITS) == 1)
            copied = asked(postgresql, COPIED)
        holder.rollback()
    if moment is in_the_copy:
        assert 0 < copied < FORECASTS
    else:
        assert copied == (FORECASTS if moment is in_the_trigger else None)
    until(lambda: asked(postgresql, CONNECTED) == 0)
    assert stored(dsn) == before
    assert repo.ml_models.list() == models
    assert repo.forecasts.insert(thousand(uuid), model_name="new") == MOMENTS[moment]
    assert repo.forecasts.insert(thousand(uuid), model_name="new") == InsertResult(skipped=FORECASTS)
    after = stored(dsn)
    assert set(after) == {(uuid, NOON + n * HOUR / 3600, "new", "", "") for n in range(FORECASTS)}
    assert {(row.start_utc, row.resolution_minutes, *row.power_kw) for row in after.values()} == {
        (NOON, 30, *[1.0] * SLOTS)
    }
    assert kept(before) <= kept(after)


def kept(rows: dict[tuple[Any, ...], Stored]) -> set[UUID]:
    return {row.forecast_uuid for row in rows.values()}


@pytest.mark.parametrize("milliseconds", [0, 30, 130])
def test_killed_at_any_moment(repo, site, dsn, postgresql, milliseconds):
    postgresql.autocommit = True
    with writer(dsn, site.site_uuid, "on and on"):
        until(lambda: asked(postgresql, "SELECT count(*) FROM forecasts") >= 2 * FORECASTS)
        time.sleep(milliseconds / 1000)
    until(lambda: asked(postgresql, CONNECTED) == 0)
    days = postgresql.execute("SELECT timestamp_utc::date, count(*) FROM forecasts GROUP BY 1").fetchall()
    assert len(days) >= 2
    assert {count for _, count in days} == {FORECASTS}
    for day in range(len(days) + 1):
        result = InsertResult(skipped=FORECASTS) if day < len(days) else InsertResult(inserted=FORECASTS)
        assert repo.forecasts.insert(thousand(site.site_uuid, day=day), model_name="new") == result
