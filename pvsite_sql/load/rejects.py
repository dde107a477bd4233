"""The rows of a load that cannot be stored: refused, or put aside in a CSV file."""

from __future__ import annotations

import csv
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import pandas as pd

from ..errors import InvalidInput, PvsiteSqlError
from .files import Batch, Cells
from .layout import Layout

__all__ = ["Rejects"]

_SHOWN = 200


class Rejects:
    """A CSV file of rows that cannot be stored, or none.

    Its columns are `file`, `line`, `reason`, and the files' own ones with their cells as they are, so that the rows can
    be put right and loaded as their files were. What was put there since `keep()` is gone when the block is left.

    Attributes:
        count: how many rows were put aside.
    """

    def __init__(self, path: str | os.PathLike[str] | None, layout: Layout, names: list[str]) -> None:
        """Take the file, None for none; the layout of the files that are loaded, and their names.

        Raises:
            InvalidInput: it is one of them.
        """
        self.count = 0
        self._path = path
        self._layout = layout
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._fields: list[str] | None = None
        self._begun = False
        self._kept: int | None = None
        if path is not None and Path(path).exists():
            for name in names:
                if Path(name).exists() and Path(path).samefile(name):
                    raise InvalidInput(f"{name} is loaded and cannot take the rejected rows as well")

    def __enter__(self) -> Self:
        if self._path is not None:
            with _as_package_error():
                self._file = open(  # noqa: PTH123  __exit__ closes it
                    self._path, "a", encoding=self._layout.encoding, errors="surrogateescape", newline=""
                )
        return self

    def put(self, name: str, batch: Batch, reasons: Mapping[int, tuple[str, str]]) -> None:
        """Put rows of a batch aside, with the column and the reason of each, and its lines that are no rows.

        Raises:
            InvalidInput: there is no file for them; names the first one. Or their columns are not those of the others.
        """
        bad = [
            (int(batch.numbers[row]), f"{batch.columns.get(key, key)}: {reason}", row)
            for row, (key, reason) in reasons.items()
        ]
        bad += [(number, reason, -1) for number, reason in batch.unreadable]
        bad.sort()
        if self._file is None:
            number, reason, _ = bad[0]
            said = reason if len(reason) <= _SHOWN else f"{reason[:_SHOWN]}..."
            raise InvalidInput(f"{name}, {batch.numbered} {number}: {said}")
        with _as_package_error():
            self._begin()
            if self._fields is None:
                self._fields = list(batch.columns)
                self._writer = csv.writer(self._file, delimiter=self._layout.separator, lineterminator="\n")
                self._writer.writerow(["file", "line", "reason", *batch.columns.values()])
            if list(batch.columns) != self._fields:
                raise InvalidInput(f"{name} has other columns than the rejected rows before: load it by itself")
            cells = batch.cells.values()
            for number, reason, row in bad:
                self._writer.writerow([name, number, reason, *(_text(each, row) for each in cells if row >= 0)])
        self.count += len(bad)

    def flush(self) -> None:
        """Have what was put aside outlast this process."""
        if self._file is not None:
            with _as_package_error():
                self._file.flush()

    def keep(self) -> None:
        """What was put aside so far stays: the rows around it are stored."""
        if self._file is not None:
            with _as_package_error():
                self._begin()
                self._file.flush()
                self._kept = os.fstat(self._file.fileno()).st_size

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        status = os.fstat(self._file.fileno())
        with suppress(OSError):
            self._file.close()
        if stat.S_ISREG(status.st_mode) and self._path is not None:
            if self._kept is not None:
                os.truncate(self._path, self._kept)
            elif self._begun or not status.st_size:
                Path(self._path).unlink()

    def _begin(self) -> None:
        """Empty the file of what an earlier load has put there."""
        if not self._begun and self._file is not None and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)
        self._begun = True


@contextmanager
def _as_package_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PvsiteSqlError(f"the rejected rows cannot be written: {error}") from error


def _text(cells: Cells, row: int) -> str:
    if not isinstance(cells, pd.Series):
        return cells[row]
    cell = cells.iloc[row]
    return "" if pd.isna(cell) else str(cell)
