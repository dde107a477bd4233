"""The latest values, against the query that pvsite-datamodel's users write, on forecasts of every kind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import psycopg
import pytest
from commands import THOROUGH
from forecast_cases import HOUR, MINUTE, NOON, forecast_frame, stored, together
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvsite_sql import ForecastValue, InsertResult, InvalidInput, Repository

# of those who query pvsite-datamodel's tables; the ties and the filters are added
ORACLE = """
    SELECT
    DISTINCT ON (f.site_uuid, fv.start_utc)
        f.site_uuid,
        fv.start_utc,
        fv.end_utc,
        fv.forecast_power_kw,
        fv.horizon_minutes,
        f.timestamp_utc,
        f.created_utc,
        f.forecast_uuid,
        f.forecast_version,
        m.name,
        m.version,
        fv.probabilistic_values
    FROM forecast_values AS fv
    JOIN forecasts AS f
      ON f.forecast_uuid = fv.forecast_uuid
    JOIN sites AS s ON s.site_uuid = f.site_uuid
    LEFT JOIN ml_models AS m ON m.ml_model_uuid = f.ml_model_uuid
    WHERE fv.start_utc >= %(start_utc)s
      AND fv.start_utc < %(end_utc)s
      AND f.created_utc >= %(created_after)s
      AND f.created_utc < %(created_before)s
      AND (%(min_horizon_minutes)s::integer IS NULL OR fv.horizon_minutes >= %(min_horizon_minutes)s)
      AND (%(max_horizon_minutes)s::integer IS NULL OR fv.horizon_minutes <= %(max_horizon_minutes)s)
      AND (%(model_name)s::text IS NULL OR m.name = %(model_name)s)
      AND (%(model_version)s::text IS NULL OR m.version = %(model_version)s)
      AND (NOT %(of_site_model)s OR s.ml_model_uuid IS NULL OR f.ml_model_uuid = s.ml_model_uuid)
    ORDER BY
        f.site_uuid,
        fv.start_utc,
        f.timestamp_utc DESC,
        f.created_utc DESC,
        f.forecast_uuid DESC
"""
FUNCTION = """
    SELECT
        v.site_uuid, v.start_utc, v.end_utc, v.forecast_power_kw, v.horizon_minutes, v.timestamp_utc, v.created_utc,
        v.forecast_uuid, v.forecast_version, m.name, m.version, v.probabilistic_values
    FROM latest_forecast_values(
        %(sites)s, %(start_utc)s, %(end_utc)s, %(created_after)s, %(created_before)s, %(min_horizon_minutes)s,
        %(max_horizon_minutes)s, %(model_name)s, %(versions)s::text[], %(of_site_model)s, NULL, NULL, NULL
    ) AS v
    LEFT JOIN ml_models AS m ON m.ml_model_uuid = v.ml_model_uuid
    ORDER BY v.site_uuid, v.start_utc
