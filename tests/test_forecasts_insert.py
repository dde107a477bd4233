"""What becomes of the forecasts that `forecasts.insert` is given: counts, table, models, partitions, many writers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import psycopg
import pytest
from concurrency import CALLERS, concurrently, held_up
from forecast_cases import HOUR, MINUTE, NOON, forecast_frame, partitions, stored, together

from pvsite_sql import Duplicate, InsertResult, InvalidInput, MissingReference, Repository

MODES = ("replace", "ignore", "error")
FLOAT32_MAX = float(np.finfo(np.float32).max)


def a_site(repo: Repository) -> UUID:
    return repo.sites.create().site_uuid


@pytest.fixture
def sites(repo):
    return [a_site(repo) for _ in range(3)]


def test_one_forecast_comes_back_whole(repo, site, dsn):
    frame = forecast_frame(site.site_uuid, lead=30, minutes=15)
    before = datetime.now(UTC)
    assert repo.forecasts.insert(frame) == InsertResult(inserted=1)
    ((key, row),) = stored(dsn).items()
    assert key == (site.site_uuid, NOON, None, None, "")
    assert before <= row.created_utc <= datetime.now(UTC)
    assert row[2:] == (NOON + 30 * MINUTE, 15, [1.0, 2.0, 3.0], None, None)
    forecast = repo.forecasts.get(row.forecast_uuid)
    assert (forecast.site_uuid, forecast.timestamp_utc, forecast.ml_model_uuid) == (site.site_uuid, NOON, None)
    assert (forecast.created_utc, forecast.end_utc) == (row.created_utc, NOON + 75 * MINUTE)
    values = repo.forecasts.values(str(row.forecast_uuid))
    assert [(value.start_utc, value.end_utc) for value in values] == list(
        zip(frame["start_utc"], frame["end_utc"], strict=True)
    )
    assert [(value.forecast_power_kw, value.horizon_minutes) for value in values] == [(1.0, 30), (2.0, 45), (3.0, 60)]


@pytest.mark.parametrize("mode", MODES)
def test_rows_of_many_forecasts_in_any_order(repo, sites, dsn, mode):
    one_by_one = [
        forecast_frame(
            site,
            [n + 0.5, None, n + 1.5, n + 2.5],
            timestamp=NOON + n * HOUR,
            lead=-30 * n,
            minutes=(5, 30, 60)[n % 3],
            forecast_version=f"v{n % 2}",
            model_name=f"model {n % 3}",
            model_version=str(n % 2),
            created_utc=NOON + n * MINUTE,
            p10=[float(n), float("nan"), 3.0],
        )
        for n in range(7)
        for site in sites
    ]
    with repo.transaction() as tx:
        for frame in one_by_one:
            assert tx.forecasts.insert(frame) == InsertResult(inserted=1)
    expected = {key: row[1:] for key, row in stored(dsn).items()}
    assert len(expected) == 21
    with psycopg.connect(dsn) as connection:
        connection.execute("DELETE FROM forecasts")
    shuffled = together(*one_by_one).sample(frac=1, random_state=len(mode))
    assert repo.forecasts.insert(shuffled, on_conflict=mode) == InsertResult(inserted=21)
    assert {key: row[1:] for key, row in stored(dsn).items()} == expected


KEYWORDS = {
    "site_uuid": None,
    "timestamp_utc": NOON,
    "forecast_version": "1.2",
    "model_name": "blend",
    "model_version": "7",
    "created_utc": NOON + MINUTE,
}


def test_what_all_rows_have_in_common_may_be_a_keyword(repo, dsn):
    for names in (*([name] for name in KEYWORDS), list(KEYWORDS)):
        site = a_site(repo)
        given = KEYWORDS | {"site_uuid": str(site)}
        keywords: dict[str, Any] = {name: given[name] for name in names}
        frame = forecast_frame(site).assign(**given)
        with pytest.raises(InvalidInput) as caught:
            repo.forecasts.insert(frame, **keywords)
        assert caught.value.column in names
        assert stored(dsn, site) == {}
        assert repo.forecasts.insert(frame.drop(columns=names), **keywords) == InsertResult(inserted=1)
        ((key, row),) = stored(dsn, site).items()
        assert key == (site, NOON, "blend", "7", "1.2")
        assert row.created_utc == NOON + MINUTE
        assert repo.forecasts.insert(frame) == InsertResult(skipped=1)


def test_a_slot_that_is_left_out_is_a_gap(repo, dsn):
    for powers, array in (
        ([None, 1.0, 2.0], [1.0, 2.0]),
        ([1.0, 2.0, None], [1.0, 2.0]),
        ([1.0, None, None, 2.0], [1.0, None, None, 2.0]),
        ([-1.0, None] * 40 + [0.0], [-1.0, None] * 40 + [0.0]),
    ):
        site = a_site(repo)
        repo.forecasts.insert(forecast_frame(site, powers).iloc[::-1])
        (row,) = stored(dsn, site).values()
        first = next(n for n, power in enumerate(powers) if power is not None)
        assert (row.start_utc, row.power_kw) == (NOON + first * HOUR / 2, array)
        assert repo.forecasts.get(row.forecast_uuid).power_kw == array
        values = repo.forecasts.values(row.forecast_uuid)
        assert [(value.start_utc, value.forecast_power_kw) for value in values] == [
            (NOON + n * HOUR / 2, power) for n, power in enumerate(powers) if power is not None
        ]
        assert repo.forecasts.latest_values([site])[site] == values


LEVELS = {"p90": [3.5, 4.5, 5.5], "p10": [0.1, float("nan"), 0.3], "p2.5": [0.0, 0.1, 0.2], "p50": [1.0, 2.0, 3.0]}


def as_dicts(levels: dict[str, list[float]]) -> list[dict[str, float]]:
    return [dict(zip(levels, row, strict=True)) for row in zip(*levels.values(), strict=True)]


PROBABILISTIC: list[tuple[dict[str, Any], list[str] | None, list[list[float | None]] | None]] = [
    (LEVELS, ["p2.5", "p10", "p50", "p90"], [[0.0, 0.1, 0.2], [0.1, None, 0.3], [1.0, 2.0, 3.0], [3.5, 4.5, 5.5]]),
    ({"p10": [float("nan")] * 3}, None, None),
    ({"p10": [None, None, 1]}, ["p10"], [[None, None, 1.0]]),
    ({"p10": pd.array([1, None, 3], "Int64"), "plain": 3, "level_0": 4, "step_10": 5}, ["p10"], [[1.0, None, 3.0]]),
    *(
        ({name: [3.0, 4.0, 5.0], "p90": 9}, ["p10", "p90"], [[3.0, 4.0, 5.0], [9.0] * 3])
        for name in ("P10", "p_10", "plevel_10", "plevel10", "PLevel_10", "forecast_power_kw_plevel_10")
    ),
    (
        {"forecast_power_kw_plevel_2.5": 1, "P2": 2, "plevel_090": 3},
        ["p2", "p2.5", "p090"],
        [[2.0] * 3, [1.0] * 3, [3.0] * 3],
    ),
    ({"probabilistic_values": [{"p90": 2}, None, {"p10": None, "p90": 1.5}]}, ["p90"], [[2.0, None, 1.5]]),
    ({"probabilistic_values": [{}, float("nan"), pd.NA]}, None, None),
    ({"probabilistic_values": [{}] * 3}, None, None),
    ({"probabilistic_values": ["{}", "null", None]}, None, None),
    ({"probabilistic_values": ['{"p90": 2}', None, '{"p10": null, "p90": 1.5}']}, ["p90"], [[2.0, None, 1.5]]),
    ({"probabilistic_values": [{"p90": 2}, "{}", ' {"p90": 3.0}\n']}, ["p90"], [[2.0, None, 3.0]]),
    ({"probabilistic_values": pd.Series(['{"p10": 1}'] * 3, dtype="category")}, ["p10"], [[1.0] * 3]),
    ({"probabilistic_values": [{"mean": 1.5}, {"p5": -2}, {}]}, ["p5", "mean"], [[None, -2, None], [1.5, None, None]]),
]


def test_probabilistic_values(repo, dsn):
    for columns, levels, lines in PROBABILISTIC:
        site = a_site(repo)
        repo.forecasts.insert(forecast_frame(site).assign(**columns))
        (row,) = stored(dsn, site).values()
        assert (row.levels, row.level_kw) == (levels, lines)
        forecast = repo.forecasts.get(row.forecast_uuid)
        assert (forecast.probabilistic_levels, forecast.probabilistic_kw) == (levels, lines)
        expected = [
            {level: line[n] for level, line in zip(levels or [], lines or [], strict=True) if line[n] is not None}
            for n in range(3)
        ]
        for values in (repo.forecasts.values(row.forecast_uuid), repo.forecasts.latest_values([site])[site]):
            assert [value.probabilistic_values for value in values] == [levels or None for levels in expected]


def test_a_name_that_may_mean_a_level_is_refused(repo, site):
    for name in (
        *("p10_kw", "p10kw", "P10 kW", "p10%", "p-10", "p 10", "q10", "Q_10", "q0.1", "quantile_0.1", "percentile_10"),
        *("power_kw_plevel_10", "site_p10", "plevel_10_kw", "probabilistic_values.p10", "forecast_power_kw_p10_kw"),
    ):
        with pytest.raises(InvalidInput, match="looks like a probabilistic level") as caught:
            repo.forecasts.insert(forecast_frame(site.site_uuid, p10=1.0).assign(**{name: 1.0}))
        assert caught.value.column == name
    assert repo.forecasts.latest_per_site() == {}


@pytest.mark.parametrize("names", [("p10", "P10"), ("plevel_90", "forecast_power_kw_plevel_90")])
def test_two_columns_of_one_level_are_refused(repo, site, names):
    with pytest.raises(InvalidInput, match=f"is the same level as the column {names[0]}") as caught:
        repo.forecasts.insert(forecast_frame(site.site_uuid, **dict.fromkeys(names, 1.0)))
    assert caught.value.column == names[1]


@pytest.mark.parametrize("name", ["P10", "plevel_10", "forecast_power_kw_plevel_10"])
def test_a_level_under_another_name_is_told_by_that_name(repo, site, name):
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.insert(forecast_frame(site.site_uuid, **{name: [1.0, float("inf"), 2.0]}))
    assert (caught.value.column, caught.value.rows) == (name, (1,))
    with pytest.raises(InvalidInput, match=f"must not be combined with the columns {name}"):
        repo.forecasts.insert(forecast_frame(site.site_uuid, **{name: 1.0}, probabilistic_values=[{}] * 3))


@pytest.mark.parametrize("text", ["", "p10", "[1]", "1", '"p10"', "{p10: 1}", "{'p10': 1}", '{"p10": 1} x'])
def test_a_text_that_is_no_json_object_is_refused(repo, site, text):
    with pytest.raises(InvalidInput, match="must be a dict of numbers, or its JSON text") as caught:
        repo.forecasts.insert(forecast_frame(site.site_uuid, probabilistic_values=["{}", text, None]))
    assert (caught.value.column, caught.value.rows) == ("probabilistic_values", (1,))


@pytest.mark.parametrize("number", ["Infinity", "1e400", "1e39"])
def test_a_number_in_json_that_cannot_be_stored_is_refused(repo, site, number):
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.insert(forecast_frame(site.site_uuid, probabilistic_values=["{}", f'{{"p10": {number}}}', None]))
    assert (caught.value.column, caught.value.rows) == ("probabilistic_values['p10']", (1,))


def test_location_uuid_is_the_site(repo, site):
    frame = forecast_frame(site.site_uuid)
    repo.forecasts.insert(frame)
    located = frame.rename(columns={"site_uuid": "location_uuid"})
    assert repo.forecasts.insert(located) == InsertResult(skipped=1)
    for bad, more in ((located.assign(site_uuid=site.site_uuid), {}), (located, {"site_uuid": site.site_uuid})):
        with pytest.raises(InvalidInput, match="both") as caught:
            repo.forecasts.insert(bad, **more)
        assert caught.value.column == "site_uuid"


def test_probabilistic_values_as_columns_and_as_dicts_are_the_same(repo, sites, dsn):
    frame = forecast_frame(sites[0], **LEVELS)
    repo.forecasts.insert(frame)
    dicts = forecast_frame(sites[0], probabilistic_values=as_dicts(LEVELS))
    assert repo.forecasts.insert(dicts) == InsertResult(skipped=1)
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.insert(dicts.assign(p10=1.0))
    assert caught.value.column == "probabilistic_values"
    assert len(stored(dsn)) == 1


def test_each_forecast_has_its_own_levels_and_gaps_in_them(repo, sites, dsn):
    frame = together(
        forecast_frame(sites[0], [1.0, None, 3.0], p10=[0.5, 2.5]),
        forecast_frame(sites[1], p90=[2.0, 3.0, 4.0]),
        forecast_frame(sites[2]),
    )
    repo.forecasts.insert(frame)
    rows = {key[0]: (row.levels, row.level_kw) for key, row in stored(dsn).items()}
    assert rows == {
        sites[0]: (["p10"], [[0.5, None, 2.5]]),
        sites[1]: (["p90"], [[2.0, 3.0, 4.0]]),
        sites[2]: (None, None),
    }


LATER = NOON + HOUR
CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "power": ({}, {"powers": [1.0, 2.0, 3.5]}),
    "one slot more": ({}, {"powers": [1.0, 2.0, 3.0, 4.0]}),
    "a gap": ({}, {"powers": [1.0, None, 3.0]}),
    "another gap": ({"powers": [1.0, None, 3.0, 4.0]}, {"powers": [1.0, 3.0, None, 4.0]}),
    "start": ({}, {"lead": 30}),
    "resolution": ({}, {"minutes": 15}),
    "a level": ({}, {"p10": 1.0}),
    "no level": ({"p10": 1.0}, {}),
    "name of a level": ({"p10": 1.0}, {"p11": 1.0}),
    "value of a level": ({"p10": 1.0}, {"p10": [1.0, 1.0, float("nan")]}),
    "created": ({"created_utc": NOON}, {"created_utc": NOON + MINUTE}),
    "created, given at last": ({}, {"created_utc": NOON}),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_changed_forecast(repo, dsn, mode):
    for first, second in CHANGES.values():
        site, other = a_site(repo), a_site(repo)
        repo.forecasts.insert(forecast_frame(site, **first))
        ((key, before),) = stored(dsn, site).items()
        frame = forecast_frame(site, **second)
        if mode == "error":
            with pytest.raises(Duplicate) as caught:
                repo.forecasts.insert(frame, on_conflict=mode)
            assert caught.value.constraint_name == "forecasts_key"
        elif mode == "ignore":
            assert repo.forecasts.insert(frame, on_conflict=mode) == InsertResult(skipped=1, differing=1)
        if mode != "replace":
            assert stored(dsn, site) == {key: before}
            continue
        assert repo.forecasts.insert(frame) == InsertResult(updated=1), second
        ((_, after),) = stored(dsn, site).items()
        repo.forecasts.insert(frame.assign(site_uuid=other))
        ((_, anew),) = stored(dsn, other).items()
        assert after.forecast_uuid == before.forecast_uuid
        assert after[2:] == anew[2:]
        assert after.created_utc == second.get("created_utc", after.created_utc)
        assert ("created_utc" in second) or after.created_utc > before.created_utc


@pytest.mark.parametrize("mode", MODES[:2])
def test_an_equal_forecast_is_skipped_and_stays_as_it_is(repo, sites, dsn, mode):
    options: list[dict[str, Any]] = [{}, {"p10": [1.0, float("nan"), 2.0], "created_utc": NOON, "model_name": "m"}]
    for site, columns in zip(sites, options, strict=False):
        frame = forecast_frame(site, [1.1, None, -0.0, 3.0], **columns)
        repo.forecasts.insert(frame)
        before = stored(dsn)
        for again in (frame, frame.drop(columns="created_utc", errors="ignore")):
            assert repo.forecasts.insert(again, on_conflict=mode) == InsertResult(skipped=1)
            assert stored(dsn) == before


@pytest.mark.parametrize(
    ("mode", "result", "changed"),
    [
        ("replace", InsertResult(inserted=2, updated=1, skipped=3), 1),
        ("ignore", InsertResult(inserted=2, skipped=4, differing=1), 0),
        ("error", None, 0),
    ],
)
def test_new_equal_and_changed_ones_in_one_call(repo, sites, dsn, mode, result, changed):
    first = [forecast_frame(site, timestamp=NOON + n * HOUR) for site in sites for n in range(2)]
    repo.forecasts.insert(together(*first[:4]))
    before = stored(dsn)
    frame = together(*first[:3], first[3].assign(forecast_power_kw=9.0), *first[4:]).sample(frac=1, random_state=1)
    if result is None:
        with pytest.raises(Duplicate) as caught:
            repo.forecasts.insert(frame, on_conflict=mode)
        assert caught.value.constraint_name == "forecasts_key"
        assert stored(dsn) == before
        return
    assert repo.forecasts.insert(frame, on_conflict=mode) == result
    after = stored(dsn)
    assert len(after) == 6
    assert sum(before[key] != after[key] for key in before) == changed
    assert {row.forecast_uuid for row in before.values()} <= {row.forecast_uuid for row in after.values()}
    assert sum(row.power_kw == [9.0] * 3 for row in after.values()) == changed


def test_what_makes_a_forecast_another_one(repo, sites, dsn):
    others: list[dict[str, Any]] = [
        {},
        {"model_name": "a"},
        {"model_name": "a", "model_version": "2"},
        {"model_name": "b"},
        {"forecast_version": "2"},
        {"model_name": "a", "forecast_version": "2"},
        {"timestamp": NOON + MINUTE},
    ]
    every = together(*(forecast_frame(sites[0], **options) for options in others), forecast_frame(sites[1]))
    assert repo.forecasts.insert(every) == InsertResult(inserted=8)
    before = stored(dsn)
    assert repo.forecasts.insert(every) == InsertResult(skipped=8)
    for options in others:
        frame = forecast_frame(sites[0], [5.0], **options)
        assert repo.forecasts.insert(frame) == InsertResult(updated=1)
        assert repo.forecasts.insert(frame) == InsertResult(skipped=1)
    after = stored(dsn)
    assert {key: row.forecast_uuid for key, row in after.items()} == {
        key: row.forecast_uuid for key, row in before.items()
    }
    assert [row.power_kw for row in after.values()].count([5.0]) == 7
    assert {key[2:] for key in after} == {
        (None, None, ""),
        ("a", "", ""),
        ("a", "2", ""),
        ("b", "", ""),
        (None, None, "2"),
        ("a", "", "2"),
    }
    assert [(model.name, model.version) for model in repo.ml_models.list()] == [("a", ""), ("a", "2"), ("b", "")]


def test_one_key_in_several_spellings_is_one_forecast(repo, dsn):
    for column, cells in {
        "site_uuid": None,
        "timestamp_utc": [NOON, NOON.astimezone(timezone(timedelta(hours=5))), NOON.replace(tzinfo=None)],
        "forecast_version": [None, "", float("nan")],
        "model_version": [None, "", pd.NA],
    }.items():
        site = a_site(repo)
        spellings = cells or [str(site), str(site).upper(), site]
        frame = forecast_frame(site, model_name="m").assign(**{column: pd.Series(spellings, dtype=object)})
        assert repo.forecasts.insert(frame) == InsertResult(inserted=1), column
        assert stored(dsn)[site, NOON, "m", "", ""].power_kw == [1.0, 2.0, 3.0]


def test_created_utc_may_be_given(repo, site, dsn):
    created = datetime(2020, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))
    repo.forecasts.insert(forecast_frame(site.site_uuid, created_utc=created, forecast_version="column"))
    repo.forecasts.insert(forecast_frame(site.site_uuid), created_utc=created.replace(tzinfo=None) - 3 * HOUR)
    beside_stored = [forecast_frame(site.site_uuid, forecast_version=version) for version in ("", "new")]
    assert repo.forecasts.insert(together(*beside_stored), created_utc=created) == InsertResult(inserted=1, skipped=1)
    assert [row.created_utc for row in stored(dsn).values()] == [datetime(2020, 1, 1, tzinfo=UTC)] * 3


def test_values_may_lie_before_the_timestamp(repo, site, dsn):
    repo.forecasts.insert(forecast_frame(site.site_uuid, lead=-45).assign(horizon_minutes=[-45.0, -15.0, 15.4]))
    (row,) = stored(dsn).values()
    values = repo.forecasts.values(row.forecast_uuid)
    assert [value.horizon_minutes for value in values] == [-45, -15, 15]


def test_a_horizon_is_whole_minutes_rounded_down_wherever_it_is_asked(repo):
    for seconds in range(-150, 151, 30):
        site = a_site(repo)
        frame = forecast_frame(site, [1.0], timestamp=NOON - timedelta(seconds=seconds))
        repo.forecasts.insert(frame.assign(start_utc=NOON, end_utc=NOON + HOUR))
        repo.generation.insert(
            pd.DataFrame({"site_uuid": [site], "start_utc": [NOON], "power_kw": [1.0]}), interval=HOUR
        )
        (value,) = repo.forecasts.latest_values([site])[site]
        minutes = seconds // 60
        assert value.horizon_minutes == minutes
        assert repo.forecasts.values(value.forecast_uuid) == [value]
        assert repo.forecasts.latest_values([site], min_horizon_minutes=minutes)[site] == [value]
        assert repo.forecasts.latest_values([site], min_horizon_minutes=minutes + 1)[site] == []
        assert repo.forecasts.latest_frame([site])["horizon_minutes"].tolist() == [minutes]
        assert repo.forecasts.error_by_horizon([site])["horizon_minutes"].tolist() == [minutes]


def test_partitions_are_made_by_the_month_of_the_timestamp(repo, site, dsn):
    before = partitions(dsn)
    frame = together(
        forecast_frame(site.site_uuid, timestamp=datetime(2031, 1, 31, 23, 59, tzinfo=UTC), lead=1),
        forecast_frame(site.site_uuid, timestamp=datetime(1999, 3, 1, tzinfo=UTC), lead=-60),
        forecast_frame(site.site_uuid, timestamp=datetime(2099, 12, 31, 22, tzinfo=UTC)),
    )
    assert repo.forecasts.insert(frame) == InsertResult(inserted=3)
    assert partitions(dsn) - before == {"forecasts_p2031_01", "forecasts_p1999_03", "forecasts_p2099_12"}
    assert [forecast.start_utc for forecast in repo.forecasts.latest_values()[site.site_uuid]][:4] == [
        datetime(1999, 2, 28, 23, tzinfo=UTC),
        datetime(1999, 2, 28, 23, 30, tzinfo=UTC),
        datetime(1999, 3, 1, tzinfo=UTC),
        datetime(2031, 2, 1, tzinfo=UTC),
    ]


def test_a_model_that_is_known_is_used(repo, site, dsn):
    known = repo.ml_models.get_or_create("blend", version="3", description="of many")
    repo.forecasts.insert(forecast_frame(site.site_uuid), model_name="blend", model_version="3")
    repo.forecasts.insert(forecast_frame(site.site_uuid), model_name="blend")
    models = {model.version: model for model in repo.ml_models.list()}
    assert models["3"] == known
    assert models[""].description == "of many"  # of the version before
    assert set(stored(dsn)) == {(site.site_uuid, NOON, "blend", version, "") for version in ("", "3")}
    forecasts = [repo.forecasts.get(row.forecast_uuid) for row in stored(dsn).values()]
    assert {forecast.ml_model_uuid for forecast in forecasts} == {model.ml_model_uuid for model in models.values()}


def test_many_callers_name_the_same_new_models(repo, sites, dsn):
    def insert(n: int) -> InsertResult:
        frames = [forecast_frame(site, timestamp=NOON + n * HOUR) for site in sites]
        names = ["x", "y", "z"] if n % 2 else ["z", "y", "x"]
        frames = [frame.assign(model_name=name, model_version="1") for frame, name in zip(frames, names, strict=True)]
        return repo.forecasts.insert(together(*frames))

    assert concurrently(*(lambda n=n: insert(n) for n in range(CALLERS))) == [InsertResult(inserted=3)] * CALLERS
    assert [(model.name, model.version) for model in repo.ml_models.list()] == [("x", "1"), ("y", "1"), ("z", "1")]
    assert len(stored(dsn)) == 3 * CALLERS


def marked(sites: list[UUID], mark: int, *, hours: range) -> pd.DataFrame:
    """Forecasts that tell in every column by whom they are."""
    frames = [
        forecast_frame(
            site, [float(mark)] * (mark + 1), timestamp=NOON + n * HOUR, lead=mark, minutes=mark, p10=mark, **model
        )
        for n in hours
        for site in sites
        for model in ({}, {"model_name": "m"})
    ]
    return together(*frames)


def of_marks(dsn: str) -> set[int]:
    """By whom the stored forecasts are, each of which is whole."""
    marks = set()
    for key, row in stored(dsn).items():
        mark = row.resolution_minutes
        marks.add(mark)
        assert row[2:] == (key[1] + mark * MINUTE, mark, [mark] * (mark + 1), ["p10"], [[mark] * (mark + 1)])
    return marks


@pytest.mark.parametrize("mode", MODES[:2])
def test_two_writers_of_the_same_forecasts_in_opposite_order(repo, sites, dsn, mode):
    count = 2 * 3 * 4
    for day in range(9):
        hours = range(24 * day, 24 * day + 4)
        for again in (0, 2):
            frames = [marked(sites, 1 + again, hours=hours), marked(sites, 2 + again, hours=hours)[::-1]]
            if day % 3 == 2:  # one finds a stored forecast, so that it takes another way than the other one
                frames[0] = together(marked(sites[:1], 1, hours=range(-1, 0)), frames[0])
            calls = [lambda frame=frame: repo.forecasts.insert(frame, on_conflict=mode) for frame in frames]
            results = concurrently(*calls)
            inserted, updated, skipped = (
                sum(getattr(result, field) for result in results) for field in ("inserted", "updated", "skipped")
            )
            extra = 2 if day % 3 == 2 else 0
            assert inserted + updated + skipped == 2 * count + extra
            assert inserted - (2 if day == 2 and not again else 0) == (0 if again else count)
            assert updated == (0 if mode == "ignore" else 2 * count if again else count)
    assert of_marks(dsn) <= {1, 2} if mode == "ignore" else {1, 3, 4}
    assert len(stored(dsn)) == 9 * count + 2


# what the server orders by itself in another way than Python does: NULL, and in most locales letters
PAIRS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {"model_name": "m"}),
    ({"forecast_version": "B"}, {"forecast_version": "a"}),
]

ANOTHER = """
    INSERT INTO forecasts (site_uuid, timestamp_utc, start_utc, forecast_version, resolution_minutes, power_kw)
    VALUES (%(site)s, %(at)s, %(at)s, %(version)s, 5, '{1}')
