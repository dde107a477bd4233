"""Check and convert the arguments of calls before anything is sent to the database."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from ..errors import InvalidInput

__all__ = [
    "as_filter",
    "as_integer",
    "as_json_object",
    "as_name",
    "as_optional_text",
    "as_text",
    "as_time_zone",
    "as_utc",
    "as_uuid",
    "as_uuids",
    "page",
    "window",
]

_MAX_LEVELS = 100  # of a JSON object
_JSON_INTEGERS = 10**1000  # Python converts at most 4,300 digits from text


def as_uuid(value: UUID | str, name: str) -> UUID:
    """Return a UUID, given as a UUID or as its text.

    Raises:
        InvalidInput: `value` is neither.
    """
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            uuid = UUID(value)
        except ValueError:
            pass
        else:
            if uuid.hex in value.replace("-", "").lower():  # UUID() also accepts blanks and underscores
                return uuid
    raise InvalidInput(f"must be a UUID, got {value!r}", column=name)


def as_uuids(values: Iterable[UUID | str], name: str) -> list[UUID]:
    """Return the distinct UUIDs in the order of `values`.

    Raises:
        InvalidInput: a value is not a UUID, or `values` is not an iterable of them.
    """
    if isinstance(values, (str, bytes, UUID)) or not isinstance(values, Iterable):
        raise InvalidInput(f"must be a list of UUIDs, got {values!r}", column=name)
    return list(dict.fromkeys(as_uuid(value, name) for value in values))


def as_text(value: str, name: str) -> str:
    """Return a string that PostgreSQL can store.

    Raises:
        InvalidInput: `value` is not a string, or contains a NUL or a lone surrogate.
    """
    if not isinstance(value, str):
        raise InvalidInput(f"must be a string, got {value!r}", column=name)
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInput("contains a character that PostgreSQL cannot store (NUL or a lone surrogate)", column=name)
    return value


def as_optional_text(value: str | None, name: str) -> str:
    """Return a string that PostgreSQL can store; an empty one for None, as the query files expect."""
    return "" if value is None else as_text(value, name)


def as_name(value: str, name: str) -> str:
    """Return a name: a string that PostgreSQL can store and that is not empty, so that a filter can select it."""
    if as_text(value, name) == "":
        raise InvalidInput("must not be an empty string", column=name)
    return value


def as_filter(value: str | None, name: str) -> str:
    """Return a filter as the query files expect it: an empty string, for None, selects everything.

    Raises:
        InvalidInput: `value` is itself an empty string, or not one that PostgreSQL can store.
    """
    if value == "":
        raise InvalidInput("must not be an empty string; use None for no filter", column=name)
    return as_optional_text(value, name)


def as_integer(value: int, name: str) -> int:
    """Return an integer that fits PostgreSQL's `integer`.

    Raises:
        InvalidInput: `value` is not an integer, or has more than 32 bits.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)  # accepts numpy integers
    except TypeError:
        number = None
    if number is None or not -(2**31) <= number < 2**31:
        raise InvalidInput(f"must be an integer from {-(2**31)} to {2**31 - 1}, got {value!r}", column=name)
    return number


def as_json_object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object that PostgreSQL can store as jsonb and that reads back as it was given.

    Raises:
        InvalidInput: `value` is not a dict with strings as keys, has a value that JSON does not have (such as a
            datetime, NaN or a set), a string that PostgreSQL cannot store, or more than 100 levels.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput(f"must be a dict, got {value!r}", column=name)
    _check_json(value, name, "", _MAX_LEVELS)
    return dict(value)


def _check_json(value: object, name: str, place: str, levels: int) -> None:
    if levels < 0:
        raise InvalidInput(f"has more than {_MAX_LEVELS} levels", column=name)
    if isinstance(value, str):
        _check_json_text(value, name, place)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidInput(f"{place or 'the object'} has a key that is not a string: {key!r}", column=name)
            _check_json_text(key, name, f"a key of {place}" if place else "a key")
            _check_json(item, name, f"{place}[{key!r}]", levels - 1)
    elif isinstance(value, (list, tuple)):
        for position, item in enumerate(value):
            _check_json(item, name, f"{place}[{position}]", levels - 1)
    elif isinstance(value, int):
        if abs(value) >= _JSON_INTEGERS:
            raise InvalidInput(f"{place} must have at most 1,000 digits", column=name)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidInput(f"{place} must be finite, got {value!r}", column=name)
    elif value is not None:
        raise InvalidInput(f"{place} is not a JSON value: {value!r}", column=name)


