"""Looks at the locks of a session: who keeps it waiting, and whom it keeps waiting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import psycopg

from ..engine.session import QueryConnection

__all__ = ["Watch", "described"]

_MAX_LOOKUPS = 8  # within the limit
_LONGEST_PAUSE_S = 0.25  # deadlocks have to be seen before the server does, after its deadlock_timeout (1 s)
_JOIN_TIMEOUT_S = 10.0


class Watch:
    """Looks at a session from a connection of its own, and cancels what it does before anybody waits too long for it.

    The server's lock_timeout is not enough for that: it counts for each lock alone, so a session that already has some
    may keep others waiting for many times as long, and it does not count what is done under the locks.

    Attributes:
        cancelled: whether it cancelled anything.
    """

    def __init__(self, conninfo: str, limit_s: float) -> None:
        self._conninfo = conninfo
        self._limit_s = limit_s
        self._ended = Event()
        self._blockers: list[dict[str, Any]] = []
        self._held_up: dict[str, Any] | None = None
        self.cancelled = False

    @contextmanager
    def over(self, pid: int) -> Iterator[None]:
        """Watch over the session for the time of a block."""
        thread = Thread(target=self._watch, args=[pid], name="pvsite-sql watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(_JOIN_TIMEOUT_S)

    def findings(self) -> str:
        """Who was in the session's way when it last waited, and in whose way it was; empty where nobody was seen."""
        found = []
        if self._blockers:
            others = "; ".join(described(blocker) for blocker in self._blockers)
            found.append(f"it waited for {self._blockers[0]['wanted']}, blocked by {others}")
        if self._held_up is not None:
            found.append(f"it kept pid {self._held_up['held_up_pid']} waiting for {self._held_up['waited_s']:.1f} s")
        return ", and ".join(found)

    def _watch(self, pid: int) -> None:
        pause = min(self._limit_s / _MAX_LOOKUPS, _LONGEST_PAUSE_S)
        while not self._ended.is_set():
            with suppress(psycopg.OperationalError), psycopg.connect(self._conninfo, autocommit=True) as connection:
                conn = QueryConnection(connection)
                while not self._ended.is_set():
                    self._look(conn, pid)
                    self._ended.wait(pause)
            self._ended.wait(pause)

    def _look(self, conn: QueryConnection, pid: int) -> None:
        self._blockers = conn.records("migrate/blockers", pid=pid) or self._blockers
        # a look late, and the cancelling, take time too
        for held_up in conn.records("migrate/cancel_if_held_up", pid=pid, limit_s=self._limit_s * 0.75):
            self._held_up = held_up
            self.cancelled = True


def described(session: Mapping[str, Any]) -> str:
    """A session in words, of a record of migrate/blockers or migrate/lock_holders."""
    if not session["pid"]:
        return "a prepared transaction (see pg_prepared_xacts)"
    said = [f"user {session['user_name']}"]
    if session["application"]:
        said.append(f"application {session['application']}")
    if session["since_utc"]:
        said.append(f"since {session['since_utc']:%Y-%m-%d %H:%M:%S} UTC")
    if session["state"]:
        said.append(session["state"])
    if session["query_file"]:
        said.append(f"query file {session['query_file']}")
    elif session["statement"]:
        said.append(f"statement: {session['statement']}")
    elif session["statement"] is None:
        said.append("what it does shows to members of pg_read_all_stats")
    return f"pid {session['pid']} ({', '.join(said)})"