"""


def test_writers_that_copy_and_writers_that_stage_lock_in_one_order(repo, postgresql, site):
    taken = forecast_frame(site.site_uuid, timestamp=NOON - HOUR, model_name="m")
    repo.forecasts.insert(taken)
    for n in range(8):
        at = NOON + n * HOUR
        pair = [forecast_frame(site.site_uuid, timestamp=at, **options) for options in PAIRS[n % 2]]
        postgresql.execute(
            ANOTHER,
            {"site": site.site_uuid, "at": at, "version": PAIRS[n % 2][0].get("forecast_version", "")},
        )
        outcomes = held_up(
            postgresql,
            postgresql.rollback,
            lambda pair=pair: repo.forecasts.insert(together(*pair)),
            lambda pair=pair: repo.forecasts.insert(together(taken, *pair)),
        )
        assert [type(outcome) for outcome in outcomes] == [InsertResult] * 2, outcomes
        assert sum(outcome.inserted for outcome in outcomes) == 2


def test_a_transaction_takes_several_inserts(repo, sites, dsn):
    frames = [forecast_frame(site, model_name="m") for site in sites]
    with repo.transaction() as tx:
        assert tx.forecasts.insert(together(*frames[:2])) == InsertResult(inserted=2)
        assert tx.forecasts.insert(together(*frames)) == InsertResult(inserted=1, skipped=2)
        changed = frames[0].assign(forecast_power_kw=7.0)
        assert tx.forecasts.insert(together(changed, *frames[1:])) == InsertResult(updated=1, skipped=2)
        with pytest.raises(MissingReference):
            tx.forecasts.insert(forecast_frame(UUID(int=7)))
        with pytest.raises(Duplicate):
            tx.forecasts.insert(together(changed, forecast_frame(sites[1])), on_conflict="error")
        with pytest.raises(InvalidInput):
            tx.forecasts.insert(changed.assign(forecast_power_kw=float("nan")))
        assert tx.forecasts.insert(changed, on_conflict="ignore") == InsertResult(skipped=1)
        assert stored(dsn) == {}
    assert [row.power_kw[0] for _, row in sorted(stored(dsn).items())] == [
        7.0 if site == sites[0] else 1.0 for site in sorted(sites)
    ]


@pytest.mark.parametrize("in_transaction", [False, True])
def test_frames_of_an_iterable_are_one_transaction(repo, sites, dsn, in_transaction):
    assert repo.forecasts.insert(forecast_frame(sites[0], [9.0])) == InsertResult(inserted=1)
    frames = [
        forecast_frame(sites[0], [1.0, 2.0]),  # replaced
        forecast_frame(sites[1]).iloc[:0],
        forecast_frame(sites[1], timestamp=NOON + timedelta(days=40)),  # another month
        together(forecast_frame(sites[2]), forecast_frame(sites[0], [1.0, 2.0])),  # the second one is stored by then
    ]
    with repo.transaction() as tx:
        calls = tx if in_transaction else repo
        result = calls.forecasts.insert((frame for frame in frames), model_name=None, forecast_version=None)
    assert result == InsertResult(inserted=2, updated=1, skipped=1)
    assert [row.power_kw for row in stored(dsn, sites[0]).values()] == [[1.0, 2.0]]
    assert {key[:2] for key in stored(dsn)} == {
        (sites[0], NOON),
        (sites[1], NOON + timedelta(days=40)),
        (sites[2], NOON),
    }
    assert repo.forecasts.insert(frame for frame in ()) == repo.forecasts.insert([]) == InsertResult()


def test_a_frame_of_an_iterable_that_cannot_be_stored(repo, sites, dsn):
    good = forecast_frame(sites[0])
    for bad, error, text in (
        (forecast_frame(sites[1], [1.0, np.inf]), InvalidInput, "frame 1, forecast_power_kw, row 1: must be finite"),
        ("a", InvalidInput, "frame 1: must be a frame as the ones before, got str"),
        (forecast_frame(UUID(int=7)), MissingReference, "00000000-0000-0000-0000-000000000007"),
    ):
        with pytest.raises(error, match=text):
            repo.forecasts.insert(iter([good, bad]))
    with pytest.raises(Duplicate):
        repo.forecasts.insert([good, good], on_conflict="error")
    assert stored(dsn) == {}


def test_a_transaction_that_fails_takes_its_forecasts_with_it(repo, site, dsn):
    before = partitions(dsn)
    frame = forecast_frame(site.site_uuid, timestamp=datetime(2032, 2, 1, tzinfo=UTC), model_name="new")

    def fail() -> None:
        with repo.transaction() as tx:
            tx.forecasts.insert(frame)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (stored(dsn), partitions(dsn), repo.ml_models.list()) == ({}, before, [])
    assert repo.forecasts.insert(frame) == InsertResult(inserted=1)


REALS = [
    1.1,
    0.1,
    -0.3,
    1 / 3,
    1234567.0,
    0.001234567,
    16777216.0,
    FLOAT32_MAX,
    -FLOAT32_MAX,
    1e-45,
    1.17549435e-38,
    0.0,
]


def test_powers_read_back_as_they_were_written_to_seven_digits(repo, site, dsn):
    frame = forecast_frame(site.site_uuid, REALS, p50=REALS)
    for mode in MODES[:2]:  # straight, and by way of the staging table
        repo.forecasts.insert(together(frame, frame.assign(forecast_version=mode)), on_conflict=mode)
    rows = stored(dsn).values()
    assert len(rows) == 3
    for row in rows:
        forecast = repo.forecasts.get(row.forecast_uuid)
        values = repo.forecasts.values(row.forecast_uuid)
        latest = repo.forecasts.latest_values()[site.site_uuid]
        assert forecast.probabilistic_kw == [forecast.power_kw]
        for read in (forecast.power_kw, *([value.forecast_power_kw for value in found] for found in (values, latest))):
            assert read[:2] == [1.1, 0.1]
            assert [f"{x:.7g}" for x in read[:7]] == [f"{x:.7g}" for x in REALS[:7]]
            assert np.array(read, np.float32).tobytes() == np.array(REALS, np.float32).tobytes()
        levels = [value.probabilistic_values["p50"] for value in values]
        assert np.array(levels, np.float32).tobytes() == np.array(REALS, np.float32).tobytes()
    powers = repo.forecasts.latest_frame()["forecast_power_kw"]
    assert powers.to_numpy().tobytes() == np.array(REALS, np.float32).tobytes()


def as_type(frame: pd.DataFrame, **types: str) -> pd.DataFrame:
    return frame.astype(types)


DTYPES: dict[str, Any] = {
    "strings": lambda f: as_type(f, site_uuid="string"),
    "categories": lambda f: f.assign(site_uuid=f["site_uuid"].astype(str).astype("category")),
    "naive times": lambda f: f.assign(
        **{c: f[c].dt.tz_localize(None) for c in ("timestamp_utc", "start_utc", "end_utc")}
    ),
    "times of a zone": lambda f: f.assign(start_utc=f["start_utc"].dt.tz_convert("America/Denver")),
    "nanoseconds": lambda f: as_type(f, start_utc="datetime64[ns, UTC]", timestamp_utc="datetime64[s, UTC]"),
    "datetimes": lambda f: f.assign(start_utc=pd.Series([t.to_pydatetime() for t in f["start_utc"]], dtype=object)),
    "arrow": lambda f: as_type(f, end_utc="timestamp[ns, tz=UTC][pyarrow]", forecast_power_kw="double[pyarrow]"),
    "float32": lambda f: as_type(f, forecast_power_kw="float32", p10="Float32"),
    "integers": lambda f: as_type(f, forecast_power_kw="int64", p10="Int64"),
    "objects": lambda f: as_type(f, forecast_power_kw="object"),
    "horizons": lambda f: f.assign(horizon_minutes=pd.array([0, 30, None], "Int64")),
    "texts": lambda f: as_type(f, forecast_version="category", model_name="string"),
    "other index": lambda f: f.set_axis([5, 5, 5]),
    "other columns": lambda f: f.assign(forecast_uuid="what was read", target=1),
}


def test_frames_of_many_types_and_none_is_changed(repo, site):
    plain = forecast_frame(site.site_uuid, p10=[1.0, 2.0, float("nan")], forecast_version="1", model_name="m")
    repo.forecasts.insert(plain)
    for convert in DTYPES.values():
        frame = convert(plain)
        copy = frame.copy(deep=True)
        assert repo.forecasts.insert(frame) == InsertResult(skipped=1)
        pd.testing.assert_frame_equal(frame, copy)


@pytest.mark.parametrize("mode", MODES)
def test_forecasts_of_unknown_sites(repo, site, dsn, mode):
    known = forecast_frame(site.site_uuid, model_name="m")
    repo.forecasts.insert(known)
    before = stored(dsn)
    unknown = [UUID(int=n) for n in (1, 2)]
    frame = together(*(forecast_frame(uuid) for uuid in unknown))
    for given in (frame, together(known.assign(forecast_power_kw=4.0, model_name="n"), frame)):
        with pytest.raises(MissingReference) as caught:
            repo.forecasts.insert(given, on_conflict=mode)
        assert caught.value.constraint_name == "forecasts_site_uuid_fkey"
        assert all(str(uuid) in str(caught.value) for uuid in unknown)
    assert stored(dsn) == before
    assert len(repo.ml_models.list()) == 1


def test_what_latest_frame_gives_can_be_inserted(repo, sites, dsn):
    repo.forecasts.insert(together(*(forecast_frame(site) for site in sites)))
    read = repo.forecasts.latest_frame()
    before = stored(dsn)
    assert repo.forecasts.insert(read) == InsertResult(skipped=3)
    assert stored(dsn) == before


def test_a_pool_of_one_connection_is_enough(dsn, site):
    with Repository(dsn, min_size=1, max_size=1, timeout=5) as repo:
        frame = forecast_frame(site.site_uuid, timestamp=datetime(2034, 1, 1, tzinfo=UTC), model_name="m")
        assert repo.forecasts.insert(frame) == InsertResult(inserted=1)
        assert repo.forecasts.insert(frame) == InsertResult(skipped=1)
