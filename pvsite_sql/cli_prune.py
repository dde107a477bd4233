"""The command line: `pvsite-sql prune`."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from .partitions import Parent

__all__ = [
    "ARCHIVE",
    "BATCH_ROWS",
    "CURRENT_MONTH",
    "DRY_RUN",
    "FORECASTS_BEFORE",
    "GENERATION_BEFORE",
    "LOCK_TIMEOUT",
    "WAIT",
    "times",
]

FORECASTS_BEFORE = typer.Option(
    "--forecasts-before",
    metavar="DATE",
    help="Forecasts with a timestamp before this go: 2024-06-01 (midnight, UTC), or 2024-06-01T12:00+02:00.",
)
GENERATION_BEFORE = typer.Option(
    "--generation-before", metavar="DATE", help="Readings that start before this go, likewise."
)
ARCHIVE = typer.Option(
    "--archive",
    metavar="DIR",
    exists=True,
    file_okay=False,
    help="Write what goes there first, as Parquet; only what was read back and compared is removed.",
)
DRY_RUN = typer.Option("--dry-run", help="Only say what goes: partitions, rows, size.")
CURRENT_MONTH = typer.Option("--current-month", help="Let DATE lie in this month (UTC), which is refused otherwise.")
LOCK_TIMEOUT = typer.Option(
    "--lock-timeout",
    metavar="SECONDS",
    min=0.01,
    max=86400,
    help="How long it waits for a lock at a time, and others at most behind it.",
)
WAIT = typer.Option(
    "--wait",
    metavar="SECONDS",
    min=0.01,
    help="How long each step waits for others and tries again before it gives up.",
)
BATCH_ROWS = typer.Option("--batch-rows", metavar="ROWS", min=1, help="Rows that a transaction deletes at most.")


def times(forecasts_before: str | None, generation_before: str | None) -> dict[Parent, datetime]:
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
