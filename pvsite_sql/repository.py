"""The repository: a connection pool, the aggregates on it, and transactions over several calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import ceil
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import ConnectionPool

from .api_requests import ApiRequests
from .clients import Clients
from .engine import migrations, queries
from .engine.inputs import as_optional_text
from .engine.session import QueryConnection, Session, Settings
from .engine.stats import Recorder, RepositoryStats
from .errors import InvalidInput, PvsiteSqlError
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

    A call that fails leaves the rest usable. It belongs to the thread that opened it.
    """


class Repository(_Aggregates):
    """The aggregates on a connection pool; each call is a transaction of its own, committed when it returns.

    One repository serves all threads of a program.
    """

    def __init__(
        self,
        conninfo: str | ConnectionPool[Any],
        *,
        actor: str | None = None,
        limits: Limits | None = None,
        slow_query_ms: float | None = 1000,
        **pool_options: Any,
    ) -> None:
        """Open a pool, or use one.

        Args:
            conninfo: what libpq takes (`postgresql://...` or `host=... dbname=...`; empty: PGHOST, PGSERVICE and the
                like), or an existing pool, which stays open when the repository is closed.
            actor: who writes, for the history of sites: a program or a person.
            limits: how long calls may take and wait.
            slow_query_ms: queries that take so long are logged, by name, to the logger `pvsite_sql`; None: none are.
            pool_options: the options of `psycopg_pool.ConnectionPool`, such as `max_size`, `timeout` or `kwargs`.

        Raises:
            QueryFileError: the package has no query files: it is not installed whole.
            InvalidInput: limits, actor or slow_query_ms are none.
            TypeError: an existing pool is given, and options for a new one.
        """
        queries.find()  # an installation that lacks them is found now, not at the first call
        limits = Limits() if limits is None else limits
        if not isinstance(limits, Limits):
            raise InvalidInput(f"Limits are wanted, not {limits!r}", column="limits")
        self._settings = Settings(limits, as_optional_text(actor, "actor"), Recorder(slow_query_ms))
        self._owned: ConnectionPool[Any] | None = None
        if isinstance(conninfo, ConnectionPool):
            if pool_options:
                raise TypeError(f"an existing pool takes no options: {', '.join(pool_options)}")
            self._pool = conninfo
        else:
            options = {"check": ConnectionPool.check_connection, "open": True, **pool_options}
            if not callable(options.get("kwargs")):
                options["kwargs"] = _connection_options(conninfo, options.get("kwargs") or {}, limits.connect_s)
            self._pool = self._owned = ConnectionPool(conninfo, **options)
        self._session = Session(self._pool.connection, self._settings, in_transaction=False)
        super().__init__(self._session)

    @contextmanager
    def transaction(self, *, actor: str | None = None, limits: CallLimits | None = None) -> Iterator[Transaction]:
        """Several calls, all or nothing: committed at the end of the block, rolled back when it raises.

        It is the caller's to begin anew after a deadlock or a serialization failure.

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
        with self._pool.connection() as connection, QueryConnection(connection, settings, "transaction").transaction():
            open_ = True

            @contextmanager
            def borrow(timeout: float | None = None) -> Iterator[psycopg.Connection[Any]]:  # noqa: ARG001  as a pool's
                if not open_:
                    raise PvsiteSqlError("the transaction has ended")
                yield connection

            try:
                yield Transaction(Session(borrow, settings, in_transaction=True))
            finally:
                open_ = False

    def check(self) -> None:
        """See that the database has every migration that this version of the package needs.

        Raises:
            SchemaOutOfDate: some are missing; says which.
        """
        self._session.run("read", migrations.require_migrations)

    def stats(self) -> RepositoryStats:
        """The pool's figures, and how often and how long each query file has run, since the repository was made."""
        return self._settings.recorder.snapshot(self._pool.get_stats())

    def close(self) -> None:
        """Close the pool, unless it was there before."""
        if self._owned is not None:
            self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _connection_options(conninfo: str, given: dict[str, Any], connect_s: float) -> dict[str, Any]:
    said = {**conninfo_to_dict(conninfo), **given}
    options = {
        # a peer that is gone without a word is noticed after two minutes, not after the system's two hours
        "keepalives_idle": 60,
        "keepalives_interval": 10,
        "keepalives_count": 6,
        **({} if "PGCONNECT_TIMEOUT" in os.environ else {"connect_timeout": ceil(connect_s)}),
    }
    missing = {name: value for name, value in options.items() if name not in said}
    return {**missing, **given, "client_encoding": "UTF8"}  # texts of any script, whatever the server's encoding is
