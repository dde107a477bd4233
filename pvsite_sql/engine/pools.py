"""Where connections come from: a pool of the repository's own, or the caller's."""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import ceil
from typing import Any, cast

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from ..errors import InvalidInput, PvsiteSqlError
from . import forks
from .borrowed import BorrowedConnection
from .copy_out import has_input
from .signals import DeferredSignals

__all__ = ["ConnectionSource"]

Connection = psycopg.Connection[Any]
Pool = ConnectionPool[Any]

_FIRST_WAIT_S, _LONGEST_WAIT_S, _SELDOM_S = 0.1, 1.0, 5.0  # each look costs the place in the queue
_SHORTEST_WAIT_S = 0.001  # psycopg_pool takes 0 for a timeout that is over
_REPLACE_EVERY_S = 2.0
_DEFAULT_MIN_SIZE = 4
_SQLALCHEMY_URL = re.compile(r"postgres(ql)?\+\w+://")
_FINAL = re.compile(  # the server translates these where its lc_messages is another; then a call waits its timeout
    r"authentication failed|no pg_hba\.conf entry|pg_hba\.conf rejects connection|no password supplied"
    r'|(database|role|user) "[^"]*" (does not exist|is not permitted to log in)|is not currently accepting connections'
    r"|permission denied for database|server does not support SSL"
)
_abandoned: list[Pool] = []


class _Connector:
    """Stands for the pool's connection class and remembers why connecting failed."""

    def __init__(self, connection_class: type[Connection]) -> None:
        self._class = connection_class
        self.connected = False
        self.error: psycopg.Error | None = None

    def connect(self, conninfo: str = "", **options: Any) -> Connection:
        """Connect as the class does."""
        try:
            connection = self._class.connect(conninfo, **options)
        except psycopg.Error as error:
            self.error = type(error)(str(error))  # the error itself holds the socket
            raise
        self.connected, self.error = True, None
        return connection

    @property
    def is_doubtful(self) -> bool:
        """Whether the server could not be reached the last time, or was not reached yet."""
        return self.error is not None or not self.connected


