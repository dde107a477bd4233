"""Runs query files on a connection: rows become models, the server's refusals the package's errors."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import pq
from psycopg.abc import Buffer
from psycopg.rows import dict_row
from pydantic import BaseModel

from ..errors import NotFound, OutcomeUnknown, PvsiteSqlError
from ..limits import CallLimits, Kind, Limits
from . import loaders
from .borrowed import BorrowedConnection
from .constraints import as_package_error
from .queries import Query, query
from .rows import collector_paused, models
from .signals import keep_interrupts
from .stats import Recorder

__all__ = ["QueryConnection", "Settings"]

Connection = psycopg.Connection[Any]
Cursor = psycopg.Cursor[dict[str, Any]]
Model = TypeVar("Model", bound=BaseModel)

_MAX_LOOKUPS = 100


@dataclass(frozen=True)
class Settings:
    """What the calls of a repository have in common.

    Attributes:
        limits: how long they may take.
        actor: on whose behalf they write; empty where it is not known.
        recorder: counts each query and retry.
        jit: whether the server may compile queries (JIT), as its own setting says.
        known_months: the tables and months whose partitions were seen, each the table's name and a first day.
    """

    limits: Limits
    actor: str
    recorder: Recorder
    jit: bool = False
    known_months: set[tuple[str, date]] = field(default_factory=set)

    def parameters(self, kind: Kind) -> dict[str, object]:
        """The parameters that a transaction of that kind begins with."""
        limits: CallLimits = self.limits.of(kind)
        return {**limits.parameters(), "fill_in": self.limits.is_default(kind), "actor": self.actor, "jit": self.jit}


class QueryConnection:
    """Runs query files by name, with their parameters as keywords, on one connection.

    Attributes:
        running: the query file that ran last.
        prepare: whether psycopg may prepare statements; None leaves it to psycopg.
    """

    def __init__(
        self, connection: Connection | BorrowedConnection, settings: Settings | None = None, kind: Kind = "read"
    ) -> None:
        """Run on a connection; without `settings` its limits stay as they are."""
        self._owner = connection if isinstance(connection, BorrowedConnection) else BorrowedConnection(connection)
        self._settings = settings
        self._kind = kind
        self.running = "no query"
        self.prepare: bool | None = None

    @property
    def commit_was_sent(self) -> bool:
        """Whether COMMIT of the outermost transaction was sent."""
        return self._owner.commit_was_sent

    @property
    def was_lost_unused(self) -> bool:
        """Whether the connection turned out to be dead before the server answered anything."""
        return not self._owner.answered and self._owner.connection.closed

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction on the connection, or a savepoint where one is open already.

        Raises:
            OutcomeUnknown: the connection was lost after COMMIT was sent.
        """
        outermost = self._owner.connection.info.transaction_status == pq.TransactionStatus.IDLE
        try:
            with self._owner.transaction(self._begin):
                yield
        except psycopg.OperationalError as error:
            if outermost and self.commit_was_sent and self._owner.connection.broken:
                raise OutcomeUnknown("the connection was lost between COMMIT and its answer") from error
            raise
        except psycopg.Error as error:
            if (explained := as_package_error(error)) is not error and outermost and self.commit_was_sent:
                raise explained from error  # a constraint that is checked at COMMIT
            raise

    def _begin(self, connection: Connection) -> None:
        if self._settings is not None:
            asked = query("engine/begin")
            cursor = _cursor(connection)
            cursor.execute(asked.text, self._settings.parameters(self._kind), prepare=self.prepare)
            self._settings.recorder.ran(asked.name, ms=0.0, rows=0, failed=False)

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
            NotFound: there is none: what the call names was deleted since it looked.
        """
        row = self.row(model, name, **parameters)
        if row is None:
            raise NotFound(f"{name}: a concurrent transaction deleted what the call names")
        return row

    def get_or_create(self, model: type[Model], name: str, /, **parameters: object) -> Model:
        """Return the row of a get-or-create query, retrying if a concurrent transaction created it."""
        for _ in range(_MAX_LOOKUPS):
            if (row := self.row(model, name, **parameters)) is not None:
                return row
        raise PvsiteSqlError(f"{name}: a row exists but cannot be seen; do row-level security policies hide it?")

    def retried(self, error: psycopg.Error, *, attempt: int, ms: float) -> None:
        """Record that a step of a call is about to be retried after an error."""
        if self._settings is not None:
            self._settings.recorder.retried(self.running, error, attempt=attempt, ms=ms)

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
        with self._recorded(asked) as record, self._owner.exclusive() as connection:
            self._owner.send()
            cursor = _cursor(connection)
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
                said = connection.pgconn.error_message.decode(errors="replace").strip()
                raise psycopg.OperationalError(said or "the server ended the COPY with several errors") from error
            record.rows = cursor.rowcount
            return cursor.rowcount

    def copy_out(self, name: str, /, **parameters: object) -> Iterator[bytearray]:
        """The rows of a query file as chunks of a binary COPY stream."""
        asked = query(name)
        # written into the statement; -1::integer would be -(1::integer), so whole numbers are quoted as psql does
        quoted = {key: str(value) if type(value) is int else value for key, value in parameters.items()}
        with self._recorded(asked) as record:
            connection = self._owner.connection
            text = psycopg.ClientCursor(connection).mogrify(asked.copy_out, quoted or None)
            copy = self._owner.copy_out(text.encode())
            try:
                while rows := copy.read():
                    left = time.perf_counter()
                    try:
                        yield rows
                    finally:
                        record.paused_s += time.perf_counter() - left
                    self._owner.check_process()
                record.rows = copy.rows
            finally:
                self._owner.end_copy(copy)

    @contextmanager
    def _executed(self, asked: Query, parameters: dict[str, object]) -> Iterator[Cursor]:
        with self._recorded(asked) as record, self._owner.exclusive() as connection:
            cursor = _cursor(connection)
            with cursor:
                self._owner.send(partial(cursor.execute, asked.text, parameters or None, prepare=self.prepare))
                record.rows = cursor.rowcount
                yield cursor

    @contextmanager
    def _recorded(self, asked: Query) -> Iterator[_Record]:
        self.running = asked.name
        record = _Record(began_s=time.perf_counter())
        failed = False
        try:
            with keep_interrupts():
                yield record
        except psycopg.Error as error:
            failed = True
            if (explained := as_package_error(error)) is not error:
                raise explained from error
            error.add_note(f"in {asked.path}")
            raise
        finally:
            if self._settings is not None:
                ms = (time.perf_counter() - record.began_s - record.paused_s) * 1000
                self._settings.recorder.ran(asked.name, ms=ms, rows=max(record.rows, 0), failed=failed)


@dataclass
class _Record:
    """One run of a query file, for the statistics; the time in which its rows are consumed does not count."""

    began_s: float
    paused_s: float = 0.0
    rows: int = 0


def _cursor(connection: Connection) -> Cursor:
    # not connection.cursor(): a caller's pool may make cursors that bind on the client and cannot read binary
    cursor = psycopg.Cursor(connection, row_factory=dict_row)
    cursor.format = pq.Format.BINARY
    loaders.register(cursor)
    return cursor
