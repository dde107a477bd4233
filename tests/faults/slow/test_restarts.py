"""A repository outlives the server that it talks to."""

from __future__ import annotations

from collections.abc import Iterator
from signal import Signals

import psycopg
import pytest
from commands import until

from pvsite_sql import Repository

from ..loads import LOADS, Load, of_each_load, stored
from ..servers import OwnServer, own_server, posix

pytestmark = posix
of_each_end = pytest.mark.parametrize("how", ["SIGINT", "SIGQUIT", "SIGKILL"])


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    """A server for the tests of this file."""
    with own_server() as running:
        yield running


@pytest.fixture(scope="module")
def own_dsn(own: OwnServer) -> str:
    """A migrated database there."""
    return own.database("restarts")


@of_each_end
def test_an_idle_repository_works_again(own, own_dsn, how):
    load = LOADS[0]
    with Repository(own_dsn, min_size=3, max_size=3) as repo:
        site = load.begin(repo)
        own.restart(Signals[how])
        assert load.run(repo, site) == load.first_time
        own.restart(Signals[how])
        assert repo.sites.get(site).site_uuid == site
        assert load.is_whole(stored(own_dsn, site))


@of_each_end
@pytest.mark.parametrize("load", [load for load in LOADS if load.kind == "frames"], ids=str)
def test_a_restart_between_the_frames_of_a_call_leaves_nothing_of_it(own, own_dsn, how, load):
    with Repository(own_dsn, min_size=1, max_size=2) as repo:
        site = load.begin(repo)
        before = stored(own_dsn, site)

        def frames():
            for number, frame in enumerate(load.frames(site)):
                if number == 2:
                    own.restart(Signals[how])
                yield frame

        with pytest.raises(psycopg.OperationalError):
            repo.generation.insert(frames(), on_conflict=load.mode)
        assert stored(own_dsn, site) == before
        assert load.run(repo, site) == load.first_time
        assert load.is_whole(stored(own_dsn, site))


@of_each_load
def test_what_is_stored_outlives_a_kill(own, own_dsn, load):
    with Repository(own_dsn, min_size=1, max_size=2) as repo:
        site = load.begin(repo)
        assert load.run(repo, site) == load.first_time
        rows = stored(own_dsn, site)
        own.restart(Signals.SIGKILL)
        assert stored(own_dsn, site) == rows
        load.run_again(repo, site)


def test_while_the_server_is_away_calls_fail_and_afterwards_they_do_not(own, own_dsn):
    load = Load("frame", "ignore", anew=True)
    with Repository(own_dsn, min_size=1, max_size=2, timeout=0.2) as repo:
        site = load.begin(repo)
        own.stop()
        for _ in range(3):
            with pytest.raises(psycopg.OperationalError):
                load.run(repo, site)
        own.start()
        until(lambda: works(repo))
        assert load.run(repo, site) == load.first_time


def works(repo: Repository) -> bool:
    try:
        repo.check()
    except psycopg.OperationalError:
        return False
    return True
