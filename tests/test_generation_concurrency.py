"""Many writers of `generation` at once, and one writer of more rows than its memory holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from threading import Barrier
from uuid import UUID

import pandas as pd
import psycopg
import pytest
from concurrency import SECONDS, concurrently, held_up
from conftest import reading_frame

import pvsite_sql
from pvsite_sql import InsertResult, MissingReference, Repository


def stored(repo: Repository) -> dict[tuple[UUID, pd.Timestamp], tuple[float, pd.Timedelta]]:
    frame = repo.generation.read_frame()
    cells = zip(frame["generation_power_kw"], frame["end_utc"] - frame["start_utc"], strict=True)
    return dict(zip(zip(frame["site_uuid"], frame["start_utc"], strict=True), cells, strict=True))


def marked(frame: pd.DataFrame, mark: int) -> pd.DataFrame:
    """The keys of the frame with a power and a length that tell by whom they are."""
    return frame.assign(power_kw=float(mark), end_utc=frame["start_utc"] + pd.Timedelta(minutes=mark))


def added(results: list[InsertResult]) -> tuple[int, int, int]:
    total: Counter[str] = Counter()
    for result in results:
        total.update(result.model_dump())
    return total["inserted"], total["updated"], total["skipped"]


def of_marks(repo: Repository, marks: set[int]) -> bool:
    """Whether every stored row is one whole row of a writer."""
    return set(stored(repo).values()) <= {(float(mark), pd.Timedelta(minutes=mark)) for mark in marks}


@pytest.fixture
def keys(repo):
    """Readings of three sites over the end of a month."""
    sites = [repo.sites.create().site_uuid for _ in range(3)]
    frames = [reading_frame(site, start="2024-05-31T20:00", rows=100) for site in sites]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(("mode", "cut"), [("ignore", False), ("update", False), ("update", True)])
def test_two_writers_of_the_same_keys_in_opposite_order(repo, keys, mode, cut):
    rows = len(keys)
    days = [keys.assign(start_utc=keys["start_utc"] + pd.Timedelta(days=day)) for day in range(12)]
    for day, again in product(days, (False, True)):
        frames = [marked(day, 1 + 2 * again), marked(day, 2 + 2 * again)[::-1]]
        given = [[frame[:100], frame[100:]] for frame in frames] if cut else frames
        results = concurrently(
            *(lambda frames=frames: repo.generation.insert(frames, on_conflict=mode) for frames in given)
        )
        assert all(result.inserted + result.updated + result.skipped == rows for result in results)
        assert all(result.differing == (result.skipped if mode == "ignore" else 0) for result in results)
        if mode == "ignore":
            assert added(results) == ((0, 0, 2 * rows) if again else (rows, 0, rows))
        else:  # the second one finds rows that differ from its own
            assert added(results) == ((0, 2 * rows, 0) if again else (rows, rows, 0))
    assert of_marks(repo, {1, 2} if mode == "ignore" else {3, 4})
    every = pd.concat(days)
    assert set(stored(repo)) == set(zip(every["site_uuid"], every["start_utc"], strict=True))


def test_of_two_iterators_that_lock_each_other_out_one_fails_and_leaves_nothing(repo, keys):
    barrier = Barrier(2, timeout=SECONDS)

    def write(*frames: pd.DataFrame) -> InsertResult | psycopg.Error:
        def one_by_one() -> Iterator[pd.DataFrame]:
            yield frames[0]
            barrier.wait()
            yield frames[1]

        try:
            return repo.generation.insert(one_by_one())
        except psycopg.errors.DeadlockDetected as error:
            return error

    forth, back = marked(keys, 1), marked(keys, 2)
    results = concurrently(lambda: write(forth[:150], forth[150:]), lambda: write(back[150:], back[:150]))
    assert results.count(InsertResult(inserted=len(keys))) == 1
    assert of_marks(repo, {1} if isinstance(results[0], InsertResult) else {2})
    assert len(stored(repo)) == len(keys)


def test_two_writers_of_equal_corrections_count_each_once(repo, keys):
    repo.generation.insert(marked(keys, 1))
    for mark in range(2, 14):
        frame = marked(keys, mark)
        results = concurrently(
            lambda frame=frame: repo.generation.insert(frame, on_conflict="update"),
            lambda frame=frame: repo.generation.insert(frame[::-1], on_conflict="update"),
        )
        assert added(results) == (0, len(keys), len(keys))
        assert of_marks(repo, {mark})


@pytest.mark.parametrize("mode", ["ignore", "update"])
def test_eight_writers_of_ticks_that_overlap(repo, keys, mode):
    ticks = [part for _, part in keys.groupby("start_utc")]

    def write(mark: int) -> list[InsertResult]:
        return [
            repo.generation.insert(marked(pd.concat(ticks[n : n + 3]), mark), on_conflict=mode)
            for n in range(0, len(ticks) - 2, 2)
        ]

    results = [result for writer in concurrently(*(lambda n=n: write(n) for n in range(1, 9))) for result in writer]
    inserted, updated, skipped = added(results)
    given = 8 * 3 * 3 * len(range(0, len(ticks) - 2, 2))
    assert inserted == len(stored(repo))
    assert inserted + updated + skipped == given
    assert (updated == 0) == (mode == "ignore")
    assert of_marks(repo, set(range(1, 9)))


def test_writers_beside_readers_who_see_a_call_whole_or_not_at_all(repo, keys):
    def write() -> list[InsertResult]:
        return [repo.generation.insert(marked(keys, mark), on_conflict="update") for mark in range(1, 9)]

    def read() -> list[set[tuple[float, pd.Timedelta]]]:
        return [set(stored(repo).values()) for _ in range(20)]

    _, *seen = concurrently(write, read, read)
    assert {len(marks) for reads in seen for marks in reads} <= {0, 1}


class TestDeletedSite:
    @pytest.mark.parametrize("given_up", [False, True])
    def test_a_writer_waits_for_a_delete_and_is_refused_unless_it_is_given_up(self, repo, dsn, site, given_up):
        with psycopg.connect(dsn) as deleter, psycopg.connect(dsn, autocommit=True) as observer:
            deleter.execute("SELECT FROM sites WHERE site_uuid = %s FOR UPDATE", [site.site_uuid])
            deleter.execute("DELETE FROM sites WHERE site_uuid = %s", [site.site_uuid])
            end = deleter.rollback if given_up else deleter.commit
            (result,) = held_up(observer, end, lambda: repo.generation.insert(reading_frame(site.site_uuid)))
        if given_up:
            assert result == InsertResult(inserted=12)
        else:
            assert isinstance(result, MissingReference)
            assert str(site.site_uuid) in str(result)
        assert len(repo.generation.read()) == (12 if given_up else 0)

    @pytest.mark.parametrize(("delete_generation", "kept"), [(False, 12), (True, 0)])
    def test_a_delete_waits_for_a_writer_and_finds_its_rows(self, repo, dsn, site, delete_generation, kept):
        with psycopg.connect(dsn) as writer, psycopg.connect(dsn, autocommit=True) as observer:
            repo.generation.insert(reading_frame(site.site_uuid, rows=6))
            writer.execute(
                """
                INSERT INTO generation (site_uuid, start_utc, end_utc, generation_power_kw)
                SELECT site_uuid, start_utc + '1 hour', end_utc + '1 hour', generation_power_kw FROM generation
                """
            )
            held_up(
                observer,
                writer.commit,
                lambda: repo.sites.delete(site.site_uuid, delete_generation=delete_generation),
            )
        assert len(repo.generation.read()) == kept
        assert repo.sites.list() == []

    @pytest.mark.parametrize("mode", ["ignore", "update", "error"])
    def test_a_race_leaves_no_orphan(self, repo, mode):
        repo.generation.insert(reading_frame(repo.sites.create().site_uuid))

        def write(frame: pd.DataFrame) -> InsertResult | MissingReference:
            try:
                return repo.generation.insert(frame, on_conflict=mode)
            except MissingReference as refusal:
                return refusal

        for _ in range(10):
            site = repo.sites.create().site_uuid
            result, _ = concurrently(
                lambda site=site: write(reading_frame(site)),
                lambda site=site: repo.sites.delete(site, delete_generation=True),
            )
            if not isinstance(result, MissingReference):  # the writer was first, and its rows were deleted
                assert result == InsertResult(inserted=12)
            assert repo.generation.read([site]) == []


MEMORY = """
import pathlib, resource, sys
import pandas as pd
from pvsite_sql import Repository

dsn, mode, site = sys.argv[1:]
used, status = [], pathlib.Path("/proc/self/status")

def frames():
    for n in range(50):
        starts = pd.date_range("2024-06-01", periods=20_000, freq="s", tz="UTC") + n * pd.Timedelta(seconds=20_000)
        yield pd.DataFrame({"site_uuid": site, "start_utc": starts, "power_kw": 1.5})

def progress(rows):
    if status.exists():  # Linux counts the memory of the parent into the child's ru_maxrss
        peak = next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    used.append(int(peak))

with Repository(dsn, min_size=1) as repo:
    result = repo.generation.insert(frames(), on_conflict=mode, progress=progress)
print(result.inserted, used[4], used[49])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell a process its peak memory this way")
@pytest.mark.parametrize("mode", ["ignore", "update"])
def test_a_million_rows_take_no_more_memory_than_a_tenth_of_them(dsn, site, mode):
    path = os.pathsep.join([str(Path(pvsite_sql.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, dsn, mode, str(site.site_uuid)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    inserted, after_five, after_fifty = map(int, done.stdout.split())
    assert inserted == 1_000_000
    assert after_fifty - after_five < 6_000  # kB; one column that is kept is more