"""
COLUMNS = ["site_uuid", *ForecastValue.model_fields]
FRAME = [name for name in COLUMNS if name != "probabilistic_values"]
MODELS: list[dict[str, str]] = [
    {},
    {"model_name": "a"},
    {"model_name": "a", "model_version": "2"},
    {"model_name": "b", "forecast_version": "9"},
]
EVERY_OTHER = sum(1 << n for n in range(1, 96, 2))
UNKNOWN = UUID(int=7)

Key = tuple[UUID, datetime]


class Case(NamedTuple):
    """A forecast: numbers of its site and model, times in minutes after noon, a bit for each slot that is left out."""

    site: int
    timestamp: float
    model: int
    created: int
    start: int
    resolution: int
    slots: int
    gaps: int

    def powers(self, number: int) -> list[float | None]:
        """Powers that tell the forecast and the slot, whose sums `real` holds exactly."""
        return [
            None if n and self.gaps >> n & 1 else number * 32 + n / 4 - 8  # the first slot has a value
            for n in range(self.slots)
        ]

    def frame(self, number: int, sites: Sequence[UUID]) -> pd.DataFrame:
        timestamp = NOON + self.timestamp * MINUTE
        powers = self.powers(number)
        frame = forecast_frame(
            sites[self.site], powers, timestamp=timestamp, lead=0, minutes=self.resolution, **MODELS[self.model]
        )
        shift = pd.Timedelta(minutes=self.start - self.timestamp)
        frame[["start_utc", "end_utc"]] += shift
        level = [power + 0.5 if n % 3 else np.nan for n, power in enumerate(frame["forecast_power_kw"])]
        return frame.assign(created_utc=NOON + self.created * MINUTE, **({"p90": level} if self.model == 1 else {}))


CASES = st.lists(
    st.builds(
        Case,
        site=st.integers(0, 1),
        timestamp=st.sampled_from([0, 30, 60, 60.5, 90, -1440]),
        model=st.integers(0, 3),
        created=st.sampled_from([0, 30, 60, 120]),
        start=st.integers(-12, 30).map(lambda n: 5 * n) | st.integers(-3, 3),
        resolution=st.sampled_from([5, 15, 30, 30, 30, 60]),
        slots=st.integers(1, 12) | st.just(80),
        gaps=st.just(0) | st.integers(0, 2**12 - 1) | st.just(EVERY_OTHER),
    ),
    min_size=1,
    max_size=7,
    unique_by=lambda case: (case.site, case.timestamp, case.model),
)
MINUTES = st.integers(-100, 400) | st.integers(-8, 16).map(lambda n: 15 * n) | st.just(0.4)
TIMES = MINUTES.map(lambda n: NOON + n * MINUTE)
CREATED = st.sampled_from([0, 30, 31, 60, 120, 121]).map(lambda n: NOON + n * MINUTE)
HORIZONS = st.integers(-60, 120) | st.sampled_from([-30, 0, 30, 60, 2**31 - 1, -(2**31)])
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "start_utc": TIMES,
        "end_utc": TIMES,
        "created_after": CREATED,
        "created_before": CREATED,
        "min_horizon_minutes": HORIZONS,
        "max_horizon_minutes": HORIZONS,
        "of_model": st.sampled_from(
            [
                *({"model_name": name} for name in "abc"),
                *({"model_name": "a", "model_version": version} for version in ("", "2", "3")),
                {"of_site_model": True},
            ]
        ),
    },
).map(lambda asked: {name: value for name, value in asked.items() if name != "of_model"} | asked.get("of_model", {}))


class World:
    """Two sites, and a connection to ask the oracle."""

    def __init__(self, repo: Repository, oracle: psycopg.Connection) -> None:
        self.repo = repo
        self.oracle = oracle
        self.oracle.autocommit = True
        self.oracle.execute("SET timezone = 'UTC'")
        self.sites = [repo.sites.create(dno=dno, gsp="gsp").site_uuid for dno in (None, "dno")]
        model = repo.ml_models.get_or_create("a", version="2")  # the second site may use any
        self.oracle.execute("UPDATE sites SET ml_model_uuid = %s WHERE dno IS NULL", [model.ml_model_uuid])

    def hold(self, cases: Sequence[Case]) -> None:
        """These forecasts and no others."""
        self.oracle.execute("DELETE FROM forecasts")
        frames = [case.frame(number, self.sites) for number, case in enumerate(cases, start=1)]
        assert self.repo.forecasts.insert(together(*frames)) == InsertResult(inserted=len(cases))

    def expected(self, **asked: Any) -> dict[Key, tuple[Any, ...]]:
        anything = {"start_utc": "-infinity", "end_utc": "infinity"}
        anything |= {"created_after": "-infinity", "created_before": "infinity"}
        unfiltered = dict.fromkeys(["min_horizon_minutes", "max_horizon_minutes", "model_name", "model_version"])
        rows = self.oracle.execute(ORACLE, {**anything, **unfiltered, "of_site_model": False, **asked}).fetchall()
        return {row[:2]: row for row in rows}

    def by_the_function(self, **asked: Any) -> list[tuple[Any, ...]]:
        """What SQL's own way to lay out the pieces gives, for those who ask the database without the library."""
        asked = asked | {"versions": [asked["model_version"]] if "model_version" in asked else []}
        parameters = dict.fromkeys(["min_horizon_minutes", "max_horizon_minutes", "model_name"])
        parameters |= {"start_utc": "-infinity", "end_utc": "infinity", "of_site_model": False}
        parameters |= {"created_after": "-infinity", "created_before": "infinity", "sites": self.sites}
        return self.oracle.execute(FUNCTION, {**parameters, **asked}).fetchall()


@pytest.fixture
def world(repo, postgresql):
    return World(repo, postgresql)


def row_of(site: UUID, value: ForecastValue) -> tuple[Any, ...]:
    return (site, *(getattr(value, name) for name in COLUMNS[1:]))


