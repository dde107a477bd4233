"""Checks whether a database is fit for this version of the package."""

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
from . import drift, layout
from .drift import Finding

__all__ = ["ORPHANS_TIMEOUT_S", "findings"]

ORPHANS_TIMEOUT_S = 10
_ORPHANS = {"generation": "check/orphans_generation", "forecasts": "check/orphans_forecasts"}
_PACKAGE_MIGRATION = re.compile(r"\d{4}\.")  # yoyo's table may list migrations of other programs too
_NOT_CHECKABLE = (psycopg.errors.InsufficientPrivilege, psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled)


def findings(conn: QueryConnection, orphans_timeout_s: float = ORPHANS_TIMEOUT_S) -> list[Finding]:
    """Return the differences, problems and information about a database. Changes nothing and keeps no locks.

    Args:
        conn: in autocommit mode, outside a transaction.
        orphans_timeout_s: how long to search for rows of nonexistent sites, and as long again for months to tidy, in
            seconds; 0: do not search.
    """
    result: list[Finding] = []
    with _report_unchecked(result, "migration", "table _yoyo_migration"):
        if pending := pending_migrations(conn):
            message = "is not applied: run `pvsite-sql migrate`, then check again"
            return [Finding("migration", "error", f"migration {migration}", message) for migration in pending]
        for migration in applied_migrations(conn):
            if _PACKAGE_MIGRATION.match(migration) and migration > packaged_migrations()[-1]:
                message = (
                    "belongs to a newer version of the package: differences below may be intended, do not fix them"
                )
                result.append(Finding("migration", "information", f"migration {migration}", message))
    found = drift.find_schema(conn)
    if found is None:
        return [*result, Finding("schema", "error", "search_path", "contains none of the package's tables")]
    schema, quoted_schema = found
    with _report_unchecked(result, "schema", f"schema {schema}"):
        result += _schema_findings(conn, schema, quoted_schema)
    for parent in _ORPHANS:
        # a missing table or column was reported above
        missing = suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
        with missing, _report_unchecked(result, "orphans", f"table {parent}", "information"):
            result += _orphan_findings(conn, schema, parent, orphans_timeout_s / len(_ORPHANS))
    missing = suppress(psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)
    with missing, _report_unchecked(result, "layout", "the finished months", "information"):
        result += layout.findings(conn, schema, orphans_timeout_s)
    return result


def _schema_findings(conn: QueryConnection, schema: str, quoted_schema: str) -> Iterator[Finding]:
    with conn.transaction():
        drift.normalize_output(conn)
        expected = drift.expected_facts(quoted_schema)
        parents = list(get_args(partitions.Parent))
        pruned = conn.records("check/pruned", schema=schema, parents=parents)
        pruned_tables = {record["object"] for record in pruned}
        for finding in drift.differences(expected, drift.facts(conn, schema)):
            if finding.object not in pruned_tables:
                yield finding
        triggers = json.dumps({"facts": [vars(fact) for fact in expected if fact.kind == "trigger"]})
        for record in (
            *pruned,
            *conn.records("check/partitions", schema=schema, expected=triggers),
            *conn.records("check/partition_bounds", schema=schema, parents=parents),
            *conn.records("check/months", schema=schema, parents=parents, months=partitions.months_ahead()),
            *conn.records("check/invalid_indexes", schema=schema),
            *conn.records("check/never_analyzed", schema=schema),
            *conn.records("check/jit"),
        ):
            yield Finding(**record)


def _orphan_findings(conn: QueryConnection, schema: str, parent: str, timeout_s: float) -> list[Finding]:
    """Check partition by partition, newest first, until the timeout."""
    with conn.transaction():
        drift.normalize_output(conn)
        ranges = conn.records("check/partition_ranges", schema=schema, parent=parent)
    deadline = monotonic() + timeout_s
    sites: list[UUID] = []
    checked = 0
    for bounds in ranges:
        if (remaining_ms := int(1000 * (deadline - monotonic()))) < 1:
            break
        try:
            with conn.transaction():
                conn.records("check/set_timeouts", milliseconds=remaining_ms)
                sites += conn.values(_ORPHANS[parent], **bounds)
        except (psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            break
        checked += 1
    records = conn.records(
        "check/orphans", schema=schema, parent=parent, site_uuids=sites, checked=checked, partitions=len(ranges)
    )
    return [Finding(**record) for record in records]


@contextmanager
def _report_unchecked(result: list[Finding], kind: str, object_name: str, severity: str = "warning") -> Iterator[None]:
    """Add a finding if the object could not be checked."""
    try:
        yield
    except _NOT_CHECKABLE as error:
        message = f"could not be checked: {error.diag.message_primary}"
        result.append(Finding(kind, severity, object_name, message))
