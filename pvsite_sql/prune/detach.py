"""Takes a partition out of its table while others use the table: nobody waits for it longer than for one lock.

The steps, each of which an interrupted run may have been the last to take, and the next one goes on from:

1. wait, without a lock, until the transactions are gone that use the table;
2. mark the partition by a comment, so that it is known as prune's own once it is detached;
3. DETACH PARTITION ... CONCURRENTLY. It may leave the partition half detached: out of the table for all who come later,
   but not for transactions that began before;
4. then, once these are gone, DETACH PARTITION ... FINALIZE;
5. rename it, since under its own name it is in the way of new rows of its month.
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
from ..migrate.locks import described

__all__ = ["RetryPolicy", "Statements", "Table", "detached", "tables", "unmark"]

_T = TypeVar("_T")
_POLL_S = 0.2


@dataclass(frozen=True)
class Table:
    """A partition, or what was one, as `prune/detach_tables` shows it when it is asked for those before a time."""

    before_utc: datetime
    partition: str
    state: Literal["attached", "detaching", "detached"]
    marked: bool
    renamed: bool
    whole: bool
    from_utc: datetime | None
    to_utc: datetime | None
    rows: int | None
    size: str


@dataclass(frozen=True)
class RetryPolicy:
    """How long to wait.

    Attributes:
        lock_timeout_s: for a lock, at a time: so long others may have to wait behind it.
        wait_s: for all tries of one step together.
    """

    lock_timeout_s: float
    wait_s: float

    def retry(self, connection: psycopg.Connection[Any], relation: str, attempt: Callable[[], _T], what: str) -> _T:
        """What the attempt returns, made again where it does not get its locks in time.

        Args:
            connection: that the attempt uses.
            relation: whose locks these are.
            attempt: leaves no transaction open.
            what: where things stand if it fails.

        Raises:
            PvsiteSqlError: it never did; says who uses the relation.
        """
        deadline = time.monotonic() + self.wait_s
        while True:
            try:
                return attempt()
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                if time.monotonic() >= deadline:
                    users = _users(QueryConnection(connection), relation)
                    by = f" ({relation} is used by {_shown(users)})" if users else ""
                    raise PvsiteSqlError(
                        f"{what}: others were in the way for {self.wait_s:g} seconds{by}; run prune again"
                    ) from error
            time.sleep(_POLL_S)  # who has queued up behind it goes first


class Statements:
    """The statements of `prune/detach_statements`, run as they stand, on a connection in autocommit."""

    def __init__(self, connection: psycopg.Connection[Any], parent: Parent) -> None:
        self._connection = connection
        self._conn = QueryConnection(connection)
        self._parent = parent

    def of(self, partition: str) -> dict[str, str]:
        """All of them for a partition, by name."""
        found = self._conn.records("prune/detach_statements", parent=self._parent, partition=partition)
        if not found:
            raise PvsiteSqlError(f"{partition} is gone: another has detached or dropped it at this moment")
        return found[0]

    def run(self, name: str, partition: str) -> None:
        """Run one of them."""
        self._connection.execute(self.of(partition)[name].encode())


def tables(conn: QueryConnection, parent: Parent, before_utc: datetime) -> list[Table]:
    """The partitions that begin before a time, ascending, and what an interrupted prune left."""
    asked: dict[str, Any] = {"parent": parent, "before_utc": before_utc}
    return [Table(before_utc=before_utc, **record) for record in conn.records("prune/detach_tables", **asked)]


def unmark(connection: psycopg.Connection[Any], parent: Parent, table: Table, policy: RetryPolicy) -> None:
    """Take the comment away."""
    unmarking = Statements(connection, parent)
    policy.retry(
        connection,
        table.partition,
        lambda: unmarking.run("unmark", table.partition),
        f"{table.partition} was left as it is",
    )


def detached(
    connection: psycopg.Connection[Any],
    parent: Parent,
    parent_name: str,
    table: Table,
    policy: RetryPolicy,
    say: Callable[[str], None],
) -> str:
    """Detach a partition, or go on with it.

    Args:
        connection: in autocommit; its lock_timeout is that of `policy`.
        parent: the table.
        parent_name: with its schema.
        table: the partition.
        policy: how long to wait.
        say: is told what is waited for.

    Returns:
        the name that the detached table has now, with its schema.

    Raises:
        PvsiteSqlError: others were in the way for too long; says how far it came.
    """
    conn, statements, partition = QueryConnection(connection), Statements(connection, parent), table.partition
    state: str = table.state
    if state == "attached":
        _wait(conn, parent_name, policy, say, f"{partition} was left as it is", until_all=False)
    if not table.marked:
        policy.retry(connection, partition, lambda: statements.run("mark", partition), f"{partition} was left as it is")
    renamed = partition if table.renamed else statements.of(partition)["renamed"]
    if state == "attached":
        state = _begun(connection, parent, table, policy)
    if state == "detaching":
        _finalize(connection, statements, partition, policy, say)
    elif not table.renamed:
        left = f"{partition} is detached, but not dropped yet"
        policy.retry(connection, partition, lambda: statements.run("rename", partition), left)
    return renamed


def _begun(connection: psycopg.Connection[Any], parent: Parent, table: Table, policy: RetryPolicy) -> str:
    """Run DETACH PARTITION ... CONCURRENTLY; the state that it left."""
    statements = Statements(connection, parent)

    def attempt() -> str:
        try:
            statements.run("detach", table.partition)
        except psycopg.errors.LockNotAvailable:
            if _state(connection, parent, table) == "attached":
                raise
            return "detaching"  # it began to wait for those who came in between, who may stay for long
        return "detached"

    try:
        return policy.retry(connection, table.partition, attempt, f"{table.partition} was left as it is")
    except BaseException:
        if not connection.closed and _state(connection, parent, table) == "attached":
            unmark(connection, parent, table, policy)
        raise


def _state(connection: psycopg.Connection[Any], parent: Parent, table: Table) -> str | None:
    now = {each.partition: each.state for each in tables(QueryConnection(connection), parent, table.before_utc)}
    return now.get(table.partition)


def _finalize(
    connection: psycopg.Connection[Any],
    statements: Statements,
    partition: str,
    policy: RetryPolicy,
    say: Callable[[str], None],
) -> None:
    """Finish a half done detach, and rename in the same transaction.

    FINALIZE locks out the makers of partitions, and waits for every snapshot there is; so it is tried only when those
    are gone that may see the partition yet, and not for longer than one lock timeout in all.
    """
    conn = QueryConnection(connection)
    left = f"{partition} is half detached: its rows are stored, but not seen any more, and rows of its time are refused"

    def attempt() -> None:
        _wait(conn, partition, policy, say, left, until_all=True)
        rename = statements.of(partition)["rename"]
        finalize = statements.of(partition)["finalize"]
        try:
            with QueryConnection(connection).transaction():
                conn.values("prune/detach_hurry", milliseconds=max(1, round(policy.lock_timeout_s * 1000)))
                connection.execute(finalize.encode())
                connection.execute(rename.encode())
        except psycopg.errors.QueryCanceled as error:
            raise psycopg.errors.LockNotAvailable(*error.args) from error

    policy.retry(connection, partition, attempt, left)


def _wait(
    conn: QueryConnection, relation: str, policy: RetryPolicy, say: Callable[[str], None], left: str, *, until_all: bool
) -> None:
    """Wait for the transactions that use the relation: those of now, or until there are none."""
    deadline = time.monotonic() + policy.wait_s
    users = first = _users(conn, relation)
    if users:
        say(f"waiting for transactions that use {relation}: {_shown(users)}")
    while waited_for := {key: user for key, user in users.items() if until_all or key in first}:
        if time.monotonic() >= deadline:
            used = f"{relation} was in use for {policy.wait_s:g} seconds by {_shown(waited_for)}"
            raise PvsiteSqlError(f"{used}; {left}; run prune again")
        time.sleep(_POLL_S)
        users = _users(conn, relation)


def _users(conn: QueryConnection, relation: str) -> dict[tuple[int, str], dict[str, Any]]:
    return {
        (user["pid"], user["virtualtransaction"]): user
        for user in conn.records("prune/detach_users", relation=relation)
    }


def _shown(users: Mapping[tuple[int, str], Mapping[str, Any]]) -> str:
    return "; ".join(map(described, users.values()))
