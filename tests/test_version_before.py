"""The queries of the version before, on the schema of this one: during a deployment both run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from forecast_cases import HOUR, MINUTE, NOON, forecast_frame, together

from pvsite_sql import Repository, migrate
from pvsite_sql.engine.migrations import packaged_migrations
from pvsite_sql.engine.queries import Query, folder, parse

BEFORE = Path(__file__).with_name("queries_before_0006")
QUERIES = {path.stem: parse(path, BEFORE.parent) for path in sorted(BEFORE.glob("*.sql"))}
LAST = "0006.forecast-pieces"  # the migration that the queries are older than
WINDOW = {"start_utc": NOON, "end_utc": NOON + 5 * HOUR}
LATEST = {"created_before": NOON + 90 * MINUTE, "min_horizon_minutes": "30", "model_name": "m"}
ASKED: dict[str, dict[str, Any]] = {
    "latest_values": {**WINDOW, **LATEST, "probabilistic": True},
    "latest_sums": {**WINDOW, **LATEST, "by": "total"},
    "day_ahead_values": {**WINDOW, "hour": 24, "timezone": "Europe/London", "model_name": ""},
    "values_at_horizon": {**WINDOW, "horizon_minutes": 60, "model_name": ""},
    "error_by_horizon": {**WINDOW, "model_name": ""},
    "latest_per_site": {},
}


@pytest.fixture
def before(empty_dsn: str) -> str:
    """A database with forecasts, migrated up to the version before."""
    migrate.apply(empty_dsn)
    with Repository(empty_dsn, min_size=1) as repo:
        site = repo.sites.create(capacity_kw=4.0).site_uuid
        frames = [forecast_frame(site, [n, None, *range(9)], timestamp=NOON + n * HOUR, p10=n + 0.5) for n in range(3)]
        made = NOON - 24 * HOUR
        for n, frame in enumerate(frames):
            repo.forecasts.insert(frame, created_utc=NOON + n * HOUR, model_name="m", model_version=str(n))
        repo.forecasts.insert(together(*frames), created_utc=made)
        starts = frames[0][["site_uuid", "start_utc", "end_utc"]].assign(power_kw=1.0)
        repo.generation.insert(starts)
    _roll_back(empty_dsn)
    return empty_dsn


def _roll_back(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        for name in reversed(packaged_migrations()):
            if name >= LAST:
                connection.execute((folder("migrations") / f"{name}.rollback.sql").read_bytes())
                connection.execute("DELETE FROM _yoyo_migration WHERE migration_id = %s", [name])


def answers(connection: psycopg.Connection, *, prepare: bool | None = None) -> dict[str, list[tuple[Any, ...]]]:
    """What the queries of the version before give."""
    (sites,) = connection.execute("SELECT array_agg(site_uuid) FROM sites").fetchone() or ()
    found = {
        name: connection.execute(QUERIES[name].text, {"site_uuids": sites, **asked}, prepare=prepare).fetchall()
        for name, asked in ASKED.items()
    }
    found["latest_frame"] = copied(
        connection, QUERIES["latest_values"], {"site_uuids": sites, **ASKED["latest_values"]}
    )
    return found


def copied(connection: psycopg.Connection, asked: Query, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The same as the library asked for it, in a COPY."""
    text = psycopg.ClientCursor(connection).mogrify(asked.copy_out, values)
    with connection.cursor().copy(text.encode()) as copy:
        copy.set_types([column.type for column in asked.columns])
        return list(copy.rows())


def test_every_query_of_the_version_before_that_the_migration_concerns_is_asked():
    assert set(QUERIES) == set(ASKED) | {"values", "get"}


def test_the_queries_of_the_version_before_answer_as_before(before):
    """Also those that a connection has prepared before the migration, and runs on."""
    with (
        psycopg.connect(before, autocommit=True) as running,
        psycopg.connect(before, autocommit=True) as other,
    ):
        for connection in (running, other):
            connection.execute("SET timezone = 'UTC'; SET jit = off")
        running.execute("SET plan_cache_mode = force_generic_plan")
        expected = answers(other)
        assert all(expected.values())
        assert answers(running, prepare=True) == answers(running, prepare=True) == expected
        uuid = expected["latest_per_site"][0][0]
        one = {
            name: other.execute(QUERIES[name].text, {"forecast_uuid": uuid}).fetchall() for name in ("get", "values")
        }
        assert migrate.apply(before)[0] == LAST
        assert answers(running, prepare=True) == expected
        with psycopg.connect(before, autocommit=True) as new:
            new.execute("SET timezone = 'UTC'; SET jit = off")
            assert answers(new) == expected
        for name, rows in one.items():
            assert other.execute(QUERIES[name].text, {"forecast_uuid": uuid}).fetchall() == rows


def test_both_versions_answer_alike_on_the_new_schema(before):
    migrate.apply(before)
    with Repository(before, min_size=1) as repo, psycopg.connect(before, options="-c timezone=UTC") as connection:
        old = answers(connection)
        options = {"created_before": LATEST["created_before"], "min_horizon_minutes": 30, "model_name": "m"}
        ((_, values),) = repo.forecasts.latest_values(**WINDOW, **options).items()
        assert [row[1:-1] for row in old["latest_values"]] == [
            tuple(getattr(value, column.name) for column in QUERIES["latest_values"].columns[1:-1]) for value in values
        ]
        assert [row[-1] for row in old["latest_values"]] == [value.probabilistic_values for value in values]
        sums = repo.forecasts.latest_sums(**WINDOW, **options)
        assert old["latest_sums"] == [(row.start_utc, row.power_kw, row.name) for row in sums]
        errors = repo.forecasts.error_by_horizon(**WINDOW)
        assert len(errors) == len(old["error_by_horizon"])
        assert errors.to_numpy().ravel().tolist() == pytest.approx([x for row in old["error_by_horizon"] for x in row])
