"""Generation: bulk inserts with COPY, reads as models or frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal, get_args
from uuid import UUID

from .engine import libraries, partitions
from .engine.arrays import Array, uuid_objects
from .engine.binary_copy import decode_in_blocks
from .engine.inputs import as_integer, as_uuids, window
from .engine.query_connection import QueryConnection
from .engine.row_types import GENERATION
from .engine.rows import collector_paused, empty_fields, models_of, times_of
from .engine.same_keys import KEPT, Rule, SameKey, rule_of
from .engine.session import Session
from .errors import Duplicate, InvalidInput
from .models import Generation, GenerationSum, InsertResult, SumBy

if TYPE_CHECKING:  # slow to import, and most calls never need it
    import pandas as pd
    import pyarrow as pa

    from .engine.frames import AnyFrame
    from .engine.generation_frames import Readings

__all__ = ["GenerationOnConflict", "GenerationReadings", "SameKey"]

GenerationOnConflict = Literal["ignore", "update", "error"]

_BLOCK_ROWS = 4_096  # decoded together, while the next rows arrive


class GenerationReadings:
    """`repo.generation`: the measured power of sites, in kW.

    A window selects the readings with `start_utc <= reading.start_utc < end_utc`. Naive times are taken as UTC.
    """

    def __init__(self, session: Session) -> None:
        self._unprepared = session

    @property
    def _session(self) -> Session:
        """The session, with the libraries that its calls need."""
        libraries.load_pandas()
        return self._unprepared

    def insert(
        self,
        frames: AnyFrame | Iterable[AnyFrame] | Iterable[Generation],
        *,
        on_conflict: GenerationOnConflict = "ignore",
        same_key: SameKey | None = None,
        interval: timedelta = timedelta(minutes=5),
        progress: Callable[[int], object] | None = None,
    ) -> InsertResult:
        """Store readings, all or none, and create the month partitions that they need.

        Args:
            frames: a pandas frame, or anything with `__arrow_c_stream__` (of polars, pyarrow, DuckDB ...; requires
                pyarrow). The columns are `site_uuid` or `location_uuid` (UUID or text; in Arrow also 16 bytes),
                `start_utc` (naive times are UTC), `power_kw` or `generation_power_kw` (finite) and, optionally,
                `end_utc`. `insert` ignores other columns and the index. The order of rows does not matter. Or an
                iterable of such frames that are stored one after another in one transaction, so that only one of them
                needs to be in memory. Or an iterable of `Generation` models, whose `created_utc` is ignored. Arrow data
                of more than a million rows, and more than 100,000 models, are stored in parts like an iterable of
                frames. Two concurrent calls that send frames or parts with the same keys in opposite order can
                deadlock; then one of them fails, and nothing of it is stored.
            on_conflict: what to do with a reading whose site and start are already stored, or occur earlier in the
                input. `ignore` keeps the first reading. `update` stores the power and end of the last one and sets
                `created_utc` to now, if they differ. `error` raises `Duplicate`.
            same_key: what to do with several rows of the input that have the same site and start, before `on_conflict`
                applies to a stored reading: store the `first` or the `last` one, or the `mean` or `sum` of their power
                (their ends must be equal), or raise an error unless they are all `equal`. With `equal`, readings that
                an earlier call of the same transaction inserted count as rows of the input. By default `on_conflict`
                decides. In an iterable of frames, all but `first` with `ignore` and `last` with `update` keep the rows
                in a temporary table of the server until the last frame, if they can concern readings of several frames.
            interval: the duration of readings in a frame without `end_utc`.
            progress: called after each frame or part with the number of rows so far.

        Returns:
            the number of rows inserted, updated and skipped; the sum is the number of rows in the input. And how many
            of the skipped ones differ from what is stored.

        Raises:
            InvalidInput: a frame or an argument is invalid; names the frame, column and rows. Or two rows with the same
                site and start are not `equal`, or have different ends and cannot be combined; names one, and both
                values.
            MissingReference: a site does not exist.
            Duplicate: `on_conflict` is `error` and a reading is already stored or occurs twice.

        If an error is raised, nothing is stored.
        """
        if on_conflict not in get_args(GenerationOnConflict):
            raise InvalidInput(f"must be 'ignore', 'update' or 'error', got {on_conflict!r}", column="on_conflict")
        if not isinstance(interval, timedelta) or not interval > timedelta(0):
            raise InvalidInput(f"must be a timedelta greater than zero, got {interval!r}", column="interval")
        if interval % timedelta(microseconds=1):  # pandas timedeltas have nanoseconds
            raise InvalidInput(f"must be a whole number of microseconds, got {interval!r}", column="interval")
        if same_key is not None and same_key not in get_args(SameKey):
            raise InvalidInput(
                f"must be 'equal', 'first', 'last', 'mean', 'sum' or None, got {same_key!r}", column="same_key"
            )
        libraries.load_pandas()
        from .engine.generation_frames import parts_of
        from .engine.generation_writer import checked

        rule = rule_of(on_conflict, same_key)
        with self._session.staging("generation"):
            given, of_one_frame = parts_of(frames, interval, keep=KEPT[rule])
            parts = checked(given, rule)
            head = list(islice(parts, 2 if of_one_frame else 1))
            if not head:
                return InsertResult()
            if of_one_frame and len(head) == 1:
                return self._insert_one(head[0], on_conflict, rule, progress)
            return self._insert_several(chain(head, parts), on_conflict, rule, progress)

    def _insert_one(
        self,
        part: Readings,
        on_conflict: GenerationOnConflict,
        rule: Rule,
        progress: Callable[[int], object] | None,
    ) -> InsertResult:
        from .engine.generation_writer import GenerationWriter

        def attempt(conn: QueryConnection, *, straight: bool) -> InsertResult:
            with conn.transaction():
                writer = GenerationWriter(conn, on_conflict, rule, several=False)
                writer.write(part, straight=straight)
                if progress is not None:
                    progress(writer.row_count)
                return writer.finish()

        def attempts(conn: QueryConnection) -> InsertResult:
            try:
                return attempt(conn, straight=True)
            except Duplicate:
                if on_conflict == "error":
                    raise
                return attempt(conn, straight=False)  # a concurrent transaction inserted a reading after the probe

        def work(conn: QueryConnection) -> InsertResult:
            return partitions.write(self._session, conn, "generation", part.months(), lambda: attempts(conn))

        return self._session.run_in_steps("bulk", work)

    def _insert_several(
        self,
        parts: Iterator[Readings],
        on_conflict: GenerationOnConflict,
        rule: Rule,
        progress: Callable[[int], object] | None,
    ) -> InsertResult:
        from .engine.generation_writer import GenerationWriter

        first = next(parts)
        with self._session.connection("bulk") as conn:  # no retry: what an iterator gave is gone
            partitions.ensure(conn, "generation", first.months(), wait=not self._session.may_block_itself)
            with conn.transaction():
                writer = GenerationWriter(conn, on_conflict, rule, several=True)
                for part in chain([first], parts):
                    if part is not first:
                        partitions.ensure_while_writing(self._session, conn, "generation", part.months())
                    writer.write(part)
                    if progress is not None:
                        progress(writer.row_count)
                return writer.finish()

    def read(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> list[Generation]:
        """Return readings as models, ordered by site and start.

        Args:
            site_uuids: the sites. None selects all sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
        """
        name, parameters = _read_query(site_uuids, start_utc, end_utc)
        return self._session.run("bulk", lambda conn: _models(conn, name, **parameters))

    def read_frame(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> pd.DataFrame:
        """Return readings as a frame, ordered by site and start. Many times faster than `read`.

        Args:
            site_uuids: the sites. None selects all sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.

        Returns:
            a frame with the columns `site_uuid` (object, UUID), `start_utc`, `end_utc` (`datetime64[us, UTC]`),
            `generation_power_kw` (float64) and `created_utc` (`datetime64[us, UTC]`). `insert` accepts it.
        """
        name, parameters = _read_query(site_uuids, start_utc, end_utc)

        def work(conn: QueryConnection) -> pd.DataFrame:
            rows = conn.copy_out(name, **parameters)
            from .engine.columns import frame_of

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
        """Return an iterator of frames like that of `read_frame`, with only one of them in memory.

        The iterator keeps a connection and its transaction open until it is exhausted or closed.

        Args:
            site_uuids: the sites. None selects all sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            chunk_rows: the number of rows of each frame; the last one can be shorter.

        Raises:
            InvalidInput: an argument is invalid.
        """
        name, parameters = _read_query(site_uuids, start_utc, end_utc)
        if as_integer(chunk_rows, "chunk_rows") < 1:
            raise InvalidInput(f"must be at least 1, got {chunk_rows}", column="chunk_rows")

        def frames(conn: QueryConnection) -> Iterator[pd.DataFrame]:
            from .engine.columns import frame_of

            for block in decode_in_blocks(GENERATION, conn.copy_out(name, **parameters), chunk_rows):
                yield frame_of(GENERATION, [block])

        return self._session.stream("stream", frames)

    def read_arrow(
        self,
        site_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        chunk_rows: int = 100_000,
    ) -> pa.RecordBatchReader:
        """Return a stream of Arrow batches, ordered by site and start, with only one of them in memory.

        Requires pyarrow. polars (`pl.from_arrow`), DuckDB and other libraries that know Arrow read the stream as it is.

        The reader takes a connection when the first batch is read, and keeps it and its transaction open until the last
        one is read, or an error is raised, or the reader is closed (`close()`, or the end of its `with` block) or
        dropped. Errors of the database are raised unchanged, except by libraries that read the stream through Arrow's C
        interface: they raise errors of their own with its text. Use it from one thread at a time.

        Args:
            site_uuids: the sites. None selects all sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            chunk_rows: the number of rows of each batch; the last one can be shorter.

        Returns:
            a reader with the columns `site_uuid` (string), `start_utc`, `end_utc` (`timestamp[us, UTC]`),
            `generation_power_kw` (double) and `created_utc` (`timestamp[us, UTC]`). `insert` accepts it.

        Raises:
            InvalidInput: an argument is invalid.
            PvsiteSqlError: pyarrow is not installed.
        """
        name, parameters = _read_query(site_uuids, start_utc, end_utc)
        if as_integer(chunk_rows, "chunk_rows") < 1:
            raise InvalidInput(f"must be at least 1, got {chunk_rows}", column="chunk_rows")
        libraries.pyarrow()
        from .engine.arrow_results import reader_of

        def blocks(conn: QueryConnection) -> Iterator[Array]:
            return decode_in_blocks(GENERATION, conn.copy_out(name, **parameters), chunk_rows)

        return reader_of(GENERATION, lambda: self._session.stream("stream", blocks))

    def read_for_users(
        self,
        user_uuids: Iterable[UUID | str] | None = None,
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> list[Generation]:
        """Return the readings of the sites that users can see, each reading once, ordered by site and start.

        Args:
            user_uuids: the users. None selects the readings of all sites, an empty list none. UUIDs of nonexistent
                users are ignored.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
        """
        if user_uuids is None:
            return self.read(None, start_utc=start_utc, end_utc=end_utc)
        parameters: dict[str, Any] = {"user_uuids": as_uuids(user_uuids, "user_uuids"), **window(start_utc, end_utc)}
        return self._session.run("bulk", lambda conn: _models(conn, "generation/read_for_users", **parameters))

    def sums(
        self,
        by: SumBy = "total",
        *,
        site_uuids: Iterable[UUID | str] | None = None,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
    ) -> list[GenerationSum]:
        """Return the total power for each start, ordered by start and name.

        Args:
            by: `total` sums all sites, under the name "total". `dno` and `gsp` sum the sites of each DNO or GSP; sites
                without one are summed under the name None.
            site_uuids: the sites. None selects all sites, an empty list none.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.

        Raises:
            InvalidInput: an argument is invalid.
        """
        if by not in get_args(SumBy):
            raise InvalidInput(f"must be 'total', 'dno' or 'gsp', got {by!r}", column="by")
        parameters: dict[str, Any] = window(start_utc, end_utc)
        if site_uuids is None:
            name = "generation/sums_total_all_sites" if by == "total" else "generation/sums_all_sites"
        else:
            name = "generation/sums_total" if by == "total" else "generation/sums"
            parameters["site_uuids"] = as_uuids(site_uuids, "site_uuids")
        if by != "total":
            parameters["by"] = by
        return self._session.run("bulk", lambda conn: conn.rows(GenerationSum, name, **parameters))

    def latest(self, site_uuids: Iterable[UUID | str] | None = None) -> dict[UUID, Generation]:
        """Return the last reading of each site. Sites without readings are left out.

        Args:
            site_uuids: the sites. None selects all existing sites, an empty list none.
        """
        if site_uuids is None:
            rows = self._session.run("read", lambda conn: conn.rows(Generation, "generation/latest_all_sites"))
        else:
            sites = as_uuids(site_uuids, "site_uuids")
            rows = self._session.run("read", lambda conn: conn.rows(Generation, "generation/latest", site_uuids=sites))
        return {row.site_uuid: row for row in rows}

    def delete(
        self,
        site_uuids: Iterable[UUID | str],
        *,
        start_utc: datetime | None = None,
        end_utc: datetime | None = None,
        dry_run: bool = False,
    ) -> int:
        """Delete the readings of the given sites in a window, all or none. Without a window, delete all their readings.

        Readings that other transactions commit in the meantime may remain.

        Args:
            site_uuids: the sites, including deleted sites whose readings were kept. An empty list deletes nothing.
                None is not allowed.
            start_utc: the start of the window (inclusive). None means no limit.
            end_utc: the end of the window (exclusive). None means no limit.
            dry_run: only count the readings.

        Returns:
            the number of readings deleted, or counted.

        Raises:
            InvalidInput: an argument is invalid.
        """
        if site_uuids is None:
            raise InvalidInput(
                "must be a list of sites, got None; to delete the readings of all sites, pass the uuids of all sites, "
                "or use pvsite-sql prune",
                column="site_uuids",
            )
        parameters = {"site_uuids": as_uuids(site_uuids, "site_uuids"), **window(start_utc, end_utc)}
        if dry_run:
            return self._session.run("bulk", lambda conn: int(conn.values("generation/delete_count", **parameters)[0]))
        return self._session.run("bulk", lambda conn: conn.run("generation/delete", **parameters))


def _models(conn: QueryConnection, name: str, **parameters: Any) -> list[Generation]:
    blocks = decode_in_blocks(GENERATION, conn.copy_out(name, **parameters), _BLOCK_ROWS)
    return [reading for block in blocks for reading in _readings(block)]


def _readings(block: Array) -> list[Generation]:
    import numpy as np

    with collector_paused():
        times = times_of(np.concatenate((block["start_utc"], block["end_utc"])))  # most ends are starts too
        columns = (
            uuid_objects(block["site_uuid"]).tolist(),
            times[: len(block)],
            times[len(block) :],
            block["generation_power_kw"].tolist(),
            times_of(block["created_utc"]),
        )
        empty = empty_fields(Generation)
        every = []
        for site_uuid, start_utc, end_utc, power_kw, created_utc in zip(*columns, strict=True):
            fields = empty.copy()
            fields["site_uuid"] = site_uuid
            fields["start_utc"] = start_utc
            fields["end_utc"] = end_utc
            fields["generation_power_kw"] = power_kw
            fields["created_utc"] = created_utc
            every.append(fields)
        return models_of(Generation, every)


def _read_query(
    site_uuids: Iterable[UUID | str] | None, start_utc: datetime | None, end_utc: datetime | None
) -> tuple[str, dict[str, Any]]:
    bounds = window(start_utc, end_utc)
    if site_uuids is None:
        return "generation/read_all_sites", bounds
    return "generation/read", {"site_uuids": as_uuids(site_uuids, "site_uuids"), **bounds}
