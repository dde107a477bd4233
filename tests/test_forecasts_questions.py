"""What else is asked of forecasts, against answers worked out in Python: whole ones, day-ahead, horizons and errors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pytest
from forecast_cases import HOUR, MINUTE, NOON, forecast_frame, stored, together
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pvsite_sql import ForecastValue, InvalidInput, NotFound

NAN = float("nan")
DAY = timedelta(days=1)
FIELDS = list(ForecastValue.model_fields)


def random_cases(examples: int) -> Any:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.fixture
def sites(repo):
    return [repo.sites.create(capacity_kw=capacity).site_uuid for capacity in (4.0, 10.0, None)]


def every_value(connection: psycopg.Connection) -> list[tuple[UUID, ForecastValue]]:
    """All values of all forecasts, each with its site."""
    columns = ", ".join("f.timestamp_utc" if name == "timestamp_utc" else f"v.{name}" for name in FIELDS)
    rows = connection.execute(
        f"SELECT v.site_uuid, {columns} "
        "FROM forecast_values AS v JOIN forecasts AS f ON f.forecast_uuid = v.forecast_uuid"
    )
    return [(row[0], ForecastValue(**dict(zip(FIELDS, row[1:], strict=True)))) for row in rows]


def powers(values: Iterable[ForecastValue]) -> list[float]:
    return [value.forecast_power_kw for value in values]


# dicts by site


DICTS: dict[str, dict[str, Any]] = {
    "latest_values": {},
    "day_ahead_values": {"hour": 24, "timezone": "UTC"},
    "values_at_horizon": {"horizon_minutes": 1440},
}


def test_dicts_have_each_site_that_was_asked_for_in_that_order(repo, sites, site):
    created = NOON - DAY
    for n, uuid in enumerate(sites):
        for timestamp, power in ((NOON, n + 1.0), (NOON + HOUR / 2, 5.0)):
            frame = forecast_frame(uuid, [power], timestamp=timestamp, lead=1440)
            repo.forecasts.insert(frame, created_utc=created)
    unknown = uuid4()
    everyone = sorted([*sites, site.site_uuid])
    for name, options in DICTS.items():
        ask = getattr(repo.forecasts, name)
        found = ask([str(sites[2]), unknown, sites[0], str(sites[2]).upper(), site.site_uuid], **options)
        assert list(found) == [sites[2], unknown, sites[0], site.site_uuid]
        assert [len(found[uuid]) for uuid in found] == [2, 0, 2, 0]
        assert ask(**options) == {uuid: ask([uuid], **options)[uuid] for uuid in everyone}
        assert list(ask(**options)) == everyone
        assert ask([], **options) == {}
        assert ask(iter(sites), **options) == {uuid: ask(**options)[uuid] for uuid in sites}
        start = NOON + DAY
        for bounds, expected in (
            ((None, None), [1.0, 5.0]),
            ((start, start + 31 * MINUTE), [1.0, 5.0]),
            ((start + timedelta(microseconds=1), None), [5.0]),
            ((None, start + HOUR / 2), [1.0]),
            ((start, start), []),
            ((start + HOUR, start), []),
        ):
            for told in (
                bounds,
                [bound and bound.replace(tzinfo=None) for bound in bounds],
                [bound and bound.astimezone(ZoneInfo("America/Denver")) for bound in bounds],
            ):
                found = ask([sites[0]], start_utc=told[0], end_utc=told[1], **options)
                assert powers(found[sites[0]]) == expected
        for wrong in ([1], ["x"], str(sites[0]), sites[0]):
            with pytest.raises(InvalidInput) as caught:
                ask(wrong, **options)
            assert caught.value.column == "site_uuids"
        with pytest.raises(InvalidInput) as caught:
            ask(sites, start_utc="2024-06-01", **options)
        assert caught.value.column == "start_utc"


def test_a_model_is_named_without_its_version_and_an_unknown_one_made_nothing(repo, site):
    options: list[dict[str, str]] = [
        {},
        {"model_name": "a"},
        {"model_name": "a", "model_version": "2"},
        {"model_name": "b"},
    ]
    for n, model in enumerate(options):
        frame = forecast_frame(site.site_uuid, [float(n)], lead=1440)
        repo.forecasts.insert(frame, created_utc=NOON - DAY + n * MINUTE, **model)
    for name, more in DICTS.items():
        ask = getattr(repo.forecasts, name)
        for model_name, expected in ((None, [3.0]), ("a", [2.0]), ("b", [3.0]), ("c", [])):
            assert powers(ask([site.site_uuid], model_name=model_name, **more)[site.site_uuid]) == expected
        with pytest.raises(InvalidInput) as caught:
            ask(model_name="", **more)
        assert caught.value.column == "model_name"


# get, values, latest_per_site


def test_forecasts_that_there_are_not(repo):
    for name in ("get", "values"):
        ask = getattr(repo.forecasts, name)
        with pytest.raises(NotFound):
            ask(uuid4())
        with pytest.raises(InvalidInput) as caught:
            ask("latest")
        assert caught.value.column == "forecast_uuid"


@pytest.mark.parametrize("name", ["get", "values"])
def test_a_forecast_is_found_by_its_exact_timestamp_too(repo, site, dsn, name):
    ask = getattr(repo.forecasts, name)
    repo.forecasts.insert(forecast_frame(site.site_uuid, [1.0, None, 3.0], timestamp=NOON, p10=[0.5, 1.5]))
    (row,) = stored(dsn).values()
    found = ask(row.forecast_uuid)
    assert ask(str(row.forecast_uuid), timestamp_utc=NOON) == found
    assert ask(row.forecast_uuid, timestamp_utc=NOON.replace(tzinfo=None)) == found
    assert ask(row.forecast_uuid, timestamp_utc=NOON.astimezone(ZoneInfo("Asia/Tokyo"))) == found
    for wrong in (NOON + MINUTE, NOON - timedelta(days=400)):
        with pytest.raises(NotFound) as missed:
            ask(row.forecast_uuid, timestamp_utc=wrong)
        assert f"no forecast {row.forecast_uuid} with the timestamp {wrong}" in str(missed.value)
    with pytest.raises(InvalidInput) as caught:
        ask(row.forecast_uuid, timestamp_utc="noon")
    assert caught.value.column == "timestamp_utc"


def test_latest_per_site_is_the_newest_whole(repo, sites, site, dsn):
    times = [NOON + n * HOUR for n in (0, 2, 1)]
    for n, (uuid, timestamp) in enumerate((uuid, timestamp) for uuid in sites[:2] for timestamp in times):
        frame = forecast_frame(uuid, [1.0, None, float(n)], timestamp=timestamp, p10=[NAN, 1.5])
        repo.forecasts.insert(frame, model_name="m")
    long_ago = forecast_frame(sites[2], [1.0] * 48, timestamp=datetime(2001, 1, 1, tzinfo=UTC))
    repo.forecasts.insert(long_ago)
    found = repo.forecasts.latest_per_site([*map(str, sites), site.site_uuid, uuid4()])
    assert set(found) == set(sites)
    assert repo.forecasts.latest_per_site() == found
    assert repo.forecasts.latest_per_site([]) == {}
    for uuid in sites[:2]:
        expected = stored(dsn)[uuid, NOON + 2 * HOUR, "m", "", ""]
        assert found[uuid] == repo.forecasts.get(expected.forecast_uuid)
        assert (found[uuid].power_kw, found[uuid].probabilistic_kw) == (expected.power_kw, [[None, None, 1.5]])
    assert found[sites[2]].power_kw == [1.0] * 48


def test_ties_of_the_newest_go_to_the_last_made_then_to_the_greater_uuid(repo, site, dsn):
    for n, version in enumerate("abc"):
        repo.forecasts.insert(
            forecast_frame(site.site_uuid), forecast_version=version, created_utc=NOON + (n == 1) * HOUR
        )
    assert repo.forecasts.latest_per_site()[site.site_uuid].forecast_version == "b"
    for version in "defghijk":
        repo.forecasts.insert(forecast_frame(site.site_uuid), forecast_version=version, created_utc=NOON + HOUR)
    tied = [row.forecast_uuid for row in stored(dsn).values() if row.created_utc > NOON]
    assert len(tied) == 9
    assert repo.forecasts.latest_per_site()[site.site_uuid].forecast_uuid == max(tied)


# day-ahead


ZONES = {
    "Europe/London": [date(2024, 3, 31), date(2024, 10, 27), date(2024, 6, 1)],
    "America/Denver": [date(2024, 3, 10), date(2024, 11, 3)],
    "Atlantic/Azores": [date(2024, 3, 31), date(2024, 10, 27)],  # at midnight
    "Africa/Cairo": [date(2024, 4, 26), date(2024, 11, 1)],  # at midnight
    "Asia/Kathmandu": [date(2024, 3, 31)],
}
MIDNIGHT_TWICE = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)  # half past, the first time


def struck(day: date, hour: int, zone: ZoneInfo) -> datetime:
    """When a local clock strikes: of an hour that it shows twice the second one, one that it skips an hour later."""
    naive = datetime.combine(day, time()) + hour * HOUR
    return max(naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def day_ahead(
    values: Iterable[tuple[UUID, ForecastValue]], hour: int, zone: ZoneInfo
) -> dict[UUID, list[ForecastValue]]:
    best: dict[tuple[UUID, datetime], ForecastValue] = {}
    for site, value in values:
        day_before = value.start_utc.astimezone(zone).date() - DAY
        made_on = value.created_utc.astimezone(zone).date()  # at 24 o'clock the day is over, the first time too
        known = made_on <= day_before and value.created_utc < struck(day_before, hour, zone)
        key = (site, value.start_utc)
        if known and (key not in best or rank(value) > rank(best[key])):
            best[key] = value
    found: dict[UUID, list[ForecastValue]] = {}
    for (site, _), value in sorted(best.items()):
        found.setdefault(site, []).append(value)
    return found


def rank(value: ForecastValue) -> tuple[Any, ...]:
    return (value.timestamp_utc, value.created_utc, value.forecast_uuid)


@st.composite
def days_ahead(draw: st.DrawFn) -> tuple[str, int, list[tuple[int, int, int, datetime, datetime]]]:
    """A zone, an hour, and forecasts: site, resolution, slots, created about when a clock strikes, first start."""
    name = draw(st.sampled_from(sorted(ZONES)))
    zone, day, hour = ZoneInfo(name), draw(st.sampled_from(ZONES[name])), draw(st.integers(0, 24))
    made = []
    for _ in range(draw(st.integers(1, 5))):
        about = struck(day + DAY * draw(st.integers(-3, 1)), draw(st.just(hour) | st.integers(0, 24)), zone)
        created = about + draw(st.sampled_from([-HOUR, -timedelta(microseconds=1), 0 * HOUR, 30 * MINUTE]))
        midnight = struck(day + DAY * draw(st.integers(-1, 1)), 0, zone)
        start = midnight + draw(st.integers(-8, 8)) * 15 * MINUTE
        made.append(
            (draw(st.integers(0, 1)), draw(st.sampled_from([15, 30, 60])), draw(st.integers(1, 60)), created, start)
        )
    return name, hour, made


@random_cases(200)
@given(case=days_ahead())
@example(("Atlantic/Azores", 24, [(0, 30, 60, MIDNIGHT_TWICE, MIDNIGHT_TWICE)]))
def test_day_ahead_values_are_those_of_forecasts_made_before_the_hour_of_the_day_before(repo, sites, postgresql, case):
    name, hour, made = case
    postgresql.autocommit = True
    postgresql.execute("DELETE FROM forecasts")
    frames = [
        forecast_frame(sites[site], [n + slot / 100 for slot in range(slots)], minutes=resolution).assign(
            start_utc=lambda frame, start=start: frame["start_utc"] + (start - NOON),
            end_utc=lambda frame, start=start: frame["end_utc"] + (start - NOON),
            timestamp_utc=NOON - (n % 3) * DAY,  # in another order than they are made in
            created_utc=created,
            forecast_version=str(n),
        )
        for n, (site, resolution, slots, created, start) in enumerate(made)
    ]
    repo.forecasts.insert(together(*frames))
    expected = day_ahead(every_value(postgresql), hour, ZoneInfo(name))
    found = repo.forecasts.day_ahead_values(sites, hour=hour, timezone=name)
    assert found == {site: expected.get(site, []) for site in sites}
    start, end = made[0][4] + 90 * MINUTE, made[0][4] + 10 * HOUR
    within = repo.forecasts.day_ahead_values(sites, start_utc=start, end_utc=end, hour=hour, timezone=ZoneInfo(name))
    assert within == {site: [v for v in values if start <= v.start_utc < end] for site, values in found.items()}


def test_the_hour_of_the_day_before(repo, site):
    zone = ZoneInfo("Europe/London")
    for n in range(-1, 26):  # of the day before the clock goes forward, and an hour more on each side
        created = datetime(2024, 3, 30, tzinfo=zone) + n * HOUR
        frame = forecast_frame(site.site_uuid, [float(n)] * 46, timestamp=datetime(2024, 3, 31, tzinfo=UTC))
        repo.forecasts.insert(frame, created_utc=created, forecast_version=str(n))
    for hour in range(25):
        values = repo.forecasts.day_ahead_values(hour=hour, timezone="Europe/London")[site.site_uuid]
        assert powers(values) == [hour - 1.0] * 46


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"hour": -1}, "hour"),
        ({"hour": 25}, "hour"),
        ({"hour": 1.5}, "hour"),
        ({"timezone": "Europe/Camelot"}, "timezone"),
        ({"timezone": "a\x00"}, "timezone"),
    ],
)
def test_hours_and_time_zones_that_there_are_not(repo, site, wrong, column):
    repo.forecasts.insert(forecast_frame(site.site_uuid))
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.day_ahead_values(**({"hour": 9, "timezone": "UTC"} | wrong))
    assert caught.value.column == column
    with repo.transaction() as tx:
        with pytest.raises(InvalidInput):
            tx.forecasts.day_ahead_values(**({"hour": 9, "timezone": "UTC"} | wrong))
        assert len(tx.forecasts.latest_values()) == 1


# at a horizon


@random_cases(120)
@given(
    made=st.lists(
        st.tuples(
            st.integers(0, 1),  # site
            st.sampled_from([0, 15, 30, 60, 60.5]),  # timestamp
            st.integers(0, 2),  # version
            st.integers(0, 1),  # created
            st.integers(-4, 4).map(lambda n: 15 * n),  # first start, after the timestamp
            st.sampled_from([5, 15, 30, 60]),
            st.lists(st.booleans(), min_size=1, max_size=9),  # which slots after the first have a value
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda made: made[:3],
    ),
    horizon=st.integers(-5, 12).map(lambda n: 15 * n) | st.integers(-20, 40) | st.sampled_from([-(2**31), 2**31 - 1]),
    bounds=st.tuples(st.none() | st.integers(-90, 90), st.none() | st.integers(0, 200)),
)
def test_values_at_a_horizon_are_exactly_those(repo, sites, postgresql, made, horizon, bounds):
    postgresql.autocommit = True
    postgresql.execute("DELETE FROM forecasts")
    start, end = (None if bound is None else NOON + bound * MINUTE for bound in bounds)
    best: dict[tuple[UUID, datetime], ForecastValue] = {}
    frames = [
        forecast_frame(
            sites[site],
            [n + 1.0, *(n + slot / 100 if there else None for slot, there in enumerate(slots))],
            timestamp=NOON + timestamp * MINUTE,
            lead=lead,
            minutes=resolution,
            p50=n,
            created_utc=NOON + created * HOUR,
            forecast_version=str(version),
        )
        for n, (site, timestamp, version, created, lead, resolution, slots) in enumerate(made)
    ]
    repo.forecasts.insert(together(*frames))
    for uuid, value in every_value(postgresql):
        exact = value.start_utc - value.timestamp_utc == timedelta(minutes=horizon)
        inside = (start is None or value.start_utc >= start) and (end is None or value.start_utc < end)
        key = (uuid, value.start_utc)
        if exact and inside and (key not in best or rank(value) > rank(best[key])):
            best[key] = value
    found = repo.forecasts.values_at_horizon(sites, start_utc=start, end_utc=end, horizon_minutes=horizon)
    assert found == {site: [best[key] for key in sorted(best) if key[0] == site] for site in sites}


@pytest.mark.parametrize("wrong", [1.5, "30", None, True, 2**31])
def test_horizons_that_there_are_not(repo, wrong):
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.values_at_horizon(horizon_minutes=wrong)
    assert caught.value.column == "horizon_minutes"
    if wrong is not None:
        with pytest.raises(InvalidInput) as caught:
            repo.forecasts.latest_values(min_horizon_minutes=wrong)
        assert caught.value.column == "min_horizon_minutes"


# the error by horizon


ERRORS = {
    "horizon_minutes": "int64",
    "count": "int64",
    **dict.fromkeys(
        ["mean_error_kw", "mae_kw", "rmse_kw", "mean_error_share", "mae_share", "rmse_share"],
        "float64",
    ),
}


def readings(site: UUID, *spans: tuple[float, float, float]) -> pd.DataFrame:
    """Readings of a site: from and to in minutes after noon, and a power."""
    start, end, power = zip(*spans, strict=True)
    at = [NOON + pd.to_timedelta(list(moments), unit="min").round("us") for moments in (start, end)]
    return pd.DataFrame({"site_uuid": site, "start_utc": at[0], "end_utc": at[1], "power_kw": np.array(power, float)})


def errors(forecasts: pd.DataFrame, generation: pd.DataFrame, capacity: dict[UUID, float | None]) -> pd.DataFrame:
    """The error by horizon of all values of a frame of forecasts, by brute force."""
    rows = []
    for value in forecasts.itertuples():
        of_site = generation[generation["site_uuid"] == value.site_uuid]
        begin = of_site["start_utc"].clip(lower=value.start_utc)
        seconds = (of_site["end_utc"].clip(upper=value.end_utc) - begin).dt.total_seconds().clip(lower=0)
        if 2 * seconds.sum() >= (value.end_utc - value.start_utc).total_seconds() > 0:
            error = value.forecast_power_kw - np.average(of_site["power_kw"], weights=seconds)
            horizon = (value.start_utc - value.timestamp_utc) // MINUTE
            rows.append((horizon, error, error / (capacity[value.site_uuid] or NAN)))
    table = pd.DataFrame(rows, columns=["horizon_minutes", "kw", "share"], dtype=float)
    table["horizon_minutes"] = table["horizon_minutes"].astype("int64")
    grouped = table.groupby("horizon_minutes")
    figures: dict[str, Any] = {"count": grouped.size()}
    for unit in ("kw", "share"):
        figures[f"mean_error_{unit}"] = grouped[unit].mean()
        figures[f"mae_{unit}"] = grouped[unit].agg(lambda errors: errors.abs().mean())
        figures[f"rmse_{unit}"] = grouped[unit].agg(lambda errors: np.sqrt((errors**2).mean()))
    return pd.DataFrame(figures).reset_index()[list(ERRORS)].astype(ERRORS)


FIVES = [(5.0 * n, 5.0 * n + 5, float(n)) for n in range(24)]
READINGS: dict[str, tuple[list[tuple[float, float, float]], list[int]]] = {
    "of five minutes": (FIVES, [0, 30, 60, 90]),
    "half of the first slot": (FIVES[:3], [0]),
    "half of the first slot with a gap": ([FIVES[0], FIVES[2], FIVES[5]], [0]),
    "a microsecond less than half": ([*FIVES[:2], (10, 15 - 1 / 60e6, 3.0)], []),
    "a third of each slot": (FIVES[::3], []),
    "two thirds of each slot": ([span for span in FIVES if span[0] % 15], [0, 30, 60, 90]),
    "that straddle slots": ([(-10, 20, 1.0), (20, 50, 3.0), (50, 77, 6.0), (100, 105, 1.0)], [0, 30, 60]),
    "longer than a slot": ([(-100, 95, 2.5), (105, 400, 3.0)], [0, 30, 60, 90]),
    "that begin before the day of the window": ([(-1440, 45, 2.5)], [0, 30]),
    "before and after all slots": ([(-30, 0, 2.5), (120, 150, 1.0)], []),
}


def test_the_error_by_horizon_counts_slots_that_readings_cover_by_half(repo):
    for name, (spans, horizons) in READINGS.items():
        site = repo.sites.create(capacity_kw=4.0).site_uuid
        forecast = forecast_frame(site, [1.5, 0.0, 3.25, 2.5])
        generation = readings(site, *spans)
        repo.forecasts.insert(forecast)
        repo.generation.insert(generation)
        found = repo.forecasts.error_by_horizon([site])
        assert found["horizon_minutes"].tolist() == horizons, name
        pd.testing.assert_frame_equal(found, errors(forecast, generation, {site: 4.0}))


def test_the_figures_of_the_error_by_horizon(repo, site):
    repo.generation.insert(readings(site.site_uuid, (0, 30, 2.0), (30, 60, 4.0)))
    for n, power in enumerate((1.0, 5.0)):
        repo.forecasts.insert(forecast_frame(site.site_uuid, [power], timestamp=NOON + n * HOUR / 2))
    (row,) = repo.forecasts.error_by_horizon().to_dict("records")
    assert row == pytest.approx(
        {
            "horizon_minutes": 0,
            "count": 2,
            "mean_error_kw": 0.0,
            "mae_kw": 1.0,
            "rmse_kw": 1.0,
            "mean_error_share": 0.0,
            "mae_share": 0.25,
            "rmse_share": 0.25,
        }
    )


@random_cases(40)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_error_by_horizon_pools_sites_grids_and_forecasts(repo, sites, postgresql, seed):
    postgresql.autocommit = True
    postgresql.execute("DELETE FROM forecasts")
    postgresql.execute("DELETE FROM generation")
    random = np.random.default_rng(seed)
    forecasts = together(
        *(
            forecast_frame(
                site,
                [1.0, *(float(power) if power > 0 else None for power in random.normal(1, 1, random.integers(1, 9)))],
                timestamp=NOON + int(random.integers(0, 8)) * 15 * MINUTE,
                lead=int(random.choice([-30, 0, 5, 30])),
                minutes=int(random.choice([5, 30, 60])),
                model_name=str(random.choice(["a", "b"])),
                forecast_version=str(n),
            )
            for n in range(random.integers(1, 5))
            for site in sites
        )
    )
    edges = {site: np.cumsum(random.choice([1, 5, 5, 5, 15, 40, 0.5], 40)) - 60 for site in sites}
    generation = together(
        *(
            readings(site, *((a, b, random.normal(1, 1)) for a, b in pairwise(at) if random.random() < 0.7))
            for site, at in edges.items()
        )
    )
    repo.forecasts.insert(forecasts)
    repo.generation.insert(generation)
    capacity = dict(zip(sites, (4.0, 10.0, None), strict=True))
    stored_power = forecasts["forecast_power_kw"].astype("float32").astype("float64")
    forecasts = forecasts.assign(forecast_power_kw=stored_power)
    for asked, start, end, model in (
        (None, None, None, None),
        (sites[1:], NOON + 45 * MINUTE, NOON + 3 * HOUR, None),
        ([sites[2]], None, NOON + HOUR, None),
        (sites[:2], NOON + 7 * MINUTE, None, "a"),
    ):
        chosen = forecasts[
            forecasts["site_uuid"].isin(asked or sites)
            & (forecasts["start_utc"] >= (start or NOON - DAY))
            & (forecasts["start_utc"] < (end or NOON + DAY))
            & (forecasts["model_name"] == (model or forecasts["model_name"]))
        ]
        found = repo.forecasts.error_by_horizon(asked, start_utc=start, end_utc=end, model_name=model)
        pd.testing.assert_frame_equal(found, errors(chosen, generation, capacity))


def test_shares_are_of_sites_whose_capacity_is_known_and_not_zero(repo):
    uuids = [repo.sites.create(capacity_kw=capacity).site_uuid for capacity in (4.0, 0.0, None)]
    for uuid in uuids:
        repo.forecasts.insert(forecast_frame(uuid, [3.0]))
        repo.generation.insert(readings(uuid, (0, 30, 1.0)))
    everyone = repo.forecasts.error_by_horizon()
    assert everyone[["count", "mae_kw", "mae_share", "rmse_share"]].to_numpy().tolist() == [[3, 2.0, 0.5, 0.5]]
    unknown = repo.forecasts.error_by_horizon(uuids[1:])
    assert unknown[["count", "mae_kw"]].to_numpy().tolist() == [[2, 2.0]]
    assert unknown[["mean_error_share", "mae_share", "rmse_share"]].isna().all(axis=None)
    assert dict(unknown.dtypes.astype(str)) == ERRORS


def test_no_readings_no_forecasts_or_no_sites_are_an_empty_frame(repo, sites):
    repo.forecasts.insert(forecast_frame(sites[0]))
    repo.generation.insert(readings(sites[1], (0, 30, 1.0)))
    for found in (
        repo.forecasts.error_by_horizon(),
        repo.forecasts.error_by_horizon([]),
        repo.forecasts.error_by_horizon([sites[0]], start_utc=NOON + DAY, end_utc=NOON + 2 * DAY),
    ):
        assert found.empty
        assert dict(found.dtypes.astype(str)) == ERRORS
