"""A signal whose handler raises, at any moment of a call: Ctrl-C, sys.exit at SIGTERM, a soft time limit.

Each program interrupts its own calls 200 times. The exception comes out every time, the repository stays usable, a call
is stored whole or not at all, and no connection is lost to the pool.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Event
from types import FrameType
from typing import Any, NoReturn

import pandas as pd
import psycopg
import pytest
from commands import run as command
from commands import until
from conftest import reading_frame
from psycopg.conninfo import make_conninfo

from pvsite_sql import Repository

from ..programs import run, started

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has none of these signals")

ROUNDS = 200
ROWS = 1_000
SLOTS = 48
NAME = "interrupted"
DEAF = [f"{os.sep}{library}{os.sep}" for library in ("numpy", "pandas")]  # parts of these in C ignore what is raised
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND datname = current_database()"


class SoftTimeLimit(Exception):
    """As a task queue raises it."""


def interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)  # KeyboardInterrupt, by Python's own handler


def leave(*_: object) -> NoReturn:
    sys.exit(3)


def limit(*_: object) -> NoReturn:
    raise SoftTimeLimit


HANDLERS: dict[str, tuple[Callable[..., Any], type[BaseException]]] = {
    "SIGINT": (interrupt, KeyboardInterrupt),
    "SIGTERM": (leave, SystemExit),
    "SIGALRM": (limit, SoftTimeLimit),
}


def repository(dsn: str, **options: Any) -> Repository:
    return Repository(
        dsn, kwargs={"application_name": NAME}, **{"min_size": 2, "max_size": 2, "timeout": 10, **options}
    )


class Calls:
    """The calls that are interrupted; those that write correct the same rows each time, to a mark of the call's own."""

    def __init__(self, repo: Repository) -> None:
        self.repo = repo
        self.site = repo.sites.create().site_uuid
        self.corrected = repo.sites.create().site_uuid
        self.mark = 0
        # as text: pandas swallows what is raised inside of UUID.__hash__, a signal too
        self.readings = reading_frame(str(self.corrected), rows=ROWS)
        repo.generation.insert(reading_frame(self.site, rows=ROWS))
        repo.generation.insert(self.readings.assign(power_kw=0.0))
        self.write_forecasts()

    def marked(self) -> pd.DataFrame:
        self.mark += 1
        return self.readings.assign(power_kw=float(self.mark))

    def write_forecasts(self) -> None:
        timestamps = pd.date_range("2024-06-01", periods=10, freq="h", tz="UTC").repeat(SLOTS)
        starts = timestamps + pd.to_timedelta(list(range(SLOTS)) * 10, unit="h")
        frame = {"timestamp_utc": timestamps, "start_utc": starts, "end_utc": starts + pd.Timedelta(hours=1)}
        self.mark += 1
        self.repo.forecasts.insert(
            pd.DataFrame(frame).assign(site_uuid=str(self.site), forecast_power_kw=float(self.mark))
        )

    def write_in_a_transaction(self) -> None:
        with self.repo.transaction() as tx:
            frame = self.marked()
            tx.sites.update(self.corrected, tilt=1)
            tx.generation.insert(frame, on_conflict="update")

    def write_own_sql(self) -> None:
        self.mark += 1
        update = "UPDATE generation SET generation_power_kw = %s WHERE site_uuid = %s"
        with self.repo.transaction() as tx:
            tx.sites.update(self.corrected, tilt=2)
            tx.connection.execute(update, [float(self.mark), self.corrected])

    def read_frames(self) -> None:
        """The iterator is suspended for most of the time."""
        for _ in self.repo.generation.read_frames(chunk_rows=ROWS // 5):
            time.sleep(0.001)

    def read_arrow(self) -> None:
        with self.repo.generation.read_arrow(chunk_rows=ROWS // 5) as reader:
            for _ in reader:
                time.sleep(0.001)

    def call(self, name: str) -> object:
        generation = self.repo.generation
        calls: dict[str, Callable[[], object]] = {
            "read": lambda: generation.read([self.site]),
            "read_frames": self.read_frames,
            "read_arrow": self.read_arrow,
            "latest_frame": self.repo.forecasts.latest_frame,
            "latest_values": lambda: self.repo.forecasts.latest_values([self.site]),
            "get": lambda: self.repo.sites.get(self.site),
            "insert": lambda: generation.insert(self.marked(), on_conflict="update"),
            "insert_frames": lambda: generation.insert(iter([self.marked()]), on_conflict="update"),
            "insert_forecasts": self.write_forecasts,
            "transaction": self.write_in_a_transaction,
            "own_sql": self.write_own_sql,
        }
        return calls[name]()

    def judge(self) -> None:
        """What is stored is whole."""
        assert len(set(self.repo.generation.read_frame([self.corrected])["generation_power_kw"])) == 1
        assert len(self.repo.generation.read([self.corrected])) == ROWS
        values = self.repo.forecasts.latest_values([self.site])[self.site]
        assert len({value.forecast_power_kw for value in values}) == 1


def every_connection_is_there(repo: Repository) -> None:
    """None is lost to the pool: all of them can be had at once, and work."""

    def is_whole() -> bool:
        pool = repo.stats().pool
        return pool["pool_size"] == pool["pool_available"] and not pool["requests_waiting"]

    until(is_whole)
    size = repo.stats().pool["pool_max"]
    transactions = [repo.transaction() for _ in range(size)]
    for transaction in transactions:
        transaction.__enter__().sites.list()
    for transaction in transactions:
        transaction.__exit__(None, None, None)
    until(is_whole)


GROUPS = {
    "reads": ["read", "read_frames", "read_arrow", "latest_frame", "latest_values"],
    "writes": ["insert", "insert_frames", "insert_forecasts", "transaction", "own_sql"],
    "short": ["get"],
}


def interrupted(dsn: str, group: str, kind: str) -> Any:
    """Interrupt calls at random moments: how often the exception came out, and where it was lost."""
    chance = random.Random(f"{group} {kind}")
    handler, raised = HANDLERS[kind]
    signalled, where = [0.0], [""]

    def handle(_: int, frame: FrameType | None) -> None:
        signalled[0], where[:] = time.monotonic(), traceback.format_stack(frame)[-4:]
        handler()

    told = {"came": 0, "swallowed": 0, "lost": [], "slowest_s": 0.0}
    swallowed = swallowed_by_python(raised)
    with repository(dsn) as repo:
        calls = Calls(repo)
        seconds = {name: min(timed(lambda n=name: calls.call(n)) for _ in range(3)) for name in GROUPS[group]}
        signal.signal(signal.SIGALRM, handle)
        for number in range(ROUNDS):
            name = GROUPS[group][number % len(GROUPS[group])]
            signalled[0] = 0.0
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 1.1 * seconds[name]))
                while not signalled[0]:
                    calls.call(name)
                if swallowed() or any(library in where[-1] for library in DEAF):
                    told["swallowed"] += 1
                else:
                    told["lost"].append(f"{name}:\n{''.join(where)}")
            except raised:
                told["came"] += 1
                told["slowest_s"] = max(told["slowest_s"], time.monotonic() - signalled[0])
        every_connection_is_there(repo)
        calls.judge()
    return told


