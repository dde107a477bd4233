"""Reads Parquet files in batches of columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from ..errors import InvalidInput, PvsiteSqlError
from .batch import Batch, Cells
from .layout import Layout

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["parquet_batches"]

_BATCH_ROWS = 100_000
_PARQUET_BUFFER = 1 << 20
_UUID_BYTES = 16


def parquet_batches(file: str, layout: Layout) -> Iterator[Batch]:
    """Yield the rows of a Parquet file."""
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ModuleNotFoundError:
        raise PvsiteSqlError(f'{file}: Parquet files require pyarrow: pip install "pvsite_sql[load]"') from None
    size = Path(file).stat().st_size
    try:
        with pq.ParquetFile(file, buffer_size=_PARQUET_BUFFER) as parquet:
            header = list(parquet.schema_arrow.names)
            positions = layout.select_columns(header, file)
            columns = {key: header[position] for key, position in positions.items()}
            first, total = 1, max(1, parquet.metadata.num_rows)
            batch_rows = max(1, _BATCH_ROWS // len(columns)) if layout.wide else _BATCH_ROWS
            for batch in parquet.iter_batches(batch_rows, columns=list(dict.fromkeys(columns.values()))):
                cells = {
                    key: _cells(batch.column(name), name, file, structs=key == "probabilistic_values")
                    for key, name in columns.items()
                }
                numbers = np.arange(first, first + len(batch))
                first += len(batch)
                bytes_read = size * (first - 1) // total
                yield Batch(columns, cells, numbers, "row", bytes_read, positions=positions)
    except (pa.ArrowException, OSError) as error:
        raise PvsiteSqlError(f"{file} cannot be read: {error}") from error


def _cells(column: Any, name: str, file: str, *, structs: bool = False) -> Cells:
    """Return text and binary uuids as text, and other columns as pandas series: structs as dicts, if they may be."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == _UUID_BYTES:
        encoded = column.dictionary_encode()
        texts = np.array([*(str(UUID(bytes=value)) for value in encoded.dictionary.to_pylist()), ""], object)
        codes = encoded.indices.fill_null(len(texts) - 1).to_numpy()
        return list(texts[codes])
    if any(
        of(kind) for of in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_null)
    ):
        return ["" if text is None else text for text in column.to_pylist()]
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        return ["" if text is None else text for text in column.cast(pa.string()).to_pylist()]
    if pa.types.is_decimal(kind):
        column = column.cast(pa.float64())
    elif not (structs and pa.types.is_struct(kind)) and not any(
        of(kind) for of in (pa.types.is_integer, pa.types.is_floating, pa.types.is_timestamp)
    ):
        raise InvalidInput(f"{file}: column {name!r} has type {kind}, expected text, times or numbers")
    series: pd.Series[Any] = column.to_pandas()
    return series
