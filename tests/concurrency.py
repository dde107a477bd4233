"""Callers that meet at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import psycopg

CALLERS = 20
SECONDS = 20.0
BLOCKED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0
"""


def concurrently(*calls: Callable[[], Any]) -> list[Any]:
    """What the calls return that all begin at once, each in a thread of its own."""
    barrier = Barrier(len(calls), timeout=SECONDS)

    def begin(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(begin, calls))


def held_up(observer: psycopg.Connection, release: Callable[[], object], *calls: Callable[[], Any]) -> list[Any]:
    """What the calls return or raise that all wait for another's locks, which are released once the last one waits."""
    before = _blocked(observer)
    with ThreadPoolExecutor(len(calls)) as threads:
        outcomes = [threads.submit(call) for call in calls]
        try:
            deadline = time.monotonic() + SECONDS
            while _blocked(observer) < before + len(calls):
                assert time.monotonic() < deadline, "waited in vain for the calls to wait"
                time.sleep(0.005)
        finally:
            release()
        return [outcome.exception() or outcome.result() for outcome in outcomes]


def _blocked(observer: psycopg.Connection) -> int:
    observer.execute("SELECT pg_stat_clear_snapshot()")
    row = observer.execute(BLOCKED).fetchone()
    assert row is not None
    return int(row[0])
