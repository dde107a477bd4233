"""The repository: a connection pool, the aggregates on it, and transactions over several calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg_pool import ConnectionPool

from .api_requests import ApiRequests
from .clients import Clients
from .engine import migrations, queries
from .engine.inputs import as_optional_text
from .engine.pools import ConnectionSource
from .engine.query_connection import QueryConnection, Settings
from .engine.session import Session
from .engine.stats import Recorder, RepositoryStats
from .errors import InvalidInput
from .forecasts import Forecasts
from .generation import GenerationReadings
from .inverters import Inverters
from .limits import CallLimits, Limits
from .ml_models import MlModels
from .site_groups import SiteGroups
from .sites import Sites
from .status import Statuses
from .users import Users

__all__ = ["Repository", "Transaction"]


class _Aggregates:
    """What `Repository` and `Transaction` have in common: `repo.<aggregate>.<method>()`."""

    def __init__(self, session: Session) -> None:
        self.users = Users(session)
        self.site_groups = SiteGroups(session)
        self.sites = Sites(session)
        self.clients = Clients(session)
        self.inverters = Inverters(session)
        self.generation = GenerationReadings(session)
        self.forecasts = Forecasts(session)
        self.ml_models = MlModels(session)
        self.status = Statuses(session)
        self.api_requests = ApiRequests(session)


class Transaction(_Aggregates):
    """The aggregates on one connection, in one transaction; each call is a savepoint.

    A call that fails leaves the rest usable. Threads may hand it over between calls, but not use it at the same time.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._session = session

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The psycopg connection of the transaction, for SQL of your own.

        Its statements and the calls are one transaction, with the same time limits and actor. Do not commit, roll back
        or close it, and do not use it after the block. Run a statement that may fail in a savepoint:
        `with tx.connection.transaction():`.

        Raises:
            PvsiteSqlError: the block has ended, or a stream or a call of another thread is using the connection.
        """
        return self._session.lend_connection()


class Repository(_Aggregates):
    """The aggregates on a connection pool; each call is a transaction of its own, committed when it returns.

    One repository serves all threads of a program, and its forked children: each process makes a pool of its own.
    """

    def __init__(
        self,
        conninfo: str | ConnectionPool[Any],
        *,
        actor: str | None = None,
        limits: Limits | None = None,
        slow_query_ms: float | None = 1000,
        jit: bool = False,
        **pool_options: Any,
    ) -> None:
        """Open a pool, or use one.

        Args:
            conninfo: what libpq takes (`postgresql://...` or `host=... dbname=...`; empty: PGHOST, PGSERVICE and the
                like), or an existing pool, which stays open when the repository is closed.
            actor: who writes, for the history of sites: a program or a person.
            limits: how long calls may take and wait.
            slow_query_ms: queries that take so long are logged, by name, to the logger `pvsite_sql`; None: none are.
            jit: whether PostgreSQL may compile the queries (JIT), if its own setting allows it. By default it may not:
                compiling one takes longer than running it.
            pool_options: the options of `psycopg_pool.ConnectionPool`, such as `max_size`, `timeout` or `kwargs`.

        Raises:
            QueryFileError: the package has no query files: it is not installed whole.
            InvalidInput: a limit, the actor, slow_query_ms, jit, the conninfo or a size of the pool is invalid.
            TypeError: `conninfo` is neither a str nor a `psycopg_pool.ConnectionPool`, or it is a pool and there are
                options for another one.
        """
        queries.find()  # an installation that lacks them is found now, not at the first call
        limits = Limits() if limits is None else limits
        if not isinstance(limits, Limits):
            raise InvalidInput(f"must be a Limits object, got {limits!r}", column="limits")
        if not isinstance(jit, bool):
            raise InvalidInput(f"must be True or False, got {jit!r}", column="jit")
        self._settings = Settings(limits, as_optional_text(actor, "actor"), Recorder(slow_query_ms), jit)
        self._source = ConnectionSource(conninfo, pool_options, limits.connect_s)
        self._session = Session(self._source, self._settings)
        super().__init__(self._session)

    @contextmanager
    def transaction(self, *, actor: str | None = None, limits: CallLimits | None = None) -> Iterator[Transaction]:
        """Several calls, all or nothing: committed at the end of the block, rolled back when it raises.

        The library never retries the block: after a deadlock or a serialization failure, run it again yourself. One
        thread at a time may use it.

        Args:
            actor: who writes, for the history of sites; None: as the repository has it.
            limits: how long its calls may take and wait; None: as the repository has it.

        Raises:
            OutcomeUnknown: the connection died when COMMIT had been sent.
        """
        settings = self._settings
        if actor is not None:
            settings = replace(settings, actor=as_optional_text(actor, "actor"))
        if limits is not None:
            settings = replace(settings, limits=replace(settings.limits, transaction=limits))
        with (
            self._source.connection() as borrowed,
            self._source.noted_transaction(borrowed),
            QueryConnection(borrowed, settings, "transaction").transaction(),
        ):
            try:
                yield Transaction(Session(self._source, settings, borrowed))
            finally:
                borrowed.end_calls()

    @contextmanager
    def connection(
        self, *, actor: str | None = None, limits: CallLimits | None = None
    ) -> Iterator[psycopg.Connection[Any]]:
        """A psycopg connection in a transaction, for SQL of your own.

        The block is one transaction: committed at its end, rolled back when it raises. Do not commit, roll back or
        close the connection, and do not use it after the block. `Transaction.connection` is the same for calls and SQL
        together.

        Args:
            actor: who writes, for the history of sites; None: as the repository has it.
            limits: how long its statements may take and wait; None: those of transactions of the repository.

        Raises:
            PvsiteSqlError: a statement failed and its exception was not raised, the transaction was ended inside the
                block, or a COPY, a stream or a pipeline is still open. Nothing is stored then, except by a COMMIT of
                your own.
            OutcomeUnknown: the connection died when COMMIT had been sent.
        """
        with self.transaction(actor=actor, limits=limits) as tx:
            yield tx.connection

    def check(self) -> None:
        """See that the database has every migration that this version of the package needs.

        Raises:
            SchemaOutOfDate: some are missing; says which.
        """
        self._session.run("read", migrations.require_migrations)

    def stats(self) -> RepositoryStats:
        """The pool's figures, and how often and how long each query file has run, since the repository was made."""
        return self._settings.recorder.snapshot(self._source.stats())

    def close(self) -> None:
        """Close the pool, unless it was given."""
        self._source.close()

    def __repr__(self) -> str:
        return f"<Repository {self._source!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
