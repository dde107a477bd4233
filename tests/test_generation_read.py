"""What comes out of `generation`: windows, sites, order, types, sums and the latest readings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pytest
from conftest import reading_frame

from pvsite_sql import Generation, GenerationSum, InvalidInput, Repository

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
FIVE, MICROSECOND = timedelta(minutes=5), timedelta(microseconds=1)
DTYPES = {
    "site_uuid": "object",
    "start_utc": "datetime64[us, UTC]",
    "end_utc": "datetime64[us, UTC]",
    "generation_power_kw": "float64",
    "created_utc": "datetime64[us, UTC]",
}


def put(repo: Repository, *readings: tuple[UUID, datetime, float]) -> None:
    repo.generation.insert(pd.DataFrame(readings, columns=["site_uuid", "start_utc", "power_kw"]))


def read(repo: Repository, *arguments: Any, **named: Any) -> list[tuple[UUID, datetime, float]]:
    """What `read` returns, having seen that `read_frame` returns the same."""
    rows = repo.generation.read(*arguments, **named)
    frame = repo.generation.read_frame(*arguments, **named)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == DTYPES
    assert frame.index.equals(pd.RangeIndex(len(rows)))
    assert [Generation(**row) for row in frame.to_dict("records")] == rows
    for row in rows:
        assert {row.start_utc.tzinfo, row.end_utc.tzinfo, row.created_utc.tzinfo} == {UTC}
        assert row.end_utc - row.start_utc == FIVE
    return [(row.site_uuid, row.start_utc, row.generation_power_kw) for row in rows]


@pytest.fixture
def sites(repo):
    return sorted(repo.sites.create().site_uuid for _ in range(3))


def test_by_site_and_start_each_of_them_whole(repo, sites):
    a, b, _ = sites
    put(repo, (b, NOON, 1.0), (a, NOON + FIVE, 2.0), (b, NOON - timedelta(days=40), -0.25), (a, NOON, 4.0))
    assert read(repo) == [(a, NOON, 4.0), (a, NOON + FIVE, 2.0), (b, NOON - timedelta(days=40), -0.25), (b, NOON, 1.0)]
    created = {row.created_utc for row in repo.generation.read()}
    assert len(created) == 1
    assert abs(created.pop() - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("start", "end", "positions"),
    [
        (None, None, [0, 1, 2]),
        (NOON, None, [0, 1, 2]),
        (NOON + MICROSECOND, None, [1, 2]),
        (NOON + FIVE, None, [1, 2]),
        (None, NOON, []),
        (None, NOON + MICROSECOND, [0]),
        (None, NOON + FIVE, [0]),
        (NOON, NOON + FIVE, [0]),
        (NOON + FIVE, NOON + 2 * FIVE, [1]),
        (NOON, NOON, []),
        (NOON + FIVE, NOON, []),
        (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), [0, 1, 2]),
    ],
)
def test_windows_are_half_open_on_the_start(repo, sites, start, end, positions):
    rows = [(sites[0], NOON + n * FIVE, float(n)) for n in range(3)]
    put(repo, *rows)
    wanted = [rows[n] for n in positions]
    for chosen in (None, sites):
        assert read(repo, chosen, start_utc=start, end_utc=end) == wanted
        sums = repo.generation.sums("total", site_uuids=chosen, start_utc=start, end_utc=end)
        assert [(row.start_utc, row.power_kw) for row in sums] == [row[1:] for row in wanted]


@pytest.mark.parametrize(
    "bound",
    [
        lambda t: t.replace(tzinfo=None),
        lambda t: t.astimezone(ZoneInfo("America/Denver")),
        lambda t: t.astimezone(timezone(timedelta(hours=5, minutes=45))),
        pd.Timestamp,
        lambda t: pd.Timestamp(t).tz_localize(None),
    ],
    ids=["naive", "Denver", "+05:45", "Timestamp", "naive Timestamp"],
)
def test_bounds_are_naive_utc_or_aware(repo, sites, bound):
    put(repo, *((sites[0], NOON + n * FIVE, float(n)) for n in range(4)))
    assert [row[2] for row in read(repo, start_utc=bound(NOON + FIVE), end_utc=bound(NOON + 3 * FIVE))] == [1.0, 2.0]


def test_an_hour_that_the_clock_shows_twice(repo, sites):
    first = datetime(2024, 10, 27, 1, 0, tzinfo=ZoneInfo("Europe/London"))
    put(repo, *((sites[0], first.astimezone(UTC) + timedelta(hours=n), float(n)) for n in range(3)))
    assert [row[2] for row in read(repo, start_utc=first, end_utc=first.replace(fold=1))] == [0.0]
    assert [row[2] for row in read(repo, start_utc=first.replace(fold=1))] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("choose", "numbers"),
    [
        (lambda a, b, c: None, [0, 1, 2]),
        (lambda a, b, c: [], []),
        (lambda a, b, c: (), []),
        (lambda a, b, c: [b], [1]),
        (lambda a, b, c: [str(c), a], [0, 2]),
        (lambda a, b, c: [c, c, str(c), c.hex.upper()], [2]),
        (lambda a, b, c: {b, a}, [0, 1]),
        (lambda a, b, c: iter([b, a]), [0, 1]),
        (lambda a, b, c: pd.Series([c]), [2]),
        (lambda a, b, c: np.array([str(c), str(b)]), [1, 2]),
        (lambda a, b, c: [uuid4()], []),
        (lambda a, b, c: [uuid4(), a], [0]),
    ],
)
def test_which_sites(repo, sites, choose, numbers):
    put(repo, *((site, NOON, float(n)) for n, site in enumerate(sites)))
    assert [row.generation_power_kw for row in repo.generation.read(choose(*sites))] == numbers
    assert repo.generation.read_frame(choose(*sites))["generation_power_kw"].tolist() == numbers
    assert [row.power_kw for row in repo.generation.sums("total", site_uuids=choose(*sites))] == [sum(numbers)] * bool(
        numbers
    )
    latest = repo.generation.latest(choose(*sites))
    assert list(latest) == [sites[n] for n in numbers]
    assert [row.generation_power_kw for row in latest.values()] == numbers


@pytest.mark.parametrize("method", ["read", "read_frame", "sums", "latest"])
def test_sites_that_are_no_uuids(repo, method):
    for sites in ("", "abc", uuid4(), 5, [5], ["abc"], [None], [b"0123456789abcdef"]):
        with pytest.raises(InvalidInput) as caught:
            getattr(repo.generation, method)(site_uuids=sites)
        assert caught.value.column == "site_uuids"


@pytest.mark.parametrize("method", ["read", "read_frame", "read_for_users", "sums"])
def test_bounds_that_are_no_times(repo, method):
    for name, bound in product(
        ("start_utc", "end_utc"), ("2024-06-01", NOON.date(), 5, pd.NaT, np.datetime64("2024-06-01"), "infinity")
    ):
        with pytest.raises(InvalidInput) as caught:
            getattr(repo.generation, method)(**{name: bound})
        assert caught.value.column == name


def test_nothing_is_an_empty_frame_of_the_same_dtypes(repo, sites):
    assert read(repo) == []
    put(repo, (sites[0], NOON, 1.0))
    assert read(repo, [sites[1]]) == []
    assert list(repo.generation.read_frame([])) == list(DTYPES)


def test_uuids_of_a_frame_are_uuids_of_the_right_rows(repo, sites):
    frame = pd.concat([reading_frame(site, rows=n) for site, n in zip(sites, (1, 300, 2), strict=True)])
    repo.generation.insert(frame)
    read_uuids = repo.generation.read_frame()["site_uuid"].tolist()
    assert read_uuids == frame["site_uuid"].tolist()
    assert {type(uuid) for uuid in read_uuids} == {UUID}


@pytest.mark.parametrize("setting", ["timezone = 'America/Denver'", "datestyle = 'German, DMY'", "timezone = 'UTC-14'"])
def test_the_database_may_have_its_own_time_zone_and_style(dsn, postgresql, setting):
    postgresql.execute(f'ALTER DATABASE "{postgresql.info.dbname}" SET {setting}')
    postgresql.commit()
    with Repository(dsn, min_size=1) as repo:
        site = repo.sites.create().site_uuid
        rows = [(site, datetime(2024, 6, 30, 23, 55, tzinfo=UTC) + n * FIVE, float(n)) for n in range(3)]
        for _ in range(2):  # straight, and by way of the staging table
            put(repo, *rows)
        assert read(repo) == rows
        assert read(repo, [site], start_utc=rows[1][1].replace(tzinfo=None), end_utc=rows[2][1]) == rows[1:2]
        assert [row.start_utc for row in repo.generation.sums()] == [row[1] for row in rows]
        assert repo.generation.latest()[site].start_utc == rows[2][1]


def test_reads_inside_a_transaction_see_its_writes(repo, sites):
    with repo.transaction() as tx:
        tx.generation.insert(reading_frame(sites[0], rows=2))
        assert len(read(tx)) == 2
        assert read(repo) == []
        assert len(tx.generation.sums()) == 2
        assert list(tx.generation.latest()) == [sites[0]]


class TestFrameByFrame:
    @pytest.mark.parametrize("chunk_rows", [1, 7, 99, 100, 101, 100_000])
    def test_together_they_are_the_whole_frame(self, repo, sites, chunk_rows):
        for site, rows in zip(sites, (60, 0, 40), strict=True):
            repo.generation.insert(reading_frame(site, rows=rows))
        frames = list(repo.generation.read_frames(chunk_rows=chunk_rows))
        full, rest = divmod(100, chunk_rows)
        assert [len(frame) for frame in frames] == [chunk_rows] * full + [rest] * (rest > 0)
        pd.testing.assert_frame_equal(pd.concat(frames, ignore_index=True), repo.generation.read_frame())
        (frame,) = repo.generation.read_frames(
            sites[:1], start_utc=NOON - 12 * timedelta(hours=1), end_utc=NOON - timedelta(hours=11)
        )
        assert len(frame) == 12

    def test_none_where_there_is_nothing(self, repo, sites):
        assert list(repo.generation.read_frames()) == []
        put(repo, (sites[0], NOON, 1.0))
        assert list(repo.generation.read_frames([])) == list(repo.generation.read_frames(end_utc=NOON)) == []

    def test_one_that_is_left_half_way_gives_its_connection_back(self, dsn):
        with Repository(dsn, min_size=1, max_size=1, timeout=5) as repo:
            site = repo.sites.create().site_uuid
            repo.generation.insert(reading_frame(site, rows=2000))
            for _ in range(3):
                frames = repo.generation.read_frames(chunk_rows=3)
                assert len(next(frames)) == 3
                frames.close()
                assert len(repo.generation.read()) == 2000
            with repo.transaction() as tx:
                frames = tx.generation.read_frames(chunk_rows=3)
                next(frames)
                frames.close()
                assert len(tx.generation.read()) == 2000

    @pytest.mark.parametrize("chunk_rows", [0, -1, 2.5, None, True, "10"])
    def test_arguments_are_looked_at_before_the_first_frame(self, repo, chunk_rows):
        with pytest.raises(InvalidInput) as caught:
            repo.generation.read_frames(chunk_rows=chunk_rows)
        assert caught.value.column == "chunk_rows"
        with pytest.raises(InvalidInput):
            repo.generation.read_frames(["site"])


class TestForUsers:
    @pytest.fixture
    def people(self, repo, sites):
        """Group one has the sites 0 and 1, group two 1 and 2; two users of one, a user of two, one who sees none."""
        for name, members in (("one", sites[:2]), ("two", sites[1:]), ("none", [])):
            repo.site_groups.create(name)
            for site in members:
                repo.site_groups.add_site(name, site_uuid=site)
        put(repo, *((site, NOON + n * FIVE, float(n)) for n, site in enumerate(sites)))
        groups = {"ann": "one", "bob": "one", "cat": "two", "dan": "none"}
        return {name: repo.users.create(name, site_group_name=group).user_uuid for name, group in groups.items()}

    @pytest.mark.parametrize(
        ("names", "powers"),
        [
            (["ann"], [0.0, 1.0]),
            (["cat"], [1.0, 2.0]),
            (["ann", "bob"], [0.0, 1.0]),
            (["cat", "ann"], [0.0, 1.0, 2.0]),
            (["bob", "cat", "ann", "dan"], [0.0, 1.0, 2.0]),
            (["dan"], []),
            ([], []),
        ],
    )
    def test_each_reading_once(self, repo, people, names, powers):
        for users in ([people[name] for name in names], [str(people[name]) for name in names * 2]):
            rows = repo.generation.read_for_users(user_uuids=users)
            assert [row.generation_power_kw for row in rows] == powers
        assert rows == [row for row in repo.generation.read() if row.generation_power_kw in powers]

    def test_none_is_all_sites_and_unknown_users_see_nothing(self, repo, people, sites):
        alone = repo.sites.create().site_uuid
        put(repo, (alone, NOON, 9.0))
        assert repo.generation.read_for_users() == repo.generation.read()
        assert repo.generation.read_for_users(user_uuids=[uuid4()]) == []
        with pytest.raises(InvalidInput) as caught:
            repo.generation.read_for_users(user_uuids=["ann"])
        assert caught.value.column == "user_uuids"

    def test_windows_and_sites_that_left(self, repo, people, sites):
        users = [people["ann"], people["cat"]]
        for start, end, powers in (
            (NOON + FIVE, None, [1, 2]),
            (None, NOON + FIVE, [0]),
            (NOON, NOON + 2 * FIVE, [0, 1]),
        ):
            rows = repo.generation.read_for_users(user_uuids=users, start_utc=start, end_utc=end)
            assert [row.generation_power_kw for row in rows] == powers
        repo.site_groups.remove_site("one", site_uuid=sites[1])
        assert [row.site_uuid for row in repo.generation.read_for_users(user_uuids=users[:1])] == [sites[0]]
        repo.sites.delete(sites[2])
        assert [row.site_uuid for row in repo.generation.read_for_users(user_uuids=users)] == sites[:2]


class TestSums:
    @pytest.fixture
    def grid(self, repo):
        """Five sites of two DNOs and two GSPs, some not known; the last one is deleted when its readings are in."""
        places: list[dict[str, Any]] = [
            {"dno": "west", "gsp": "a"},
            {"dno": "east", "gsp": "b"},
            {"dno": "east", "gsp": None},
            {"dno": None, "gsp": "b"},
            {"dno": "west", "gsp": "a"},
        ]
        uuids = [repo.sites.create(**place).site_uuid for place in places]
        put(
            repo,
            *((uuid, NOON, 2.0**n) for n, uuid in enumerate(uuids)),
            *((uuid, NOON + FIVE, -1.0) for uuid in uuids[:3]),
        )
        repo.sites.delete(uuids[4])
        return uuids

    @pytest.mark.parametrize(
        ("by", "first", "second"),
        [
            ("total", [("total", 31.0)], [("total", -3.0)]),
            ("dno", [("east", 6.0), ("west", 1.0), (None, 24.0)], [("east", -2.0), ("west", -1.0)]),
            ("gsp", [("a", 1.0), ("b", 10.0), (None, 20.0)], [("a", -1.0), ("b", -1.0), (None, -1.0)]),
        ],
    )
    def test_by_start_and_name_what_has_none_last(self, repo, grid, by, first, second):
        wanted = [GenerationSum(start_utc=NOON, power_kw=power, name=name) for name, power in first]
        wanted += [GenerationSum(start_utc=NOON + FIVE, power_kw=power, name=name) for name, power in second]
        assert repo.generation.sums(by=by) == wanted
        assert repo.generation.sums(by, site_uuids=[str(uuid) for uuid in grid] * 2) == wanted
        assert repo.generation.sums(by, start_utc=NOON + FIVE) == wanted[len(first) :]
        assert repo.generation.sums(by, site_uuids=grid, end_utc=NOON + FIVE) == wanted[: len(first)]
        assert repo.generation.sums(by, site_uuids=[]) == []

    def test_of_some_sites(self, repo, grid):
        rows = repo.generation.sums("dno", site_uuids=[grid[0], grid[4], uuid4()], start_utc=NOON, end_utc=NOON + FIVE)
        assert [(row.name, row.power_kw) for row in rows] == [("west", 1.0), (None, 16.0)]
        assert [row.power_kw for row in repo.generation.sums(site_uuids=grid[3:])] == [24.0]

    @pytest.mark.parametrize("by", ["site", "TOTAL", "", None, "region", ["dno"]])
    def test_by_what_there_is_not(self, repo, by):
        with pytest.raises(InvalidInput) as caught:
            repo.generation.sums(by)
        assert caught.value.column == "by"


class TestLatest:
    @pytest.mark.parametrize("asked", [lambda sites: None, lambda sites: [str(site) for site in sites[::-1]]])
    def test_is_the_last_reading_whatever_its_month(self, repo, sites, asked: Callable[[list[UUID]], Any]):
        a, b, _ = sites
        months = [NOON + timedelta(days=31 * n) for n in range(-14, 3)]
        put(repo, *((a, month, float(n)) for n, month in enumerate(months)), (b, months[1], 7.0), (b, months[0], 8.0))
        latest = repo.generation.latest(asked(sites))
        assert {site: (row.start_utc, row.generation_power_kw) for site, row in latest.items()} == {
            a: (months[-1], 16.0),
            b: (months[1], 7.0),
        }
        assert all(site == row.site_uuid and row in repo.generation.read([site]) for site, row in latest.items())

    def test_nothing_where_there_is_nothing(self, repo, sites):
        assert repo.generation.latest() == repo.generation.latest(sites) == repo.generation.latest([]) == {}

    def test_of_a_deleted_site_only_where_it_is_asked_for(self, repo, sites):
        put(repo, *((site, NOON, 1.0) for site in sites))
        repo.sites.delete(sites[0])
        assert list(repo.generation.latest()) == sites[1:]
        assert list(repo.generation.latest(sites)) == sites


def test_readings_of_a_deleted_site_stay_readable(repo, sites, dsn):
    put(repo, *((site, NOON, float(n)) for n, site in enumerate(sites)))
    repo.sites.delete(sites[0])
    repo.sites.delete(sites[1], delete_generation=True)
    assert read(repo) == [(sites[0], NOON, 0.0), (sites[2], NOON, 2.0)]
    assert read(repo, sites[:2]) == [(sites[0], NOON, 0.0)]
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT count(*) FROM sites").fetchone() == (1,)
