"""Database and session in another time zone, with another DateStyle: every read method gives the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, NamedTuple

import pandas as pd
import psycopg
import pytest
from conftest import reading_frame
from psycopg import sql

from pvsite_sql import InsertResult, Repository, Site

MARCH = datetime(2024, 3, 9, 20, tzinfo=UTC)  # clocks of Denver jump on the tenth
HOUR = timedelta(hours=1)
WINDOW = {"start_utc": MARCH + 2 * HOUR, "end_utc": MARCH + 30 * HOUR}
NAIVE = {name: moment.replace(tzinfo=None) for name, moment in WINDOW.items()}
CREATED = MARCH - 10 * HOUR
ELSEWHERE = {
    "Denver": {"TimeZone": "America/Denver", "DateStyle": "SQL, DMY", "IntervalStyle": "iso_8601"},
    "Kathmandu": {"TimeZone": "Asia/Kathmandu", "DateStyle": "German", "IntervalStyle": "sql_standard"},
    "Kiritimati": {"TimeZone": "Pacific/Kiritimati", "DateStyle": "Postgres, MDY", "extra_float_digits": "-5"},
}


class World(NamedTuple):
    """Something of everything, at the end of a month and where clocks jump."""

    site: Site
    frame: pd.DataFrame
    forecasts: pd.DataFrame


READS: dict[str, Callable[[Repository, World], Any]] = {
    "users.get": lambda repo, world: repo.users.get("alice"),
    "users.get_by_uuid": lambda repo, world: repo.users.get_by_uuid(repo.users.get("alice").user_uuid),
    "users.list": lambda repo, world: repo.users.list(),
    "site_groups.get": lambda repo, world: repo.site_groups.get("north"),
    "site_groups.get_by_uuid": lambda repo, world: repo.site_groups.get_by_uuid(
        repo.users.get("alice").site_group_uuid
    ),
    "site_groups.list": lambda repo, world: repo.site_groups.list(),
    "site_groups.sites": lambda repo, world: repo.site_groups.sites("north"),
    "site_groups.users": lambda repo, world: repo.site_groups.users("north"),
    "sites.get": lambda repo, world: repo.sites.get(world.site.site_uuid),
    "sites.get_by_client_site_id": lambda repo, world: repo.sites.get_by_client_site_id(7, client_name="Sun"),
    "sites.get_by_client_site_name": lambda repo, world: repo.sites.get_by_client_site_name("roof"),
    "sites.list": lambda repo, world: repo.sites.list(country="uk"),
    "sites.list_for_user": lambda repo, world: repo.sites.list_for_user("alice"),
    "sites.visible": lambda repo, world: sorted(repo.sites.visible("alice", site_uuids=[world.site.site_uuid])),
    "sites.get_as_of": lambda repo, world: repo.sites.get_as_of(world.site.site_uuid, at_utc=datetime.now(UTC)),
    "sites.groups": lambda repo, world: repo.sites.groups(world.site.site_uuid),
    "sites.history": lambda repo, world: repo.sites.history(world.site.site_uuid),
    "clients.get": lambda repo, world: repo.clients.get("Sun"),
    "clients.list": lambda repo, world: repo.clients.list(),
    "inverters.list": lambda repo, world: repo.inverters.list(site_uuid=world.site.site_uuid),
    "generation.read": lambda repo, world: repo.generation.read(**WINDOW),
    "generation.read_frame": lambda repo, world: repo.generation.read_frame([world.site.site_uuid], **NAIVE),
    "generation.read_frames": lambda repo, world: list(repo.generation.read_frames(**WINDOW, chunk_rows=50)),
    "generation.read_arrow": lambda repo, world: repo.generation.read_arrow(**NAIVE).read_all().to_pydict(),
    "generation.read_for_users": lambda repo, world: repo.generation.read_for_users(
        [repo.users.get("alice").user_uuid], **WINDOW
    ),
    "generation.sums": lambda repo, world: repo.generation.sums(by="dno", **NAIVE),
    "generation.latest": lambda repo, world: repo.generation.latest(),
    "forecasts.get": lambda repo, world: repo.forecasts.get(newest(repo, world)),
    "forecasts.values": lambda repo, world: repo.forecasts.values(newest(repo, world)),
    "forecasts.latest_values": lambda repo, world: repo.forecasts.latest_values(
        **WINDOW, created_before=CREATED + HOUR, min_horizon_minutes=60
    ),
    "forecasts.latest_frame": lambda repo, world: repo.forecasts.latest_frame(**NAIVE),
    "forecasts.latest_arrow": lambda repo, world: repo.forecasts.latest_arrow(**NAIVE).to_pydict(),
    "forecasts.latest_sums": lambda repo, world: repo.forecasts.latest_sums(by="gsp", **WINDOW),
    "forecasts.latest_per_site": lambda repo, world: repo.forecasts.latest_per_site(),
    "forecasts.day_ahead_values": lambda repo, world: repo.forecasts.day_ahead_values(
        **WINDOW, hour=12, timezone="Europe/London"
    ),
    "forecasts.day_ahead_values_frame": lambda repo, world: repo.forecasts.day_ahead_values_frame(
        **NAIVE, hour=12, minute=30, timezone="Europe/London"
    ),
    "forecasts.day_ahead_values_sums": lambda repo, world: repo.forecasts.day_ahead_values_sums(
        **WINDOW, hour=12, timezone=timezone(HOUR)
    ),
    "forecasts.values_at_horizon": lambda repo, world: repo.forecasts.values_at_horizon(**NAIVE, horizon_minutes=600),
    "forecasts.values_at_horizon_frame": lambda repo, world: repo.forecasts.values_at_horizon_frame(
        **WINDOW, horizon_minutes=600
    ),
    "forecasts.values_at_horizon_sums": lambda repo, world: repo.forecasts.values_at_horizon_sums(
        **NAIVE, horizon_minutes=600
    ),
    "forecasts.error_by_horizon": lambda repo, world: repo.forecasts.error_by_horizon(
        **WINDOW, by="site", created_hour=(CREATED + HOUR).hour, timezone=timezone(HOUR)
    ),
    "ml_models.list": lambda repo, world: repo.ml_models.list(site_uuid=world.site.site_uuid, **NAIVE),
    "ml_models.newest": lambda repo, world: repo.ml_models.newest("blend"),
    "status.latest": lambda repo, world: repo.status.latest(),
    "api_requests.last_per_user": lambda repo, world: repo.api_requests.last_per_user(
        start_utc=datetime.now(UTC) - HOUR, end_utc=datetime.now(UTC) + HOUR, newest_first=True
    ),
    "api_requests.list_for_user": lambda repo, world: repo.api_requests.list_for_user(
        "alice", start_utc=datetime.now(UTC) - HOUR, end_utc=datetime.now(UTC) + HOUR
    ),
}
WRITES = {
    *("users.get_or_create", "users.create", "users.set_site_group", "users.update", "users.delete"),
    *("site_groups.get_or_create", "site_groups.create", "site_groups.add_site", "site_groups.remove_site"),
    *("site_groups.set_service_level", "site_groups.rename", "site_groups.delete"),
    *("sites.create", "sites.get_or_create", "sites.update", "sites.set_ml_model", "sites.delete"),
    *("clients.get_or_create", "clients.rename", "clients.delete", "ml_models.update", "inverters.create"),
    *("inverters.delete", "generation.delete", "forecasts.delete"),
    *("generation.insert", "forecasts.insert", "ml_models.get_or_create", "status.create", "api_requests.create"),
}


def newest(repo: Repository, world: World) -> Any:
    return repo.forecasts.latest_per_site()[world.site.site_uuid].forecast_uuid


def shown(result: Any) -> str:
    """All of it, with types and time zones."""
    if isinstance(result, list) and result and isinstance(result[0], pd.DataFrame):
        return "\n".join(map(shown, result))
    if isinstance(result, pd.DataFrame):
        return f"{result.dtypes.to_dict()}\n{result.to_dict('list')}"
    return repr(result)


@pytest.fixture
def world(repo: Repository) -> World:
    site = repo.sites.create(
        client_uuid=repo.clients.get_or_create("Sun").client_uuid,
        client_site_id=7,
        client_site_name="roof",
        latitude=51.5,
        longitude=-0.1,
        capacity_kw=4.0,
    )
    repo.site_groups.create("north")
    repo.site_groups.add_site("north", site_uuid=site.site_uuid)
    repo.users.create("alice", site_group_name="north")
    repo.inverters.create(site_uuid=site.site_uuid)
    site = repo.sites.update(site.site_uuid, tilt=30.0)
    repo.status.create("ok", message="all well")
    repo.api_requests.create("/sites", email="alice")
    frame = pd.concat(
        [
            reading_frame(site.site_uuid, start="2024-03-09 20:00", rows=600, power_kw=0.1),
            reading_frame(site.site_uuid, start="2024-02-29 14:00", rows=240),  # months end elsewhere, too
            reading_frame(site.site_uuid, start="2024-03-31 20:00", rows=120),
        ]
    )
    forecasts = pd.concat([forecast(site, MARCH + n * HOUR) for n in range(4)])
    assert repo.generation.insert(frame) == InsertResult(inserted=len(frame))
    assert repo.forecasts.insert(forecasts, created_utc=CREATED, model_name="blend") == InsertResult(inserted=4)
    return World(site, frame, forecasts)


def forecast(site: Site, timestamp: datetime) -> pd.DataFrame:
    starts = pd.date_range(timestamp, periods=40, freq="h")
    power = [n / 3 for n in range(40)]
    return pd.DataFrame(
        {
            "site_uuid": site.site_uuid,
            "timestamp_utc": timestamp,
            "start_utc": starts,
            "end_utc": starts + HOUR,
            "forecast_power_kw": power,
            "p10": 0.5,
        }
    )


@contextmanager
def in_the_session(dsn: str, settings: dict[str, str]) -> Iterator[Repository]:
    options = " ".join(f"-c {name}={value.replace(' ', '')}" for name, value in settings.items())
    with Repository(dsn, min_size=1, max_size=2, kwargs={"options": options}) as repo:
        yield repo


@contextmanager
def in_the_database(dsn: str, settings: dict[str, str]) -> Iterator[Repository]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        database = sql.Identifier(connection.info.dbname)
        for name, value in settings.items():
            connection.execute(
                sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.Identifier(name), sql.Literal(value))
            )
    with Repository(dsn, min_size=1, max_size=2) as repo:
        yield repo


@pytest.fixture(params=[in_the_session, in_the_database], ids=lambda where: where.__name__)
def settled(request: pytest.FixtureRequest) -> Any:
    return request.param


of_each_place = pytest.mark.parametrize("place", ELSEWHERE)


def test_every_method_is_a_read_that_is_asked_or_a_write():
    with Repository("", open=False) as repo:
        aggregates = {name: value for name, value in vars(repo).items() if not name.startswith("_")}
    methods = {f"{name}.{method}" for name, value in aggregates.items() for method in vars(type(value))}
    assert {name for name in methods if "._" not in name} == READS.keys() | WRITES


@of_each_place
def test_reads_give_the_same(repo, dsn, world, settled, place):
    with settled(dsn, ELSEWHERE[place]) as elsewhere:
        with elsewhere._source._pool.connection() as connection:
            for name, value in ELSEWHERE[place].items():
                assert connection.execute("SELECT current_setting(%s)", [name]).fetchone()[0].startswith(value[:6])
        for name, ask in READS.items():
            here, there = ask(repo, world), ask(elsewhere, world)
            assert not hasattr(here, "__len__") or len(here) > 0, name
            assert shown(there) == shown(here), name


@of_each_place
def test_writes_mean_the_same(repo, dsn, world, settled, place):
    naive = world.frame.assign(start_utc=world.frame["start_utc"].dt.tz_localize(None))
    with settled(dsn, ELSEWHERE[place]) as elsewhere:
        for frame in (world.frame, naive, [naive, world.frame[::2]]):
            assert elsewhere.generation.insert(frame, on_conflict="update").inserted == 0
        assert elsewhere.generation.insert(naive, on_conflict="update") == InsertResult(skipped=len(naive))
        same = {"created_utc": CREATED, "model_name": "blend"}
        assert elsewhere.forecasts.insert(world.forecasts, **same) == InsertResult(skipped=4)
        other = elsewhere.sites.create().site_uuid
        elsewhere.generation.insert(iter([naive.assign(site_uuid=other)]))
        columns = ["start_utc", "end_utc", "generation_power_kw"]
        assert shown(repo.generation.read_frame([other])[columns]) == shown(
            repo.generation.read_frame([world.site.site_uuid])[columns]
        )
        elsewhere.forecasts.insert(world.forecasts.assign(site_uuid=other), **same)
        here, there = (repo.forecasts.latest_frame([uuid]) for uuid in (world.site.site_uuid, other))
        left_out = ["site_uuid", "forecast_uuid"]
        assert shown(there.drop(columns=left_out)) == shown(here.drop(columns=left_out))