def _check_json_text(value: str, name: str, place: str) -> None:
    try:
        as_text(value, name)
    except InvalidInput as error:
        raise error.replace(reason=f"{place} {error.reason}") from None


def page(limit: int | None, offset: int) -> dict[str, Any]:
    """Return the query parameters `limit` and `offset` of a part of a list. A limit of None means the whole rest.

    Raises:
        InvalidInput: one of them is not an integer from 0 on.
    """
    return {"limit": "" if limit is None else str(_as_count(limit, "limit")), "offset": _as_count(offset, "offset")}


def _as_count(value: int, name: str) -> int:
    if (number := as_integer(value, name)) < 0:
        raise InvalidInput(f"must be 0 or greater, got {value!r}", column=name)
    return number


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def as_time_zone(value: str | ZoneInfo | timezone, name: str) -> str:
    """Return a time zone as PostgreSQL reads it: a name in the IANA database, or the POSIX form of a fixed offset.

    PostgreSQL knows more: abbreviations (its IST is Israel's) and POSIX zones, whose sign is inverted ("UTC+5" is five
    hours behind UTC), so names that `zoneinfo` does not know are not sent.

    Raises:
        InvalidInput: zoneinfo does not know it, or its offset is not a whole number of seconds.
    """
    if isinstance(value, timezone):
        return _posix_zone(value, name)
    zone = value.key if isinstance(value, ZoneInfo) else value
    if not isinstance(zone, str) or zone not in _time_zones():
        raise InvalidInput(
            f"must be an IANA time zone such as 'Europe/London', or a datetime.timezone, got {zone!r}", column=name
        )
    return zone


def _posix_zone(zone: timezone, name: str) -> str:
    offset = zone.utcoffset(None)
    if offset % timedelta(seconds=1):
        raise InvalidInput(f"must have an offset of whole seconds, got {zone}", column=name)
    sign, inverted = "+-" if offset >= timedelta() else "-+"  # POSIX counts the hours behind UTC
    return f"<{sign}{abs(offset)}>{inverted}{abs(offset)}"


def as_utc(value: datetime, name: str) -> datetime:
    """Return an aware datetime in UTC. A naive one is taken as UTC.

    Raises:
        InvalidInput: `value` is not a datetime, has a fraction of a microsecond, or lies outside the years 1 to 9999.
    """
    if not isinstance(value, datetime) or value != value:  # noqa: PLR0124  NaT
        raise InvalidInput(f"must be a datetime, got {value!r}", column=name)
    if hasattr(value, "to_pydatetime"):  # a pandas Timestamp
        if getattr(value, "nanosecond", 0):
            raise InvalidInput(f"must not have a fraction of a microsecond, got {value}", column=name)
        try:
            value = value.to_pydatetime()
        except ValueError:
            raise InvalidInput(f"must be within the years 1 to 9999 (UTC), got {value}", column=name) from None
    try:
        # astimezone() would take a naive datetime as local time
        return value.replace(tzinfo=UTC) if value.utcoffset() is None else value.astimezone(UTC)
    except OverflowError:
        raise InvalidInput(f"must be within the years 1 to 9999 (UTC), got {value}", column=name) from None


def window(start_utc: datetime | None, end_utc: datetime | None) -> dict[str, Any]:
    """Return the query parameters `start_utc` and `end_utc` of a half-open window. None means unbounded.

    Raises:
        InvalidInput: see `as_utc`.
    """
    return {
        "start_utc": "-infinity" if start_utc is None else as_utc(start_utc, "start_utc"),
        "end_utc": "infinity" if end_utc is None else as_utc(end_utc, "end_utc"),
    }
