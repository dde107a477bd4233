"""Rows of a file, as they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Union

import pandas as pd

from ..engine.arrays import Array

__all__ = ["REJECT_COLUMNS", "WIDE_KEY", "Batch", "Cells"]

REJECT_COLUMNS = ("file", "line", "reason")  # before the others, in the file for rejected rows
WIDE_KEY = "power_kw of "  # before the name of the column, in the keys of a batch with a column for each site

Cells = Union[Sequence[str], "pd.Series[Any]"]  # texts, "" for a missing one; or a typed column


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a file.

    Attributes:
        columns: the names of the columns in the file, by `site_uuid`, `start_utc`, `end_utc` and `power_kw`.
        cells: the cells of these columns, by the same keys.
        numbers: for each row, the line where it starts (CSV) or its row number (Parquet), from 1.
        number_kind: "line" or "row".
        bytes_read: how many bytes of the file were read so far; of a gzipped file, compressed bytes.
        unreadable: line numbers of invalid lines, with the reason.
        lines: the lines of a file with a column for each site that the rows are from; None: each row is a line.
    """

    columns: Mapping[str, str]
    cells: Mapping[str, Cells]
    numbers: Array
    number_kind: Literal["line", "row"]
    bytes_read: int
    unreadable: Sequence[tuple[int, str]] = field(default=())
    lines: Batch | None = None
