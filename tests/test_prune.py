"""`prune`: old rows go, by partition or in batches, into an archive that can be loaded; none is lost, come what may."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any
from uuid import UUID

import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import called, run, until
from concurrency import held_up
from conftest import conninfo, reading_frame
from forecast_cases import HOUR, forecast_frame, stored, together
from psycopg import sql

import pvsite_sql
from pvsite_sql import InsertResult, InvalidInput, NotFound, PvsiteSqlError, Repository, check
from pvsite_sql.check import drift
from pvsite_sql.engine import inputs, queries
from pvsite_sql.engine.session import QueryConnection
from pvsite_sql.prune import SiteFilter, archive
from pvsite_sql.prune.pruning import prune
from pvsite_sql.prune.rows import Rows

MAY, JUNE = (datetime(2024, month, 1, tzinfo=UTC) for month in (5, 6))
MID_JUNE = datetime(2024, 6, 15, 12, tzinfo=UTC)
ROWS = 12  # of each site and month
TABLES = """
    SELECT c.relname, i.inhparent::regclass::text, i.inhdetachpending, obj_description(c.oid, 'pg_class')
    FROM pg_class AS c LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relname ~ '^(generation|forecasts)_' ORDER BY c.relname
"""
BLOCKED = (
    "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pvsite-sql prune' AND wait_event_type = 'Lock'"
)
CONNECTED = """
    SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pvsite-sql prune' AND datname = current_database()
"""
# A run that stops once at a step: `before` or `after` it, `wait` for a line on standard input or `kill` itself.
CHILD = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from pvsite_sql.prune import SiteFilter, archive, detach
from pvsite_sql.prune.pruning import prune
from pvsite_sql.prune.rows import Rows

dsn, parent, before, folder, place, step, what, *sites = sys.argv[1:]

def stop():
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    print("there", flush=True)
    sys.stdin.readline()

def stopping(holder, name, number=None):
    inner, seen, stopped = getattr(holder, name), [], []
    def outer(*arguments, **keywords):
        here = not stopped and (number is None or number(arguments, seen))
        stopped.extend([here] if here else [])
        seen.append(arguments)
        if here and place == "before":
            stop()
        result = inner(*arguments, **keywords)
        if here and place == "after":
            stop()
        return result
    setattr(holder, name, outer)

if step in ("named", "digest"):
    stopping(archive, {"named": "_rename", "digest": "_digest"}[step])
elif step == "batch":
    stopping(Rows, "_delete_batch", lambda arguments, seen: len(seen) == 1)
else:
    stopping(detach.Statements, "run", lambda arguments, seen: arguments[1] == step)
prune(dsn, {parent: datetime.fromisoformat(before)}, archive=Path(folder) if folder else None,
      sites=SiteFilter(site_uuids=sites) if sites else None,
      lock_timeout_s=0.2, wait_s=20, batch_rows=5, report=lambda said: None)
"""


@pytest.fixture
def direct(postgresql: psycopg.Connection) -> str:
    """The database, without a pooler in between."""
    return conninfo(postgresql)


