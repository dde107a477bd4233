"""A caller's own statements on a borrowed connection: whether the transaction is still whole, and what they left."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import pq
from psycopg.adapt import AdaptersMap
from psycopg.rows import tuple_row

from ..errors import PvsiteSqlError
from .queries import query

__all__ = ["OwnStatements"]

Connection = psycopg.Connection[Any]

_ATTRIBUTES = ("row_factory", "cursor_factory", "server_cursor_factory", "prepare_threshold", "prepared_max")
_HANDLERS = ("_notice_handlers", "_notify_handlers")
_LEAVE = "leave COMMIT, ROLLBACK and close() to the end of the block"


class OwnStatements:
    """Knows the transaction and the connection as they were when the caller got them."""

    def __init__(self, connection: Connection, *, is_configured: bool) -> None:
        """Remember what the connection is like.

        Args:
            connection: it is about to be given to the caller.
            is_configured: whether its pool has prepared the session in a way that nobody else can repeat.
        """
        self._connection = connection
        self._is_configured = is_configured
        self._attributes = {name: getattr(connection, name) for name in _ATTRIBUTES}
        self._handlers = {name: list(getattr(connection, name, ())) for name in _HANDLERS}
        self._adapters = connection.adapters
        connection._adapters = AdaptersMap(self._adapters)  # noqa: SLF001  the caller may register more
        self._cursor = psycopg.Cursor(connection, row_factory=tuple_row)
        self._begun: bytes | None = None

    def ask(self) -> None:
        """Ask when the transaction began; several questions may travel together."""
        self._cursor.execute(query("engine/transaction_begun").text, prepare=False)

    def note(self) -> None:
        """Take the answer of `ask`."""
        self._begun = self._answer()

    def _answer(self) -> bytes | None:
        self._cursor.fetchone()
        # not the loaded value: the caller may have changed how values are loaded
        return None if self._cursor.pgresult is None else self._cursor.pgresult.get_value(0, 0)

    def check(self) -> None:
        """See that the package's own statements can run now.

        Raises:
            PvsiteSqlError: the caller's statements have left the connection in a state in which they cannot.
        """
        connection, status = self._connection, self._connection.pgconn.transaction_status
        if connection.closed:
            if not connection.broken:
                raise PvsiteSqlError(f"the connection was closed inside the block: nothing is stored; {_LEAVE}")
        elif connection.lock.locked() or status == pq.TransactionStatus.ACTIVE:
            raise PvsiteSqlError(
                "a COPY, a stream() or another statement on the connection of the transaction has not ended: read it "
                "to its end before the next call and before the end of the block, or use a server-side cursor"
            )
        elif connection.pgconn.pipeline_status != pq.PipelineStatus.OFF:
            raise PvsiteSqlError(
                "a pipeline is open on the connection of the transaction: leave it before the next call and before the "
                "end of the block"
            )
        elif status == pq.TransactionStatus.INERROR:
            raise PvsiteSqlError(
                "a statement on the connection of the transaction has failed, and the server accepts no other one "
                "until it is rolled back: run what may fail in a savepoint, `with connection.transaction():`"
            )
        elif status != pq.TransactionStatus.INTRANS:
            raise self._ended()

    def check_commit(self) -> None:
        """See that the open transaction is the one that was begun, so that it can be committed.

        Raises:
            PvsiteSqlError: it is not, or it cannot be committed.
        """
        self.check()
        if not self._connection.closed:
            self.ask()
            if self._answer() != self._begun:
                raise self._ended()

    def _ended(self) -> PvsiteSqlError:
        return PvsiteSqlError(
            "a statement on the connection has ended the transaction inside the block: what was stored until then is "
            f"committed or rolled back, as that statement said, and what came after it is not stored; {_LEAVE}"
        )

    def clean_up(self) -> None:
        """Make the connection as if it were new, or close it."""
        connection = self._connection
        if connection.closed:
            return
        try:
            for name, value in self._attributes.items():
                setattr(connection, name, value)
            for name, handlers in self._handlers.items():
                setattr(connection, name, handlers)
            connection._adapters = self._adapters  # noqa: SLF001
            if self._is_configured:
                connection.close()
            else:
                self._discard_session()
        except BaseException as error:
            connection.close()
            if not isinstance(error, psycopg.Error):
                raise

    def _discard_session(self) -> None:
        connection = self._connection
        # psycopg would send a DEALLOCATE ALL after the one that is part of DISCARD ALL
        connection._prepared = type(connection._prepared)()  # noqa: SLF001
        for name in ("prepare_threshold", "prepared_max"):
            setattr(connection, name, self._attributes[name])
        psycopg.Cursor(connection).execute(query("engine/discard_session").text, prepare=False)
