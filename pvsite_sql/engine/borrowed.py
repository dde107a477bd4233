"""Who owns a connection: one call or one transaction, from the moment it is borrowed until it is given back."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import psycopg
from psycopg import pq

from ..errors import PvsiteSqlError
from .copy_out import CopyOut, has_input
from .own_statements import OwnStatements
from .signals import keep_interrupts

__all__ = ["BorrowedConnection", "Closeable"]

Connection = psycopg.Connection[Any]

_CANCEL_TIMEOUT_S, _CANCELS = 1.0, 10
_IDLE, _ACTIVE = pq.TransactionStatus.IDLE, pq.TransactionStatus.ACTIVE


class Closeable(Protocol):
    """An open stream of rows."""

    def close(self) -> None:
        """End it; the connection takes statements again."""


class _Block:
    """psycopg's transaction block, whose ends are sent when it suits."""

    def __init__(self, block: psycopg.Transaction, *, savepoint: bool) -> None:
        self._block = block
        self.savepoint = savepoint

    def enter(self) -> None:
        """BEGIN or SAVEPOINT."""
        self._block.__enter__()

    def commit(self) -> None:
        """COMMIT or RELEASE."""
        self._block.__exit__(None, None, None)

    def roll_back(self, error: BaseException) -> None:
        """ROLLBACK, or ROLLBACK TO and RELEASE, unless COMMIT was refused."""
        if self._block.status == self._block.Status.ACTIVE:
            self._block.__exit__(type(error), error, error.__traceback__)