@pytest.fixture
def admin(direct: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(direct, autocommit=True) as connection:
        yield connection


@pytest.fixture
def readings(repo: Repository) -> pd.DataFrame:
    """What is stored: readings of three sites at the end of April, in May, around the middle of June, and in July."""
    sites = [repo.sites.create().site_uuid for _ in range(3)]
    starts = ("2024-04-30T23:00", "2024-05-07", "2024-06-15T11:30", "2024-07-01")
    repo.generation.insert([reading_frame(site, start=start, rows=ROWS) for site in sites for start in starts])
    return repo.generation.read_frame()


def go(direct: str, before: datetime = MID_JUNE, parent: str = "generation", **options: Any) -> list[str]:
    """Prune; what it said."""
    said: list[str] = []
    prune(direct, {parent: before}, **{"lock_timeout_s": 0.2, "batch_rows": 5, "report": said.append, **options})
    return said


def tables(admin: psycopg.Connection) -> dict[str, tuple[str | None, bool | None, str | None]]:
    return {name: rest for name, *rest in admin.execute(TABLES)}


def attached(admin: psycopg.Connection) -> list[str]:
    return [name for name, rest in tables(admin).items() if rest == ["generation", False, None]]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def loaded(*paths: Path) -> pd.DataFrame:
    """The readings of archives, as `read_frame` gives them."""
    frame = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    return by_key(frame.assign(site_uuid=frame["site_uuid"].map(inputs.UUID)))


def by_key(frame: pd.DataFrame) -> pd.DataFrame:
    keys = frame["site_uuid"].map(str)
    return frame.assign(key=keys).sort_values(["key", "start_utc"]).drop(columns="key").reset_index(drop=True)


def split(frame: pd.DataFrame, before: datetime = MID_JUNE) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows that go, and those that stay."""
    old = frame["start_utc"] < before
    return frame[old].reset_index(drop=True), frame[~old].reset_index(drop=True)


class TestGeneration:
    def test_whole_months_and_the_rest_of_one_go(self, repo, direct, admin, readings):
        go(direct)
        assert attached(admin) == list(tables(admin)) == ["generation_p2024_06", "generation_p2024_07"]
        old, new = split(readings)
        assert len(old) == 3 * ROWS * 2 + 3 * 6
        pd.testing.assert_frame_equal(repo.generation.read_frame(), new)

    def test_a_time_at_the_turn_of_a_month_cuts_none(self, repo, direct, admin, readings):
        said = go(direct, JUNE)
        assert attached(admin) == ["generation_p2024_06", "generation_p2024_07"]
        assert not any("batches" in line for line in said)
        pd.testing.assert_frame_equal(repo.generation.read_frame(), split(readings, JUNE)[1])

    def test_nothing_older_is_nothing_done(self, direct, admin, readings):
        before = tables(admin)
        assert go(direct, datetime(2024, 4, 30, 23, tzinfo=UTC))[1:] == ["  none"]
        assert tables(admin) == before

    def test_a_month_that_is_gone_comes_back_when_rows_of_it_come(self, repo, direct, admin, readings):
        go(direct)
        old, _ = split(readings)
        assert repo.generation.insert(old) == InsertResult(inserted=len(old))
        pd.testing.assert_frame_equal(
            repo.generation.read_frame().drop(columns="created_utc"), readings.drop(columns="created_utc")
        )
        go(direct)
        assert attached(admin) == ["generation_p2024_06", "generation_p2024_07"]

    def test_an_archive_holds_all_that_goes_and_can_be_loaded(self, repo, direct, readings, tmp_path):
        said = go(direct, archive=tmp_path)
        names = [
            "generation_2024-04-01_2024-05-01.parquet",
            "generation_2024-05-01_2024-06-01.parquet",
            "generation_2024-06-01_2024-06-15T120000Z.parquet",
        ]
        assert files(tmp_path) == names
        assert all(any(name in line for line in said) for name in names)
        old, _ = split(readings)
        pd.testing.assert_frame_equal(loaded(*(tmp_path / name for name in names)), old)  # created_utc too
        for name in names:
            frame = pd.read_parquet(tmp_path / name)
            assert repo.generation.insert(frame) == InsertResult(inserted=len(frame))
        pd.testing.assert_frame_equal(
            repo.generation.read_frame().drop(columns="created_utc"), readings.drop(columns="created_utc")
        )

    def test_a_long_archive_has_row_groups_and_is_compared_in_each(self, direct, readings, tmp_path, monkeypatch):
        monkeypatch.setattr("pvsite_sql.prune.rows._ROW_GROUP", 7)
        go(direct, archive=tmp_path)
        assert pq.ParquetFile(tmp_path / "generation_2024-05-01_2024-06-01.parquet").num_row_groups == 6
        old, _ = split(readings)
        pd.testing.assert_frame_equal(loaded(*tmp_path.iterdir()), old)

    def test_an_empty_partition_leaves_no_file(self, direct, admin, repo, tmp_path):
        admin.execute("SELECT ensure_month_partitions('generation', '{2024-05-01,2024-06-01}')")
        assert any("(it was empty)" in line for line in go(direct, archive=tmp_path))
        assert (files(tmp_path), attached(admin)) == ([], ["generation_p2024_06"])

    def test_a_year_is_a_partition_like_any_other(self, repo, direct, admin, readings, tmp_path):
        admin.execute(
            'CREATE TABLE "generation_Year 2023" PARTITION OF generation '
            "FOR VALUES FROM (MINVALUE) TO ('2024-01-01T00:00Z')"
        )
        admin.execute(
            "INSERT INTO generation SELECT site_uuid, '2023-03-01', '2023-03-02', 1 FROM generation "
            "WHERE start_utc = '2024-07-01T00:00Z'"
        )
        go(direct, datetime(2023, 6, 1, tzinfo=UTC), archive=tmp_path)
        assert "generation_Year 2023" in tables(admin)
        assert files(tmp_path) == ["generation_unbounded_2023-06-01.parquet"]
        go(direct, datetime(2024, 1, 1, tzinfo=UTC), archive=tmp_path)
        assert "generation_Year 2023" not in tables(admin)
        pd.testing.assert_frame_equal(repo.generation.read_frame(), readings)

    def test_a_dry_run_says_what_goes_and_changes_nothing(self, repo, direct, admin, readings, tmp_path):
        admin.execute("ANALYZE generation")
        before = tables(admin)
        said = go(direct, archive=tmp_path, dry_run=True)
        assert said == [
            "public.generation, rows before 2024-06-15T12:00:00Z:",
            *(
                f"  public.generation_p2024_{month} (about 36 rows, 24 kB, attached): to be archived and dropped"
                for month in ("04", "05")
            ),
            "  18 rows since 2024-06-01T00:00:00Z: to be archived and deleted in batches of 5",
            "dry run: nothing was deleted",
        ]
        assert (tables(admin), files(tmp_path)) == (before, [])
        pd.testing.assert_frame_equal(repo.generation.read_frame(), readings)

    def test_no_transaction_deletes_more_than_a_batch(self, direct, readings, tmp_path, monkeypatch):
        sizes, gone = [], Rows._delete_batch
        monkeypatch.setattr(Rows, "_delete_batch", lambda *a: sizes.append(len(found := gone(*a))) or found)
        go(direct, datetime(2024, 6, 15, 11, 45, tzinfo=UTC))
        assert sizes == [5, 4, 0]
        sizes.clear()
        go(direct, archive=tmp_path)
        assert sizes == [5, 4]

    def test_works_in_a_schema_of_its_own(self, empty_dsn, empty_database, tmp_path):
        empty_database.execute('CREATE SCHEMA "So Lar"')
        empty_database.execute(f"ALTER DATABASE {empty_database.info.dbname} SET search_path = 'So Lar'")
        empty_database.commit()
        pvsite_sql.migrate.apply(empty_dsn)
        with Repository(empty_dsn, min_size=1) as repo:
            repo.generation.insert(reading_frame(repo.sites.create().site_uuid, start="2024-05-31T23:30", rows=12))
            go(empty_dsn, datetime(2024, 6, 1, 0, 10, tzinfo=UTC), archive=tmp_path)
            assert len(repo.generation.read_frame()) == 4
        assert len(loaded(*tmp_path.iterdir())) == 8


class TestForecasts:
    @pytest.fixture
    def before(self, repo: Repository, site: Any, dsn: str) -> dict[Any, Any]:
        """Forecasts of all kinds, in May and around the middle of June."""
        other = repo.sites.create().site_uuid
        for timestamp in (MAY + 3 * HOUR, JUNE - HOUR, MID_JUNE - HOUR, MID_JUNE):
            at = {"timestamp": timestamp}
            repo.forecasts.insert(
                together(
                    forecast_frame(site.site_uuid, [1.1, None, -0.25, 3e-7], **at), forecast_frame(other, [7], **at)
                )
            )
            frame = forecast_frame(site.site_uuid, [0.1, 2.0, None, 5.0], lead=-30, minutes=5, p10=[0.7, None, 1], **at)
            repo.forecasts.insert(frame, model_name="a", created_utc=timestamp - HOUR)
            repo.forecasts.insert(frame.drop(columns="p10"), model_name="b", model_version="2", forecast_version="v1")
            levels = [{"median": 1.5, "p10": 0.3}, {}, {"median": None, "": 2.0}]
            repo.forecasts.insert(frame.drop(columns="p10"), model_name="c") if timestamp == MID_JUNE else (
                repo.forecasts.insert(frame.drop(columns="p10").assign(probabilistic_values=levels), model_name="c")
            )
        return stored(dsn)

    @pytest.mark.parametrize("archived", [True, False])
    def test_old_ones_go_and_can_be_loaded_again(self, repo, dsn, direct, before, tmp_path, monkeypatch, archived):
        monkeypatch.setattr("pvsite_sql.prune.rows._ROW_GROUP", 8)
        monkeypatch.setattr("pvsite_sql.prune.rows._FETCH_FORECASTS", 2)
        said = go(direct, parent="forecasts", batch_rows=2, archive=tmp_path if archived else None)
        new = {key: row for key, row in before.items() if key[1] >= MID_JUNE}
        assert (len(before), len(new)) == (20, 5)
        assert stored(dsn) == new
        assert any(line == "5 rows deleted" for line in said)
        if not archived:
            return
        assert files(tmp_path) == [
            "forecasts_2024-05-01_2024-06-01.parquet",
            "forecasts_2024-06-01_2024-06-15T120000Z.parquet",
        ]
        for path in tmp_path.iterdir():
            frame = pd.read_parquet(path)
            assert set(frame["forecast_uuid"]) <= {str(row.forecast_uuid) for row in before.values()}
            file = pq.ParquetFile(path)
            whole = [
                set(file.read_row_group(n).column("forecast_uuid").to_pylist()) for n in range(file.num_row_groups)
            ]
            assert len(whole) > 1
            assert sum(map(len, whole)) == len(set().union(*whole))  # none is cut
            assert repo.forecasts.insert(frame).inserted == frame["forecast_uuid"].nunique()
        assert without_uuids(stored(dsn)) == without_uuids(before)

    def test_a_file_without_probabilistic_values_has_no_column_for_them(self, repo, dsn, direct, site, tmp_path):
        repo.forecasts.insert(forecast_frame(site.site_uuid, timestamp=MAY))
        before = stored(dsn)
        go(direct, parent="forecasts", archive=tmp_path)
        (path,) = tmp_path.iterdir()
        frame = pd.read_parquet(path)
        assert "probabilistic_values" not in frame
        repo.forecasts.insert(frame)
        assert without_uuids(stored(dsn)) == without_uuids(before)

    def test_what_an_insert_cannot_store_is_archived_all_the_same(self, direct, admin, site, tmp_path):
        admin.execute("SELECT ensure_month_partitions('forecasts', '{2024-05-01}')")
        admin.execute(
            "INSERT INTO forecasts (site_uuid, timestamp_utc, ml_model_uuid, start_utc, resolution_minutes, power_kw, "
            "probabilistic_levels, probabilistic_kw) "
            "VALUES (%s, %s, NULL, %s, 30, '{NULL,2,NULL}', '{p10}', '{{1,NULL,NULL}}')",
            [site.site_uuid, MAY, MAY],
        )
        go(direct, parent="forecasts", archive=tmp_path)
        (path,) = tmp_path.iterdir()
        rows = pq.read_table(path, columns=["forecast_power_kw", "probabilistic_values"]).to_pylist()
        assert [tuple(row.values()) for row in rows] == [(None, {"p10": 1.0}), (2.0, {"p10": None})]


class TestSites:
    """Of some sites alone: no partition is dropped, their rows are deleted month by month."""

    @pytest.fixture
    def sites(self, readings: pd.DataFrame) -> list[UUID]:
        """The three sites, in ascending order."""
        return sorted(set(readings["site_uuid"]))

    @staticmethod
    def parted(readings: pd.DataFrame, *sites: UUID, before: datetime = MID_JUNE) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The rows that go, and those that stay."""
        old = readings["site_uuid"].isin(sites) & (readings["start_utc"] < before)
        return readings[old].reset_index(drop=True), readings[~old].reset_index(drop=True)

    @pytest.mark.parametrize("archived", [True, False])
    @pytest.mark.parametrize("numbers", [(0,), (1,), (0, 2), (0, 1, 2)])
    def test_their_old_rows_go_and_all_others_stay(
        self, repo, direct, admin, readings, sites, tmp_path, archived, numbers
    ):
        before = tables(admin)
        chosen = [sites[n] for n in numbers]
        said = go(direct, sites=SiteFilter(site_uuids=chosen), archive=tmp_path if archived else None)
        old, new = self.parted(readings, *chosen)
        assert len(old) == len(chosen) * (2 * ROWS + 6)
        pd.testing.assert_frame_equal(repo.generation.read_frame(), new)
        assert tables(admin) == before
        assert sum(int(line.split()[0]) for line in said if line.endswith("rows deleted")) == len(old)
        if not archived:
            return
        assert files(tmp_path) == [
            "generation_2024-04-01_2024-05-01_some_sites.parquet",
            "generation_2024-05-01_2024-06-01_some_sites.parquet",
            "generation_2024-06-01_2024-06-15T120000Z_some_sites.parquet",
        ]
        pd.testing.assert_frame_equal(loaded(*tmp_path.iterdir()), old)
        for path in tmp_path.iterdir():
            repo.generation.insert(pd.read_parquet(path))
        pd.testing.assert_frame_equal(
            repo.generation.read_frame().drop(columns="created_utc"), readings.drop(columns="created_utc")
        )

    @pytest.mark.parametrize("archived", [True, False])
    def test_their_old_forecasts_go(self, repo, dsn, direct, tmp_path, archived):
        one, other = (repo.sites.create().site_uuid for _ in range(2))
        for timestamp in (MAY, JUNE, JUNE + HOUR, MID_JUNE):
            for model in ("a", "b", None):
                frames = [forecast_frame(uuid, timestamp=timestamp) for uuid in (one, other)]
                repo.forecasts.insert(together(*frames), model_name=model)
        before = stored(dsn)
        said = go(
            direct,
            parent="forecasts",
            sites=SiteFilter(site_uuids=[one]),
            archive=tmp_path if archived else None,
            batch_rows=2,
        )
        left = {key: row for key, row in before.items() if key[0] == other or key[1] >= MID_JUNE}
        assert (len(before), len(left)) == (24, 15)
        assert stored(dsn) == left
        assert [line for line in said if line.endswith("rows deleted")] == ["3 rows deleted", "6 rows deleted"]
        if archived:
            for path in tmp_path.iterdir():
                repo.forecasts.insert(pd.read_parquet(path))
            assert without_uuids(stored(dsn)) == without_uuids(before)

    def test_a_dry_run_says_what_goes_and_changes_nothing(self, repo, direct, admin, readings, sites, tmp_path):
        before = tables(admin)
        said = go(direct, sites=SiteFilter(site_uuids=sites[:2]), archive=tmp_path, dry_run=True)
        what = "to be archived and deleted in batches of 5"
        assert said == [
            "public.generation, rows of 2 sites before 2024-06-15T12:00:00Z:",
            *(
                f"  24 rows since 2024-0{month}-01T00:00:00Z, before 2024-0{month + 1}-01T00:00:00Z: {what}"
                for month in (4, 5)
            ),
            f"  12 rows since 2024-06-01T00:00:00Z: {what}",
            "dry run: nothing was deleted",
        ]
        assert (tables(admin), files(tmp_path)) == (before, [])
        pd.testing.assert_frame_equal(repo.generation.read_frame(), readings)

    def test_no_transaction_deletes_more_than_a_batch(self, direct, readings, sites, tmp_path, monkeypatch):
        sizes, gone = [], Rows._delete_batch
        monkeypatch.setattr(Rows, "_delete_batch", lambda *a: sizes.append(len(found := gone(*a))) or found)
        go(direct, JUNE, sites=SiteFilter(site_uuids=sites[:2]), batch_rows=10)
        assert sizes == [10, 10, 4, 0] * 2
        sizes.clear()
        go(direct, JUNE, sites=SiteFilter(site_uuids=sites[2:]), batch_rows=10, archive=tmp_path)
        assert sizes == [10, 2] * 2

    def test_a_site_matches_all_filters_and_any_value_of_each(self, repo, direct, admin):
        made = {
            (country, group): repo.sites.create(country=country).site_uuid
            for country in ("uk", "india", "malta")
            for group in ("roofs", "fields", "none")
        }
        for group in ("roofs", "fields", "empty"):
            repo.site_groups.create(group)
        for (_, group), uuid in made.items():
            if group != "none":
                repo.site_groups.add_site(group, site_uuid=uuid)
        conn = QueryConnection(admin)
        some = [made["uk", "roofs"], made["malta", "none"]]
        for filters, fits in (
            ({"countries": ["uk"]}, lambda country, group: country == "uk"),
            ({"countries": ["uk", "india"]}, lambda country, group: country != "malta"),
            ({"site_group_names": ["roofs"]}, lambda country, group: group == "roofs"),
            ({"site_group_names": ["roofs", "fields"]}, lambda country, group: group != "none"),
            ({"site_group_names": ["empty"]}, lambda country, group: False),
            (
                {"countries": ["uk", "india"], "site_group_names": ["roofs", "empty"]},
                lambda country, group: country != "malta" and group == "roofs",
            ),
            ({"site_uuids": [str(uuid) for uuid in some]}, lambda country, group: made[country, group] in some),
            ({"site_uuids": some, "countries": ["uk"]}, lambda country, group: (country, group) == ("uk", "roofs")),
            ({"site_uuids": some, "site_group_names": ["fields"]}, lambda country, group: False),
        ):
            expected = sorted(uuid for key, uuid in made.items() if fits(*key))
            assert SiteFilter(**filters).find(conn) == expected, filters
        said = go(direct, sites=SiteFilter(site_group_names=["empty"]))
        assert said == ["public.generation, rows of 0 sites before 2024-06-15T12:00:00Z:", "  none"]

    def test_names_that_do_not_exist_are_said_and_nothing_is_done(self, repo, direct, admin, readings, sites):
        unknown = UUID(int=9)
        repo.site_groups.create("company")
        wrong = SiteFilter(
            site_uuids=[sites[0], unknown], countries=["uk", "wales"], site_group_names=["company", "compony", "it's"]
        )
        with pytest.raises(NotFound) as error:
            go(direct, sites=wrong)
        expected = [f"no site '{unknown}'", "no country 'wales'", "no site group 'compony'", 'no site group "it\'s"']
        assert str(error.value) == ", ".join(expected)
        pd.testing.assert_frame_equal(repo.generation.read_frame(), readings)

    @pytest.mark.parametrize(
        ("filters", "said"),
        [
            ({}, "a site filter requires site_uuids, countries or site_group_names"),
            ({"site_uuids": []}, "site_uuids: must be a list that is not empty"),
            ({"countries": []}, "countries: must be a list that is not empty"),
            ({"countries": "uk"}, "countries: must be a list that is not empty, got 'uk'"),
            ({"site_group_names": [""]}, "site_group_names: must not be an empty string"),
            ({"site_uuids": ["roof"]}, "site_uuids: must be a UUID, got 'roof'"),
        ],
    )
    def test_a_filter_that_selects_nothing_is_refused(self, filters, said):
        with pytest.raises(InvalidInput, match=said):
            SiteFilter(**filters)

    def test_what_a_deleted_site_has_left_can_be_pruned(self, repo, direct, readings, sites):
        repo.sites.delete(sites[1])
        go(direct, sites=SiteFilter(site_uuids=[sites[1]]))
        pd.testing.assert_frame_equal(repo.generation.read_frame(), self.parted(readings, sites[1])[1])

    def test_rows_of_a_default_partition_go_too(self, repo, direct, admin, readings, sites):
        admin.execute("CREATE TABLE other PARTITION OF generation DEFAULT")
        for year in (2000, 2030):
            admin.execute(
                "INSERT INTO generation SELECT site_uuid, make_date(%s, 1, 1), make_date(%s, 1, 2), 1 FROM sites",
                [year, year],
            )
        go(direct, sites=SiteFilter(site_uuids=sites[:1]))
        assert admin.execute("SELECT count(*) FROM other").fetchone() == (2 + 3,)

    def test_rows_that_change_after_they_were_archived_stay(self, repo, direct, readings, sites, tmp_path, monkeypatch):
        old, _ = self.parted(readings, sites[0])
        changed, months = old.tail(2), []
        read_readings = archive.read_readings

        def meanwhile(*arguments: Any) -> Any:
            months.append(arguments)
            repo.generation.insert(changed.assign(generation_power_kw=6.0 + len(months)), on_conflict="update")
            return read_readings(*arguments)

        monkeypatch.setattr(archive, "read_readings", meanwhile)
        said = go(direct, sites=SiteFilter(site_uuids=sites[:1]), archive=tmp_path)
        assert said[-1] == "4 rows deleted; 2 skipped, because they were changed or deleted"
        assert list(repo.generation.read_frame(sites[:1], end_utc=MID_JUNE)["generation_power_kw"]) == [9.0, 9.0]

    @pytest.mark.parametrize(
        ("place", "step"),
        [("after", "digest"), ("before", "named"), ("after", "named"), ("before", "batch"), ("after", "batch")],
    )
    def test_killed_at_any_step_it_loses_nothing_and_the_next_run_goes_on(
        self, repo, direct, admin, readings, sites, tmp_path, place, step
    ):
        with child(direct, place, step, "kill", *sites[:2], folder=tmp_path) as process:
            assert process.wait(60) == -signal.SIGKILL
        until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
        present = [repo.generation.read_frame(), *map(pd.read_parquet, tmp_path.glob("*.parquet"))]
        assert keys(*present) == keys(readings)

        go(direct, sites=SiteFilter(site_uuids=sites[:2]), archive=tmp_path)
        old, new = self.parted(readings, *sites[:2])
        pd.testing.assert_frame_equal(repo.generation.read_frame(), new)
        archives = loaded(*tmp_path.iterdir()).drop_duplicates().reset_index(drop=True)
        pd.testing.assert_frame_equal(archives, old)
        assert all(path.suffix == ".parquet" for path in tmp_path.iterdir())

    def test_a_month_that_an_interrupted_prune_detached_is_skipped(self, repo, direct, admin, readings, sites):
        with child(direct, "after", "rename", "kill") as process:
            process.wait(60)
        until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
        (name,) = (name for name, rest in tables(admin).items() if rest[0] is None)
        said = go(direct, sites=SiteFilter(site_uuids=sites[:1]))
        assert f"public.{name} is detached: skipped; run prune without a site filter to drop it" in said
        assert admin.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone() == (36,)
        assert len(repo.generation.read_frame()) == len(readings) - 36 - ROWS - 6

    def test_only_one_prune_of_a_table_runs_at_a_time(self, direct, readings, sites):
        with psycopg.connect(direct, autocommit=True) as other:
            other.execute(queries.query("prune/lock").text, {"name": "public.generation"})
            with pytest.raises(PvsiteSqlError, match=r"another prune of public\.generation is running"):
                go(direct, sites=SiteFilter(site_uuids=sites[:1]))


def without_uuids(rows: dict[Any, Any]) -> dict[Any, Any]:
    """The forecasts, their probabilistic values by name."""
    return {
        key: (*row[1:5], dict(zip(row.levels or (), map(tuple, row.level_kw or ()), strict=True)))
        for key, row in rows.items()
    }


class TestArchives:
    @staticmethod
    def spoiled(change: Callable[[Path], None], monkeypatch: Any, folder: Path) -> None:
        """Change a file as soon as it is written, before it is read back."""
        fsync = os.fsync

        def synced(descriptor: int) -> None:
            fsync(descriptor)
            for path in folder.glob(".*.part"):
                change(path)

        monkeypatch.setattr(archive.os, "fsync", synced)

    @staticmethod
    def other_value(path: Path) -> None:
        table = pq.read_table(path)
        powers = table.column("generation_power_kw").to_pylist()
        powers[-1] += 1e-12
        table = table.set_column(3, "generation_power_kw", pa.array(powers))
        pq.write_table(table, path)

    @staticmethod
    def lost_row(path: Path) -> None:
        pq.write_table(pq.read_table(path)[:-1], path)

    @staticmethod
    def lost_end(path: Path) -> None:
        os.truncate(path, path.stat().st_size - 5)

    @pytest.mark.parametrize("change", ["other_value", "lost_row", "lost_end"])
    @pytest.mark.parametrize("before", [JUNE, MID_JUNE], ids=["partition", "rest"])
    def test_one_that_is_not_what_was_written_drops_nothing(
        self, repo, direct, admin, readings, tmp_path, monkeypatch, change, before
    ):
        if before == MID_JUNE:
            go(direct, JUNE)
            readings = split(readings, JUNE)[1]
        self.spoiled(getattr(self, change), monkeypatch, tmp_path)
        said: list[str] = []
        with pytest.raises(PvsiteSqlError, match=r"generation_2024-0.*\.parquet"):
            go(direct, before, archive=tmp_path, report=said.append)
        assert files(tmp_path) == []
        monkeypatch.undo()
        if before == JUNE:
            assert len(tables(admin)) == 4
            kept = said[-1]
            assert "is detached but not dropped" in kept
            admin.execute(kept.partition("with: ")[2])  # as it says, it can be put back
        pd.testing.assert_frame_equal(repo.generation.read_frame(), readings)
        go(direct, before, archive=tmp_path)
        old, new = split(readings, before)
        pd.testing.assert_frame_equal(repo.generation.read_frame(), new)
        pd.testing.assert_frame_equal(loaded(*tmp_path.iterdir()), old)
        assert attached(admin) == list(tables(admin))

    def test_what_was_left_detached_is_archived_by_the_next_run(
        self, repo, direct, admin, readings, tmp_path, monkeypatch
    ):
        self.spoiled(self.lost_end, monkeypatch, tmp_path)
        with pytest.raises(PvsiteSqlError):
            go(direct, JUNE, archive=tmp_path)
        monkeypatch.undo()
        assert any(
            "detached): to be archived and dropped" in line for line in go(direct, JUNE, archive=tmp_path, dry_run=True)
        )
        late = readings.head(1)
        repo.generation.insert(late)  # the month's name is free
        go(direct, JUNE, archive=tmp_path)
        assert attached(admin) == list(tables(admin)) == ["generation_p2024_06", "generation_p2024_07"]
        assert files(tmp_path) == [
            "generation_2024-04-01_2024-05-01.parquet",
            "generation_2024-04-01_2024-05-01_2.parquet",
            "generation_2024-05-01_2024-06-01.parquet",
        ]
        everything = loaded(*tmp_path.iterdir()).drop_duplicates(["site_uuid", "start_utc"]).reset_index(drop=True)
        columns = ["site_uuid", "start_utc", "end_utc", "generation_power_kw"]
        pd.testing.assert_frame_equal(everything[columns], split(readings, JUNE)[0][columns])

    @pytest.mark.parametrize("links", [True, False])
    def test_one_that_is_there_is_never_replaced(self, direct, readings, tmp_path, monkeypatch, links):
        def no_link(*_: object) -> None:
            raise PermissionError

        if not links:
            monkeypatch.setattr(archive.os, "link", no_link)
        taken = [tmp_path / f"generation_2024-04-01_2024-05-01{n}.parquet" for n in ("", "_2")]
        for path in taken:
            path.write_text("mine")
        go(direct, MAY, archive=tmp_path)
        assert [path.read_text() for path in taken] == ["mine", "mine"]
        assert len(loaded(tmp_path / "generation_2024-04-01_2024-05-01_3.parquet")) == 3 * ROWS
        assert len(files(tmp_path)) == 3

    @pytest.mark.parametrize("folder", ["nowhere", "file"])
    def test_a_place_where_none_can_be_written_is_said_before_anything_is_done(
        self, direct, admin, readings, tmp_path, folder
    ):
        (tmp_path / "file").touch()
        with pytest.raises(PvsiteSqlError, match="cannot write an archive to"):
            go(direct, archive=tmp_path / folder)
        assert len(attached(admin)) == 4

    def test_without_pyarrow_it_says_what_brings_it(self, direct, admin, readings, tmp_path, monkeypatch):
        monkeypatch.setattr("pvsite_sql.prune.pruning.find_spec", lambda name: None)
        with pytest.raises(PvsiteSqlError, match=r"pip install \"pvsite_sql\[load\]\""):
            go(direct, archive=tmp_path)
        assert len(attached(admin)) == 4

    def test_rows_that_change_or_come_after_it_was_written_stay(self, repo, direct, readings, tmp_path, monkeypatch):
        go(direct, JUNE)
        old, _ = split(split(readings, JUNE)[1])
        changed = old.head(2).assign(generation_power_kw=9.0)
        late = old.head(1).assign(start_utc=JUNE, end_utc=JUNE + HOUR)
        read_readings = archive.read_readings

        def meanwhile(*arguments: Any) -> Any:
            repo.generation.insert(pd.concat([changed, late]), on_conflict="update")
            return read_readings(*arguments)

        monkeypatch.setattr(archive, "read_readings", meanwhile)
        said = go(direct, archive=tmp_path)
        assert said[-1] == "16 rows deleted; 2 skipped, because they were changed or deleted"
        left = repo.generation.read_frame(end_utc=MID_JUNE)
        assert sorted(left["generation_power_kw"]) == sorted([late["generation_power_kw"].iloc[0], 9.0, 9.0])
        pd.testing.assert_frame_equal(loaded(*tmp_path.iterdir()), old)
        monkeypatch.undo()
        go(direct, archive=tmp_path)
        assert len(repo.generation.read_frame(end_utc=MID_JUNE)) == 0
        assert len(loaded(*tmp_path.iterdir())) == 18 + 3

    def test_forecasts_that_are_replaced_after_it_was_written_stay(
        self, repo, dsn, direct, site, tmp_path, monkeypatch
    ):
        fixed = {"created_utc": MAY}
        for n in range(4):
            repo.forecasts.insert(forecast_frame(site.site_uuid, timestamp=JUNE + n * HOUR), **fixed)
        replaced = forecast_frame(site.site_uuid, [5.0], timestamp=JUNE + HOUR)
        inner = Rows._archived_forecasts

        def meanwhile(*arguments: Any) -> Any:
            assert repo.forecasts.insert(replaced, **fixed).updated == 1
            return inner(*arguments)

        monkeypatch.setattr(Rows, "_archived_forecasts", meanwhile)
        go(direct, parent="forecasts", archive=tmp_path)
        assert [(key[1], row.power_kw) for key, row in stored(dsn).items()] == [(JUNE + HOUR, [5.0])]


class TestRefusals:
    @pytest.mark.parametrize("parent", ["generation", "forecasts"])
    def test_the_future_and_this_month_are_refused(self, repo, direct, admin, site, parent):
        now = datetime.now(UTC)
        repo.generation.insert(reading_frame(site.site_uuid, start=f"{now - 2 * HOUR:%Y-%m-%dT%H:00}", rows=2))
        with pytest.raises(InvalidInput, match="in the future"):
            go(direct, now + HOUR, parent=parent, current_month=True)
        with pytest.raises(InvalidInput, match="--current-month"):
            go(direct, now, parent=parent)
        assert len(repo.generation.read_frame()) == 2
        go(direct, now, current_month=True)
        assert len(repo.generation.read_frame()) == 0

    def test_a_bad_time_for_one_table_leaves_the_other_alone_too(self, direct, admin, readings):
        far = datetime(2090, 1, 1, tzinfo=UTC)
        with pytest.raises(InvalidInput, match="forecasts before: 2090-01-01T00:00:00Z is in the future"):
            prune(direct, {"generation": MID_JUNE, "forecasts": far})
        assert len(attached(admin)) == 4

    def test_only_the_owner_may(self, direct, admin, readings):
        admin.execute("DROP ROLE IF EXISTS pvsite_sql_guest")
        admin.execute("CREATE ROLE pvsite_sql_guest LOGIN")
        try:
            with pytest.raises(
                PvsiteSqlError,
                match=r"only .*, the owner of public\.generation, can prune it; the current user is pvsite_sql_guest",
            ):
                go(f"{direct} options='-c role=pvsite_sql_guest'")
        finally:
            admin.execute("DROP ROLE pvsite_sql_guest")
        assert len(attached(admin)) == 4

    def test_two_at_once_are_refused(self, direct, admin, readings):
        with psycopg.connect(direct, autocommit=True) as other:
            asked = queries.query("prune/lock").text
            assert other.execute(asked, {"name": "public.generation"}).fetchone() == (True,)
            with pytest.raises(PvsiteSqlError, match=r"another prune of public\.generation is running"):
                go(direct)
        assert len(attached(admin)) == 4

    def test_a_database_without_the_tables_is_said(self, empty_dsn):
        with pytest.raises(PvsiteSqlError, match="no table generation in search_path"):
            go(empty_dsn)

    def test_what_the_server_refuses_leaves_the_partition_as_it_was(self, direct, admin, readings):
        admin.execute("CREATE TABLE other PARTITION OF generation DEFAULT")
        before = tables(admin)
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="default partition"):
            go(direct)
        assert tables(admin) == before

    def test_tables_that_somebody_else_detached_are_left_alone(self, repo, direct, admin, readings):
        admin.execute("ALTER TABLE generation DETACH PARTITION generation_p2024_04")
        go(direct)
        assert list(tables(admin)) == ["generation_p2024_04", "generation_p2024_06", "generation_p2024_07"]
        assert admin.execute("SELECT count(*) FROM generation_p2024_04").fetchone() == (3 * ROWS,)

    def test_a_mark_that_an_interrupted_run_left_is_taken_away_where_the_month_stays(self, direct, admin, readings):
        mark = "COMMENT ON TABLE generation_p2024_06 IS 'pvsite-sql prune: public.generation FOR VALUES'"
        admin.execute(mark)
        go(direct, MID_JUNE)
        assert attached(admin) == ["generation_p2024_06", "generation_p2024_07"]


