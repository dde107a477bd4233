"""Two processes that need the same new month partitions at the same moment."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psycopg

import pvsite_sql
from pvsite_sql import Repository

WORKER = """
import sys
from datetime import timedelta
from uuid import UUID
import pandas as pd
from pvsite_sql import Repository

dsn, site = sys.argv[1], UUID(sys.argv[2])
hour = timedelta(hours=1)

def readings(start):
    return pd.DataFrame({"site_uuid": [site], "start_utc": [start], "power_kw": [1.0]})

def forecast(start):
    frame = readings(start).assign(timestamp_utc=start, end_utc=start + hour)
    return frame.rename(columns={"power_kw": "forecast_power_kw"})

def insert(repo, number, start):
    if number % 3 == 0:
        repo.generation.insert(readings(start))
        repo.forecasts.insert(forecast(start))
    elif number % 3 == 1:
        old = start - pd.DateOffset(months=1) + hour
        repo.generation.insert(iter([readings(old), readings(start)]), on_conflict="update")
        repo.forecasts.insert(forecast(start), on_conflict="ignore")
    else:
        with repo.transaction() as tx:
            tx.generation.insert(readings(start), on_conflict="error")
            tx.forecasts.insert(forecast(start), on_conflict="error")

with Repository(dsn, min_size=2, max_size=2) as repo:
    repo.sites.get(site)
    print("ready", flush=True)
    for line in sys.stdin:
        number = int(line)
        start = pd.Timestamp(year=1970 + number // 12, month=1 + number % 12, day=1, tz="UTC")
        try:
            insert(repo, number, start)
            print("stored", flush=True)
        except Exception as error:
            print(repr(error), flush=True)
"""


def race(dsn: str, repo: Repository, rounds: int) -> None:
    """Let two processes insert into so many new months, each at once, in three ways by turns."""
    environment = os.environ | {"PYTHONPATH": str(Path(pvsite_sql.__file__).parents[1])}
    with ExitStack() as stack:
        workers = []
        for _ in range(2):
            command = [sys.executable, "-c", WORKER, dsn, str(repo.sites.create().site_uuid)]
            process = subprocess.Popen(
                command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            workers.append(process)
        assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 2
        for number in range(rounds):
            for worker in workers:
                worker.stdin.write(f"{number}\n")
            assert [worker.stdout.readline() for worker in workers] == ["stored\n"] * 2, number
        for worker in workers:
            worker.stdin.close()
            assert worker.wait(20) == 0
    with psycopg.connect(dsn) as connection:
        for table, column in (("generation", "start_utc"), ("forecasts", "timestamp_utc")):
            rows = connection.execute(
                f"SELECT date_trunc('month', {column}, 'UTC'), count(DISTINCT site_uuid) FROM {table} GROUP BY 1"
            ).fetchall()
            assert len(rows) == rounds
            assert {count for _, count in rows} == {2}
