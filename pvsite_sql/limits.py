"""Timeouts of the calls of a repository."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from .errors import InvalidInput

__all__ = ["CallLimits", "Kind", "Limits"]

Kind = Literal["read", "write", "bulk", "stream", "transaction"]

_MOST_S = 2_000_000  # PostgreSQL stores timeouts as milliseconds in a 32-bit integer


def _check(limit: float | None, name: str) -> None:
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit <= _MOST_S
    ):
        raise InvalidInput(f"must be a number of seconds from 0 to {_MOST_S:,}, got {limit!r}", column=name)


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """The timeouts of one kind of call, in seconds. None keeps the setting of the connection; 0 means no timeout.

    Attributes:
        statement_s: the longest time that a statement can run (`statement_timeout`).
        lock_s: the longest time that a statement can wait for a lock (`lock_timeout`).
        idle_s: the longest time that the transaction can be idle between two statements. Then the server ends the
            session (`idle_in_transaction_session_timeout`).

    Raises:
        InvalidInput: a limit is not a number of seconds.
    """

    statement_s: float | None = None
    lock_s: float | None = None
    idle_s: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(getattr(self, each.name), each.name)

    def parameters(self) -> dict[str, int]:
        """Return the timeouts as query parameters, in whole milliseconds; -1 stands for None."""
        limits = {
            "statement_timeout_ms": self.statement_s,
            "lock_timeout_ms": self.lock_s,
            "idle_timeout_ms": self.idle_s,
        }
        return {name: -1 if limit is None else math.ceil(limit * 1000) for name, limit in limits.items()}


_DEFAULTS: dict[Kind, CallLimits] = {
    "read": CallLimits(statement_s=60, lock_s=10, idle_s=60),
    "write": CallLimits(statement_s=60, lock_s=10, idle_s=60),
    "bulk": CallLimits(statement_s=900, lock_s=60, idle_s=900),
    "stream": CallLimits(lock_s=10, idle_s=900),
    "transaction": CallLimits(statement_s=900, lock_s=60, idle_s=300),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The timeouts of a repository, for each kind of call.

    None stands for the package's defaults. They apply only if the server, the role and the connection set no timeout.
    A `CallLimits` object overrides all three.

    Attributes:
        connect_s: the longest time to establish a connection, in seconds, unless the conninfo or PGCONNECT_TIMEOUT sets
            it. libpq raises 1 to 2. 0 means no timeout.
        read: reads with small results, and lists of sites, users and so on.
        write: calls that write a few rows.
        bulk: inserts of frames, for each of their statements, and reads that can return millions of rows.
        stream: `generation.read_frames` and `read_arrow`, whose statement lasts until the caller has read the last row.
        transaction: all calls inside `Repository.transaction`.

    Raises:
        InvalidInput: `connect_s` is not a number of seconds, or another attribute is not a `CallLimits` object.
    """

    connect_s: float = 10
    read: CallLimits | None = None
    write: CallLimits | None = None
    bulk: CallLimits | None = None
    stream: CallLimits | None = None
    transaction: CallLimits | None = None

    def __post_init__(self) -> None:
        _check(self.connect_s, "connect_s")
        for kind in get_args(Kind):
            if not isinstance(limits := getattr(self, kind), CallLimits | None):
                raise InvalidInput(f"must be CallLimits or None, got {limits!r}", column=kind)

    def of(self, kind: Kind) -> CallLimits:
        """Return the limits of a kind of call."""
        limits: CallLimits | None = getattr(self, kind)
        return _DEFAULTS[kind] if limits is None else limits

    def is_default(self, kind: Kind) -> bool:
        """Return whether a kind of call has the package's default limits."""
        return getattr(self, kind) is None
