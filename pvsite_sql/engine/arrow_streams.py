"""Arrow data that comes in as streams: read as tables of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from .libraries import pyarrow

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["read_parts", "read_table"]

PART_ROWS = 1_000_000
_PART_BATCHES = 10_000


def read_table(data: object) -> pa.Table:
    """Read Arrow data to its end.

    Raises:
        InvalidInput: the data has no columns.
        PvsiteSqlError: pyarrow is not installed.
    """
    if isinstance(data, pyarrow().Table):
        return data
    reader = _reader(data)
    return _table(list(reader), reader.schema)


def read_parts(data: object) -> Iterator[pa.Table]:
    """Read Arrow data in tables of at least `PART_ROWS` rows, but for the last one. The data's batches are not divided.

    Yields:
        at least one table.

    Raises:
        InvalidInput: the data has no columns.
        PvsiteSqlError: pyarrow is not installed.
    """
    reader = _reader(data)
    batches: list[pa.RecordBatch] = []
    rows, is_first = 0, True
    for batch in reader:
        batches.append(batch)
        rows += batch.num_rows
        if rows >= PART_ROWS or len(batches) == _PART_BATCHES:
            yield _table(batches, reader.schema)
            batches, rows, is_first = [], 0, False
    if batches or is_first:
        yield _table(batches, reader.schema)


def _reader(data: object) -> pa.RecordBatchReader:
    pa = pyarrow()
    if isinstance(data, pa.RecordBatchReader):
        return data  # not by way of its C stream, which would turn a Python exception into a text
    try:
        return pa.RecordBatchReader.from_stream(data)
    except pa.ArrowInvalid as error:  # a series, which is no struct
        raise InvalidInput(f"must be a frame with columns, got {type(data).__name__}: {error}") from error


def _table(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    pa = pyarrow()
    try:
        return pa.Table.from_batches(batches, schema)
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"the batches of the stream differ in their columns: {error}") from error
