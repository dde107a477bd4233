"""Monitors which sessions a migration waits for, and which sessions wait for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Thread
from typing import Any

import psycopg

from ..engine.session import QueryConnection

__all__ = ["BlockingMonitor", "describe_session"]

_LOOKUPS_PER_LIMIT = 8
_MAX_PAUSE_S = 0.25  # deadlocks must be found before the server finds them, after its deadlock_timeout (1 s)
_JOIN_TIMEOUT_S = 10.0


class BlockingMonitor:
    """Monitors a session from its own connection, and cancels its statement before it blocks others for too long.

    The server's lock_timeout does not prevent that: it applies to each lock separately, and it does not limit how long
    a session holds the locks that it already has.

    Attributes:
        cancelled: whether it cancelled a statement.
    """

    def __init__(self, conninfo: str, limit_s: float) -> None:
        self._conninfo = conninfo
        self._limit_s = limit_s
        self._stopped = Event()
        self._blockers: list[dict[str, Any]] = []
        self._blocked: dict[str, Any] | None = None
        self.cancelled = False

    @contextmanager
    def monitor(self, pid: int) -> Iterator[None]:
        """Monitor a session until the block ends."""
        thread = Thread(target=self._run, args=[pid], name="pvsite-sql blocking monitor", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join(_JOIN_TIMEOUT_S)

    def report(self) -> str:
        """Describe the sessions that last blocked the monitored one, and the one it blocked; empty if none."""
        parts = []
        if self._blockers:
            sessions = "; ".join(map(describe_session, self._blockers))
            parts.append(f"it waited for {self._blockers[0]['wanted']}, blocked by {sessions}")
        if self._blocked is not None:
            parts.append(f"it blocked pid {self._blocked['blocked_pid']} for {self._blocked['waited_s']:.1f} s")
        return ", and ".join(parts)

    def _run(self, pid: int) -> None:
        pause = min(self._limit_s / _LOOKUPS_PER_LIMIT, _MAX_PAUSE_S)
        while not self._stopped.is_set():
            with suppress(psycopg.OperationalError), psycopg.connect(self._conninfo, autocommit=True) as connection:
                conn = QueryConnection(connection)
                while not self._stopped.is_set():
                    self._look_up(conn, pid)
                    self._stopped.wait(pause)
            self._stopped.wait(pause)

    def _look_up(self, conn: QueryConnection, pid: int) -> None:
        self._blockers = conn.records("migrate/blockers", pid=pid) or self._blockers
        # below the limit, because the pause and the cancellation take time too
        for blocked in conn.records("migrate/cancel_if_blocking", pid=pid, limit_s=self._limit_s * 0.75):
            self._blocked = blocked
            self.cancelled = True


def describe_session(session: Mapping[str, Any]) -> str:
    """Describe a session, from a record of migrate/blockers, migrate/lock_holders or prune/detach_users."""
    if not session["pid"]:
        return "a prepared transaction (see pg_prepared_xacts)"
    parts = [f"user {session['user_name']}"]
    if session["application"]:
        parts.append(f"application {session['application']}")
    if session["since_utc"]:
        parts.append(f"since {session['since_utc']:%Y-%m-%d %H:%M:%S} UTC")
    if session["state"]:
        parts.append(session["state"])
    if session["query_file"]:
        parts.append(f"query file {session['query_file']}")
    elif session["statement"]:
        parts.append(f"statement: {session['statement']}")
    elif session["statement"] is None:
        parts.append("statement visible only to members of pg_read_all_stats")
    return f"pid {session['pid']} ({', '.join(parts)})"
