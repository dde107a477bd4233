"""Whether a database is fit for this version of the package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic
from typing import get_args
from uuid import UUID

import psycopg

from ..engine import partitions
from ..engine.migrations import applied_migrations, packaged_migrations, pending_migrations
from ..engine.session import QueryConnection
from . import drift
from .drift import Finding

__all__ = ["ORPHANS_TIMEOUT_S", "findings"]

ORPHANS_TIMEOUT_S = 10
_ORPHANS = {"generation": "check/orphans_generation", "forecasts": "check/orphans_forecasts"}
_NUMBERED = re.compile(r"\d{4}\.")  # as the package's migrations are: yoyo's table may list others too
_CANNOT = (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)


def findings(conn: QueryConnection, orphans_timeout_s: float = ORPHANS_TIMEOUT_S) -> list[Finding]:
    """What is amiss with a database, and what is good to know of it; changes nothing and keeps no lock.

    Args:
        conn: on a connection in autocommit mode, outside of a transaction.
        orphans_timeout_s: how long to look for rows of sites that do not exist any more, in seconds.
    """
    found: list[Finding] = []
    with _said(found, "migration", "table _yoyo_migration"):
        if pending := pending_migrations(conn):
            said = "is not applied: run `pvsite-sql migrate`; the schema is compared after that"
            return [Finding("migration", "error", f"migration {migration}", said) for migration in pending]
        for migration in applied_migrations(conn):
            if _NUMBERED.match(migration) and migration > packaged_migrations()[-1]:
                said = "is of a newer version of the package: what differs below may be meant, and not to be mended"
                found.append(Finding("migration", "information", f"migration {migration}", said))
    home = drift.home(conn)
    if home is None:
        return [*found, Finding("schema", "error", "search_path", "leads to none of the package's tables")]
    name, quoted = home
    with _said(found, "schema", f"schema {name}"):
        found += _catalog(conn, name, quoted)
    for parent in _ORPHANS:
        # a table or column that is missing was found above
        missing = suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
        with missing, _said(found, "orphans", f"table {parent}", "information"):
            found += _orphans(conn, name, parent, orphans_timeout_s / len(_ORPHANS))
    return found


def _catalog(conn: QueryConnection, name: str, quoted: str) -> Iterator[Finding]:
    with conn.transaction():
        drift.settle(conn)
        expected = drift.expected(quoted)
        parents = list(get_args(partitions.Parent))
        pruned = conn.records("check/pruned", home=name, parents=parents)
        known = {record["object"] for record in pruned}
        yield from (each for each in drift.differences(expected, drift.facts(conn, name)) if each.object not in known)
        triggers = json.dumps({"facts": [vars(fact) for fact in expected if fact.kind == "trigger"]})
        for record in (
            *pruned,
            *conn.records("check/partitions", home=name, expected=triggers),
            *conn.records("check/partition_bounds", home=name, parents=parents),
            *conn.records("check/months", home=name, parents=parents, months=partitions.months_ahead()),
            *conn.records("check/invalid_indexes", home=name),
            *conn.records("check/never_analyzed", home=name),
        ):
            yield Finding(**record)


def _orphans(conn: QueryConnection, name: str, parent: str, timeout_s: float) -> list[Finding]:
    """Looks partition by partition, the newest first, until the time is up."""
    with conn.transaction():
        drift.settle(conn)
        ranges = conn.records("check/partition_ranges", home=name, parent=parent)
    end = monotonic() + timeout_s
    sites: list[UUID] = []
    looked = 0
    for bounds in ranges:
        if (left_ms := int(1000 * (end - monotonic()))) < 1:
            break
        try:
            with conn.transaction():
                conn.records("check/limits", milliseconds=left_ms)
                sites += conn.values(_ORPHANS[parent], **bounds)
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            break
        looked += 1
    told = {"home": name, "parent": parent, "site_uuids": sites, "looked": looked, "partitions": len(ranges)}
    return [Finding(**record) for record in conn.records("check/orphans", **told)]


@contextmanager
def _said(found: list[Finding], kind: str, place: str, severity: str = "warning") -> Iterator[None]:
    """Makes a finding of what could not be looked at."""
    try:
        yield
    except _CANNOT as error:
        found.append(Finding(kind, severity, place, f"could not be looked at: {error.diag.message_primary}"))
