"""How long the calls of a repository may take, and wait."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from .errors import InvalidInput

__all__ = ["CallLimits", "Kind", "Limits"]

Kind = Literal["read", "write", "bulk", "stream", "transaction"]

_MOST_S = 2_000_000  # PostgreSQL counts milliseconds in 31 bits


def _check(limit: float | None, name: str) -> None:
    if limit is not None and (
        isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 0 <= limit <= _MOST_S
    ):
        raise InvalidInput(f"seconds are wanted, from 0 to {_MOST_S:,}, not {limit!r}", column=name)


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """The limits of one kind of call, in seconds. None leaves what the server or the connection has; 0 is no limit.

    Attributes:
        statement_s: how long a statement may run (`statement_timeout`).
        lock_s: how long it may wait for a lock (`lock_timeout`).
        idle_s: how long the transaction may stand still between two statements before the server ends it
            (`idle_in_transaction_session_timeout`).

    Raises:
        InvalidInput: a limit that is no number of seconds.
    """

    statement_s: float | None = None
    lock_s: float | None = None
    idle_s: float | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(getattr(self, each.name), each.name)

    def parameters(self) -> dict[str, int]:
        """Whole milliseconds; -1 for None."""
        given = {
            "statement_timeout_ms": self.statement_s,
            "lock_timeout_ms": self.lock_s,
            "idle_timeout_ms": self.idle_s,
        }
        return {name: -1 if limit is None else math.ceil(limit * 1000) for name, limit in given.items()}


_DEFAULTS: dict[Kind, CallLimits] = {
    "read": CallLimits(statement_s=60, lock_s=10, idle_s=60),
    "write": CallLimits(statement_s=60, lock_s=10, idle_s=60),
    "bulk": CallLimits(statement_s=900, lock_s=60, idle_s=900),
    "stream": CallLimits(lock_s=10, idle_s=900),
    "transaction": CallLimits(statement_s=900, lock_s=60, idle_s=300),
}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a repository's calls.

    The defaults fill in what the server, the role and the connection leave without a limit. A `CallLimits` that is
    given takes the place of all three.

    Attributes:
        connect_s: how long a connection may take to be made, unless the conninfo or PGCONNECT_TIMEOUT says it; at least
            2, as libpq has it; 0 is no limit.
        read: questions with short answers, and lists of sites, users and the like.
        write: calls that write a few rows.
        bulk: inserts of frames (each statement of them), and reads that may be of millions of rows.
        stream: `generation.read_frames`, whose statement runs for as long as its caller takes.
        transaction: all calls inside `Repository.transaction`.

    Raises:
        InvalidInput: a limit that is no number of seconds; a kind of calls whose limits are no `CallLimits`.
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
            if not isinstance(given := getattr(self, kind), CallLimits | None):
                raise InvalidInput(f"CallLimits are wanted, not {given!r}", column=kind)

    def of(self, kind: Kind) -> CallLimits:
        """The limits of that kind of call."""
        given: CallLimits | None = getattr(self, kind)
        return _DEFAULTS[kind] if given is None else given

    def is_default(self, kind: Kind) -> bool:
        """Whether they are the package's own."""
        return getattr(self, kind) is None
