"""Logical replication of all tables to a second server, as the guide describes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from conftest import reading_frame
from forecast_cases import forecast_frame
from guides import blocks

from pvsite_sql import Repository, Site, check, embedded, migrate
from pvsite_sql.engine.session import QueryConnection

from ..pairs import KINDS, rows, server
from ..proxy import SECONDS

PUBLICATION, SEQUENCES = (
    next(block.text for block in blocks("sql", "sql/README.md") if begin in block.text)
    for begin in ("CREATE PUBLICATION solar", "setval(")
)
MONTHS = ["2023-12-01", "2024-06-01"]
AHEAD = "2024-07-01"
NOT_READY = "SELECT srrelid::regclass::text FROM pg_subscription_rel WHERE srsubstate <> 'r'"


@dataclass
class Pair:
    """A publisher with rows in all tables, and its subscriber, which has the months of MONTHS."""

    via_root: bool
    publisher: str
    subscriber: str
    repo: Repository
    sites: list[Site]

    def arrives(self) -> None:
        """Wait until the subscriber has the same rows."""
        deadline = time.monotonic() + SECONDS
        while rows(self.subscriber) != (expected := rows(self.publisher)):
            found = rows(self.subscriber)
            different = [name for name in expected if found[name] != expected[name]]
            assert time.monotonic() < deadline, f"different after {SECONDS} s: {different}"
            time.sleep(0.1)

    def on_subscriber(self, statement: str) -> None:
        """Run a statement there."""
        with psycopg.connect(self.subscriber, autocommit=True) as connection:
            connection.execute(statement.encode())

    def ensure(self, dsn: str, *months: str) -> None:
        """Create partitions of both tables."""
        with psycopg.connect(dsn, autocommit=True) as connection:
            for parent in ("generation", "forecasts"):
                connection.execute("SELECT ensure_month_partitions(%s, %s::date[])", [parent, list(months)])


@pytest.fixture(scope="module", params=KINDS)
def servers(request: pytest.FixtureRequest) -> Iterator[tuple[embedded.Server, embedded.Server]]:
    with server(request.param) as publisher, server(request.param) as subscriber:
        yield publisher, subscriber


@pytest.fixture(params=[True, False], ids=["via_root", "by_partition"])
def pair(request: pytest.FixtureRequest, servers: tuple[embedded.Server, embedded.Server]) -> Iterator[Pair]:
    dsns = [each.create_database("solar") for each in servers]
    for dsn in dsns:
        migrate.apply(dsn)
    with Repository(dsns[0], min_size=1, actor="registry") as repo:
        sites = _fill(repo)
        running = Pair(request.param, *dsns, repo, sites)
        running.ensure(dsns[1], *MONTHS)
        with psycopg.connect(dsns[0], autocommit=True) as connection:
            value = str(request.param).lower()
            connection.execute(PUBLICATION.replace("partition_root = true", f"partition_root = {value}").encode())
        source = f"host={servers[0].host} port={servers[0].port} user={servers[0].user} dbname=solar"
        running.on_subscriber(f"CREATE SUBSCRIPTION solar CONNECTION '{source}' PUBLICATION solar")
        try:
            _ready(running)
            yield running
        finally:
            running.on_subscriber("DROP SUBSCRIPTION solar")
    for each in servers:
        with psycopg.connect(each.dsn(), autocommit=True) as connection:
            connection.execute("DROP DATABASE solar WITH (FORCE)")


def _fill(repo: Repository) -> list[Site]:
    client = repo.clients.get_or_create("Sun")
    sites = [repo.sites.create(client_uuid=client.client_uuid, capacity_kw=4.0) for _ in range(3)]
    repo.users.get_or_create("alice@example.com")
    repo.site_groups.add_site("site_group_for_alice@example.com", site_uuid=sites[0].site_uuid)
    repo.inverters.create(site_uuid=sites[0].site_uuid)
    repo.status.create("ok", message="fine")
    repo.api_requests.create("/sites", email="alice@example.com")
    for site in sites:
        for month in MONTHS:
            repo.generation.insert(reading_frame(site.site_uuid, start=month))
        frame = forecast_frame(site.site_uuid, [1.0, None, 3.0], p10=0.5)
        repo.forecasts.insert(frame, model_name="blend")
    repo.sites.update(sites[0].site_uuid, capacity_kw=5.0)
    return sites


def _ready(pair: Pair) -> None:
    with psycopg.connect(pair.subscriber, autocommit=True) as connection:
        deadline = time.monotonic() + SECONDS
        while left := connection.execute(NOT_READY).fetchall():
            assert time.monotonic() < deadline, f"not copied after {SECONDS} s: {left}"
            time.sleep(0.1)
    pair.arrives()


def _problems(dsn: str) -> list[check.Finding]:
    migrate.ensure_months_ahead(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        findings = check.findings(QueryConnection(connection))
    return [finding for finding in findings if finding.severity != "information"]


def test_what_was_there_is_copied_and_every_change_arrives(pair):
    assert all(count for count, _ in rows(pair.subscriber).values()), "a table is empty: nothing is compared"
    repo, (first, second, third) = pair.repo, pair.sites
    replaced = repo.forecasts.insert(
        forecast_frame(first.site_uuid, [7.0, 8.0, None, 9.0], p90=9.5), model_name="blend"
    )
    assert replaced.updated == 1
    again = reading_frame(first.site_uuid, start=MONTHS[1], power_kw=5)
    assert repo.generation.insert(again, on_conflict="update").updated == 12
    repo.sites.update(first.site_uuid, capacity_kw=6.0, tilt=30)
    repo.sites.delete(second.site_uuid)  # with its forecasts; the readings stay
    repo.sites.delete(third.site_uuid, delete_generation=True)
    repo.site_groups.set_service_level("site_group_for_alice@example.com", level=2)
    repo.site_groups.create("north")
    repo.users.set_site_group("alice@example.com", site_group_name="north")
    repo.site_groups.delete("site_group_for_alice@example.com")
    repo.ml_models.get_or_create("another", version="2")
    pair.arrives()
    assert _problems(pair.publisher) == _problems(pair.subscriber) == []

    with Repository(pair.subscriber, min_size=1) as copy:
        assert copy.sites.list() == repo.sites.list()
        assert copy.sites.history(first.site_uuid) == repo.sites.history(first.site_uuid)  # not doubled
        assert copy.forecasts.latest_values([first.site_uuid]) == repo.forecasts.latest_values([first.site_uuid])
        assert copy.forecasts.latest_per_site() == repo.forecasts.latest_per_site()
        assert copy.generation.read() == repo.generation.read()
        assert copy.generation.sums("dno") == repo.generation.sums("dno")


def test_a_new_month_arrives_if_the_subscriber_has_its_partitions(pair):
    pair.ensure(pair.subscriber, AHEAD)
    (site, *_) = pair.sites
    pair.repo.generation.insert(reading_frame(site.site_uuid, start=AHEAD))
    pair.repo.forecasts.insert(forecast_frame(site.site_uuid, timestamp=_month(AHEAD)))
    if not pair.via_root:
        pair.on_subscriber("ALTER SUBSCRIPTION solar REFRESH PUBLICATION")
    _ready(pair)
    pair.repo.generation.insert(reading_frame(site.site_uuid, start=AHEAD, power_kw=9), on_conflict="update")
    assert pair.repo.forecasts.insert(forecast_frame(site.site_uuid, [7.0], timestamp=_month(AHEAD))).updated == 1
    pair.repo.sites.delete(site.site_uuid, delete_generation=True)
    pair.arrives()


def test_a_month_that_the_subscriber_lacks_arrives_once_it_has_it(pair):
    (site, *_) = pair.sites
    pair.repo.generation.insert(reading_frame(site.site_uuid, start=AHEAD))
    pair.repo.status.create("ok", message="after it")
    if pair.via_root:  # everything waits
        with psycopg.connect(pair.subscriber, autocommit=True) as connection:
            asked = "SELECT apply_error_count > 0 FROM pg_stat_subscription_stats"
            deadline = time.monotonic() + SECONDS
            while connection.execute(asked).fetchone() != (True,):
                assert time.monotonic() < deadline
                time.sleep(0.1)
            assert connection.execute("SELECT count(*) FROM status WHERE message = 'after it'").fetchone() == (0,)
        pair.ensure(pair.subscriber, AHEAD)
    else:  # the new partition is not known to the subscription, and nothing else waits
        with pytest.raises(psycopg.errors.UndefinedTable):
            pair.on_subscriber("ALTER SUBSCRIPTION solar REFRESH PUBLICATION")
        pair.ensure(pair.subscriber, AHEAD)
        pair.on_subscriber("ALTER SUBSCRIPTION solar REFRESH PUBLICATION")
    _ready(pair)


def _month(day: str):
    return reading_frame("", start=day)["start_utc"].iloc[0].to_pydatetime()


def test_a_former_subscriber_takes_over_after_its_sequences_were_set(pair):
    pair.on_subscriber("ALTER SUBSCRIPTION solar DISABLE")
    pair.on_subscriber(SEQUENCES)
    with Repository(pair.subscriber, min_size=1) as copy:
        assert copy.sites.create().ml_id == 4
        copy.sites.update(pair.sites[0].site_uuid, capacity_kw=7.0)
        changes = copy.sites.history(pair.sites[0].site_uuid)
        assert [change.operation for change in changes] == ["insert", "update", "update"]
        assert len({change.change_id for change in changes}) == 3
        assert copy.generation.insert(reading_frame(pair.sites[0].site_uuid, start="2024-06-02")).inserted == 12
    pair.on_subscriber("ALTER SUBSCRIPTION solar ENABLE")
