"""The database that plans are proved on: what a service of 1,000 sites has after twelve months, of every table."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from hashlib import md5
from uuid import UUID

import psycopg
from psycopg import sql

MONTHS = tuple(f"2024-{month:02}-01" for month in range(1, 13))
LIVE_FROM = "2024-11-01"

# Uuids are made of the number, so that a case can name a row, and lie in no order, as random ones do.
ROWS = (
    """
    INSERT INTO clients (client_uuid, client_name)
    SELECT md5('client' || n)::uuid, 'client ' || n FROM generate_series(1, 500) AS n
    UNION ALL SELECT md5('idle')::uuid, 'idle'
    """,
    """
    INSERT INTO site_groups (site_group_uuid, site_group_name)
    SELECT md5('group' || n)::uuid, 'group ' || n FROM generate_series(1, 1000) AS n
    UNION ALL SELECT md5('empty')::uuid, 'empty'
    """,
    """
    INSERT INTO users (user_uuid, email, site_group_uuid)
    SELECT md5('user' || n)::uuid, 'user' || n || '@example.com', md5('group' || 1 + n % 1000)::uuid
    FROM generate_series(1, 2000) AS n
    """,
    """
    INSERT INTO sites (
        site_uuid, client_uuid, client_site_id, client_site_name, region, dno, gsp, asset_type, active,
        latitude, longitude, capacity_kw
    )
    SELECT
        md5('site' || n)::uuid, md5('client' || 1 + n % 500)::uuid, 1 + n / 2, 'roof ' || n, 'region ' || n % 12,
        'dno ' || n % 14, 'gsp ' || n % 300, CASE WHEN n % 50 = 0 THEN 'wind' ELSE 'pv' END, n % 20 > 0,
        50 + n % 80 / 10.0, -5 + n % 60 / 10.0, 4 + n % 10
    FROM generate_series(1, 1000) AS n
    """,
    """
    INSERT INTO site_group_sites (site_group_uuid, site_uuid)
    SELECT md5('group' || g)::uuid, md5('site' || 1 + (g * 7 + s) % 1000)::uuid
    FROM generate_series(1, 1000) AS g, generate_series(1, 10) AS s
    """,
    """
    INSERT INTO site_history (site_uuid, changed_utc, operation, old_row, new_row)
    SELECT
        s.site_uuid, timestamptz '2023-12-01 00:00Z' + n * interval '12 days',
        CASE n WHEN 1 THEN 'insert' ELSE 'update' END,
        CASE WHEN n > 1 THEN to_jsonb(s) END, to_jsonb(s)
    FROM sites AS s CROSS JOIN generate_series(1, 20) AS n
    """,
    """
    INSERT INTO inverters (site_uuid) SELECT md5('site' || 1 + n % 1000)::uuid FROM generate_series(1, 3000) AS n
    """,
    """
    INSERT INTO status (status, message, created_utc)
    SELECT 'ok', 'all is well, for the ' || n || 'th time', timestamptz '2024-01-01 00:00Z' + n * interval '1 hour'
    FROM generate_series(1, 8000) AS n
    """,
    """
    INSERT INTO api_request (url, user_uuid, created_utc)
    SELECT
        '/sites/pv_forecast?page=' || n % 7, md5('user' || 1 + n % 2000)::uuid,
        timestamptz '2024-01-01 00:00Z' + n * interval '5 minutes'
    FROM generate_series(1, 100000) AS n
    """,
    """
    INSERT INTO ml_models (ml_model_uuid, name, version)
    SELECT md5('model' || n)::uuid, 'model ' || n / 10, '1.' || n % 10 FROM generate_series(1, 1000) AS n
    """,
)
# History is loaded site by site; the last two months came as they do in service, all sites every hour.
READINGS = """
    INSERT INTO {partition} (site_uuid, start_utc, end_utc, generation_power_kw, created_utc)
    SELECT s.site_uuid, t.start_utc, t.start_utc + interval '1 hour', 1, t.start_utc + interval '2 hours'
    FROM (SELECT o.site_uuid FROM sites AS o ORDER BY o.site_uuid) AS s
    CROSS JOIN (
        SELECT d + h * interval '1 hour' AS start_utc
        FROM generate_series({month}::timestamptz, {month}::timestamptz + interval '1 month -1 day', '1 day') AS d
        CROSS JOIN generate_series(8, 17) AS h
    ) AS t
    ORDER BY {order}
