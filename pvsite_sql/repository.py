"""The repository: a connection pool, the aggregates on it, and transactions over several calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg_pool import ConnectionPool

from . import check, queries
from .api_requests import ApiRequests
from .clients import Clients
from .errors import PvsiteSqlError
from .forecasts import Forecasts
from .generation import GenerationReadings
from .inverters import Inverters
from .ml_models import MlModels
from .session import Session, transaction
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

    def __init__(self, conninfo: str | ConnectionPool[Any], **pool_options: Any) -> None:
        """Open a pool, or use one.

        Args:
            conninfo: what libpq takes (`postgresql://...` or `host=... dbname=...`; empty: PGHOST, PGSERVICE and the
                like), or an existing pool, which stays open when the repository is closed.
            pool_options: the options of `psycopg_pool.ConnectionPool`, such as `max_size`, `timeout` or `kwargs`.

        Raises:
            QueryFileError: a query file of the package is damaged.
            TypeError: an existing pool is given, and options for a new one.
        """
        queries.load()
        self._owned: ConnectionPool[Any] | None = None
        if isinstance(conninfo, ConnectionPool):
            if pool_options:
                raise TypeError(f"an existing pool takes no options: {', '.join(pool_options)}")
            self._pool = conninfo
        else:
            options = {"check": ConnectionPool.check_connection, "open": True, **pool_options}
            if not callable(options.get("kwargs")):  # texts of any script, whatever the server's encoding is
                options["kwargs"] = {**(options.get("kwargs") or {}), "client_encoding": "UTF8"}
            self._pool = self._owned = ConnectionPool(conninfo, **options)
        self._session = Session(self._pool.connection, in_transaction=False)
        super().__init__(self._session)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Several calls, all or nothing: committed at the end of the block, rolled back when it raises.

        Raises:
            OutcomeUnknown: the connection died when COMMIT had been sent.
        """
        with self._pool.connection() as connection, transaction(connection):
            open_ = True

            @contextmanager
            def lend(timeout: float | None = None) -> Iterator[psycopg.Connection[Any]]:  # noqa: ARG001  as a pool's
                if not open_:
                    raise PvsiteSqlError("the transaction has ended")
                yield connection

            try:
                yield Transaction(Session(lend, in_transaction=True))
            finally:
                open_ = False

    def check(self) -> None:
        """See that the database has every migration that this version of the package needs.

        Raises:
            SchemaOutOfDate: some are missing; says which.
        """
        with self._session.call() as call:
            check.require_migrations(call)

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
