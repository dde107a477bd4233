"""Measures how the rows of finished months lie on disk, and what REINDEX, CLUSTER and VACUUM would gain.

Each month is measured from the catalog and a sample of its pages. Nothing is recorded: a month that is written again
after it was tidied measures worse, however it was tidied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time
from time import monotonic
from typing import get_args

import psycopg

from ..engine import partitions
from ..engine.partitions import Parent
from ..engine.session import QueryConnection
from . import drift
from .drift import Finding

__all__ = ["Layout", "Month", "findings", "list_months", "measure"]

_SAMPLE = {"generation": "check/layout_generation", "forecasts": "check/layout_forecasts"}
_MIN_BYTES = 1_000_000  # `findings` does not mention smaller months


@dataclass(frozen=True)
class Month:
    """A partition that is over, a record of `check/layout_months`."""

    partition: str
    name: str
    start_utc: datetime | None
    end_utc: datetime
    owner: str
    is_owner: bool
    is_locked: bool
    reason: str


@dataclass(frozen=True)
class Layout:
    """What was measured of a month, a record of `check/layout`."""

    rows: int
    heap_bytes: int
    size: str
    spread: float
    index_name: str | None
    index_growth: float | None
    unvacuumed: float
    cluster: bool
    reindex: bool
    vacuum: bool


def list_months(
    conn: QueryConnection, schema: str, parent: Parent, before_utc: datetime, since_utc: datetime | None = None
) -> list[Month]:
    """Return the partitions between two times, ascending. The session's DateStyle must be ISO."""
    since = "-infinity" if since_utc is None else since_utc
    records = conn.records("check/layout_months", schema=schema, parent=parent, since_utc=since, before_utc=before_utc)
    return [Month(**record) for record in records]


def measure(conn: QueryConnection, parent: Parent, month: Month) -> Layout | None:
    """Measure a month; None if it no longer exists.

    Raises:
        psycopg.errors.LockNotAvailable: another session locks it.
    """
    start = "-infinity" if month.start_utc is None else month.start_utc
    try:
        (sample,) = conn.records(_SAMPLE[parent], partition=month.partition, start_utc=start, end_utc=month.end_utc)
        records = conn.records("check/layout", partition=month.partition, **sample)
    except psycopg.errors.UndefinedTable:
        return None
    return Layout(**records[0]) if records else None


def findings(conn: QueryConnection, schema: str, timeout_s: float) -> Iterator[Finding]:
    """Yield which months would gain, checking each table newest first until its share of the timeout is over."""
    this_month = datetime.combine(partitions.months_ahead()[0], time(), UTC)
    for parent in get_args(Parent):
        with conn.transaction():
            drift.normalize_output(conn)
            months = [month for month in list_months(conn, schema, parent, this_month) if not month.reason]
        due: list[str] = []
        scattered: list[str] = []
        spread = 0.0
        checked = 0
        deadline = monotonic() + timeout_s / len(get_args(Parent))
        for month in reversed(months):
            if (remaining_ms := int(1000 * (deadline - monotonic()))) < 1:
                break
            try:
                with conn.transaction():
                    conn.records("check/set_timeouts", milliseconds=remaining_ms)
                    layout = measure(conn, parent, month)
            except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
                break
            checked += 1
            if layout is None or layout.heap_bytes < _MIN_BYTES:
                continue
            if layout.reindex or layout.vacuum:
                due.append(month.name)
            if layout.cluster:
                scattered.append(month.name)
                spread = max(spread, layout.spread)
        for record in conn.records(
            "check/layout_findings",
            parent=parent,
            due=due,
            scattered=scattered,
            spread=spread,
            checked=checked,
            partitions=len(months),
        ):
            yield Finding(**record)
