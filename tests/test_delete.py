"""`generation.delete` and `forecasts.delete`: what takes back a bad load or the run of a bad model."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import pandas as pd
import psycopg
import pytest
from commands import until
from concurrency import BLOCKED, held_up
from conftest import reading_frame
from forecast_cases import HOUR, NOON, STORED, Stored, forecast_frame, stored, together

from pvsite_sql import CallLimits, InsertResult, InvalidInput, Limits, NotFound, Repository, Site

MAY, JUNE, JULY = (datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6, 7))
MINUTE = timedelta(minutes=1)
FILTERS: list[dict[str, Any]] = [
    {},
    {"start_utc": JUNE},
    {"end_utc": JUNE},
    {"start_utc": JUNE - 6 * HOUR, "end_utc": JUNE + MINUTE},
    {"model_name": "bad"},
    {"model_name": "good"},
    {"model_name": "good", "model_version": "2"},
    {"model_name": "good", "model_version": ""},
    {"model_name": "good", "model_version": "1"},
    {"model_name": "worse"},
    {"created_after": JUNE + 12 * HOUR},
    {"created_after": JUNE, "model_name": "bad", "start_utc": JUNE - HOUR, "end_utc": JUNE + 7 * HOUR},
]


class RolledBack(Exception):
    """Ends a transaction without a commit."""


@pytest.fixture
def sites(repo: Repository) -> list[UUID]:
    """Three sites with an hour of readings before and after the turn of a month."""
    uuids = sorted(repo.sites.create().site_uuid for _ in range(3))
    repo.generation.insert(pd.concat([reading_frame(uuid, start="2024-05-31T23:00", rows=24) for uuid in uuids]))
    return uuids


class TestGeneration:
    @pytest.mark.parametrize(
        ("window", "of_a_site"),
        [
            ({}, 24),
            ({"start_utc": JUNE}, 12),
            ({"end_utc": JUNE}, 12),
            ({"start_utc": JUNE - 5 * MINUTE, "end_utc": JUNE + 5 * MINUTE}, 2),
            ({"start_utc": JUNE - 4 * MINUTE, "end_utc": JUNE}, 0),  # the one that began before
            ({"start_utc": datetime(2024, 6, 1), "end_utc": datetime(2024, 6, 1, 0, 10)}, 2),  # noqa: DTZ001
            ({"start_utc": datetime(2024, 6, 1, 2, tzinfo=timezone(2 * HOUR)), "end_utc": JUNE + MINUTE}, 1),
            ({"start_utc": JULY, "end_utc": JUNE}, 0),
        ],
    )
    def test_deletes_the_readings_that_a_read_returns_and_no_others(self, repo, sites, window, of_a_site):
        before = repo.generation.read()
        doomed = repo.generation.read(sites[:2], **window)
        assert len(doomed) == 2 * of_a_site
        assert repo.generation.delete(sites[:2], **window, dry_run=True) == len(doomed)
        assert repo.generation.read() == before
        assert repo.generation.delete(sites[:2], **window) == len(doomed)
        assert repo.generation.read() == [reading for reading in before if reading not in doomed]
        assert repo.generation.delete(sites[:2], **window) == 0

    def test_takes_a_bad_load_back_so_that_it_can_be_loaded_again(self, repo, sites):
        good = repo.generation.read_frame()
        bad = good.assign(start_utc=good["start_utc"] + timedelta(days=40), generation_power_kw=-1.0, end_utc=None)
        bad = bad.assign(end_utc=bad["start_utc"] + 5 * MINUTE)
        repo.generation.insert(bad)
        assert repo.generation.delete(sites, start_utc=bad["start_utc"].min()) == len(bad)
        pd.testing.assert_frame_equal(repo.generation.read_frame(), good)
        assert repo.generation.insert(bad) == InsertResult(inserted=len(bad))

    def test_takes_texts_and_any_iterable_and_counts_no_site_twice(self, repo, sites):
        assert repo.generation.delete((str(uuid) for uuid in [sites[0], sites[0], uuid4()]), dry_run=True) == 24
        assert repo.generation.delete({str(sites[0]), str(sites[1])}) == 48

    def test_deletes_what_a_deleted_site_has_left(self, repo, sites):
        repo.sites.delete(sites[0])
        assert repo.generation.delete([sites[0]]) == 24
        assert {reading.site_uuid for reading in repo.generation.read()} == set(sites[1:])

    def test_an_empty_list_deletes_nothing(self, repo, sites):
        assert repo.generation.delete([]) == repo.generation.delete([], dry_run=True) == 0
        assert len(repo.generation.read()) == 72

    def test_no_argument_stands_for_all_sites(self, repo, sites):
        with pytest.raises(TypeError, match="site_uuids"):
            repo.generation.delete()
        for refused, said in {
            None: r"^site_uuids: must be a list of sites, got None; to delete .* all sites, .* pvsite-sql prune$",
            str(sites[0]): "^site_uuids: must be a list of UUIDs",
        }.items():
            with pytest.raises(InvalidInput, match=said):
                repo.generation.delete(refused)
        with pytest.raises(InvalidInput, match=r"^end_utc: must be a datetime"):
            repo.generation.delete(sites, end_utc="2024-06-01")
        assert len(repo.generation.read()) == 72

    def test_is_undone_with_the_transaction_around_it(self, repo, sites):
        before = repo.generation.read()
        with suppress(RolledBack), repo.transaction() as tx:
            assert tx.generation.delete(sites) == 72
            assert tx.generation.read() == []
            raise RolledBack
        assert repo.generation.read() == before
        with repo.transaction() as tx:
            assert tx.generation.delete(sites[:1]) == 24
            with pytest.raises(InvalidInput):
                tx.generation.delete(None)
            assert tx.generation.delete(sites[1:2], dry_run=True) == 24
        assert len(repo.generation.read()) == 48

    def test_is_one_statement_in_the_statistics(self, repo, sites):
        repo.generation.delete(sites, start_utc=JUNE)
        assert repo.stats().queries["generation/delete"].rows == 36


class TestOthers:
    """Readers and writers at the same time."""

    @pytest.fixture
    def impatient(self, dsn: str) -> Iterator[Repository]:
        """Waits for no lock."""
        limits = CallLimits(lock_s=0.01)
        with Repository(dsn, min_size=1, limits=Limits(read=limits, write=limits, bulk=limits)) as repo:
            yield repo

    def test_go_on_while_it_deletes(self, repo, impatient, sites):
        with repo.transaction() as tx:
            assert tx.generation.delete(sites) == 72
            assert len(impatient.generation.read()) == 72
            assert impatient.generation.insert(reading_frame(sites[0], start="2024-06-02")).inserted == 12
            assert impatient.generation.insert(reading_frame(sites[0], start="2024-08-02")).inserted == 12  # a month
            assert impatient.sites.update(sites[0], capacity_kw=1).capacity_kw == 1
            assert impatient.generation.delete([sites[0]], start_utc=datetime(2024, 6, 2)) == 24  # noqa: DTZ001
        assert impatient.generation.read() == []

    def test_a_reading_that_another_corrects_is_waited_for_and_deleted(self, repo, postgresql, sites):
        postgresql.execute("UPDATE generation SET generation_power_kw = 7 WHERE site_uuid = %s", [sites[0]])
        (deleted,) = held_up(postgresql, postgresql.commit, lambda: repo.generation.delete(sites))
        assert (deleted, repo.generation.read()) == (72, [])

    def test_a_reading_that_another_has_not_committed_is_not_waited_for(self, repo, impatient, sites):
        with repo.transaction() as tx:
            tx.generation.insert(reading_frame(sites[0], start="2024-06-02"))
            assert impatient.generation.delete(sites) == 72
        assert len(repo.generation.read()) == 12

    def test_a_deadlock_is_retried(self, dsn, postgresql, sites):
        correct = "UPDATE generation SET generation_power_kw = 7 WHERE site_uuid = %s"
        postgresql.execute("SET deadlock_timeout = '60s'")  # so that the other one, which waits last, is ended
        postgresql.execute(correct, [sites[2]])
        with (
            Repository(dsn, min_size=1, kwargs={"options": "-c deadlock_timeout=10ms"}) as repo,
            psycopg.connect(dsn) as third,
            psycopg.connect(dsn, autocommit=True) as observer,
            ThreadPoolExecutor(2) as threads,
        ):
            third.execute(correct, [sites[1]])
            deleted = threads.submit(repo.generation.delete, sites)
            until(lambda: observer.execute(BLOCKED).fetchone() == (1,))  # it has locked the first site's readings
            corrected = threads.submit(postgresql.execute, correct, [sites[0]])
            until(lambda: observer.execute(BLOCKED).fetchone() == (2,))
            third.commit()
            corrected.result(20)
            postgresql.commit()
            assert (deleted.result(20), repo.generation.read()) == (72, [])
            assert repo.stats().retries == 1


@pytest.fixture
def runs(repo: Repository, dsn: str) -> dict[Any, Stored]:
    """Forecasts of two sites by several models, made every six hours on two days at the turn of a month."""
    frames = []
    for uuid in [repo.sites.create().site_uuid for _ in range(2)]:
        for n in range(8):
            timestamp = JUNE + (n - 4) * 6 * HOUR
            frame = forecast_frame(uuid, timestamp=timestamp, created_utc=timestamp + (n % 2) * 48 * HOUR)
            for model, version in (("good", None), ("good", "2"), ("bad", "1"), (None, None)):
                frames.append(frame.assign(model_name=model, model_version=version))
    assert repo.forecasts.insert(together(*frames)) == InsertResult(inserted=64)
    return stored(dsn)


class TestForecasts:
    def test_deletes_what_matches_all_filters_and_nothing_else(self, repo, runs, subtests):
        sites = sorted({key[0] for key in runs})
        for filters in FILTERS:
            for of_sites in ({}, *({"site_uuids": sites[:n]} for n in range(3))):
                if given := {**filters, **of_sites}:
                    with subtests.test(str(given)):
                        self.deletes(given, repo, runs)

    @staticmethod
    def deletes(filters: dict[str, Any], repo: Repository, runs: dict[Any, Stored]) -> None:
        def fits(key: tuple[Any, ...], row: Stored) -> bool:
            site, timestamp, name, version = key[:4]
            return (
                ("site_uuids" not in filters or site in filters["site_uuids"])
                and timestamp >= filters.get("start_utc", MAY)
                and timestamp < filters.get("end_utc", JULY)
                and filters.get("model_name", name) == name
                and filters.get("model_version", version) == version
                and row.created_utc >= filters.get("created_after", MAY)
            )

        doomed = {key for key, row in runs.items() if fits(key, row)}
        with suppress(RolledBack), repo.transaction() as tx:
            assert tx.forecasts.delete(**filters, dry_run=True) == len(doomed)
            assert {row[:5] for row in tx.connection.execute(STORED)} == runs.keys()
            assert tx.forecasts.delete(**filters) == len(doomed)
            assert {row[:5] for row in tx.connection.execute(STORED)} == runs.keys() - doomed
            assert len(tx.ml_models.list()) == 3
            raise RolledBack

    def test_deletes_one_by_its_uuid(self, repo, dsn, runs):
        key, row = next(iter(runs.items()))
        assert repo.forecasts.delete(forecast_uuid=row.forecast_uuid, dry_run=True) == 1
        assert stored(dsn) == runs
        assert repo.forecasts.delete(forecast_uuid=str(row.forecast_uuid)) == 1
        assert stored(dsn) == {other: each for other, each in runs.items() if other != key}
        for dry_run in (False, True):
            with pytest.raises(NotFound, match=f"^no forecast {row.forecast_uuid}$"):
                repo.forecasts.delete(forecast_uuid=row.forecast_uuid, dry_run=dry_run)

    def test_says_what_is_wrong_and_deletes_nothing(self, repo, dsn, runs):
        for said, arguments in (
            (
                "delete requires a filter: forecast_uuid, site_uuids, start_utc, end_utc, model_name or created_after",
                {},
            ),
            ("delete requires a filter: ", {"dry_run": True}),
            ("forecast_uuid: must be the only filter", {"forecast_uuid": UUID(int=1), "site_uuids": []}),
            ("forecast_uuid: must be the only filter", {"forecast_uuid": UUID(int=1), "created_after": JUNE}),
            ("forecast_uuid: must be a UUID", {"forecast_uuid": "none"}),
            ("model_version: requires a model_name", {"model_version": "2"}),
            ("model_version: requires a model_name", {"model_version": "", "site_uuids": []}),
            ("model_name: must not be an empty string", {"model_name": ""}),
            ("site_uuids: must be a list of UUIDs", {"site_uuids": "none"}),
            ("created_after: must be a datetime", {"created_after": "2024-06-01"}),
        ):
            with pytest.raises(InvalidInput, match=f"^{said}"):
                repo.forecasts.delete(**arguments)
        assert stored(dsn) == runs

    def test_takes_a_run_of_a_bad_model_back_and_what_was_known_before_shows_again(self, repo, site):
        good, bad = (
            forecast_frame(site.site_uuid, [kw] * 4, timestamp=at) for kw, at in ((1.0, NOON), (99.0, NOON + HOUR))
        )
        repo.forecasts.insert(good, model_name="good")
        before = repo.forecasts.latest_values([site.site_uuid])
        began = repo.forecasts.latest_per_site()[site.site_uuid].created_utc + timedelta(microseconds=1)
        repo.forecasts.insert(bad, model_name="bad", model_version="3")
        assert repo.forecasts.latest_values([site.site_uuid]) != before
        assert repo.forecasts.delete(model_name="bad", model_version="3", created_after=began) == 1
        assert repo.forecasts.latest_values([site.site_uuid]) == before
        assert repo.forecasts.insert(bad, model_name="bad", model_version="3") == InsertResult(inserted=1)

    def test_created_after_counts_from_the_last_replacement(self, repo, site):
        frame = forecast_frame(site.site_uuid)
        repo.forecasts.insert(frame, created_utc=MAY)
        assert repo.forecasts.delete(created_after=JUNE, dry_run=True) == 0
        repo.forecasts.insert(frame.assign(forecast_power_kw=9.0), created_utc=JUNE)
        assert repo.forecasts.delete(created_after=JUNE) == 1

    def test_without_sites_it_deletes_those_of_sites_that_are_gone_too(self, repo, dsn, runs, postgresql):
        postgresql.execute("DELETE FROM sites")  # by hand, which leaves the forecasts behind
        postgresql.commit()
        assert repo.forecasts.delete(model_name="bad") == 16
        assert {key[2] for key in stored(dsn)} == {"good", None}

    def test_is_undone_with_the_transaction_around_it(self, repo, dsn, runs):
        uuid = next(iter(runs.values())).forecast_uuid
        with suppress(RolledBack), repo.transaction() as tx:
            assert tx.forecasts.delete(model_name="bad") == 16
            assert tx.forecasts.delete(end_utc=JUNE) == 24
            assert tx.forecasts.delete(site_uuids={key[0] for key in runs}, dry_run=True) == 24
            with pytest.raises(NotFound):
                tx.forecasts.delete(forecast_uuid=uuid)
            raise RolledBack
        assert stored(dsn) == runs

    def test_a_forecast_that_another_replaces_is_waited_for_and_deleted(self, repo, dsn, runs, postgresql):
        postgresql.execute("UPDATE forecasts SET power_kw = '{7}' WHERE timestamp_utc = %s", [JUNE])
        (deleted,) = held_up(postgresql, postgresql.commit, lambda: repo.forecasts.delete(start_utc=JUNE))
        assert deleted == 32
        assert len(stored(dsn)) == 32


def test_the_dry_run_needs_no_right_to_delete(dsn: str, site: Site, repo: Repository) -> None:
    repo.generation.insert(reading_frame(site.site_uuid))
    repo.forecasts.insert(forecast_frame(site.site_uuid))
    forecast = repo.forecasts.latest_per_site()[site.site_uuid].forecast_uuid
    with Repository(dsn, min_size=1, kwargs={"options": "-c default_transaction_read_only=on"}) as reader:
        assert reader.generation.delete([site.site_uuid], dry_run=True) == 12
        assert reader.forecasts.delete(start_utc=MAY, dry_run=True) == 1
        assert reader.forecasts.delete(site_uuids=[site.site_uuid], dry_run=True) == 1
        assert reader.forecasts.delete(forecast_uuid=forecast, dry_run=True) == 1
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader.forecasts.delete(start_utc=MAY)
