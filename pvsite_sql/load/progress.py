"""Progress of a load, and which files are stored when it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import psycopg

from ..errors import PvsiteSqlError
from .files import file_size

__all__ = ["Progress", "ProgressCounter", "noting_stored_files"]

_MAX_LISTED_FILES = 5


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


class ProgressCounter:
    """Counts rows and bytes, and reports them."""

    def __init__(self, names: list[str], progress: Callable[[Progress], object] | None) -> None:
        """Set the names of the files, and the function that gets the progress."""
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


@contextmanager
def noting_stored_files(names: list[str], count: int) -> Iterator[None]:
    """Add a note to an error that says which of the files are stored: the first `count` of them."""
    try:
        yield
    except (PvsiteSqlError, psycopg.Error) as error:
        if len(names) > 1:
            error.add_note(_stored_files(names, count))
        raise


def _stored_files(names: list[str], count: int) -> str:
    if not count:
        return "(no file was stored)"
    listed = ", ".join(names[:count]) if count <= _MAX_LISTED_FILES else f"{names[0]} to {names[count - 1]}"
    return f"({count} of {len(names)} files {'was' if count == 1 else 'were'} stored: {listed})"
