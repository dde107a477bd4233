"""Loads files of forecasts into `forecasts`, in bounded memory, all of them or one by one."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from ..engine.arrays import Array
from ..engine.forecast_frames import parse_forecasts
from ..errors import InvalidInput
from ..forecasts import ForecastOnConflict
from ..models import InsertResult
from ..repository import Repository
from .batch import Batch, Cells
from .files import batches, expand
from .forecast_cells import ForecastCellParser
from .forecast_layout import ForecastLayout
from .forecast_rows import ForecastAssembler, ForecastRows
from .hints import advice_for
from .prefetch import prefetch
from .progress import Progress, ProgressCounter, noting_stored_files
from .reasons import factorize
from .rejects import RejectedRow, Rejects
from .sites import SiteFinder, check_site, site_finder
from .units import check_column_name

__all__ = ["ForecastLoadResult", "load_forecasts"]

_KEY_COLUMNS = ("site_uuid", "timestamp_utc", "model_name", "model_version", "forecast_version")


class ForecastLoadResult(InsertResult):
    """How many forecasts of the files were inserted, updated, skipped and rejected.

    Attributes:
        rejected: forecasts with a row that cannot be stored.
        rejected_rows: the rows of these forecasts.
        empty_rows: rows without a value, with `ForecastLayout.empty="skip"`.
    """

    rejected: int = 0
    rejected_rows: int = 0
    empty_rows: int = 0


def load_forecasts(
    repo: Repository,
    files: Iterable[str | os.PathLike[str]],
    layout: ForecastLayout | None = None,
    *,
    on_conflict: ForecastOnConflict = "replace",
    interval: timedelta | None = None,
    each: bool = False,
    rejects: str | os.PathLike[str] | None = None,
    progress: Callable[[Progress], object] | None = None,
    stored: Callable[[str, ForecastLoadResult], object] | None = None,
) -> ForecastLoadResult:
    """Load forecasts from CSV and Parquet files, all of them or none, in bounded memory.

    A file has a row for each value. A forecast is stored with all its rows or not at all. Between two rows of a
    forecast there must be fewer than 100,000 other rows, and all its rows must be in files of one transaction.

    Args:
        repo: the load uses two connections of its pool.
        files: paths of CSV, JSON, NDJSON, Excel and Parquet files; a folder or a zip archive means the files in it,
            `-` means standard input.
        layout: the columns and formats of the files; None: `ForecastLayout()`.
        on_conflict: what to do if a forecast is already stored, as in `repo.forecasts.insert`.
        interval: duration of a value, for files without an end column.
        each: load each file in its own transaction, in order.
        rejects: a CSV file for forecasts with a row that cannot be stored: for all their rows, with file, line and
            reason; the other forecasts are stored. An existing file is overwritten. Rows of files that are not stored
            are not written to it. None: the first row that cannot be stored is an error.
        progress: called about every 100,000 rows.
        stored: with `each`, called with a file and its counts after it was stored.

    Returns:
        how many forecasts were inserted, updated, skipped and rejected, how many rows were rejected, and how many were
        left out because they are empty.

    Raises:
        InvalidInput: a row (without `rejects`), a file or an option is invalid; the message names file and line. Also
            with `rejects` if nobody can tell to which forecast a row belongs, or if rows of a forecast are too far
            apart.
        NotFound: the site of the layout does not exist.
        Duplicate: with `on_conflict="error"`, a forecast is already stored.
        PvsiteSqlError: a file cannot be read, or the file for rejected rows cannot be written.

        After an error nothing is stored. With `each`, earlier files remain stored, and a note lists them.
    """
    layout = ForecastLayout() if layout is None else layout
    layout.check_interval(interval)
    names = expand(files)
    counter = ProgressCounter(names, progress)

    if layout.client_name is not None:
        repo.clients.get(layout.client_name)
    if layout.site_uuid is not None:
        check_site(repo, layout.site_uuid, layout.client_name)
    total = ForecastLoadResult()
    with Rejects(rejects, layout, names) as rejected_rows:
        reader = _Reader(layout, interval, site_finder(repo, layout), rejected_rows, keeps_cells=rejects is not None)
        for number, group in enumerate([[name] for name in names] if each else [names]):
            rows_before, forecasts_before, empty_before = rejected_rows.count, reader.rejected, reader.empty_rows
            with noting_stored_files(names, number), prefetch(reader.frames(group)) as frames:
                inserted = repo.forecasts.insert(counter.count(frames), on_conflict=on_conflict, **layout.constants())
            rejected_rows.keep()
            result = ForecastLoadResult(
                **inserted.model_dump(),
                rejected=reader.rejected - forecasts_before,
                rejected_rows=rejected_rows.count - rows_before,
                empty_rows=reader.empty_rows - empty_before,
            )
            total = ForecastLoadResult(**{name: value + getattr(result, name) for name, value in total})
            if each and stored is not None:
                stored(group[0], result)
    return total


class _Reader:
    """Reads files as frames of whole forecasts, and adds forecasts with an invalid row to the rejected ones.

    Attributes:
        rejected: how many forecasts were rejected.
        empty_rows: how many rows were left out because they have no value.
    """

    def __init__(
        self,
        layout: ForecastLayout,
        interval: timedelta | None,
        find_sites: SiteFinder,
        rejects: Rejects,
        *,
        keeps_cells: bool,
    ) -> None:
        self.rejected = self.empty_rows = 0
        self._layout = layout
        self._interval = interval
        self._find_sites = find_sites
        self._rejects = rejects
        self._keeps_cells = keeps_cells
        self._files: list[Batch] = []  # without cells
        self._assembler = ForecastAssembler(self._place)

    def frames(self, names: list[str]) -> Generator[tuple[pd.DataFrame, int], None, None]:
        """Yield frames of whole forecasts, each with the number of bytes that were read for it."""
        for name in names:
            bytes_before = 0
            file = parser = None  # an archive has several
            reading = batches(name, self._layout)
            for batch in reading:
                if first := parser is None or batch.file != file:
                    self._finish(parser)
                    file = batch.file
                    parser = ForecastCellParser(self._layout, self._interval, self._find_sites)
                    self._files.append(batch)
                    check_column_name(batch, self._layout)
                source = len(self._files) - 1
                self._files[source] = replace(batch, cells={}, numbers=batch.numbers[:0], unreadable=())
                try:
                    rows, bytes_read = self._rows(parser, batch, source), batch.bytes_read
                except RejectedRow as error:
                    advice = advice_for(error, reading, self._layout, first=first)
                    raise InvalidInput(f"{error.reason}{advice}") from None
                del batch  # so that its cells are not in memory while the next one is read
                for complete in self._assembler.add(rows):
                    yield self._valid(complete), 0
                yield pd.DataFrame(), bytes_read - bytes_before
                bytes_before = bytes_read
                del rows
            self._finish(parser)
        for rows in self._assembler.finish():
            yield self._valid(rows), 0
        self._rejects.flush()  # before the other forecasts are committed

    def _finish(self, parser: ForecastCellParser | None) -> None:
        """Check a file that was read to its end."""
        try:
            if parser is not None:
                parser.finish()
        except InvalidInput as error:
            raise self._located(error, len(self._files) - 1) from None

    def _rows(self, parser: ForecastCellParser, batch: Batch, source: int) -> ForecastRows:
        """Return the rows of a batch.

        Raises:
            InvalidInput: rejected rows are errors, or the forecast of a row is unknown.
        """
        try:
            frame, reasons = parser.frame(batch.cells, len(batch.numbers))
        except InvalidInput as error:
            raise self._located(error, source) from None
        if not self._keeps_cells and (reasons or batch.unreadable):
            self._rejects.add(batch, reasons)  # raises
        is_unknown = frame[[name for name in _KEY_COLUMNS[:2] if name in frame]].isna().any(axis=1)
        unknown = [
            (int(batch.numbers[row]), f"{batch.columns[key]}: {reason}")
            for row, (key, reason) in reasons.items()
            if is_unknown[row]
        ]
        if unknown or batch.unreadable:
            raise self._error(source, *min([*unknown, *batch.unreadable]))
        self.empty_rows += len(batch.numbers) - len(frame)
        places: dict[str, Any] = {
            "source": source,
            "number": batch.numbers[frame.index],
            "reason": pd.Series(dict(reasons), frame.index, object) if reasons else None,
        }
        if self._keeps_cells:
            places |= {f"cell {key}": _shared(cells) for key, cells in batch.cells.items()}
        return ForecastRows(frame, pd.DataFrame(places, frame.index))

    def _valid(self, rows: ForecastRows) -> pd.DataFrame:
        """Return the forecasts whose rows are all valid. Reject the others, or raise an error.

        Raises:
            InvalidInput: rejected rows are errors, or the forecast of a row is unknown.
        """
        forecasts = rows.forecasts()
        invalid = np.flatnonzero(rows.places["reason"].notna()).tolist()
        reasons: dict[int, tuple[str, str]] = {row: rows.places["reason"].iloc[row] for row in invalid}
        valid = ~np.isin(forecasts, forecasts[list(reasons)])
        while valid.any():
            positions = np.flatnonzero(valid)
            try:
                parse_forecasts(rows.frame[valid], self._layout.constants())
                break
            except InvalidInput as error:
                bad = positions[list(error.all_rows)]
                source, number = rows.places.iloc[bad[0] if len(bad) else 0][["source", "number"]]
                if not len(bad):
                    raise self._located(error, source) from None
                if not self._keeps_cells or error.column in _KEY_COLUMNS:
                    raise self._error(source, number, f"{self._column(error.column, source)}: {error.reason}") from None
                reasons |= dict.fromkeys(bad.tolist(), (error.column or "", error.reason))
                valid &= ~np.isin(forecasts, forecasts[bad])
        if reasons:
            self.rejected += len(np.unique(forecasts[~valid]))
            self._reject(rows, reasons, ~valid, forecasts)
        return rows.frame[valid]

    def _reject(
        self, rows: ForecastRows, reasons: Mapping[int, tuple[str, str]], rejected: Array, forecasts: Array
    ) -> None:
        """Write the rejected rows, with the reason or the place of a row of the forecast that has one."""
        because: dict[int, tuple[str, str]] = {}
        for row in sorted(reasons, reverse=True):
            place = self._place(*rows.places.iloc[row][["source", "number"]])
            because[forecasts[row]] = ("forecast", f"is not stored because of {place}")
        for source in rows.places["source"][rejected].unique().tolist():
            positions = np.flatnonzero(rejected & (rows.places["source"] == source))
            places = rows.places.iloc[positions]
            batch = self._files[source]
            cells = {key: places[f"cell {key}"] for key in batch.columns}
            self._rejects.add(
                replace(batch, cells=cells, numbers=places["number"].to_numpy()),
                {n: reasons.get(row) or because[forecasts[row]] for n, row in enumerate(positions.tolist())},
            )

    def _error(self, source: int, number: int, reason: str) -> InvalidInput:
        unknown = " (the row cannot be rejected: its forecast is unknown)" if self._keeps_cells else ""
        return InvalidInput(f"{self._place(source, number)}: {reason}{unknown}")

    def _located(self, error: InvalidInput, source: int) -> InvalidInput:
        column = self._column(error.column, source)
        place = f"{self._files[source].file}, {column}" if column else self._files[source].file
        return error.replace(reason=f"{place}: {error.reason}", column=None)

    def _column(self, key: str | None, source: int) -> str:
        """Return the name of a column in a file."""
        key = "power_kw" if key == "forecast_power_kw" else key or ""
        return self._files[source].columns.get(key, key)

    def _place(self, source: int, number: int) -> str:
        return f"{self._files[source].file}, {self._files[source].number_kind} {number}"


def _shared(cells: Cells) -> pd.Series[Any]:
    """Return cells with one object for equal texts: they can be in memory for long."""
    if isinstance(cells, pd.Series):
        return cells
    codes, distinct = factorize(cells)
    return pd.Series(distinct[codes], dtype=object)
