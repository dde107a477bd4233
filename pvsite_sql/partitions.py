"""Month partitions of `generation` and `forecasts`, made before rows of a new month come."""

from __future__ import annotations

from datetime import date
from typing import Literal

import psycopg
import psycopg_pool

from .session import Call, Session

__all__ = ["Parent", "ensure", "ensure_while_writing"]

Parent = Literal["generation", "forecasts"]

_MONTHS_AT_ONCE = 60
_SECOND_CONNECTION_TIMEOUT_S = 1.0


def ensure(call: Call, parent: Parent, months: list[date]) -> list[str]:
    """Make the partitions that are missing, in short transactions (savepoints inside a transaction).

    Args:
        call: on whose connection.
        parent: the table.
        months: a day of each month (UTC).

    Returns:
        the names of those that were made.
    """
    made: list[str] = []
    for first in range(0, len(months), _MONTHS_AT_ONCE):
        with call.transaction():
            made += call.values("partitions/ensure", parent=parent, months=months[first : first + _MONTHS_AT_ONCE])[0]
    return made


def ensure_while_writing(session: Session, call: Call, parent: Parent, months: list[date]) -> None:
    """The same in the middle of a call's own transaction, which may go on for long.

    Made there, the partitions' lock would keep other makers waiting until it ends, so another connection of the pool
    makes them. Where there is none to be had, or the caller opened the transaction, it is the writing one after all.
    """
    missing = call.values("partitions/missing", parent=parent, months=months)
    if not missing:
        return
    if not session.in_transaction:
        try:
            with session.connection("bulk", timeout=_SECOND_CONNECTION_TIMEOUT_S) as other:
                ensure(other, parent, missing)
                return
        except (psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests, psycopg.errors.LockNotAvailable):
            pass  # of the lock: this very call may hold it, since there was no connection for an earlier month
    ensure(call, parent, missing)
