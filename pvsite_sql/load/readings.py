"""Files of readings into `generation`: streamed, all of them or one by one, bad rows refused or put aside."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, Queue
from threading import Event, Thread
from typing import TypeVar
from uuid import UUID

import numpy as np
import pandas as pd
import psycopg

from ..engine.generation_frames import find_bad_rows
from ..errors import Duplicate, InvalidInput, NotFound, PvsiteSqlError
from ..generation import GenerationOnConflict
from ..models import InsertResult
from ..repository import Repository
from .cells import Reader
from .files import Batch, batches, found, shown_name, size_of
from .layout import Layout
from .rejects import Rejects

__all__ = ["Layout", "LoadResult", "Progress", "load"]

_STOP_S = 1.0
_NAMED_FILES = 5
_Item = TypeVar("_Item")


class LoadResult(InsertResult):
    """What became of the rows of files, blank lines apart."""

    rejected: int = 0


@dataclass(frozen=True)
class Progress:
    """How far a load is.

    Attributes:
        rows: how many rows the server was sent.
        bytes_read: how much was read for them of those files that have a size.
        bytes_all: the size of all these files; None: one of the files has no size.
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
    """Store the readings of CSV and Parquet files, all of them or none, in bounded memory.

    Args:
        repo: takes two connections of its pool.
        files: paths; a folder stands for the CSV and Parquet files in it, `-` for standard input.
        layout: what the files' columns are; None: those of `Layout()`.
        on_conflict: what happens to a reading whose site and start are stored, or given, already, as in
            `repo.generation.insert`.
        interval: how long a reading lasts where its file has no column for its end.
        each: make a transaction of each file, in their order.
        rejects: a CSV file for the rows that cannot be stored, with the file, the line and the reason; the others are
            stored. It is written anew, and of files that are not stored in the end it holds nothing. None: the first
            such row ends the load.
        progress: called after every 100,000 rows or so.
        stored: with `each`, called with a file and its counts once it is stored.

    Returns:
        how many rows were inserted, updated, skipped and rejected.

    Raises:
        InvalidInput: a row (without `rejects`), a file or an option is no good; names file and line.
        NotFound: the layout's site does not exist.
        Duplicate: with `on_conflict="error"`, a reading is stored already, or given twice.
        PvsiteSqlError: a file cannot be read, or the one for the rejects cannot be written.

        Nothing is written then; with `each`, nothing of this file and the later ones, and a note says which are stored.
    """
    layout = Layout() if layout is None else layout
    names = found(files)
    gauge = _Gauge(names, progress)
    known = _known_in(repo)
    if layout.site_uuid is not None and not known([layout.site_uuid]):
        raise NotFound(f"no site has the uuid {layout.site_uuid}")
    total = LoadResult()
    with Rejects(rejects, layout, names) as aside:
        frames = _Frames(layout, interval, known, aside, keys_once=on_conflict == "error")
        for number, part in enumerate([[name] for name in names] if each else [names]):
            rejected = aside.count
            try:
                with _ahead(frames.of(part)) as coming:
                    result = repo.generation.insert(gauge.past(coming), on_conflict=on_conflict, interval=interval)
            except (PvsiteSqlError, psycopg.Error) as error:
                if len(names) > 1:
                    error.add_note(_remaining(names, number))
                raise
            aside.keep()
            done = LoadResult(**result.model_dump(), rejected=aside.count - rejected)
            total = LoadResult(**{name: value + getattr(done, name) for name, value in total})
            if each and stored is not None:
                stored(part[0], done)
    return total


def _known_in(repo: Repository) -> Callable[[Iterable[UUID]], set[UUID]]:
    return lambda sites: {site.site_uuid for site in repo.sites.list(site_uuids=sites)}


def _remaining(names: list[str], number: int) -> str:
    if not number:
        return "(no file is stored)"
    shown = ", ".join(names[:number]) if number <= _NAMED_FILES else f"{names[0]} to {names[number - 1]}"
    return f"({number} of {len(names)} files {'is' if number == 1 else 'are'} stored: {shown})"


class _Gauge:
    """Counts what passes, and tells it."""

    def __init__(self, names: list[str], progress: Callable[[Progress], object] | None) -> None:
        sizes = [size_of(name) for name in names]
        self._all = None if None in sizes else sum(size or 0 for size in sizes)
        self._progress = progress
        self._rows = self._read = 0

    def past(self, coming: Iterable[tuple[pd.DataFrame, int]]) -> Iterator[pd.DataFrame]:
        """The frames; one is counted when the next one is asked for, since it was written by then."""
        for frame, read in coming:
            if len(frame):
                yield frame
            self._rows += len(frame)
            self._read += read
            if self._progress is not None:
                self._progress(Progress(self._rows, self._read, self._all))


class _Frames:
    """Makes frames of files, and puts aside the rows that are none."""

    def __init__(
        self,
        layout: Layout,
        interval: timedelta,
        known: Callable[[Iterable[UUID]], set[UUID]],
        aside: Rejects,
        *,
        keys_once: bool,
    ) -> None:
        self._layout = layout
        self._interval = interval
        self._known = known
        self._aside = aside
        self._keys_once = keys_once

    def of(self, names: list[str]) -> Generator[tuple[pd.DataFrame, int], None, None]:
        """Their frames, each with the number of bytes that were read for it."""
        for name in names:
            reader, before = Reader(self._layout, self._known), 0
            for batch in batches(name, self._layout):
                yield self._frame(reader, batch, shown_name(name)), batch.bytes_read - before
                before = batch.bytes_read
        self._aside.flush()  # before the rows around them are committed

    def _frame(self, reader: Reader, batch: Batch, name: str) -> pd.DataFrame:
        try:
            frame, reasons = reader.frame(batch.cells, len(batch.numbers))
            good = np.setdiff1d(np.arange(len(frame)), list(reasons))
            for key, reason, rows in find_bad_rows(frame.iloc[good], self._interval):
                reasons |= dict.fromkeys(good[rows].tolist(), (key, reason))
        except InvalidInput as error:
            column = batch.columns.get(error.column or "", error.column)
            raise error.replace(reason=f"{name}, {column}: {error.reason}", column=None) from None
        if reasons or batch.unreadable:
            self._aside.put(name, batch, reasons)
            frame = frame.drop(index=list(reasons))
        if self._keys_once and (again := frame.duplicated(["site_uuid", "start_utc"])).any():
            number = batch.numbers[again[again].index[0]]
            raise Duplicate(
                f"{name}, {batch.numbered} {number}: a second row of the same site and start",
                constraint_name="generation_pkey",
            )
        return frame


@contextmanager
def _ahead(items: Generator[_Item, None, None]) -> Iterator[Iterator[_Item]]:
    """The same items, of which another thread makes the next ones while this one is at work."""
    made: Queue[tuple[_Item | None, BaseException | None]] = Queue(1)
    left = Event()

    def make() -> None:
        error: BaseException | None = None
        try:
            with closing(items):
                for item in items:
                    made.put((item, None))
                    if left.is_set():
                        return
        except BaseException as raised:  # noqa: BLE001  raised again by the other thread
            error = raised
        made.put((None, error))

    def take() -> Iterator[_Item]:
        while True:
            item, error = made.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    thread = Thread(target=make, daemon=True)  # it may wait for standard input for ever
    thread.start()
    try:
        yield take()
    finally:
        left.set()
        with suppress(Empty):
            made.get_nowait()
        thread.join(_STOP_S)
