"""`pvsite-sql check`."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .. import check as checks
from ..check import Finding
from ..engine.migrations import packaged_migrations
from ..engine.partitions import months_ahead
from ..engine.session import QueryConnection
from .dsn import Dsn, a_number, checked, sentence

__all__ = ["check"]

_CONNECT_TIMEOUT_S = 10


def check(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a list of objects: kind, severity, object, message, sql.")
    ] = False,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            metavar="SECONDS",
            min=0,
            max=86400,
            callback=a_number,
            help="For the look for rows without a site; 0: no look.",
        ),
    ] = checks.ORPHANS_TIMEOUT_S,
    dsn: Dsn = None,
) -> None:
    """Hold a database against what this version of the package expects, and say how to mend what is amiss.

    Looks at migrations, tables, columns, constraints, indexes, triggers, functions, views and comments, at each
    partition, at months without one, at statistics, and for readings and forecasts whose site is gone. Below each
    finding stands the SQL that mends it, for psql, from top to bottom. Changes nothing, and keeps nobody waiting.

    Exit codes: 0: all is well, or there is nothing but information. 1: an error or a warning was found (no connection
    is one). 2: wrong use, nothing was looked at. To Nagios and the like these are OK, WARNING and CRITICAL.
    """
    conninfo = checked(dsn)
    if "PGCONNECT_TIMEOUT" not in os.environ:
        patient: dict[str, Any] = {"connect_timeout": _CONNECT_TIMEOUT_S, **conninfo_to_dict(conninfo)}
        conninfo = make_conninfo(**patient)
    try:
        connection = psycopg.connect(conninfo, autocommit=True, client_encoding="UTF8")
    except psycopg.OperationalError as error:
        found = [Finding("connection", "error", "server", f"cannot be reached: {sentence(error)}")]
    else:
        with connection:
            connection.read_only = True
            found = checks.findings(QueryConnection(connection), timeout_s)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2, ensure_ascii=False))
    else:
        _print_findings(found)
    if any(finding.severity != "information" for finding in found):
        raise typer.Exit(1)


def _print_findings(found: list[Finding]) -> None:
    for finding in found:
        typer.echo(f"{finding.severity}: {finding.object} {finding.message}")
        # what nothing but information asks for is a choice, and not to be pasted by accident
        mark = "    -- " if finding.severity == "information" else "    "
        for line in finding.sql.splitlines():
            typer.echo(f"{mark}{line}".rstrip())
    counts = Counter(finding.severity for finding in found)
    if counts["error"] or counts["warning"]:
        typer.echo(f"Amiss: {counts['error']} error(s), {counts['warning']} warning(s).")
    else:
        last = months_ahead()[-1]
        typer.echo(
            f"All is well: the schema is that of {packaged_migrations()[-1]}, "
            f"and there are partitions up to {last:%B %Y}."
        )
