"""Rows of one load with the same site and start: what to do with them, and the error if they differ."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, get_args

from ..engine.same_keys import COMBINED, GivenRow, RowsDiffer
from ..errors import InvalidInput
from ..generation import GenerationOnConflict
from .layout import Layout
from .lines import Lines

__all__ = ["SameKey", "check_same_key", "insert_rules", "naming_lines"]

SameKey = Literal["first", "last", "mean", "sum"]


def check_same_key(same_key: SameKey | None, layout: Layout) -> None:
    """Check that readings of a counter are not added up: files that overlap have the same ones.

    Raises:
        InvalidInput: they would be.
    """
    if layout.counter and same_key in COMBINED:
        raise InvalidInput("not with --counter, since the states of a meter do not add up", column="same_key")


def insert_rules(on_conflict: GenerationOnConflict | None, same_key: SameKey | None) -> dict[str, Any]:
    """Return the arguments for `generation.insert`.

    Raises:
        InvalidInput: `same_key` has another value.
    """
    if same_key is not None and same_key not in get_args(SameKey):
        raise InvalidInput(f"must be 'first', 'last', 'mean', 'sum' or None, got {same_key!r}", column="same_key")
    if on_conflict is None:
        return {"on_conflict": "ignore", "same_key": same_key or "equal"}
    return {"on_conflict": on_conflict, "same_key": same_key}


@contextmanager
def naming_lines(lines: Lines, same_key: SameKey | None) -> Iterator[None]:
    """Name the lines of two rows that differ, as far as they are known, and the options that choose.

    Raises:
        InvalidInput: two rows inside the block differ.
    """
    try:
        yield
    except RowsDiffer as error:
        raise InvalidInput(_reason(error, lines, same_key)) from None


def _reason(error: RowsDiffer, lines: Lines, same_key: SameKey | None) -> str:
    def place(row: GivenRow) -> tuple[str, str]:
        return ("", "another row") if row.row is None or row.frame is None else lines.place(row.frame, row.row)

    (name, line), (other_name, other_line) = place(error.given), place(error.other)
    where = other_line if other_name in ("", name) else f"{other_name}, {other_line},"
    if same_key in COMBINED:
        advice = f"--same-key {same_key} combines only rows with the same end"
    else:
        advice = "add --same-key first|last|mean|sum, or --on-conflict ignore|update"
    return f"{name}, {line}: {error.sentence(where)}; {advice}"
