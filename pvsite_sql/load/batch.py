"""Rows of a file, as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Union

import pandas as pd

from ..engine.arrays import Array

__all__ = ["REJECT_COLUMNS", "WIDE_KEY", "Batch", "Cells", "without_footer"]

REJECT_COLUMNS = ("file", "line", "reason")  # before the others, in the file for rejected rows
WIDE_KEY = "power_kw of "  # before the name of the column, in the keys of a batch with a column for each site

Cells = Union[Sequence[str], "pd.Series[Any]"]  # texts, "" for a missing one; or a typed column


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file.

    Attributes:
        columns: the names of the columns in the file, by `site_uuid`, `start_utc`, `end_utc` and `power_kw`.
        cells: the cells of these columns, by the same keys.
        numbers: for each row, the line where it starts (CSV, NDJSON), or its number (Parquet, Excel, JSON), from 1.
        number_kind: "line", "row" or "record".
        bytes_read: how many bytes of the file were read so far; of a gzipped file, compressed bytes.
        unreadable: line numbers of invalid lines, with the reason.
        lines: the lines of a file with a column for each site that the rows are from; None: each row is a line.
        positions: the positions of the columns in the file, from 0, by the same keys.
        file: the name of the file for messages.
    """

    columns: Mapping[str, str]
    cells: Mapping[str, Cells]
    numbers: Array
    number_kind: Literal["line", "row", "record"]
    bytes_read: int
    unreadable: Sequence[tuple[int, str]] = field(default=())
    lines: Batch | None = None
    positions: Mapping[str, int] = field(default_factory=dict)
    file: str = ""

    def __len__(self) -> int:
        return len(self.numbers) + len(self.unreadable)

    def without_last(self, count: int) -> Batch:
        """Return the batch without its last rows; invalid lines count."""
        if not count:
            return self
        numbers = sorted([*self.numbers.tolist(), *(number for number, _ in self.unreadable)])
        kept = int((self.numbers < numbers[-count]).sum())
        return replace(
            self,
            cells={key: cells[:kept] for key, cells in self.cells.items()},
            numbers=self.numbers[:kept],
            unreadable=[each for each in self.unreadable if each[0] < numbers[-count]],
        )


def without_footer(batches: Iterable[Batch], count: int) -> Iterator[Batch]:
    """Yield the batches without the last rows of the file."""
    if not count:
        yield from batches
        return
    waiting: list[Batch] = []  # as few as have the rows that may be the last ones
    for batch in batches:
        waiting.append(batch)
        while sum(map(len, waiting[1:])) >= count:
            yield waiting.pop(0)
    left = sum(map(len, waiting)) - count
    for batch in waiting:
        kept = min(max(left, 0), len(batch))
        yield batch.without_last(len(batch) - kept)
        left -= kept
