"""`pvsite-sql migrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import migrate as migrations
from .dsn import Dsn, a_number, checked

__all__ = ["migrate"]


def migrate(
    *,
    lock_timeout_s: Annotated[
        float,
        typer.Option(
            "--lock-timeout",
            metavar="SECONDS",
            min=0.01,
            max=86400,
            callback=a_number,
            help="To wait for a lock, and to keep others waiting.",
        ),
    ] = 2.0,
    attempts: Annotated[
        int, typer.Option(metavar="N", min=1, help="For each migration, with pauses that grow from 0.5 s to 10 s.")
    ] = 10,
    wait_s: Annotated[
        float,
        typer.Option(
            "--wait", metavar="SECONDS", min=0, callback=a_number, help="For another migrator that is at work."
        ),
    ] = 60.0,
    dsn: Dsn = None,
) -> None:
    """Apply the migrations that the database lacks, and make the partitions of this month and the next three.

    Prints what was done, a line each. While it runs, nobody waits for it longer than the lock timeout: a migration that
    would keep others waiting is taken back and tried again. After the last attempt it says who was in the way. A
    migration is applied whole or not at all; after a kill, run it again.
    """
    conninfo = checked(dsn)
    policy = migrations.RetryPolicy(lock_timeout_s, attempts, wait_s, report=lambda said: typer.echo(said, err=True))
    applied = migrations.apply(conninfo, policy)
    for migration in applied:
        typer.echo(f"{migration} applied")
    if not applied:
        typer.echo("Nothing to apply.")
    for partition in migrations.ensure_months_ahead(conninfo, policy):
        typer.echo(f"{partition} made")
