"""No connection to be had: the pool is exhausted, or the port is deaf. Calls give up in time, and leak nothing."""

from __future__ import annotations

import gc
import logging
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread

import pandas as pd
import psycopg
import pytest
from commands import until
from conftest import reading_frame
from psycopg_pool import PoolTimeout

from pvsite_sql import Repository

from .proxy import SECONDS

TIMEOUT = 0.3
TRIES = 20
CALLS = 1_000
NOBODY = "00000000-0000-0000-0000-000000000001"
NAME = "exhausted"
SESSIONS = "SELECT state FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"


def transaction(repo: Repository) -> None:
    with repo.transaction():
        pass


def forecast() -> pd.DataFrame:
    frame = reading_frame(NOBODY, rows=2).rename(columns={"power_kw": "forecast_power_kw"})
    return frame.assign(timestamp_utc=frame["start_utc"].min(), end_utc=frame["start_utc"] + pd.Timedelta(minutes=5))


ASKED: dict[str, Callable[[Repository], object]] = {
    "get": lambda repo: repo.sites.get(NOBODY),
    "create": lambda repo: repo.sites.create(),
    "insert": lambda repo: repo.generation.insert(reading_frame(NOBODY)),
    "insert_frames": lambda repo: repo.generation.insert(iter([reading_frame(NOBODY)]), on_conflict="update"),
    "insert_forecasts": lambda repo: repo.forecasts.insert(forecast()),
    "read": lambda repo: repo.generation.read(),
    "read_frames": lambda repo: next(repo.generation.read_frames()),
    "read_arrow": lambda repo: repo.generation.read_arrow().read_all(),
    "latest_values": lambda repo: repo.forecasts.latest_values(),
    "transaction": transaction,
    "check": lambda repo: repo.check(),
}
of_each_call = pytest.mark.parametrize("name", ASKED)


def seconds_of(repo: Repository, name: str) -> float:
    """How long the call takes to give up."""
    taken: list[float] = []

    def call() -> None:
        begun = time.monotonic()
        with pytest.raises(PoolTimeout):
            ASKED[name](repo)
        taken.append(time.monotonic() - begun)

    thread = Thread(target=call, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert taken, "it neither gave up with a PoolTimeout nor came to another end"
    return taken[0]


def gives_up_in_time(repo: Repository, name: str) -> None:
    """At least one of a few calls is punctual, which the machine's other work cannot feign; none is early or hangs."""
    for _ in range(TRIES):
        seconds = seconds_of(repo, name)
        assert seconds >= 0.99 * TIMEOUT
        if seconds <= 1.1 * TIMEOUT:
            return
    pytest.fail(f"none of {TRIES} calls gave up within {TIMEOUT} s + 10 %")


def give_up_often(repo: Repository) -> None:
    """A thousand calls of every kind, fifty at a time."""
    names = list(ASKED)
    with ThreadPoolExecutor(50) as threads:
        outcomes = [threads.submit(ASKED[names[number % len(names)]], repo) for number in range(CALLS)]
    assert {type(outcome.exception()) for outcome in outcomes} == {PoolTimeout}


class TestExhausted:
    @of_each_call
    def test_a_call_gives_up_in_time(self, dsn, name):
        with Repository(dsn, min_size=1, max_size=2, timeout=TIMEOUT) as repo, all_in_use(repo):
            gives_up_in_time(repo, name)

    def test_no_connection_is_leaked(self, dsn, observer):
        options = {"timeout": 0.05, "kwargs": {"application_name": NAME}}
        with Repository(dsn, min_size=1, max_size=2, **options) as repo:
            with all_in_use(repo):
                give_up_often(repo)
                assert sessions(observer) == ["idle in transaction"] * 2
            repo.sites.create()
            with all_in_use(repo):  # both of them can be had again
                stats = repo._source._pool.get_stats()
                assert (stats["pool_size"], stats["requests_waiting"]) == (2, 0)
                assert sessions(observer) == ["idle in transaction"] * 2
            assert len(repo.sites.list()) == 1
        until(lambda: sessions(observer) == [])


@contextmanager
def all_in_use(repo: Repository) -> Iterator[None]:
    """Two threads of the program are in the middle of a transaction each."""
    with ExitStack() as stack:
        for _ in range(2):
            until(lambda: has_entered(stack, repo))  # the second connection is made when it is wanted
        yield


def has_entered(stack: ExitStack, repo: Repository) -> bool:
    try:
        stack.enter_context(repo.transaction()).sites.list()
    except PoolTimeout:
        return False
    return True


def sessions(observer: psycopg.Connection) -> list[str]:
    return [state for (state,) in observer.execute(SESSIONS, [NAME]).fetchall()]


class Deaf:
    """A port behind which nobody is: it does not even take connections, or it takes them and never says a word."""

    def __init__(self, *, takes: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128 if takes else 0)
        self._port = self._listener.getsockname()[1]
        self._waiting: list[socket.socket] = []
        self.taken: list[socket.socket] = []
        if takes:
            Thread(target=self._take, daemon=True).start()
        else:
            self._fill()

    def dsn(self, dsn: str) -> str:
        """A conninfo that leads there. libpq's least connect_timeout is two seconds, much more than the pool's here."""
        return psycopg.conninfo.make_conninfo(
            dsn, host="127.0.0.1", port=self._port, connect_timeout=2, sslmode="disable", gssencmode="disable"
        )

    def end(self) -> None:
        for end in (self._listener, *self._waiting, *self.taken):
            end.close()

    def _take(self) -> None:
        try:
            while True:
                self.taken.append(self._listener.accept()[0])
        except OSError:  # the end
            pass

    def _fill(self) -> None:
        """Until the next one is not let in."""
        for _ in range(20):
            self._waiting.append(client := socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", self._port))
            if not select.select([], [client], [], 0.2)[1]:
                return
        pytest.skip("this system lets connections in that nobody takes")


@pytest.fixture(params=[False, True], ids=["takes_no_connection", "never_answers"])
def deaf(request: pytest.FixtureRequest) -> Iterator[Deaf]:
    port = Deaf(takes=request.param)
    try:
        yield port
    finally:
        port.end()


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses what it does not take, and does not list open files")
class TestDeafPort:
    def test_calls_give_up_in_time(self, dsn, deaf):
        with Repository(deaf.dsn(dsn), min_size=1, max_size=2, timeout=TIMEOUT) as repo:
            for name in ("get", "insert", "insert_forecasts", "transaction"):
                gives_up_in_time(repo, name)

    def test_no_connection_is_leaked(self, dsn, deaf, monkeypatch):
        # pytest keeps what is logged, and with it the errors, whose tracebacks hold the sockets
        monkeypatch.setattr(logging.getLogger("psycopg.pool"), "disabled", True)
        before = open_files()
        with Repository(deaf.dsn(dsn), min_size=1, max_size=2, timeout=0.05) as repo:
            give_up_often(repo)
            assert open_files() - before - len(deaf.taken) <= 2 * 2  # a socket, and what waits for it
        until(lambda: open_files() - len(deaf.taken) <= before)


def open_files() -> int:
    gc.collect()
    return sum(1 for _ in Path("/dev/fd").iterdir())
