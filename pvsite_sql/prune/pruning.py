"""Deletes old readings or forecasts: drops partitions of whole months, and deletes other rows in batches.

With a site filter, no partition is dropped: the rows of the sites are deleted in batches, month by month.

With an archive, only archived rows are deleted. A detached partition is locked, archived and dropped in one
transaction. Other rows are deleted only if they are still equal to the archived ones.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from socket import gethostname
from typing import IO, Any
from uuid import UUID

import numpy as np
import psycopg
from psycopg.rows import dict_row

from ..engine.binary_copy import decode_in_blocks
from ..engine.conninfo import with_settings
from ..engine.inputs import as_utc
from ..engine.partitions import Parent
from ..engine.queries import query
from ..engine.row_types import GENERATION
from ..engine.session import QueryConnection
from ..errors import InvalidInput, PvsiteSqlError
from .detach import LockRetry, Statements, Table, detach, list_tables, remove_mark
from .sites import SiteFilter

__all__ = ["prune"]

_Report = Callable[[str], None]
_ROW_GROUP = 131_072
_FETCH_FORECASTS = 100
_LOWEST_UUID = UUID(int=0)
_KEY = np.dtype([("forecast_uuid", "S36"), ("digest", "S64")])
_COUNT = {"generation": "prune/count_generation", "forecasts": "prune/count_forecasts"}
_VIEW = {"generation": "prune/view_generation", "forecasts": "prune/view_forecasts"}
_DELETE = {"generation": "prune/delete_generation", "forecasts": "prune/delete_forecasts"}
_COUNT_OF_SITES = {"generation": "prune/count_generation_of_sites", "forecasts": "prune/count_forecasts_of_sites"}
_VIEW_OF_SITES = {"generation": "prune/view_generation_of_sites", "forecasts": "prune/view_forecasts_of_sites"}
_DELETE_OF_SITES = {"generation": "prune/delete_generation_of_sites", "forecasts": "prune/delete_forecasts_of_sites"}


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
            run = _Prune(connection, parent, names[parent], value, uuids, folder, retry, batch_rows, report)
            run.run(dry_run=dry_run)


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
    if not conn.values("prune/lock", name=table["name"])[0]:
        raise PvsiteSqlError(f"another prune of {table['name']} is running, or its last statement is")
    return str(table["name"])


@dataclass(frozen=True)
class _Prune:
    """Prunes one table."""

    connection: psycopg.Connection[Any]
    parent: Parent
    name: str
    before: datetime
    sites: list[UUID] | None
    folder: Path | None
    retry: LockRetry
    batch_rows: int
    report: _Report

    @property
    def conn(self) -> QueryConnection:
        return QueryConnection(self.connection)

    def run(self, *, dry_run: bool) -> None:
        tables = list_tables(self.conn, self.parent, self.before)
        if self.sites is not None:
            self._run_for_sites(tables, dry_run=dry_run)
            return
        expired = [table for table in tables if table.expired]
        partial = [table for table in tables if not table.expired and table.state == "attached"]
        start = partial[0].start_utc if partial else None
        rows = self._count(start, self.before) if partial else 0
        self._report_plan(expired, {(start, self.before): rows} if rows else {})
        for table in tables:
            if not table.expired and table.state != "attached":
                self.report(f"{table.partition} is {table.state}, but contains newer rows: skipped")
        if dry_run:
            self.report("dry run: nothing was deleted")
            return
        for table in partial:
            if table.marked:
                remove_mark(self.connection, self.parent, table, self.retry)
        # half-detached partitions first: while there is one, no other can be detached
        for table in sorted(expired, key=lambda table: table.state != "detaching"):
            self._drop_partition(table)
        if rows:
            self._delete_rows(start, self.before)

    def _run_for_sites(self, tables: Sequence[Table], *, dry_run: bool) -> None:
        """Delete the rows of the sites month by month, so that snapshots are short and archives are of one month."""
        bounds = {bound for t in tables if t.state == "attached" for bound in (t.start_utc, t.end_utc)}
        ends = [*sorted(bound for bound in bounds if bound is not None and bound < self.before), self.before]
        windows = zip([None, *ends], ends, strict=False)  # also the rows of a default partition
        rows = {window: count for window in windows if (count := self._count(*window))}
        self._report_plan([], rows)
        for table in tables:
            if table.state != "attached":
                self.report(f"{table.partition} is {table.state}: skipped; run prune without a site filter to drop it")
        if dry_run:
            self.report("dry run: nothing was deleted")
            return
        for start, end in rows:
            self._delete_rows(start, end)

    def _report_plan(self, expired: Sequence[Table], rows: Mapping[tuple[datetime | None, datetime], int]) -> None:
        of_sites = "" if self.sites is None else f" of {len(self.sites):,} site{'s' * (len(self.sites) != 1)}"
        self.report(f"{self.name}, rows{of_sites} before {_isoformat(self.before)}:")
        archived = "archived and " if self.folder else ""
        for table in expired:
            estimate = "number of rows unknown before ANALYZE" if table.rows is None else f"about {table.rows:,} rows"
            self.report(f"  {table.partition} ({estimate}, {table.size}, {table.state}): to be {archived}dropped")
        for (start, end), count in rows.items():
            since = "" if start is None else f" since {_isoformat(start)}"
            until = "" if end == self.before else f", before {_isoformat(end)}"
            self.report(f"  {count:,} rows{since}{until}: to be {archived}deleted in batches of {self.batch_rows:,}")
        if not (expired or rows):
            self.report("  none")

    def _count(self, start: datetime | None, end: datetime) -> int:
        if self.sites is None:
            return int(self.conn.values(_COUNT[self.parent], **_window(start, end))[0])
        parameters = {"site_uuids": self.sites, **_window(start, end)}
        return int(self.conn.values(_COUNT_OF_SITES[self.parent], **parameters)[0])

    def _drop_partition(self, table: Table) -> None:
        """Detach a partition, archive it, and drop it."""
        name = detach(self.connection, self.parent, self.name, table, self.retry, self.report)
        attach = Statements(self.connection, self.parent).get(name)["attach"]
        try:
            self.retry.run(
                self.connection, name, lambda: self._archive_and_drop(name, table), f"{name} was not dropped"
            )
        except (PvsiteSqlError, psycopg.Error):
            if not self.connection.closed:
                self.report(f"{name} is detached but not dropped: run prune again, or attach it again with: {attach}")
            raise

    def _archive_and_drop(self, name: str, table: Table) -> None:
        statements = Statements(self.connection, self.parent)
        path = None
        with self.connection.transaction():  # not self.conn's: that one sends BEGIN only before a query file
            if self.folder is not None:
                statements.run("lock", name)
                with self.connection.transaction(force_rollback=True):  # drops the view
                    statements.run("view", name)
                    window = {"start_utc": "-infinity", "end_utc": "infinity"}
                    path = self._archive(self.folder, table.start_utc, table.end_utc, window)
            statements.run("drop", name)
        archived = f", archived in {path}" if path else (" (it was empty)" if self.folder else "")
        self.report(f"{name} dropped{archived}")

    def _delete_rows(self, start: datetime | None, end: datetime) -> None:
        """Delete the rows of a window in batches."""
        window = _window(start, end)
        if self.folder is None:
            deleted = sum(self._delete_batches(window))
            self.report(f"{deleted:,} rows deleted")
            return
        with tempfile.TemporaryFile() as keys:
            self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                with self.connection.transaction(force_rollback=True):  # drops the view
                    self._create_view()
                    path = self._archive(self.folder, start, end, window, keys)
            finally:
                self.connection.isolation_level = None
            if path is None:
                return
            self.report(f"archived in {path}")
            archived, deleted = 0, 0
            batches = self._archived_readings(path) if self.parent == "generation" else self._archived_forecasts(keys)
            for name, batch in batches:
                archived += len(next(iter(batch.values())))
                deleted += len(self._delete_batch(name, {**batch, **window}))
        skipped = (
            f"; {archived - deleted:,} skipped, because they were changed or deleted" if archived > deleted else ""
        )
        self.report(f"{deleted:,} rows deleted{skipped}")

    def _create_view(self) -> None:
        """Create the view of the rows to archive."""
        if self.sites is None:
            self.conn.run(_VIEW[self.parent])
            return
        self.conn.run("prune/sites_staging")
        self.conn.run("prune/sites_stage", site_uuids=self.sites)
        self.conn.run(_VIEW_OF_SITES[self.parent])

    def _delete_batches(self, window: dict[str, Any]) -> Iterator[int]:
        parameters = {**window, "batch_rows": self.batch_rows}
        last = _LOWEST_UUID
        while deleted := self._delete_next_batch(last, parameters):
            last = max(deleted)
            yield len(deleted)

    def _delete_next_batch(self, from_site: UUID, parameters: dict[str, Any]) -> list[UUID]:
        if self.sites is None:
            return self._delete_batch(_DELETE[self.parent], {**parameters, "from_site": from_site})
        rest = self.sites[bisect_left(self.sites, from_site) :]
        return self._delete_batch(_DELETE_OF_SITES[self.parent], {**parameters, "site_uuids": rest})

    def _delete_batch(self, name: str, parameters: dict[str, Any]) -> list[UUID]:
        """Delete a batch. Return the site of each deleted row."""
        failure = f"not all rows of {self.name} were deleted"
        return self.retry.run(self.connection, self.name, lambda: self.conn.values(name, **parameters), failure)

    def _archived_readings(self, path: Path) -> Iterator[tuple[str, dict[str, list[Any]]]]:
        from .archive import read_readings  # noqa: PLC0415  pyarrow is an extra, and slow to import

        names = {"site_uuid": "site_uuids", "start_utc": "starts_utc", "end_utc": "ends_utc"}
        for columns in read_readings(path, self.batch_rows):
            batch = {names.get(name, name): column for name, column in columns.items()}
            yield "prune/delete_archived_generation", batch

    def _archived_forecasts(self, keys: IO[bytes]) -> Iterator[tuple[str, dict[str, list[Any]]]]:
        keys.seek(0)
        while data := keys.read(self.batch_rows * _KEY.itemsize):
            batch = np.frombuffer(data, _KEY)
            uuids, digests = (batch[name].astype(str).tolist() for name in ("forecast_uuid", "digest"))
            yield "prune/delete_archived_forecasts", {"forecast_uuids": uuids, "digests": digests}

    def _archive(
        self,
        folder: Path,
        start: datetime | None,
        end: datetime | None,
        window: dict[str, Any],
        keys: IO[bytes] | None = None,
    ) -> Path | None:
        """Write the rows of the view in a window to a file, if there are any.

        `keys`, if given, receives the uuid and digest of each forecast.
        """
        from . import archive  # noqa: PLC0415  pyarrow is an extra, and slow to import

        if self.parent == "generation":
            rows = self.conn.copy_out("prune/archive_generation", **window)
            blocks = decode_in_blocks(GENERATION, rows, _ROW_GROUP)
            schema, tables = archive.READINGS, (archive.readings_table(block) for block in blocks)
        else:
            levels = self.conn.values("prune/archive_levels", **window)
            groups = self._forecasts(window, keys)
            schema = archive.forecasts_schema(levels)
            tables = (archive.forecast_values_table(group, levels) for group in groups)
        first = next(tables, None)
        if first is None:
            return None
        info = self.connection.info
        return archive.write(
            folder,
            f"{self.parent}_{_file_part(start)}_{_file_part(end)}{'' if self.sites is None else '_some_sites'}",
            schema,
            chain([first], tables),
            source=f"{gethostname()} {info.host}:{info.port}/{info.dbname}",
        )

    def _forecasts(self, window: dict[str, Any], keys: IO[bytes] | None) -> Iterator[list[dict[str, Any]]]:
        """Yield the forecasts of the view in a window, in groups of about one row group."""
        group: list[dict[str, Any]] = []
        values = 0
        with psycopg.ServerCursor(self.connection, "pruned", row_factory=dict_row) as cursor:
            cursor.execute(query("prune/archive_forecasts").text, window, binary=True)
            while fetched := cursor.fetchmany(_FETCH_FORECASTS):
                group += fetched
                values += sum(len(row["power_kw"]) for row in fetched)
                if keys is not None:
                    keys.write(
                        np.array([(str(row["forecast_uuid"]), row["digest"]) for row in fetched], _KEY).tobytes()
                    )
                if values >= _ROW_GROUP:
                    yield group
                    group, values = [], 0
        if group:
            yield group


def _window(start: datetime | None, end: datetime) -> dict[str, Any]:
    return {"start_utc": "-infinity" if start is None else start, "end_utc": end}


def _isoformat(time_utc: datetime) -> str:
    return f"{time_utc:%Y-%m-%dT%H:%M:%SZ}"


def _file_part(time_utc: datetime | None) -> str:
    """Return a time as part of a file name."""
    if time_utc is None:
        return "unbounded"
    return f"{time_utc:%Y-%m-%d}" if time_utc.time() == time.min else f"{time_utc:%Y-%m-%dT%H%M%SZ}"
