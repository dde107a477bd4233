"""The rows that are written: readings and forecasts of made-up power, from a fixed seed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import psycopg
from bench import ask, run, run_on_two

from pvsite_sql.engine.binary_copy import encode
from pvsite_sql.engine.generation_frames import parse_readings
from pvsite_sql.engine.row_types import READINGS

MINUTES = timedelta(minutes=5)
MONTH = datetime(2024, 6, 1, tzinfo=UTC)
RANDOM = np.random.default_rng(20240601)
CURVES = 997
SLOTS = 192


def sites(dsn: str, number: int) -> list[UUID]:
    """Some of the sites, in no order."""
    return [site for (site,) in ask(dsn, "SELECT site_uuid FROM sites ORDER BY ml_id LIMIT %s", number)]


def ticks(of: list[UUID], slots: int, first_slot: int = 0, month: datetime = MONTH) -> pd.DataFrame:
    """Readings in time order: one of each site every five minutes. The UUIDs are objects of their own in every row."""
    starts = pd.date_range(month + first_slot * MINUTES, periods=slots, freq=MINUTES)
    return pd.DataFrame(
        {
            "site_uuid": [UUID(bytes=site.bytes) for _ in range(slots) for site in of],
            "start_utc": np.repeat(starts, len(of)),
            "power_kw": RANDOM.uniform(0, 4, slots * len(of)),
        }
    )


def with_strings(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(site_uuid=[str(site) for site in frame["site_uuid"]])


def binary(frame: pd.DataFrame) -> bytes:
    """The same rows as a binary COPY of four columns, in the frame's order."""
    columns = parse_readings(frame, MINUTES).columns
    places = pd.MultiIndex.from_arrays([columns["site_uuid"], columns["start_utc"]])
    site = np.array([site.bytes for site in frame["site_uuid"]], "S16")
    start = frame["start_utc"].dt.tz_localize(None).to_numpy("M8[us]").view("i8") - 946_684_800_000_000
    order = places.get_indexer(pd.MultiIndex.from_arrays([site, start]))
    return b"".join(encode(READINGS, {name: values[order] for name, values in columns.items()}))


def save(frame: pd.DataFrame, file: Path) -> str:
    """The same rows for a peer, whatever its pandas."""
    codes, uniques = pd.factorize(frame["site_uuid"])
    start = frame["start_utc"].dt.tz_localize(None).to_numpy("M8[us]").view("i8")
    power = frame["power_kw"].to_numpy("f8")
    np.savez(file, sites=np.array([str(site) for site in uniques]), codes=codes, start=start, power=power)
    return str(file)


def forecasts(of: list[UUID], timestamp: datetime) -> pd.DataFrame:
    """A forecast of each site: SLOTS values of a quarter of an hour."""
    starts = pd.date_range(timestamp, periods=SLOTS, freq="15min")
    return pd.DataFrame(
        {
            "site_uuid": np.repeat(np.array(of, object), SLOTS),
            "timestamp_utc": timestamp,
            "start_utc": np.tile(starts, len(of)),
            "end_utc": np.tile(starts + timedelta(minutes=15), len(of)),
            "forecast_power_kw": RANDOM.uniform(0, 4, SLOTS * len(of)),
        }
    )


def make_months(dsn: str, parent: str, first: datetime, months: int) -> None:
    span = f"'{first:%F}'::timestamp, '{first:%F}'::timestamp + interval '{months - 1} months', '1 month'"
    run(
        dsn,
        f"SELECT ensure_month_partitions('{parent}', ARRAY(SELECT m::date FROM generate_series({span}) AS m))",
    )


def fill_generation(dsn: str, months: list[datetime], from_slot: int, past_slot: int) -> None:
    """Readings of all sites, every five minutes from one slot of each month to another."""
    run_on_two(
        dsn,
        [
            f"""
            INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
            SELECT s.site_uuid, t.slot, t.slot + interval '5 min', random() * 4
            FROM (SELECT site_uuid FROM sites ORDER BY site_uuid) AS s
            CROSS JOIN LATERAL generate_series(
                '{month + from_slot * MINUTES}'::timestamptz, '{month + (past_slot - 1) * MINUTES}', '5 min'
            ) AS t (slot)
            """
            for month in months
        ],
    )


