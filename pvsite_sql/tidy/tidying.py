"""Tidies finished months: REINDEX CONCURRENTLY, or CLUSTER if asked, and then VACUUM (FREEZE, ANALYZE).

What a month needs is measured (`check/layout.py`), and measured again afterwards. So an interrupted run needs no
record: the next one finds the months that still need something.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from ..check.layout import Layout, Month, list_months, measure
from ..engine.conninfo import with_settings
from ..engine.inputs import as_utc
from ..engine.partitions import Parent
from ..engine.session import QueryConnection
from ..errors import InvalidInput, PvsiteSqlError
from ..migrate.locks import describe_session

__all__ = ["tidy"]

_Report = Callable[[str], None]
_POLL_S = 0.2
_MAX_DESCRIBED = 5
_IN_USE = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_GONE = (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedObject)


def tidy(
    conninfo: str,
    parents: Sequence[Parent] = ("forecasts", "generation"),
    *,
    since_utc: datetime | None = None,
    before_utc: datetime | None = None,
    cluster: bool = False,
    dry_run: bool = False,
    lock_timeout_s: float = 1.0,
    wait_s: float = 300.0,
    report: _Report = print,
) -> None:
    """Tidy the months of generation, forecasts or both that are over and would gain from it.

    Without `cluster`, does not block readers or writers. If a call is interrupted, the next call continues.

    Args:
        conninfo: for the owner of the tables; a direct connection, not PgBouncer in transaction mode.
        parents: the tables.
        since_utc: only months that start then or later; naive means UTC.
        before_utc: only months that end then or earlier; naive means UTC. None: before the current month.
        cluster: whether to put the rows in order where they are not. Blocks readers and writers of the month.
        dry_run: only report what would be done.
        lock_timeout_s: longest wait for a lock that blocks other sessions.
        wait_s: longest time to wait for other transactions, for each statement.
        report: called with a message at each step.

    Raises:
        InvalidInput: a limit is not above zero, or `before_utc` is after the start of the current month.
        PvsiteSqlError: the user does not own the table, another tidy is running, or months were skipped because other
            transactions used them for too long.
    """
    for name, limit in {"lock_timeout_s": lock_timeout_s, "wait_s": wait_s}.items():
        if not limit > 0:
            raise InvalidInput(f"must be above zero, got {limit}", column=name)
    since = None if since_utc is None else as_utc(since_utc, "since_utc")
    before = None if before_utc is None else as_utc(before_utc, "before_utc")
    settings = {
        "lock_timeout": f"{_milliseconds(lock_timeout_s)}ms",
        "statement_timeout": "0",
        "idle_session_timeout": "0",
        "timezone": "UTC",
        "datestyle": "ISO",
    }
    conninfo = with_settings(conninfo, settings, fallback_application_name="pvsite-sql tidy", client_encoding="UTF8")
    # a prepared statement would get a generic plan, which locks all partitions
    with psycopg.connect(conninfo, autocommit=True, prepare_threshold=None) as connection:
        conn = QueryConnection(connection)
        tables = {parent: _check_table(conn, parent, before) for parent in parents}
        skipped: list[str] = []
        for parent, table in tables.items():
            run = _Tidy(connection, parent, cluster, lock_timeout_s, wait_s, report)
            with nullcontext() if dry_run else _locked(conn, table["name"]):
                months = list_months(conn, table["schema"], parent, before or table["month_utc"], since)
                report(f"{table['name']}, months before {before or table['month_utc']:%Y-%m-%d}:")
                run.run(months, dry_run=dry_run)
            skipped += run.skipped
    if skipped:
        raise PvsiteSqlError(f"not all months were tidied: {', '.join(skipped)}; run tidy again")


def _check_table(conn: QueryConnection, parent: Parent, before: datetime | None) -> dict[str, Any]:
    """Check the arguments. Return the record of `tidy/find_table`."""
    records = conn.records("tidy/find_table", parent=parent)
    if not records:
        raise PvsiteSqlError(f"no table {parent} in search_path: run `pvsite-sql migrate`")
    table = records[0]
    if before is not None and before > table["month_utc"]:
        reason = f"{before:%Y-%m-%dT%H:%M:%SZ} is after {table['month_utc']:%Y-%m-%d}; only finished months are tidied"
        raise InvalidInput(reason, column="before")
    if not table["is_owner"]:
        raise PvsiteSqlError(
            f"only {table['owner']}, the owner of {table['name']}, can tidy it; "
            f"the current user is {table['user_name']}"
        )
    return table


@contextmanager
def _locked(conn: QueryConnection, table_name: str) -> Iterator[None]:
    """Lock out other runs on a table."""
    if not conn.values("tidy/lock", name=table_name)[0]:
        raise PvsiteSqlError(f"another tidy of {table_name} is running, or its last statement is")
    try:
        yield
    finally:
        with suppress(psycopg.Error):  # a broken connection has released it
            conn.values("tidy/unlock", name=table_name)


@dataclass(frozen=True)
class _Tidy:
    """Tidies one table.

    Attributes:
        skipped: the months that other sessions used for too long.
    """

    connection: psycopg.Connection[Any]
    parent: Parent
    cluster: bool
    lock_timeout_s: float
    wait_s: float
    report: _Report
    skipped: list[str] = field(default_factory=list)

    @property
    def conn(self) -> QueryConnection:
        return QueryConnection(self.connection)

    def run(self, months: Sequence[Month], *, dry_run: bool) -> None:
        due = [(month, layout) for month in months if (layout := self._needed(month))]
        if not (due or self.skipped):
            self.report("  none")
        if dry_run:
            self.report("dry run: nothing was changed")
            return
        for month, layout in due:
            self._tidy(month, layout)

    def _needed(self, month: Month) -> Layout | None:
        """Return what was measured of a month, if it needs anything. Report why not, if that is not obvious."""
        reason = month.reason
        if not (reason or month.is_owner):
            reason = f"belongs to {month.owner}, who can tidy it"
        if reason:
            self.report(f"  {month.partition} {reason}: skipped")
            self.skipped.extend([month.name] if month.is_locked else [])
            return None
        try:
            layout = measure(self.conn, self.parent, month)
        except psycopg.errors.LockNotAvailable:
            self._skip(month, "another session locked it meanwhile")
            return None
        if layout is None or not (actions := self._actions(layout)):
            return None
        facts = [f"about {layout.rows:,} rows", layout.size]
        if layout.cluster:
            facts.append(f"a site is on {layout.spread:.1f} times as many pages as in order")
        if layout.reindex and layout.index_growth is not None:
            facts.append(f"indexes {layout.index_growth:.1f} times as large as new ones")
        if layout.vacuum:
            facts.append(f"{layout.unvacuumed:.0%} not vacuumed")
        self.report(f"  {month.partition} ({', '.join(facts)}): to be {actions}")
        return layout

    def _actions(self, layout: Layout) -> str:
        """Return what is to be done, as a participle; empty: nothing."""
        if layout.cluster and self.cluster:
            return "clustered and vacuumed"
        if layout.reindex:
            return "reindexed and vacuumed"
        return "vacuumed" if layout.vacuum else ""

    def _skip(self, month: Month, reason: str) -> None:
        self.report(f"  {month.partition}: {reason}: skipped")
        self.skipped.append(month.name)

    def _tidy(self, month: Month, layout: Layout) -> None:
        actions = self._actions(layout)
        try:
            self._drop_leftovers(month, self.wait_s)
            if layout.cluster and self.cluster:
                self._cluster(month)
            elif layout.reindex:
                self._reindex(month, layout)
            after = self._vacuum(month)
        except _GONE:
            self.report(f"{month.partition} no longer exists: skipped")
            return
        except _IN_USE as error:
            users = self._describe(self._users(month))
            used_by = f", used by {users}" if users else ""
            self._skip(month, f"no lock for {self.wait_s:g} seconds{used_by} ({error.diag.message_primary})")
            return
        if after is None:
            self.report(f"{month.partition} no longer exists: skipped")
            return
        if after.vacuum:
            self._skip(month, "rows were written meanwhile, or an older transaction or a replica may need old ones")
            return
        self.report(f"{month.partition} {actions}: {layout.size} -> {after.size}")

    def _drop_leftovers(self, month: Month, timeout_s: float) -> None:
        """Drop the indexes that an interrupted REINDEX CONCURRENTLY left."""
        with self._lock_timeout(timeout_s):
            for statement in self._statements("drop", month):
                self._execute(statement)

    def _reindex(self, month: Month, layout: Layout) -> None:
        """Rebuild the indexes. Nobody queues behind its locks, so it may wait for a long time."""
        try:
            with self._lock_timeout(self.wait_s):
                for statement in self._statements("reindex", month, layout.index_name):
                    self._execute(statement)
        except BaseException:
            if not self.connection.closed:
                with suppress(psycopg.Error):
                    self._drop_leftovers(month, self.lock_timeout_s)
            raise

    def _cluster(self, month: Month) -> None:
        """Put the rows in order. Everybody queues behind its lock, so each attempt is short."""
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                for statement in self._statements("cluster", month):
                    self._execute(statement)
            except _IN_USE:
                if time.monotonic() >= deadline:
                    raise
            else:
                return
            time.sleep(_POLL_S)  # let the sessions that queued behind it go first

    def _vacuum(self, month: Month) -> Layout | None:
        """Vacuum a month, and once more if older transactions kept rows from being frozen. Return the new layout."""
        with self._lock_timeout(self.wait_s):
            self._vacuum_once(month)
            after = measure(self.conn, self.parent, month)
            if after is None or not after.vacuum:
                return after
            if not self._wait_for_users(month):
                return after
            self._vacuum_once(month)
            return measure(self.conn, self.parent, month)

    def _vacuum_once(self, month: Month) -> None:
        for statement in self._statements("vacuum", month):
            self._execute(statement)

    def _wait_for_users(self, month: Month) -> bool:
        """Wait for the transactions that may need old rows. Return whether they ended in time."""
        deadline = time.monotonic() + self.wait_s
        users = initial = self._users(month)
        if users:
            self.report(f"  {month.partition}: waiting for {self._describe(users)}")
        while users := {key: user for key, user in users.items() if key in initial}:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
            users = self._users(month)
        return True

    def _statements(self, step: str, month: Month, last_index: str | None = None) -> list[str]:
        records = self.conn.records("tidy/statements", partition=month.partition, last_index=last_index or "")
        return [record["statement"] for record in records if record["step"] == step]

    def _execute(self, statement: str) -> None:
        self.connection.execute(statement.encode())

    @contextmanager
    def _lock_timeout(self, seconds: float) -> Iterator[None]:
        self.conn.records("tidy/set_lock_timeout", milliseconds=_milliseconds(seconds))
        try:
            yield
        finally:
            if not self.connection.closed:
                self.conn.records("tidy/set_lock_timeout", milliseconds=_milliseconds(self.lock_timeout_s))

    def _users(self, month: Month) -> dict[tuple[int, str], dict[str, Any]]:
        records = self.conn.records("tidy/users", partition=month.partition)
        return {(user["pid"], user["transaction"]): user for user in records}

    @staticmethod
    def _describe(users: dict[tuple[int, str], dict[str, Any]]) -> str:
        described = [describe_session(user) for user in list(users.values())[:_MAX_DESCRIBED]]
        more = ["and others"] if len(users) > _MAX_DESCRIBED else []
        return "; ".join(described + more)


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))
