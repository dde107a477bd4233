"""`pvsite-sql prune`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import Dsn, require_dsn, utc_time

if TYPE_CHECKING:
    from ..engine.partitions import Parent
    from ..prune import SiteFilter

__all__ = ["prune"]

_FORECASTS_BEFORE = typer.Option(
    "--forecasts-before",
    metavar="DATE",
    help="Delete forecasts with a timestamp before DATE, such as 2024-06-01 (midnight UTC) or 2024-06-01T12:00+02:00.",
)
_GENERATION_BEFORE = typer.Option("--generation-before", metavar="DATE", help="Delete readings that start before DATE.")
_SITE = typer.Option("--site", metavar="UUID", help="Delete only rows of this site. Can be repeated.")
_COUNTRY = typer.Option(
    "--country", metavar="COUNTRY", help="Delete only rows of sites in this country, such as uk. Can be repeated."
)
_SITE_GROUP = typer.Option(
    "--site-group", metavar="NAME", help="Delete only rows of sites in this site group. Can be repeated."
)
_ARCHIVE = typer.Option(
    "--archive",
    metavar="DIR",
    exists=True,
    file_okay=False,
    help="Write the rows to Parquet files in DIR first. Only rows that were read back and compared are deleted.",
)
_DRY_RUN = typer.Option("--dry-run", help="Show what would be deleted: partitions, rows and size.")
_CURRENT_MONTH = typer.Option("--current-month", help="Allow a DATE within the current month (UTC).")
_LOCK_TIMEOUT = typer.Option(
    "--lock-timeout",
    metavar="SECONDS",
    min=0.01,
    max=86400,
    help="Longest wait for a lock, and longest time to block other sessions.",
)
_WAIT = typer.Option(
    "--wait", metavar="SECONDS", min=0.01, help="How long to wait for other transactions and retry, for each step."
)
_BATCH_ROWS = typer.Option("--batch-rows", metavar="ROWS", min=1, help="Most rows to delete in one transaction.")


def prune(
    *,
    forecasts_before: Annotated[str | None, _FORECASTS_BEFORE] = None,
    generation_before: Annotated[str | None, _GENERATION_BEFORE] = None,
    site: Annotated[list[str] | None, _SITE] = None,
    country: Annotated[list[str] | None, _COUNTRY] = None,
    site_group: Annotated[list[str] | None, _SITE_GROUP] = None,
    archive: Annotated[Path | None, _ARCHIVE] = None,
    dry_run: Annotated[bool, _DRY_RUN] = False,
    current_month: Annotated[bool, _CURRENT_MONTH] = False,
    lock_timeout_s: Annotated[float, _LOCK_TIMEOUT] = 1.0,
    wait_s: Annotated[float, _WAIT] = 300.0,
    batch_rows: Annotated[int, _BATCH_ROWS] = 5000,
    dsn: Dsn = None,
) -> None:
    """Delete old readings and forecasts, optionally archiving them first.

    Does not block readers or writers. Whole months are deleted by detaching and dropping their partition. In the month
    that contains DATE, rows are deleted in batches. Prints what it will delete, and does not ask for confirmation.

    With --site, --country or --site-group, only rows of the matching sites are deleted, all of them in batches. A site
    must match each of these options that is given, and any one value of a repeated option.

    If the command is interrupted, nothing is lost: run it again. Run it as the owner of the tables, over a direct
    connection (not PgBouncer). With these options, members of pvsite_admin can run it too.
    """
    before = _times(forecasts_before, generation_before)
    sites = _site_filter(site, country, site_group)
    conninfo = require_dsn(dsn, "prune")

    from .. import prune as pruning

    pruning.prune(
        conninfo,
        before,
        sites=sites,
        archive=archive,
        current_month=current_month,
        dry_run=dry_run,
        lock_timeout_s=lock_timeout_s,
        wait_s=wait_s,
        batch_rows=batch_rows,
        report=typer.echo,
    )


def _times(forecasts_before: str | None, generation_before: str | None) -> dict[Parent, datetime]:
    """Return the time for each table to prune."""
    given: dict[Parent, str | None] = {"forecasts": forecasts_before, "generation": generation_before}
    if not any(given.values()):
        raise typer.BadParameter("use --forecasts-before, --generation-before, or both")
    return {table: utc_time(text, f"--{table}-before") for table, text in given.items() if text is not None}


def _site_filter(site: list[str] | None, country: list[str] | None, site_group: list[str] | None) -> SiteFilter | None:
    """Return the sites whose rows to prune, or None for all."""
    given = {"site_uuids": site, "countries": country, "site_group_names": site_group}
    given = {name: values for name, values in given.items() if values}
    if not given:
        return None
    from ..engine.inputs import as_uuid
    from ..errors import InvalidInput
    from ..prune import SiteFilter

    for value in site or ():
        try:
            as_uuid(value, "--site")
        except InvalidInput as error:
            raise typer.BadParameter(error.reason, param_hint="--site") from None
    return SiteFilter(**given)
