"""Frames of polars and DuckDB, as they are: in, out, and what is said of those that cannot be stored."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import duckdb
import pandas as pd
import polars as pl
import pytest
from commands import until
from conftest import reading_frame
from forecast_cases import forecast_frame

from pvsite_sql import InsertResult, InvalidInput, Repository
from pvsite_sql.engine import arrow_streams

ROWS = 12


@pytest.fixture
def frame(repo: Repository) -> pl.DataFrame:
    """Readings of two sites."""
    sites = [repo.sites.create().site_uuid for _ in range(2)]
    return pl.concat([polars(reading_frame(str(site), rows=ROWS // 2)) for site in sites], rechunk=False)


def polars(frame: pd.DataFrame) -> pl.DataFrame:
    return pl.DataFrame({name: frame[name].to_list() for name in frame})


def stored(repo: Repository) -> list[tuple[Any, ...]]:
    return [(str(row.site_uuid), row.start_utc, row.generation_power_kw) for row in repo.generation.read()]


def rows(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    times = frame["start_utc"].dt.convert_time_zone("UTC")
    return sorted(zip(frame["site_uuid"].to_list(), times.to_list(), frame["power_kw"].to_list(), strict=True))


POLARS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "as it is": lambda f: f,
    "one chunk": lambda f: f.rechunk(),
    "a slice": lambda f: pl.concat([f[:5], f])[5:],
    "categorical": lambda f: f.with_columns(pl.col("site_uuid").cast(pl.Categorical)),
    "enum": lambda f: f.with_columns(pl.col("site_uuid").cast(pl.Enum(f["site_uuid"].unique().sort()))),
    "bytes": lambda f: f.with_columns(site_uuid=pl.Series([UUID(text).bytes for text in f["site_uuid"]])),
    "milliseconds": lambda f: f.with_columns(pl.col("start_utc").dt.cast_time_unit("ms")),
    "nanoseconds": lambda f: f.with_columns(pl.col("start_utc").dt.cast_time_unit("ns")),
    "in London": lambda f: f.with_columns(pl.col("start_utc").dt.convert_time_zone("Europe/London")),
    "naive": lambda f: f.with_columns(pl.col("start_utc").dt.replace_time_zone(None)),
    "decimals": lambda f: f.with_columns(pl.col("power_kw").cast(pl.Decimal(12, 3))),
    "a struct": lambda f: f.to_struct(),
    "collected": lambda f: f.lazy().filter(pl.col("power_kw") > 0).collect(),
}


@pytest.mark.parametrize("change", POLARS.values(), ids=POLARS)
def test_frames_of_polars_are_stored(repo, frame, change):
    assert repo.generation.insert(change(frame)) == InsertResult(inserted=ROWS)
    assert stored(repo) == rows(frame)
    assert repo.generation.insert(change(frame), on_conflict="update") == InsertResult(skipped=ROWS)


@pytest.mark.parametrize(
    ("change", "column", "at", "reason"),
    [
        (lambda f: f.with_columns(power_kw=pl.col("power_kw").cast(pl.String)), "power_kw", (), "must be numbers"),
        (lambda f: f.with_columns(power_kw=pl.lit(None)), "power_kw", (), "must be numbers"),
        (
            lambda f: f.with_columns(power_kw=pl.Series([1.0, None, float("nan"), *[2.0] * 9])),
            "power_kw",
            (1, 2),
            "no value",
        ),
        (lambda f: f.with_columns(start_utc=pl.col("start_utc").dt.date()), "start_utc", (), "must be datetimes"),
        (lambda f: f.with_columns(site_uuid=pl.lit("x")), "site_uuid", (0, 1, 2, 3, 4), "must be a UUID, got 'x'"),
        (lambda f: f.lazy(), None, (), "got LazyFrame"),
        (lambda f: f["power_kw"], None, (), "must be a frame with columns, got Series"),
    ],
)
def test_what_polars_has_that_cannot_be_stored(repo, frame, change, column, at, reason):
    with pytest.raises(InvalidInput) as caught:
        repo.generation.insert(change(frame))
    assert (caught.value.column, caught.value.rows) == (column, at)
    assert reason in caught.value.reason
    assert stored(repo) == []


def relation(frame: pl.DataFrame, columns: str = "*", *, is_exact: bool = False) -> duckdb.DuckDBPyRelation:
    """What DuckDB selects from a frame; if exact, UUIDs keep their type in Arrow."""
    connection = duckdb.connect()
    connection.execute(f"SET arrow_lossless_conversion = {is_exact}")
    connection.execute("SET timezone = 'America/Denver'")
    connection.register("given", frame.to_arrow())
    return connection.sql(f"SELECT {columns} FROM given")


@pytest.mark.parametrize(
    "columns",
    [
        "*",
        "site_uuid::uuid AS site_uuid, start_utc, power_kw",
        "site_uuid AS location_uuid, start_utc::timestamp_s AS start_utc, power_kw::decimal(9, 3) AS power_kw",
        "site_uuid, start_utc::timestamp_ns AS start_utc, power_kw::float AS power_kw, 1 AS other",
    ],
)
@pytest.mark.parametrize("is_exact", [False, True])
def test_relations_of_duckdb_are_stored(repo, frame, columns, is_exact):
    frame = frame.with_columns(pl.col("power_kw").round(0))
    # a cast of a time with a zone would be the local time
    of = relation(frame.with_columns(pl.col("start_utc").dt.replace_time_zone(None)), columns, is_exact=is_exact)
    assert repo.generation.insert(of) == InsertResult(inserted=ROWS)
    assert stored(repo) == rows(frame.with_columns(pl.col("start_utc").dt.convert_time_zone("UTC")))
    assert repo.generation.insert(of) == InsertResult(skipped=ROWS)


def test_a_query_that_fails_stores_nothing_and_says_why(repo, frame, monkeypatch):
    monkeypatch.setattr(arrow_streams, "PART_ROWS", 1)
    failing = relation(frame, "site_uuid, start_utc, if(power_kw > 1.3, error('no sun'), power_kw) AS power_kw")
    with pytest.raises(Exception, match="no sun"):
        repo.generation.insert(failing)
    assert stored(repo) == []


def test_both_read_what_read_arrow_returns(repo, frame):
    repo.generation.insert(frame)
    expected = rows(frame)
    for read in (pl.from_arrow, pl.DataFrame):
        found = read(repo.generation.read_arrow(chunk_rows=5))
        names = ("site_uuid", "start_utc", "generation_power_kw")
        assert list(zip(*(found[name].to_list() for name in names), strict=True)) == expected
        assert repo.generation.insert(found) == InsertResult(skipped=ROWS)
    reader = repo.generation.read_arrow(chunk_rows=5)
    assert duckdb.sql(
        "SELECT count(*), sum(generation_power_kw), any_value(typeof(start_utc)) FROM reader"
    ).fetchall() == [(ROWS, pytest.approx(frame["power_kw"].sum()), "TIMESTAMP WITH TIME ZONE")]
    del reader
    until(lambda: repo.stats().pool["pool_available"] == repo.stats().pool["pool_size"])


def test_forecasts_both_ways(repo):
    site = repo.sites.create().site_uuid
    frame = forecast_frame(str(site), model_name="m", p10=[0.5, 1.0, 1.5])
    assert repo.forecasts.insert(polars(frame)) == InsertResult(inserted=1)
    in_dicts = polars(frame.drop(columns="p10")).with_columns(
        probabilistic_values=pl.Series([{"p10": 0.5}, {"p10": 1.0}, {"p10": 1.5}])
    )
    assert repo.forecasts.insert(in_dicts) == InsertResult(skipped=1)
    for column in ("map {'p10': p10}", "json_object('p10', p10)", "{'p10': p10}"):
        of = relation(polars(frame), f"* EXCLUDE (p10), {column} AS probabilistic_values")
        assert repo.forecasts.insert(of) == InsertResult(skipped=1)
    latest = pl.from_arrow(repo.forecasts.latest_arrow())
    assert latest["forecast_power_kw"].to_list() == [1.0, 2.0, 3.0]
    assert latest.schema["start_utc"] == pl.Datetime("us", "UTC")
    assert latest["end_utc"][0] - latest["start_utc"][0] == timedelta(minutes=30)
    assert latest["start_utc"][0].astimezone(UTC) == frame["start_utc"][0]
