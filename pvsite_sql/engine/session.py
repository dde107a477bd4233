"""Runs query files on connections that are lent: rows become models, the server's refusals the package's errors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.rows import dict_row
from pydantic import BaseModel

from ..errors import CheckFailed, ConstraintError, Duplicate, MissingReference, NotFound, OutcomeUnknown, PvsiteSqlError
from ..limits import CallLimits, Kind, Limits
from . import loaders
from .queries import Query, query
from .rows import collector_paused, models
from .stats import Recorder

__all__ = ["ConnectionSource", "QueryConnection", "Session", "Settings"]

Connection = psycopg.Connection[Any]
Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")

_MAX_LOOKUPS = 100
_ATTEMPTS = 5
_PAUSE_S = 0.05  # twice as long each time, and by chance, so that two do not meet again
_CONSTRAINT_ERRORS: dict[type[psycopg.Error], type[ConstraintError]] = {
    psycopg.errors.UniqueViolation: Duplicate,
    psycopg.errors.ForeignKeyViolation: MissingReference,
    psycopg.errors.CheckViolation: CheckFailed,
    psycopg.errors.NotNullViolation: CheckFailed,
}


@dataclass(frozen=True)
class Settings:
    """What the calls of a repository have in common.

    Attributes:
        limits: how long they may take.
        actor: on whose behalf they write; empty where it is not known.
        recorder: what is told of each query and retry.
    """

    limits: Limits
    actor: str
    recorder: Recorder

    def parameters(self, kind: Kind) -> dict[str, object]:
        """What a transaction of that kind begins with."""
        limits: CallLimits = self.limits.of(kind)
        return {**limits.parameters(), "fill_in": self.limits.is_default(kind), "actor": self.actor}


def _as_package_error(error: psycopg.Error) -> Exception:
    for refusal, explanation in _CONSTRAINT_ERRORS.items():
        if isinstance(error, refusal):
            # of a failed CHECK the detail is the whole row
            shown = error.diag.message_detail if explanation is not CheckFailed else None
            detail = f": {shown}" if shown else ""
            return explanation(f"{error.diag.message_primary}{detail}", constraint_name=error.diag.constraint_name)
    return error


class QueryConnection:
    """The query files on one connection, by name, with their parameters as keywords."""

    def __init__(self, connection: Connection, settings: Settings | None = None, kind: Kind = "read") -> None:
        """Lay them on a connection; without `settings` its limits stay as they are."""
        if (encoding := connection.info.encoding) != "utf-8":
            raise PvsiteSqlError(f"the pool's connections have to be made with client_encoding=UTF8, not {encoding}")
        self._connection = connection
        self._settings = settings
        self._kind = kind
        self.running = "no query"
        self.commit_was_sent = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction on the connection, or a savepoint where one is open already.

        Raises:
            OutcomeUnknown: the connection died when COMMIT had been sent.
        """
        outermost = self._connection.info.transaction_status == pq.TransactionStatus.IDLE
        if outermost:
            self.commit_was_sent = False
        try:
            with self._connection.transaction():
                if outermost and self._settings is not None:
                    self.run("engine/begin", **self._settings.parameters(self._kind))
                yield
                if self._connection.closed:  # psycopg would leave the block as if it had been committed
                    raise psycopg.OperationalError("the connection was lost before COMMIT: nothing is stored")
                self.commit_was_sent = outermost
        except psycopg.OperationalError as error:
            if outermost and self.commit_was_sent and self._connection.broken:
                raise OutcomeUnknown("the connection died between COMMIT and its answer") from error
            raise
        except psycopg.Error as error:
            explained = _as_package_error(error)
            if outermost and self.commit_was_sent and explained is not error:
                raise explained from error  # a constraint that is checked at COMMIT
            raise

    def rows(self, model: type[Model], name: str, /, **parameters: object) -> list[Model]:
        """All rows of the result, as models."""
        with collector_paused():
            return models(model, self.records(name, **parameters))

    def row(self, model: type[Model], name: str, /, **parameters: object) -> Model | None:
        """The first row of the result, or None."""
        rows = self.rows(model, name, **parameters)
        return rows[0] if rows else None

    def one(self, model: type[Model], name: str, /, **parameters: object) -> Model:
        """The one row of the result.

        Raises:
            NotFound: there is none; what the call names was deleted since it looked.
        """
        row = self.row(model, name, **parameters)
        if row is None:
            raise NotFound(f"{name}: what the call names was deleted by another at this moment")
        return row

    def get_or_create(self, model: type[Model], name: str, /, **parameters: object) -> Model:
        """The row of a get-or-create query, asked again where another caller made it at the same moment."""
        for _ in range(_MAX_LOOKUPS):
            if (row := self.row(model, name, **parameters)) is not None:
                return row
        raise PvsiteSqlError(f"{name}: a row that is there cannot be seen; do row-level security policies hide it?")

    def records(self, name: str, /, **parameters: object) -> list[dict[str, Any]]:
        """All rows of the result, as they are."""
        with self._executed(query(name), parameters) as cursor:
            return cursor.fetchall()

    def values(self, name: str, /, **parameters: object) -> list[Any]:
        """The first column of the result."""
        return [next(iter(row.values())) for row in self.records(name, **parameters)]

    def run(self, name: str, /, **parameters: object) -> int:
        """Run for its effect; the number of rows that it touched."""
        with self._executed(query(name), parameters) as cursor:
            return cursor.rowcount

    def copy_in(self, name: str, chunks: Iterable[Buffer]) -> int:
        """Feed a COPY ... FROM STDIN; the number of rows that it stored."""
        asked = query(name)
        with self._cursor(asked) as cursor:
            sent = False
            try:
                with cursor.copy(asked.text) as copy:
                    for chunk in chunks:
                        copy.write(chunk)
                    sent = True
            except ValueError as error:
                if not sent:  # the caller's own
                    raise
                # psycopg does not expect that the server has two errors to tell, as it has where its clean-up fails too
                said = self._connection.pgconn.error_message.decode(errors="replace").strip()
                raise psycopg.OperationalError(said or "the server ended the COPY with several errors") from error
            return cursor.rowcount

    def copy_out(self, name: str, /, **parameters: object) -> Iterator[bytearray]:
        """The rows of a query file as chunks of a binary COPY stream."""
        asked = query(name)
        # written into the statement; -1::integer would be -(1::integer), so whole numbers are quoted as psql does
        quoted = {key: str(value) if type(value) is int else value for key, value in parameters.items()}
        with self._cursor(asked) as cursor, cursor.copy(asked.copy_out, quoted or None) as copy:
            ended = False
            while not ended and (row := copy.read()):  # waits for the server
                rows = bytearray(row)
                ended = self._add_arrived(rows)
                left = time.perf_counter()
                try:
                    yield rows
                finally:
                    self._consumer_s += time.perf_counter() - left

    def _add_arrived(self, rows: bytearray) -> bool:
        """Add what arrived with the first row: psycopg's own loop outlasts the transfer. Whether that is all."""
        pgconn = self._connection.pgconn
        while True:
            length, row = pgconn.get_copy_data(1)
            if length <= 0:
                break
            rows += row
        results = [*iter(pgconn.get_result, None)] if length else []
        for result in results:
            if result.status != pq.ExecStatus.COMMAND_OK:
                raise psycopg.errors.error_from_result(result, encoding=self._connection.info.encoding)
            self._copied = result.command_tuples or 0
        return bool(length)

    @contextmanager
    def _executed(self, asked: Query, parameters: dict[str, object]) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
        with self._cursor(asked) as cursor:
            yield cursor.execute(asked.text, parameters or None)

    @contextmanager
    def _cursor(self, asked: Query) -> Iterator[psycopg.Cursor[dict[str, Any]]]:
        # not connection.cursor(): a caller's pool may make cursors that bind on the client and cannot read binary
        cursor = psycopg.Cursor(self._connection, row_factory=dict_row)
        cursor.format = pq.Format.BINARY
        loaders.register(cursor)
        self.running, self._copied, self._consumer_s = asked.name, 0, 0.0
        began, failed, rows = time.perf_counter(), False, 0
        try:
            with cursor:
                yield cursor
                rows = max(cursor.rowcount, self._copied)
        except psycopg.Error as error:
            failed = True
            if (explained := _as_package_error(error)) is not error:
                raise explained from error
            error.add_note(f"in {asked.path}")
            raise
        finally:
            if self._settings is not None:
                ms = (time.perf_counter() - began - self._consumer_s) * 1000
                self._settings.recorder.ran(asked.name, ms=ms, rows=max(rows, 0), failed=failed)