@contextmanager
def child(
    direct: str, place: str, step: str, what: str, *sites: Any, before: datetime = MID_JUNE, folder: Path | str = ""
) -> Iterator[Any]:
    """A prune in a process of its own that stops at a step."""
    environment = {**os.environ, "PYTHONPATH": str(Path(pvsite_sql.__file__).parents[1])}
    arguments = [direct, "generation", before.isoformat(), str(folder), place, step, what, *map(str, sites)]
    command = [sys.executable, "-c", CHILD, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


STEPS = [
    ("before", "mark"),
    ("after", "mark"),
    ("after", "detach"),
    ("after", "rename"),
    ("after", "view"),
    ("after", "digest"),
    ("before", "named"),
    ("after", "named"),
    ("after", "drop"),
    ("before", "batch"),
    ("after", "batch"),
]


@pytest.mark.parametrize(("place", "step"), STEPS)
def test_killed_at_any_step_it_loses_nothing_and_the_next_run_goes_on(
    repo, direct, admin, readings, tmp_path, place, step
):
    with child(direct, place, step, "kill", folder=tmp_path) as process:
        assert process.wait(60) == -signal.SIGKILL
    until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
    detached = [name for name, rest in tables(admin).items() if rest[0] is None]
    present = [repo.generation.read_frame(), *map(pd.read_parquet, tmp_path.glob("*.parquet"))]
    for name in detached:
        rows = admin.execute(sql.SQL("SELECT site_uuid, start_utc FROM {}").format(sql.Identifier(name)))
        present.append(pd.DataFrame(rows.fetchall(), columns=["site_uuid", "start_utc"]))
    assert keys(*present) == keys(readings)

    go(direct, archive=tmp_path)
    old, new = split(readings)
    assert attached(admin) == list(tables(admin)) == ["generation_p2024_06", "generation_p2024_07"]
    pd.testing.assert_frame_equal(repo.generation.read_frame(), new)
    archives = loaded(*tmp_path.iterdir()).drop_duplicates().reset_index(drop=True)
    pd.testing.assert_frame_equal(archives, old)
    assert all(path.suffix == ".parquet" for path in tmp_path.iterdir())


def told(direct: str) -> list[drift.Finding]:
    """What `check` says of tables that a prune has taken out."""
    with psycopg.connect(direct, autocommit=True) as connection:
        found = check.findings(QueryConnection(connection))
    assert "is not part of the package" not in {each.message for each in found}
    return [each for each in found if each.kind == "pruned"]


@pytest.mark.parametrize("step", ["detach", "rename"])
def test_check_tells_what_an_interrupted_prune_has_left_and_how_to_put_it_back(repo, direct, admin, readings, step):
    assert told(direct) == []
    with child(direct, "after", step, "wait") as process:
        assert process.stdout.readline() == "there\n"
        (left,) = told(direct)
        assert (left.severity, left.message, left.sql) == (
            *("information", "was detached from generation by a prune that is still running", ""),
        )
    until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
    (left,) = told(direct)
    (name,) = (name for name, rest in tables(admin).items() if rest[0] is None)
    assert (left.severity, left.object) == ("warning", f"table {name}")
    assert "was detached from generation by an interrupted prune" in left.message
    assert left.message.endswith("run prune again or attach it again")
    admin.execute(left.sql)
    assert told(direct) == []
    assert name in attached(admin)
    pd.testing.assert_frame_equal(repo.generation.read_frame(), readings)


def test_what_an_interrupted_prune_has_left_of_a_month_that_is_there_anew_is_not_put_back(
    repo, direct, admin, readings
):
    with child(direct, "after", "rename", "kill") as process:
        process.wait(60)
    until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
    repo.generation.insert(reading_frame(readings["site_uuid"][0], start="2024-04-02"))
    (left,) = told(direct)
    assert (left.severity, left.sql) == ("warning", "")
    assert left.message.endswith("run prune again (its month has a new partition)")


def keys(*frames: pd.DataFrame) -> set[tuple[str, Any]]:
    return {(str(site), start) for f in frames for site, start in zip(f["site_uuid"], f["start_utc"], strict=True)}


@pytest.mark.parametrize("step", ["mark", "detach", "rename"])
def test_killed_without_an_archive_the_next_run_goes_on(repo, direct, admin, readings, step):
    with child(direct, "after", step, "kill") as process:
        assert process.wait(60) == -signal.SIGKILL
    until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
    go(direct)
    assert attached(admin) == list(tables(admin)) == ["generation_p2024_06", "generation_p2024_07"]


class TestOthers:
    """Readers and writers at the same time."""

    @pytest.fixture
    def impatient(self, dsn: str) -> Iterator[Repository]:
        """Gives up where it is held up for far longer than prune's lock timeout."""
        with Repository(dsn, min_size=1, max_size=10, kwargs={"options": "-c lock_timeout=10s"}) as repo:
            yield repo

    @contextmanager
    def reader(self, direct: str, isolation: Any = None) -> Iterator[psycopg.Connection]:
        """A transaction that has read all of the table."""
        with psycopg.connect(direct) as connection:
            connection.isolation_level = isolation
            connection.execute("SELECT count(*) FROM generation")
            yield connection

    def use(self, repo: Repository, readings: pd.DataFrame, day: int) -> None:
        """What readers and writers do: each call ends, or fails."""
        new = reading_frame(readings["site_uuid"].iloc[0], start=f"2024-08-{day:02}")
        assert repo.generation.insert(new).inserted == len(new)
        month = reading_frame(readings["site_uuid"].iloc[0], start=f"2025-{day:02}-01")
        assert repo.generation.insert(month).inserted == len(month)  # makes a partition
        corrected = split(readings)[1].assign(generation_power_kw=100.0 + day)
        assert repo.generation.insert(corrected, on_conflict="update").updated == len(corrected)
        assert len(repo.generation.read_frame(start_utc=MID_JUNE)) >= len(corrected)
        assert repo.generation.read()

    def test_a_long_reader_is_waited_for_and_nothing_is_begun(self, impatient, direct, admin, readings):
        before = tables(admin)
        with self.reader(direct) as reader:
            pid = reader.info.backend_pid
            with pytest.raises(
                PvsiteSqlError, match=rf"in use for 0\.5 seconds by pid {pid} \(user .*\); .* was not changed"
            ):
                go(direct, wait_s=0.5)
        assert tables(admin) == before
        waits = Event()
        with ThreadPoolExecutor(1) as threads, self.reader(direct) as reader:
            pruned = threads.submit(go, direct, report=lambda said: waits.set() if "waiting" in said else None)
            assert waits.wait(20)
            self.use(impatient, readings, 1)
            assert not pruned.done()
            reader.rollback()
            pruned.result(60)
        assert "generation_p2024_05" not in tables(admin)

    @pytest.mark.parametrize("isolation", [None, psycopg.IsolationLevel.REPEATABLE_READ])
    @pytest.mark.parametrize("what", ["wait", "kill"])
    def test_half_detached_it_is_finished_when_the_last_reader_is_gone(
        self, impatient, direct, admin, readings, what, isolation
    ):
        with child(direct, "before", "detach", "wait") as process:
            assert process.stdout.readline() == "there\n"
            with self.reader(direct, isolation) as reader:
                process.stdin.write("on\n")
                process.stdin.flush()
                until(lambda: tables(admin)["generation_p2024_04"][1])
                if what == "kill":
                    process.kill()
                    process.wait()
                    until(lambda: admin.execute(CONNECTED).fetchone() == (0,))
                self.use(impatient, readings, 1)
                assert tables(admin)["generation_p2024_04"][1]
                rows = reader.execute("SELECT count(*) FROM generation WHERE start_utc < '2024-05-01'").fetchone()
                assert rows == ((3 * ROWS if isolation else 0),)
                if what == "kill":
                    with pytest.raises(PvsiteSqlError, match="is half detached: its rows are stored but not visible"):
                        go(direct, wait_s=0.5)
                    self.use(impatient, readings, 2)
                    assert tables(admin)["generation_p2024_04"][1]
            if what == "wait":
                assert process.wait(60) == 0
        if what == "kill":
            earlier = reading_frame(readings["site_uuid"].iloc[0], start="2024-03-07")
            impatient.generation.insert(earlier)  # whose month could not be detached before
            go(direct)
        assert attached(admin)[:2] == ["generation_p2024_06", "generation_p2024_07"]
        assert len(tables(admin)) == len(attached(admin))

    def test_a_partition_that_is_locked_is_tried_again(self, impatient, direct, admin, readings):
        go(direct, MAY)
        with ThreadPoolExecutor(1) as threads, psycopg.connect(direct) as other:
            other.execute("LOCK TABLE generation_p2024_05 IN SHARE UPDATE EXCLUSIVE MODE")  # as VACUUM does
            with pytest.raises(
                PvsiteSqlError,
                match=rf"was not changed: no lock on .* for 0.3 seconds, used by pid {other.info.backend_pid} ",
            ):
                go(direct, JUNE, wait_s=0.3)
            assert len(attached(admin)) == 3
            pruned = threads.submit(go, direct, JUNE)
            until(lambda: admin.execute(BLOCKED).fetchone() == (1,))
            self.use(impatient, readings, 1)
            other.rollback()
            pruned.result(60)
        assert "generation_p2024_05" not in tables(admin)

    @pytest.mark.parametrize("archived", [True, False])
    def test_a_row_that_is_locked_holds_up_its_batch_alone(
        self, impatient, direct, admin, readings, tmp_path, archived
    ):
        go(direct, JUNE)
        folder = tmp_path if archived else None
        rest = split(split(readings, JUNE)[1])[0]
        with psycopg.connect(direct) as other:
            last = rest.iloc[-1]
            other.execute(
                "SELECT FROM generation WHERE site_uuid = %s AND start_utc = %s FOR UPDATE",
                [last["site_uuid"], last["start_utc"]],
            )
            with pytest.raises(PvsiteSqlError, match=r"not all rows of public\.generation were deleted: no lock on"):
                go(direct, wait_s=0.3, archive=folder)
            left = len(impatient.generation.read_frame(end_utc=MID_JUNE))
            assert 0 < left < len(rest)

            def release() -> None:
                self.use(impatient, readings, 1)
                other.rollback()

            (said,) = held_up(admin, release, lambda: go(direct, archive=folder))
        assert said[-1] == f"{left} rows deleted"
        assert len(impatient.generation.read_frame(end_utc=MID_JUNE)) == 0
        if archived:
            found = loaded(*tmp_path.iterdir()).drop_duplicates().reset_index(drop=True)
            pd.testing.assert_frame_equal(found, rest)

    def test_many_go_on_while_month_after_month_goes(self, impatient, direct, admin, site, tmp_path):
        months = pd.date_range("2023-01-01", periods=12, freq="MS", tz="UTC")
        days = [reading_frame(site.site_uuid, start=f"{month:%Y-%m-%d}", rows=288) for month in months]
        impatient.generation.insert(days)
        before, end = impatient.generation.read_frame(), Event()
        cut = datetime(2023, 12, 1, 12, tzinfo=UTC)

        def again(work: Callable[[int], object]) -> int:
            done = 0
            while not end.is_set():
                work(done)
                done += 1
            return done

        def write(n: int) -> None:
            frame = reading_frame(site.site_uuid, start="2024-03-01", rows=50, power_kw=float(n))
            impatient.generation.insert(frame, on_conflict="update")

        def make(n: int) -> None:
            start = pd.Timestamp("2030-01-01") + pd.DateOffset(months=n % 60)
            impatient.generation.insert(reading_frame(site.site_uuid, start=str(start), rows=1))

        def correct(n: int) -> None:
            late = before[before["start_utc"] >= cut]
            impatient.generation.insert(late.assign(generation_power_kw=float(n)), on_conflict="update")

        def read(n: int) -> None:
            # what is not pruned is always there, whole
            assert len(impatient.generation.read_frame(start_utc=cut, end_utc=datetime(2024, 1, 1, tzinfo=UTC))) == 144

        works = [
            write,
            make,
            correct,
            read,
            lambda n: impatient.generation.read_frame(),
            lambda n: impatient.generation.latest(),
        ]
        blocked_by_prune = """
            SELECT count(*) FROM pg_stat_activity AS a, pg_stat_activity AS p
            WHERE p.application_name = 'pvsite-sql prune' AND p.pid = ANY(pg_blocking_pids(a.pid)) AND a.pid <> p.pid
                AND clock_timestamp() - a.state_change > interval '10 s'
        """
        with ThreadPoolExecutor(len(works) + 1) as threads:
            others = [threads.submit(again, work) for work in works]
            watcher = threads.submit(
                again, lambda n: admin.execute(blocked_by_prune).fetchone() == (0,) or pytest.fail("blocked")
            )
            try:
                go(direct, cut, archive=tmp_path, wait_s=60, batch_rows=20)
            finally:
                end.set()
            counts = [other.result(60) for other in [*others, watcher]]  # none was held up for ten seconds, or failed
        assert min(counts) > 0
        pd.testing.assert_frame_equal(
            loaded(*tmp_path.iterdir()), before[before["start_utc"] < cut].reset_index(drop=True)
        )
        assert len(impatient.generation.read_frame(end_utc=cut)) == 0
        assert not [name for name, rest in tables(admin).items() if rest != ["generation", False, None]]


class TestCommand:
    def test_prunes_both_and_says_so(self, repo, dsn, direct, site, readings, tmp_path):
        repo.forecasts.insert(forecast_frame(site.site_uuid, timestamp=MAY))
        both = ["--generation-before", "2024-06-15T14:00+02:00", "--forecasts-before", "2024-06-01"]
        code, out, err = run("prune", *both, "--dry-run", "--dsn", direct)
        assert (code, err) == (0, "")
        assert out.count("nothing was deleted") == 2
        assert len(repo.generation.read_frame()) == len(readings)
        code, out, err = run("prune", *both, "--archive", tmp_path, "--lock-timeout", "0.2", PVSITE_SQL_DSN=direct)
        assert (code, err) == (0, "")
        assert "public.generation, rows before 2024-06-15T12:00:00Z:" in out
        assert out.endswith("18 rows deleted\n")
        assert len(files(tmp_path)) == 4
        assert stored(dsn) == {}
        pd.testing.assert_frame_equal(repo.generation.read_frame(), split(readings)[1])

    def test_prunes_some_sites(self, repo, direct, readings):
        first, second, third = sorted(set(readings["site_uuid"]))
        repo.site_groups.create("roofs")
        repo.sites.update(third, country="india")
        for uuid in (first, third):
            repo.site_groups.add_site("roofs", site_uuid=uuid)
        options = ["prune", "--generation-before", "2024-06-01", "--dsn", direct]
        code, out, err = called(*options, "--site-group", "roofs", "--country", "uk", "--country", "india", "--dry-run")
        assert (code, err) == (0, "")
        assert "rows of 2 sites before" in out
        assert called(*options, "--site-group", "roofs", "--country", "uk")[0] == 0
        assert {each.site_uuid for each in repo.generation.read(end_utc=JUNE)} == {second, third}
        assert called(*options, "--site", second, "--site", third)[0] == 0
        assert repo.generation.read(end_utc=JUNE) == []
        assert len(repo.generation.read()) == 3 * 2 * ROWS
        for option, value, ended, said in (
            ("--site", UUID(int=9), 1, f"no site '{UUID(int=9)}'\n"),
            ("--site-group", "compony", 1, "no site group 'compony'\n"),
            ("--country", "wales", 1, "no country 'wales'\n"),
            ("--country", "", 1, "countries: must not be an empty string"),
            ("--site", "roof", 2, "must be a UUID, got 'roof'"),
            ("--site", "", 2, "must be a UUID, got ''"),
        ):
            code, out, err = called(*options, option, value)
            assert (code, out) == (ended, "")
            assert said in err

    @pytest.mark.parametrize(
        ("arguments", "code", "said"),
        [
            ([], 2, "use --forecasts-before, --generation-before, or both"),
            (["--generation-before", "June"], 2, "'June' is not a date such as 2024-06-01 or a time"),
            (["--generation-before", "0001-01-01T00:00+14:00"], 2, "is not a date such as 2024-06-01"),
            (["--generation-before", "2024-06-01", "--archive", "/nowhere"], 2, "does not exist"),
            (["--generation-before", "2024-06-01", "--batch-rows", "0"], 2, "--batch-rows"),
            (["--forecasts-before", "2090-01-01"], 1, "forecasts before: 2090-01-01T00:00:00Z is in the future\n"),
        ],
    )
    def test_wrong_use_is_said_in_a_sentence(self, direct, arguments, code, said):
        ended, out, err = called("prune", *arguments, "--dsn", direct)
        assert (ended, out) == (code, "")
        assert said in " ".join(err.replace("│", " ").split()) + "\n"
        assert "Traceback" not in err

    def test_interrupted_it_stops_and_can_go_on(self, direct, admin, readings):
        with psycopg.connect(direct) as reader:
            reader.execute("SELECT count(*) FROM generation")
            with child(direct, "before", "nothing", "wait") as process:
                until(lambda: admin.execute(CONNECTED).fetchone() == (1,))
                process.send_signal(signal.SIGINT)
                assert process.wait(60) == -signal.SIGINT
        go(direct)
        assert attached(admin) == ["generation_p2024_06", "generation_p2024_07"]

    def test_help_has_every_option(self):
        code, out, _ = called("prune", "--help")
        assert code == 0
        for option in (
            "--forecasts-before",
            "--generation-before",
            "--site",
            "--country",
            "--site-group",
            "--archive",
            "--dry-run",
            "--current-month",
            "--wait",
        ):
            assert option in out
        assert max(map(len, out.splitlines())) <= 80
