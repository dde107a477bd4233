"""What else is asked of forecasts, against answers worked out in Python: whole ones, day-ahead, horizons and errors."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pytest
from commands import THOROUGH
from forecast_cases import HOUR, MINUTE, NOON, forecast_frame, stored, together
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pvsite_sql import ForecastValue, InvalidInput, NotFound

NAN = float("nan")
DAY = timedelta(days=1)
FIELDS = list(ForecastValue.model_fields)


def random_cases(examples: int) -> Any:
    return settings(
        max_examples=examples if THOROUGH else examples // 2,
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
    elsewhere = {"timestamp_utc": "f.timestamp_utc", "forecast_version": "f.forecast_version"}
    elsewhere |= {"model_name": "m.name", "model_version": "m.version"}
    columns = ", ".join(elsewhere.get(name, f"v.{name}") for name in FIELDS)
    rows = connection.execute(
        f"SELECT v.site_uuid, {columns} "
        "FROM forecast_values AS v JOIN forecasts AS f ON f.forecast_uuid = v.forecast_uuid "
        "LEFT JOIN ml_models AS m ON m.ml_model_uuid = v.ml_model_uuid"
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


QUESTIONS: dict[str, dict[str, Any]] = {
    "latest_values": {},
    "latest_frame": {},
    "latest_sums": {"by": "total"},
    "latest_per_site": {},
    "day_ahead_values": {"hour": 24, "timezone": "UTC"},
    "day_ahead_values_frame": {"hour": 24, "timezone": "UTC"},
    "day_ahead_values_sums": {"hour": 24, "timezone": "UTC"},
    "values_at_horizon": {"horizon_minutes": 1440},
    "values_at_horizon_frame": {"horizon_minutes": 1440},
    "values_at_horizon_sums": {"horizon_minutes": 1440},
    "error_by_horizon": {},
}


def answer(found: Any, site: UUID) -> float | None:
    """The power of the one forecast that answered, out of whatever a question returns."""
    if isinstance(found, pd.DataFrame):
        if found.empty:
            return None
        column = "forecast_power_kw" if "forecast_power_kw" in found else "mean_error_kw"
        return float(found[column].sum() / (1 if column == "forecast_power_kw" else len(found)))
    if isinstance(found, dict):
        found = found.get(site, [])
        return found.power_kw[0] if hasattr(found, "power_kw") else next(iter(powers(found)), None)
    return float(found[0].power_kw) if found else None


@pytest.mark.parametrize("name", QUESTIONS)
def test_which_forecasts_a_question_may_use(repo, site, name):
    """Four forecasts of one slot, whose power doubles; all errors are the power, because the site generates nothing."""
    models: list[dict[str, str]] = [
        {},
        {"model_name": "a"},
        {"model_name": "a", "model_version": "2"},
        {"model_name": "b"},
    ]
    created = [NOON - DAY + n * MINUTE for n in range(4)]
    for n, model in enumerate(models):
        repo.forecasts.insert(forecast_frame(site.site_uuid, [float(2**n)], lead=1440), created_utc=created[n], **model)
    repo.generation.insert(readings(site.site_uuid, (1440, 1470, 0.0)))

    def ask(**filters: Any) -> float | None:
        return answer(getattr(repo.forecasts, name)([site.site_uuid], **QUESTIONS[name], **filters), site.site_uuid)

    def of(*numbers: int) -> float | None:
        used = [float(2**n) for n in numbers]
        return (sum(used) / len(used) if name == "error_by_horizon" else used[-1]) if used else None

    assert ask() == of(0, 1, 2, 3)
    assert ask(model_name="a") == of(1, 2)
    assert ask(model_name="a", model_version="2") == of(2)
    assert ask(model_name="a", model_version="") == of(1)
    assert ask(model_name="b", model_version="2") is None
    assert ask(created_after=created[1]) == of(1, 2, 3)
    assert ask(created_after=created[3] + timedelta(microseconds=1)) is None
    assert ask(created_before=created[2]) == of(0, 1)
    assert ask(created_after=created[1], created_before=created[2]) == of(1)
    assert ask(created_after=created[1].replace(tzinfo=None), created_before=created[1]) is None
    assert ask(of_site_model=True) == of(0, 1, 2, 3)
    repo.sites.update(site.site_uuid, ml_model_uuid=repo.ml_models.get_or_create("a", version="2").ml_model_uuid)
    assert ask(of_site_model=True) == of(2)
    assert ask(of_site_model=True, created_before=created[2]) is None
    for wrong, column in (
        ({"model_version": "2"}, "model_version"),
        ({"model_name": "a", "model_version": 2}, "model_version"),
        ({"model_name": "a", "model_version": "\x00"}, "model_version"),
        ({"model_name": "a", "of_site_model": True}, "of_site_model"),
        ({"of_site_model": 1}, "of_site_model"),
        ({"created_after": "2024-06-01"}, "created_after"),
        ({"created_before": 5}, "created_before"),
    ):
        with pytest.raises(InvalidInput) as caught:
            ask(**wrong)
        assert caught.value.column == column


def test_each_site_is_answered_by_its_own_model(repo, sites):
    a, b = (repo.ml_models.get_or_create(name, version="1") for name in "ab")
    for uuid, model in zip(sites, (a, b, None), strict=True):
        repo.sites.update(uuid, ml_model_uuid=model and model.ml_model_uuid)
        for n, options in enumerate(({"model_name": "a"}, {"model_name": "b"})):
            repo.forecasts.insert(
                forecast_frame(uuid, [n + 1.0]), created_utc=NOON + n * HOUR, model_version="1", **options
            )
    unknown = uuid4()
    found = repo.forecasts.latest_values([*sites, unknown], of_site_model=True)
    assert {uuid: powers(values) for uuid, values in found.items()} == {
        **dict(zip(sites, ([1.0], [2.0], [2.0]), strict=True)),
        unknown: [],
    }


def test_frames_and_sums_are_those_of_the_values(repo, sites):
    created = NOON - DAY
    for n, uuid in enumerate(sites):
        repo.sites.update(uuid, dno=f"dno {n % 2}")
        for hours in range(3):
            frame = forecast_frame(uuid, [n + 1.0, None, n + hours + 0.5], timestamp=NOON + hours * HOUR, lead=1440)
            options = {"model_name": f"model {n}", "model_version": "7"} if n else {}
            repo.forecasts.insert(frame, created_utc=created, forecast_version=str(hours), **options)
    window = {"start_utc": NOON + DAY, "end_utc": NOON + DAY + 3 * HOUR}
    for name, options in DICTS.items():
        ask = getattr(repo.forecasts, name)
        frame = getattr(repo.forecasts, name.replace("latest_values", "latest") + "_frame")(sites, **window, **options)
        values = [(uuid, value) for uuid, of in sorted(ask(sites, **window, **options).items()) for value in of]
        assert frame["site_uuid"].tolist() == [uuid for uuid, _ in values]
        for field in FIELDS:
            if field != "probabilistic_values":
                column = frame[field].astype(object).where(frame[field].notna(), None)
                assert column.tolist() == [getattr(value, field) for _, value in values], field
        sums: dict[tuple[datetime, str], float] = {}
        for uuid, value in values:
            key = (value.start_utc, f"dno {sites.index(uuid) % 2}")
            sums[key] = sums.get(key, 0.0) + value.forecast_power_kw
        found = getattr(repo.forecasts, name.replace("latest_values", "latest") + "_sums")(
            sites, by="dno", **window, **options
        )
        assert len(sums) > 1
        assert {(row.start_utc, row.name): row.power_kw for row in found} == sums
        with pytest.raises(InvalidInput) as caught:
            getattr(repo.forecasts, name.replace("latest_values", "latest") + "_sums")(by="region", **options)
        assert caught.value.column == "by"


def test_a_frame_of_values_can_be_inserted_again(repo, sites, dsn):
    for n, uuid in enumerate(sites[:2]):
        options = {"model_name": "m", "model_version": "2"} if n else {}
        repo.forecasts.insert(forecast_frame(uuid, [1.5, 2.5]), forecast_version="9", **options)
    before, frame = stored(dsn), repo.forecasts.latest_frame()
    assert repo.forecasts.insert(frame).skipped == len(before) == 2


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


@random_cases(80)
@given(
    made=st.lists(
        st.tuples(
            st.integers(0, 1),  # site
            st.integers(0, 6).map(lambda n: 30 * n),  # timestamp
            st.integers(0, 1),  # version
            st.integers(0, 1),  # created
            st.integers(-3, 3).map(lambda n: 15 * n),  # first start, after the timestamp
            st.sampled_from([5, 15, 30, 60]),
            st.lists(st.booleans(), min_size=1, max_size=40),  # which slots after the first have a value
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda made: made[:3],
    ),
    bounds=st.tuples(*[st.none() | st.integers(-90, 400)] * 2).filter(any),
)
def test_latest_per_site_is_the_newest_that_has_a_value_in_the_window(repo, sites, postgresql, made, bounds):
    postgresql.autocommit = True
    postgresql.execute("DELETE FROM forecasts")
    start, end = (None if bound is None else NOON + bound * MINUTE for bound in bounds)
    repo.forecasts.insert(
        together(
            *(
                forecast_frame(
                    sites[site],
                    [n + 1.0, *(n + 1.0 if there else None for there in slots)],
                    timestamp=NOON + timestamp * MINUTE,
                    lead=lead,
                    minutes=resolution,
                    created_utc=NOON + created * HOUR,
                    forecast_version=str(version),
                )
                for n, (site, timestamp, version, created, lead, resolution, slots) in enumerate(made)
            )
        )
    )
    best: dict[UUID, ForecastValue] = {}
    for uuid, value in every_value(postgresql):
        inside = (start is None or value.start_utc >= start) and (end is None or value.start_utc < end)
        if inside and (uuid not in best or rank(value) > rank(best[uuid])):
            best[uuid] = value
    found = repo.forecasts.latest_per_site(sites, start_utc=start, end_utc=end)
    assert {uuid: forecast.forecast_uuid for uuid, forecast in found.items()} == {
        uuid: value.forecast_uuid for uuid, value in best.items()
    }
    assert all(forecast == repo.forecasts.get(forecast.forecast_uuid) for forecast in found.values())


# day-ahead


ZONES = {
    "Europe/London": [date(2024, 3, 31), date(2024, 10, 27), date(2024, 6, 1)],
    "America/Denver": [date(2024, 3, 10), date(2024, 11, 3)],
    "Atlantic/Azores": [date(2024, 3, 31), date(2024, 10, 27)],  # at midnight
    "Africa/Cairo": [date(2024, 4, 26), date(2024, 11, 1)],  # at midnight
    "Asia/Kathmandu": [date(2024, 3, 31)],
}
MIDNIGHT_TWICE = datetime(2024, 10, 27, 0, 30, tzinfo=UTC)  # half past, the first time


def struck(day: date, hour: int, zone: tzinfo, minute: int = 0) -> datetime:
    """When a local clock strikes: of an hour that it shows twice the second one, one that it skips an hour later."""
    naive = datetime.combine(day, time()) + hour * HOUR + minute * MINUTE
    return max(naive.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def day_ahead(
    values: Iterable[tuple[UUID, ForecastValue]], hour: int, minute: int, zone: tzinfo
) -> dict[UUID, list[ForecastValue]]:
    best: dict[tuple[UUID, datetime], ForecastValue] = {}
    for site, value in values:
        day_before = value.start_utc.astimezone(zone).date() - DAY
        made_on = value.created_utc.astimezone(zone).date()  # at 24 o'clock the day is over, the first time too
        known = made_on <= day_before and value.created_utc < struck(day_before, hour, zone, minute)
        key = (site, value.start_utc)
        if known and (key not in best or rank(value) > rank(best[key])):
            best[key] = value
    found: dict[UUID, list[ForecastValue]] = {}
    for (site, _), value in sorted(best.items()):
        found.setdefault(site, []).append(value)
    return found


def rank(value: ForecastValue) -> tuple[Any, ...]:
    return (value.timestamp_utc, value.created_utc, value.forecast_uuid)


OFFSETS = [timezone(n * MINUTE) for n in (330, -180, 0, 845, -1439)] + [timezone(timedelta(seconds=-1234))]


@st.composite
def days_ahead(draw: st.DrawFn) -> tuple[tzinfo, int, int, list[tuple[int, int, int, datetime, datetime]]]:
    """A zone, a time, and forecasts: site, resolution, slots, created about when a clock strikes, first start."""
    name = draw(st.sampled_from(sorted(ZONES)))
    zone: tzinfo = draw(st.just(ZoneInfo(name)) | st.sampled_from(OFFSETS))
    day, hour = draw(st.sampled_from(ZONES[name])), draw(st.integers(0, 24))
    minute = 0 if hour == 24 else draw(st.sampled_from([0, 0, 1, 30, 59]))
    made = []
    for _ in range(draw(st.integers(1, 5))):
        about = struck(day + DAY * draw(st.integers(-3, 1)), draw(st.just(hour) | st.integers(0, 24)), zone, minute)
        created = about + draw(st.sampled_from([-HOUR, -timedelta(microseconds=1), 0 * HOUR, 30 * MINUTE]))
        midnight = struck(day + DAY * draw(st.integers(-1, 1)), 0, zone)
        start = midnight + draw(st.integers(-8, 8)) * 15 * MINUTE
        made.append(
            (draw(st.integers(0, 1)), draw(st.sampled_from([15, 30, 60])), draw(st.integers(1, 60)), created, start)
        )
    return zone, hour, minute, made


@random_cases(200)
@given(case=days_ahead())
@example((ZoneInfo("Atlantic/Azores"), 24, 0, [(0, 30, 60, MIDNIGHT_TWICE, MIDNIGHT_TWICE)]))
def test_day_ahead_values_are_those_of_forecasts_made_before_the_hour_of_the_day_before(repo, sites, postgresql, case):
    zone, hour, minute, made = case
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
    expected = day_ahead(every_value(postgresql), hour, minute, zone)
    asked = {"hour": hour, "minute": minute, "timezone": zone}
    found = repo.forecasts.day_ahead_values(sites, **asked)
    assert found == {site: expected.get(site, []) for site in sites}
    start, end = made[0][4] + 90 * MINUTE, made[0][4] + 10 * HOUR
    within = repo.forecasts.day_ahead_values(sites, start_utc=start, end_utc=end, **asked)
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
        ({"timezone": timezone(timedelta(microseconds=1))}, "timezone"),
        ({"timezone": 5}, "timezone"),
        ({"minute": -1}, "minute"),
        ({"minute": 60}, "minute"),
        ({"minute": 0.5}, "minute"),
        ({"hour": 24, "minute": 1}, "minute"),
    ],
)
def test_hours_and_time_zones_that_there_are_not(repo, site, wrong, column):
    repo.forecasts.insert(forecast_frame(site.site_uuid))
    for name in ("day_ahead_values", "day_ahead_values_frame", "day_ahead_values_sums"):
        with pytest.raises(InvalidInput) as caught:
            getattr(repo.forecasts, name)(**({"hour": 9, "timezone": "UTC"} | wrong))
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
        for name in ("min_horizon_minutes", "max_horizon_minutes"):
            with pytest.raises(InvalidInput) as caught:
                repo.forecasts.latest_values(**{name: wrong})
            assert caught.value.column == name


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


def errors(
    forecasts: pd.DataFrame,
    generation: pd.DataFrame,
    capacity: dict[UUID, float | None],
    *,
    by: str = "total",
    bucket: int = 1,
) -> pd.DataFrame:
    """The error by horizon of all values of a frame of forecasts, by brute force."""
    rows = []
    for value in forecasts.itertuples():
        of_site = generation[generation["site_uuid"] == value.site_uuid]
        begin = of_site["start_utc"].clip(lower=value.start_utc)
        seconds = (of_site["end_utc"].clip(upper=value.end_utc) - begin).dt.total_seconds().clip(lower=0)
        if 2 * seconds.sum() >= (value.end_utc - value.start_utc).total_seconds() > 0:
            error = value.forecast_power_kw - np.average(of_site["power_kw"], weights=seconds)
            horizon = (value.start_utc - value.timestamp_utc) // MINUTE // bucket * bucket
            rows.append((value.site_uuid, horizon, error, error / (capacity[value.site_uuid] or NAN)))
    table = pd.DataFrame(rows, columns=["site_uuid", "horizon_minutes", "kw", "share"])
    table = table.astype({"horizon_minutes": "int64", "kw": float, "share": float})
    keys = ["horizon_minutes"] if by == "total" else ["site_uuid", "horizon_minutes"]
    types = ERRORS if by == "total" else {"site_uuid": "object", **ERRORS}
    grouped = table.groupby(keys)
    figures: dict[str, Any] = {"count": grouped.size()}
    for unit in ("kw", "share"):
        figures[f"mean_error_{unit}"] = grouped[unit].mean()
        figures[f"mae_{unit}"] = grouped[unit].agg(lambda errors: errors.abs().mean())
        figures[f"rmse_{unit}"] = grouped[unit].agg(lambda errors: np.sqrt((errors**2).mean()))
    return pd.DataFrame(figures).reset_index()[list(types)].astype(types)


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
                model_version=str(random.choice(["", "2"])),
                created_utc=NOON + int(random.integers(-3, 3)) * 20 * MINUTE,
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
    for asked, start, end, model, options in (
        (None, None, None, None, {}),
        (sites[1:], NOON + 45 * MINUTE, NOON + 3 * HOUR, None, {"by": "site", "bucket_minutes": 45}),
        ([sites[2]], None, NOON + HOUR, None, {"bucket_minutes": 60, "created_after": NOON - 20 * MINUTE}),
        (sites[:2], NOON + 7 * MINUTE, None, "a", {"model_version": "2"}),
        (sites[:2], None, None, None, {"by": "site", "created_before": NOON + 20 * MINUTE}),
        (None, None, None, None, {"created_hour": 17, "timezone": "Asia/Kolkata"}),  # to half past noon
        (None, None, None, None, {"created_hour": 9, "timezone": timezone(-3 * HOUR), "bucket_minutes": 7}),
    ):
        created, hour = forecasts["created_utc"], options.get("created_hour")
        zone = options.get("timezone", "UTC")
        local = created.dt.tz_convert(ZoneInfo(zone) if isinstance(zone, str) else zone)
        chosen = forecasts[
            forecasts["site_uuid"].isin(asked or sites)
            & (forecasts["start_utc"] >= (start or NOON - DAY))
            & (forecasts["start_utc"] < (end or NOON + DAY))
            & (forecasts["model_name"] == (model or forecasts["model_name"]))
            & (forecasts["model_version"] == options.get("model_version", forecasts["model_version"]))
            & (created >= options.get("created_after", NOON - DAY))
            & (created < options.get("created_before", NOON + DAY))
            & (local.dt.hour == (local.dt.hour if hour is None else hour))
        ]
        found = repo.forecasts.error_by_horizon(asked, start_utc=start, end_utc=end, model_name=model, **options)
        shape = {"by": options.get("by", "total"), "bucket": options.get("bucket_minutes", 1)}
        pd.testing.assert_frame_equal(found, errors(chosen, generation, capacity, **shape))


@pytest.mark.parametrize(
    ("wrong", "column"),
    [
        ({"by": "dno"}, "by"),
        ({"bucket_minutes": 0}, "bucket_minutes"),
        ({"bucket_minutes": 1.5}, "bucket_minutes"),
        ({"created_hour": 9}, "created_hour"),
        ({"created_hour": 24, "timezone": "UTC"}, "created_hour"),
        ({"created_hour": "9", "timezone": "UTC"}, "created_hour"),
        ({"timezone": "UTC"}, "timezone"),
        ({"created_hour": 9, "timezone": "Europe/Camelot"}, "timezone"),
    ],
)
def test_errors_that_cannot_be_asked_for(repo, wrong, column):
    with pytest.raises(InvalidInput) as caught:
        repo.forecasts.error_by_horizon(**wrong)
    assert caught.value.column == column


def test_a_zone_that_the_server_does_not_know_is_said_for_errors_too(repo, monkeypatch):
    monkeypatch.setattr("pvsite_sql.engine.inputs._time_zones", lambda: {"Europe/Camelot"})
    for ask in (
        lambda: repo.forecasts.error_by_horizon([], created_hour=9, timezone="Europe/Camelot"),
        lambda: repo.forecasts.day_ahead_values_frame([], hour=9, timezone="Europe/Camelot"),
        lambda: repo.forecasts.day_ahead_values_sums([], hour=9, timezone="Europe/Camelot"),
    ):
        with pytest.raises(InvalidInput, match="the server does not know") as caught:
            ask()
        assert caught.value.column == "timezone"


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
    by_site = repo.forecasts.error_by_horizon(by="site")
    assert by_site.empty
    assert dict(by_site.dtypes.astype(str)) == {"site_uuid": "object", **ERRORS}
