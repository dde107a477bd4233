"""Says which option may help where a row cannot be stored."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import pandas as pd

from ..errors import PvsiteSqlError
from .batch import Batch
from .layout import Layout
from .rejects import RejectedRow
from .sniff import find_encoding

__all__ = ["advice_for"]

_MAX_ROWS = 5


def advice_for(error: RejectedRow, rest: Iterable[Batch], layout: Layout, *, first: bool) -> str:
    """Return what to append to the reason of a rejected row; "" if no option is likely to help.

    Args:
        error: the rejected rows of a batch.
        rest: the batches after it; those of the same file may be read.
        layout: the layout of the file.
        first: whether it is the first batch of the file.
    """
    batch = error.batch
    number, key, row = error.rejected[0]
    text = "".join(_texts(batch, row, number))
    if (data := text.encode("utf-8", "surrogateescape")) != text.encode("utf-8", "replace"):
        return f" (not utf-8: use --encoding {find_encoding(data)})"
    numbers = sorted([*batch.numbers.tolist(), *(line for line, _ in batch.unreadable)])
    rejected = [line for line, _, _ in error.rejected]
    if first and number == numbers[0] and not _has_digits(text):
        count = 1
        while rejected[: count + 1] == numbers[: count + 1] and count < min(_MAX_ROWS, len(rejected)):
            line, _, row = error.rejected[count]
            if _has_digits("".join(_texts(batch, row, line))):
                break
            count += 1
        if not layout.header:
            return f" (not a reading? use --skip-lines {layout.skip_lines + count})"
        units = f"a line of units? use --skip-after-header {layout.skip_after_header + count}"
        return f" ({units}{'; a header? use --skip-lines' if layout.has_numbers else ''})"
    time = _texts(batch, row, number, "start_utc")[0]
    is_last = len(rejected) <= _MAX_ROWS and rejected == numbers[-len(rejected) :]
    if (
        not key.startswith("power_kw")
        and not time.strip()[:1].isdigit()
        and is_last
        and not _has_rows(rest, batch.file)
    ):
        return f" (a line of totals? use --skip-footer {layout.skip_footer + len(rejected)})"
    return ""


def _texts(batch: Batch, row: int, number: int, key: str = "") -> list[str]:
    """Return the texts of the cells of a row, or of one of them, or of an invalid line."""
    if row < 0:
        reason = dict(batch.unreadable)[number]
        return [reason.partition(": ")[2].strip("'\"")]
    columns = [batch.cells[key]] if key in batch.cells else batch.cells.values()
    return [str(cells.iloc[row]) if isinstance(cells, pd.Series) else cells[row] for cells in columns]


def _has_digits(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _has_rows(rest: Iterable[Batch], file: str) -> bool:
    with suppress(PvsiteSqlError):
        for batch in rest:
            if batch.file != file:
                return False
            if len(batch):
                return True
        return False
    return True
