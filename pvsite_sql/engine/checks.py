"""Checks of columns as numpy arrays, whatever kind of frame they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar
from uuid import UUID

import numpy as np

from ..errors import InvalidInput, PvsiteSqlError
from .arrays import Array
from .signals import raised_by_handler
from .timestamps import UNIX_TO_2000_US

__all__ = [
    "LAST_US",
    "PER_SECOND",
    "ROWS_SHOWN",
    "converted",
    "errors_as_invalid_input",
    "plain_uuids",
    "raise_for_count",
    "raise_for_large_integers",
    "raise_for_rows",
    "raise_unless_finite",
    "since_2000_us",
    "sorted_uuids",
]

_Value = TypeVar("_Value")

LAST_US = 4_102_444_800_000_000  # from 1970-01-01 to 2100-01-01
PER_SECOND: Mapping[str, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
ROWS_SHOWN = 5  # in an error message
_EXACT_INTEGER = 2**53
_UUID_LENGTH, _UUID_DIGITS, _UUID_HYPHENS = 36, 32, [8, 13, 18, 23]


@contextmanager
def errors_as_invalid_input(column: str) -> Iterator[None]:
    """Raise any error inside the block as `InvalidInput`: pandas, Arrow and the cells themselves can raise anything.

    Raises:
        InvalidInput: names the column and the original error.
    """
    try:
        yield
    except (PvsiteSqlError, MemoryError):
        raise
    except Exception as error:
        if raised_by_handler(error):
            raise
        raise InvalidInput(f"cannot be read ({type(error).__name__}: {error})", column=column) from error


def raise_for_count(count: int, column: str) -> None:
    """Raise an error unless exactly one column has the name.

    Raises:
        InvalidInput: the column is missing, or there are several.
    """
    if count != 1:
        raise InvalidInput(f"{count} columns have this name" if count else "the column is missing", column=column)


def raise_for_rows(bad: Array, column: str, reason: str) -> None:
    """Raise an error that names the rows for which `bad` is true; do nothing if there are none.

    Raises:
        InvalidInput: `bad` is true for at least one row.
    """
    if bad.any():
        rows = np.flatnonzero(bad)
        raise InvalidInput(
            reason, column=column, rows=rows[:ROWS_SHOWN].tolist(), count=len(rows), all_rows=rows.tolist()
        )


def converted(
    codes: Array, distinct: Sequence[Any], column: str, convert: Callable[[Any, str], _Value]
) -> list[_Value]:
    """Convert the distinct cells of a column.

    Args:
        codes: for each row the position of its cell in `distinct`; -1 for an empty cell.
        distinct: the cells.
        column: the name of the column, for errors.
        convert: converts a cell, given the name of the column.

    Raises:
        InvalidInput: cells are empty, or `convert` raises it; names the rows.
    """
    raise_for_rows(codes < 0, column, "no value")
    values: list[_Value] = []
    reasons: dict[int, str] = {}
    for position, cell in enumerate(distinct):
        try:
            values.append(convert(cell, column))
        except InvalidInput as error:
            reasons[position] = error.reason
    if reasons:
        bad = np.isin(codes, list(reasons))
        raise_for_rows(bad, column, reasons[int(codes[bad.argmax()])])
    return values


def sorted_uuids(codes: Array, encoded: Array) -> tuple[Array, Array]:
    """Return the distinct UUIDs in PostgreSQL's order, and for each row the position of its UUID among them.

    Args:
        codes: for each row the position of its UUID in `encoded`.
        encoded: UUIDs as `S16`, possibly repeated.
    """
    distinct, ranks = np.unique(encoded, return_inverse=True)
    return distinct, ranks[codes]


def plain_uuids(cells: list[Any]) -> Array | None:
    """Convert cells that are all UUIDs, or all their texts in the usual form, without a look at each; None if not.

    The reading of each site makes a frame whose UUIDs are all distinct; to look each up takes longer than to sort them.
    """
    kinds = set(map(type, cells))
    if kinds == {UUID}:
        return np.frombuffer(b"".join([cell.int.to_bytes(16, "big") for cell in cells]), "S16")
    if kinds != {str} or set(map(len, cells)) != {_UUID_LENGTH}:
        return None
    text = "".join(cells)
    digits = text.replace("-", "")
    if len(digits) != _UUID_DIGITS * len(cells) or not text.isascii():
        return None
    characters = np.frombuffer(text.encode(), "S1").reshape(len(cells), _UUID_LENGTH)
    if (characters[:, _UUID_HYPHENS] != b"-").any():
        return None
    try:
        encoded = bytes.fromhex(digits)
    except ValueError:
        return None
    return np.frombuffer(encoded, "S16") if len(encoded) * 2 == len(digits) else None  # fromhex() skips blanks


def since_2000_us(since_1970: Array, per_second: int, column: str, *, last: int) -> Array:
    """Convert times since 1970-01-01 UTC to microseconds since 2000-01-01 UTC.

    Args:
        since_1970: the times as integers.
        per_second: how many units of `since_1970` a second has.
        column: the name of the column, for errors.
        last: the latest time allowed, in microseconds since 1970-01-01 UTC. The earliest is 1970-01-01.

    Raises:
        InvalidInput: a time is out of range or has a fraction of a microsecond.
    """
    second = PER_SECOND["us"]
    raise_for_rows(
        (since_1970 < 0) | (since_1970 > last * per_second // second),
        column,
        "must be between 1970-01-01 and 2100-01-01 UTC",
    )
    if per_second > second:
        raise_for_rows(since_1970 % (per_second // second) != 0, column, "must not have a fraction of a microsecond")
        return since_1970 // (per_second // second) - UNIX_TO_2000_US
    return since_1970 * (second // per_second) - UNIX_TO_2000_US


def raise_unless_finite(values: Array, column: str) -> None:
    """Check that float64 numbers are finite. NaN stands for an empty cell.

    Raises:
        InvalidInput: names the rows that are not.
    """
    raise_for_rows(np.isnan(values), column, "no value (NaN or NULL)")
    raise_for_rows(np.isinf(values), column, "must be finite")


def raise_for_large_integers(values: Array, column: str, is_integer: Callable[[], Array] | None = None) -> None:
    """Check that integers, converted to float64, were not rounded.

    Args:
        values: the numbers.
        column: the name of the column, for errors.
        is_integer: returns which of them are integers; None: all.

    Raises:
        InvalidInput: names the rows whose integer is too large.
    """
    large = np.abs(values) >= _EXACT_INTEGER
    if is_integer is not None and large.any():  # floats this large are exact
        large &= is_integer()
    raise_for_rows(large, column, "integers must be smaller than 2**53 to be stored exactly")
