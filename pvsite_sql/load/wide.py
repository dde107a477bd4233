"""Files with a column for each site: turns their lines into readings, and readings back into lines."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..errors import InvalidInput
from .batch import WIDE_KEY, Batch, Cells
from .reasons import Reasons
from .values import as_cells, python_values

__all__ = ["by_line", "check_sites", "unpivot"]

_PART_READINGS = 100_000


def unpivot(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the readings of lines that have a column for each site, in batches of about 100,000.

    A batch has the readings of its lines site by site, and the lines themselves in `lines`.
    """
    for batch in batches:
        keys = [key for key in batch.columns if key.startswith(WIDE_KEY)]
        step = max(1, _PART_READINGS // len(keys))
        unreadable = sorted(batch.unreadable)
        for first in range(0, max(1, len(batch.numbers)), step):
            part = slice(first, first + step)
            cells = {key: column[part] for key, column in batch.cells.items()}
            lines = replace(batch, cells=cells, numbers=batch.numbers[part], unreadable=())
            following = batch.numbers[first + step : first + step + 1]
            count = len(unreadable) if not len(following) else bisect_left(unreadable, (int(following[0]), ""))
            yield _readings(lines, keys, unreadable[:count])
            del unreadable[:count]


def _readings(lines: Batch, keys: Sequence[str], unreadable: Sequence[tuple[int, str]]) -> Batch:
    rows = len(lines.numbers)
    columns = {key: name for key, name in lines.columns.items() if key not in keys}
    cells: dict[str, Cells] = {key: _repeated(lines.cells[key], len(keys)) for key in columns}
    cells["site_uuid"] = [lines.columns[key] for key in keys for _ in range(rows)]
    cells["power_kw"] = _concatenated([lines.cells[key] for key in keys])
    return replace(
        lines,
        columns={"site_uuid": "header", **columns, "power_kw": ""},
        cells=cells,
        numbers=np.tile(lines.numbers, len(keys)),
        unreadable=unreadable,
        lines=lines,
    )


def _repeated(cells: Cells, times: int) -> Cells:
    return _concatenated([cells] * times)


def _concatenated(columns: Sequence[Cells]) -> Cells:
    series = [cells for cells in columns if isinstance(cells, pd.Series)]
    if not series:
        return [cell for cells in columns for cell in cells]
    if len(series) == len(columns) and len({each.dtype for each in series}) == 1:
        return pd.concat(series, ignore_index=True)
    return as_cells([value for cells in columns for value in python_values(cells)])


def check_sites(cells: Cells, sites: pd.Categorical, reasons: Reasons) -> None:
    """See that each column of a wide file names another site.

    Raises:
        InvalidInput: a header cell names no site, or the site of another column.
    """
    if reasons:
        raise InvalidInput(f"{reasons[min(reasons)]} (--power-column chooses columns)", column="site_uuid")
    names: dict[Any, str] = {}
    for row in np.flatnonzero(~pd.Series(cells).duplicated()).tolist():
        name, other = str(cells[row]), names.setdefault(sites[row], str(cells[row]))
        if name != other:
            raise InvalidInput(f"{other!r} and {name!r} are the same site", column="site_uuid")


def by_line(
    batch: Batch, reasons: Mapping[int, tuple[str, str]]
) -> tuple[Batch, dict[int, tuple[str, str]], list[int]]:
    """Return the lines of readings that cannot be stored, since a line is rejected as a whole.

    Args:
        batch: readings.
        reasons: a column and a reason for each invalid one, by its position.

    Returns:
        the batch of lines, a column and a reason for each invalid line, and the positions of all their readings.
    """
    lines = batch.lines
    if lines is None:
        return batch, dict(reasons), list(reasons)
    rows = len(lines.numbers)
    keys = [key for key in lines.columns if key.startswith(WIDE_KEY)]
    of_lines: dict[int, tuple[str, str]] = {}
    for position in sorted(reasons):
        key, reason = reasons[position]
        site, line = divmod(position, rows)
        of_lines.setdefault(line, (keys[site] if key == "power_kw" else key, reason))
    return lines, of_lines, [line + site * rows for line in of_lines for site in range(len(keys))]
