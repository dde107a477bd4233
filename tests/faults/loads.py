"""The bulk inserts that faults hit: each on a site of its own, with the end of a month in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

import pandas as pd
import psycopg
import pytest

from pvsite_sql import Duplicate, InsertResult
from pvsite_sql.repository import Repository, Transaction

READINGS = 3_000
FORECASTS = 300
SLOTS = 24
FIRST = datetime(2024, 5, 27, tzinfo=UTC)
STORED = """
    SELECT start_utc, generation_power_kw, created_utc, NULL FROM generation WHERE site_uuid = %(site)s
    UNION ALL
    SELECT timestamp_utc, power_kw[1], created_utc, forecast_uuid FROM forecasts WHERE site_uuid = %(site)s
"""


class Stored(NamedTuple):
    """What is stored of a reading, or of a forecast."""

    power_kw: float
    created_utc: datetime
    forecast_uuid: UUID | None


@dataclass(frozen=True)
class Load:
    """A bulk insert.

    Attributes:
        kind: `frame` and `frames` (an iterator) of readings, or `forecasts`.
        mode: its `on_conflict`.
        anew: nothing of it is stored before; else the first half is, with other powers.
    """

    kind: Literal["frame", "frames", "forecasts"]
    mode: Any
    anew: bool

    def __str__(self) -> str:
        return "-".join([self.kind, self.mode, *["anew"] * self.anew])

    @property
    def rows(self) -> int:
        return FORECASTS if self.kind == "forecasts" else READINGS

    @property
    def first_time(self) -> InsertResult:
        """What the call returns that stores it."""
        if self.anew:
            return InsertResult(inserted=self.rows)
        half = self.rows // 2
        updated = half if self.mode in ("update", "replace") else 0
        return InsertResult(inserted=half, updated=updated, skipped=half - updated, differing=half - updated)

    def begin(self, repo: Repository) -> UUID:
        """A site that has what is stored before the call."""
        site = repo.sites.create().site_uuid
        if not self.anew and self.kind == "forecasts":
            repo.forecasts.insert(_forecasts(site, 2.0).iloc[: self.rows * SLOTS // 2])
        elif not self.anew:
            repo.generation.insert(_readings(site, 2.0).iloc[: self.rows // 2])
        return site

    def run(self, repo: Repository | Transaction, site: UUID) -> InsertResult:
        """The call itself."""
        if self.kind == "forecasts":
            return repo.forecasts.insert(_forecasts(site), on_conflict=self.mode)
        return repo.generation.insert(
            self.frames(site) if self.kind == "frames" else _readings(site), on_conflict=self.mode
        )

    def run_again(self, repo: Repository, site: UUID) -> None:
        """Once more when it is stored: says so, and changes nothing."""
        if self.mode == "error":
            with pytest.raises(Duplicate):
                self.run(repo, site)
        else:
            kept = 0 if self.anew or self.mode != "ignore" else self.rows // 2  # with other powers
            assert self.run(repo, site) == InsertResult(skipped=self.rows, differing=kept)

    def frames(self, site: UUID, count: int = 3) -> Iterator[pd.DataFrame]:
        """The readings in so many frames, the month's end in the last one."""
        frame = _readings(site)
        for part in range(count):
            yield frame.iloc[part * len(frame) // count : (part + 1) * len(frame) // count]

    def is_whole(self, stored: dict[datetime, Stored]) -> bool:
        """Whether all of it is stored, once, beside nothing else."""
        kept = 0 if self.anew or self.mode in ("update", "replace") else self.rows // 2
        step = "h" if self.kind == "forecasts" else "5min"
        times = pd.date_range(FIRST, periods=self.rows, freq=step).to_pydatetime()
        expected = {time: 2.0 if n < kept else 1.0 for n, time in enumerate(times)}
        return {time: row.power_kw for time, row in stored.items()} == expected


LOADS = [
    *(Load("frame", mode, anew=anew) for mode, anew in (("ignore", True), ("ignore", False), ("update", False))),
    *(Load("frames", mode, anew=anew) for mode, anew in (("ignore", True), ("ignore", False), ("update", False))),
    *(Load("forecasts", mode, anew=False) for mode in ("replace", "ignore")),
    *(Load(kind, "error", anew=True) for kind in ("frame", "frames", "forecasts")),
]
of_each_load = pytest.mark.parametrize("load", LOADS, ids=str)


def stored(dsn: str, site: UUID) -> dict[datetime, Stored]:
    """What is stored of a site, by the start of the reading or the timestamp of the forecast."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(STORED, {"site": site}).fetchall()
    found = {time.astimezone(UTC): Stored(*rest) for time, *rest in rows}
    assert len(found) == len(rows)
    return found


def _readings(site: UUID, power_kw: float = 1.0) -> pd.DataFrame:
    starts = pd.date_range(FIRST, periods=READINGS, freq="5min")
    return pd.DataFrame({"site_uuid": site, "start_utc": starts, "power_kw": power_kw})


def _forecasts(site: UUID, power_kw: float = 1.0) -> pd.DataFrame:
    timestamps = pd.date_range(FIRST, periods=FORECASTS, freq="h").repeat(SLOTS)
    starts = timestamps + pd.to_timedelta(list(range(SLOTS)) * FORECASTS, unit="h")
    return pd.DataFrame(
        {
            "site_uuid": site,
            "timestamp_utc": timestamps,
            "start_utc": starts,
            "end_utc": starts + pd.Timedelta(hours=1),
            "forecast_power_kw": power_kw,
        }
    )
