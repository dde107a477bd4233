"""`pvsite-sql queries list | show | explain`."""

from __future__ import annotations

import json
import textwrap
from typing import Annotated

import psycopg
import typer

from .common import Dsn, require_dsn

__all__ = ["explain", "list_", "show"]

_WIDTH = 80
_Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a query file, such as generation/read.", show_default=False)
]


def list_(as_json: Annotated[bool, typer.Option("--json", help="Print the complete headers as JSON.")] = False) -> None:  # noqa: FBT002  an option
    """List the query files with their purpose and parameters."""
    from ..engine.queries import load
    from .explain import header

    files = load().values()
    if as_json:
        typer.echo(json.dumps([header(file) for file in files], indent=2))
        return
    for file in files:
        typer.echo(file.name)
        parameters = ", ".join(f"{parameter.name} {parameter.type}" for parameter in file.parameters)
        for text in (file.purpose, parameters or "no parameters"):
            typer.echo(
                textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
            )
        typer.echo()


def show(name: _Name) -> None:
    """Print a query file. psql runs it unchanged."""
    from .explain import find_query

    typer.echo(find_query(name).path.read_text(encoding="utf-8"), nl=False)


def explain(
    name: _Name,
    *,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "-p", metavar="KEY=VALUE", help="Parameter as text, as for psql -v. Repeat it for each parameter."
        ),
    ] = None,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="Execute the query, show times and row counts, and roll it back.")
    ] = False,
    timeout_s: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=0, max=86400, help="Statement timeout; 0 disables it.")
    ] = 60,
    dsn: Dsn = None,
) -> None:
    """Print the plan of a query file.

    First runs the files that must run before it, in the same transaction, and rolls everything back. With --analyze, a
    sequence may still skip a number.
    """
    conninfo = require_dsn(dsn, "queries explain")

    from ..engine.conninfo import with_settings
    from ..errors import InvalidInput
    from .explain import find_query, plan

    values = {}
    for parameter in parameters or []:
        key, equals, value = parameter.partition("=")
        if not equals:
            raise InvalidInput(f"-p takes KEY=VALUE, got {parameter!r}")
        values[key] = value
    file = find_query(name)
    with psycopg.connect(
        with_settings(conninfo, {"statement_timeout": f"{timeout_s}s"}), autocommit=True
    ) as connection:
        for line in plan(connection, file, values, analyze=analyze):
            typer.echo(line)
