"""What the planner expects of the hot queries against what comes, on a database with dozens of partitions.

Its estimates choose joins and sorts, and whether the server compiles a query (`jit_above_cost`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from commands import THOROUGH
from databases import Databases
from plan_database import site
from plan_reading import Node, Plan

from pvsite_sql.engine.queries import load

QUERIES = load()
SITES = [site(n) for n in range(1, 31)]
TIMES = 30  # as far as an estimate may be off, either way
JIT_ABOVE_COST = 100_000  # PostgreSQL's default

FILL = (
    """
    SELECT ensure_month_partitions(t.name, ARRAY(
        SELECT m::date FROM generate_series('2022-01-01'::timestamp, '2025-04-01', '1 month') AS m
    ))
    FROM unnest('{forecasts,generation}'::text[]) AS t (name)
    """,
    "SET session_replication_role = replica",
    """
    INSERT INTO sites (site_uuid, dno, gsp, capacity_kw)
    SELECT md5('site' || n)::uuid, 'dno ' || n % 5, 'gsp ' || n, 4 FROM generate_series(1, 30) AS n
    """,
    """
    INSERT INTO ml_models (ml_model_uuid, name)
    SELECT md5('model' || n)::uuid, 'model ' || n FROM generate_series(1, 20) AS n
    """,
    # in each month a forecast a day, and one an hour in the last four days: 2025-04-20
    """
    INSERT INTO forecasts (
        site_uuid, timestamp_utc, ml_model_uuid, created_utc, start_utc, resolution_minutes, power_kw
    )
    SELECT
        s.site_uuid, t.made_utc, md5('model7')::uuid, t.made_utc, t.made_utc, 15, array_fill(1::real, '{192}')
    FROM (
        SELECT m FROM generate_series('2022-01-01'::timestamptz, '2025-04-16', '1 day') AS m
        UNION
        SELECT m FROM generate_series('2025-04-16'::timestamptz, '2025-04-20', '1 hour') AS m
    ) AS t (made_utc)
    CROSS JOIN sites AS s
    """,
    """
    INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
    SELECT s.site_uuid, t.start_utc, t.start_utc + interval '5 minutes', 1
    FROM (
        SELECT m FROM generate_series('2022-01-01'::timestamptz, '2025-04-12', '12 hours') AS m
        UNION
        SELECT m FROM generate_series('2025-04-12'::timestamptz, '2025-04-20', '5 minutes') AS m
    ) AS t (start_utc)
    CROSS JOIN sites AS s
    """,
)

MORE_MONTHS = """
    SELECT ensure_month_partitions(%s, ARRAY(
        SELECT m::date FROM generate_series('2002-01-01'::timestamp, '2021-12-01', '1 month') AS m
    ))
