"""Arrow tables and streams of what the database sends."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from .arrays import Array, distinct_runs, uuid_of
from .binary_copy import Type
from .timestamps import datetime64_of

if TYPE_CHECKING:
    from .forecast_pieces import Values
    from .session import Stream

__all__ = ["reader_of", "table_of_values"]

_TYPES: Mapping[Type, pa.DataType] = {
    "uuid": pa.string(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "double precision": pa.float64(),
    "real": pa.float32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
}


def table_of_values(values: Values) -> pa.Table:
    """Return values of forecasts as a table, without the probabilistic ones."""
    pieces, piece = values.pieces, pa.array(values.piece)
    columns = {
        "site_uuid": _array("uuid", pieces["site_uuid"]).take(piece),
        "start_utc": _array("timestamptz", values.start_us),
        "end_utc": _array("timestamptz", values.end_us),
        "forecast_power_kw": _array("real", values.power_kw),
        "horizon_minutes": _array("integer", values.horizon_minutes),
        "timestamp_utc": _array("timestamptz", pieces["timestamp_utc"]).take(piece),
        "created_utc": _array("timestamptz", pieces["created_utc"]).take(piece),
        "forecast_uuid": _array("uuid", pieces["forecast_uuid"]).take(piece),
    }
    for name, (texts, codes) in values.sources_by_name().items():
        missing = codes < 0
        indices = pa.array(codes, pa.int32(), mask=missing)
        columns[name] = pa.DictionaryArray.from_arrays(indices, pa.array(texts, pa.string()))
    return pa.table(columns)


def reader_of(types: Mapping[str, Type], blocks: Callable[[], Stream[Array]]) -> pa.RecordBatchReader:
    """Return a reader of the blocks of a decoded binary COPY, one batch a block.

    The stream is closed when the reader is closed or dropped, or has come to its end. Its errors are raised
    unchanged.

    Args:
        types: the types of the columns.
        blocks: returns the stream; it is called for the first batch.
    """
    # not RecordBatchReader.from_batches(), whose close() does nothing: the connection would stay in use
    return _Reader(_Messages(_encoded(types, blocks)))


class _Reader(pa.ipc.RecordBatchStreamReader):  # type: ignore[misc]  # pyarrow has no types
    def __init__(self, messages: _Messages) -> None:
        super().__init__(messages)
        self._messages = messages

    def close(self) -> None:
        self._messages.close()


class _Messages(io.RawIOBase):
    """A file of Arrow's stream format (IPC), whose messages are made as they are read."""

    def __init__(self, messages: Generator[pa.Buffer, None, None]) -> None:
        super().__init__()
        self._messages = messages
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> memoryview:
        """Return `size` bytes of a message, as many as pyarrow asks for; none at the end."""
        if self.closed:
            raise ValueError("the reader is closed")
        if not len(self._rest):
            self._rest = memoryview(next(self._messages, b""))
        asked, self._rest = self._rest[:size], self._rest[size:]
        return asked

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._messages.close()


def _encoded(types: Mapping[str, Type], blocks: Callable[[], Stream[Array]]) -> Generator[pa.Buffer, None, None]:
    """Yield the messages. No method of `_Messages`, which would then be in a cycle, and not end where it is dropped."""
    schema = _schema(types)
    yield schema.serialize()
    stream = blocks()
    try:
        for block in stream:
            yield _batch(schema, types, block).serialize()
    finally:
        stream.close()


def _schema(types: Mapping[str, Type]) -> pa.Schema:
    return pa.schema({name: _TYPES[type_] for name, type_ in types.items() if type_ != "null"})


def _batch(schema: pa.Schema, types: Mapping[str, Type], block: Array) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([_array(types[name], block[name]) for name in schema.names], schema=schema)


def _array(type_: Type, values: Array) -> pa.Array:
    if type_ == "uuid":
        uniques, codes = distinct_runs(values)
        texts = pa.array([str(uuid_of(value)) for value in uniques.tolist()], pa.string())
        return texts.take(pa.array(codes))
    if type_ == "timestamptz":
        return pa.array(datetime64_of(values), _TYPES[type_])
    return pa.array(values.astype(values.dtype.newbyteorder("=")), _TYPES[type_])
