"""Removes old readings or forecasts: whole months with their partition, the rest in batches; archived before, if asked.

Nothing is dropped or deleted that its archive does not hold: the rows of a partition are read when it is detached and
locked, and dropped in the same transaction; others are deleted if they are still what the archive has.
"""

from __future__ import annotations

import tempfile
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
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from ..engine.binary_copy import decode_in_blocks
from ..engine.inputs import as_utc
from ..engine.partitions import Parent
from ..engine.queries import query
from ..engine.row_types import GENERATION
from ..engine.session import QueryConnection
from ..errors import InvalidInput, PvsiteSqlError
from .detach import RetryPolicy, Statements, Table, detached, tables, unmark

__all__ = ["prune"]

_Say = Callable[[str], None]
_ROW_GROUP = 131_072
_FETCHED_FORECASTS = 100
_FIRST_SITE = UUID(int=0)
_KEY = np.dtype([("forecast_uuid", "S36"), ("digest", "S64")])
_COUNT = {"generation": "prune/count_generation", "forecasts": "prune/count_forecasts"}
_VIEW = {"generation": "prune/view_generation", "forecasts": "prune/view_forecasts"}
_DELETE = {"generation": "prune/delete_generation", "forecasts": "prune/delete_forecasts"}


def prune(
    conninfo: str,
    before_utc: Mapping[Parent, datetime],
    *,
    archive: Path | None = None,
    current_month: bool = False,
    dry_run: bool = False,
    lock_timeout_s: float = 1.0,
    wait_s: float = 300.0,
    batch_rows: int = 5_000,
    say: _Say = print,
) -> None:
    """Remove readings, forecasts or both that are older than a time.

    Readers and writers go on. None of them waits for it longer than `lock_timeout_s`, but that a writer of a row that
    is being deleted waits for the batch. An interrupted call loses nothing; the next one goes on where it ended.

    Args:
        conninfo: of the owner of the tables, on a connection of its own (not of PgBouncer in transaction mode).
        before_utc: for each table the time (naive: UTC): readings that start, forecasts with a timestamp before it.
        archive: a folder; what is removed is written there first, as Parquet.
        current_month: whether a time may lie in this month.
        dry_run: only say what would be done.
        lock_timeout_s: how long to wait for a lock at a time.
        wait_s: how long to wait for others, and try again, at each step.
        batch_rows: how many rows a transaction deletes where a partition is not removed whole.
        say: is called with a sentence at each step.

    Raises:
        InvalidInput: a time lies in the future, or in this month without `current_month`. Nothing is removed.
        PvsiteSqlError: the user does not own the table, another prune is at work, others were in the way for too long,
            or the archive could not be written; says what is left to do.
    """
    limits = {"lock_timeout_s": lock_timeout_s, "wait_s": wait_s, "batch_rows": batch_rows}
    for name, limit in limits.items():
        if not limit > 0:
            raise InvalidInput(f"a number above zero is wanted, not {limit}", column=name)
    before = {parent: as_utc(moment, "before_utc") for parent, moment in before_utc.items()}
    folder = None if archive is None else _ready(archive)
    options = {
        "lock_timeout": f"{max(1, round(lock_timeout_s * 1000))}ms",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "0",
        "timezone": "UTC",
        "datestyle": "ISO",
    }
    given = conninfo_to_dict(conninfo)
    merged = " ".join([str(given.get("options") or ""), *(f"-c {key}={value}" for key, value in options.items())])
    fallback: dict[str, Any] = {"fallback_application_name": "pvsite-sql prune", "client_encoding": "UTF8"}
    target = make_conninfo(conninfo, options=merged.strip(), **fallback)
    with psycopg.connect(target, autocommit=True) as connection:
        names = {
            parent: _checked(QueryConnection(connection), parent, moment, current_month=current_month)
            for parent, moment in before.items()
        }
        policy = RetryPolicy(lock_timeout_s, wait_s)
        for parent, moment in before.items():
            run = _Prune(connection, parent, names[parent], moment, folder, policy, batch_rows, say)
            run.run(dry_run=dry_run)


def _ready(archive: Path) -> Path:
    if find_spec("pyarrow") is None:
        raise PvsiteSqlError('an archive is written with pyarrow: pip install "pvsite_sql[load]"')
    from .archive import check  # noqa: PLC0415  pyarrow is an extra, and slow to import

    check(archive)
    return archive


