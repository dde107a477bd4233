"""What a repository has run: counts and times of each query file, and log lines of slow ones and of retries."""

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
    """What a repository has run of one query file.

    Attributes:
        count: how many times.
        errors: how many of them failed.
        rows: how many rows came back, or were written.
        total_ms: the time that they took, from sending to the last row; what the caller does between the rows of a
            stream does not count.
        max_ms: that of the slowest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int
    errors: int
    rows: int
    total_ms: float
    max_ms: float


class RepositoryStats(BaseModel):
    """What a repository has done since it was made.

    Attributes:
        pool: the pool's figures, as `psycopg_pool.ConnectionPool.get_stats` names them.
        queries: by the name of the query file.
        retries: how many times a call was begun anew after a deadlock or a serialization failure.
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
    """Gathers the figures of all threads; logs to `pvsite_sql`, never a value, only names, milliseconds and rows."""

    def __init__(self, slow_query_ms: float | None = None) -> None:
        """Take from how many milliseconds on a query is logged; None: none is.

        Raises:
            InvalidInput: that is no number from 0 on.
        """
        is_number = isinstance(slow_query_ms, (int, float)) and not isinstance(slow_query_ms, bool)
        if slow_query_ms is not None and not (is_number and slow_query_ms >= 0):
            raise InvalidInput(f"milliseconds are wanted, from 0 on, not {slow_query_ms!r}", column="slow_query_ms")
        self._slow_query_ms = slow_query_ms
        self._lock = Lock()
        self._sums: dict[str, _Sum] = {}
        self._retries = 0

    def ran(self, name: str, *, ms: float, rows: int, failed: bool) -> None:
        """A query file has run."""
        with self._lock:
            found = self._sums.setdefault(name, _Sum())
            found.count += 1
            found.errors += failed
            found.rows += rows
            found.total_ms += ms
            found.max_ms = max(found.max_ms, ms)
        if self._slow_query_ms is not None and ms >= self._slow_query_ms:
            _log.warning("slow query %s: %.0f ms, %d rows%s", name, ms, rows, ", failed" if failed else "")

    def retried(self, name: str, error: Exception, *, attempt: int, attempts: int, ms: float) -> None:
        """A call is about to be begun anew."""
        with self._lock:
            self._retries += 1
        _log.warning(
            "%s in %s after %.0f ms: attempt %d of %d follows", type(error).__name__, name, ms, attempt + 1, attempts
        )

    def snapshot(self, pool: Mapping[str, int]) -> RepositoryStats:
        """The figures as they are now."""
        with self._lock:
            queries = {name: QueryStats(**vars(found)) for name, found in sorted(self._sums.items())}
            return RepositoryStats(pool=dict(pool), queries=queries, retries=self._retries)