"""

NOW, YESTERDAY, DAYS_AGO = "2025-04-20T00:00Z", "2025-04-19T00:00Z", "2025-04-17T00:00Z"
OF_ANY: dict[str, str | list[str]] = {
    "created_after": "-infinity",
    "created_before": "infinity",
    "model_name": "",
    "model_versions": "{}",
    "of_site_model": "false",
}
LATEST = OF_ANY | {"min_horizon_minutes": "", "max_horizon_minutes": ""}
NINE = {"hour": "9", "minute": "0", "timezone": "Europe/London"}
FROM_NOW = {"start_utc": NOW, "end_utc": "infinity"}
FROM_YESTERDAY = {"start_utc": YESTERDAY, "end_utc": "infinity"}
DAYS = {"start_utc": DAYS_AGO, "end_utc": NOW}
HOT: dict[str, tuple[str, dict[str, str | list[str]]]] = {
    "latest values from now": (
        "forecasts/latest_values",
        {"site_uuids": SITES, **FROM_NOW, **LATEST, "probabilistic": "true"},
    ),
    "latest frame from now": (
        "forecasts/latest_values",
        {"site_uuids": SITES, **FROM_NOW, **LATEST, "probabilistic": "false"},
    ),
    "latest frame from yesterday": (
        "forecasts/latest_values",
        {"site_uuids": SITES, **FROM_YESTERDAY, **LATEST, "probabilistic": "false"},
    ),
    "latest frame of some days": (
        "forecasts/latest_values",
        {"site_uuids": SITES, **DAYS, **LATEST, "probabilistic": "false"},
    ),
    "latest sums": ("forecasts/latest_sums", {"by": "dno", "site_uuids": SITES, **FROM_NOW, **LATEST}),
    "day-ahead values": (
        "forecasts/day_ahead_values",
        {"site_uuids": SITES, **DAYS, **NINE, **OF_ANY, "probabilistic": "true"},
    ),
    "day-ahead sums": ("forecasts/day_ahead_values_sums", {"by": "dno", "site_uuids": SITES, **DAYS, **NINE, **OF_ANY}),
    "latest values of the site's model": (
        "forecasts/latest_values",
        {"site_uuids": SITES, **FROM_NOW, **LATEST, "of_site_model": "true", "probabilistic": "true"},
    ),
    "latest per site": ("forecasts/latest_per_site_in_window", {"site_uuids": SITES, **FROM_YESTERDAY, **OF_ANY}),
    "values at a horizon": (
        "forecasts/values_at_horizon",
        {"site_uuids": SITES, **DAYS, "horizon_minutes": "60", **OF_ANY, "probabilistic": "false"},
    ),
    "error by horizon": (
        "forecasts/error_by_horizon",
        {
            "by": "total",
            "site_uuids": SITES,
            **DAYS,
            "created_hour": "",
            "timezone": "",
            "bucket_minutes": "1",
            **OF_ANY,
        },
    ),
    "generation sums": ("generation/sums", {"by": "dno", "site_uuids": SITES, **DAYS}),
    "generation total": ("generation/sums_total_all_sites", DAYS),
}


PARTITIONS = (
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent::regclass::text IN ('forecasts', 'generation')"
)


@pytest.fixture(scope="module")
def filled(databases: Databases) -> Iterator[psycopg.Connection]:
    """A connection to a database of 30 sites and 40 months."""
    with (
        databases.clone("estimates") as dsn,
        psycopg.connect(
            dsn, autocommit=True, options="-c timezone=UTC -c jit=off -c max_parallel_workers_per_gather=0"
        ) as connection,
    ):
        for statement in FILL:
            connection.execute(statement)
        connection.execute("RESET session_replication_role")
        for (table,) in connection.execute(PARTITIONS).fetchall():  # other statistics would change the costs
            connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
        connection.execute("VACUUM (ANALYZE) sites, ml_models, forecasts, generation")
        yield connection


def explained(connection: psycopg.Connection, name: str, values: dict[str, Any], options: str = "") -> Node:
    """The plan of a query file with the values in its text, as in a COPY."""
    given = {key: value if isinstance(value, str) else "{" + ",".join(value) + "}" for key, value in values.items()}
    text = psycopg.ClientCursor(connection).mogrify(QUERIES[name].text.decode(), given)
    (answer,) = connection.execute(f"EXPLAIN (FORMAT JSON{options}) {text}").fetchone() or ()
    root: Node = answer[0]["Plan"]
    return root


def apart(node: Node) -> float:
    """By how many times estimate and fact of a node differ, a loop; less than one row counts as one."""
    expected, came = max(node["Plan Rows"], 1), max(node["Actual Rows"], 1)
    return float(max(expected / came, came / expected))


def run_to_the_end(node: Node) -> Iterator[Node]:
    """The nodes that gave all of their rows: not those below a LIMIT, nor those that were never executed."""
    if node["Actual Loops"]:
        yield node
        if node["Node Type"] != "Limit":
            for child in node.get("Plans", ()):
                yield from run_to_the_end(child)


@pytest.mark.parametrize("hot", HOT)
def test_the_planner_expects_about_what_comes(filled, hot):
    name, values = HOT[hot]
    root = explained(filled, name, values, ", ANALYZE, TIMING OFF")
    assert root["Actual Rows"] > 0
    far = [
        f"{node['Node Type']}: {node['Plan Rows']} rows expected, {node['Actual Rows']:g} came"
        for node in run_to_the_end(root)
        if apart(node) > TIMES
    ]
    assert not far, "\n".join([*far, str(Plan(root))])


# it compares every value of every forecast of the window: its cost is honest, and more than that of compiling
@pytest.mark.parametrize("hot", sorted(set(HOT) - {"error by horizon"})[:: 1 if THOROUGH else 4])
def test_the_cost_is_below_that_of_compiling_with_hundreds_of_empty_months_too(filled, hot):
    name, values = HOT[hot]
    before = explained(filled, name, values)["Total Cost"]
    with filled.transaction(force_rollback=True):
        for table in ("forecasts", "generation"):
            filled.execute(MORE_MONTHS, [table])
        after = explained(filled, name, values)["Total Cost"]
    assert before <= after < JIT_ABOVE_COST
