"""`pvsite-sql check`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .common import Dsn, error_message, reject_nan, require_dsn

if TYPE_CHECKING:
    from ..check import Finding

__all__ = ["check"]

_CONNECT_TIMEOUT_S = 10


def check(
    *,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON list of objects with kind, severity, object, message and sql."),
    ] = False,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            max=86400,
            callback=reject_nan,
            help="Time limit of the search for rows of nonexistent sites, and for months to tidy; 0 skips both.",
        ),
    ] = 10,
    dsn: Dsn = None,
) -> None:
    """Compare a database with the schema this version expects.

    For each difference it prints one sentence and, indented below it, the SQL that fixes it. Read the SQL, then run it
    in psql from top to bottom.

    Checks migrations, tables, columns, constraints, indexes, triggers, functions, views, comments, partitions, missing
    months, planner statistics, and rows of nonexistent sites. Tells, as information, which finished months would gain
    from `pvsite-sql tidy`, and where JIT is on. Changes nothing and does not block other sessions.

    Exit codes: 0 no errors or warnings; 1 errors or warnings found, or no connection; 2 wrong usage. Nagios reads them
    as OK, WARNING and CRITICAL.
    """
    findings = _findings(require_dsn(dsn), timeout_s)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        _print_findings(findings)
    if any(finding.severity != "information" for finding in findings):
        raise typer.Exit(1)


def _findings(conninfo: str, timeout_s: float) -> Sequence[Finding]:
    from .. import check as checks
    from ..engine.session import QueryConnection

    if "PGCONNECT_TIMEOUT" not in os.environ:
        parameters: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT_S, **conninfo_to_dict(conninfo)}
        conninfo = make_conninfo(**parameters)
    try:
        # a prepared statement would get a generic plan, which locks all partitions
        connection = psycopg.connect(conninfo, autocommit=True, client_encoding="UTF8", prepare_threshold=None)
    except psycopg.OperationalError as error:
        return [checks.Finding("connection", "error", "server", f"cannot be reached: {error_message(error)}")]
    with connection:
        connection.read_only = True
        return checks.findings(QueryConnection(connection), timeout_s)


def _print_findings(findings: Sequence[Finding]) -> None:
    from ..engine.migrations import packaged_migrations
    from ..engine.partitions import months_ahead

    for finding in findings:
        typer.echo(f"{finding.severity}: {finding.object} {finding.message}")
        # as a comment, so that nobody runs the SQL of mere information by accident
        indent = "    -- " if finding.severity == "information" else "    "
        for line in finding.sql.splitlines():
            typer.echo(f"{indent}{line}".rstrip())
    counts = Counter(finding.severity for finding in findings)
    if counts["error"] or counts["warning"]:
        typer.echo(f"Found {counts['error']} error(s) and {counts['warning']} warning(s).")
    else:
        last_month = months_ahead()[-1]
        typer.echo(
            f"No errors or warnings: the schema matches {packaged_migrations()[-1]}, "
            f"and partitions exist up to {last_month:%B %Y}."
        )
