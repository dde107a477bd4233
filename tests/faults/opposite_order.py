"""Two writers that send the same keys at once, the rows of one in the opposite order of the other's."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import pandas as pd
import psycopg
from concurrency import concurrently

from pvsite_sql import InsertResult, Repository

Table = Literal["generation", "forecasts"]

SITES, ROWS = 8, 64
SLOTS = 8
FIRST = pd.Timestamp("2024-05-25", tz="UTC")
GENERATION = """
    SELECT site_uuid, start_utc, generation_power_kw, extract(epoch FROM end_utc - start_utc)::float8 FROM generation
"""
FORECASTS = "SELECT site_uuid, timestamp_utc, power_kw, probabilistic_kw FROM forecasts"
MODES = [("generation", "ignore"), ("generation", "update"), ("forecasts", "ignore"), ("forecasts", "replace")]


class Round(NamedTuple):
    """A day of keys, written with the marks 1 and 2, and then again with 3 and 4."""

    day: int
    again: bool

    def frames(self, repo: Repository, table: Table) -> list[pd.DataFrame]:
        of = readings if table == "generation" else forecasts
        sites = [site.site_uuid for site in repo.sites.list()]
        one, other = (of(sites, self.day, mark + 2 * self.again) for mark in (1, 2))
        return [one, other[::-1]]


def readings(sites: list[Any], day: int, mark: int) -> pd.DataFrame:
    starts = pd.date_range(FIRST + pd.Timedelta(days=day), periods=ROWS, freq="15min")
    index = pd.MultiIndex.from_product([starts, sites], names=["start_utc", "site_uuid"])
    frame = index.to_frame(index=False)
    return frame.assign(power_kw=float(mark), end_utc=frame["start_utc"] + pd.Timedelta(seconds=mark))


def forecasts(sites: list[Any], day: int, mark: int) -> pd.DataFrame:
    timestamps = pd.date_range(FIRST + pd.Timedelta(days=day), periods=ROWS // SLOTS, freq="h")
    index = pd.MultiIndex.from_product([timestamps, sites, range(SLOTS)], names=["timestamp_utc", "site_uuid", "slot"])
    frame = index.to_frame(index=False)
    start = frame["timestamp_utc"] + frame["slot"] * pd.Timedelta(hours=1)
    return frame.assign(start_utc=start, end_utc=start + pd.Timedelta(hours=1), forecast_power_kw=mark, p10=mark / 2)


def meet(repo: Repository, dsn: str, table: Table, mode: Any, days: int) -> None:
    """Let two meet on so many days, twice on each; neither sees an error, and each row is that of one of them."""
    for _ in range(SITES):
        repo.sites.create()
    insert = repo.generation.insert if table == "generation" else repo.forecasts.insert
    count = SITES * ROWS if table == "generation" else SITES * ROWS // SLOTS
    for day in range(days):
        for again in (False, True):
            calls = [
                lambda frame=frame: insert(frame, on_conflict=mode) for frame in Round(day, again).frames(repo, table)
            ]
            results = concurrently(*calls)
            total = InsertResult(
                **{field: sum(getattr(one, field) for one in results) for field in InsertResult.model_fields}
            )
            if mode == "ignore":
                skipped = (2 if again else 1) * count
                assert total == InsertResult(inserted=0 if again else count, skipped=skipped, differing=skipped)
            else:  # the second one finds rows that differ from its own
                assert total == InsertResult(inserted=0 if again else count, updated=(2 if again else 1) * count)
    assert repo.stats().retries == 0  # the order in which keys are written keeps deadlocks off, not a new beginning
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(GENERATION if table == "generation" else FORECASTS).fetchall()
    assert len({row[:2] for row in rows}) == len(rows) == count * days
    for *_, power, rest in rows:
        assert (power, rest) in whole_rows(table, (1, 2) if mode == "ignore" else (3, 4))


def whole_rows(table: Table, marks: tuple[int, int]) -> list[tuple[Any, Any]]:
    if table == "generation":
        return [(float(mark), float(mark)) for mark in marks]
    return [([float(mark)] * SLOTS, [[mark / 2] * SLOTS]) for mark in marks]
