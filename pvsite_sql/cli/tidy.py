"""`pvsite-sql tidy`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from .common import Dsn, reject_nan, require_dsn, utc_time

if TYPE_CHECKING:
    from ..engine.partitions import Parent

__all__ = ["tidy"]


class Table(StrEnum):
    """The tables that have months."""

    FORECASTS = "forecasts"
    GENERATION = "generation"


_TABLE = typer.Option("--table", help="Tidy only this table.")
_SINCE = typer.Option(
    "--since", metavar="DATE", help="Only months that start at DATE or later, such as 2024-06-01 (midnight UTC)."
)
_BEFORE = typer.Option(
    "--before", metavar="DATE", help="Only months that end at DATE or earlier. Default: all finished months."
)
_CLUSTER = typer.Option(
    "--cluster",
    help="Also put rows in order where they are not, with CLUSTER. BLOCKS everybody who reads or writes the month "
    "until it is done, also queries of several months. Needs free disk space for a copy of the month.",
)
_DRY_RUN = typer.Option("--dry-run", help="Show what would be done and why.")
_LOCK_TIMEOUT = typer.Option(
    "--lock-timeout",
    metavar="SECONDS",
    min=0.01,
    max=86400,
    callback=reject_nan,
    help="With --cluster: longest wait for a lock while other sessions queue behind it. It is tried again.",
)
_WAIT = typer.Option(
    "--wait",
    metavar="SECONDS",
    min=0.01,
    max=86400,
    callback=reject_nan,
    help="How long to wait for other transactions, for each step, before a month is skipped.",
)


def tidy(
    *,
    table: Annotated[Table | None, _TABLE] = None,
    since: Annotated[str | None, _SINCE] = None,
    before: Annotated[str | None, _BEFORE] = None,
    cluster: Annotated[bool, _CLUSTER] = False,
    dry_run: Annotated[bool, _DRY_RUN] = False,
    lock_timeout_s: Annotated[float, _LOCK_TIMEOUT] = 1.0,
    wait_s: Annotated[float, _WAIT] = 300.0,
    dsn: Dsn = None,
) -> None:
    """Rebuild the indexes of finished months and vacuum them.

    Measures each month that is over, and runs REINDEX CONCURRENTLY and VACUUM (FREEZE, ANALYZE) on those that would
    gain. Does not block readers or writers, unless you add --cluster.

    Months that other sessions use for too long are skipped; the exit code is then 1. If the command is interrupted,
    run it again. Run it as the owner of the tables, over a direct connection (not PgBouncer).
    """
    since_utc = None if since is None else utc_time(since, "--since")
    before_utc = None if before is None else utc_time(before, "--before")
    conninfo = require_dsn(dsn)

    from .. import tidy as tidying

    parents: list[Parent] = ["forecasts", "generation"] if table is None else [table.value]
    tidying.tidy(
        conninfo,
        parents,
        since_utc=since_utc,
        before_utc=before_utc,
        cluster=cluster,
        dry_run=dry_run,
        lock_timeout_s=lock_timeout_s,
        wait_s=wait_s,
        report=typer.echo,
    )
