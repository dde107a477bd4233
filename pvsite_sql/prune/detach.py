"""Detaches a partition while other sessions use its table, without blocking them for longer than a lock timeout.

A run may be interrupted after any of these steps. The next run continues from there:

1. Wait, without a lock, until the transactions that use the table have ended.
2. Mark the partition with a comment, so that a later run recognizes it once it is detached.
3. Run DETACH PARTITION ... CONCURRENTLY. If that is interrupted, the partition is half detached: only transactions that
   began earlier still see its rows in the table.
4. In that case, wait until those transactions have ended and run DETACH PARTITION ... FINALIZE.
5. Rename the partition, because new rows of its month need a partition of that name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import psycopg

from ..engine.partitions import Parent
from ..engine.session import QueryConnection
from ..errors import PvsiteSqlError
from ..migrate.locks import describe_session

__all__ = ["LockRetry", "Statements", "Table", "detach", "list_tables", "remove_mark"]

_T = TypeVar("_T")
_POLL_S = 0.2


@dataclass(frozen=True)
class Table:
    """A current or former partition, a record of `prune/detach_tables` for the time `before_utc`."""

    before_utc: datetime
    partition: str
    state: Literal["attached", "detaching", "detached"]
    marked: bool
    renamed: bool
    expired: bool
    start_utc: datetime | None
    end_utc: datetime | None
    rows: int | None
    size: str


@dataclass(frozen=True)
class LockRetry:
    """Retries a step that does not get its locks.

    Attributes:
        lock_timeout_s: longest wait for a lock, during which other sessions may queue behind it.
        wait_s: longest time for all attempts of a step.
    """

    lock_timeout_s: float
    wait_s: float

    def run(self, connection: psycopg.Connection[Any], relation: str, attempt: Callable[[], _T], failure: str) -> _T:
        """Return the result of `attempt`, retrying it after a lock timeout or a deadlock.

        Args:
            connection: the connection that `attempt` uses.
            relation: the relation to lock.
            attempt: the step; it leaves no transaction open.
            failure: the state after a failure, for the message.

        Raises:
            PvsiteSqlError: no attempt succeeded; the message names the sessions that use the relation.
        """
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                return attempt()
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                if time.monotonic() >= deadline:
                    users = _users(QueryConnection(connection), relation)
                    used_by = f", used by {_describe(users)}" if users else ""
                    raise PvsiteSqlError(
                        f"{failure}: no lock on {relation} for {self.wait_s:g} seconds{used_by}; run prune again"
                    ) from error
            time.sleep(_POLL_S)  # let the sessions that queued behind it go first


class Statements:
    """Runs the statements of `prune/detach_statements`, on a connection in autocommit mode."""

    def __init__(self, connection: psycopg.Connection[Any], parent: Parent) -> None:
        self._connection = connection
        self._conn = QueryConnection(connection)
        self._parent = parent

    def get(self, partition: str) -> dict[str, str]:
        """Return the statements for a partition, by name."""
        records = self._conn.records("prune/detach_statements", parent=self._parent, partition=partition)
        if not records:
            raise PvsiteSqlError(f"{partition} no longer exists: another session detached or dropped it")
        return records[0]

    def run(self, name: str, partition: str) -> None:
        """Run one statement."""
        self._connection.execute(self.get(partition)[name].encode())


def list_tables(conn: QueryConnection, parent: Parent, before_utc: datetime) -> list[Table]:
    """Return the partitions that start before a time, ascending, and those that an interrupted prune left detached."""
    parameters: dict[str, Any] = {"parent": parent, "before_utc": before_utc}
    return [Table(before_utc=before_utc, **record) for record in conn.records("prune/detach_tables", **parameters)]


def remove_mark(connection: psycopg.Connection[Any], parent: Parent, table: Table, retry: LockRetry) -> None:
    """Remove the comment that marks a partition."""
    statements = Statements(connection, parent)
    retry.run(
        connection,
        table.partition,
        lambda: statements.run("remove_mark", table.partition),
        f"{table.partition} was not changed",
    )


def detach(
    connection: psycopg.Connection[Any],
    parent: Parent,
    parent_name: str,
    table: Table,
    retry: LockRetry,
    report: Callable[[str], None],
) -> str:
    """Detach a partition, or continue an interrupted detach.

    Args:
        connection: in autocommit mode, with the lock_timeout of `retry`.
        parent: the partitioned table.
        parent_name: its name, qualified with the schema.
        table: the partition.
        retry: how long to wait for locks.
        report: called with a message when it waits for other transactions.

    Returns:
        the new name of the detached table, qualified with the schema.

    Raises:
        PvsiteSqlError: other sessions used the table for too long; the message describes the current state.
    """
    conn, statements, partition = QueryConnection(connection), Statements(connection, parent), table.partition
    unchanged = f"{partition} was not changed"
    state: str = table.state
    if state == "attached":
        _wait_for_users(conn, parent_name, retry, report, unchanged, include_new=False)
    if not table.marked:
        retry.run(connection, partition, lambda: statements.run("mark", partition), unchanged)
    new_name = partition if table.renamed else statements.get(partition)["new_name"]
    if state == "attached":
        state = _detach_concurrently(connection, parent, table, retry)
    if state == "detaching":
        _finalize(connection, statements, partition, retry, report)
    elif not table.renamed:
        failure = f"{partition} is detached, but not dropped yet"
        retry.run(connection, partition, lambda: statements.run("rename", partition), failure)
    return new_name


def _detach_concurrently(connection: psycopg.Connection[Any], parent: Parent, table: Table, retry: LockRetry) -> str:
    """Run DETACH PARTITION ... CONCURRENTLY. Return the new state."""
    statements = Statements(connection, parent)

    def attempt() -> str:
        try:
            statements.run("detach", table.partition)
        except psycopg.errors.LockNotAvailable:
            if _state(connection, parent, table) == "attached":
                raise
            return "detaching"  # timed out in its second phase, waiting for transactions that began in the meantime
        return "detached"

    try:
        return retry.run(connection, table.partition, attempt, f"{table.partition} was not changed")
    except BaseException:
        if not connection.closed and _state(connection, parent, table) == "attached":
            remove_mark(connection, parent, table, retry)
        raise


def _state(connection: psycopg.Connection[Any], parent: Parent, table: Table) -> str | None:
    tables = list_tables(QueryConnection(connection), parent, table.before_utc)
    return next((each.state for each in tables if each.partition == table.partition), None)


def _finalize(
    connection: psycopg.Connection[Any],
    statements: Statements,
    partition: str,
    retry: LockRetry,
    report: Callable[[str], None],
) -> None:
    """Finish an interrupted detach, and rename the partition in the same transaction.

    FINALIZE waits for every older snapshot, and blocks sessions that create partitions. So first wait for the
    transactions that may still see the partition, and limit FINALIZE to one lock timeout.
    """
    conn = QueryConnection(connection)
    failure = (
        f"{partition} is half detached: its rows are stored but not visible, and new rows for its months are rejected"
    )

    def attempt() -> None:
        _wait_for_users(conn, partition, retry, report, failure, include_new=True)
        rename = statements.get(partition)["rename"]
        finalize = statements.get(partition)["finalize"]
        try:
            with connection.transaction():
                conn.values("prune/detach_set_timeout", milliseconds=max(1, round(retry.lock_timeout_s * 1000)))
                connection.execute(finalize.encode())
                connection.execute(rename.encode())
        except psycopg.errors.QueryCanceled as error:
            raise psycopg.errors.LockNotAvailable(*error.args) from error

    retry.run(connection, partition, attempt, failure)


def _wait_for_users(
    conn: QueryConnection,
    relation: str,
    retry: LockRetry,
    report: Callable[[str], None],
    failure: str,
    *,
    include_new: bool,
) -> None:
    """Wait for the transactions that use a relation now and, with `include_new`, for those that start to use it."""
    deadline = time.monotonic() + retry.wait_s
    users = initial = _users(conn, relation)
    if users:
        report(f"waiting for transactions that use {relation}: {_describe(users)}")
    while remaining := {key: user for key, user in users.items() if include_new or key in initial}:
        if time.monotonic() >= deadline:
            in_use = f"{relation} was in use for {retry.wait_s:g} seconds by {_describe(remaining)}"
            raise PvsiteSqlError(f"{in_use}; {failure}; run prune again")
        time.sleep(_POLL_S)
        users = _users(conn, relation)


def _users(conn: QueryConnection, relation: str) -> dict[tuple[int, str], dict[str, Any]]:
    return {
        (user["pid"], user["virtualtransaction"]): user
        for user in conn.records("prune/detach_users", relation=relation)
    }


def _describe(users: Mapping[tuple[int, str], Mapping[str, Any]]) -> str:
    return "; ".join(map(describe_session, users.values()))
