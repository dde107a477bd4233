"""`pvsite-sql queries list | show | explain`."""

from __future__ import annotations

import json
import textwrap
from typing import Annotated

import psycopg
import typer
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..engine.queries import load
from ..errors import InvalidInput
from . import explain as explanations
from .dsn import Dsn, checked

__all__ = ["explain", "list_", "show"]

_WIDTH = 80
_Name = Annotated[str, typer.Argument(help="Such as generation/read.", show_default=False)]


def list_(as_json: Annotated[bool, typer.Option("--json", help="All that the headers say, as JSON.")] = False) -> None:  # noqa: FBT002  typer's
    """List the queries: name, purpose, parameters."""
    files = load().values()
    if as_json:
        typer.echo(json.dumps([explanations.described(each) for each in files], indent=2))
        return
    for each in files:
        typer.echo(each.name)
        listed = ", ".join(f"{parameter.name} {parameter.type}" for parameter in each.parameters) or "no parameters"
        for text in (each.purpose, listed):
            typer.echo(textwrap.fill(text, _WIDTH, initial_indent="    ", subsequent_indent="    "))
        typer.echo()


def show(name: _Name) -> None:
    """Print a query file, which psql runs as it stands."""
    typer.echo(explanations.named(name).path.read_text(encoding="utf-8"), nl=False)


def explain(
    name: Annotated[str, typer.Argument(help="Such as generation/read.", show_default=False)],
    *,
    parameters: Annotated[
        list[str] | None,
        typer.Option("-p", metavar="KEY=VALUE", help="A parameter as text, as psql's -v takes it. Once for each."),
    ] = None,
    analyze: Annotated[bool, typer.Option("--analyze", help="Run it, for times and rows, and roll it back.")] = False,
    timeout_s: Annotated[
        int, typer.Option("--timeout", metavar="SECONDS", min=0, max=86400, help="For each statement; 0: none.")
    ] = 60,
    dsn: Dsn = None,
) -> None:
    """Print the plan that a server makes for a query file, after the files that have to run before it.

    All happens in a transaction that is rolled back; with --analyze a sequence may skip a number all the same.
    """
    conninfo = checked(dsn)
    options = f"{conninfo_to_dict(conninfo).get('options', '')} -c statement_timeout={timeout_s}s"
    _print_plan(make_conninfo(conninfo, options=options.strip()), name, parameters or [], analyze=analyze)


def _print_plan(conninfo: str, name: str, given: list[str], *, analyze: bool) -> None:
    """Print the plan that a server makes for a query."""
    values = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals:
            raise InvalidInput(f"-p takes key=value, not {each!r}")
        values[key] = value
    asked = explanations.named(name)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for line in explanations.plan(connection, asked, values, analyze=analyze):
            typer.echo(line)
