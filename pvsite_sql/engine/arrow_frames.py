"""Arrow tables, as the checks of readings and forecasts see them: read from Arrow's own memory, without pandas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .arrays import Array
from .checks import (
    PER_SECOND,
    converted,
    plain_uuids,
    raise_for_count,
    raise_for_large_integers,
    raise_for_rows,
    raise_unless_finite,
    since_2000_us,
    sorted_uuids,
)
from .frames import Column
from .inputs import as_uuid

__all__ = ["ArrowColumn", "ArrowFrame"]

_Value = TypeVar("_Value")

_UUID_BYTES = 16
_TEXTS = (pa.types.is_string, pa.types.is_large_string)
_BINARIES = (pa.types.is_fixed_size_binary, pa.types.is_binary, pa.types.is_large_binary)


class ArrowFrame:
    """A table; see `Frame`."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self.names: list[str] = table.schema.names

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def column(self, name: str) -> ArrowColumn:
        raise_for_count(self.names.count(name), name)
        return ArrowColumn(_plain(self._table.column(name)), name)


class ArrowColumn:
    """A column whose type is none of those that `_plain` replaces; see `Column`.

    Types that are rare, or never right, take pandas' way, so that they are stored or refused as in a pandas frame.
    """

    def __init__(self, data: pa.ChunkedArray, name: str) -> None:
        self._data = data
        self._type = data.type
        self.name = name

    def not_null(self) -> Array:
        valid: Array = self._data.is_valid().to_numpy()
        if pa.types.is_floating(self._type):
            valid &= ~np.isnan(self._data.to_numpy())
        return valid

    def chosen(self, mask: Array) -> ArrowColumn:
        return ArrowColumn(self._data.filter(pa.array(mask)), self.name)

    def uuids(self) -> tuple[Array, Array]:
        if _is_any(self._type, _BINARIES):
            codes, cells = self._factorized()
            if set(map(len, cells)) <= {_UUID_BYTES}:
                encoded = np.frombuffer(b"".join(cells), "S16")
            else:
                encoded = _bytes_of(converted(codes, cells, self.name, _uuid_of_bytes))
        elif _is_any(self._type, _TEXTS):
            codes, cells = self._factorized()
            plain = plain_uuids(cells)
            encoded = _bytes_of(converted(codes, cells, self.name, as_uuid)) if plain is None else plain
        else:
            return self._by_pandas().uuids()
        return sorted_uuids(codes, encoded)

    def distinct(self, convert: Callable[[Any, str], _Value]) -> tuple[Array, list[_Value]]:
        if not _is_any(self._type, _TEXTS):
            return self._by_pandas().distinct(convert)
        codes, cells = self._factorized()
        return codes, converted(codes, cells, self.name, convert)

    def timestamps_us(self, *, last: int) -> Array:
        if not pa.types.is_timestamp(self._type):
            return self._by_pandas().timestamps_us(last=last)
        if self._data.null_count:
            raise_for_rows(self._data.is_null().to_numpy(), self.name, "no value")
        # times with a zone are stored as UTC, and naive ones are taken as UTC
        since_1970 = self._data.cast(pa.int64()).to_numpy()
        return since_2000_us(since_1970, PER_SECOND[self._type.unit], self.name, last=last)

    def floats(self) -> Array:
        is_integer = pa.types.is_integer(self._type)
        if not (is_integer or pa.types.is_floating(self._type)):
            return self._by_pandas().floats()
        values: Array = self._data.to_numpy().astype("f8", copy=False)
        raise_unless_finite(values, self.name)
        if is_integer:
            raise_for_large_integers(values, self.name)
        return values

    def numbers(self) -> Array:
        if pa.types.is_integer(self._type) or pa.types.is_floating(self._type):
            values: Array = self._data.to_numpy().astype("f8", copy=False)
            return values
        return self._by_pandas().numbers()

    def objects(self) -> list[Any]:
        cells: list[Any] = self._data.to_pylist()
        if pa.types.is_map(self._type):
            return [None if cell is None else dict(cell) for cell in cells]
        return cells

    def _factorized(self) -> tuple[Array, list[Any]]:
        """Return for each row the position of its cell, and the distinct cells."""
        if self._data.null_count:
            raise_for_rows(self._data.is_null().to_numpy(), self.name, "no value")
        if not len(self._data):
            return np.empty(0, np.intp), []
        encoded = self._data.dictionary_encode()
        codes = np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks])
        return codes, encoded.chunk(encoded.num_chunks - 1).dictionary.to_pylist()

    def _by_pandas(self) -> Column:
        import pandas as pd

        from .pandas_frames import PandasColumn

        return PandasColumn(pd.Series(pd.arrays.ArrowExtensionArray(self._data)), self.name)


def _plain(data: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the column without dictionaries, runs, extension types and views."""
    while True:
        type_ = data.type
        if isinstance(type_, pa.BaseExtensionType):
            data = pa.chunked_array([chunk.storage for chunk in data.chunks], type_.storage_type)
        elif pa.types.is_dictionary(type_):
            data = pa.chunked_array(map(_decoded, data.chunks), _without_view(type_.value_type))
        elif pa.types.is_run_end_encoded(type_):
            data = pa.chunked_array([pc.run_end_decode(chunk) for chunk in data.chunks], type_.value_type)
        else:
            plain = _without_view(type_)
            return data if plain == type_ else data.cast(plain)


def _decoded(chunk: pa.DictionaryArray) -> pa.Array:
    values = chunk.dictionary
    return values.cast(_without_view(values.type)).take(chunk.indices)


def _without_view(type_: pa.DataType) -> pa.DataType:
    """Return the type to use instead of a view, of which Arrow and pandas can do little."""
    if pa.types.is_string_view(type_):
        return pa.large_string()
    return pa.large_binary() if pa.types.is_binary_view(type_) else type_


def _is_any(type_: pa.DataType, kinds: tuple[Callable[[pa.DataType], bool], ...]) -> bool:
    return any(is_kind(type_) for is_kind in kinds)


def _uuid_of_bytes(cell: bytes, column: str) -> UUID:
    return UUID(bytes=cell) if len(cell) == _UUID_BYTES else as_uuid(cell, column)  # type: ignore[arg-type]


def _bytes_of(uuids: list[UUID]) -> Array:
    return np.array([uuid.bytes for uuid in uuids], "S16")