class ConnectionSource(Protocol):
    """Lends a connection for the time of a block, as `psycopg_pool.ConnectionPool.connection` does."""

    def __call__(self, timeout: float | None = None) -> AbstractContextManager[Connection]:
        """Wait for it `timeout` seconds at most; None: as long as the pool does by default."""


class Session:
    """Lends connections to the aggregates: of a pool, or the one of a transaction."""

    def __init__(self, borrow: ConnectionSource, settings: Settings, *, in_transaction: bool) -> None:
        self._borrow = borrow
        self._settings = settings
        self.in_transaction = in_transaction

    @contextmanager
    def connection(self, kind: Kind, timeout: float | None = None) -> Iterator[QueryConnection]:
        """A connection, on which the caller opens the transactions; `timeout` seconds are waited for it at most."""
        with self._borrow(timeout) as connection:
            yield QueryConnection(connection, self._settings, kind)

    @contextmanager
    def transaction(self, kind: Kind) -> Iterator[QueryConnection]:
        """A connection in a transaction of its own, committed at the end; a savepoint in `Repository.transaction`."""
        with self.connection(kind) as conn, conn.transaction():
            yield conn

    def run(self, kind: Kind, work: Callable[[QueryConnection], Result]) -> Result:
        """Do all of a call's work in a transaction of its own; a savepoint in `Repository.transaction`.

        After a deadlock or a serialization failure it is begun anew, a few times, unless COMMIT was sent.
        """

        def in_transaction(conn: QueryConnection) -> Result:
            with conn.transaction():
                return work(conn)

        return self.run_in_steps(kind, in_transaction)

    def run_in_steps(self, kind: Kind, work: Callable[[QueryConnection], Result]) -> Result:
        """The same for work that opens its transactions itself."""
        attempt = 0
        while True:
            attempt += 1
            began = time.perf_counter()
            with self.connection(kind) as conn:
                try:
                    return work(conn)
                except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
                    if self.in_transaction or conn.commit_was_sent or attempt == _ATTEMPTS:
                        raise
                    ms = (time.perf_counter() - began) * 1000
                    self._settings.recorder.retried(conn.running, error, attempt=attempt, attempts=_ATTEMPTS, ms=ms)
            time.sleep(_PAUSE_S * 2**attempt * random.random())  # noqa: S311  no secret