def swallowed_by_python(raised: type[BaseException]) -> Callable[[], bool]:
    """Whether since the last time Python itself has ignored such an exception, as it does in destructors.

    Logging ignores what is raised while it writes, so it is switched off.
    """
    logging.disable()
    found: list[object] = []

    def note(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, raised):
            found.append(unraisable)

    def ask() -> bool:
        seen = bool(found)
        found.clear()
        return seen

    sys.unraisablehook = note
    return ask


def timed(call: Callable[[], object]) -> float:
    begun = time.monotonic()
    call()
    return time.monotonic() - begun


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("group", GROUPS)
def test_the_exception_comes_out_and_the_repository_is_usable(dsn, group, kind):
    told = run(interrupted, dsn, group, kind)
    assert not told["lost"], told["lost"][0]
    assert told["came"] + told["swallowed"] == ROUNDS
    assert told["swallowed"] < ROUNDS / 20
    assert told["slowest_s"] < 5, told


def interrupted_with_threads(dsn: str, kind: str) -> Any:
    """Signals every few milliseconds in the main thread, while others call."""
    chance = random.Random(kind)
    handler, raised = HANDLERS[kind]
    stop = Event()
    swallowed = swallowed_by_python(raised)
    came = lost = 0
    with repository(dsn, min_size=4, max_size=4, timeout=20) as repo:
        calls = Calls(repo)

        def go_on() -> int:
            number = 0
            while not stop.is_set():
                assert repo.sites.get(calls.site).site_uuid == calls.site
                number += 1
            return number

        with ThreadPoolExecutor(6) as threads:
            ends = [threads.submit(go_on) for _ in range(6)]
            try:
                signal.signal(signal.SIGALRM, handler)
                for _ in range(2 * ROUNDS):
                    try:
                        signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.02))
                        deadline = time.monotonic() + 5
                        while time.monotonic() < deadline:
                            repo.sites.get(calls.site)
                        lost += not swallowed()
                    except raised:
                        came += 1
            finally:
                signal.signal(signal.SIGALRM, signal.SIG_IGN)
                stop.set()
            called = sum(end.result(40) for end in ends)
        every_connection_is_there(repo)
        return {"came": came, "lost": lost, "called": called, "size": repo.stats().pool["pool_size"]}


