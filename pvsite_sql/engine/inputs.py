"""Arguments of calls, checked and brought into one form before anything is sent."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pandas as pd

from ..errors import InvalidInput

__all__ = [
    "as_filter",
    "as_integer",
    "as_name",
    "as_optional_text",
    "as_text",
    "as_utc",
    "as_uuid",
    "as_uuids",
    "window",
]


def as_uuid(value: UUID | str, name: str) -> UUID:
    """A UUID from a UUID or its text.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            found = UUID(value)
        except ValueError:
            pass
        else:
            if found.hex in value.replace("-", "").lower():  # UUID() passes over blanks and underscores in a number
                return found
    raise InvalidInput(f"not a uuid: {value!r}", column=name)


def as_uuids(values: Iterable[UUID | str], name: str) -> list[UUID]:
    """UUIDs without repetitions, in the order given.

    Raises:
        InvalidInput: one of them is not a uuid, or `values` is a single one.
    """
    if isinstance(values, (str, bytes, UUID)) or not isinstance(values, Iterable):
        raise InvalidInput(f"a list of uuids is wanted, not {values!r}", column=name)
    return list(dict.fromkeys(as_uuid(value, name) for value in values))


def as_text(value: str, name: str) -> str:
    """A text that PostgreSQL can store.

    Raises:
        InvalidInput: it is no text, or has a NUL or half a surrogate pair in it.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"a text is wanted, not {value!r}", column=name)
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput(
            "a text with a character that PostgreSQL cannot store (NUL or a lone surrogate)", column=name
        )
    return value


def as_optional_text(value: str | None, name: str) -> str:
    """The same, None as the empty text that stands for it in the query files."""
    return "" if value is None else as_text(value, name)


def as_name(value: str, name: str) -> str:
    """The same for a name, which may not be empty: a filter could not ask for it."""
    if as_text(value, name) == "":
        raise InvalidInput("an empty text is no name", column=name)
    return value


def as_filter(value: str | None, name: str) -> str:
    """The same for a filter, whose empty text would let everything pass and is therefore `InvalidInput`."""
    if value == "":
        raise InvalidInput("an empty text; None is how to leave it out", column=name)
    return as_optional_text(value, name)


def as_integer(value: int, name: str) -> int:
    """An integer that PostgreSQL's type of that name can hold.

    Raises:
        InvalidInput: it is none, or outside of 32 bits.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # numpy's integers too
    except TypeError:
        number = None
    if number is None or not -(2**31) <= number < 2**31:
        raise InvalidInput(f"an integer of 32 bits is wanted, not {value!r}", column=name)
    return number


def as_utc(value: datetime, name: str) -> datetime:
    """An aware time in UTC; a naive one means UTC.

    Raises:
        InvalidInput: it is no time, or one with a fraction of a microsecond.
    """
    if isinstance(value, pd.Timestamp):
        if value.nanosecond:
            raise InvalidInput("a time with a fraction of a microsecond", column=name)
        try:
            value = value.to_pydatetime()
        except ValueError:
            raise InvalidInput(f"a time outside of the calendar: {value}", column=name) from None
    if not isinstance(value, datetime) or pd.isna(value):
        raise InvalidInput(f"a time (datetime) is wanted, not {value!r}", column=name)
    try:
        # without an offset astimezone() would take the clock of this machine
        return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(f"a time outside of the calendar: {value}", column=name) from None


def window(start_utc: datetime | None, end_utc: datetime | None) -> dict[str, Any]:
    """The parameters `start_utc` and `end_utc` of a half-open window; None is unbounded.

    Raises:
        InvalidInput: a bound is not a time.
    """
    return {
        "start_utc": "-infinity" if start_utc is None else as_utc(start_utc, "start_utc"),
        "end_utc": "infinity" if end_utc is None else as_utc(end_utc, "end_utc"),
    }
