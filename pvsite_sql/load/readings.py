"""Loads files of readings into `generation`, in bounded memory, all of them or one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import timedelta

from ..generation import GenerationOnConflict
from ..models import InsertResult
from ..repository import Repository
from .counters import Counters, StateCounts
from .files import expand
from .frame_reader import FrameReader
from .layout import DEFAULT_INTERVAL, Layout
from .lines import Lines
from .prefetch import prefetch
from .progress import Progress, ProgressCounter, noting_stored_files
from .rejects import Rejects
from .same_keys import SameKey, check_same_key, insert_rules, naming_lines
from .sites import check_site, site_finder

__all__ = ["Layout", "LoadResult", "Progress", "load"]


class LoadResult(InsertResult):
    """How many rows of the files were inserted, updated, skipped and so on. Blank lines are not counted.

    `differing` is a part of `skipped`: how many of these differ from what is stored.

    Attributes:
        rejected: rows that cannot be stored.
        empty: rows without a value, with `Layout.empty="skip"`.
        first_states: with `Layout.counter`, the first row of each site, which has no state before it.
        gaps: with `Layout.counter`, rows whose state is more than `interval` after the one before.
        resets: with `Layout.counter`, rows whose state is below the one before.
        notes: sentences about what may be wrong, such as gaps and resets, with the place of the first one.
    """

    rejected: int = 0
    empty: int = 0
    first_states: int = 0
    gaps: int = 0
    resets: int = 0
    notes: tuple[str, ...] = ()


def load(
    repo: Repository,
    files: Iterable[str | os.PathLike[str]],
    layout: Layout | None = None,
    *,
    on_conflict: GenerationOnConflict | None = None,
    same_key: SameKey | None = None,
    interval: timedelta | None = None,
    each: bool = False,
    rejects: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    stored: Callable[[str, LoadResult], object] | None = None,
) -> LoadResult:
    """Load readings from files, all of them or none, in bounded memory.

    Args:
        repo: the load uses two connections of its pool.
        files: paths of CSV, JSON, NDJSON, Excel and Parquet files; a folder or a zip archive means the files in it,
            `-` means standard input.
        layout: the columns and formats of the files; None: `Layout()`.
        on_conflict: what to do if a reading of the same site and start is already stored or given, as in
            `repo.generation.insert`. None: a stored reading is kept, and two rows of the transaction that have the same
            site and start, but not the same power and end, are an error.
        same_key: what to do with rows of the transaction that have the same site and start: store the `first` or the
            `last` one, or the `mean` or `sum` of their power (their ends must be equal). None: as `on_conflict` says.
        interval: duration of a reading, for files without an end column; None: 5 minutes. It is required where the
            start of a reading depends on it: if times are ends, and with a period column. Energies require it, or an
            end column. With `Layout.counter` it is required: the longest time between two states that make a reading.
        each: load each file in its own transaction, in order.
        rejects: a CSV file for rows that cannot be stored, with file, line and reason; the other rows are stored. An
            existing file is overwritten. Rows of files that are not stored are not written to it. None: the first such
            row is an error.
        progress: called about every 100,000 rows.
        stored: with `each`, called with a file and its counts after it was stored.

    Returns:
        what became of the rows. The sum of the numbers without `differing` is the number of rows.

    Raises:
        InvalidInput: a row (without `rejects`), a file or an option is invalid, or two rows differ that have the same
            site and start; the message names file and line.
        NotFound: the site or the client of the layout does not exist.
        Duplicate: with `on_conflict="error"`, a reading is already stored, or given twice.
        PvsiteSqlError: a file cannot be read, or the file for rejected rows cannot be written.

    Warns:
        IgnoredFiles: a folder or an archive contains files of other kinds; the message names them.

        After an error nothing is stored. With `each`, earlier files remain stored, and a note lists them.
    """
    rules = insert_rules(on_conflict, same_key)
    layout = Layout() if layout is None else layout
    layout.check_interval(interval)
    check_same_key(same_key, layout)
    counters = Counters(layout, interval) if layout.counter and interval is not None else None
    names = expand(files)
    counter = ProgressCounter(names, progress)

    if layout.client_name is not None:
        repo.clients.get(layout.client_name)
    if layout.site_uuid is not None:
        check_site(repo, layout.site_uuid, layout.client_name)
    total = LoadResult()
    with Rejects(rejects, layout, names) as rejected_rows:
        unique_keys = on_conflict == "error" and same_key is None
        finder = site_finder(repo, layout)
        reader = FrameReader(layout, interval, finder, rejected_rows, counters, unique_keys=unique_keys)
        for number, group in enumerate([[name] for name in names] if each else [names]):
            rejected_before, empty_before = rejected_rows.count, reader.empty_count
            reader.notes = []
            states_before = StateCounts() if counters is None else counters.counts()
            lines = Lines()
            noting = noting_stored_files(names, number)
            with noting, naming_lines(lines, same_key), prefetch(reader.frames(group, lines)) as frames:
                inserted = repo.generation.insert(counter.count(frames), interval=interval or DEFAULT_INTERVAL, **rules)
            rejected_rows.keep()
            result = LoadResult(
                **inserted.model_dump(),
                rejected=rejected_rows.count - rejected_before,
                empty=reader.empty_count - empty_before,
                notes=tuple(reader.notes),
            )
            if counters is not None:
                result = _with_states(result, counters, states_before)
            total = LoadResult(**{name: value + getattr(result, name) for name, value in total})
            if each and stored is not None:
                stored(group[0], result)
    return total


def _with_states(result: LoadResult, counters: Counters, before: StateCounts) -> LoadResult:
    """Return a result with the states that made no reading since earlier counts."""
    states = counters.counts().since(before)
    changes = {
        "skipped": result.skipped + states.repeated,
        "first_states": states.first_states,
        "gaps": states.gaps,
        "resets": states.resets,
        "notes": (*result.notes, *counters.notes(states)),
    }
    return result.model_copy(update=changes)
