"""Runs query files on connections that are lent: rows become models, the server's refusals the package's errors."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

import psycopg
from psycopg import pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.rows import dict_row
from pydantic import BaseModel

from .errors import CheckFailed, ConstraintError, Duplicate, MissingReference, NotFound, OutcomeUnknown, PvsiteSqlError
from .queries import Query, query
from .rows import EPOCH, collector_paused, models

__all__ = ["Call", "Lend", "Session", "transaction"]

Connection = psycopg.Connection[Any]
Model = TypeVar("Model", bound=BaseModel)

_ATTEMPTS = 100
_REAL = struct.Struct("!f")
_REFUSALS: dict[type[psycopg.Error], type[ConstraintError]] = {
    psycopg.errors.UniqueViolation: Duplicate,
    psycopg.errors.ForeignKeyViolation: MissingReference,
    psycopg.errors.CheckViolation: CheckFailed,
    psycopg.errors.NotNullViolation: CheckFailed,
}


class _UtcLoader(Loader):
    """timestamptz as aware UTC, whatever the session's TimeZone and DateStyle; rows share what they have in common."""

    format = pq.Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._seen: dict[bytes, datetime] = {}

    def load(self, data: Buffer) -> datetime:
        key = bytes(data)
        if (value := self._seen.get(key)) is None:
            value = self._seen[key] = EPOCH + timedelta(microseconds=struct.unpack("!q", key)[0])
        return value


class _UuidLoader(Loader):
    """uuid; rows share what they have in common."""

    format = pq.Format.BINARY

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        self._seen: dict[bytes, UUID] = {}

    def load(self, data: Buffer) -> UUID:
        key = bytes(data)
        if (value := self._seen.get(key)) is None:
            value = self._seen[key] = UUID(bytes=key)
        return value


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """A transaction, or a savepoint where one is open already.

    Raises:
        OutcomeUnknown: the connection died when COMMIT had been sent.
    """
    outermost = connection.info.transaction_status == pq.TransactionStatus.IDLE
    committing = False
    try:
        with connection.transaction():
            yield
            committing = outermost
    except psycopg.OperationalError as error:
        if committing and connection.broken:
            raise OutcomeUnknown("the connection died between COMMIT and its answer") from error
        raise
    except psycopg.Error as error:
        if committing:
            raise _explained(error) from error  # a constraint that is checked at COMMIT
        raise


def _explained(error: psycopg.Error) -> Exception:
    for refusal, explanation in _REFUSALS.items():
        if isinstance(error, refusal):
            # of a failed CHECK the detail is the whole row
            shown = error.diag.message_detail if explanation is not CheckFailed else None
            detail = f": {shown}" if shown else ""
            return explanation(f"{error.diag.message_primary}{detail}", constraint_name=error.diag.constraint_name)
    return error


class _RealLoader(Loader):
    """real as PostgreSQL writes it: 1.1, not 1.10000002."""

    format = pq.Format.BINARY

    def load(self, data: Buffer) -> float:
        (exact,) = _REAL.unpack(data)
        for digits in (".6g", ".7g", ".8g"):
            if _REAL.pack(short := float(format(exact, digits))) == data:
                return short
        return float(format(exact, ".9g"))


class Call:
    """The query files on one connection, by name, with their parameters as keywords."""

    def __init__(self, connection: Connection) -> None:
        if (encoding := connection.info.encoding) != "utf-8":
            raise PvsiteSqlError(f"the pool's connections have to be made with client_encoding=UTF8, not {encoding}")
        self._connection = connection

    def transaction(self) -> AbstractContextManager[None]:
        """A transaction on the connection, or a savepoint where one is open already."""
        return transaction(self._connection)

    def rows(self, model: type[Model], name: str, /, **parameters: object) -> list[Model]:
        """All rows of the result, as models."""
        with self._executed(query(name), parameters) as cursor, collector_paused():
            return models(model, cursor.fetchall())

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

    def got_or_made(self, model: type[Model], name: str, /, **parameters: object) -> Model:
        """The row of a get-or-create query, asked again where another caller made it at the same moment."""
        for _ in range(_ATTEMPTS):
            if (row := self.row(model, name, **parameters)) is not None:
                return row
        raise PvsiteSqlError(f"{name}: a row that is there cannot be seen; do row-level security policies hide it?")

    def records(self, name: str, /, **parameters: object) -> list[dict[str, Any]]:
        """All rows of the result, as they are."""
        with self._executed(query(name), parameters) as cursor:
            return cursor.fetchall()

    def values(self, name: str, /, **parameters: object) -> list[Any]:
        """The first column of the result."""
        with self._executed(query(name), parameters) as cursor:
            return [next(iter(row.values())) for row in cursor]

    def run(self, name: str, /, **parameters: object) -> int:
        """Run for its effect; the number of rows that it touched."""
        with self._executed(query(name), parameters) as cursor:
            return cursor.rowcount

    def copy_in(self, name: str, chunks: Iterable[Buffer]) -> int:
        """Feed a COPY ... FROM STDIN; the number of rows that it stored."""
        asked = query(name)
        with self._cursor(asked) as cursor:
            with cursor.copy(asked.text) as copy:
                for chunk in chunks:
                    copy.write(chunk)
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
                yield rows

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
        cursor.adapters.register_loader("timestamptz", _UtcLoader)
        cursor.adapters.register_loader("uuid", _UuidLoader)
        cursor.adapters.register_loader("float4", _RealLoader)
        try:
            with cursor:
                yield cursor
        except psycopg.Error as error:
            if (explained := _explained(error)) is not error:
                raise explained from error
            error.add_note(f"in {asked.path}")
            raise


class Lend(Protocol):
    """Lends a connection for the time of a block, as `psycopg_pool.ConnectionPool.connection` does."""

    def __call__(self, timeout: float | None = None) -> AbstractContextManager[Connection]:
        """Wait for it `timeout` seconds at most; None: as long as the pool does by default."""


class Session:
    """Lends connections to the aggregates: of a pool, or the one of a transaction."""

    def __init__(self, lend: Lend, *, in_transaction: bool) -> None:
        self._lend = lend
        self.in_transaction = in_transaction

    @contextmanager
    def connection(self, timeout: float | None = None) -> Iterator[Call]:
        """A connection, on which the caller opens the transactions; `timeout` seconds are waited for it at most."""
        with self._lend(timeout) as connection:
            yield Call(connection)

    @contextmanager
    def call(self) -> Iterator[Call]:
        """A connection in a transaction of its own, committed at the end; a savepoint in `Repository.transaction`."""
        with self._lend() as connection, transaction(connection):
            yield Call(connection)
