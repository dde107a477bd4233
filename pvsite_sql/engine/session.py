"""Decides on which connection a call runs, and when it is retried."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Generic, Self, TypeVar

import psycopg

from ..errors import PvsiteSqlError
from ..limits import Kind
from .borrowed import BorrowedConnection
from .pools import ConnectionSource
from .query_connection import QueryConnection, Settings

__all__ = ["QueryConnection", "Session", "Settings", "Stream"]

Result = TypeVar("Result")
Item = TypeVar("Item")

_ATTEMPTS = 5
_PAUSE_S = 0.05  # twice as long each time, and random, so that two do not meet again
_CONFLICTS = (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)


class Session:
    """Runs the work of calls: on connections of a pool, or on the one of a transaction."""

    def __init__(
        self, source: ConnectionSource, settings: Settings, transaction: BorrowedConnection | None = None
    ) -> None:
        """Run calls.

        Args:
            source: lends connections.
            settings: what the calls have in common.
            transaction: the connection of an open transaction, on which all calls run; None: each borrows one.
        """
        self._source = source
        self.settings = settings
        self._transaction = transaction

    @property
    def in_transaction(self) -> bool:
        """Whether the calls run in a transaction that the caller opened."""
        return self._transaction is not None

    @property
    def may_block_itself(self) -> bool:
        """Whether this thread has a transaction of the same repository open, for whose locks a call would wait."""
        return not self.in_transaction and self._source.is_in_transaction()

    @contextmanager
    def connection(self, kind: Kind, timeout_s: float | None = None) -> Iterator[QueryConnection]:
        """A connection, on which the caller opens the transactions; it waits at most `timeout_s` for it."""
        if self._transaction is not None:
            with self._transaction.exclusive():
                yield QueryConnection(self._transaction, self.settings, kind)
        else:
            with self._source.connection(timeout_s) as borrowed:
                yield QueryConnection(borrowed, self.settings, kind)

    @contextmanager
    def transaction(self, kind: Kind) -> Iterator[QueryConnection]:
        """A connection in a transaction of its own, committed at the end; a savepoint in `Repository.transaction`."""
        with self.connection(kind) as conn, conn.transaction():
            yield conn

    def run(self, kind: Kind, work: Callable[[QueryConnection], Result]) -> Result:
        """Do all of a call's work in a transaction of its own; a savepoint in `Repository.transaction`.

        It is retried a few times after a deadlock or a serialization failure, unless COMMIT was sent.
        """

        def in_transaction(conn: QueryConnection) -> Result:
            with conn.transaction():
                return work(conn)

        return self.run_in_steps(kind, in_transaction)

    def run_in_steps(self, kind: Kind, work: Callable[[QueryConnection], Result]) -> Result:
        """The same for work that opens its transactions itself."""
        attempt, prepare = 0, None
        while True:
            attempt += 1
            began = time.perf_counter()
            with self.connection(kind) as conn:
                conn.prepare = prepare
                try:
                    return work(conn)
                except psycopg.Error as error:
                    if attempt == _ATTEMPTS or not self._may_retry(conn, error, attempt):
                        self._explain(error)
                        raise
                    if _is_stale_plan(error):
                        prepare = False  # other connections may have the same plan prepared
                    ms = (time.perf_counter() - began) * 1000
                    self.settings.recorder.retried(conn.running, error, attempt=attempt, attempts=_ATTEMPTS, ms=ms)
                    conflict = isinstance(error, _CONFLICTS)
            if conflict:
                time.sleep(_PAUSE_S * 2**attempt * random.random())  # noqa: S311  no secret

    def _may_retry(self, conn: QueryConnection, error: psycopg.Error, attempt: int) -> bool:
        if conn.commit_was_sent:
            return False
        if _is_stale_plan(error):
            return True  # the savepoint of a call is rolled back too
        lost = attempt == 1 and conn.was_lost_unused  # once, for it may be the statement that ends the server's process
        return not self.in_transaction and (lost or isinstance(error, _CONFLICTS))

    def _explain(self, error: psycopg.Error) -> None:
        waited = isinstance(error, psycopg.errors.LockNotAvailable)
        if waited and self.may_block_itself:
            hint = (
                "This thread has a transaction of the same repository open, which may hold the lock: inside the with "
                "block of repo.transaction() call the methods of the transaction, not of the repository"
            )
            error.args = (f"{error}\n{hint}",)

    def lend_connection(self) -> psycopg.Connection[Any]:
        """The psycopg connection of the transaction, for statements of the caller's own.

        Raises:
            PvsiteSqlError: the block has ended, or the connection is in use.
        """
        if self._transaction is None:
            raise PvsiteSqlError("there is no transaction")
        return self._transaction.lend()

    def staging(self, name: str) -> AbstractContextManager[None]:
        """Use the staging table of an insert, which one call of a transaction can use at a time."""
        return nullcontext() if self._transaction is None else self._transaction.staging(name)

    def stream(self, kind: Kind, produce: Callable[[QueryConnection], Iterator[Item]]) -> Stream[Item]:
        """Items that are produced on a connection while the caller consumes them."""
        return Stream(self._transaction, self._produced(kind, produce))

    def _produced(self, kind: Kind, produce: Callable[[QueryConnection], Iterator[Item]]) -> Iterator[Item]:
        if self._transaction is not None:
            conn = QueryConnection(self._transaction, self.settings, kind)
            with conn.transaction():
                yield from produce(conn)
        else:
            with self._source.connection() as borrowed:
                conn = QueryConnection(borrowed, self.settings, kind)
                with conn.transaction():
                    yield from produce(conn)


class Stream(Generic[Item]):
    """An iterator that uses a connection until it ends, is closed, or its transaction ends.

    On the connection of a transaction no other call runs meanwhile.
    """

    def __init__(self, transaction: BorrowedConnection | None, items: Iterator[Item]) -> None:
        """Iterate over items, on the connection of a transaction or on one that the items borrow themselves."""
        self._transaction = transaction
        self._items = items
        self._started = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Item:
        if self._transaction is None:
            return next(self._items)
        with self._transaction.exclusive(self):
            if not self._started:
                self._transaction.open_stream(self)
                self._started = True
            try:
                return next(self._items)
            except BaseException:
                self._transaction.forget_stream(self)
                raise

    def close(self) -> None:
        """End it before all rows have come."""
        if self._transaction is not None:
            self._transaction.forget_stream(self)
        if isinstance(self._items, Generator):
            self._items.close()


def _is_stale_plan(error: psycopg.Error) -> bool:
    """Whether a table has changed under a prepared statement: "cached plan must not change result type"."""
    return (
        isinstance(error, psycopg.errors.FeatureNotSupported) and error.diag.source_function == "RevalidateCachedQuery"
    )
