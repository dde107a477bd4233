"""Month partitions of `generation` and `forecasts`, made before rows of a new month come."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Literal, TypeVar

import psycopg
import psycopg_pool

from ..errors import CheckFailed
from .query_connection import QueryConnection
from .session import Session

__all__ = ["MONTHS_AHEAD", "Parent", "ensure", "ensure_while_writing", "months_ahead", "write"]

Parent = Literal["generation", "forecasts"]
Result = TypeVar("Result")

MONTHS_AHEAD = 3
_MONTHS_AT_ONCE = 60
_SECOND_CONNECTION_TIMEOUT_S = 1.0


def months_ahead(today: date | None = None) -> list[date]:
    """The first days of this month (UTC) and of those that `migrate` makes ahead of it."""
    today = datetime.now(UTC).date() if today is None else today
    month = today.year * 12 + today.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(month, month + MONTHS_AHEAD + 1)]


def ensure(conn: QueryConnection, parent: Parent, months: list[date], *, wait: bool = False) -> list[str]:
    """Make the partitions that are missing, in short transactions (savepoints inside a transaction).

    Args:
        conn: on whose connection.
        parent: the table.
        months: a day of each month (UTC).
        wait: whether to wait for another open transaction that makes partitions, up to the lock timeout of `conn`.
            Otherwise the server waits for two seconds.

    Returns:
        the names of those that were made.

    Raises:
        LockNotAvailable: another transaction makes partitions and does not end in time.
    """
    made: list[str] = []
    for first in range(0, len(months), _MONTHS_AT_ONCE):
        made += _ensure_some(conn, parent, months[first : first + _MONTHS_AT_ONCE], wait=wait)
    return made


def _ensure_some(conn: QueryConnection, parent: Parent, months: list[date], *, wait: bool) -> list[str]:
    began = time.perf_counter()
    attempt = 0
    while True:
        attempt += 1
        try:
            with conn.transaction():
                names: list[str] = conn.values("engine/ensure_partitions", parent=parent, months=months)[0]
                return names
        except psycopg.errors.LockNotAvailable as error:
            waited_ms = (time.perf_counter() - began) * 1000
            if not wait or 0 < _lock_timeout_ms(conn) <= waited_ms:
                raise
            conn.retried(error, attempt=attempt, ms=waited_ms)


def _lock_timeout_ms(conn: QueryConnection) -> int:
    with conn.transaction():
        return int(conn.values("engine/lock_timeout")[0])


def write(
    session: Session, conn: QueryConnection, parent: Parent, months: list[date], work: Callable[[], Result]
) -> Result:
    """Do work that writes rows of these months, whose partitions are made before where they are missing.

    Months that were seen before are not asked about again. If one of them is gone since (`prune` removed it), or the
    server does not find a new one beside a DETACH, the work fails, is undone, and done once more.
    """
    known = session.settings.known_months
    _ensure_unknown(session, conn, parent, [month for month in months if (parent, month) not in known])
    try:
        return work()
    except CheckFailed as error:
        if error.constraint_name is not None:  # PostgreSQL names all checks but that of a row without a partition
            raise
    known.difference_update((parent, month) for month in months)
    _ensure_unknown(session, conn, parent, months)
    return work()


def _ensure_unknown(session: Session, conn: QueryConnection, parent: Parent, months: list[date]) -> None:
    if months:
        ensure(conn, parent, months, wait=not session.may_block_itself)
        if not session.in_transaction:  # else they may be rolled back
            session.settings.known_months.update((parent, month) for month in months)


def ensure_while_writing(session: Session, conn: QueryConnection, parent: Parent, months: list[date]) -> None:
    """The same in the middle of a call's own transaction, which may go on for long.

    Made there, the partitions' lock would keep other makers waiting until it ends, so another connection of the pool
    makes them. Where there is none to be had, or the caller opened the transaction, it is the writing one after all.
    """
    missing = conn.values("engine/missing_partitions", parent=parent, months=months)
    if not missing:
        return
    if not session.in_transaction:
        try:
            with session.connection("bulk", timeout_s=_SECOND_CONNECTION_TIMEOUT_S) as other:
                ensure(other, parent, missing)
                return
        except (psycopg_pool.PoolTimeout, psycopg_pool.TooManyRequests, psycopg.errors.LockNotAvailable):
            pass  # of the lock: this very call may hold it, since there was no connection for an earlier month
    ensure(conn, parent, missing, wait=not session.may_block_itself)