@pytest.mark.parametrize("kind", ["SIGINT", "SIGALRM"])
def test_no_connection_is_lost_with_other_threads_at_work(dsn, kind):
    told = run(interrupted_with_threads, dsn, kind)
    assert (told["lost"], told["size"]) == (0, 4), told
    assert told["came"] > 1.9 * ROUNDS
    assert told["called"] > 0


def endless(dsn: str, name: str) -> None:
    """A program that calls for ever, and ends itself at SIGTERM as services do."""
    signal.signal(signal.SIGTERM, leave)
    with repository(dsn) as repo:
        calls = Calls(repo)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            calls.call(name)


@pytest.mark.parametrize(
    ("call", "number"),
    [("read_frames", "SIGINT"), ("read_frames", "SIGTERM"), ("latest_frame", "SIGTERM"), ("transaction", "SIGINT")],
)
def test_a_program_ends_and_leaves_no_session(dsn, observer, call, number):
    with started(endless, dsn, call) as running:
        until(lambda: running.printed() == "ready\n" or running.process.poll() is not None)
        time.sleep(random.Random(call).uniform(0.05, 0.2))
        running.process.send_signal(signal.Signals[number])
        assert running.process.wait(10) == (3 if number == "SIGTERM" else -signal.SIGINT), running.complained()
    until(lambda: observer.execute(SESSIONS, [NAME]).fetchone() == (0,))


def stream_and_raise(dsn: str) -> Any:
    """Not a signal: an error between two frames, whose traceback keeps the suspended iterator alive."""
    kept = []
    with repository(dsn) as repo:
        calls = Calls(repo)
        for _ in range(20):
            try:
                for _frame in repo.generation.read_frames(chunk_rows=10):
                    raise SoftTimeLimit
            except SoftTimeLimit as error:
                kept.append(error)
            kept.clear()
            calls.call("get")
        every_connection_is_there(repo)
    return len(kept)


def test_an_exception_between_two_frames_loses_no_connection(dsn):
    assert run(stream_and_raise, dsn) == 0


def test_a_connection_in_a_cancelled_call_is_not_reused_for_its_answer(dsn):
    """What a call returns after an interrupted one is its own answer, not the rest of the other's."""
    assert run(mixed_answers, dsn) == 0


def mixed_answers(dsn: str) -> int:
    chance = random.Random(7)
    signal.signal(signal.SIGALRM, limit)
    wrong = 0
    with repository(dsn) as repo:
        calls = Calls(repo)
        sites = [repo.sites.create().site_uuid for _ in range(10)]
        for number in range(ROUNDS):
            site = sites[number % len(sites)]
            with suppress(SoftTimeLimit, psycopg.OperationalError):
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.006))
                calls.call(GROUPS["reads"][number % 4])
                signal.setitimer(signal.ITIMER_REAL, 0)
            wrong += repo.sites.get(site).site_uuid != site
    return wrong


@pytest.mark.parametrize("level", ["debug1", "notice", "warning", "error"])
def test_the_server_sends_no_notices(dsn, level):
    """psycopg receives a notice in C code: what a handler raises there is lost, and SystemExit ends the program."""
    received: list[str] = []

    def configure(connection: psycopg.Connection) -> None:
        connection.add_notice_handler(lambda notice: received.append(str(notice.message_primary)))

    with repository(make_conninfo(dsn, options=f"-c client_min_messages={level}"), configure=configure) as repo:
        calls = Calls(repo)
        with repo.transaction() as tx:
            for number in range(2):  # the second one finds the staging tables, which is a notice
                tx.generation.insert(calls.readings.assign(power_kw=float(number)), on_conflict="update")
        for name in (name for names in GROUPS.values() for name in names):
            calls.call(name)
    assert received == []


FIRST_FRAME = """
import signal, sys
from pvsite_sql import Repository

def limit(*_):
    raise TimeoutError

signal.signal(signal.SIGALRM, limit)
with Repository(sys.argv[1]) as repo:
    site = repo.sites.create().site_uuid
    print("numpy" in sys.modules, "pandas" in sys.modules)
    signal.setitimer(signal.ITIMER_REAL, float(sys.argv[2]))
    try:
        repo.generation.latest()
        print("not interrupted")
    except TimeoutError:
        print("interrupted")
    print(len(repo.generation.read_frame([site])), len(repo.forecasts.latest_frame([site])))
"""


@pytest.mark.parametrize("after_s", ["0.01", "0.05"])
def test_a_signal_while_libraries_are_imported_comes_after_it(dsn, after_s):
    """numpy cannot be imported again where an exception ended its import."""
    code, out, err = command(dsn, after_s, command=[sys.executable, "-c", FIRST_FRAME])
    assert (code, out.splitlines(), err) == (0, ["False False", "interrupted", "0 0"], "")