"""
# Of two models in turns every other day; in the last month four times a day.
FORECASTS = """
    INSERT INTO {partition} (
        forecast_uuid, site_uuid, timestamp_utc, ml_model_uuid, forecast_version, created_utc, start_utc,
        resolution_minutes, power_kw
    )
    SELECT
        md5(s.site_uuid::text || extract(epoch FROM t.made_utc)::bigint || m)::uuid, s.site_uuid, t.made_utc,
        md5('model' || m)::uuid, '1.0', t.made_utc, t.made_utc, 60, array_fill(1::real, '{{48}}')
    FROM generate_series(
        {month}::timestamptz, {month}::timestamptz + interval '1 month -1 hour', {every}
    ) AS t (made_utc)
    CROSS JOIN generate_series(11, 21, 10) AS m
    CROSS JOIN (SELECT o.site_uuid FROM sites AS o ORDER BY o.site_uuid) AS s
"""

BIG = (("forecasts", FORECASTS), ("generation", READINGS))
SMALL = tuple(re.findall(r"INSERT INTO (\w+) \(", " ".join(ROWS)))


def fill(connect: Callable[[], psycopg.Connection]) -> None:
    """Fill a migrated database, over two connections at a time."""
    with connect() as connection:
        for table in ("generation", "forecasts"):
            connection.execute("SELECT ensure_month_partitions(%s, %s::date[])", [table, list(MONTHS)])
        connection.execute("SET session_replication_role = replica")  # no triggers
        for rows in ROWS:
            connection.execute(rows)

    def fill_month(table: str, rows: str, month: str) -> None:
        partition = sql.Identifier(f"{table}_p{month[:7].replace('-', '_')}")
        live = month >= LIVE_FROM
        filled = sql.SQL(rows).format(
            partition=partition,
            month=sql.Literal(month),
            order=sql.SQL("t.start_utc, s.site_uuid" if live else "s.site_uuid, t.start_utc"),
            every=sql.Literal("6 hours" if month == MONTHS[-1] else "2 days"),
        )
        with connect() as connection:
            connection.execute("SET session_replication_role = replica")
            connection.execute(sql.SQL("ALTER TABLE {} SET UNLOGGED").format(partition))
            connection.execute(filled)

    with ThreadPoolExecutor(2) as both:
        months = [(table, rows, month) for table, rows in BIG for month in reversed(MONTHS)]
        list(both.map(lambda one: fill_month(*one), months))

    def finish(tables: str) -> None:
        with connect() as connection:
            connection.autocommit = True
            connection.execute("SET default_statistics_target = 25")  # a quarter of the time
            connection.execute(f"VACUUM (ANALYZE) {tables}")

    with ThreadPoolExecutor(2) as both:
        list(both.map(finish, ["generation", "forecasts, " + ", ".join(SMALL)]))


def site(number: int) -> str:
    """The uuid of a site."""
    return _uuid("site", number)


def user(number: int) -> str:
    """The uuid of a user."""
    return _uuid("user", number)


def group(number: int) -> str:
    """The uuid of a site group."""
    return _uuid("group", number)


def model(number: int) -> str:
    """The uuid of a model; 11 and 21 make the forecasts."""
    return _uuid("model", number)


def forecast(site_number: int, timestamp_utc: str, model_number: int = 11) -> str:
    """The uuid of the forecast that a model, the first one, made for a site."""
    return _uuid(f"{site(site_number)}{datetime.fromisoformat(timestamp_utc).timestamp():.0f}", model_number)


def _uuid(kind: str, number: int) -> str:
    return str(UUID(md5(f"{kind}{number}".encode(), usedforsecurity=False).hexdigest()))
