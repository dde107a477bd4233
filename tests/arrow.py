"""Arrow data as other libraries hand it over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

HAS_VIEWS = int(pa.__version__.split(".")[0]) >= 18  # before, they can neither be cast nor looked up


class Stream:
    """What is known of a library's frame: that it hands over an Arrow stream."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._table.__arrow_c_stream__(requested_schema)


def arrow_table(frame: pd.DataFrame) -> pa.Table:
    """A frame as a table, its UUIDs as texts."""
    texts = frame["site_uuid"].map(str) if "site_uuid" in frame else None
    plain = frame if texts is None else frame.assign(site_uuid=texts)
    return pa.Table.from_pandas(plain, preserve_index=False)


def in_chunks(table: pa.Table, rows: int) -> pa.Table:
    return pa.Table.from_batches(table.to_batches(max_chunksize=rows), table.schema)


def sliced(table: pa.Table) -> pa.Table:
    """The same rows in chunks that begin in the middle of their buffers."""
    padded = pa.concat_tables([table.slice(0, 3), table, table.slice(0, 5)]).combine_chunks()
    parts = [padded.slice(3, 2), padded.slice(5, 0), padded.slice(5, table.num_rows - 2)]
    return pa.concat_tables(parts)


class OfATest(pa.ExtensionType):
    """An extension type that nobody knows."""

    def __init__(self, storage: pa.DataType) -> None:
        super().__init__(storage, "pvsite_sql.test")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> OfATest:
        return cls(storage_type)


def extended(column: pa.Array) -> pa.Array:
    return pa.ExtensionArray.from_storage(OfATest(column.type), column)


Change = Callable[[Any], Any]
ANY: dict[str, Change] = {
    "dictionary": lambda c: c.dictionary_encode(),
    "runs": pc.run_end_encode,
    "an extension type": extended,
}
