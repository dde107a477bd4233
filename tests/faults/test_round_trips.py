"""How often a call waits for the server, which is what it takes over a link between two data centres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pandas as pd
import psycopg
import pytest
from forecast_cases import forecast_frame
from links import SlowLink

from pvsite_sql import InsertResult, Repository, Site

DELAY_S = 0.01
MOST = 4  # of a call of a few rows where nothing conflicts
REPEATS = 4  # a busy machine can add a trip, nothing can take one away
ROWS = [1, 10, 100]


@pytest.fixture
def link(postgresql: psycopg.Connection) -> Iterator[SlowLink]:
    with SlowLink(postgresql, DELAY_S) as running:
        yield running


@pytest.fixture
def far(link: SlowLink, dsn: str) -> Iterator[Repository]:
    """A repository with one connection over the link."""
    with Repository(link.dsn(dsn), min_size=1, max_size=1) as repository:
        yield repository


def trips(link: SlowLink, *calls: Callable[[], Any]) -> int:
    """The least of the calls, after one that warms up: it makes partitions and learns what the connection has."""
    calls[0]()
    taken = []
    for call in calls[1:]:
        link.trips()
        call()
        taken.append(link.trips())
    return min(taken)


def readings(site: Site, rows: int, day: int) -> pd.DataFrame:
    """The first readings of a day, on one site or, where they are ten, each a minute on."""
    starts = pd.date_range("2024-06-01", periods=rows, freq="5min", tz="UTC") + pd.Timedelta(days=day)
    return pd.DataFrame({"site_uuid": site.site_uuid, "start_utc": starts, "power_kw": 1.0})


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("on_conflict", ["ignore", "update", "error"])
def test_of_inserting_new_readings(far, link, site, on_conflict, rows):
    days = count()

    def insert() -> None:
        given = readings(site, rows, next(days))
        assert far.generation.insert(given, on_conflict=on_conflict) == InsertResult(inserted=rows)

    assert trips(link, *[insert] * (1 + REPEATS)) <= MOST


@pytest.mark.parametrize("on_conflict", ["replace", "ignore", "error"])
def test_of_inserting_new_forecasts(far, link, site, on_conflict):
    hours = count()

    def insert() -> None:
        timestamp = pd.Timestamp("2024-06-01", tz="UTC") + pd.Timedelta(hours=next(hours))
        frame = forecast_frame(site.site_uuid, [1.0] * 48, timestamp=timestamp)
        assert far.forecasts.insert(frame, on_conflict=on_conflict) == InsertResult(inserted=1)

    assert trips(link, *[insert] * (1 + REPEATS)) <= MOST


SMALL: dict[str, Callable[[Repository, Site], Any]] = {
    "get": lambda repo, site: repo.sites.get(site.site_uuid),
    "list": lambda repo, site: repo.sites.list(),
    "get_or_create": lambda repo, site: repo.clients.get_or_create("Sun"),
    "get_or_create of a site": lambda repo, site: repo.sites.get_or_create(client_site_name="roof"),
    "update": lambda repo, site: repo.sites.update(site.site_uuid, tilt=1),
    "create": lambda repo, site: repo.sites.create(),
    "read": lambda repo, site: repo.generation.read([site.site_uuid]),
    "read_frame": lambda repo, site: repo.generation.read_frame([site.site_uuid]),
    "read_frames": lambda repo, site: list(repo.generation.read_frames([site.site_uuid])),
    "read_arrow": lambda repo, site: repo.generation.read_arrow([site.site_uuid]).read_all(),
    "latest": lambda repo, site: repo.generation.latest([site.site_uuid]),
    "latest_values": lambda repo, site: repo.forecasts.latest_values([site.site_uuid]),
    "latest_frame": lambda repo, site: repo.forecasts.latest_frame([site.site_uuid]),
    "latest_arrow": lambda repo, site: repo.forecasts.latest_arrow([site.site_uuid]),
    "status": lambda repo, site: repo.status.latest(),
}


@pytest.mark.parametrize("name", SMALL)
def test_of_other_calls(far, link, site, name):
    far.generation.insert(readings(site, 100, 0))
    far.forecasts.insert(forecast_frame(site.site_uuid, [1.0] * 48))
    assert trips(link, *[lambda: SMALL[name](far, site)] * (1 + REPEATS)) <= MOST


def test_what_is_sent_without_waiting_is_one_trip(link, dsn):
    with psycopg.connect(link.dsn(dsn), autocommit=True) as connection:
        link.trips()
        for number in range(5):
            connection.execute("SELECT %s", [number], prepare=False)
        assert link.trips() >= 5
        least = []
        for _ in range(REPEATS):
            with connection.pipeline():
                for number in range(5):
                    connection.execute("SELECT %s", [number], prepare=False)
            least.append(link.trips())
        assert min(least) == 1