def fill_ticks(dsn: str, of: int, first: datetime, slots: int, *, by_time: bool, kept: str = "true") -> None:
    """Readings of some sites, every five minutes: by time as they arrive, one of each site, or site by site.

    The power depends on site and time alone. `kept` is a condition on `r.n` and `r.i`, the numbers of site and tick.
    """
    rows = (
        "ticks AS t CROSS JOIN LATERAL (SELECT c.site_uuid, c.n, t.i FROM chosen AS c ORDER BY c.n) AS r"
        if by_time
        else "chosen AS c CROSS JOIN LATERAL (SELECT c.site_uuid, c.n, t.i FROM ticks AS t ORDER BY t.i) AS r"
    )
    run(
        dsn,
        f"""
        SET session_replication_role = replica;
        CREATE TEMPORARY TABLE ticks AS SELECT i FROM generate_series(0, {slots - 1}) AS i ORDER BY i;
        CREATE TEMPORARY TABLE chosen AS
            SELECT site_uuid, (row_number() OVER (ORDER BY site_uuid))::integer AS n
            FROM (SELECT site_uuid FROM sites ORDER BY ml_id LIMIT {of}) AS s
            ORDER BY n;
        INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
        SELECT
            r.site_uuid,
            '{first}'::timestamptz + r.i * interval '5 min',
            '{first}'::timestamptz + (r.i + 1) * interval '5 min',
            (hashint4(r.i * 4099 + r.n) & 4095) / 1024.0
        FROM {rows}
        WHERE {kept}
        """,
    )


def fill_forecasts(dsn: str, of: int, newest: datetime, history: int) -> None:
    """Forecasts of some sites, one an hour up to the newest; their values are some of CURVES curves."""
    run(
        dsn,
        "CREATE TABLE curves (n integer PRIMARY KEY, power_kw real[])",
        f"""
        INSERT INTO curves
        SELECT n, ARRAY(SELECT (abs(sin((n * {SLOTS} + i) * 0.37)) * 4)::real FROM generate_series(1, {SLOTS}) AS i)
        FROM generate_series(0, {CURVES - 1}) AS n
        """,
    )
    first = newest - timedelta(hours=history - 1)
    months = -(-(newest - first).days // 28) + 2
    make_months(dsn, "forecasts", first.replace(day=1, hour=0), months)
    step = max(1, history // 10)
    run_on_two(
        dsn,
        [
            f"""
            INSERT INTO forecasts (site_uuid, timestamp_utc, created_utc, start_utc, resolution_minutes, power_kw)
            SELECT s.site_uuid, m.made, m.made + interval '1 min', m.made, 15, c.power_kw
            FROM generate_series({hour}, {min(hour + step, history) - 1}) AS h (number)
            CROSS JOIN LATERAL (
                SELECT '{newest}'::timestamptz - make_interval(hours => {history} - 1 - h.number) AS made
            ) AS m
            CROSS JOIN (SELECT site_uuid, ml_id FROM sites ORDER BY ml_id LIMIT {of}) AS s
            JOIN curves AS c ON c.n = (s.ml_id * 31 + ({history} - h.number) * 7) % {CURVES}
            ORDER BY h.number, s.site_uuid
            """
            for hour in range(0, history, step)
        ],
    )


def pipe(source: str, question: str, target: str, table: str) -> None:
    """Copy what a question gives into a table of another database, past its foreign keys."""
    with (
        psycopg.connect(source) as reader,
        psycopg.connect(target, options="-c session_replication_role=replica") as writer,
        reader.cursor().copy(f"COPY ({question}) TO STDOUT (FORMAT binary)") as out,
        writer.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as into,
    ):
        for chunk in out:
            into.write(chunk)