class ConnectionSource:
    """Lends connections, and keeps them to be had.

    It replaces dead connections at once, however many there are; it says why the server could not be reached; no
    exception of a signal handler makes the pool lose a connection; in a forked child it makes a new pool. A caller's
    pool cannot be made anew: there it refuses forked children.
    """

    def __init__(self, conninfo: str | Pool, options: dict[str, Any], connect_s: float) -> None:
        """Open a pool, or use one.

        Raises:
            TypeError: neither a conninfo nor a psycopg_pool.ConnectionPool, or a pool and options for another one.
            InvalidInput: an SQLAlchemy URL, or sizes that no pool has.
        """
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._lent: dict[int, tuple[weakref.ref[BorrowedConnection], Pool, Connection]] = {}
        self._transactions: dict[int, weakref.ref[BorrowedConnection]] = {}
        self._closed = False
        self._replaced_s = float("-inf")
        self._connection_class: type[Connection] = options.get("connection_class", psycopg.Connection)
        if isinstance(conninfo, ConnectionPool):
            if options:
                raise TypeError(f"an existing pool takes no options: {', '.join(options)}")
            self._make: Callable[[_Connector], Pool] | None = None
            self._connector: _Connector | None = None
            self._pool: Pool | None = conninfo
        else:
            self._make = _maker(_checked(conninfo), options, connect_s)
            self._connector = _Connector(self._connection_class)
            self._pool = self._make(self._connector)
        forks.after_fork(self)

    @contextmanager
    def connection(self, timeout_s: float | None = None) -> Iterator[BorrowedConnection]:
        """A connection for the time of a block.

        Args:
            timeout_s: how long to wait for it; None: as long as the pool does by default.

        Raises:
            psycopg_pool.PoolTimeout: none could be had in time; says why, if the server could not be reached.
            PvsiteSqlError: a forked child uses a pool that was given, or the pool's connections are unusable.
        """
        borrowed = self._borrow(timeout_s)
        try:
            yield borrowed
        finally:
            borrowed.release()

    @contextmanager
    def noted_transaction(self, borrowed: BorrowedConnection) -> Iterator[None]:
        """Note that a transaction is open, for `is_in_transaction`."""
        self._transactions[id(borrowed)] = weakref.ref(borrowed)
        try:
            yield
        finally:
            self._transactions.pop(id(borrowed), None)

    def is_in_transaction(self) -> bool:
        """Whether a transaction of this source is open that this thread was the last one to use."""
        thread = threading.get_ident()
        opened = (reference() for reference in list(self._transactions.values()))
        return any(borrowed is not None and borrowed.thread == thread for borrowed in opened)

    def capacity(self) -> tuple[int, float]:
        """How many connections there can be, and for how many seconds a call waits for one."""
        pool = self._current_pool()
        return pool.max_size, pool.timeout

    def stats(self) -> dict[str, int]:
        """The pool's figures."""
        self._return_orphans()
        return self._current_pool().get_stats()

    def close(self) -> None:
        """Close the pool, unless it was given."""
        self._closed = True
        pool = self._pool
        if self._make is not None and pool is not None:
            self._return_orphans()
            pool.close()

    def after_fork_in_child(self) -> None:
        """Leave the parent's connections alone: not even a goodbye may be sent on a socket that the parent uses."""
        pool, self._pool = self._pool, None
        if pool is not None:
            _abandoned.append(pool)
            if self._make is not None:
                pool._closed = True  # noqa: SLF001  so that nothing stops its threads, which are not here, or closes it
        self._lock = threading.Lock()
        self._lent = {}
        self._transactions = {}

    def __repr__(self) -> str:
        pool = self._pool
        if pool is None:
            return "pool of another process"
        conninfo = pool.conninfo if isinstance(pool.conninfo, str) else ""
        kwargs = pool.kwargs if isinstance(pool.kwargs, dict) else {}
        shown = {**conninfo_to_dict(conninfo), **kwargs}
        named = [
            f"{name}={shown[name]!r}"
            for name in ("host", "hostaddr", "port", "dbname", "user", "service")
            if shown.get(name)
        ]
        return " ".join([*named, f"pool={pool.name!r} of {pool.min_size} to {pool.max_size} connections"])

    def _current_pool(self) -> Pool:
        if self._pool is None:
            if self._make is None:
                raise PvsiteSqlError(
                    f"the pool of this repository was made in process {self._pid}, and this is process {os.getpid()}, "
                    "forked from it: a psycopg_pool does not survive a fork. Make the pool and the repository in each "
                    "worker, or give Repository a conninfo: then it makes a pool of its own in each process"
                )
            with self._lock:
                if self._pool is None and self._make is not None:
                    self._connector = _Connector(self._connection_class)
                    self._pool = self._make(self._connector)
                    if self._closed:
                        self._pool.close()
        assert self._pool is not None  # noqa: S101  nothing takes it away but a fork
        return self._pool

    def _borrow(self, timeout_s: float | None) -> BorrowedConnection:
        began = time.monotonic()
        wait_s, discarded = _FIRST_WAIT_S, 0
        while True:
            pool = self._current_pool()
            if len(self._lent) >= pool.max_size:
                self._return_orphans()
            limit_s = pool.timeout if timeout_s is None else timeout_s
            left_s = began + limit_s - time.monotonic()
            step_s = min(wait_s if self._looks_often(discarded) else _SELDOM_S, left_s)
            borrowed: BorrowedConnection | None = None
            try:
                with DeferredSignals():
                    connection = pool.getconn(max(step_s, _SHORTEST_WAIT_S))
                    borrowed = self._own(pool, connection)
            except PoolTimeout as timeout:
                self._go_on_waiting(pool, timeout, limit_s, left_s - step_s)
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
            except PoolClosed:
                if pool is self._pool:
                    raise
            except BaseException:  # of a signal handler, which ran when the connection was here
                if borrowed is not None:
                    borrowed.release()
                raise
            else:
                if borrowed is not None:
                    return borrowed
                discarded += 1

    def _looks_often(self, discarded: int) -> bool:
        """Whether to look often while waiting: why connecting fails, and whether a signal has come."""
        doubtful = self._connector is not None and (discarded > 0 or self._connector.is_doubtful)
        return doubtful or threading.current_thread() is threading.main_thread()

    def _own(self, pool: Pool, connection: Connection) -> BorrowedConnection | None:
        """Own a connection that is alive and idle; None: it was not, and the pool makes another one."""
        try:
            usable = _is_usable(connection)
        except PvsiteSqlError:
            pool.putconn(connection)
            raise
        if not usable:
            pool.putconn(connection)
            return None
        borrowed = BorrowedConnection(
            connection,
            give_back=lambda given: self._give_back(pool, given),
            is_configured=getattr(pool, "_configure", pool) is not None,
        )
        self._lent[id(connection)] = weakref.ref(borrowed), pool, connection
        return borrowed

    def _give_back(self, pool: Pool, connection: Connection) -> None:
        with DeferredSignals():
            self._lent.pop(id(connection), None)
            pool.putconn(connection)

    def _return_orphans(self) -> None:
        """Return the connections of owners that are gone: an exception kept them from doing it."""
        with DeferredSignals():
            with self._lock:  # two threads must not return the same one
                orphans = [key for key, (owner, _, _) in list(self._lent.items()) if owner() is None]
                returned = [self._lent.pop(key) for key in orphans]
            for _, pool, connection in returned:
                if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
                    connection.close()
                pool.putconn(connection)

    def _go_on_waiting(self, pool: Pool, timeout: PoolTimeout, limit_s: float, left_s: float) -> None:
        """Raise where waiting longer is of no use.

        Raises:
            psycopg_pool.PoolTimeout: the time is up, or the server refused for a reason that stays.
        """
        self._return_orphans()
        error = self._connector.error if self._connector is not None else None
        if error is not None and (left_s <= 0 or _FINAL.search(str(error))):
            reason = " ".join(str(error).split())
            raise PoolTimeout(f"couldn't get a connection within {limit_s:.2f} s: {reason}") from error
        if left_s <= 0:
            used = f"{len(self._lent)} of at most {pool.max_size} are in use"
            raise PoolTimeout(f"couldn't get a connection within {limit_s:.2f} s: {used}") from timeout
        if error is not None:
            self._replace(pool)  # its next attempt may be minutes away

    def _replace(self, pool: Pool) -> None:
        """Put a new pool in the place of one that cannot connect, now and then; calls keep their connections."""
        if self._make is None:
            return
        with self._lock:
            now = time.monotonic()
            if self._pool is not pool or self._closed or now < self._replaced_s + _REPLACE_EVERY_S:
                return
            self._replaced_s = now
            error = self._connector.error if self._connector is not None else None
            self._connector = _Connector(self._connection_class)
            self._connector.error = error
            self._pool = self._make(self._connector)
        pool.close(timeout=0)


