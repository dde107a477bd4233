"""Forecasts as frames, and what the tables hold of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pandas as pd
import psycopg

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
STORED = """
    SELECT
        f.site_uuid, f.timestamp_utc, m.name, m.version, f.forecast_version,
        f.forecast_uuid, f.created_utc, f.start_utc, f.resolution_minutes, f.power_kw,
        f.probabilistic_levels, f.probabilistic_kw
    FROM forecasts AS f LEFT JOIN ml_models AS m ON m.ml_model_uuid = f.ml_model_uuid
"""


class Stored(NamedTuple):
    """A row of `forecasts` without its key."""

    forecast_uuid: UUID
    created_utc: datetime
    start_utc: datetime
    resolution_minutes: int
    power_kw: list[float | None]
    levels: list[str] | None
    level_kw: list[list[float | None]] | None


def forecast_frame(
    site_uuid: UUID | str,
    powers: Sequence[float | None] = (1.0, 2.0, 3.0),
    *,
    timestamp: datetime = NOON,
    lead: int = 0,
    minutes: int = 30,
    **columns: Any,
) -> pd.DataFrame:
    """A forecast whose first slot begins `lead` minutes after its timestamp; None is a slot that is left out."""
    slots = [(n, power) for n, power in enumerate(powers) if power is not None]
    starts = pd.DatetimeIndex([timestamp + (lead + n * minutes) * MINUTE for n, _ in slots])
    return pd.DataFrame(
        {
            "site_uuid": [site_uuid] * len(slots),
            "timestamp_utc": pd.DatetimeIndex([timestamp] * len(slots)),
            "start_utc": starts,
            "end_utc": starts + pd.Timedelta(minutes=minutes),
            "forecast_power_kw": [power for _, power in slots],
            **columns,
        }
    )


def together(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True)


def stored(dsn: str, site_uuid: UUID | None = None) -> dict[tuple[Any, ...], Stored]:
    """All forecasts (of a site) by site, timestamp, model name, model version and forecast version."""
    with psycopg.connect(dsn) as connection:
        connection.execute("SET LOCAL timezone = 'UTC'")
        rows = connection.execute(STORED).fetchall()
    found = {row[:5]: Stored(*row[5:]) for row in rows}
    assert len(found) == len(rows)
    return {key: row for key, row in found.items() if site_uuid in (None, key[0])}


def partitions(dsn: str) -> set[str]:
    """The names of the partitions of `forecasts`."""
    with psycopg.connect(dsn) as connection:
        names = connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'forecasts'::regclass"
        )
        return {name for (name,) in names}
