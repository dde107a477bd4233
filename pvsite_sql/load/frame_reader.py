"""Reads files as frames of readings."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd

from ..engine.generation_frames import find_bad_rows
from ..errors import Duplicate, InvalidInput
from .batch import Batch
from .cells import CellParser
from .counters import Counters
from .files import batches
from .hints import advice_for
from .layout import DEFAULT_INTERVAL, Layout
from .lines import Lines
from .powers import PowerParser
from .rejects import RejectedRow, Rejects
from .sites import SiteFinder
from .units import check_column_name
from .wide import by_line

__all__ = ["FrameReader"]


class FrameReader:
    """Reads files as frames of readings, and adds invalid rows to the rejected ones.

    Attributes:
        empty_count: how many rows without a value were left out.
        notes: sentences about what may be wrong.
    """

    def __init__(
        self,
        layout: Layout,
        interval: timedelta | None,
        find_sites: SiteFinder,
        rejects: Rejects,
        counters: Counters | None,
        *,
        unique_keys: bool,
    ) -> None:
        self.empty_count = 0
        self.notes: list[str] = []
        self._layout = layout
        self._interval = interval
        self._powers = PowerParser(layout)  # the files have the same decimal sign
        self._find_sites = find_sites
        self._rejects = rejects
        self._counters = counters
        self._unique_keys = unique_keys

    def frames(self, names: list[str], lines: Lines) -> Generator[tuple[pd.DataFrame, int], None, None]:
        """Yield the frames of files, each with the number of bytes that were read for it; note their lines."""
        for name in names:
            reading = batches(name, self._layout)
            parser, last, bytes_before = self._parser(), None, 0
            for batch in reading:
                if first := last is None or batch.file != last.file:
                    yield from self._finish(parser, last, lines)
                    parser = self._parser()
                    check_column_name(batch, self._layout)
                last = batch
                try:
                    frame = self._frame(parser, batch)
                except RejectedRow as error:
                    advice = advice_for(error, reading, self._layout, first=first)
                    raise InvalidInput(f"{error.reason}{advice}") from None
                if len(frame):
                    lines.add(batch.file, batch.number_kind, batch.numbers[frame.index.to_numpy()])
                yield frame, batch.bytes_read - bytes_before
                bytes_before = batch.bytes_read
            yield from self._finish(parser, last, lines)
        self._rejects.flush()  # before the other rows are committed

    def _parser(self) -> CellParser:
        return CellParser(self._layout, self._find_sites, self._interval, self._powers)

    def _finish(self, parser: CellParser, last: Batch | None, lines: Lines) -> Iterator[tuple[pd.DataFrame, int]]:
        """Check a file as a whole. Yield the readings between its states and those of other files."""
        if last is None:
            return
        self.notes += [f"{last.file}: {note}" for note in parser.notes]
        with _errors_at(last):
            parser.finish()
            frame = None if self._counters is None else self._counters.end_file()
        if frame is not None:
            if len(frame):  # between states of two files: the line is that of the file's end
                lines.add(last.file, last.number_kind, np.repeat(last.numbers.max(initial=0), len(frame)))
            yield frame, 0

    def _frame(self, parser: CellParser, batch: Batch) -> pd.DataFrame:
        interval = self._interval or DEFAULT_INTERVAL
        with _errors_at(batch):
            frame, reasons, empty = parser.frame(batch.cells, len(batch.numbers))
            left_out = [*reasons, *empty.tolist()]
            valid = np.delete(np.arange(len(frame)), left_out)
            for key, reason, rows in find_bad_rows(frame.iloc[valid] if left_out else frame, interval):
                reasons |= dict.fromkeys(valid[rows].tolist(), (_key_of(key, batch), reason))
            if reasons or len(empty):
                frame = frame.drop(index=list({*by_line(batch, reasons)[2], *empty.tolist()}))
            if self._counters is not None:
                frame, contradictions = self._counters.readings(frame, batch)
                reasons |= {row: ("power_kw", reason) for row, reason in contradictions.items()}
        if reasons or batch.unreadable:
            lines, reasons, _ = by_line(batch, reasons)
            self._rejects.add(replace(lines, unreadable=batch.unreadable), reasons)
        self.empty_count += len(empty)
        if self._unique_keys and (duplicated := frame.duplicated(["site_uuid", "start_utc"])).any():
            number = batch.numbers[duplicated[duplicated].index[0]]
            raise Duplicate(
                f"{batch.file}, {batch.number_kind} {number}: an earlier row has the same site and start",
                constraint_name="generation_pkey",
            )
        return frame


@contextmanager
def _errors_at(batch: Batch) -> Iterator[None]:
    """Name the file and the column in errors that concern a whole column."""
    try:
        yield
    except InvalidInput as error:
        column = batch.columns.get(_key_of(error.column or "", batch), error.column)
        place = f"{batch.file}, {column}" if column else batch.file
        raise error.replace(reason=f"{place}: {error.reason}", column=None) from None


def _key_of(column: str, batch: Batch) -> str:
    """Return the key of the file's column that a column of a frame comes from; a start may come from an end."""
    other = {"start_utc": "end_utc", "end_utc": "start_utc"}.get(column, column)
    return other if column not in batch.columns and other in batch.columns else column