class BorrowedConnection:
    """A connection and what is known of its state.

    It guarantees that

    - only the process that borrowed the connection uses it. In a forked child every call raises, and leaving a block
      sends nothing and closes nothing, since the socket is the parent's;
    - only one thread uses it at a time. A second one is refused before anything is sent; handing it over between calls
      is fine;
    - while a stream of rows is open nothing else is sent. A call is refused, and the end of a block closes the stream;
    - one insert at a time uses a staging table;
    - a statement of the caller's own that ended or failed the transaction is noticed before the next call and before
      COMMIT. What it left in the session is undone;
    - BEGIN and SAVEPOINT travel with the next statement, and are left out where no statement follows;
    - it is given back idle, or closed. A statement that an exception interrupted is cancelled.

    Attributes:
        commit_was_sent: whether the outermost block sent COMMIT, so that its outcome is the server's to tell.
        answered: whether the server has answered anything since the connection was borrowed.
        thread: the thread that was the last one to use it.
    """

    def __init__(
        self,
        connection: Connection,
        give_back: Callable[[Connection], None] | None = None,
        *,
        is_configured: bool = False,
    ) -> None:
        """Own a connection.

        Args:
            connection: an open one.
            give_back: takes it at the end; None: it stays the caller's.
            is_configured: whether its pool configures each new session.
        """
        self._connection: Connection | None = connection
        self._give_back = give_back
        self._is_configured = is_configured
        self._own: OwnStatements | None = None
        self._pid = os.getpid()
        self._in_use = threading.RLock()
        self._stream: weakref.ref[Closeable] | None = None  # weak: a stream that nobody reads any more is closed
        self._copy: CopyOut | None = None
        self._staging: set[str] = set()
        self._unsent: list[Callable[[], object]] = []
        self._blocks: list[_Block] = []
        self._autocommit = connection.autocommit
        if give_back is not None and not connection.autocommit:
            connection.autocommit = True  # psycopg would put a BEGIN of its own before ours
        self.commit_was_sent = False
        self.answered = False
        self.thread = threading.get_ident()

    @property
    def connection(self) -> Connection:
        """The psycopg connection, for the process and the block that own it.

        Raises:
            PvsiteSqlError: the block has ended, or this is a forked child.
        """
        if self._connection is None:
            raise PvsiteSqlError("the transaction has ended: use its calls inside the with block")
        self.check_process()
        return self._connection

    def check_process(self) -> None:
        """See that this is the process that borrowed the connection.

        Raises:
            PvsiteSqlError: it is a child, forked from that process.
        """
        if self._is_inherited():
            raise PvsiteSqlError(
                f"this connection belongs to process {self._pid}, and this is process {os.getpid()}, forked from it: "
                "begin a transaction or a stream in the process that uses it"
            )

    def _is_inherited(self) -> bool:
        return os.getpid() != self._pid

    @contextmanager
    def exclusive(self, stream: Closeable | None = None, *, own: bool = False) -> Iterator[Connection]:
        """The connection, for this thread alone for the time of the block.

        Args:
            stream: the open stream that the block continues, if it does.
            own: whether the block is the caller's own, who may have statements open.

        Raises:
            PvsiteSqlError: another thread is in a call, a stream is open, the block has ended, this is a forked child,
                or a statement of the caller's own does not permit it.
        """
        connection = self.connection
        if not self._in_use.acquire(blocking=False):
            raise PvsiteSqlError(
                "another thread is in a call of this transaction: use a transaction from one thread at a time, "
                "or the repository itself, which threads can share"
            )
        try:
            self.thread = threading.get_ident()
            self._refuse_other_streams(stream)
            if self._own is not None and self._copy is None and not own:
                self._own.check()
            yield connection
        finally:
            self._in_use.release()

    def _refuse_other_streams(self, stream: Closeable | None) -> None:
        if (opened := self._open_stream()) is not None and opened is not stream:
            raise PvsiteSqlError(
                "a stream of this transaction is open (generation.read_frames or read_arrow): read it to its end, or "
                "close() it, before the next call; or read it from the repository, which uses another connection"
            )

    def _open_stream(self) -> Closeable | None:
        return None if self._stream is None else self._stream()

    def open_stream(self, stream: Closeable) -> None:
        """Refuse all other calls until `forget_stream`."""
        self._stream = weakref.ref(stream)

    def forget_stream(self, stream: Closeable) -> None:
        """Take other calls again: the stream has ended."""
        if self._open_stream() is stream:
            self._stream = None

    def close_stream(self) -> None:
        """Close the open stream, if there is one."""
        stream, self._stream = self._open_stream(), None
        if stream is not None and not self._is_inherited():
            stream.close()

    def lend(self) -> Connection:
        """The psycopg connection, inside its transaction, for statements of the caller's own.

        Raises:
            PvsiteSqlError: as `exclusive`.
        """
        with self.exclusive(own=True) as connection:
            if self._own is None:
                self._own = OwnStatements(connection, is_configured=self._is_configured)
                self.send(self._own.ask)
                self._own.note()
            return connection

    @contextmanager
    def staging(self, name: str) -> Iterator[None]:
        """Use the staging table of an insert.

        Raises:
            PvsiteSqlError: an insert is using it: that whose iterable or progress callback this call comes from.
        """
        if name in self._staging:
            raise PvsiteSqlError(
                f"{name}.insert is running on this transaction: its iterable of frames and its progress callback "
                f"cannot call {name}.insert of the same transaction"
            )
        self._staging.add(name)
        try:
            yield
        finally:
            self._staging.discard(name)

    @contextmanager
    def transaction(self, begin: Callable[[Connection], object]) -> Iterator[None]:
        """A transaction; a savepoint inside one.

        Args:
            begin: sends what the outermost transaction begins with, once BEGIN is sent.

        Raises:
            psycopg.OperationalError: the connection was lost before COMMIT.
        """
        connection = self.connection
        block = _Block(psycopg.Transaction(connection), savepoint=self._is_in_transaction(connection))
        self._unsent.append(block.enter)
        if not block.savepoint:
            self.commit_was_sent = False
            self._unsent.append(lambda: begin(connection))
        self._blocks.append(block)
        try:
            if self._give_back is None:  # the caller may run statements of its own on it
                self.send()
            yield
            if self._connection is None or self._is_inherited():
                raise PvsiteSqlError(f"the transaction belongs to process {self._pid}: only that process can commit it")
            if not self._withdrawn(block):
                if self._own is not None and not block.savepoint:
                    self._own.check_commit()
                if connection.closed:  # psycopg would leave the block as if it had been committed
                    raise psycopg.OperationalError("the connection was lost before COMMIT: nothing is stored")
                self.commit_was_sent = not block.savepoint
                with keep_interrupts():
                    block.commit()
        except BaseException as error:
            if not self._is_inherited() and not self._withdrawn(block):
                self._roll_back(block, error)
            raise
        finally:
            self._blocks.remove(block)

    def _is_in_transaction(self, connection: Connection) -> bool:
        return bool(self._blocks) or connection.pgconn.transaction_status != _IDLE

    def _withdrawn(self, block: _Block) -> bool:
        """Whether the block was never sent; then it never will be."""
        # not list.index(): its ValueError takes the place of what a signal handler raises meanwhile
        for number, each in enumerate(self._unsent):
            if each == block.enter:
                del self._unsent[number:]
                return True
        return False

    def _roll_back(self, block: _Block, error: BaseException) -> None:
        self.end_statement()
        try:
            block.roll_back(error)
        except psycopg.Error:  # an interrupt has left psycopg's count of blocks wrong; the error of the block matters
            if self._connection is not None:
                self._connection.close()

    def send(self, statement: Callable[[], object] | None = None) -> None:
        """Send what is waiting to be sent, and a statement behind it, in one trip to the server.

        psycopg ends a pipeline with a Flush, after which the server does not count the time that a transaction is idle.
        So a pipeline must not be the last thing that a call sends.
        """
        connection, unsent = self.connection, self._unsent
        self._unsent = []
        if statement is not None:
            unsent = [*unsent, statement]
        # where the server has ended the session, libpq tells why to a statement alone, not to a pipeline
        if len(unsent) > 1 and connection.autocommit and not has_input(connection.pgconn.socket):
            with connection.pipeline() as pipeline:
                for each in unsent:
                    if any(each == block.enter and block.savepoint for block in self._blocks):
                        pipeline.sync()  # psycopg takes the first block that it enters while idle for the transaction
                    each()
        else:
            for each in unsent:
                each()
        self.answered = True

    def copy_out(self, statement: bytes) -> CopyOut:
        """Begin a COPY ... TO STDOUT, which the end of the block closes at the latest."""
        self.send()
        self._copy = CopyOut(self.connection)
        self._copy.start(statement)
        self.answered = True
        return self._copy

    def end_copy(self, copy: CopyOut) -> None:
        """Take statements again after a COPY that was read, to its end or not."""
        if self._copy is copy:
            self._copy = None
            if not self._is_inherited():
                copy.close()

    def end_statement(self) -> None:
        """Leave a statement that an exception has interrupted, so that the connection can roll back, or is closed."""
        connection = self._connection
        if connection is None or self._is_inherited():
            return
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.close()
        is_locked = connection.lock.locked()
        if not is_locked and not _is_busy(connection.pgconn):
            return
        ended = False
        try:
            if is_locked:
                ended = _end_locked(connection)
            else:
                connection.cancel_safe(timeout=_CANCEL_TIMEOUT_S)
        except psycopg.Error:
            pass  # the server notices that the connection is closed
        finally:
            if not ended:
                connection.close()

    def end_calls(self) -> None:
        """Wait for a call that another thread is in, and close the open stream."""
        if not self._is_inherited():
            with self._in_use:
                self.close_stream()

    def release(self) -> None:
        """Give the connection back, idle or closed; in a forked child leave it alone."""
        connection, self._connection = self._connection, None
        if connection is None or self._is_inherited():
            return
        try:
            if not _is_idle(connection):
                connection.close()
            if self._own is not None:
                self._own.clean_up()
        finally:
            if self._give_back is not None:
                if not connection.closed and not self._autocommit:
                    connection.autocommit = False
                self._give_back(connection)


def _end_locked(connection: Connection) -> bool:
    """Cancel the caller's own statement in another thread; False: it goes on, or is a generator that was left open."""
    for _ in range(_CANCELS):  # the statement may not have been sent yet
        connection.cancel_safe(timeout=_CANCEL_TIMEOUT_S)
        if connection.lock.acquire(timeout=_CANCEL_TIMEOUT_S / _CANCELS):
            connection.lock.release()
            return not _is_busy(connection.pgconn)
    return False


def _is_busy(pgconn: pq.abc.PGconn) -> bool:
    """Whether the connection is in a statement, a COPY or a pipeline."""
    return pgconn.transaction_status == _ACTIVE or pgconn.pipeline_status != pq.PipelineStatus.OFF


def _is_idle(connection: Connection) -> bool:
    """Whether the connection can be lent again: for libpq and for psycopg, whose own state an interrupt can spoil."""
    of_libpq = connection.pgconn.transaction_status == _IDLE and not _is_busy(connection.pgconn)
    blocks, pipeline = getattr(connection, "_num_transactions", 0), getattr(connection, "_pipeline", None)
    return of_libpq and not blocks and pipeline is None
