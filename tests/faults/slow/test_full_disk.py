"""A disk that is full in the middle of an insert: a small tmpfs under the database."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pvsite_sql import InsertResult, Repository, embedded, migrate

from ..servers import own_server, posix

pytestmark = posix
SMALL_MB, LARGE_MB, ROOM_MB = 32, 512, 4
SITES, SLOTS, ROWS = 10, 8_000, 20_000
SIZE = "SELECT count(*) FROM generation UNION ALL SELECT count(*) FROM forecasts"


@dataclass
class Disk:
    """A database on a disk of its own."""

    dsn: str
    folder: Path

    def resize(self, megabytes: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={megabytes}m", self.folder], check=True)

    def leave(self, megabytes: int) -> None:
        """Leave so much room."""
        self.resize((shutil.disk_usage(self.folder).used >> 20) + megabytes)


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder of the server's account on a small tmpfs; where none can be mounted the test is skipped."""
    account = embedded._account() or {"user": os.getuid(), "group": os.getgid()}
    with tempfile.TemporaryDirectory(prefix="pvsite_sql-disk-") as name:
        os.chmod(name, 0o755)  # noqa: PTH101
        folder = Path(name) / "disk"
        folder.mkdir()
        owner = f"uid={account['user']},gid={account['group']},mode=0700"
        command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_MB}m,{owner}", "tmpfs", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("this system has no command `mount`")
        if done.returncode:
            pytest.skip(f"a small disk can be mounted by root alone: {done.stderr.strip()}")
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.fixture
def disk() -> Iterator[Disk]:
    with small_disk() as folder, own_server() as own:
        dsn = own._kept.dsn()
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
            connection.execute("CREATE DATABASE small TABLESPACE small")
        dsn = make_conninfo(dsn, dbname="small")
        migrate.apply(dsn)
        yield Disk(dsn, folder)
        own.stop()


def readings(sites: list) -> pd.DataFrame:
    starts = pd.date_range("2024-06-01", periods=SLOTS, freq="5min")
    index = pd.MultiIndex.from_product([sites, starts], names=["site_uuid", "start_utc"])
    return index.to_frame(index=False).assign(power_kw=1.0)


def forecasts(sites: list) -> pd.DataFrame:
    timestamps = pd.date_range("2024-06-01", periods=60, freq="h")
    index = pd.MultiIndex.from_product([sites, timestamps, range(400)], names=["site_uuid", "timestamp_utc", "slot"])
    frame = index.to_frame(index=False)
    start = frame["timestamp_utc"] + pd.to_timedelta(frame["slot"], unit="h")
    # no two alike, which would be compressed
    return frame.assign(start_utc=start, end_utc=start + pd.Timedelta(hours=1), forecast_power_kw=frame.index * 1.0001)


def inserts(repo: Repository, sites: list) -> dict:
    frame = readings(sites)
    return {
        "one frame": (len(frame), lambda: repo.generation.insert(frame)),
        "several frames": (
            len(frame),
            lambda: repo.generation.insert(frame[n : n + ROWS] for n in range(0, len(frame), ROWS)),
        ),
        "corrections": (len(frame), lambda: repo.generation.insert(frame, on_conflict="update")),
        "forecasts": (len(sites) * 6 * 60, lambda: many_forecasts(repo, sites)),
    }


def many_forecasts(repo: Repository, sites: list) -> InsertResult:
    frame = pd.concat([forecasts(sites).assign(forecast_version=str(version)) for version in range(6)])
    return repo.forecasts.insert(frame)


@pytest.mark.parametrize("name", ["one frame", "several frames", "corrections", "forecasts"])
def test_is_an_error_that_leaves_nothing_and_once_there_is_room_it_works(disk, name):
    with Repository(disk.dsn, min_size=1, max_size=2) as repo:
        sites = [repo.sites.create().site_uuid for _ in range(SITES)]
        number, insert = inserts(repo, sites)[name]
        disk.leave(ROOM_MB)
        for _ in range(2):  # the room of the first is not lost
            with pytest.raises(psycopg.OperationalError, match="No space left on device") as full:
                insert()
            assert full.value.__notes__
            with psycopg.connect(disk.dsn) as connection:
                assert connection.execute(SIZE).fetchall() == [(0,), (0,)]
        assert len(repo.sites.list()) == SITES
        disk.resize(LARGE_MB)
        assert insert() == InsertResult(inserted=number)
        with psycopg.connect(disk.dsn) as connection:
            assert sorted(connection.execute(SIZE).fetchall()) == [(0,), (number,)]
