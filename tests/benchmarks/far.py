"""Calls of a few rows over a link to another data centre: the trips that they wait for, and how long that takes."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
from bench import Bench, Table, seconds

from pvsite_sql import Repository

sys.path.append(str(Path(__file__).parents[1]))  # what tests and benchmarks share

from links import SlowLink

DELAY_S = 0.005
ROWS = (1, 10, 100)
Call = Callable[[], object]


def far(bench: Bench) -> None:
    """With one connection, and nothing stored before of what is inserted."""
    with bench.database("bench_far") as dsn:
        rows = [[name, *figures] for name, *figures in measured(dsn, bench.size(30, 5))]
    delay = f"{DELAY_S * 1000:g} ms"
    bench.table(
        Table(
            f"Calls of a few rows over a link with {delay} of delay each way",
            "A trip is what a client sends and then waits for. Medians, one connection, nothing conflicts.",
            ["call", "trips", "ms over the link", "ms without it"],
            rows,
        )
    )


def measured(dsn: str, repetitions: int) -> Iterator[list[str]]:
    """For each call its name, trips, and milliseconds over the link and without it."""
    with (
        psycopg.connect(dsn) as connection,
        SlowLink(connection, DELAY_S) as link,
        Repository(link.dsn(dsn), min_size=1, max_size=1) as there,
        Repository(dsn, min_size=1, max_size=1) as here,
    ):
        for (name, slow), (_, quick) in zip(_calls(there), _calls(here), strict=True):
            for _ in range(6):  # psycopg prepares a statement after five runs
                slow()
                quick()
            link.trips()
            took = [(seconds(slow), link.trips()) for _ in range(repetitions)]
            over = statistics.median(of for of, _ in took) * 1000
            without = statistics.median(seconds(quick) for _ in range(repetitions)) * 1000
            yield [name, str(min(trips for _, trips in took)), f"{over:.1f}", f"{without:.1f}"]


def _calls(repo: Repository) -> list[tuple[str, Call]]:
    site = repo.sites.create().site_uuid
    days = count()

    def readings(rows: int, mode: Any) -> Call:
        def call() -> None:
            starts = pd.date_range("2024-06-01", periods=rows, freq="1s", tz="UTC") + pd.Timedelta(hours=next(days))
            frame = pd.DataFrame({"site_uuid": site, "start_utc": starts, "power_kw": 1.0})
            repo.generation.insert(frame, on_conflict=mode, interval=pd.Timedelta(seconds=1))

        return call

    def forecast(mode: Any) -> Call:
        def call() -> None:
            now = pd.Timestamp("2024-06-01", tz="UTC") + pd.Timedelta(hours=next(days))
            starts = pd.date_range(now, periods=48, freq="30min")
            times = {"timestamp_utc": now, "start_utc": starts, "end_utc": starts + pd.Timedelta(minutes=30)}
            repo.forecasts.insert(pd.DataFrame(times).assign(site_uuid=site, forecast_power_kw=1.0), on_conflict=mode)

        return call

    return [
        *[
            (f"generation.insert, {rows} row{'s' * (rows > 1)}, {mode}", readings(rows, mode))
            for mode in ("ignore", "update")
            for rows in ROWS
        ],
        *[(f"forecasts.insert, 48 values, {mode}", forecast(mode)) for mode in ("replace", "ignore")],
        ("sites.get", lambda: repo.sites.get(site)),
        ("sites.update", lambda: repo.sites.update(site, tilt=1)),
        ("generation.latest", lambda: repo.generation.latest([site])),
        ("forecasts.latest_frame", lambda: repo.forecasts.latest_frame([site])),
    ]