def _checked(conninfo: object) -> str:
    if not isinstance(conninfo, str):
        raise TypeError(
            "Repository takes a conninfo (a str such as 'postgresql://user@host/name'; '' for PGHOST, PGSERVICE and "
            f"the like) or a psycopg_pool.ConnectionPool, not {type(conninfo).__name__}"
        )
    if _SQLALCHEMY_URL.match(conninfo):
        raise InvalidInput("an SQLAlchemy URL: write postgresql:// without the driver's name", column="conninfo")
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:  # whose text may show the password
        raise InvalidInput(
            "libpq does not understand it: write postgresql://user@host/name or 'host=... dbname=...'",
            column="conninfo",
        ) from None
    return conninfo


def _maker(conninfo: str, given: dict[str, Any], connect_s: float) -> Callable[[_Connector], Pool]:
    options = {"open": True, **given, **_sizes(given)}
    if not callable(options.get("kwargs")):
        options["kwargs"] = _connection_options(conninfo, options.get("kwargs") or {}, connect_s)
    return lambda connector: ConnectionPool(
        conninfo, **{**options, "connection_class": cast(type[Connection], connector)}
    )


def _sizes(given: dict[str, Any]) -> dict[str, int]:
    """The sizes of the pool: psycopg_pool's default for the smaller one may be above a larger one that is given."""
    sizes = {name: given[name] for name in ("min_size", "max_size") if given.get(name) is not None}
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < (name == "max_size"):
            least = 1 if name == "max_size" else 0
            raise InvalidInput(f"must be an integer from {least} on, got {size!r}", column=name)
    sizes.setdefault("min_size", min(_DEFAULT_MIN_SIZE, sizes.get("max_size", _DEFAULT_MIN_SIZE)))
    if sizes.get("max_size", sizes["min_size"]) < sizes["min_size"]:
        raise InvalidInput(
            f"must be at least min_size ({sizes['min_size']}), got {sizes['max_size']}", column="max_size"
        )
    return sizes


def _connection_options(conninfo: str, given: dict[str, Any], connect_s: float) -> dict[str, Any]:
    said = {**conninfo_to_dict(conninfo), **given}
    options = {
        "fallback_application_name": "pvsite_sql",  # unless PGAPPNAME or an application_name is given
        # a peer that is gone without a word is noticed after two minutes, not after the system's two hours
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 6,
        **({} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": ceil(connect_s)}),
    }
    missing = {name: value for name, value in options.items() if name not in said}
    return {**missing, **given, "client_encoding": "UTF8"}  # texts of any script, whatever the server's encoding is


def _is_usable(connection: Connection) -> bool:
    """Whether the server has not closed the connection, looked up without a trip. Ends a transaction open on it.

    Raises:
        PvsiteSqlError: the pool lends connections that cannot be used.
    """
    pgconn = connection.pgconn
    try:
        while not connection.closed and has_input(pgconn.socket):
            pgconn.consume_input()  # raises at the end of the stream; a notice is not the end
        if connection.closed:
            return False
        if pgconn.transaction_status in (pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR):
            connection.rollback()
    except psycopg.Error:
        connection.close()
        return False
    if pgconn.transaction_status != pq.TransactionStatus.IDLE:
        raise PvsiteSqlError("the pool lent a connection that is in the middle of a statement")
    if (encoding := connection.info.encoding) != "utf-8":
        raise PvsiteSqlError(f"the pool's connections must be made with client_encoding=UTF8, not {encoding}")
    return True
