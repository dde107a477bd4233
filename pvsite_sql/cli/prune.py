"""`pvsite-sql prune`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from .. import prune as prunes
from ..engine.partitions import Parent
from .dsn import Dsn, checked

__all__ = ["prune"]

_FORECASTS_BEFORE = typer.Option(
    "--forecasts-before",
    metavar="DATE",
    help="Forecasts with a timestamp before this go: 2024-06-01 (midnight, UTC), or 2024-06-01T12:00+02:00.",
)
_GENERATION_BEFORE = typer.Option(
    "--generation-before", metavar="DATE", help="Readings that start before this go, likewise."
)
_ARCHIVE = typer.Option(
    "--archive",
    metavar="DIR",
    exists=True,
    file_okay=False,
    help="Write what goes there first, as Parquet; only what was read back and compared is removed.",
)
_DRY_RUN = typer.Option("--dry-run", help="Only say what goes: partitions, rows, size.")
_CURRENT_MONTH = typer.Option("--current-month", help="Let DATE lie in this month (UTC), which is refused otherwise.")
_LOCK_TIMEOUT = typer.Option(
    "--lock-timeout",
    metavar="SECONDS",
    min=0.01,
    max=86400,
    help="How long it waits for a lock at a time, and others at most behind it.",
)
_WAIT = typer.Option(
    "--wait",
    metavar="SECONDS",
    min=0.01,
    help="How long each step waits for others and tries again before it gives up.",
)
_BATCH_ROWS = typer.Option("--batch-rows", metavar="ROWS", min=1, help="Rows that a transaction deletes at most.")


def prune(
    *,
    forecasts_before: Annotated[str | None, _FORECASTS_BEFORE] = None,
    generation_before: Annotated[str | None, _GENERATION_BEFORE] = None,
    archive: Annotated[Path | None, _ARCHIVE] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
    current_month: Annotated[bool, _CURRENT_MONTH] = False,
    lock_timeout_s: Annotated[float, _LOCK_TIMEOUT] = 1.0,
    wait_s: Annotated[float, _WAIT] = 300.0,
    batch_rows: Annotated[int, _BATCH_ROWS] = 5000,
    dsn: Dsn = None,
) -> None:
    """Remove forecasts or readings that are older than a time, while others read and write.

    Whole months go with their partition, detached and dropped; of the month that the time cuts, rows are deleted in
    batches. Says first what goes, and asks nothing. An interrupted run loses nothing; the next one goes on.
    It needs the owner of the tables, and a direct connection (no PgBouncer).
    """
    before = _times(forecasts_before, generation_before)
    prunes.prune(
        checked(dsn),
        before,
        archive=archive,
        current_month=current_month,
        dry_run=dry_run,
        lock_timeout_s=lock_timeout_s,
        wait_s=wait_s,
        batch_rows=batch_rows,
        say=typer.echo,
    )


def _times(forecasts_before: str | None, generation_before: str | None) -> dict[Parent, datetime]:
    """The time for each table that is to be pruned."""
    given: dict[Parent, str | None] = {"forecasts": forecasts_before, "generation": generation_before}
    if not any(given.values()):
        raise typer.BadParameter("give --forecasts-before, --generation-before, or both")
    return {parent: _time(text, f"--{parent}-before") for parent, text in given.items() if text is not None}


def _time(text: str, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"a date such as 2024-06-01, or a time, not {text!r}", param_hint=option) from None
