"""COPY ... TO STDOUT, read as the rows arrive, so that it can be left at any moment.

psycopg's `cursor.copy()` holds the lock of the connection until its block ends. Where an exception of a signal handler
leaves that block suspended in a generator, the end of the transaction waits for the lock for good. So this module talks
to libpq itself; the connection's owner knows the open COPY and can close it.
"""

from __future__ import annotations

import select
import time
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import pq

__all__ = ["CopyOut"]

_CLOSE_TIMEOUT_S = 5.0
_SMALL_WAITS = 16  # the server sends 8 kB at a time
_PAUSE_S = 0.0002


class CopyOut:
    """An open COPY ... TO STDOUT.

    Attributes:
        rows: how many rows the server said it sent, known at the end.
        ended: whether nothing more comes.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self.rows = 0
        self.ended = False
        self._waits = 0

    def start(self, statement: bytes) -> None:
        """Send the statement and wait until the server begins to copy.

        Raises:
            psycopg.Error: the server refused the statement.
        """
        self._pgconn.send_query(statement)
        while self._pgconn.flush():
            _wait(self._pgconn.socket, read=True, write=True)
            self._pgconn.consume_input()
        result = self._result()
        if result is None or result.status != pq.ExecStatus.COPY_OUT:
            self._finish(result)
            raise psycopg.ProgrammingError("the statement is not a COPY ... TO STDOUT")

    def read(self) -> bytearray:
        """Wait for a row and return it with all that have arrived behind it; empty at the end.

        Raises:
            psycopg.Error: the server ended the COPY with an error.
        """
        rows = bytearray()
        while not self.ended:
            length, row = self._pgconn.get_copy_data(1)
            if length > 0:
                rows += row
            elif length < 0:
                self._finish(self._result())
            elif rows:
                break
            else:
                self._wait_for_rows()
        return rows

    def close(self) -> None:
        """Cancel what is left and drop it, so that the connection takes statements again; else close the connection."""
        if self.ended:
            return
        self.ended = True
        try:
            self._connection.cancel_safe(timeout=_CLOSE_TIMEOUT_S)
            self._drain(time.monotonic() + _CLOSE_TIMEOUT_S)
        except psycopg.Error:
            self._connection.close()
        except BaseException:  # interrupted again: the state is unknown
            self._connection.close()
            raise

    def _drain(self, deadline: float) -> None:
        while True:
            length, _ = self._pgconn.get_copy_data(1)
            if length < 0:
                break
            if not length:
                self._wait_for_input(deadline)
        while (self._result(deadline)) is not None:
            pass  # the error of the cancelled statement among them

    def _finish(self, result: pq.abc.PGresult | None) -> None:
        """Take the results to the last one."""
        error: psycopg.Error | None = None
        while result is not None:
            if result.status == pq.ExecStatus.FATAL_ERROR and error is None:
                error = psycopg.errors.error_from_result(result, encoding=self._connection.info.encoding)
            self.rows = result.command_tuples or self.rows
            result = self._result()
        self.ended = True
        if error is not None:
            raise error

    def _result(self, deadline: float | None = None) -> pq.abc.PGresult | None:
        while self._pgconn.is_busy():
            self._wait_for_input(deadline)
        return self._pgconn.get_result()

    def _wait_for_rows(self) -> None:
        self._waits += 1
        self._wait_for_input()
        if self._waits > _SMALL_WAITS:  # the server would wake this process for each 8 kB, which slows it by a tenth
            time.sleep(_PAUSE_S)
            self._pgconn.consume_input()

    def _wait_for_input(self, deadline: float | None = None) -> None:
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        if not _wait(self._pgconn.socket, read=True, timeout=timeout):
            raise psycopg.OperationalError("the server did not end the COPY after it was cancelled")
        self._pgconn.consume_input()


def _wait(fd: int, *, read: bool = False, write: bool = False, timeout: float | None = None) -> bool:
    """Wait until the socket is ready; a signal handler's exception leaves at once."""
    if not hasattr(select, "poll"):  # Windows, whose select() takes sockets of any number
        readers, writers = [fd] if read else [], [fd] if write else []
        return any(select.select(readers, writers, [], timeout))
    poll = select.poll()
    poll.register(fd, (select.POLLIN if read else 0) | (select.POLLOUT if write else 0))
    return bool(poll.poll(None if timeout is None else timeout * 1000))


def has_input(fd: int) -> bool:
    """Whether the socket has something to read: an answer, a notice, or its end."""
    with suppress(ValueError):  # a socket that is closed has no number
        return _wait(fd, read=True, timeout=0)
    return True
