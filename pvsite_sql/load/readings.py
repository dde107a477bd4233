"""Loads files of readings into `generation`, in bounded memory, all of them or one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar

import numpy as np
import pandas as pd
import psycopg

from ..engine.generation_frames import find_bad_rows
from ..errors import Duplicate, InvalidInput, PvsiteSqlError
from ..generation import GenerationOnConflict
from ..models import InsertResult
from ..repository import Repository
from .batch import Batch
from .cells import CellParser
from .files import batches, display_name, expand, file_size
from .layout import Layout
from .rejects import Rejects
from .sites import SiteFinder, check_site, site_finder
from .wide import by_line

__all__ = ["Layout", "LoadResult", "Progress", "load"]

_JOIN_TIMEOUT_S = 1.0
_MAX_LISTED_FILES = 5
_Item = TypeVar("_Item")


class LoadResult(InsertResult):
    """How many rows of the files were inserted, updated, skipped and rejected. Blank lines are not counted."""

    rejected: int = 0


@dataclass(frozen=True)
class Progress:
    """Progress of a load.

    Attributes:
        rows: how many rows were sent to the server.
        bytes_read: how many bytes of the files were read for them.
        bytes_all: the size of all files; None if one of them has no size, such as a pipe.
    """

    rows: int
    bytes_read: int
    bytes_all: int | None


def load(
    repo: Repository,
    files: Iterable[str | os.PathLike[str]],
    layout: Layout | None = None,
    *,
    on_conflict: GenerationOnConflict = "ignore",
    interval: timedelta = timedelta(minutes=5),
    each: bool = False,
    rejects: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    stored: Callable[[str, LoadResult], object] | None = None,
) -> LoadResult:
    """Load readings from CSV and Parquet files, all of them or none, in bounded memory.

    Args:
        repo: the load uses two connections of its pool.
        files: paths; a folder means the CSV and Parquet files in it, `-` means standard input.
        layout: the columns and formats of the files; None: `Layout()`.
        on_conflict: what to do if a reading of the same site and start is already stored or given, as in
            `repo.generation.insert`.
        interval: duration of a reading, for files without an end column.
        each: load each file in its own transaction, in order.
        rejects: a CSV file for rows that cannot be stored, with file, line and reason; the other rows are stored. An
            existing file is overwritten. Rows of files that are not stored are not written to it. None: the first such
            row is an error.
        progress: called about every 100,000 rows.
        stored: with `each`, called with a file and its counts after it was stored.

    Returns:
        how many rows were inserted, updated, skipped and rejected.

    Raises:
        InvalidInput: a row (without `rejects`), a file or an option is invalid; the message names file and line.
        NotFound: the site or the client of the layout does not exist.
        Duplicate: with `on_conflict="error"`, a reading is already stored, or given twice.
        PvsiteSqlError: a file cannot be read, or the file for rejected rows cannot be written.

        After an error nothing is stored. With `each`, earlier files remain stored, and a note lists them.
    """
    layout = Layout() if layout is None else layout
    names = expand(files)
    counter = _ProgressCounter(names, progress)

    if layout.client_name is not None:
        repo.clients.get(layout.client_name)
    if layout.site_uuid is not None:
        check_site(repo, layout.site_uuid, layout.client_name)
    total = LoadResult()
    with Rejects(rejects, layout, names) as rejected_rows:
        reader = _FrameReader(
            layout, interval, site_finder(repo, layout), rejected_rows, unique_keys=on_conflict == "error"
        )
        for number, group in enumerate([[name] for name in names] if each else [names]):
            rejected_before = rejected_rows.count
            try:
                with _prefetch(reader.frames(group)) as frames:
                    inserted = repo.generation.insert(counter.count(frames), on_conflict=on_conflict, interval=interval)
            except (PvsiteSqlError, psycopg.Error) as error:
                if len(names) > 1:
                    error.add_note(_stored_files(names, number))
                raise
            rejected_rows.keep()
            result = LoadResult(**inserted.model_dump(), rejected=rejected_rows.count - rejected_before)
            total = LoadResult(**{name: value + getattr(result, name) for name, value in total})
            if each and stored is not None:
                stored(group[0], result)
    return total


def _stored_files(names: list[str], count: int) -> str:
    if not count:
        return "(no file was stored)"
    listed = ", ".join(names[:count]) if count <= _MAX_LISTED_FILES else f"{names[0]} to {names[count - 1]}"
    return f"({count} of {len(names)} files {'was' if count == 1 else 'were'} stored: {listed})"


class _ProgressCounter:
    """Counts rows and bytes, and reports them."""

    def __init__(self, names: list[str], progress: Callable[[Progress], object] | None) -> None:
        sizes = [file_size(name) for name in names]
        self._bytes_all = None if None in sizes else sum(size or 0 for size in sizes)
        self._progress = progress
        self._rows = self._bytes_read = 0

    def count(self, frames: Iterable[tuple[pd.DataFrame, int]]) -> Iterator[pd.DataFrame]:
        """Yield the frames. A frame counts when the next one is requested, because it was written by then."""
        for frame, bytes_read in frames:
            if len(frame):
                yield frame
            self._rows += len(frame)
            self._bytes_read += bytes_read
            if self._progress is not None:
                self._progress(Progress(self._rows, self._bytes_read, self._bytes_all))


class _FrameReader:
    """Reads files as frames of readings, and adds invalid rows to the rejected ones."""

    def __init__(
        self,
        layout: Layout,
        interval: timedelta,
        find_sites: SiteFinder,
        rejects: Rejects,
        *,
        unique_keys: bool,
    ) -> None:
        self._layout = layout
        self._interval = interval
        self._find_sites = find_sites
        self._rejects = rejects
        self._unique_keys = unique_keys

    def frames(self, names: list[str]) -> Generator[tuple[pd.DataFrame, int], None, None]:
        """Yield the frames of files, each with the number of bytes that were read for it."""
        for name in names:
            parser, bytes_before = CellParser(self._layout, self._find_sites), 0
            for batch in batches(name, self._layout):
                yield self._frame(parser, batch, display_name(name)), batch.bytes_read - bytes_before
                bytes_before = batch.bytes_read
        self._rejects.flush()  # before the other rows are committed

    def _frame(self, parser: CellParser, batch: Batch, name: str) -> pd.DataFrame:
        try:
            frame, reasons = parser.frame(batch.cells, len(batch.numbers))
            valid = np.delete(np.arange(len(frame)), list(reasons))
            for key, reason, rows in find_bad_rows(frame.iloc[valid] if reasons else frame, self._interval):
                reasons |= dict.fromkeys(valid[rows].tolist(), (key, reason))
        except InvalidInput as error:
            column = batch.columns.get(error.column or "", error.column)
            raise error.replace(reason=f"{name}, {column}: {error.reason}", column=None) from None
        if reasons or batch.unreadable:
            lines, reasons, rejected = by_line(batch, reasons)
            self._rejects.add(name, replace(lines, unreadable=batch.unreadable), reasons)
            frame = frame.drop(index=rejected)
        if self._unique_keys and (duplicated := frame.duplicated(["site_uuid", "start_utc"])).any():
            number = batch.numbers[duplicated[duplicated].index[0]]
            raise Duplicate(
                f"{name}, {batch.number_kind} {number}: an earlier row has the same site and start",
                constraint_name="generation_pkey",
            )
        return frame


@contextmanager
def _prefetch(items: Generator[_Item, None, None]) -> Iterator[Iterator[_Item]]:
    """Yield an iterator over the same items, which a thread produces ahead of the consumer."""
    queue: Queue[tuple[_Item | None, BaseException | None]] = Queue(1)
    stopped = Event()

    def produce() -> None:
        error: BaseException | None = None
        try:
            with closing(items):
                for item in items:
                    queue.put((item, None))
                    if stopped.is_set():
                        return
        except BaseException as raised:  # noqa: BLE001  the consumer raises it
            error = raised
        queue.put((None, error))

    def consume() -> Iterator[_Item]:
        while True:
            item, error = queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    thread = Thread(target=produce, daemon=True)  # it may block on standard input forever
    thread.start()
    try:
        yield consume()
    finally:
        stopped.set()
        with suppress(Empty):
            queue.get_nowait()
        thread.join(_JOIN_TIMEOUT_S)