def _checked(conn: QueryConnection, parent: Parent, before: datetime, *, current_month: bool) -> str:
    """The table's name with its schema; from here on no other prune of it is at work."""
    found = conn.records("prune/ready", parent=parent)
    if not found:
        raise PvsiteSqlError(f"there is no table {parent} here: run `pvsite-sql migrate`")
    table = found[0]
    if before > table["now_utc"]:
        raise InvalidInput(f"{_time(before)} lies in the future", column=f"{parent} before")
    if before > table["month_utc"] and not current_month:
        reason = f"{_time(before)} lies in this month, which is pruned only with --current-month"
        raise InvalidInput(reason, column=f"{parent} before")
    if not table["owns"]:
        raise PvsiteSqlError(
            f"only {table['owner']}, the owner of {table['name']}, can prune it; this is {table['user_name']}"
        )
    if not conn.values("prune/lock", name=table["name"])[0]:
        raise PvsiteSqlError(f"another prune of {table['name']} is at work, or its last statement is still running")
    return str(table["name"])


@dataclass(frozen=True)
class _Prune:
    """One run over one table."""

    connection: psycopg.Connection[Any]
    parent: Parent
    name: str
    before: datetime
    folder: Path | None
    policy: RetryPolicy
    batch_rows: int
    say: _Say

    @property
    def conn(self) -> QueryConnection:
        return QueryConnection(self.connection)

    def run(self, *, dry_run: bool) -> None:
        found = tables(self.conn, self.parent, self.before)
        whole, cut = [table for table in found if table.whole], [table for table in found if not table.whole]
        parts = [table for table in cut if table.state == "attached"]
        start = parts[0].from_utc if parts else None
        rest = self._counted(start) if parts else 0
        self._announce(whole, start, rest)
        for table in cut:
            if table.state != "attached":
                self.say(f"{table.partition} is {table.state}, but does not end before then: it is left alone")
        if dry_run:
            self.say("nothing was changed (dry run)")
            return
        for table in parts:
            if table.marked:
                unmark(self.connection, self.parent, table, self.policy)
        for table in sorted(whole, key=lambda table: table.state != "detaching"):  # first: it bars the way to others
            self._remove(table)
        if rest:
            self._delete(start)

    def _announce(self, whole: Sequence[Table], start: datetime | None, rest: int) -> None:
        self.say(f"{self.name}, all before {_time(self.before)}:")
        archived = "archived and " if self.folder else ""
        for table in whole:
            rows = "rows not known before ANALYZE" if table.rows is None else f"about {table.rows:,} rows"
            self.say(f"  {table.partition} ({rows}, {table.size}, {table.state}): to be {archived}dropped")
        if rest:
            since = "" if start is None else f" from {_time(start)} on"
            self.say(f"  {rest:,} rows{since}: to be {archived}deleted in batches of {self.batch_rows:,}")
        if not (whole or rest):
            self.say("  nothing")

    def _counted(self, start: datetime | None) -> int:
        return int(self.conn.values(_COUNT[self.parent], **self._window(start))[0])

    def _window(self, start: datetime | None) -> dict[str, Any]:
        return {"start_utc": "-infinity" if start is None else start, "end_utc": self.before}

    def _remove(self, table: Table) -> None:
        """Detach a partition, archive it, and drop it."""
        name = detached(self.connection, self.parent, self.name, table, self.policy, self.say)
        statements = Statements(self.connection, self.parent)
        attach = statements.of(name)["attach"]
        try:
            self.policy.retry(self.connection, name, lambda: self._drop(name, table), name)
        except (PvsiteSqlError, psycopg.Error):
            if not self.connection.closed:
                self.say(f"{name} is detached, and kept: prune again to go on, or put it back with: {attach}")
            raise

    def _drop(self, name: str, table: Table) -> None:
        statements = Statements(self.connection, self.parent)
        path = None
        with self.conn.transaction():
            if self.folder is not None:
                statements.run("hold", name)
                with self.connection.transaction(force_rollback=True):  # takes the view back
                    statements.run("view", name)
                    everything = {"start_utc": "-infinity", "end_utc": "infinity"}
                    path = self._archive(self.folder, table.from_utc, table.to_utc, everything)
            statements.run("drop", name)
        archived = f", archived in {path}" if path else (", which was empty" if self.folder else "")
        self.say(f"{name} dropped{archived}")

    def _delete(self, start: datetime | None) -> None:
        """Delete the rows that no whole partition held."""
        window = self._window(start)
        if self.folder is None:
            deleted = sum(self._batches(window))
            self.say(f"{deleted:,} rows deleted")
            return
        with tempfile.TemporaryFile() as keys:
            self.connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            try:
                with self.connection.transaction(force_rollback=True):
                    self.conn.run(_VIEW[self.parent])
                    path = self._archive(self.folder, start, self.before, window, keys)
            finally:
                self.connection.isolation_level = None
            if path is None:
                return
            self.say(f"archived in {path}")
            archived, deleted = 0, 0
            batches = self._archived_readings(path) if self.parent == "generation" else self._archived_forecasts(keys)
            for name, batch in batches:
                archived += len(next(iter(batch.values())))
                deleted += len(self._gone(name, {**batch, **window}))
        kept = f"; {archived - deleted:,} were changed or deleted by others meanwhile" if archived > deleted else ""
        self.say(f"{deleted:,} rows deleted{kept}")

    def _batches(self, window: dict[str, Any]) -> Iterator[int]:
        site = _FIRST_SITE
        while gone := self._gone(_DELETE[self.parent], {**window, "from_site": site, "batch_rows": self.batch_rows}):
            site = max(gone)
            yield len(gone)

    def _gone(self, name: str, parameters: dict[str, Any]) -> list[UUID]:
        """Delete a batch; the sites of its rows."""
        left = f"not all of {self.name} is deleted"
        return self.policy.retry(self.connection, self.name, lambda: self.conn.values(name, **parameters), left)

    def _archived_readings(self, path: Path) -> Iterator[tuple[str, dict[str, list[Any]]]]:
        from .archive import readings_of  # noqa: PLC0415  pyarrow is an extra, and slow to import

        names = {"site_uuid": "site_uuids", "start_utc": "starts_utc", "end_utc": "ends_utc"}
        for columns in readings_of(path, self.batch_rows):
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
        """Write what the view shows of a window, if there is anything; of forecasts, note what they are."""
        from . import archive  # noqa: PLC0415  pyarrow is an extra, and slow to import

        if self.parent == "generation":
            rows = self.conn.copy_out("prune/archive_generation", **window)
            blocks = decode_in_blocks(GENERATION, rows, _ROW_GROUP)
            schema, parts = archive.READINGS, (archive.readings(block) for block in blocks)
        else:
            levels = self.conn.values("prune/archive_levels", **window)
            some = self._forecasts(window, keys)
            schema, parts = archive.schema_of(levels), (archive.forecast_values(each, levels) for each in some)
        first = next(parts, None)
        if first is None:
            return None
        info = self.connection.info
        return archive.written(
            folder,
            f"{self.parent}_{_stem(start)}_{_stem(end)}",
            schema,
            chain([first], parts),
            source=f"{gethostname()} {info.host}:{info.port}/{info.dbname}",
        )

    def _forecasts(self, window: dict[str, Any], keys: IO[bytes] | None) -> Iterator[list[dict[str, Any]]]:
        """The forecasts that the view shows of a window, as many at a time as make a row group."""
        some: list[dict[str, Any]] = []
        values = 0
        with psycopg.ServerCursor(self.connection, "pruned", row_factory=dict_row) as cursor:
            cursor.execute(query("prune/archive_forecasts").text, window, binary=True)
            while fetched := cursor.fetchmany(_FETCHED_FORECASTS):
                some += fetched
                values += sum(len(row["power_kw"]) for row in fetched)
                if keys is not None:
                    keys.write(
                        np.array([(str(row["forecast_uuid"]), row["digest"]) for row in fetched], _KEY).tobytes()
                    )
                if values >= _ROW_GROUP:
                    yield some
                    some, values = [], 0
        if some:
            yield some


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _stem(moment: datetime | None) -> str:
    """For the name of a file."""
    if moment is None:
        return "unbounded"
    return f"{moment:%Y-%m-%d}" if moment.time() == time.min else f"{moment:%Y-%m-%dT%H%M%SZ}"