def rows_of(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    frame = frame.astype({name: object for name, dtype in frame.dtypes.items() if dtype == "category"})
    frame = frame.where(frame.notna(), None)
    columns = [
        pd.to_datetime(frame[name]).dt.to_pydatetime() if name.endswith("_utc") else frame[name] for name in FRAME
    ]
    return list(zip(*columns, strict=True))


def oracle(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@oracle(650 if THOROUGH else 80)
@given(cases=CASES, asked=ASKED)
def test_latest_values_and_frame_are_what_the_users_query_gives(world, cases, asked):
    world.hold(cases)
    expected = world.expected(**asked)
    sites = [world.sites[1], UNKNOWN, str(world.sites[0])]
    found = world.repo.forecasts.latest_values(sites, **asked)
    assert list(found) == [world.sites[1], UNKNOWN, world.sites[0]]
    rows = [row_of(site, value) for site in sorted(world.sites) for value in found[site]]
    assert rows == list(expected.values())
    assert found[UNKNOWN] == []
    frame = world.repo.forecasts.latest_frame(sites, **asked)
    place = COLUMNS.index("probabilistic_values")
    assert rows_of(frame) == [row[:place] + row[place + 1 :] for row in expected.values()]
    assert world.by_the_function(**asked) == list(expected.values())


@oracle(350 if THOROUGH else 45)
@given(cases=CASES, asked=ASKED, of=st.sampled_from([None, [0], [1], [1, 0], []]))
def test_latest_sums_are_the_sums_of_the_users_query(world, cases, asked, of):
    world.hold(cases)
    sites = None if of is None else [world.sites[n] for n in of]
    chosen = [row for row in world.expected(**asked).values() if sites is None or row[0] in sites]
    found = world.repo.forecasts.latest_values(sites, **asked)
    assert list(found) == (sorted(world.sites) if sites is None else sites)
    rows = [row_of(site, value) for site in sorted(found) for value in found[site]]
    assert rows == chosen
    for by, names in {"total": ("total", "total"), "dno": (None, "dno"), "gsp": ("gsp", "gsp")}.items():
        sums: dict[tuple[datetime, str | None], float] = {}
        for site, start, _, power, *_ in chosen:
            key = (start, names[world.sites.index(site)])
            sums[key] = sums.get(key, 0.0) + power
        in_order = sorted(sums.items(), key=lambda item: (item[0][0], item[0][1] is None, item[0][1]))
        got = world.repo.forecasts.latest_sums(sites, by=by, **asked)
        assert [(row.start_utc, row.name, row.power_kw) for row in got] == [(*key, power) for key, power in in_order]


@oracle(60)
@given(cases=CASES)
def test_the_view_and_values_have_each_value_of_each_forecast(world, cases):
    world.hold(cases)
    expected = sorted(
        (
            world.sites[case.site],
            NOON + case.timestamp * MINUTE,
            NOON + (case.start + n * case.resolution) * MINUTE,
            NOON + (case.start + (n + 1) * case.resolution) * MINUTE,
            power,
            (case.start + n * case.resolution - case.timestamp) // 1,
            MODELS[case.model].get("model_name"),
            NOON + case.created * MINUTE,
        )
        for number, case in enumerate(cases, start=1)
        for n, power in enumerate(case.powers(number))
        if power is not None
    )
    rows = world.oracle.execute("""
        SELECT v.site_uuid, f.timestamp_utc, v.start_utc, v.end_utc, v.forecast_power_kw, v.horizon_minutes,
               m.name, v.created_utc, v.probabilistic_values, v.forecast_uuid
        FROM forecast_values AS v
        JOIN forecasts AS f ON f.forecast_uuid = v.forecast_uuid
        LEFT JOIN ml_models AS m ON m.ml_model_uuid = v.ml_model_uuid
    """).fetchall()
    assert sorted(row[:8] for row in rows) == expected
    for uuid in {row[-1] for row in rows}:
        values = world.repo.forecasts.values(uuid)
        assert [
            (v.timestamp_utc, v.start_utc, v.end_utc, v.forecast_power_kw, v.horizon_minutes, v.created_utc)
            for v in values
        ] == sorted(row[1:6] + row[7:8] for row in rows if row[-1] == uuid)
        levels = {row[2]: row[8] for row in rows if row[-1] == uuid}
        assert {v.start_utc: v.probabilistic_values for v in values} == levels


def test_more_gaps_than_the_index_keeps_between_two_complete_forecasts(world):
    whole = Case(0, 0, 0, 0, 0, 5, 90, 0)
    world.hold([whole, whole._replace(timestamp=30, gaps=EVERY_OTHER), whole._replace(timestamp=60, slots=12)])
    expected = world.expected()
    assert [row[COLUMNS.index("timestamp_utc")] for row in expected.values()] == [
        NOON + (60 if n < 12 else 0 if n % 2 else 30) * MINUTE for n in range(90)
    ]
    found = world.repo.forecasts.latest_values(world.sites)
    assert [row_of(world.sites[0], value) for value in found[world.sites[0]]] == list(expected.values())


@pytest.mark.parametrize(
    "options", ["-c timezone=America/Denver -c datestyle=German,DMY", "-c timezone=Asia/Kathmandu"]
)
def test_the_servers_time_zone_makes_no_difference(repo, dsn, site, options):
    march = datetime.fromisoformat("2024-03-09T20:00Z")  # a clock of Denver jumps on the tenth
    frame = together(
        *(
            forecast_frame(site.site_uuid, [1.0, None, *range(2, 40)], timestamp=march + n * HOUR, minutes=60, p10=n)
            for n in range(4)
        )
    )
    starts = frame["start_utc"].unique()
    readings = pd.DataFrame({"site_uuid": site.site_uuid, "start_utc": starts, "power_kw": 1.0})

    def answers(repo: Repository, naive: timedelta | None) -> list[Any]:
        def at(hours: int) -> datetime:
            moment = march + hours * HOUR
            return moment if naive is None else moment.replace(tzinfo=None) + naive

        forecasts = repo.forecasts
        window = {"start_utc": at(5), "end_utc": at(30)}
        return [
            forecasts.latest_values(None, **window, created_before=at(10**5)),
            forecasts.latest_sums([str(site.site_uuid)], **window),
            forecasts.latest_per_site(),
            forecasts.values_at_horizon(**window, horizon_minutes=600),
            forecasts.day_ahead_values(**window, hour=12, timezone="Europe/London"),
            forecasts.error_by_horizon(**window).to_dict(),
            forecasts.latest_frame(**window).to_dict(),
        ]

    with Repository(dsn, min_size=1, max_size=2, kwargs={"options": options}) as elsewhere:
        created = march - 10 * HOUR
        assert elsewhere.forecasts.insert(frame, created_utc=created) == InsertResult(inserted=4)
        elsewhere.generation.insert(readings, interval=HOUR)
        (row, *_) = stored(dsn).values()
        assert row.power_kw == [1.0, None, *range(2, 40)]
        assert repo.forecasts.insert(frame, created_utc=created) == InsertResult(skipped=4)
        expected = answers(repo, None)
        assert all(expected)
        assert [len(values) for values in expected[0].values()] == [25]
        assert answers(elsewhere, None) == expected
        assert answers(elsewhere, timedelta(0)) == expected


def test_the_users_query_runs_as_it_stands(repo, site, postgresql):
    repo.forecasts.insert(
        together(forecast_frame(site.site_uuid), forecast_frame(site.site_uuid, [8.0, 9.0], timestamp=NOON + HOUR))
    )
    rows = postgresql.execute(
        """
        SELECT
        DISTINCT ON (f.site_uuid, fv.start_utc)
            f.site_uuid,
            fv.forecast_power_kw,
            fv.start_utc
        FROM forecast_values AS fv
        JOIN forecasts AS f
          ON f.forecast_uuid = fv.forecast_uuid
        WHERE fv.start_utc >= %s
        ORDER BY
            f.site_uuid,
            fv.start_utc,
            f.timestamp_utc DESC
        """,
        [NOON + HOUR / 2],
    ).fetchall()
    assert [row[:2] for row in rows] == [(site.site_uuid, power) for power in (2.0, 8.0, 9.0)]
    values = repo.forecasts.latest_values([site.site_uuid], start_utc=NOON + HOUR / 2)[site.site_uuid]
    assert [(value.start_utc, value.forecast_power_kw) for value in values] == [(row[2], row[1]) for row in rows]


def test_the_latest_frame_has_the_same_columns_and_types_with_and_without_rows(repo, site):
    repo.forecasts.insert(forecast_frame(site.site_uuid))
    types = dict.fromkeys(FRAME, "datetime64[us, UTC]") | {
        "site_uuid": "object",
        "forecast_uuid": "object",
        "forecast_power_kw": "float32",
        "horizon_minutes": "int32",
        **dict.fromkeys(["forecast_version", "model_name", "model_version"], "category"),
    }
    for frame, rows in ((repo.forecasts.latest_frame(), 3), (repo.forecasts.latest_frame([]), 0)):
        assert len(frame) == rows
        assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == types
    assert {type(uuid) for uuid in repo.forecasts.latest_frame()["site_uuid"]} == {UUID}


def test_a_sum_by_what_there_is_not(repo):
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.latest_sums(by="region")
    assert caught.value.column == "by"


def test_in_a_transaction_its_own_forecasts_count(repo, site):
    repo.forecasts.insert(forecast_frame(site.site_uuid))
    with repo.transaction() as tx:
        tx.forecasts.insert(forecast_frame(site.site_uuid, [5.0], timestamp=NOON + MINUTE, lead=-1))
        inside = tx.forecasts.latest_values()[site.site_uuid]
        assert [value.forecast_power_kw for value in inside] == [5.0, 2.0, 3.0]
        outside = repo.forecasts.latest_values()[site.site_uuid]
        assert [value.forecast_power_kw for value in outside] == [1.0, 2.0, 3.0]
