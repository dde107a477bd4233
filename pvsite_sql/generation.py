"""Measured generation: bulk inserts by COPY, reads as models and as frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Literal, get_args
from uuid import UUID

import numpy as np
import pandas as pd

from .engine import partitions
from .engine.binary_copy import Type, decode_in_blocks, encode
from .engine.columns import frame_of
from .engine.generation_frames import GENERATION, READINGS, Readings, readings
from .engine.inputs import as_integer, as_uuids, window
from .engine.query_connection import QueryConnection
from .engine.rows import decoded_models
from .engine.session import Session
from .errors import Duplicate, InvalidInput
from .models import Generation, GenerationSum, InsertResult

__all__ = ["GenerationReadings", "OnConflict", "SumBy"]

OnConflict = Literal["ignore", "update", "error"]
SumBy = Literal["total", "dno", "gsp"]

_STAGED: dict[str, Type] = {**READINGS, "position": "bigint"}
_PROBED_SITES = 64  # rows that are sent again mostly are of all sites; asking for each of thousands outlasts the COPY
_BLOCK_ROWS = 16_384  # decoded at a time, while the next ones arrive
_KEEP = {"ignore": "first", "update": "last", "error": "none"}


class GenerationReadings:
    """`repo.generation`: the measured power of sites, in kW."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(
        self,
        frames: pd.DataFrame | Iterable[pd.DataFrame],
        *,
        on_conflict: OnConflict = "ignore",
        interval: timedelta = timedelta(minutes=5),
        progress: Callable[[int], object] | None = None,
    ) -> InsertResult:
        """Store readings, all of them or none, and make the month partitions that they need.

        Args:
            frames: a frame, or an iterable of frames that are stored one after the other in one transaction, so that
                memory holds one at a time. Columns: `site_uuid` (UUID or text), `start_utc` (naive times mean UTC),
                `power_kw` or `generation_power_kw` (finite), optionally `end_utc`; others are passed over. The order
                of rows does not matter; but two calls at once that send the same keys in frames of opposite order may
                deadlock, and then one of them fails, with nothing of it stored.
            on_conflict: what happens to a reading whose site and start are stored, or given, already. `ignore`: the
                first one stays. `update`: the last one given replaces power and end where they differ, and
                `created_utc` becomes now. `error`: nothing is written.
            interval: how long a reading lasts where its frame has no `end_utc`.
            progress: called after every frame with the number of rows so far.

        Returns:
            how many rows were inserted, updated and skipped: together as many as were given.

        Raises:
            InvalidInput: a frame that cannot be stored; names frame, column and rows. Nothing is written.
            MissingReference: a site does not exist. Nothing is written.
            Duplicate: with `error`, a reading is stored already. Nothing is written.
        """
        if on_conflict not in get_args(OnConflict):
            raise InvalidInput(f"ignore, update or error, not {on_conflict!r}", column="on_conflict")
        if not isinstance(interval, timedelta) or not interval > timedelta(0):
            raise InvalidInput(f"a timedelta above zero is wanted, not {interval!r}", column="interval")
        if interval % timedelta(microseconds=1):  # of pandas
            raise InvalidInput(f"whole microseconds are wanted, not {interval!r}", column="interval")
        if not isinstance(frames, Iterable):
            raise InvalidInput(f"a pandas DataFrame, or an iterable of them, is wanted, not {type(frames).__name__}")
        alone = isinstance(frames, pd.DataFrame)
        several = [frames] if isinstance(frames, pd.DataFrame) else frames
        checked = _checked(several, interval, _KEEP[on_conflict], numbered=not alone)
        if alone:
            (only,) = checked
            return self._insert_one(only, on_conflict, progress)
        return self._insert_several(checked, on_conflict, progress)

    def _insert_one(
        self, part: Readings, on_conflict: OnConflict, progress: Callable[[int], object] | None
    ) -> InsertResult:
        def attempt(conn: QueryConnection, *, straight: bool) -> InsertResult:
            with conn.transaction():
                writer = _Writer(conn, on_conflict, waits=False, savepoints=False)
                writer.write(part, straight=straight)
                if progress is not None:
                    progress(writer.given)
                return writer.finish()

        def attempts(conn: QueryConnection) -> InsertResult:
            try:
                return attempt(conn, straight=True)
            except Duplicate:
                if on_conflict == "error":
                    raise
                return attempt(conn, straight=False)  # another writer was there between the look and the write

        def work(conn: QueryConnection) -> InsertResult:
            return partitions.write(self._session, conn, "generation", part.months(), lambda: attempts(conn))

        with self._session.staging("generation"):
            return self._session.run_in_steps("bulk", work)

    def _insert_several(
        self, parts: Iterator[Readings], on_conflict: OnConflict, progress: Callable[[int], object] | None
    ) -> InsertResult:
        with self._session.staging("generation"):
            first = next(parts, None)
            if first is None:
                return InsertResult()
            with self._session.connection("bulk") as conn:  # no retry: an iterator cannot be read again
                partitions.ensure(conn, "generation", first.months())
                with conn.transaction():
                    writer = _Writer(conn, on_conflict, waits=on_conflict == "update", savepoints=True)
                    for part in chain([first], parts):
                        if part is not first:
                            partitions.ensure_while_writing(self._session, conn, "generation", part.months())
                        writer.write(part)
                        if progress is not None:
                            progress(writer.given)
                    return writer.finish()

    def read(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> list[Generation]:
        """The readings with `start_utc <= reading.start_utc < end_utc`, by site and start.

        Args:
            site_uuids: the sites; None: all of them, an empty list: none.
            start_utc: None: from the first reading on.
            end_utc: None: up to the last reading.
        """
        name, parameters = _asked(site_uuids, start_utc, end_utc)
        return self._session.run("bulk", lambda conn: _models(conn, name, **parameters))

    def read_frame(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> pd.DataFrame:
        """The same as a frame, many times faster.

        Returns:
            `site_uuid` (object: UUID), `start_utc`, `end_utc`, `generation_power_kw` (float64) and `created_utc`; the
            times are `datetime64[us, UTC]`. It can be inserted as it is.
        """
        name, parameters = _asked(site_uuids, start_utc, end_utc)

        def work(conn: QueryConnection) -> pd.DataFrame:
            rows = conn.copy_out(name, **parameters)
            return frame_of(GENERATION, decode_in_blocks(GENERATION, rows, _BLOCK_ROWS))

        return self._session.run("bulk", work)

    def read_frames(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        chunk_rows: int = 100_000,
    ) -> Iterator[pd.DataFrame]:
        """The same as an iterator of frames of `chunk_rows` rows, the last one shorter; none where there is no row.

        Memory holds one at a time. The connection is in use, in one transaction, until the iterator ends or is closed.
        """
        name, parameters = _asked(site_uuids, start_utc, end_utc)
        if as_integer(chunk_rows, "chunk_rows") < 1:
            raise InvalidInput(f"at least one row, not {chunk_rows}", column="chunk_rows")

        def frames(conn: QueryConnection) -> Iterator[pd.DataFrame]:
            for block in decode_in_blocks(GENERATION, conn.copy_out(name, **parameters), chunk_rows):
                yield frame_of(GENERATION, [block])

        return self._session.stream("stream", frames)

    def read_for_users(
        self,
        user_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> list[Generation]:
        """The readings of the sites that the users may see, each once; None: the readings of all sites."""
        if user_uuids is None:
            return self.read(None, start_utc=start_utc, end_utc=end_utc)
        asked = {"user_uuids": as_uuids(user_uuids, "user_uuids"), **window(start_utc, end_utc)}
        return self._session.run("bulk", lambda conn: _models(conn, "generation/read_for_users", **asked))

    def sums(
        self,
        by: SumBy = "total",
        *,
        site_uuids: Iterable[UUID | str] | None = None,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> list[GenerationSum]:
        """The summed power for each start in a half-open window, by start and name.

        Args:
            by: `total` (one row a start, named "total"), `dno` or `gsp`: sites without one sum under the name None.
            site_uuids: the sites; None: all of them, an empty list: none.
            start_utc: None: from the first reading on.
            end_utc: None: up to the last reading.

        Raises:
            InvalidInput: `by` is none of the three.
        """
        if by not in get_args(SumBy):
            raise InvalidInput(f"total, dno or gsp, not {by!r}", column="by")
        asked = {"by": by, **window(start_utc, end_utc)}
        if site_uuids is None:
            return self._session.run(
                "bulk", lambda conn: conn.rows(GenerationSum, "generation/sums_all_sites", **asked)
            )
        asked["site_uuids"] = as_uuids(site_uuids, "site_uuids")
        return self._session.run("bulk", lambda conn: conn.rows(GenerationSum, "generation/sums", **asked))

    def latest(self, site_uuids: Iterable[UUID | str] | None = None) -> dict[UUID, Generation]:
        """The last reading of each site that has one; None: of all sites that there are."""
        if site_uuids is None:
            rows = self._session.run("read", lambda conn: conn.rows(Generation, "generation/latest_all_sites"))
        else:
            sites = as_uuids(site_uuids, "site_uuids")
            rows = self._session.run("read", lambda conn: conn.rows(Generation, "generation/latest", site_uuids=sites))
        return {row.site_uuid: row for row in rows}


def _models(conn: QueryConnection, name: str, **parameters: Any) -> list[Generation]:
    blocks = decode_in_blocks(GENERATION, conn.copy_out(name, **parameters), _BLOCK_ROWS)
    return [reading for block in blocks for reading in decoded_models(Generation, GENERATION, block)]


class _Writer:
    """Writes the parts of one call in its transaction and counts what becomes of their rows.

    A part of whose span nothing is stored yet goes straight into the table. Any other goes through the staging table,
    where the server compares keys. With `update` all parts of a call of several wait there until the end, since which
    row of a key is the last one is known only then.
    """

    def __init__(self, conn: QueryConnection, on_conflict: OnConflict, *, waits: bool, savepoints: bool) -> None:
        self._conn = conn
        self._on_conflict = on_conflict
        self._waits = waits
        self._savepoints = savepoints
        self._window: tuple[datetime, datetime] | None = None
        self._staged = 0
        self._inserted = 0
        self._updated = 0
        self.given = 0

    def write(self, part: Readings, *, straight: bool = True) -> None:
        self.given += part.given
        if not len(part):
            return
        if self._waits:
            self._stage(part)
        elif not (straight and self._written_straight(part)):
            self._stage(part)
            self._merge()

    def finish(self) -> InsertResult:
        if self._staged:
            self._merge()
        return InsertResult(
            inserted=self._inserted, updated=self._updated, skipped=self.given - self._inserted - self._updated
        )

    def _written_straight(self, part: Readings) -> bool:
        if self._on_conflict != "error":
            sites, first, last = part.spans(_PROBED_SITES)
            start, end = part.window()
            if self._conn.values(
                "generation/insert_probe",
                site_uuids=sites,
                first_utc=first,
                last_utc=last,
                start_utc=start,
                end_utc=end,
            )[0]:
                return False
        try:
            with self._conn.transaction() if self._savepoints else nullcontext():
                self._inserted += self._conn.copy_in("generation/insert_copy", encode(READINGS, part.columns))
        except Duplicate as error:
            if self._on_conflict == "error":
                raise Duplicate(str(error), constraint_name="generation_pkey") from error.__cause__
            if not self._savepoints:
                raise
            return False  # another writer was there between the look and the write
        return True

    def _stage(self, part: Readings) -> None:
        if not self._staged:
            self._conn.run("generation/insert_staging")
        position = np.arange(self._staged, self._staged + len(part))
        self._conn.copy_in("generation/insert_stage", encode(_STAGED, {**part.columns, "position": position}))
        self._staged += len(part)
        start, end = part.window()
        if self._window is not None:
            start, end = min(start, self._window[0]), max(end, self._window[1])
        self._window = start, end

    def _merge(self) -> None:
        assert self._window is not None  # noqa: S101  something was staged
        bounds: dict[str, Any] = dict(zip(("start_utc", "end_utc"), self._window, strict=True))
        self._inserted += self._conn.run("generation/insert_new", **bounds)
        if self._on_conflict == "update":
            self._updated += self._conn.run("generation/insert_changed")
        self._conn.run("generation/insert_unstage")
        self._staged, self._window = 0, None


def _checked(frames: Iterable[pd.DataFrame], interval: timedelta, keep: str, *, numbered: bool) -> Iterator[Readings]:
    for number, frame in enumerate(frames):
        yield readings(frame, interval, keep=keep, number=number if numbered else None)


def _asked(
    site_uuids: Iterable[UUID | str] | None, start_utc: datetime | None, end_utc: datetime | None
) -> tuple[str, dict[str, Any]]:
    bounds = window(start_utc, end_utc)
    if site_uuids is None:
        return "generation/read_all_sites", bounds
    return "generation/read", {"site_uuids": as_uuids(site_uuids, "site_uuids"), **bounds}
