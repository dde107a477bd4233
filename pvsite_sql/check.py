"""Whether a database is fit for this version of the package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from time import monotonic
from typing import get_args
from uuid import UUID

import psycopg

from . import drift, partitions
from .drift import Finding
from .errors import SchemaOutOfDate
from .queries import folder
from .session import Call

__all__ = [
    "MONTHS_AHEAD",
    "ORPHANS_TIMEOUT_S",
    "findings",
    "months_ahead",
    "packaged_migrations",
    "pending_migrations",
    "require_migrations",
]

MONTHS_AHEAD = 3
ORPHANS_TIMEOUT_S = 10
_ORPHANS = {"generation": "check/orphans_generation", "forecasts": "check/orphans_forecasts"}
_NUMBERED = re.compile(r"\d{4}\.")  # as the package's migrations are: yoyo's table may list others too
_CANNOT = (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)


def packaged_migrations() -> list[str]:
    """The ids of the migrations that the package brings, in their order."""
    names = (path.name for path in folder("migrations").glob("*.sql"))
    return sorted(name.removesuffix(".sql") for name in names if not name.endswith(".rollback.sql"))


def pending_migrations(call: Call) -> list[str]:
    """The ids of the migrations that the database lacks, in their order."""
    applied = _applied_migrations(call)
    return [migration for migration in packaged_migrations() if migration not in applied]


def _applied_migrations(call: Call) -> list[str]:
    try:
        with call.transaction():
            return call.values("check/applied_migrations")
    except psycopg.errors.UndefinedTable:
        return []


def require_migrations(call: Call) -> None:
    """See that the database has every migration of the package.

    Raises:
        SchemaOutOfDate: some are missing; says which.
    """
    if pending := pending_migrations(call):
        raise SchemaOutOfDate(
            f"the database lacks {', '.join(pending)}: run `pvsite-sql migrate` or `yoyo apply`", pending=pending
        )


def months_ahead(today: date | None = None) -> list[date]:
    """The first days of this month (UTC) and of those that `migrate` makes ahead of it."""
    today = datetime.now(UTC).date() if today is None else today
    month = today.year * 12 + today.month - 1
    return [date(n // 12, n % 12 + 1, 1) for n in range(month, month + MONTHS_AHEAD + 1)]


def findings(call: Call, orphans_timeout_s: float = ORPHANS_TIMEOUT_S) -> list[Finding]:
    """What is amiss with a database, and what is good to know of it; changes nothing and keeps no lock.

    Args:
        call: on a connection in autocommit mode, outside of a transaction.
        orphans_timeout_s: how long to look for rows of sites that do not exist any more, in seconds.
    """
    found: list[Finding] = []
    with _said(found, "migration", "table _yoyo_migration"):
        if pending := pending_migrations(call):
            said = "is not applied: run `pvsite-sql migrate`; the schema is compared after that"
            return [Finding("migration", "error", f"migration {migration}", said) for migration in pending]
        for migration in _applied_migrations(call):
            if _NUMBERED.match(migration) and migration > packaged_migrations()[-1]:
                said = "is of a newer version of the package: what differs below may be meant, and not to be mended"
                found.append(Finding("migration", "information", f"migration {migration}", said))
    home = drift.home(call)
    if home is None:
        return [*found, Finding("schema", "error", "search_path", "leads to none of the package's tables")]
    name, quoted = home
    with _said(found, "schema", f"schema {name}"):
        found += _catalog(call, name, quoted)
    for parent in _ORPHANS:
        # a table or column that is missing was found above
        missing = suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
        with missing, _said(found, "orphans", f"table {parent}", "information"):
            found += _orphans(call, name, parent, orphans_timeout_s / len(_ORPHANS))
    return found


def _catalog(call: Call, name: str, quoted: str) -> Iterator[Finding]:
    with call.transaction():
        drift.settle(call)
        expected = drift.expected(quoted)
        parents = list(get_args(partitions.Parent))
        pruned = call.records("check/pruned", home=name, parents=parents)
        known = {record["object"] for record in pruned}
        yield from (each for each in drift.differences(expected, drift.facts(call, name)) if each.object not in known)
        triggers = json.dumps({"facts": [vars(fact) for fact in expected if fact.kind == "trigger"]})
        for record in (
            *pruned,
            *call.records("check/partitions", home=name, expected=triggers),
            *call.records("check/partition_bounds", home=name, parents=parents),
            *call.records("check/months", home=name, parents=parents, months=months_ahead()),
            *call.records("check/invalid_indexes", home=name),
            *call.records("check/never_analyzed", home=name),
        ):
            yield Finding(**record)


def _orphans(call: Call, name: str, parent: str, timeout_s: float) -> list[Finding]:
    """Looks partition by partition, the newest first, until the time is up."""
    with call.transaction():
        drift.settle(call)
        ranges = call.records("check/partition_ranges", home=name, parent=parent)
    end = monotonic() + timeout_s
    sites: list[UUID] = []
    looked = 0
    for bounds in ranges:
        if (left_ms := int(1000 * (end - monotonic()))) < 1:
            break
        try:
            with call.transaction():
                call.records("check/limits", milliseconds=left_ms)
                sites += call.values(_ORPHANS[parent], **bounds)
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            break
        looked += 1
    told = {"home": name, "parent": parent, "site_uuids": sites, "looked": looked, "partitions": len(ranges)}
    return [Finding(**record) for record in call.records("check/orphans", **told)]


@contextmanager
def _said(found: list[Finding], kind: str, place: str, severity: str = "warning") -> Iterator[None]:
    """Makes a finding of what could not be looked at."""
    try:
        yield
    except _CANNOT as error:
        found.append(Finding(kind, severity, place, f"could not be looked at: {error.diag.message_primary}"))
