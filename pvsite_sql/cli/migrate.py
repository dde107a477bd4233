"""`pvsite-sql migrate`."""

from __future__ import annotations

from typing import Annotated

import typer

from .common import Dsn, reject_nan, require_dsn

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
            callback=reject_nan,
            help="Longest wait for a lock, and longest time to block other sessions.",
        ),
    ] = 2.0,
    attempts: Annotated[
        int,
        typer.Option(
            metavar="N", min=1, help="Attempts for each migration, with growing pauses from 0.5 to 10 seconds."
        ),
    ] = 10,
    wait_s: Annotated[
        float,
        typer.Option(
            "--wait",
            metavar="SECONDS",
            min=0,
            callback=reject_nan,
            help="Longest wait for another migrate or yoyo process.",
        ),
    ] = 60.0,
    dsn: Dsn = None,
) -> None:
    """Apply pending migrations and create partitions for this month and the next three.

    Prints one line for each migration and partition. No other session waits longer than the lock timeout: a migration
    that blocks others is rolled back and retried. After the last attempt, the error names the blocking sessions.

    A migration is applied completely or not at all. If the command is killed, run it again.
    """
    conninfo = require_dsn(dsn, "migrate")

    from .. import migrate as migrations

    policy = migrations.RetryPolicy(
        lock_timeout_s, attempts, wait_s, report=lambda message: typer.echo(message, err=True)
    )
    applied = migrations.apply(conninfo, policy)
    for migration in applied:
        typer.echo(f"{migration} applied")
    if not applied:
        typer.echo("No pending migrations.")
    for partition in migrations.ensure_months_ahead(conninfo, policy):
        typer.echo(f"{partition} created")
