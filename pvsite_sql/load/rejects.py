"""Rows of a load that cannot be stored: an error, or written to a CSV file."""

from __future__ import annotations

import csv
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

import pandas as pd

from ..errors import InvalidInput, PvsiteSqlError
from .archives import split_member
from .batch import REJECT_COLUMNS, WIDE_KEY, Batch, Cells
from .layout import Layout
from .values import as_text

__all__ = ["RejectedRow", "Rejects", "numbered_columns"]

_NUMBERED = re.compile(r"(\d{1,6}):(.*)", re.DOTALL)
_MAX_REASON_LENGTH = 200


class RejectedRow(InvalidInput):
    """A row cannot be stored, and there is no file for such rows.

    Attributes:
        batch: the rows.
        rejected: the line or row number, the key of the column ("" for an invalid line) and the position of all such
            rows of the batch (-1 for an invalid line), in order.
    """

    def __init__(self, reason: str, batch: Batch, rejected: Sequence[tuple[int, str, int]]) -> None:
        super().__init__(reason)
        self.batch = batch
        self.rejected = rejected


class Rejects:
    """A CSV file for rejected rows; without a file, the first rejected row is an error.

    The columns are `file`, `line`, `reason` and those of the loaded files, with unchanged cells. If the layout gives
    columns by their numbers, each name follows its number, such as `3:power`. So you can correct the rows and load this
    file with the same layout. When the block ends, rows added after the last `keep()` are removed.

    Attributes:
        count: how many rows were rejected; of a file with a column for each site, how many readings.
    """

    def __init__(self, path: str | os.PathLike[str] | None, layout: Layout, names: list[str]) -> None:
        """Set the file.

        Args:
            path: the file for rejected rows; None: no file.
            layout: the layout of the loaded files.
            names: the names of the loaded files.

        Raises:
            InvalidInput: `path` is one of the loaded files.
        """
        self.count = 0
        self._path = path
        self._layout = layout
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._fields: list[str] | None = None
        self._truncated = False
        self._kept_bytes: int | None = None
        if path is not None and Path(path).exists():
            for name in names:
                loaded = (split_member(name) or (name,))[0]
                if Path(loaded).exists() and Path(path).samefile(loaded):
                    raise InvalidInput(f"cannot write rejected rows to {name}: it is one of the loaded files")

    def __enter__(self) -> Self:
        if self._path is not None:
            with _as_package_error():
                self._file = open(  # noqa: PTH123  __exit__ closes it
                    self._path, "a", encoding=self._layout.encoding, errors="surrogateescape", newline=""
                )
        return self

    def add(self, batch: Batch, reasons: Mapping[int, tuple[str, str]]) -> None:
        """Add rows of a batch, each with a column and a reason, and its unreadable lines.

        Raises:
            InvalidInput: there is no file (the message names the first row), or the columns differ from those of
                earlier rejected rows.
        """
        readings = sum(key.startswith(WIDE_KEY) for key in batch.columns) or 1
        rejected = [
            (int(batch.numbers[row]), f"{batch.columns.get(key, key)}: {reason}", row, key)
            for row, (key, reason) in reasons.items()
        ]
        rejected += [(number, reason, -1, "") for number, reason in batch.unreadable]
        rejected.sort()
        if self._file is None:
            number, reason, *_ = rejected[0]
            if len(reason) > _MAX_REASON_LENGTH:
                reason = f"{reason[:_MAX_REASON_LENGTH]}..."
            raise RejectedRow(
                f"{batch.file}, {batch.number_kind} {number}: {reason}",
                batch,
                [(each[0], each[3], each[2]) for each in rejected],
            )
        with _as_package_error():
            self._truncate()
            if self._fields is None:
                self._fields = list(batch.columns)
                self._writer = csv.writer(self._file, delimiter=self._layout.separator, lineterminator="\n")
                self._writer.writerow([*REJECT_COLUMNS, *self._keys(batch)])
            if list(batch.columns) != self._fields:
                raise InvalidInput(
                    f"{batch.file} and the files with earlier rejected rows have different columns: load it separately"
                )
            cells = [batch.cells[key] for key in self._keys(batch).values()]
            for number, reason, row, _ in rejected:
                texts = [_text(column, row, self._layout.decimal) for column in cells] if row >= 0 else []
                self._writer.writerow([batch.file, number, reason, *texts])
        self.count += len(rejected) * readings

    def _keys(self, batch: Batch) -> dict[str, str]:
        """Return the columns to write, and a key of each; two keys can mean one column."""
        if not self._layout.has_numbers:
            return {name: key for key, name in batch.columns.items()}
        return {f"{batch.positions[key] + 1}:{name}": key for key, name in batch.columns.items()}

    def flush(self) -> None:
        """Flush the file, so that the rows remain if this process is killed."""
        if self._file is not None:
            with _as_package_error():
                self._file.flush()

    def keep(self) -> None:
        """Keep the rows added so far, because the other rows of their files are stored."""
        if self._file is not None:
            with _as_package_error():
                self._truncate()
                self._file.flush()
                self._kept_bytes = os.fstat(self._file.fileno()).st_size

    def __exit__(self, *_: object) -> None:
        if self._file is None:
            return
        status = os.fstat(self._file.fileno())
        with suppress(OSError):
            self._file.close()
        if stat.S_ISREG(status.st_mode) and self._path is not None:
            if self._kept_bytes is not None:
                os.truncate(self._path, self._kept_bytes)
            elif self._truncated or not status.st_size:
                Path(self._path).unlink()

    def _truncate(self) -> None:
        """Remove what an earlier load has written to the file."""
        if not self._truncated and self._file is not None and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
            self._file.truncate(0)
        self._truncated = True


def numbered_columns(header: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return the columns of the files whose rows were rejected, at their numbers, and the field of each of them.

    Args:
        header: the header of a file of rejected rows. Without numbers, its columns are returned unchanged.
    """
    found = [_NUMBERED.fullmatch(name) for name in header[len(REJECT_COLUMNS) :]]
    numbers = [int(match[1]) for match in found if match]
    if not numbers or len(numbers) < len(found):
        return list(header), list(range(len(header)))
    names, fields = [""] * max(numbers), [0] * max(numbers)
    for field, match in enumerate(found, len(REJECT_COLUMNS)):
        if match:
            names[int(match[1]) - 1], fields[int(match[1]) - 1] = match[2], field
    return names, fields


@contextmanager
def _as_package_error() -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeEncodeError) as error:  # a byte order mark can tell another encoding than the layout's
        raise PvsiteSqlError(f"cannot write rejected rows: {error}") from error


def _text(cells: Cells, row: int, decimal: str) -> str:
    if not isinstance(cells, pd.Series):
        return cells[row]
    cell = cells.iloc[row]
    return "" if pd.isna(cell) else as_text(cell, decimal)
