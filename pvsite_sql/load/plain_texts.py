"""Cells of plain CSV lines, split by pyarrow where it is installed: without an object for each cell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, overload

import numpy as np

from ..engine.arrays import Array

__all__ = ["PlainTexts", "split_lines"]

_MIN_LENGTH = 1_000_000  # of the text of a batch; for less, importing pyarrow takes longer than it saves


class PlainTexts(Sequence[str]):
    """The texts of a column: the same as a list of them, but quicker to compare and to convert."""

    def __init__(self, column: Any) -> None:
        """Set the column, an Arrow array of strings without NULL."""
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> PlainTexts: ...
    def __getitem__(self, place: int | slice) -> str | PlainTexts:
        if isinstance(place, slice):
            return PlainTexts(self._column[place])
        text: str = self._column[place].as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        return iter(self._column.to_pylist())

    def factorize(self) -> tuple[Array, Array]:
        """Return a code for each text, and the distinct texts by code."""
        encoded = self._column.dictionary_encode()
        texts = np.empty(len(encoded.dictionary), object)
        texts[:] = encoded.dictionary.to_pylist()
        return encoded.indices.to_numpy().astype(np.intp), texts

    def floats(self) -> Array | None:
        """Return the texts as numbers; None if one of them is none, or is not written as Arrow reads numbers."""
        import pyarrow as pa  # noqa: PLC0415  an extra, and slow to import

        try:
            values: Array = self._column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            return None
        return values.copy()  # the parser may change them


def split_lines(text: str, separator: str, width: int, fields: Mapping[str, int]) -> dict[str, PlainTexts] | None:
    """Return the columns of a text by their keys. All lines have `width` fields, and there are no quotes.

    Return None if the text is short, or pyarrow is missing or cannot split it.

    Args:
        text: lines that end with a line feed.
        separator: the character between fields.
        width: the number of fields of each line.
        fields: the positions of the columns.
    """
    if len(text) < _MIN_LENGTH or not separator.isascii() or find_spec("pyarrow") is None:
        return None
    try:
        encoded = text.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        return None
    import pyarrow as pa  # noqa: PLC0415  an extra, and slow to import
    from pyarrow import csv  # noqa: PLC0415

    names = [str(field) for field in range(width)]
    table = csv.read_csv(
        pa.BufferReader(encoded),
        csv.ReadOptions(use_threads=False, block_size=len(encoded) + 1, column_names=names),
        csv.ParseOptions(
            delimiter=separator, quote_char=False, double_quote=False, escape_char=False, ignore_empty_lines=False
        ),
        csv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(names, pa.string()),
            include_columns=[names[field] for field in dict.fromkeys(fields.values())],
            null_values=[],
            strings_can_be_null=False,
        ),
    )
    return {key: PlainTexts(table.column(names[field]).combine_chunks()) for key, field in fields.items()}
