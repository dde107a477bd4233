"""Statistics of a repository: counts and times per query file, and log messages for slow queries and retries."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

from pydantic import BaseModel, ConfigDict

from ..errors import InvalidInput

__all__ = ["QueryStats", "Recorder", "RepositoryStats"]

_log = logging.getLogger("pvsite_sql")


class QueryStats(BaseModel):
    """Statistics of a query file.

    Attributes:
        count: the number of executions.
        errors: the number of executions that failed.
        rows: the number of rows returned or written.
        total_ms: the total time in milliseconds, from sending the query to its last row. The time that the caller
            spends between the rows of a stream does not count.
        max_ms: the time of the slowest execution, in milliseconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    errors: int
    rows: int
    total_ms: float
    max_ms: float


class RepositoryStats(BaseModel):
    """Statistics of a repository since it was created.

    Attributes:
        pool: the statistics of the connection pool, as returned by `psycopg_pool.ConnectionPool.get_stats`.
        queries: the statistics of each query file, by its name.
        retries: the number of times that a call was retried after a deadlock or a serialization failure, or waited on
            for another transaction that creates partitions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pool: Mapping[str, int]
    queries: Mapping[str, QueryStats]
    retries: int


@dataclass
class _Sum:
    count: int = 0
    errors: int = 0
    rows: int = 0
    total_ms: float = 0.0
    max_ms: float = 0.0


class Recorder:
    """Collect statistics of all threads and log to `pvsite_sql`: names, milliseconds and row counts, never values."""

    def __init__(self, slow_query_ms: float | None = None) -> None:
        """Log queries that take `slow_query_ms` milliseconds or longer; None disables the log.

        Raises:
            InvalidInput: `slow_query_ms` is not a number of at least 0.
        """
        is_number = isinstance(slow_query_ms, (int, float)) and not isinstance(slow_query_ms, bool)
        if slow_query_ms is not None and not (is_number and slow_query_ms >= 0):
            raise InvalidInput(
                f"must be a number of milliseconds, at least 0, or None, got {slow_query_ms!r}", column="slow_query_ms"
            )
        self._slow_query_ms = slow_query_ms
        self._lock = Lock()
        self._sums: dict[str, _Sum] = {}
        self._retries = 0

    def ran(self, name: str, *, ms: float, rows: int, failed: bool) -> None:
        """Record an execution of a query file."""
        with self._lock:
            sums = self._sums.setdefault(name, _Sum())
            sums.count += 1
            sums.errors += failed
            sums.rows += rows
            sums.total_ms += ms
            sums.max_ms = max(sums.max_ms, ms)
        if self._slow_query_ms is not None and ms >= self._slow_query_ms:
            _log.warning("slow query %s: %.0f ms, %d rows%s", name, ms, rows, ", failed" if failed else "")

    def retried(self, name: str, error: Exception, *, attempt: int, ms: float, attempts: int | None = None) -> None:
        """Record that a call or a step of it is about to be retried. `attempts` is None if only the time is limited."""
        with self._lock:
            self._retries += 1
        of = "" if attempts is None else f" of {attempts}"
        _log.warning("%s in %s after %.0f ms: retrying, attempt %d%s", type(error).__name__, name, ms, attempt + 1, of)

    def snapshot(self, pool: Mapping[str, int]) -> RepositoryStats:
        """Return the current statistics."""
        with self._lock:
            queries = {name: QueryStats(**vars(sums)) for name, sums in sorted(self._sums.items())}
            return RepositoryStats(pool=dict(pool), queries=queries, retries=self._retries)
