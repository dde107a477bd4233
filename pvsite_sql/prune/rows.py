"""Counts, archives and deletes rows of a table, without touching its partitions.

With an archive, only rows that are still equal to the archived ones are deleted.
"""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time
from itertools import chain
from pathlib import Path
from socket import gethostname
from typing import IO, Any
from uuid import UUID

import numpy as np
import psycopg
from psycopg.rows import dict_row

from ..engine.binary_copy import decode_in_blocks
from ..engine.partitions import Parent
from ..engine.queries import query
from ..engine.row_types import GENERATION
from ..engine.session import QueryConnection
from .detach import LockRetry

__all__ = ["Rows"]

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


@dataclass(frozen=True)
class Rows:
    """Rows of one table, of all sites or of some.

    Attributes:
        connection: in autocommit mode, with the lock_timeout of `retry`.
        parent: the table.
        name: its name, qualified with the schema.
        sites: the sites, in ascending order; None for all.
        folder: the folder of the archives; None for no archive.
        retry: how long to wait for locks.
        batch_rows: how many rows to delete in a transaction.
        report: called with a message at each step.
    """

    connection: psycopg.Connection[Any]
    parent: Parent
    name: str
    sites: list[UUID] | None
    folder: Path | None
    retry: LockRetry
    batch_rows: int
    report: Callable[[str], None]

    @property
    def _conn(self) -> QueryConnection:
        return QueryConnection(self.connection)

    def count(self, start: datetime | None, end: datetime) -> int:
        """Return the number of rows in a window. Without a start, it is unbounded."""
        if self.sites is None:
            return int(self._conn.values(_COUNT[self.parent], **_window(start, end))[0])
        parameters = {"site_uuids": self.sites, **_window(start, end)}
        return int(self._conn.values(_COUNT_OF_SITES[self.parent], **parameters)[0])

    def delete(self, start: datetime | None, end: datetime) -> None:
        """Archive the rows of a window, if there is a folder, and delete them in batches."""
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
                    path = self.archive(self.folder, start, end, window, keys)
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
            self._conn.run(_VIEW[self.parent])
            return
        self._conn.run("prune/sites_staging")
        self._conn.run("prune/sites_stage", site_uuids=self.sites)
        self._conn.run(_VIEW_OF_SITES[self.parent])

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
        return self.retry.run(self.connection, self.name, lambda: self._conn.values(name, **parameters), failure)

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

    def archive(
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
            rows = self._conn.copy_out("prune/archive_generation", **window)
            blocks = decode_in_blocks(GENERATION, rows, _ROW_GROUP)
            schema, tables = archive.READINGS, (archive.readings_table(block) for block in blocks)
        else:
            levels = self._conn.values("prune/archive_levels", **window)
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


def _file_part(time_utc: datetime | None) -> str:
    """Return a time as part of a file name."""
    if time_utc is None:
        return "unbounded"
    return f"{time_utc:%Y-%m-%d}" if time_utc.time() == time.min else f"{time_utc:%Y-%m-%dT%H%M%SZ}"
