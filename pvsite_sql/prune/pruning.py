"""Deletes old readings or forecasts: drops partitions of whole months, and deletes other rows in batches.

With a site filter, no partition is dropped: the rows of the sites are deleted in batches, month by month.

With an archive, only archived rows are deleted. A detached partition is locked, archived and dropped in one
transaction. Other rows are deleted only if they are still equal to the archived ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

import psycopg

from ..engine.conninfo import with_settings
from ..engine.inputs import as_utc
from ..engine.partitions import Parent
from ..engine.session import QueryConnection
from ..errors import InvalidInput, PvsiteSqlError
from .detach import LockRetry, Statements, Table, detach, list_tables, remove_mark
from .rows import Rows
from .sites import SiteFilter

__all__ = ["prune"]

_LOCK_WAIT_S = 2.0  # the session of a prune that has ended holds its lock for a moment
_Report = Callable[[str], None]


def prune(
    conninfo: str,
    before_utc: Mapping[Parent, datetime],
    *,
    sites: SiteFilter | None = None,
    archive: Path | None = None,
    current_month: bool = False,
    dry_run: bool = False,
    lock_timeout_s: float = 1.0,
    wait_s: float = 300.0,
    batch_rows: int = 5_000,
    report: _Report = print,
) -> None:
    """Delete readings, forecasts or both that are older than a time, of all sites or of some.

    Does not block readers or writers for longer than `lock_timeout_s`, except writers of a row in the current batch.
    If a call is interrupted, nothing is lost; the next call continues.

    Args:
        conninfo: for the owner of the tables, or with `sites` for a role that may delete rows; a direct connection, not
            PgBouncer in transaction mode.
        before_utc: the time for each table; naive means UTC. Deletes readings that start before it and forecasts with
            a timestamp before it.
        sites: which sites; None selects all sites.
        archive: a folder; the rows are written there first, as Parquet.
        current_month: whether a time may be in the current month.
        dry_run: only report what would be deleted.
        lock_timeout_s: longest wait for a lock.
        wait_s: longest time to wait for other transactions and retry, for each step.
        batch_rows: how many rows to delete in a transaction, in partitions that are not dropped.
        report: called with a message at each step.

    Raises:
        InvalidInput: a time is in the future, or in the current month without `current_month`. Nothing is deleted.
        NotFound: `sites` names a site, country or site group that does not exist. Nothing is deleted.
        PvsiteSqlError: the user may not prune the table, another prune is running, other transactions used the table
            for too long, or the archive could not be written; the message describes the current state.
    """
    limits = {"lock_timeout_s": lock_timeout_s, "wait_s": wait_s, "batch_rows": batch_rows}
    for name, limit in limits.items():
        if not limit > 0:
            raise InvalidInput(f"must be above zero, got {limit}", column=name)
    before = {parent: as_utc(value, "before_utc") for parent, value in before_utc.items()}
    folder = None if archive is None else _check_archive(archive)
    settings = {
        "lock_timeout": f"{max(1, round(lock_timeout_s * 1000))}ms",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "timezone": "UTC",
        "datestyle": "ISO",
        "jit": "off",
    }
    conninfo = with_settings(conninfo, settings, fallback_application_name="pvsite-sql prune", client_encoding="UTF8")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        conn = QueryConnection(connection)
        drops = sites is None
        names = {
            parent: _check_table(conn, parent, value, current_month=current_month, drops=drops)
            for parent, value in before.items()
        }
        uuids = None if sites is None else sites.find(conn)
        retry = LockRetry(lock_timeout_s, wait_s)
        for parent, value in before.items():
            rows = Rows(connection, parent, names[parent], uuids, folder, retry, batch_rows, report)
            _Prune(value, rows).run(dry_run=dry_run)


def _check_archive(folder: Path) -> Path:
    if find_spec("pyarrow") is None:
        raise PvsiteSqlError('archives require pyarrow: pip install "pvsite_sql[load]"')
    from .archive import check_writable  # noqa: PLC0415  pyarrow is an extra, and slow to import

    check_writable(folder)
    return folder


def _check_table(conn: QueryConnection, parent: Parent, before: datetime, *, current_month: bool, drops: bool) -> str:
    """Check the arguments, and lock out other prunes of the table. Return its name, qualified with the schema."""
    records = conn.records("prune/find_table", parent=parent)
    if not records:
        raise PvsiteSqlError(f"no table {parent} in search_path: run `pvsite-sql migrate`")
    table = records[0]
    if before > table["now_utc"]:
        raise InvalidInput(f"{_isoformat(before)} is in the future", column=f"{parent} before")
    if before > table["month_utc"] and not current_month:
        reason = f"{_isoformat(before)} is in the current month; allow that with --current-month"
        raise InvalidInput(reason, column=f"{parent} before")
    if drops and not table["is_owner"]:
        raise PvsiteSqlError(
            f"only {table['owner']}, the owner of {table['name']}, can prune it; "
            f"the current user is {table['user_name']}"
        )
    if not table["may_delete"]:
        raise PvsiteSqlError(
            f"{table['user_name']} may not delete rows of {table['name']}; {table['owner']} and members of "
            "pvsite_admin may"
        )
    deadline = time.monotonic() + _LOCK_WAIT_S
    while not conn.values("prune/lock", name=table["name"])[0]:
        if time.monotonic() > deadline:
            raise PvsiteSqlError(f"another prune of {table['name']} is running, or its last statement is")
        time.sleep(0.05)
    return str(table["name"])


@dataclass(frozen=True)
class _Prune:
    """Prunes one table.

    Attributes:
        before: deletes the rows before this time.
        rows: the table and the rows that may be deleted.
    """

    before: datetime
    rows: Rows

    def run(self, *, dry_run: bool) -> None:
        tables = list_tables(QueryConnection(self.rows.connection), self.rows.parent, self.before)
        if self.rows.sites is not None:
            self._run_for_sites(tables, dry_run=dry_run)
            return
        expired = [table for table in tables if table.expired]
        partial = [table for table in tables if not table.expired and table.state == "attached"]
        start = partial[0].start_utc if partial else None
        rows = self.rows.count(start, self.before) if partial else 0
        self._report_plan(expired, {(start, self.before): rows} if rows else {})
        for table in tables:
            if not table.expired and table.state != "attached":
                self.rows.report(f"{table.partition} is {table.state}, but contains newer rows: skipped")
        if dry_run:
            self.rows.report("dry run: nothing was deleted")
            return
        for table in partial:
            if table.marked:
                remove_mark(self.rows.connection, self.rows.parent, table, self.rows.retry)
        # half-detached partitions first: while there is one, no other can be detached
        for table in sorted(expired, key=lambda table: table.state != "detaching"):
            self._drop_partition(table)
        if rows:
            self.rows.delete(start, self.before)

    def _run_for_sites(self, tables: Sequence[Table], *, dry_run: bool) -> None:
        """Delete the rows of the sites month by month, so that snapshots are short and archives are of one month."""
        bounds = {bound for t in tables if t.state == "attached" for bound in (t.start_utc, t.end_utc)}
        ends = [*sorted(bound for bound in bounds if bound is not None and bound < self.before), self.before]
        windows = zip([None, *ends], ends, strict=False)  # also the rows of a default partition
        rows = {window: count for window in windows if (count := self.rows.count(*window))}
        self._report_plan([], rows)
        for table in tables:
            if table.state != "attached":
                self.rows.report(
                    f"{table.partition} is {table.state}: skipped; run prune without a site filter to drop it"
                )
        if dry_run:
            self.rows.report("dry run: nothing was deleted")
            return
        for start, end in rows:
            self.rows.delete(start, end)

    def _report_plan(self, expired: Sequence[Table], rows: Mapping[tuple[datetime | None, datetime], int]) -> None:
        of_sites = (
            "" if self.rows.sites is None else f" of {len(self.rows.sites):,} site{'s' * (len(self.rows.sites) != 1)}"
        )
        self.rows.report(f"{self.rows.name}, rows{of_sites} before {_isoformat(self.before)}:")
        archived = "archived and " if self.rows.folder else ""
        for table in expired:
            estimate = "number of rows unknown before ANALYZE" if table.rows is None else f"about {table.rows:,} rows"
            self.rows.report(f"  {table.partition} ({estimate}, {table.size}, {table.state}): to be {archived}dropped")
        for (start, end), count in rows.items():
            since = "" if start is None else f" since {_isoformat(start)}"
            until = "" if end == self.before else f", before {_isoformat(end)}"
            self.rows.report(
                f"  {count:,} rows{since}{until}: to be {archived}deleted in batches of {self.rows.batch_rows:,}"
            )
        if not (expired or rows):
            self.rows.report("  none")

    def _drop_partition(self, table: Table) -> None:
        """Detach a partition, archive it, and drop it."""
        name = detach(self.rows.connection, self.rows.parent, self.rows.name, table, self.rows.retry, self.rows.report)
        attach = Statements(self.rows.connection, self.rows.parent).get(name)["attach"]
        try:
            self.rows.retry.run(
                self.rows.connection, name, lambda: self._archive_and_drop(name, table), f"{name} was not dropped"
            )
        except (PvsiteSqlError, psycopg.Error):
            if not self.rows.connection.closed:
                self.rows.report(
                    f"{name} is detached but not dropped: run prune again, or attach it again with: {attach}"
                )
            raise

    def _archive_and_drop(self, name: str, table: Table) -> None:
        statements = Statements(self.rows.connection, self.rows.parent)
        path = None
        with self.rows.connection.transaction():  # a QueryConnection's sends BEGIN only before a query file
            if self.rows.folder is not None:
                statements.run("lock", name)
                with self.rows.connection.transaction(force_rollback=True):  # drops the view
                    statements.run("view", name)
                    window = {"start_utc": "-infinity", "end_utc": "infinity"}
                    path = self.rows.archive(self.rows.folder, table.start_utc, table.end_utc, window)
            statements.run("drop", name)
        archived = f", archived in {path}" if path else (" (it was empty)" if self.rows.folder else "")
        self.rows.report(f"{name} dropped{archived}")


def _isoformat(time_utc: datetime) -> str:
    return f"{time_utc:%Y-%m-%dT%H:%M:%SZ}"
