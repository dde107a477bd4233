"""A caller that raises in the middle of an insert, or is killed there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from commands import until
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool

import pvsite_sql
from pvsite_sql import Repository

from ..loads import LOADS, Load, of_each_load, stored

SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'killed' AND datname = current_database()"
STAGED = "SELECT count(*) FROM pg_temp.generation_staging"
FRAMES = [load for load in LOADS if load.kind == "frames"]
CALLER = """
import os, signal, sys
from uuid import UUID
from faults.loads import LOADS
from pvsite_sql import Repository

dsn, site, number, frames = sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
load = LOADS[number]

def killed_after():
    for n, frame in enumerate(load.frames(site)):
        if n == frames:
            os.kill(os.getpid(), signal.SIGKILL)
        yield frame
    os.kill(os.getpid(), signal.SIGKILL)

with Repository(dsn, kwargs={"application_name": "killed"}, min_size=2, max_size=2) as repo:
    repo.sites.get(site)
    if frames:
        repo.generation.insert(killed_after(), on_conflict=load.mode)
    load.run(repo, site)
"""


class Stop(BaseException):
    """Nothing that a program catches by chance."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Stop])
@pytest.mark.parametrize("given", [1, 2, 3])
@pytest.mark.parametrize("load", FRAMES, ids=str)
def test_frames_that_raise_leave_nothing(dsn, load, given, error):
    with (
        ConnectionPool(dsn, min_size=1, max_size=1, open=True) as pool,
        Repository(pool) as repo,
    ):
        site = load.begin(repo)
        if error is not ValueError:  # for each month that it has to make, a call waits a second for another connection
            make_months(dsn)
        before, backend = stored(dsn, site), backend_of(pool)
        raised = error("enough")

        def frames():
            yield from list(load.frames(site))[:given]
            raise raised

        with pytest.raises(error) as seen:
            repo.generation.insert(frames(), on_conflict=load.mode)
        assert seen.value is raised
        assert stored(dsn, site) == before
        assert backend_of(pool) == backend
        assert load.run(repo, site) == load.first_time
        assert load.is_whole(stored(dsn, site))


def make_months(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT ensure_month_partitions('generation', '{2024-05-01,2024-06-01}')")


def backend_of(pool: ConnectionPool) -> int:
    """The one connection's backend; it is clean: no transaction, no rows that wait in the staging table."""
    with pool.connection(timeout=5) as connection:
        assert connection.info.transaction_status == TransactionStatus.IDLE
        try:
            assert connection.execute(STAGED).fetchone() == (0,)
        except psycopg.errors.UndefinedTable:
            connection.rollback()
        return connection.info.backend_pid


@contextmanager
def caller(dsn, site, load: Load, *, frames: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs the load; at the end of the block it has been killed."""
    paths = [str(Path(__file__).parents[2]), str(Path(pvsite_sql.__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    arguments = [dsn, str(site), str(LOADS.index(load)), str(frames)]
    process = subprocess.Popen([sys.executable, "-c", CALLER, *arguments], env=environment)
    try:
        yield process
        assert process.wait(20) == -signal.SIGKILL
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
class TestKilled:
    @of_each_load
    def test_in_its_rows_leaves_nothing_and_no_session(self, repo, dsn, proxy, observer, load):
        rehearsal, site = load.begin(repo), load.begin(repo)
        before = stored(dsn, site)
        with Repository(proxy.dsn(dsn), min_size=1, max_size=2) as through:
            load.run(through, rehearsal)
        whole = proxy.copied
        with caller(proxy.dsn(dsn), site, load) as process:
            proxy.strike(whole // 2, lambda backend: (process.kill(), process.wait()))
        self._nothing_is_left(repo, dsn, observer, load, site, before)

    @pytest.mark.parametrize("frames", [1, 3])
    @pytest.mark.parametrize("load", FRAMES[1:3], ids=str)
    def test_between_frames_leaves_nothing_and_no_session(self, repo, dsn, observer, load, frames):
        site = load.begin(repo)
        before = stored(dsn, site)
        with caller(dsn, site, load, frames=frames):
            pass
        self._nothing_is_left(repo, dsn, observer, load, site, before)

    def _nothing_is_left(self, repo, dsn, observer, load, site, before):
        until(lambda: observer.execute(SESSIONS).fetchone() == (0,))
        assert stored(dsn, site) == before
        assert load.run(repo, site) == load.first_time
        assert load.is_whole(stored(dsn, site))
